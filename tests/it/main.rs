//! The program from outside: the real binary on port 0, real sockets, real files.
//!
//! Which test stands for which requirement of the security model is told in `docs/security-model.md`, whose table is
//! checked by `docs.rs`: every test named there exists.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, in its helpers as well"
)]

mod harness;

mod admin;
mod asks;
mod attacks;
mod authority;
mod authority_alone;
mod authority_oidc;
mod authority_saml;
mod bounds;
mod cache;
mod certificates;
mod check;
mod clients;
mod conformance;
mod dev;
mod differential;
mod docs;
mod elasticsearch_mode;
mod explain;
mod faults;
mod fuzz_corpora;
mod held;
mod kerberos;
mod limits;
mod listeners;
mod matrix;
mod messages;
mod refusals;
mod routes;
mod run;
mod run_as;
mod soak;
mod sso;
mod sso_door;
mod tls;
mod tunnels;
mod upstreams;
mod ways_in;
mod ways_out;
