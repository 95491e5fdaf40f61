//! HTTP/2, both ends: a client over TLS, and a plain-text (h2c) server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::client::Target;

/// A client connection that speaks HTTP/2 by ALPN.
pub(crate) async fn connect(target: &Target) -> SendRequest<Full<Bytes>> {
    connect_for(target).await
}

/// The same, for bodies of any kind.
pub(crate) async fn connect_for<B>(target: &Target) -> SendRequest<B>
where
    B: hyper::body::Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let tls = target.tls_with_alpn(&[b"h2"]).expect("an https target");
    let stream = TcpStream::connect(target.address).await.unwrap();
    let stream = TlsConnector::from(tls)
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

/// A GET with an `Authorization`, or none when it is empty.
pub(crate) fn get(target: &Target, path: &str, authorization: &str) -> http::Request<Full<Bytes>> {
    let mut request = http::Request::get(format!("https://{}{path}", target.host()));
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    request.body(Full::default()).unwrap()
}

/// Reads a response whole.
pub(crate) async fn whole(response: http::Response<Incoming>) -> (http::response::Parts, Bytes) {
    let (parts, body) = response.into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

/// An upstream that speaks HTTP/2 with prior knowledge and tells what it saw.
pub(crate) struct H2cServer {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl H2cServer {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                let answer = hyper::service::service_fn(move |request: http::Request<Incoming>| {
                    count.fetch_add(1, Ordering::SeqCst);
                    async move {
                        let seen = format!(
                            "{:?} {} {}",
                            request.version(),
                            request.method(),
                            request.uri().path()
                        );
                        let body = request
                            .into_body()
                            .collect()
                            .await
                            .map(http_body_util::Collected::to_bytes);
                        let text = format!("{seen} {}", body.unwrap_or_default().len());
                        Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(text))))
                    }
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(async move {
                    drop(server.serve_connection(TokioIo::new(stream), answer).await)
                });
            }
        });
        Self {
            address,
            requests,
            _runtime: runtime,
        }
    }
}

/// A runtime for a test that speaks HTTP/2.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
