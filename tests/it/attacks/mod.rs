//! Forty abuses, by theme. Each test goes through every input of its kind, against an upstream that records every byte.
//!
//! Which abuse is held by which test is told in `docs/security-model.md` (A-01…A-40); `docs.rs` holds that table. What single
//! sign-on must withstand is in `sso/`; what two parsers make of odd requests in `differential/`.

mod authority;
mod collisions;
mod credentials;
mod dependencies;
mod fixture;
mod framing;
mod headers;
mod leaks;
mod oversize;
mod revocation;
mod targets;
mod upgrades;
