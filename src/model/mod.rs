//! The nouns everything else is about: secrets, time, privileges, credentials, identities.
//!
//! Nothing here does I/O or knows a wire format. A type that the outside sees as JSON lives in [`crate::wire`].

pub mod certificate;
pub mod clock;
pub mod credential;
pub mod identity;
pub mod privilege;
pub mod secret;
