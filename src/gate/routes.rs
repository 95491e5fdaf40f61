//! Which route takes a request (to be completed: canonical target, trie, captures).

use crate::config::settings::Forward;

/// A route, compiled.
#[derive(Debug)]
pub struct Route {
    /// Unique name.
    pub name: String,
    /// Position in written order; also its index in per-route metric tables.
    pub index: usize,
    /// Position of its upstream in the name order of `Settings::upstreams`.
    pub upstream: usize,
    /// How the identity travels.
    pub forward: Forward,
    /// Position of `forward` among the distinct forwardings of the table: the slot of prebuilt headers in a cache entry.
    pub forward_slot: usize,
    /// Whether WebSocket upgrades are tunnelled.
    pub websocket: bool,
}
