use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::fixture::{App, Door, send, settings, text, upstream};
use crate::config::settings::UpstreamProtocol;
use crate::forwarding::fixture::basic;
use crate::net::http::{Body, BodyError};

#[tokio::test]
async fn the_application_sees_the_identity_and_not_the_credential() {
    let app = App::echo().await;
    let door = Door::before(app.address).await;
    let credential = basic("alice");
    let sent = [
        ("authorization", credential.as_str()),
        ("x-user", "root"),
        ("X_User", "root"),
        ("x-forwarded-for", "6.6.6.6"),
        ("keep-alive", "timeout=1"),
    ];
    let reply = door.get("/private/a/../orders?x=%2F1", &sent).await;
    assert_eq!(reply.status(), 200);
    let id = reply.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(!reply.headers().contains_key("x-sidegate-refusal"));
    let seen = text(reply).await;
    assert!(seen.starts_with("GET /private/orders?x=%2F1\n"), "{seen}");
    for line in [
        "x-user: alice",
        "host: shop.example",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "forwarded: for=127.0.0.1;host=\"shop.example\";proto=http",
        &format!("x-request-id: {id}"),
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} in {seen}");
    }
    for absent in ["authorization", "root", "6.6.6.6", "keep-alive"] {
        assert!(!seen.contains(absent), "{absent} in {seen}");
    }
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_application() {
    let app = App::echo().await;
    let door = Door::before(app.address).await;
    for (path, headers, status) in [
        ("/private/x", vec![], 401),
        ("/nowhere", vec![], 404),
        ("/public/%2e%2e%2fprivate", vec![], 400),
        ("/public/x", vec![("connection", "X-Forwarded-User")], 400),
    ] {
        let reply = door.get(path, &headers).await;
        assert_eq!(reply.status(), status, "{path}");
        assert!(reply.headers().contains_key("x-sidegate-refusal"));
    }
    assert_eq!(app.requests(), 0);
    let metrics = door.metrics();
    assert!(
        metrics.contains("sidegate_rejected_requests_total{reason=\"no_credential\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_applications_own_401_passes_untouched() {
    let app = App::start(|_| async {
        Response::builder()
            .status(401)
            .header("www-authenticate", "Digest realm=\"app\"")
            .header("x-sidegate-refusal", "pretended")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .body(Body::full("own"))
            .unwrap()
    })
    .await;
    let reply = Door::before(app.address).await.get("/public/x", &[]).await;
    assert_eq!(reply.status(), 401);
    assert_eq!(reply.headers()["www-authenticate"], "Digest realm=\"app\"");
    assert!(!reply.headers().contains_key("x-sidegate-refusal"));
    assert!(!reply.headers().contains_key("x-hop"));
    assert_eq!(text(reply).await, "own");
}

#[tokio::test]
async fn requests_after_each_other_share_one_upstream_connection() {
    let app = App::echo().await;
    let door = Door::before(app.address).await;
    for round in 0..5 {
        let body = Full::new(Bytes::from(vec![b'x'; 100_000]));
        let request = Request::post("/public/x").body(body).unwrap();
        let reply = send(door.address, request).await;
        assert_eq!(reply.status(), 200, "{round}");
        assert!(text(reply).await.len() > 100_000);
        let head = Request::head("/public/x")
            .body(Full::<Bytes>::default())
            .unwrap();
        assert_eq!(send(door.address, head).await.status(), 200);
    }
    assert_eq!((app.connections(), app.requests()), (1, 10));
}

#[tokio::test]
async fn an_event_stream_arrives_event_by_event() {
    let (feed, events) = mpsc::channel::<Result<Frame<Bytes>, BodyError>>(1);
    let events = std::sync::Arc::new(std::sync::Mutex::new(Some(events)));
    let app = App::start(move |_| {
        let mut events = events.lock().unwrap().take().unwrap();
        async move {
            let stream = futures_util::stream::poll_fn(move |context| events.poll_recv(context));
            Response::new(Body::stream(StreamBody::new(stream)))
        }
    })
    .await;
    let door = Door::before(app.address).await;
    let mut reply = door.get("/public/events", &[]).await;
    for event in ["one", "two"] {
        feed.send(Ok(Frame::data(Bytes::from(event))))
            .await
            .unwrap();
        let frame = reply.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
    drop(feed);
    assert!(reply.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn a_request_body_streams_while_the_response_does() {
    let app =
        App::start(|request| async move { Response::new(Body::from(request.into_body())) }).await;
    let door = Door::before(app.address).await;
    let (feed, mut parts) = mpsc::channel::<Result<Frame<Bytes>, BodyError>>(1);
    let stream = futures_util::stream::poll_fn(move |context| parts.poll_recv(context));
    let request = Request::post("/public/x")
        .body(StreamBody::new(stream))
        .unwrap();
    let mut reply = send(door.address, request).await;
    for part in ["ping", "pong"] {
        feed.send(Ok(Frame::data(Bytes::from(part)))).await.unwrap();
        let frame = reply.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
    }
    drop(feed);
    assert!(reply.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_so_only_after_the_verdict() {
    let app = App::echo().await;
    let door = Door::before(app.address).await;
    for (path, expected) in [
        ("/public/x", "HTTP/1.1 100"),
        ("/private/x", "HTTP/1.1 401"),
    ] {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), expected);
    }
}

#[tokio::test]
async fn an_http2_upstream_is_spoken_to_over_one_shared_connection() {
    let app = App::echo().await;
    let mut upstream = upstream(&[app.address]);
    upstream.protocol = UpstreamProtocol::Http2;
    let door = Door::open(&settings(upstream)).await;
    for _ in 0..3 {
        let body = Full::new(Bytes::from("hello"));
        let request = Request::post("/public/x").body(body).unwrap();
        let seen = text(send(door.address, request).await).await;
        assert!(
            seen.starts_with("POST http://shop.example/public/x\n"),
            "{seen}"
        );
        assert!(seen.contains("body: hello"), "{seen}");
    }
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn an_http2_client_with_prior_knowledge_is_served() {
    let app = App::echo().await;
    let door = Door::before(app.address).await;
    let stream = TcpStream::connect(door.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let requests = (0..4).map(|_| {
        let request = Request::get(format!("http://{}/public/x", door.address))
            .body(Full::<Bytes>::default())
            .unwrap();
        sender.send_request(request)
    });
    for reply in futures_util::future::join_all(requests).await {
        let seen = text(reply.unwrap()).await;
        assert!(
            seen.contains(&format!("host: {}\n", door.address)),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn a_drain_answers_what_was_begun_and_closes_what_idles() {
    let (begun, mut wait) = mpsc::channel(1);
    let (release, released) = tokio::sync::watch::channel(false);
    let app = App::start(move |_| {
        let (begun, mut released) = (begun.clone(), released.clone());
        async move {
            begun.send(()).await.unwrap();
            released.wait_for(|free| *free).await.unwrap();
            Response::new(Body::full("late"))
        }
    })
    .await;
    let door = Door::before(app.address).await;
    let mut idle = TcpStream::connect(door.address).await.unwrap();
    let address = door.address;
    let request = Request::get("/public/slow")
        .body(Full::<Bytes>::default())
        .unwrap();
    let slow = tokio::spawn(send(address, request));
    wait.recv().await.unwrap();
    door.drain.start();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    release.send(true).unwrap();
    let reply = slow.await.unwrap();
    assert_eq!(reply.headers()["connection"], "close");
    assert_eq!(text(reply).await, "late");
    assert_eq!(door.drain.finish(Duration::from_secs(30)).await.cut, 0);
    assert!(TcpStream::connect(address).await.is_err());
}
