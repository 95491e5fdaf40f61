use futures_util::{SinkExt as _, StreamExt as _};
use http::Response;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, client_async};

use super::fixture::{App, Door};
use crate::net::http::Body;

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn ask(door: &Door, request: &str) -> String {
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

#[tokio::test]
async fn a_websocket_is_tunnelled_both_ways_and_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = Door::before(listener.local_addr().unwrap()).await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() {
                socket.send(message).await.unwrap();
            }
        }
    });
    let stream = TcpStream::connect(door.address).await.unwrap();
    let (mut socket, response) = client_async("ws://shop.example/ws", stream).await.unwrap();
    assert!(response.headers().contains_key("x-request-id"));
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
    }
    assert!(door.metrics().contains("sidegate_tunnels_open 1"));
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
}

#[tokio::test]
async fn a_route_without_websocket_refuses_the_upgrade() {
    let app = App::echo().await;
    let door = Door::before(app.address).await;
    let answer = ask(&door, &HANDSHAKE.replace("/ws", "/public/ws")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("x-sidegate-refusal: upgrade_not_allowed"));
    assert_eq!(app.requests(), 0);
}

#[tokio::test]
async fn an_answer_other_than_101_is_an_ordinary_response() {
    let app = App::echo().await;
    let door = Door::before(app.address).await;
    let answer = ask(&door, HANDSHAKE).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("upgrade: websocket"), "{answer}");
}

#[tokio::test]
async fn a_101_with_a_wrong_accept_key_opens_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = Door::before(listener.local_addr().unwrap()).await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
            sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\nsecret";
        let _ = stream.write_all(answer.as_bytes()).await;
    });
    let answer = ask(&door, HANDSHAKE).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(!answer.contains("secret"));
}

#[tokio::test]
async fn bytes_sent_before_the_101_never_reach_the_application() {
    let (told, mut hear) = tokio::sync::mpsc::channel(1);
    let app = App::start(move |mut request| {
        let told = told.clone();
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            told.send(bytes).await.unwrap();
        });
        async {
            Response::builder()
                .status(101)
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
                .body(Body::Empty)
                .unwrap()
        }
    })
    .await;
    let door = Door::before(app.address).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let early = format!("{HANDSHAKE}early bytes");
    stream.write_all(early.as_bytes()).await.unwrap();
    assert_eq!(hear.recv().await.unwrap(), b"");
}

#[tokio::test]
async fn an_upgrade_to_http2_is_dropped_and_the_request_served() {
    let app = App::echo().await;
    let door = Door::before(app.address).await;
    let request = "GET /public/x HTTP/1.1\r\nhost: h\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\
        http2-settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answer = ask(&door, request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains("upgrade:") && !answer.contains("http2-settings:"));
}
