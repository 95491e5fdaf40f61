//! Realms: where users come from and how a credential is checked.
//!
//! [`chain`] asks them in their order: reserved, then as configured. What a realm is, stands in [`contract`]. A new type of realm
//! is a file here that implements it, an arm in `chain::open_realm`, and its settings in `config`. API keys and tokens are no
//! realms and come before them: [`grants`].

pub mod account;
pub mod chain;
pub mod contract;
pub mod file;
pub mod grants;
pub mod jwt;
pub mod kerberos;
pub mod login;
pub mod native;
pub mod oidc;
pub mod pattern;
pub mod pki;
pub mod saml;
pub mod service;
pub mod service_file;
pub mod throttle;
pub mod user_claims;
pub mod watch;
