//! The embedded authority's API as a door of its own, and what side doors have in common.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::authority::Authority;
use crate::config::bounds::ListenerBounds;
use crate::config::settings::Limits;
use crate::net::http::{Body, Peer, Request, Response};
use crate::net::serve::Handler;

/// Bounds of the doors that operators use: small, because their clients are few.
pub(super) const SIDE_LIMITS: Limits = Limits {
    max_connections: 256,
    max_headers: 100,
    max_header_bytes: 32 * 1024,
    handshake_timeout: Duration::from_secs(10),
    header_timeout: Duration::from_secs(10),
    body_idle_timeout: Duration::from_secs(30),
    keep_alive_timeout: Duration::from_secs(75),
    max_streams: 100,
    bounds: ListenerBounds::NONE,
};

/// Serves the authority.
pub(super) struct AuthorityDoor(pub(super) Authority);

impl Handler for AuthorityDoor {
    async fn call(&self, mut request: Request, peer: &Arc<Peer>) -> Response {
        // Whoever audits wants to know where it came from.
        request.extensions_mut().insert(Arc::clone(peer));
        self.0.answer(request).await
    }

    fn panicked(&self) -> Response {
        internal_error()
    }
}

/// 500 without a word.
pub(super) fn internal_error() -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
