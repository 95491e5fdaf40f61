//! JSON Web Tokens verified by Sidegate itself, so that garbage, expired and foreign tokens never reach the authority.
//!
//! Always true: a token that passes here is still the authority's to judge; one that doesn't is never shown to it. The key
//! decides which algorithms are possible and the configuration which are allowed; the token decides nothing.

pub(in crate::gate) mod keys;
pub mod verify;
