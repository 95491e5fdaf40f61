//! Bodies that never stand in memory: a server of both protocols that swallows or echoes, and HTTP/2 clients that stream.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::client::Target;
use super::h2;
use super::server::Latch;

type Answered = UnsyncBoxBody<Bytes, hyper::Error>;

/// A plain server that speaks HTTP/1.1 and HTTP/2, whichever it is spoken to in.
pub(crate) struct StreamServer {
    pub(crate) address: SocketAddr,
    _runtime: Runtime,
}

impl StreamServer {
    /// Reads each body, and answers how long it was.
    pub(crate) fn swallowing() -> Self {
        Self::start(|request| async move { swallowed(request).await })
    }

    /// The same, but begins to read when the latch opens.
    pub(crate) fn swallowing_after(latch: Latch) -> Self {
        Self::start(move |request| {
            let latch = latch.clone();
            async move {
                tokio::task::spawn_blocking(move || latch.wait())
                    .await
                    .unwrap();
                swallowed(request).await
            }
        })
    }

    /// Answers at once, with the body as it comes.
    pub(crate) fn echoing() -> Self {
        Self::start(
            |request| async move { http::Response::new(request.into_body().boxed_unsync()) },
        )
    }

    fn start<F, A>(answer: F) -> Self
    where
        F: Fn(http::Request<Incoming>) -> A + Clone + Send + 'static,
        A: Future<Output = http::Response<Answered>> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answer.clone();
                let service = hyper::service::service_fn(move |request| {
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self {
            address,
            _runtime: runtime,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn swallowed(request: http::Request<Incoming>) -> http::Response<Answered> {
    let mut body = request.into_body();
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    let text = Full::new(Bytes::from(length.to_string()));
    http::Response::new(text.map_err(|never| match never {}).boxed_unsync())
}

/// Uploads this many bytes over HTTP/2 and gives the text of the answer.
pub(crate) async fn upload(target: &Target, path: &str, length: u64) -> String {
    let mut sender = h2::connect_with(target).await;
    let request = post(target, path, Generated { left: length });
    let response = sender.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Talks to an echo over HTTP/2, one piece at a time, and tells how many came back.
pub(crate) async fn converse(target: &Target, path: &str, rounds: usize) -> usize {
    let mut sender = h2::connect_with(target).await;
    let (feed, pieces) = mpsc::channel(1);
    let request = post(target, path, Fed(pieces));
    let answer = sender.send_request(request);
    feed.send(Bytes::from_static(b"ping")).await.unwrap();
    let mut body = answer.await.unwrap().into_body();
    let mut echoed = 0;
    while echoed < rounds {
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "ping");
        echoed += 1;
        if echoed < rounds {
            feed.send(Bytes::from_static(b"ping")).await.unwrap();
        }
    }
    drop(feed);
    // The end may come with an empty piece.
    while let Some(frame) = body.frame().await {
        assert!(frame.unwrap().into_data().unwrap().is_empty());
    }
    echoed
}

fn post<B>(target: &Target, path: &str, body: B) -> http::Request<B> {
    http::Request::post(format!("https://{}{path}", target.host()))
        .body(body)
        .unwrap()
}

/// So many bytes of nothing.
struct Generated {
    left: u64,
}

static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

impl Body for Generated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = self.left.min(PIECE.len() as u64);
        self.left -= length;
        let piece = Bytes::from_static(&PIECE[..length as usize]);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

struct Fed(mpsc::Receiver<Bytes>);

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
