//! What every test stands on: the real binary on port 0, clients that can send any byte, servers that record every byte.
//!
//! Nothing here sleeps: a test waits for a line, a file, a byte or the end of a process, each with one generous deadline.

pub(crate) mod balancer;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod elasticsearch;
pub(crate) mod fault_proxy;
pub(crate) mod h2;
pub(crate) mod jar;
pub(crate) mod oidc_provider;
pub(crate) mod page;
pub(crate) mod person;
pub(crate) mod pki;
pub(crate) mod plan;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod saml_idp;
pub(crate) mod server;
pub(crate) mod streams;
pub(crate) mod tools;

use std::time::Duration;

use tokio::time::Instant;

/// How long anything may take before a test fails. Only ever waited for in full by a test that fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Whether something comes to be so, asked again and again until the deadline.
pub(crate) fn eventually(mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
