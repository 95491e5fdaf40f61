//! Bytes that two parsers could read in two ways: one request in is one request out, or none.

use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

fn open_gate(fake: &FakeElasticsearch, app: &Server) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("public", "/public/**", "allow: everyone")
        .start()
}

/// Sends raw bytes to an open route and returns the first status and how many requests the upstream saw.
fn exchange(bytes: &[u8]) -> (String, Server) {
    let fake = FakeElasticsearch::with_people();
    let app = Server::echoing();
    let gate = open_gate(&fake, &app);
    let answer = gate.proxy.raw(bytes);
    (String::from_utf8_lossy(&answer).into_owned(), app)
}

const SMUGGLED: &str = "GET /public/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn a_length_beside_chunks_never_smuggles_a_second_request() {
    for (first, second) in [
        ("Content-Length: 6", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 6"),
    ] {
        let request = format!(
            "POST /public/a HTTP/1.1\r\nHost: localhost\r\n{first}\r\n{second}\r\n\r\n0\r\n\r\n{SMUGGLED}"
        );
        let (answer, app) = exchange(request.as_bytes());
        assert!(
            !app.bytes().contains("smuggled"),
            "{first}: {}",
            app.bytes()
        );
        assert!(app.requests().len() <= 1, "{answer}");
        for request in app.requests() {
            let both = request.header("content-length").is_some()
                && request.header("transfer-encoding").is_some();
            assert!(!both, "{request:?}");
        }
    }
}

#[test]
fn a_chunked_body_with_a_shorter_length_never_smuggles() {
    let inner = format!("{SMUGGLED}x=");
    let request = format!(
        "POST /public/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n",
        inner.len()
    );
    let (answer, app) = exchange(request.as_bytes());
    let requests = app.requests();
    assert!(
        requests.len() <= 1 && requests.iter().all(|request| request.target == "/public/a"),
        "{answer}\n{requests:#?}"
    );
}

#[test]
fn malformed_framing_is_refused_and_the_connection_closed() {
    for head in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 5,6",
        "Content-Length: ",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: \x0bchunked",
        "X-Folded: a\r\n b",
        ": empty-name",
        "No colon here",
    ] {
        let request =
            format!("POST /public/a HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\nhello{SMUGGLED}");
        let (answer, app) = exchange(request.as_bytes());
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.is_empty(),
            "{head}: {answer}"
        );
        assert!(!app.bytes().contains("smuggled"), "{head}");
    }
}

#[test]
fn broken_chunks_never_become_a_whole_request() {
    for body in [
        "ffffffffffffffffff\r\nhello",
        "zz\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "-1\r\nhello",
    ] {
        let request = format!(
            "POST /public/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}"
        );
        let (answer, app) = exchange(request.as_bytes());
        assert!(
            !app.bytes().contains("smuggled"),
            "{body:?}: {}",
            app.bytes()
        );
        // The head may have travelled on before the body broke; then the upstream saw it unfinished, and no request.
        assert!(app.requests().is_empty(), "{body:?}: {answer}");
    }
}

/// Found by `differential`: hyper's client sends no body with `GET` unless it is told that there is one.
#[test]
fn a_get_with_a_chunked_body_keeps_its_body() {
    for method in ["GET", "HEAD", "DELETE"] {
        let request = format!(
            "{method} /public/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        let (answer, app) = exchange(request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200"), "{method}: {answer}");
        assert_eq!(app.only_request().body, b"hello", "{method}");
    }
}

#[test]
fn chunks_in_http_1_0_are_refused() {
    let request = format!(
        "POST /public/a HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"
    );
    let (answer, app) = exchange(request.as_bytes());
    assert!(!app.bytes().contains("smuggled"), "{answer}");
    assert!(app.requests().len() <= 1);
}

#[test]
fn pipelined_requests_are_judged_one_by_one() {
    let second = "GET /secret HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let (answer, app) = exchange(format!("{SMUGGLED}{second}").as_bytes());
    assert!(
        answer.contains("HTTP/1.1 200") && answer.contains("HTTP/1.1 404"),
        "{answer}"
    );
    assert_eq!(app.only_request().target, "/public/smuggled");
}

#[test]
fn only_origin_form_targets_that_agree_with_host_pass() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::echoing();
    let gate = open_gate(&fake, &app);
    for (line, host) in [
        ("GET http://other/public/a", "localhost"),
        ("GET http:http://localhost/public/a", "localhost"),
        ("GET localhost:80", "localhost"),
        ("GET *", "localhost"),
        ("GET public/a", "localhost"),
        ("GET /public/a", "user@localhost"),
        ("GET /public/a", "local host"),
        ("GET /public/a", "localhost/x"),
        ("GET /public/a", ""),
    ] {
        let reply = gate
            .proxy
            .raw_reply(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(reply.status, 400, "{line} with Host {host:?}");
    }
    for hosts in [
        "",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost\r\nHost: other\r\n",
    ] {
        let reply = gate
            .proxy
            .raw_reply(format!("GET /public/a HTTP/1.1\r\n{hosts}\r\n").as_bytes());
        assert_eq!(reply.status, 400, "{hosts:?}");
    }
    assert!(app.requests().is_empty());
    let agreeing = gate
        .proxy
        .raw_reply(b"GET http://localhost/public/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(matches!(agreeing.status, 200 | 400), "{}", agreeing.status);
}

#[test]
fn oversized_heads_are_refused_and_other_clients_served() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::echoing();
    let gate = open_gate(&fake, &app);
    let many: String = (0..500).map(|i| format!("X-H{i}: v\r\n")).collect();
    let big = format!("X-Big: {}\r\n", "v".repeat(1 << 20));
    for headers in [many, big] {
        let answer = gate
            .proxy
            .raw(format!("GET /public/a HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes());
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    let long = format!(
        "GET /public/{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(200_000)
    );
    let answer = String::from_utf8_lossy(&gate.proxy.raw(long.as_bytes())).into_owned();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    gate.proxy.get("/public/a").send().expect(200);
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_body_is_streamed_whole_in_both_framings() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::echoing();
    let gate = open_gate(&fake, &app);
    let body: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    gate.proxy
        .post("/public/length", body.clone())
        .send()
        .expect(200);
    let mut chunked =
        b"POST /public/chunks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for part in body.chunks(7_777) {
        chunked.extend(format!("{:x}\r\n", part.len()).bytes());
        chunked.extend(part);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    gate.proxy.raw_reply(&chunked).expect(200);
    for request in app.requests() {
        assert_eq!(request.body.len(), body.len(), "{}", request.target);
        assert!(request.body == body);
    }
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::echoing();
    let gate = open_gate(&fake, &app);
    let mut wire = gate.proxy.connect();
    wire.send(b"POST /public/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").unwrap();
    let interim = wire.reply_without_body().unwrap();
    assert_eq!(interim.status, 100);
    wire.send(b"hello").unwrap();
    wire.reply().unwrap().expect(200);
    assert_eq!(app.only_request().body, b"hello");

    // Who isn't let in is told so before the body is sent.
    let mut wire = gate.proxy.connect();
    wire.send(b"POST /secret HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert_eq!(wire.reply().unwrap().status, 404);
}
