//! `Expect: 100-continue`: the body is asked for by whoever wants it, and never before the verdict.

use super::gate;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::h2;
use crate::harness::server::Server;

fn head(path: &str, expect: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n{expect}\r\n")
}

#[test]
fn nobody_is_asked_for_a_body_that_is_refused() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    for tls in [false, true] {
        let gate = gate(&fake, &app, tls);
        let mut wire = gate.proxy.connect();
        wire.send(head("/secret", "Expect: 100-continue\r\n").as_bytes())
            .unwrap();
        let first = wire.reply_without_body().unwrap();
        assert_eq!(first.status, 404, "the very first line is the refusal");
        // Whether the body comes after all, nobody can know.
        assert_eq!(first.header("connection"), Some("close"));
        let rest = String::from_utf8(wire.read_to_close()).unwrap();
        assert!(!rest.contains("HTTP/1.1 100"), "{rest}");
    }
    assert!(app.requests().is_empty());
}

#[test]
fn whoever_is_let_in_is_asked_once_and_the_expectation_ends_here() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app, false);
    let mut wire = gate.proxy.connect();
    for _ in 0..3 {
        wire.send(head("/public/x", "Expect: 100-Continue\r\n").as_bytes())
            .unwrap();
        assert_eq!(wire.reply_without_body().unwrap().status, 100);
        wire.send(b"hello").unwrap();
        assert_eq!(wire.reply_without_body().unwrap().status, 200);
        wire.read_exactly("upstream".len()).unwrap();
    }
    for request in app.requests() {
        assert_eq!(request.body, b"hello");
        assert_eq!(request.header("expect"), None);
    }
    // HTTP/1.0 knows no interim answers (RFC 9110 §10.1.1).
    let old = head("/public/x", "Expect: 100-continue\r\n").replace("HTTP/1.1", "HTTP/1.0");
    let answer = gate.proxy.raw(format!("{old}hello").as_bytes());
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert!(!answer.contains(" 100 "), "{answer}");
}

#[test]
fn any_other_expectation_is_417_and_nothing_is_forwarded() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app, false);
    for expect in [
        "Expect: banana\r\n",
        "Expect: 100-continue, banana\r\n",
        "Expect: 100-continue\r\nExpect: 200-ok\r\n",
        "Expect:\r\n",
    ] {
        let request = format!("{}hello", head("/public/x", expect));
        let reply = gate.proxy.raw_reply(request.as_bytes());
        reply.expect_refusal(417, "expectation_unknown");
    }
    assert!(app.requests().is_empty());
}

#[test]
fn an_http2_client_that_asks_first_is_refused_or_served_without_waiting() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app, true);
    h2::block_on(async {
        let mut sender = h2::connect(&gate.proxy).await;
        for (path, status) in [("/public/x", 200), ("/secret", 404)] {
            let url = format!("https://{}{path}", gate.proxy.host());
            let request = http::Request::post(url)
                .header("expect", "100-continue")
                .body("hello".into())
                .unwrap();
            let reply = sender.send_request(request).await.unwrap();
            assert_eq!(reply.status(), status, "{path}");
        }
    });
    assert_eq!(app.only_request().body, b"hello");
}
