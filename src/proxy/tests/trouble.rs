use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::fixture::{App, Door, send, settings, text, upstream};
use crate::net::http::{Body, BodyError};

/// An address nobody listens at.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Answers the first request of every connection with `answer` and closes it without saying so.
async fn hangs_up(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, connections)
}

#[tokio::test]
async fn an_upstream_that_is_down_is_502_with_the_marker() {
    let door = Door::before(nobody().await).await;
    let reply = door.get("/public/x", &[]).await;
    assert_eq!(reply.status(), 502);
    assert_eq!(reply.headers()["x-sidegate-refusal"], "upstream_connect");
    let metrics = door.metrics();
    let counted = "sidegate_upstream_failures_total{upstream=\"app\",cause=\"connect\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn an_upstream_that_is_silent_is_504() {
    let app = App::start(|_| std::future::pending()).await;
    let mut upstream = upstream(&[app.address]);
    upstream.response_timeout = Duration::from_millis(50);
    let door = Door::open(&settings(upstream)).await;
    let reply = door.get("/public/x", &[]).await;
    assert_eq!(reply.status(), 504);
    let request = Request::post("/public/x")
        .body(Full::new(Bytes::from("x")))
        .unwrap();
    let reply = send(door.address, request).await;
    assert_eq!(
        reply.headers()["x-sidegate-refusal"],
        "upstream_response_timeout"
    );
    // Each on a connection of its own: one that timed out is never used again.
    assert_eq!(app.connections(), 2);
}

#[tokio::test]
async fn an_upstream_that_is_no_http_is_502() {
    let (address, _) = hangs_up("SSH-2.0-hello\r\n\r\n").await;
    let reply = Door::before(address).await.get("/public/x", &[]).await;
    assert_eq!(reply.status(), 502);
    assert_eq!(reply.headers()["x-sidegate-refusal"], "upstream_protocol");
}

#[tokio::test]
async fn a_kept_alive_connection_closed_meanwhile_costs_nobody_an_error() {
    let (address, connections) = hangs_up("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let door = Door::before(address).await;
    for _ in 0..5 {
        let reply = door.get("/public/x", &[]).await;
        assert_eq!(reply.status(), 200);
        assert_eq!(text(reply).await, "ok");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_request_goes_to_the_next_address_when_one_is_down_and_that_one_rests() {
    let app = App::echo().await;
    let mut upstream = upstream(&[nobody().await, app.address]);
    upstream.unhealthy_after = 1;
    let door = Door::open(&settings(upstream)).await;
    for _ in 0..6 {
        let request = Request::post("/public/x")
            .body(Full::new(Bytes::from("x")))
            .unwrap();
        assert_eq!(send(door.address, request).await.status(), 200);
    }
    assert_eq!(app.requests(), 6);
}

#[tokio::test]
async fn a_response_cut_short_is_an_error_for_the_client_and_the_connection_is_gone() {
    let (address, connections) =
        hangs_up("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nonly this").await;
    let door = Door::before(address).await;
    for _ in 0..2 {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        let head = b"GET /public/x HTTP/1.1\r\nhost: h\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.is_empty() || answer.ends_with("only this"),
            "{answer}"
        );
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_with_an_unread_response_is_never_used_again() {
    let (feed, parts) = mpsc::channel::<Result<Frame<Bytes>, BodyError>>(1);
    let parts = Arc::new(std::sync::Mutex::new(Some(parts)));
    let app = App::start(move |_| {
        let parts = parts.lock().unwrap().take();
        async move {
            match parts {
                Some(mut parts) => {
                    let stream = futures_util::stream::poll_fn(move |c| parts.poll_recv(c));
                    Response::new(Body::stream(StreamBody::new(stream)))
                }
                None => Response::new(Body::full("second")),
            }
        }
    })
    .await;
    let door = Door::before(app.address).await;
    let mut first = door.get("/public/x", &[]).await;
    feed.send(Ok(Frame::data(Bytes::from("begun"))))
        .await
        .unwrap();
    first.body_mut().frame().await.unwrap().unwrap();
    drop(first);
    // The upstream notices when its connection is closed.
    feed.closed().await;
    assert_eq!(text(door.get("/public/x", &[]).await).await, "second");
    assert_eq!(app.connections(), 2);
}

#[tokio::test]
async fn a_request_body_that_stands_still_is_408() {
    let app = App::echo().await;
    let door = Door::before(app.address).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    stream
        .write_all(b"POST /public/x HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(std::str::from_utf8(&answer).unwrap(), "HTTP/1.1 408");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let app = App::echo().await;
    let door = Door::before(app.address).await;
    for start in ["", "GET /public/x HTTP/1.1\r\nhost:"] {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
    assert_eq!(app.requests(), 0);
}
