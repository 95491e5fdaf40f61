//! The request, response and body types every floor above speaks.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use super::pulse::InFlight;
use crate::model::certificate::CertificateChain;

/// A request as the doors see it.
pub type Request = http::Request<Body>;
/// A response as the doors make it.
pub type Response = http::Response<Body>;
/// Everything of a request but its body: what a decision is made of.
pub type Head = http::request::Parts;

/// Any failure while reading a body. Its text is for logs.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A message body: streamed, whole, or absent. An enum, so that the common cases cost no allocation.
#[derive(Default)]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// All of it, in memory. `None` once it was read.
    Full(Option<Bytes>),
    /// Streamed from a hyper connection.
    Incoming(Incoming),
    /// Anything else that streams.
    Boxed(UnsyncBoxBody<Bytes, BodyError>),
}

impl Body {
    /// A body held in memory.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Full(Some(bytes))
        }
    }

    /// Wraps a streaming body.
    pub fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        Self::Boxed(body.map_err(Into::into).boxed_unsync())
    }

    /// Reads all of it, up to `limit` bytes.
    ///
    /// # Errors
    /// [`CollectError::TooLarge`] as soon as more than `limit` bytes arrived; [`CollectError::Broken`] when the stream fails.
    pub async fn collect_up_to(self, limit: usize) -> Result<Bytes, CollectError> {
        match http_body_util::Limited::new(self, limit).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(CollectError::TooLarge { limit })
            }
            Err(error) => Err(CollectError::Broken(error)),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Body::Empty",
            Self::Full(_) => "Body::Full",
            Self::Incoming(_) => "Body::Incoming",
            Self::Boxed(_) => "Body::Boxed",
        })
    }
}

impl From<Incoming> for Body {
    fn from(body: Incoming) -> Self {
        if http_body::Body::is_end_stream(&body) {
            Self::Empty
        } else {
            Self::Incoming(body)
        }
    }
}

/// Why a body could not be read whole.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// Longer than the caller allows.
    #[error("body exceeds {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The stream broke.
    #[error("body could not be read")]
    Broken(#[source] BodyError),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Incoming(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Boxed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Full(None) => true,
            Self::Full(Some(_)) => false,
            Self::Incoming(body) => body.is_end_stream(),
            Self::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Full(None) => SizeHint::with_exact(0),
            Self::Full(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Self::Incoming(body) => body.size_hint(),
            Self::Boxed(body) => body.size_hint(),
        }
    }
}

/// A response body that counts as a request in flight until it is dropped.
#[derive(Debug)]
pub struct Tracked {
    body: Body,
    in_flight: InFlight,
}

impl Tracked {
    /// Ties a body to its request.
    pub fn new(body: Body, in_flight: InFlight) -> Self {
        Self { body, in_flight }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.in_flight.ask();
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(context));
        if frame.is_some() {
            this.in_flight.hand_out();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a message is gRPC by its `Content-Type`: that type alone, or with a format or parameters behind it.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.len() >= TYPE.len()
            && kind[..TYPE.len()].eq_ignore_ascii_case(TYPE)
            && matches!(kind.get(TYPE.len()), None | Some(b'+' | b';' | b' '))
    })
}

/// A body that can't fail becomes one that never does.
pub fn never(error: Infallible) -> BodyError {
    match error {}
}

/// Who is at the other end of a connection, and how they came in.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The socket's remote address, or the one that a PROXY protocol header told; the loopback's for a Unix socket.
    pub address: SocketAddr,
    /// The client's address: the socket's, unless a trusted proxy named another.
    pub client_ip: IpAddr,
    /// Whether that address is on the listener's list of trusted proxies.
    pub trusted: bool,
    /// Whether the connection came in over TLS.
    pub tls: bool,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The client's certificate, as TLS or a listed terminator verified it.
    pub certificate: PeerCertificate,
}

/// The certificate at the other end.
#[derive(Clone, Debug, Default)]
pub enum PeerCertificate {
    /// None was sent.
    #[default]
    Absent,
    /// A verified one.
    Present(Arc<CertificateChain>),
    /// One that no longer holds (revoked or expired since the handshake), or that a terminator told unreadably.
    Unusable,
}
