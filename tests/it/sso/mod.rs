//! Single sign-on as people meet it: real browsers, real identity providers, a real Redis, replicas; and as attackers do.

mod back_channel;
mod chromium;
mod cookies;
mod doors;
mod house;
mod oidc;
mod other_ways;
mod pains;
mod password;
mod registry;
mod replicas;
mod return_targets;
mod saml;
mod store;
pub(crate) mod store_faults;
