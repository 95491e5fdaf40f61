//! Whoever is refused reads why, whatever they were still sending.

use std::io::Write as _;

use super::gate;
use crate::harness::client::Target;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::server::Server;

/// Far more than the sockets' buffers hold.
const LARGE: usize = 6 << 20;

/// How often what could get lost must not.
const TIMES: usize = 50;

fn refused_head(target: &Target, length: usize, also: &str) -> String {
    format!(
        "POST /secret HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n{also}\r\n",
        target.host()
    )
}

/// Plain and TLS.
fn each_transport(test: impl Fn(&Target)) {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    for tls in [false, true] {
        let gate = gate(&fake, &app, tls);
        test(&gate.proxy);
        gate.proxy.get("/public/x").send().expect(200);
    }
    assert_eq!(app.requests().len(), 2, "what was refused never arrived");
}

#[test]
fn a_client_that_sends_a_large_body_before_it_reads_gets_the_whole_answer() {
    let body = vec![b'x'; LARGE];
    each_transport(|target| {
        for _ in 0..TIMES {
            let mut wire = target.connect();
            wire.send(refused_head(target, LARGE, "").as_bytes())
                .unwrap();
            wire.send(&body).unwrap();
            let reply = wire.reply().unwrap().expect_refusal(404, "no_route");
            assert_eq!(reply.json()["reason"], "no_route");
            assert_eq!(reply.header("connection"), Some("close"));
        }
    });
}

#[test]
fn a_client_that_sends_its_body_in_pieces_gets_the_whole_answer() {
    let piece = vec![b'x'; 7_001];
    each_transport(|target| {
        for _ in 0..TIMES {
            let mut wire = target.connect();
            wire.send(refused_head(target, LARGE, "").as_bytes())
                .unwrap();
            // The answer is there long before the last of these.
            for _ in 0..200 {
                wire.send(&piece).unwrap();
            }
            let reply = wire.reply().unwrap().expect_refusal(404, "no_route");
            assert_eq!(reply.json()["reason"], "no_route");
            assert!(wire.read_to_close().is_empty());
        }
    });
}

#[test]
fn a_chunked_body_that_never_ends_is_no_reason_to_lose_the_answer() {
    each_transport(|target| {
        let head = format!(
            "POST /secret HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
            target.host()
        );
        let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
        for _ in 0..TIMES {
            let mut wire = target.connect();
            wire.send(head.as_bytes()).unwrap();
            for _ in 0..100 {
                wire.send(chunk.as_bytes()).unwrap();
            }
            let reply = wire.reply().unwrap().expect_refusal(404, "no_route");
            assert_eq!(reply.json()["reason"], "no_route");
        }
    });
}

#[test]
fn a_head_that_is_too_large_is_answered_whatever_of_it_is_still_on_its_way() {
    each_transport(|target| {
        let head = format!(
            "GET /public/x HTTP/1.1\r\nHost: {}\r\nX-Large: {}\r\n\r\n",
            target.host(),
            "x".repeat(1 << 20)
        );
        for _ in 0..TIMES {
            let mut wire = target.connect();
            wire.send(head.as_bytes()).unwrap();
            wire.reply().unwrap().expect(431);
        }
    });
}

#[test]
fn a_small_body_that_is_refused_costs_no_connection() {
    each_transport(|target| {
        let mut wire = target.connect();
        for _ in 0..TIMES {
            let length = 30_000;
            wire.send(refused_head(target, length, "").as_bytes())
                .unwrap();
            let reply = wire.reply().unwrap().expect_refusal(404, "no_route");
            assert_eq!(reply.header("connection"), None);
            // Only now comes what was refused, and after it another request.
            wire.send(&vec![b'x'; length]).unwrap();
        }
        let mut chunked =
            refused_head(target, 0, "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
        chunked.push_str("5\r\nhello\r\n0\r\n\r\n");
        for _ in 0..TIMES {
            wire.send(chunked.as_bytes()).unwrap();
            wire.reply().unwrap().expect_refusal(404, "no_route");
        }
    });
}

#[test]
fn a_drain_does_not_wait_for_the_rest_of_a_refused_body_beyond_its_deadline() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let mut gate = gate(&fake, &app, false);
    let mut wire = gate.proxy.connect();
    wire.send(refused_head(&gate.proxy, LARGE, "").as_bytes())
        .unwrap();
    wire.reply().unwrap().expect_refusal(404, "no_route");
    gate.process.signal("TERM");
    // Sends until the connection is cut; the process ends all the same.
    while wire.write_all(&[b'x'; 1_000]).is_ok() {}
    assert!(gate.process.wait().success());
}
