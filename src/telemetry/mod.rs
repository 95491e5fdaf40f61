//! What an operator sees: metrics, the access log, the program's own log.
//!
//! Always true: counting and logging a request never blocks it, never makes a system call and never grows without bound.
//! Never: a secret, a client's raw value as a metric label, a line that a client can forge.

pub mod access;
pub mod audit;
mod cells;
mod escape;
pub mod family;
pub mod log;
pub mod metrics;
pub mod shard;
mod sink;
mod stamp;
