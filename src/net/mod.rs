//! HTTP plumbing that knows no identity: bodies, peers, TLS, connections, draining, serving.

pub mod http;
