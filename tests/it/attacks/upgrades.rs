//! Upgrades that are none, or not allowed: no byte is tunnelled before both sides agreed.
//!
//! CVE-2026-2833: bytes after the handshake travelled before the 101. CVE-2024-23326: a 200 was taken for a tunnel. oauth2-proxy
//! #1347: a failed handshake left a raw tunnel. yarp #877: `h2c` smuggled past the rules.

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::fixture::{Scene, of_alice, request};
use crate::harness::client::{Duplex, basic};
use crate::harness::server::{Answer, Server};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn a_handshake_without_the_right_to_it_reaches_nobody() {
    let scene = Scene::new();
    let root = format!(
        "Authorization: {}\r\n{HANDSHAKE}",
        basic("root", "root-password")
    );
    let wrong = format!("Authorization: {}\r\n{HANDSHAKE}", basic("root", "wrong"));
    for (what, status, bytes) in [
        ("nobody to /ws", 401, request("/ws/x", HANDSHAKE)),
        ("nobody to /admin", 401, request("/admin/x", HANDSHAKE)),
        (
            "where there is no route",
            404,
            request("/nowhere", HANDSHAKE),
        ),
        (
            "anybody where it is not allowed",
            403,
            request("/public/x", HANDSHAKE),
        ),
        (
            "root where it is not allowed",
            403,
            request("/admin/x", &root),
        ),
    ] {
        scene.refuses(what, &[status], &bytes);
    }
    let before = scene.app.bytes().len();
    for (status, bytes) in [
        (403, of_alice("/admin/x", HANDSHAKE)),
        (401, request("/ws/x", &wrong)),
    ] {
        assert_eq!(scene.gate.proxy.raw_reply(&bytes).status, status);
    }
    assert_eq!(scene.app.bytes().len(), before);
}

#[test]
fn a_handshake_that_is_malformed_or_brings_a_body_reaches_nobody() {
    let scene = Scene::new();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    for lines in [
        upgrade.to_owned(),
        format!("{upgrade}{version}"),
        format!("{upgrade}{KEY}"),
        format!("{upgrade}{KEY}{KEY}{version}"),
        format!("{upgrade}{KEY}{version}{version}"),
        format!("{upgrade}{version}Sec-WebSocket-Key: short\r\n"),
        format!("{upgrade}{version}Sec-WebSocket-Key: not base64 at all !!\r\n"),
        format!("{upgrade}{version}Sec-WebSocket-Key:\r\n"),
        format!("{upgrade}{KEY}Sec-WebSocket-Version: 12\r\n"),
        format!("{upgrade}{KEY}Sec-WebSocket-Version: 13, 8\r\n"),
        format!("{HANDSHAKE}Content-Length: 5\r\n"),
        format!("{HANDSHAKE}Transfer-Encoding: chunked\r\n"),
    ] {
        let mut bytes = of_alice("/ws/x", &lines);
        bytes.extend(b"5\r\nhello\r\n0\r\n\r\n");
        // Alice is known from here on, so that the authority has nothing left to be asked.
        scene
            .gate
            .proxy
            .raw_reply(&of_alice("/app/x", ""))
            .expect(200);
        let before = scene.heard();
        assert_eq!(scene.gate.proxy.raw_reply(&bytes).status, 400, "{lines}");
        assert_eq!(scene.heard(), before, "{lines}");
        scene.serves_another();
    }
    let post = String::from_utf8(of_alice("/ws/x", HANDSHAKE)).unwrap();
    let post = post.replacen("GET", "POST", 1);
    assert_eq!(scene.gate.proxy.raw_reply(post.as_bytes()).status, 400);
}

#[test]
fn other_protocols_are_never_upgraded_to() {
    let scene = Scene::new();
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket/13\r\n",
        "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n",
        "Connection: keep-alive\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket\r\n",
    ] {
        let before = scene.app.requests().len();
        let mut bytes = of_alice("/ws/x", lines);
        // What a client that believes in the upgrade says next.
        bytes.extend(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /admin/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = String::from_utf8_lossy(&scene.gate.proxy.raw(&bytes)).into_owned();
        assert!(!answer.contains("HTTP/1.1 101"), "{lines}: {answer}");
        scene.serves_another();
        for seen in &scene.app.requests()[before..] {
            assert_eq!(seen.header("upgrade"), None, "{lines}");
            assert_eq!(seen.header("http2-settings"), None, "{lines}");
        }
        let bytes = scene.app.bytes();
        assert!(
            !bytes.contains("smuggled") && !bytes.contains("PRI *"),
            "{lines}"
        );
    }
}

/// Answers every handshake as it should be, and then listens.
fn accepting() -> Server {
    Server::start(|request| {
        let Some(key) = request.header("sec-websocket-key") else {
            return Answer::text("upstream");
        };
        let accept = derive_accept_key(key.as_bytes());
        Answer::Take(Box::new(move |stream: &mut dyn Duplex| {
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard);
            assert!(heard.is_empty(), "{heard:?}");
        }))
    })
}

#[test]
fn bytes_sent_before_the_handshake_was_answered_are_never_tunnelled() {
    let scene = Scene::before(accepting(), |plan| plan);
    for early in [
        "GET /admin/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\u{1}\u{5}smuggled",
        "smuggled",
    ] {
        let mut bytes = of_alice("/ws/x", HANDSHAKE);
        bytes.extend(early.as_bytes());
        // Ends, because nobody can tell which protocol the bytes belong to.
        scene.gate.proxy.raw(&bytes);
        scene.serves_another();
        assert!(!scene.app.bytes().contains("smuggled"), "{early:?}");
    }
}

#[test]
fn an_answer_that_is_no_101_is_relayed_and_nothing_is_tunnelled() {
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200),
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno",
            401,
        ),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", 403),
        (
            "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\ncontent-length: 0\r\n\r\n",
            200,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            502,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            502,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
            502,
        ),
    ] {
        let app = Server::start(move |request| match request.target.as_str() {
            "/ws/x" => Answer::Raw(answer.as_bytes().to_vec()),
            _ => Answer::text("upstream"),
        });
        let scene = Scene::before(app, |plan| plan);
        let mut wire = scene.gate.proxy.connect();
        wire.send(&of_alice("/ws/x", HANDSHAKE)).unwrap();
        let reply = wire.reply().unwrap();
        assert_eq!(reply.status, status, "{answer}");
        // Through a tunnel this would arrive; as a request of its own it may not enter.
        let _ = wire.send(&request("/admin/smuggled", ""));
        if let Ok(next) = wire.reply() {
            assert_eq!(next.status, 401, "{answer}");
        }
        assert!(!scene.app.bytes().contains("smuggled"), "{answer}");
        scene.serves_another();
    }
}

/// A 101 that nobody asked for.
#[test]
fn an_upstream_that_switches_by_itself_is_no_tunnel() {
    let app = Server::start(|request| {
        match request.target.as_str() {
        "/public/x" => Answer::Raw(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".to_vec(),
        ),
        _ => Answer::text("upstream"),
    }
    });
    let scene = Scene::before(app, |plan| plan);
    let mut wire = scene.gate.proxy.connect();
    wire.send(&request("/public/x", "")).unwrap();
    assert_eq!(wire.reply().unwrap().status, 502);
    scene.serves_another();
}
