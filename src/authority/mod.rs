//! The embedded authority: Elasticsearch's security API in this process.

pub mod access;
pub mod builtin;
