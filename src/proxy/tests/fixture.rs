//! A proxy on port 0, upstreams on port 0, and a client.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};

use crate::config::bounds::ListenerBounds;
use crate::config::settings::{
    self, Access, Forward, IdentityField, Limits, Settings, UpstreamUrl,
};
use crate::forwarding::fixture as gates;
use crate::model::clock::Clock;
use crate::net::drain::Drain;
use crate::net::http::Body;
use crate::net::listen::Bound;
use crate::net::metrics::NetMetrics;
use crate::net::serve::Front;
use crate::net::workers::Workers;
use crate::proxy::Proxy;
use crate::proxy::metrics::ProxyMetrics;
use crate::proxy::site::{Shared, Site};
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Registry;

pub(super) type Reply = Response<Incoming>;

/// A running proxy.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) drain: Drain,
    pub(super) registry: Registry,
    _workers: Arc<Workers>,
}

/// Routes: `/private/**` with identity headers, `/public/**` for everyone, `/ws` for WebSocket, both public.
pub(super) fn settings(upstream: settings::Upstream) -> Settings {
    let headers = Forward::IdentityHeaders(vec![("X-User".into(), IdentityField::Username)]);
    let mut socket = gates::route("/ws", Access::Everyone, Forward::None);
    socket.websocket = true;
    let routes = vec![
        gates::route("/private/**", Access::Authenticated, headers),
        gates::route("/public/**", Access::Everyone, Forward::None),
        socket,
    ];
    gates::settings(routes, upstream)
}

pub(super) fn upstream(addresses: &[SocketAddr]) -> settings::Upstream {
    let url = |address: &SocketAddr| UpstreamUrl::Tcp {
        tls: false,
        host: address.ip().to_string(),
        port: address.port(),
    };
    gates::upstream(addresses.iter().map(url).collect())
}

impl Door {
    pub(super) async fn before(address: SocketAddr) -> Self {
        Self::open(&settings(upstream(&[address]))).await
    }

    pub(super) async fn open(settings: &Settings) -> Self {
        let registry = Registry::new().unwrap();
        let clock = Clock::system();
        let (drain, watch) = Drain::new();
        let metrics = ProxyMetrics::register(&registry).unwrap();
        let gate = gates::gate(settings, &registry, &clock);
        let site = Site::build(settings, gate, &metrics).unwrap();
        let log = AccessLog::off().unwrap();
        let shared = Shared {
            clock,
            log,
            metrics,
            drain: watch.clone(),
        };
        let address = ([127, 0, 0, 1], 0).into();
        let listener = settings::Listener::plain("test", address, limits());
        let net = NetMetrics::register(&registry).unwrap().listener("test");
        let proxy = Arc::new(Proxy::new(site, shared));
        let front = Arc::new(Front::new(&listener, proxy, None, net, watch));
        let bound = Bound::bind(address, false).unwrap();
        let address = bound.address().tcp().unwrap();
        let workers = Arc::new(Workers::start(1).unwrap());
        tokio::spawn(bound.accept(front, Arc::clone(&workers)));
        Self {
            address,
            drain,
            registry,
            _workers: workers,
        }
    }

    pub(super) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(self.address, request.body(Full::default()).unwrap()).await
    }

    pub(super) fn metrics(&self) -> String {
        self.registry.render()
    }
}

pub(super) fn limits() -> Limits {
    let second = Duration::from_secs(1);
    Limits {
        max_connections: 100,
        max_headers: 100,
        max_header_bytes: 16 * 1024,
        handshake_timeout: second,
        header_timeout: second,
        body_idle_timeout: second,
        keep_alive_timeout: 60 * second,
        max_streams: 16,
        bounds: ListenerBounds::default(),
    }
}

/// Sends one request on a connection of its own.
pub(super) async fn send<B>(address: SocketAddr, mut request: Request<B>) -> Reply
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let headers = request.headers_mut();
    headers
        .entry("host")
        .or_insert("shop.example".parse().unwrap());
    sender.send_request(request).await.unwrap()
}

pub(super) async fn text(reply: Reply) -> String {
    let bytes = reply.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An HTTP upstream that counts its connections and requests.
pub(super) struct App {
    pub(super) address: SocketAddr,
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) requests: Arc<AtomicUsize>,
}

impl App {
    /// Serves `answer` over HTTP/1.1 and HTTP/2 with prior knowledge.
    pub(super) async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (Arc::clone(&app.connections), Arc::clone(&app.requests));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (answer, requests) = (answer.clone(), Arc::clone(&requests));
                let service = service_fn(move |request| {
                    requests.fetch_add(1, Ordering::SeqCst);
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                tokio::spawn(async move {
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        app
    }

    /// Answers with the request's line and headers, one per line.
    pub(super) async fn echo() -> Self {
        Self::start(|request| async move {
            let mut lines = format!("{} {}\n", request.method(), request.uri());
            for (name, value) in request.headers() {
                lines.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
            }
            let body = request.into_body().collect().await.unwrap().to_bytes();
            lines.push_str(&format!("body: {}\n", String::from_utf8_lossy(&body)));
            Response::new(Body::full(lines))
        })
        .await
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}
