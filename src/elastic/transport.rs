//! The way to an authority: any tower service that takes a request and gives a response.
//!
//! Two kinds: a pool of nodes ([`super::nodes`]) and the embedded authority itself. Which one it is makes no difference above.

use std::sync::Arc;

use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::net::http::{BodyError, Request, Response};

/// A clonable way to send one request to the authority. Requests carry origin-form targets without host.
#[derive(Clone, Debug)]
pub struct Transport {
    service: BoxCloneSyncService<Request, Answered, SendError>,
    /// Whether the authority lives in this process.
    embedded: bool,
}

/// A response and who gave it.
#[derive(Debug)]
pub struct Answered {
    /// `host:port` of the node, or `embedded`.
    pub node: Arc<str>,
    /// The response.
    pub response: Response,
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No node answered within the deadline.
    #[error("no answer from {node} in time")]
    Timeout {
        /// The last node tried.
        node: Arc<str>,
    },
    /// No node could be reached, or the connection broke.
    #[error("no connection to {node}")]
    Connect {
        /// The last node tried.
        node: Arc<str>,
        /// What went wrong.
        #[source]
        source: BodyError,
    },
    /// The response is longer than is sane for a security answer.
    #[error("answer of {node} is too long")]
    TooLong {
        /// Who gave it.
        node: Arc<str>,
    },
}

impl Transport {
    /// An authority in this process. Its errors count as failed connections.
    pub fn embedded<S>(service: S) -> Self
    where
        S: Service<Request, Response = Response> + Clone + Send + Sync + 'static,
        S::Error: Into<BodyError>,
        S::Future: Send + 'static,
    {
        let node: Arc<str> = Arc::from("embedded");
        let name = Arc::clone(&node);
        let service = service
            .map_response(move |response| Answered {
                node: Arc::clone(&node),
                response,
            })
            .map_err(move |error: S::Error| SendError::Connect {
                node: Arc::clone(&name),
                source: error.into(),
            });
        Self {
            embedded: true,
            ..Self::of(service)
        }
    }

    /// Whether the authority lives in this process.
    pub(super) const fn is_embedded(&self) -> bool {
        self.embedded
    }

    /// Wraps a service that already tells who answered.
    pub(super) fn of<S>(service: S) -> Self
    where
        S: Service<Request, Response = Answered, Error = SendError> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self {
            service: BoxCloneSyncService::new(service),
            embedded: false,
        }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// [`SendError`] when nobody answered; a response with an error status is not an error here.
    pub async fn send(&self, request: Request) -> Result<Answered, SendError> {
        self.service.clone().oneshot(request).await
    }
}
