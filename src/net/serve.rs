//! From an accepted socket to answered requests: PROXY protocol header, handshake, protocol, limits, one [`Handler`] call per request.
//!
//! Always true: every wait has a deadline, every size a bound, and a panic while answering costs one 500, not the
//! process. This module knows HTTP and no identities; what a request means is the handler's business.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::header::{CONNECTION, COOKIE, EXPECT, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error};

use super::admission::{Admission, Entered, TurnedAway};
use super::conversation::{Conversation, End, Patience};
use super::drain::{Hold, Phase, Watch};
use super::http::{Body, Peer, Request, Response, Tracked, is_grpc};
use super::metrics::{ListenerMetrics, Opened};
use super::peer::TrustedProxies;
use super::proxy_protocol::{self, HeaderError, Told};
use super::pulse::{InFlight, Pulse, Watched};
use super::received::Received;
use super::socket::{Accepted, Origin, Socket};
use super::steady::{Half, Steady};
use super::tls::{ALPN_H2, Certified, ServerTls};
use super::workers::Load;
use crate::config::settings::{Limits, Listener};
use crate::model::clock::Clock;

/// How often a silent HTTP/2 peer is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Bytes of one HTTP/2 stream a client may send ahead of being read; the connection's bound is four times that.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Bytes buffered per message while reading or writing.
const BUFFER: usize = 64 * 1024;

/// Answers requests. Implemented by doors.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Dropped when the client goes away.
    fn call(&self, request: Request, peer: &Arc<Peer>) -> impl Future<Output = Response> + Send;

    /// The answer to a request that is over a bound of its listener. Nothing of it is judged; it is only answered and recorded.
    fn turn_away(&self, request: Request, _peer: &Arc<Peer>, why: TurnedAway) -> Response {
        drop(request);
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = match why {
            TurnedAway::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            TurnedAway::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
        };
        response
    }

    /// The answer to a request whose `call` panicked. The panic is already logged.
    fn panicked(&self) -> Response;
}

/// Keeps a connection's place (its worker's load, its permit, its share of the drain and of the metrics) while it lives.
///
/// A request that may be upgraded carries one in its extensions, so that a tunnel inherits the place.
#[derive(Clone, Debug)]
pub struct Tenure {
    _place: Arc<Place>,
    /// With HTTP/2 the tunnel is a stream of a connection that goes on, and would count as idle.
    _busy: Option<Arc<InFlight>>,
}

#[derive(Debug)]
struct Place {
    _permit: OwnedSemaphorePermit,
    _load: Load,
    _hold: Hold,
    _opened: Opened,
    _entered: Entered,
}

/// All connections of one listener share one.
pub struct Front<H> {
    handler: Arc<H>,
    listener: Arc<str>,
    limits: Limits,
    trusted: TrustedProxies,
    /// Those whose connections begin with a PROXY protocol header.
    heralds: TrustedProxies,
    tls: Option<Arc<ServerTls>>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    metrics: ListenerMetrics,
    admission: Admission,
    drain: Watch,
    clock: Clock,
}

/// What the requests of one connection share. One allocation per connection, so that requests touch no memory another core writes.
struct Link<H> {
    front: Arc<Front<H>>,
    peer: Arc<Peer>,
    /// The client's certificate, where one was sent.
    certified: Option<Certified>,
    pulse: Arc<Pulse>,
    tenure: Tenure,
}

// === impl Front ===

impl<H: Handler> Front<H> {
    /// Joins a listener's settings with who answers. `tls` must be there when the settings say so.
    pub fn new(
        settings: &Listener,
        handler: Arc<H>,
        tls: Option<Arc<ServerTls>>,
        metrics: ListenerMetrics,
        drain: Watch,
    ) -> Self {
        let limits = settings.limits.clone();
        Self {
            handler,
            listener: settings.name.as_str().into(),
            trusted: TrustedProxies::new(
                &settings.trusted_proxies,
                settings.forwarded_client_certificates,
            ),
            heralds: TrustedProxies::new(&settings.proxy_protocol, None),
            tls,
            http1: http1_builder(&limits),
            http2: http2_builder(&limits),
            metrics,
            admission: Admission::new(&limits.bounds),
            drain,
            clock: Clock::system(),
            limits,
        }
    }

    /// Bounds of this listener.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The drain it follows.
    pub fn drain(&self) -> &Watch {
        &self.drain
    }

    /// Its metrics.
    pub fn metrics(&self) -> &ListenerMetrics {
        &self.metrics
    }

    /// Serves one accepted socket to its end. Runs on the worker that owns the connection.
    pub async fn serve(
        self: Arc<Self>,
        accepted: Accepted,
        permit: OwnedSemaphorePermit,
        hold: Hold,
        load: Load,
    ) {
        let opened = self.metrics.opened();
        let origin = accepted.origin();
        let mut socket = match accepted.register() {
            Ok(socket) => socket,
            Err(error) => {
                error!(listener = %self.listener, %error, "socket could not be registered");
                return;
            }
        };
        let Some(peer) = self.introduce(&mut socket, origin).await else {
            return;
        };
        let peer = Arc::new(peer);
        let address = peer.address;
        let entered = match self.admission.enter(&peer, self.clock.now()) {
            Ok(entered) => entered,
            Err(why) => {
                self.metrics.closed(why);
                debug!(listener = %self.listener, client.address = %address, ?why, "connection closed unread");
                return;
            }
        };
        let tenure = Tenure {
            _place: Arc::new(Place {
                _entered: entered,
                _permit: permit,
                _load: load,
                _hold: hold,
                _opened: opened,
            }),
            _busy: None,
        };
        let pulse = Arc::new(Pulse::new(self.admission.places()));
        let mut link = Link {
            peer,
            certified: None,
            pulse: Arc::clone(&pulse),
            tenure,
            front: Arc::clone(&self),
        };
        match &self.tls {
            None => {
                let http2 = self.has_http2_preface(&mut socket).await;
                self.converse(Watched::new(socket, pulse), http2, Arc::new(link))
                    .await;
            }
            Some(tls) => {
                let current = tls.current();
                let acceptor = TlsAcceptor::from(current.config());
                let handshake = acceptor.accept(Watched::new(socket, pulse));
                // Boxed, so that the handshake's state isn't carried through the connection's life.
                let handshake = Box::pin(tokio::time::timeout(
                    self.limits.handshake_timeout,
                    handshake,
                ))
                .await;
                match handshake {
                    Ok(Ok(stream)) => {
                        self.metrics.handshake_succeeded.inc();
                        let session = stream.get_ref().1;
                        let http2 = session.alpn_protocol() == Some(ALPN_H2);
                        let now = self.clock.now().unix;
                        link.certified = tls.certified(session, current, now);
                        self.converse(stream, http2, Arc::new(link)).await;
                    }
                    Ok(Err(error)) => {
                        self.metrics.handshake_failed.inc();
                        debug!(listener = %self.listener, client.address = %address, %error, "tls handshake failed");
                    }
                    Err(_elapsed) => self.metrics.handshake_timed_out.inc(),
                }
            }
        }
    }

    /// Who is at the other end: whom the socket tells, or where a PROXY protocol header is due, whom that tells. `None` when
    /// there is nobody to talk to.
    async fn introduce(&self, socket: &mut Socket, origin: Origin) -> Option<Peer> {
        let peer = |origin| {
            let listener = Arc::clone(&self.listener);
            self.trusted.peer(origin, self.tls.is_some(), listener)
        };
        if !self.heralds.trusts(origin) {
            return Some(peer(origin));
        }
        // Boxed, so that it isn't carried through the connection's life.
        match Box::pin(self.read_header(socket)).await {
            // The load balancer passed on what its client said: what it is trusted with itself is not its client's.
            Ok(Told::Client(address)) => Some(peer(Origin::Tcp(address))),
            Ok(Told::Own) => Some(peer(origin)),
            Ok(Told::Unknown) => Some(Peer {
                trusted: false,
                ..peer(origin)
            }),
            Err(error) => {
                self.metrics.without_header.inc();
                debug!(listener = %self.listener, client.address = %origin.address(), %error, "no PROXY protocol header");
                None
            }
        }
    }

    async fn read_header(&self, socket: &mut Socket) -> Result<Told, HeaderError> {
        let deadline = match self.tls {
            Some(_) => self.limits.handshake_timeout,
            None => self.limits.header_timeout,
        };
        tokio::time::timeout(deadline, proxy_protocol::read(socket))
            .await
            .unwrap_or(Err(HeaderError::Late))
    }

    /// Whether a plain connection begins with HTTP/2's preface. Nothing is lost by looking.
    async fn has_http2_preface(&self, socket: &mut Socket) -> bool {
        let looking = tokio::time::timeout(self.limits.header_timeout, socket.begins_with_http2());
        // A time-out or an error shows again, and is dealt with, where the request is read.
        looking.await.unwrap_or(false)
    }

    async fn converse<S>(&self, stream: S, http2: bool, link: Arc<Link<H>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        let patience = Patience {
            head: self.limits.header_timeout,
            idle: self.limits.keep_alive_timeout,
            write: self.limits.body_idle_timeout,
            heads_are_visible: !http2,
        };
        let pulse = Arc::clone(&link.pulse);
        let drain = self.drain.clone();
        let address = link.peer.address;
        let service = service_fn(move |request| {
            let link = Arc::clone(&link);
            async move { Ok::<_, Infallible>(link.answer(request).await) }
        });
        let end = if http2 {
            let connection = self.http2.serve_connection(io, service);
            Conversation::new(connection, pulse, patience, drain).await
        } else {
            let connection = self.http1.serve_connection(io, service).with_upgrades();
            Conversation::new(connection, pulse, patience, drain).await
        };
        match end {
            End::Closed(Ok(())) => {}
            End::Closed(Err(error)) => {
                debug!(listener = %self.listener, client.address = %address, %error, "connection ended");
            }
            End::TimedOut(activity) => {
                self.metrics.timed_out.inc();
                debug!(listener = %self.listener, client.address = %address, ?activity, "connection stood still");
            }
            End::Cut => {
                debug!(listener = %self.listener, client.address = %address, "connection cut at the drain's deadline");
            }
        }
    }
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // `Conversation` watches heads itself: hyper's own timer is made and dropped with every request.
        .header_read_timeout(None)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(BUFFER))
        // Head and body in one write. Not by `pipeline_flush`, under which hyper takes whatever a body has, however little the
        // client reads, and keeps an answer back as long as unread bytes lie in its buffer, those of a refused head among them.
        .writev(false);
    // hyper keeps up to 100 headers on the stack; any other number costs an allocation per request.
    if limits.max_headers != 100 {
        builder.max_headers(limits.max_headers);
    }
    builder
}

fn http2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * 4)
        .max_send_buf_size(BUFFER)
        // Rapid reset (CVE-2023-44487): how many streams may be opened and reset before the connection is closed.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(128)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
        // WebSockets as streams (RFC 8441). Whoever answers decides which requests of the kind are any.
        .enable_connect_protocol();
    builder
}

// === impl Link ===

impl<H: Handler> Link<H> {
    async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Tracked> {
        let mut in_flight = self.pulse.begin();
        let http1 = request.version() < Version::HTTP_2;
        if !http1 && self.has_too_many_headers(request.headers()) {
            let mut response = http::Response::new(Tracked::new(Body::Empty, in_flight));
            *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return response;
        }
        let (mut request, answered) = self.watch_body(request, http1);
        if request.headers().contains_key(UPGRADE) {
            request.extensions_mut().insert(self.tenure.clone());
        }
        if *request.method() == Method::CONNECT {
            request.extensions_mut().insert(Tenure {
                _busy: Some(Arc::new(self.pulse.begin())),
                ..self.tenure.clone()
            });
        }
        let peer = match &self.certified {
            None => self
                .front
                .trusted
                .for_request(&self.peer, request.headers()),
            Some(certified) => {
                let own = Arc::new(Peer {
                    certificate: certified.at(self.front.clock.now().unix),
                    ..Peer::clone(&self.peer)
                });
                self.front.trusted.for_request(&own, request.headers())
            }
        };
        let handler = &self.front.handler;
        let mut response = match self.admit(&mut in_flight, &peer) {
            // Boxed: hyper moves a request's future a few times before it is first polled, in HTTP/2 into a task of its own.
            Ok(()) => AssertUnwindSafe(Box::pin(handler.call(request, &peer)))
                .catch_unwind()
                .await
                .unwrap_or_else(|_panic| {
                    error!(listener = %self.front.listener, "a request made the handler panic");
                    handler.panicked()
                }),
            Err(why) => {
                self.front.metrics.turned_away(why);
                handler.turn_away(request, &peer, why)
            }
        };
        if let Some(answered) = answered {
            answered.tell_done();
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.pulse.switch();
        } else if http1 && (self.pulse.is_abandoned() || self.front.drain.phase() != Phase::Serving)
        {
            // What comes next on this connection is the rest of a body, or what nobody will answer any more; the client is
            // told so, rather than closed on while it sends (RFC 9112 §9.6).
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response.map(|body| Tracked::new(body, in_flight))
    }

    /// HTTP/1's parser counts by itself. HTTP/2 may split cookies, one line each (RFC 9113 §8.2.3), so of these there may be more.
    fn has_too_many_headers(&self, headers: &HeaderMap) -> bool {
        let most = self.front.limits.max_headers;
        headers.len() > most && {
            let cookies = headers.get_all(COOKIE).iter().count();
            headers.len() - cookies > most || cookies > most.saturating_mul(2)
        }
    }

    /// Whether another request is taken now, and from this client.
    fn admit(&self, in_flight: &mut InFlight, peer: &Peer) -> Result<(), TurnedAway> {
        let admission = &self.front.admission;
        if admission.counts_requests() {
            admission.request(peer.client_ip, self.front.clock.now())?;
        }
        match in_flight.take_place() {
            true => Ok(()),
            false => Err(TurnedAway::Overloaded),
        }
    }

    /// Puts the listener's patience on a body that streams, and over HTTP/1 a watch on what is left of it. Gives what is to be
    /// told of the answer's beginning, which ends that patience for calls that go both ways (gRPC).
    fn watch_body(
        &self,
        request: http::Request<Incoming>,
        http1: bool,
    ) -> (Request, Option<Arc<Half>>) {
        let limit = self.front.limits.body_idle_timeout;
        let (head, body) = request.into_parts();
        let mut answered = None;
        let body = match Body::from(body) {
            Body::Incoming(body) if http1 => {
                let expects = head.headers.contains_key(EXPECT);
                Body::stream(Received::new(body, limit, expects, &self.pulse))
            }
            Body::Incoming(body) => {
                let steady = Steady::new(body, limit);
                Body::stream(if is_grpc(&head.headers) {
                    let half = answered.insert(Arc::default());
                    steady.until_answered(Arc::clone(half))
                } else {
                    steady
                })
            }
            other => other,
        };
        (Request::from_parts(head, body), answered)
    }
}
