//! HTTP plumbing that knows no identity: bodies, peers, TLS, connections, draining, serving.
//!
//! In the order of one connection: [`listen`] accepts a [`socket`] and picks one of the [`workers`]; [`serve`] reads a
//! [`proxy_protocol`] header where one is due, does the [`tls`] handshake, speaks HTTP within the listener's limits and calls
//! the [`serve::Handler`] with a request and its [`peer`]; [`admission`] says how much at a time; [`conversation`] and [`pulse`] close what stands still, [`received`]
//! and [`linger`] without taking an answer from anybody; [`drain`] ends it all in order. [`connect`] dials the other way.
//! Always true: bounded sizes, bounded waits, no state shared between workers per request.

pub mod activation;
pub mod admission;
pub mod certificate_header;
pub mod certificates;
pub mod client_certificate;
pub mod connect;
pub mod conversation;
pub mod drain;
pub mod fetch;
pub mod http;
pub mod linger;
pub mod listen;
pub mod metrics;
pub mod page;
pub mod peer;
pub mod places;
pub mod proxy_protocol;
pub mod pulse;
pub mod rate;
pub mod received;
pub mod request_id;
pub mod serve;
pub mod socket;
pub mod steady;
pub mod tls;
pub mod trust;
pub mod unix;
pub mod upgraded;
pub mod workers;
