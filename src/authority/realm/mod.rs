//! Realms: where users come from and how a credential is checked.
//!
//! Asked in a fixed order: reserved, then native. A new realm is a file here and an arm in `account::find` or in
//! [`super::authenticate`].

pub mod account;
pub mod grants;
pub mod login;
pub mod service;
pub mod service_file;
