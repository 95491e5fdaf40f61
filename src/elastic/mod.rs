//! The authority as seen from inside: one typed client over a transport that is either a pool of nodes or the authority itself.
//!
//! Always true: an answer is believed only when it is whole, well formed and about what was asked; anything else is an
//! [`error::AskError`] that says whether the credential was refused or the authority is in trouble. Never caches, never follows
//! redirects, never logs a credential. One more endpoint is one more method in [`client`], with its shapes in [`crate::wire`].

pub mod authorization;
pub mod client;
mod connect;
pub mod delegate;
pub mod error;
pub mod exchanges;
pub mod metrics;
pub mod nodes;
mod questions;
pub mod sso;
pub mod transport;

#[cfg(test)]
mod tests;
