//! What is in front of the doors: requests below the prefix of single sign-on go to its door, all others to the proxy's.

use std::sync::Arc;

use crate::net::admission::TurnedAway;
use crate::net::http::{Peer, Request, Response};
use crate::net::serve::Handler;
use crate::proxy::Proxy;
use crate::sso::Door;

/// Both doors.
pub(super) struct Entrance {
    /// Everything else.
    pub(super) proxy: Arc<Proxy>,
    /// Logins.
    pub(super) sso: Arc<Door>,
}

impl Handler for Entrance {
    async fn call(&self, request: Request, peer: &Arc<Peer>) -> Response {
        if self.sso.takes(&request) {
            // Boxed: logins are rare, and must not be part of every connection's memory.
            return Box::pin(self.sso.call(request, peer)).await;
        }
        self.proxy.call(request, peer).await
    }

    fn turn_away(&self, request: Request, peer: &Arc<Peer>, why: TurnedAway) -> Response {
        self.proxy.turn_away(request, peer, why)
    }

    fn panicked(&self) -> Response {
        self.proxy.panicked()
    }
}
