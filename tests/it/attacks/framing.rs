//! Bytes that two parsers could read in two ways: one request in is one request out, or none (A-07…A-09).

use super::fixture::Scene;
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

/// What a request smuggles in behind itself: the door it could not enter by.
const HIDDEN: &str = "GET /admin/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn post(version: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("POST /public/a HTTP/{version}\r\nHost: localhost\r\n{headers}\r\n{body}").into_bytes()
}

/// hyper #4123: a length before the chunks was kept and forwarded. CVE-2026-2835, RUSTSEC-2021-0020: the two read apart.
#[test]
fn a_length_beside_chunks_is_one_request_and_never_smuggles_another() {
    let chunk_of = |inner: &str| format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let (length, chunked) = ("Content-Length", "Transfer-Encoding: chunked\r\n");
    for body in [
        // CL.TE: whoever believes the length sees one request, whoever believes the chunks two.
        format!("0\r\n\r\n{HIDDEN}"),
        // TE.CL: the other way round.
        chunk_of(&format!("{HIDDEN}x=")),
    ] {
        for number in [0, 4, 6, body.len()] {
            let line = format!("{length}: {number}\r\n");
            for headers in [format!("{line}{chunked}"), format!("{chunked}{line}")] {
                let scene = Scene::new();
                let answer = scene.gate.proxy.raw(&post("1.1", &headers, &body));
                let answer = String::from_utf8_lossy(&answer).into_owned();
                scene.serves_another();
                let what = format!("{headers}{body}\n{answer}");
                assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}");
                let status = &answer[..12];
                assert!(["HTTP/1.1 200", "HTTP/1.1 400"].contains(&status), "{what}");
                let requests = scene.app.requests();
                for request in &requests {
                    assert!(!request.target.contains("smuggled"), "{what}");
                    assert!(
                        request.header("content-length").is_none()
                            || request.header("transfer-encoding").is_none(),
                        "{request:?}"
                    );
                }
                assert!(requests.len() <= 3, "{what}: {requests:#?}");
            }
        }
    }
}

/// RUSTSEC-2020-0008, RUSTSEC-2021-0020: what is "chunked" to one and something else to another.
#[test]
fn transfer_codings_with_two_readings_are_refused_and_the_connection_closed() {
    let scene = Scene::new();
    for lines in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: chunked chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\x0b",
        "Transfer-Encoding: \x0cchunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    ] {
        let bytes = post(
            "1.1",
            &format!("{lines}\r\n"),
            &format!("0\r\n\r\n{HIDDEN}"),
        );
        scene.refuses_and_closes(lines, &[400], &bytes);
    }
    for connection in ["", "Connection: keep-alive\r\n"] {
        let headers = format!("{connection}Transfer-Encoding: chunked\r\n");
        let bytes = post("1.0", &headers, &format!("0\r\n\r\n{HIDDEN}"));
        scene.refuses_and_closes("chunks in HTTP/1.0", &[400], &bytes);
    }
}

/// CVE-2021-40346, CVE-2023-40225, RUSTSEC-2021-0078: numbers that two parsers count apart. CVE-2023-25725: no name at all.
#[test]
fn lengths_and_lines_with_two_readings_are_refused_and_the_connection_closed() {
    let scene = Scene::new();
    for lines in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: 0\r\nContent-Length: 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: -0",
        "Content-Length: 5,5",
        "Content-Length: 5, 6",
        "Content-Length: 5 5",
        "Content-Length: 0x5",
        "Content-Length: 5.0",
        "Content-Length: 5e0",
        "Content-Length: \"5\"",
        "Content-Length:",
        "Content-Length:   ",
        "Content-Length: 99999999999999999999",
        "Content-Length: 18446744073709551621",
        "Content-Length: \x0b5",
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "Content-Length:\r\n 5",
        "X-Folded: a\r\n b",
        "X-Folded: a\r\n\tb",
        ": empty-name",
        ":",
        "No colon here",
        "X-Nul: a\0b",
        "X-Nul\0: a",
        "X-Bell: a\x07b",
        "X-Bare: a\rContent-Length: 5",
        "X Space: a",
        "(X-Delimiter): a",
    ] {
        let bytes = post("1.1", &format!("{lines}\r\n"), &format!("hello{HIDDEN}"));
        scene.refuses_and_closes(lines, &[400], &bytes);
    }
    for line in [
        "POST /public/a HTTP/1.1 \r\n",
        "POST /public/a HTTP/1.2\r\n",
        "POST /public/a HTTP/2.0\r\n",
        "POST /public/a HTTP/11\r\n",
        "POST /public/a http/1.1\r\n",
        "POST /public/a\r\n",
        "POST  /public/a HTTP/1.1\r\n",
        "POST /public/a  HTTP/1.1\r\n",
        "POST\t/public/a HTTP/1.1\r\n",
        "POST /public/a\x0bHTTP/1.1\r\n",
        " POST /public/a HTTP/1.1\r\n",
        "P(ST /public/a HTTP/1.1\r\n",
    ] {
        let bytes = format!("{line}Host: localhost\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}");
        scene.refuses_and_closes(line, &[400], bytes.as_bytes());
    }
}

/// One length said twice has one reading (RFC 9110 §8.6): it may be refused, or be one.
#[test]
fn one_length_said_twice_is_one_length_or_none() {
    let scene = Scene::new();
    let bytes = post(
        "1.1",
        "Content-Length: 5\r\nContent-Length: 5\r\nConnection: close\r\n",
        "hello",
    );
    let status = scene.gate.proxy.raw_reply(&bytes).status;
    assert!(matches!(status, 200 | 400), "{status}");
    scene.serves_another();
    for request in scene.app.requests() {
        assert!(request.headers_named("content-length").count() <= 1);
    }
}

/// RUSTSEC-2021-0079, CVE-2026-2833: sizes that overflow, and line ends that only some believe.
#[test]
fn broken_chunks_never_become_a_whole_request() {
    for body in [
        "ffffffffffffffffff\r\nhello",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "zz\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "5\0\r\nhello\r\n0\r\n\r\n",
    ] {
        let scene = Scene::new();
        let before = scene.app.requests().len();
        let headers = "Transfer-Encoding: chunked\r\n";
        let bytes = post("1.1", headers, &format!("{body}{HIDDEN}"));
        let answer = String::from_utf8_lossy(&scene.gate.proxy.raw(&bytes)).into_owned();
        assert!(!answer.contains("HTTP/1.1 2"), "{body:?}: {answer}");
        assert!(!scene.app.bytes().contains("smuggled"), "{body:?}");
        // The head may have travelled on before the body broke; then the upstream saw it unfinished, and no request.
        scene.serves_another();
        assert_eq!(scene.app.requests().len(), before + 1, "{body:?}: {answer}");
    }
}

/// CVE-2025-4366: a body that was not read to its end was taken for the next request.
#[test]
fn a_client_that_goes_away_amid_its_body_sends_no_request() {
    for (headers, body) in [
        ("Transfer-Encoding: chunked\r\n", "5\r\nhel"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
        ("Content-Length: 10\r\n", "hello"),
    ] {
        let scene = Scene::new();
        let mut wire = scene.gate.proxy.connect();
        wire.send(&post("1.1", headers, body)).unwrap();
        drop(wire);
        for _ in 0..5 {
            scene.serves_another();
        }
        let requests = scene.app.requests();
        assert!(
            requests.iter().all(|it| it.target == "/app/bystander"),
            "{requests:#?}"
        );
    }
}
