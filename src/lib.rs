//! Sidegate stands in front of an application and lets in only what Elasticsearch security allows.
//!
//! The crate is built in floors; a file imports lower floors only, and `tests/floors.rs` keeps it so:
//!
//! ```text
//! 9 cli            8 app            7 doors: proxy sso admin
//! 6 forwarding     5 gate           4 elastic | session | authority
//! 3 net            2 telemetry      1 wire | config      0 model
//! ```
//!
//! One request walks down them once: [`net`] accepts and parses it, the [`proxy`] door asks the [`gate`] for a verdict,
//! the gate finds the route, extracts the one credential, looks its fingerprint up in the cache (on a miss it asks the
//! authority through [`elastic`]) and earns a [`gate::authorize::Permit`]; [`forwarding`] turns the permit into headers the upstream
//! can trust, and the proxy consumes the permit to send the request on.
//!
//! Words used everywhere and never replaced by synonyms: credential, identity, authority, route, requirement, permit,
//! refusal, forwarding, session, door.

pub mod model;

pub mod config;
pub mod wire;

pub mod telemetry;

pub mod net;

pub mod authority;
pub mod elastic;
pub mod session;

pub mod gate;

pub mod forwarding;

pub mod admin;
pub mod proxy;
pub mod sso;

pub mod app;

pub mod cli;
