//! Streams and WebSockets in HTTP/2 (RFC 8441): judged, carried and ended like those of HTTP/1.1.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::App;
use crate::harness::DEADLINE;
use crate::harness::client::basic;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::h2::{block_on, connect, get};
use crate::harness::plan::{Plan, Running};
use crate::harness::process::Process;
use crate::harness::server::{Answer, Server};
use crate::harness::tools;

fn plan(fake: &FakeElasticsearch, server: &Server) -> Plan {
    Plan::with_elasticsearch(fake)
        .tls()
        .upstream("app", server)
        .route(
            "socket",
            "/ws/**",
            "allow: authenticated, websocket: true, recheck: 1h, forward: { identity_headers: {} }",
        )
        .route("rest", "/**", "allow: authenticated, recheck: 1h")
}

async fn extended(
    sender: &mut SendRequest<Full<Bytes>>,
    gate: &Running,
    path: &str,
    protocol: &'static str,
    authorization: &str,
) -> Response<Incoming> {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("https://{}{path}", gate.proxy.host()))
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static(protocol));
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    let request = request.body(Full::default()).unwrap();
    sender.send_request(request).await.unwrap()
}

#[test]
fn a_websocket_is_a_stream_of_http2_and_ends_with_its_credential() {
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let gate = plan(&fake, &app.server).start();
    let alice = basic("alice", "alice-password");
    block_on(async {
        let mut sender = connect(&gate.proxy).await;
        let response = extended(&mut sender, &gate, "/ws/echo?x=1", "websocket", &alice).await;
        assert_eq!(response.status(), 200);
        let headers = response.headers();
        assert_eq!(headers["x-app"], "yes");
        for name in ["sec-websocket-accept", "upgrade", "connection"] {
            assert!(!headers.contains_key(name), "{name}");
        }
        let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        for text in ["one", "two"] {
            socket.send(Message::text(text)).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
        }
        // The connection is not the tunnel's alone.
        let other = sender.send_request(get(&gate.proxy, "/page", &alice)).await;
        assert_eq!(other.unwrap().status(), 200);

        fake.forget(&alice);
        let purge = gate
            .admin
            .post_json("/cache/purge", &json!({"user": "alice"}));
        purge.send().expect(200);
        let Some(Ok(Message::Close(Some(close)))) = socket.next().await else {
            panic!("no Close");
        };
        assert_eq!(u16::from(close.code), 1008);
    });
    assert_eq!(app.closes.recv_timeout(DEADLINE), Ok(1008));
    let seen = app.server.requests();
    assert_eq!(seen[0].method, "GET");
    assert_eq!(seen[0].target, "/ws/echo?x=1");
    assert_eq!(seen[0].header("x-forwarded-user"), Some("alice"));
    assert_eq!(seen[0].header("authorization"), None);
}

#[test]
fn a_websocket_of_nodes_own_http2_client_works_and_ends_in_order() {
    let Some(node) = tools::find("node", "WebSockets over HTTP/2 by another implementation") else {
        return;
    };
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let gate = plan(&fake, &app.server).start();
    let alice = basic("alice", "alice-password");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tunnels/client.mjs");
    let mut command = Command::new(node);
    let ca = gate.folder.path().join("ca.pem");
    command
        .arg(script)
        .arg(gate.proxy.url())
        .arg(ca)
        .arg(&alice);
    let client = Process::spawn(&mut command);
    let says = |line: &'static str| {
        let found = client.stdout.find(|said| said == line);
        assert!(found.is_some(), "no {line}\n{}", client.output());
    };
    says("status 200");
    says("text hello");
    fake.forget(&alice);
    let purge = gate
        .admin
        .post_json("/cache/purge", &json!({"user": "alice"}));
    purge.send().expect(200);
    says("close 1008");
    assert_eq!(app.closes.recv_timeout(DEADLINE), Ok(1008));
}

#[test]
fn an_extended_connect_is_refused_like_the_handshake_it_stands_for() {
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let gate = plan(&fake, &app.server).start();
    let alice = basic("alice", "alice-password");
    block_on(async {
        let mut sender = connect(&gate.proxy).await;
        for (path, protocol, authorization, status) in [
            ("/ws/echo", "websocket", "", 401),
            ("/elsewhere", "websocket", &*alice, 403),
            ("/ws/echo", "connect-udp", &*alice, 405),
        ] {
            let reply = extended(&mut sender, &gate, path, protocol, authorization).await;
            assert_eq!(reply.status(), status, "{path} {protocol}");
            assert!(reply.headers().contains_key("x-sidegate-refusal"));
        }
        let mut plain = Request::new(Full::default());
        *plain.method_mut() = Method::CONNECT;
        *plain.uri_mut() = gate.proxy.host().parse().unwrap();
        assert_eq!(sender.send_request(plain).await.unwrap().status(), 405);
    });
    assert_eq!(app.server.requests().len(), 0);
}

#[test]
fn an_answer_other_than_101_opens_no_tunnel_in_http2_either() {
    let fake = FakeElasticsearch::with_people();
    for (answer, expected) in [(200, 502), (404, 404), (302, 302)] {
        let app = Server::start(move |_| Answer::Reply(answer, vec![], b"told".to_vec()));
        let gate = plan(&fake, &app).start();
        block_on(async {
            let mut sender = connect(&gate.proxy).await;
            let alice = basic("alice", "alice-password");
            let reply = extended(&mut sender, &gate, "/ws/x", "websocket", &alice).await;
            assert_eq!(reply.status(), expected);
            let body = reply.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(&body[..] == b"told", answer == expected, "{answer}");
        });
    }
}

#[test]
fn a_stream_of_events_is_reset_when_its_credential_ends() {
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let gate = plan(&fake, &app.server).start();
    let alice = basic("alice", "alice-password");
    block_on(async {
        let mut sender = connect(&gate.proxy).await;
        let reply = sender
            .send_request(get(&gate.proxy, "/events", &alice))
            .await
            .unwrap();
        let mut body = reply.into_body();
        assert!(body.frame().await.unwrap().unwrap().is_data());
        fake.forget(&alice);
        let purge = gate
            .admin
            .post_json("/cache/purge", &json!({"user": "alice"}));
        purge.send().expect(200);
        let error = body
            .frame()
            .await
            .expect("an end")
            .expect_err("that is none");
        let reset = std::error::Error::source(&error).and_then(|it| it.downcast_ref::<h2::Error>());
        assert_eq!(reset.and_then(h2::Error::reason), Some(h2::Reason::CANCEL));
    });
}
