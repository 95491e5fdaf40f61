//! User profiles: who they belong to, how they change, how they are found by what somebody types.
//!
//! Plain functions over the store's rows; the endpoints are in [`super::api`]. Always true: a profile belongs to one user of
//! one realm (or security domain) and is never given to another; applications' labels and data survive every activation.
//! Never deletes a profile.

pub mod document;
pub mod identity;
pub mod suggest;
pub mod words;
