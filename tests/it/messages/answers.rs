//! Upstreams that answer oddly: one answer in is one answer out, and none of them is Sidegate's.

use super::gate;
use crate::harness::client::{Reply, Target};
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Answer, Server};

/// A gate before an upstream that answers every request with these bytes.
fn answering(bytes: &'static str, close: bool) -> (FakeElasticsearch, Server, Running) {
    let fake = FakeElasticsearch::with_people();
    let app = Server::start(move |request| match request.target.as_str() {
        "/public/other" => Answer::text("other"),
        _ if close => Answer::RawAndClose(bytes.into()),
        _ => Answer::Raw(bytes.into()),
    });
    let gate = gate(&fake, &app, false);
    (fake, app, gate)
}

fn get(gate: &Running) -> Reply {
    gate.proxy.get("/public/x").send()
}

fn raw(target: &Target, request: &str) -> String {
    String::from_utf8(target.raw(request.as_bytes())).unwrap()
}

#[test]
fn interim_answers_of_an_upstream_are_dropped() {
    let (_fake, _app, gate) = answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        false,
    );
    let answer = raw(
        &gate.proxy,
        "GET /public/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[test]
fn an_upstream_can_not_speak_as_sidegate() {
    let (_fake, _app, gate) = answering(
        "HTTP/1.1 403 No\r\nContent-Length: 0\r\nX-Sidegate-Refusal: forbidden\r\nX-Request-Id: mine\r\nX-Forwarded-User: root\r\nWWW-Authenticate: Negotiate abc\r\n\r\n",
        false,
    );
    let reply = get(&gate).expect(403);
    assert_eq!(reply.refusal(), None);
    assert_ne!(reply.header("x-request-id"), Some("mine"));
    // What it says of itself is its own matter, the next step of its own negotiation as well.
    assert_eq!(reply.header("www-authenticate"), Some("Negotiate abc"));
    assert_eq!(reply.header("x-forwarded-user"), Some("root"));
}

#[test]
fn a_body_where_there_can_be_none_is_never_the_next_answer() {
    for odd in [
        "HTTP/1.1 204 No Content\r\nContent-Length: 43\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nforge",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 43\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nforge",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nforge",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nforge",
    ] {
        let (_fake, _app, gate) = answering(odd, false);
        let mut wire = gate.proxy.connect();
        for _ in 0..10 {
            let first = gate.proxy.get("/public/x").send_on(&mut wire);
            assert!(first.body.is_empty(), "{odd}");
            let other = gate.proxy.get("/public/other").send_on(&mut wire);
            assert_eq!(other.text(), "other", "{odd}");
        }
    }
    let (_fake, _app, gate) = answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nforge",
        false,
    );
    let mut wire = gate.proxy.connect();
    for _ in 0..10 {
        gate.proxy
            .call("HEAD", "/public/x")
            .send_on(&mut wire)
            .expect(200);
        let other = gate.proxy.get("/public/other").send_on(&mut wire);
        assert_eq!(other.text(), "other");
    }
}

#[test]
fn a_length_beside_chunks_is_not_passed_on() {
    let (_fake, _app, gate) = answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        true,
    );
    let reply = get(&gate);
    if reply.status == 200 {
        assert_eq!(reply.text(), "hello");
        assert_eq!(reply.header("content-length"), None);
    } else {
        reply.expect_refusal(502, "upstream_protocol");
    }
}

#[test]
fn answers_that_are_no_http_are_502() {
    for nonsense in [
        "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 99999 OK\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let (_fake, _app, gate) = answering(nonsense, true);
        get(&gate).expect_refusal(502, "upstream_protocol");
    }
}

#[test]
fn an_http_1_0_upstream_is_understood() {
    let (_fake, app, gate) = answering("HTTP/1.0 200 OK\r\nX-Old: yes\r\n\r\nold body", true);
    for _ in 0..3 {
        let reply = get(&gate).expect(200);
        assert_eq!(reply.text(), "old body");
        assert_eq!(reply.header("x-old"), Some("yes"));
    }
    assert_eq!(app.connections(), 3, "nothing is kept alive");
}

#[test]
fn an_http_1_0_client_gets_no_chunks() {
    let (_fake, _app, gate) = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        false,
    );
    let answer = raw(
        &gate.proxy,
        "GET /public/x HTTP/1.0\r\nHost: localhost\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert!(!answer.to_lowercase().contains("transfer-encoding"));
}

#[test]
fn trailers_of_an_answer_pass_to_whoever_takes_them() {
    let (_fake, _app, gate) = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Sidegate-Refusal\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\nX-Sidegate-Refusal: forbidden\r\n\r\n",
        false,
    );
    let request = "GET /public/x HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n";
    let answer = raw(&gate.proxy, request);
    let (_, end) = answer.split_once("hello\r\n0\r\n").unwrap();
    assert_eq!(end.to_lowercase(), "x-sum: 42\r\n\r\n");
    let plain = request.replace("TE: trailers\r\nConnection: TE, close", "Connection: close");
    let answer = raw(&gate.proxy, &plain);
    assert!(answer.ends_with("hello\r\n0\r\n\r\n"), "{answer}");
}

#[test]
fn trailers_of_a_request_are_dropped_before_an_http_1_upstream() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app, false);
    let request = "POST /public/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization, X-Forwarded-User\r\n\r\n5\r\nhello\r\n0\r\nAuthorization: Basic YTpi\r\nX-Forwarded-User: root\r\n\r\n";
    raw(&gate.proxy, request);
    assert_eq!(app.only_request().body, b"hello");
    assert!(!app.bytes().contains("YTpi"), "{}", app.bytes());
    assert!(!app.bytes().contains("root"), "{}", app.bytes());
}

#[test]
fn a_connection_on_which_a_client_left_in_the_middle_is_not_used_again() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    // Each worker has connections of its own.
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("public", "/public/**", "allow: everyone")
        .environment("SIDEGATE_WORKERS", "1")
        .start();
    gate.proxy.get("/public/x").send().expect(200);
    let mut wire = gate.proxy.connect();
    wire.send(
        b"POST /public/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nhalf",
    )
    .unwrap();
    drop(wire);
    let broken = ["route=\"public\"", "code_class=\"4xx\"", "method=\"POST\""];
    gate.wait_for_metric("sidegate_requests_total", &broken, |count| count >= 1.0);
    for _ in 0..5 {
        gate.proxy.get("/public/x").send().expect(200);
    }
    assert_eq!(app.requests().len(), 6, "half a request is none");
    assert_eq!(app.connections(), 2);
}
