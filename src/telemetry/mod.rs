//! What an operator sees: metrics, the access log, the program's own log.

pub mod metrics;
