//! Bodies of any size pass as they come: memory stays flat, and whoever stops reading stops the writer.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::BodyExt as _;

use super::{gate, peak, resident};
use crate::harness::client::Duplex;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::h2;
use crate::harness::plan::Plan;
use crate::harness::server::{Answer, Latch, Server};
use crate::harness::streams::{self, StreamServer};

/// What passes through.
const LARGE: u64 = 200 << 20;

/// What the whole process may use meanwhile, and what one stream may hold of it.
const FLAT: u64 = 64 << 20;

const PIECE: usize = 64 * 1024;

fn send_much(stream: &mut dyn Duplex, sent: &AtomicU64) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
    if stream.write_all(head.as_bytes()).is_err() {
        return;
    }
    let piece = [b'x'; PIECE];
    for _ in 0..LARGE / PIECE as u64 {
        if stream.write_all(&piece).is_err() {
            return;
        }
        sent.fetch_add(PIECE as u64, Ordering::Relaxed);
    }
}

/// Answers with a large body, and counts what it got rid of.
fn sender() -> (Server, Arc<AtomicU64>) {
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let app = Server::start(move |request| {
        let count = Arc::clone(&count);
        match request.target.as_str() {
            "/public/large" => Answer::Take(Box::new(move |stream| send_much(stream, &count))),
            _ => Answer::text("small"),
        }
    });
    (app, sent)
}

/// Waits until a count stands still at something more than nothing, as it does when the writer is held back.
fn wait_until_still(sent: &AtomicU64, mut work: impl FnMut()) -> u64 {
    let mut last = 0;
    let mut rounds = 0;
    while rounds < 50 {
        work();
        let now = sent.load(Ordering::Relaxed);
        rounds = if now == last && now > 0 {
            rounds + 1
        } else {
            0
        };
        last = now;
    }
    last
}

#[test]
fn a_large_answer_passes_over_both_protocols_and_memory_stays_flat() {
    let fake = FakeElasticsearch::with_people();
    let (app, _sent) = sender();
    let gate = gate(&fake, &app, true);
    let mut wire = gate.proxy.connect();
    wire.send(&gate.proxy.get("/public/large").bytes()).unwrap();
    wire.reply_without_body().unwrap().expect(200);
    let mut piece = vec![0; PIECE];
    let mut left = LARGE;
    while left > 0 {
        let read = wire.read(&mut piece).unwrap() as u64;
        assert!(read > 0, "{left} bytes are missing");
        left -= read;
    }
    h2::block_on(async {
        let mut sender = h2::connect(&gate.proxy).await;
        let request = h2::get(&gate.proxy, "/public/large", "");
        let mut body = sender.send_request(request).await.unwrap().into_body();
        let mut left = LARGE;
        while let Some(frame) = body.frame().await {
            left -= frame.unwrap().into_data().unwrap().len() as u64;
        }
        assert_eq!(left, 0);
    });
    assert!(peak(&gate) < FLAT * 2, "{} bytes", peak(&gate));
}

#[test]
fn a_large_request_passes_over_both_protocols_and_memory_stays_flat() {
    let fake = FakeElasticsearch::with_people();
    let app = StreamServer::swallowing();
    let gate = Plan::with_elasticsearch(&fake)
        .tls()
        .upstream_yaml("app", &format!("url: \"{}\"", app.url()))
        .upstream_yaml("app2", &format!("url: \"{}\", protocol: http2", app.url()))
        .route("one", "/public/one", "allow: everyone")
        .route_yaml("{ name: two, match: { path: /public/two }, upstream: app2, allow: everyone }")
        .start();
    for path in ["/public/one", "/public/two"] {
        let mut wire = gate.proxy.connect();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LARGE}\r\n\r\n");
        wire.send(head.as_bytes()).unwrap();
        let piece = vec![b'x'; PIECE];
        for _ in 0..LARGE / PIECE as u64 {
            wire.send(&piece).unwrap();
        }
        assert_eq!(wire.reply().unwrap().expect(200).text(), LARGE.to_string());
        h2::block_on(async {
            let got = streams::upload(&gate.proxy, path, LARGE).await;
            assert_eq!(got, LARGE.to_string(), "{path}");
        });
    }
    assert!(peak(&gate) < FLAT * 2, "{} bytes", peak(&gate));
}

#[test]
fn a_client_that_stops_reading_stops_the_upstream() {
    let fake = FakeElasticsearch::with_people();
    let (app, sent) = sender();
    let gate = gate(&fake, &app, true);
    let before = resident(&gate);
    let still = || {
        wait_until_still(&sent, || {
            gate.proxy.get("/public/small").send().expect(200);
        })
    };
    let mut wire = gate.proxy.connect();
    wire.send(&gate.proxy.get("/public/large").bytes()).unwrap();
    wire.reply_without_body().unwrap().expect(200);
    assert!(still() < FLAT);
    drop(wire);
    sent.store(0, Ordering::Relaxed);
    h2::block_on(async {
        let mut sender = h2::connect(&gate.proxy).await;
        let request = h2::get(&gate.proxy, "/public/large", "");
        let response = sender.send_request(request).await.unwrap();
        assert!(tokio::task::block_in_place(still) < FLAT);
        drop(response);
    });
    assert!(
        resident(&gate) < before + FLAT,
        "{before} {}",
        resident(&gate)
    );
}

#[test]
fn an_upstream_that_stops_reading_stops_the_client() {
    let fake = FakeElasticsearch::with_people();
    let latch = Latch::default();
    let app = StreamServer::swallowing_after(latch.clone());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream_yaml("app", &format!("url: \"{}\"", app.url()))
        .route("public", "/public/**", "allow: everyone")
        .start();
    let before = resident(&gate);
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let mut wire = gate.proxy.connect();
    let uploading = std::thread::spawn(move || {
        let head = format!(
            "POST /public/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LARGE}\r\n\r\n"
        );
        wire.send(head.as_bytes()).unwrap();
        let piece = vec![b'x'; PIECE];
        for _ in 0..LARGE / PIECE as u64 {
            wire.write_all(&piece).unwrap();
            count.fetch_add(PIECE as u64, Ordering::Relaxed);
        }
        wire.reply().unwrap()
    });
    let held = wait_until_still(&sent, || {
        gate.proxy.get("/secret").send().expect(404);
    });
    assert!(held < FLAT, "{held}");
    assert!(
        resident(&gate) < before + FLAT,
        "{before} {}",
        resident(&gate)
    );
    latch.open();
    let reply = uploading.join().unwrap().expect(200);
    assert_eq!(reply.text(), LARGE.to_string());
}

#[test]
fn a_bomb_is_passed_on_as_it_is() {
    // 200 MiB of nothing, in gzip.
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..200 {
        packer.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = packer.finish().unwrap();
    let fake = FakeElasticsearch::with_people();
    let sent = bomb.clone();
    let app = Server::start(move |_| {
        let kind = vec![("content-encoding", "gzip".to_owned())];
        Answer::Reply(200, kind, sent.clone())
    });
    let gate = gate(&fake, &app, false);
    let reply = gate
        .proxy
        .post("/public/x", bomb.clone())
        .header("Content-Encoding", "gzip");
    let reply = reply.header("Accept-Encoding", "gzip").send().expect(200);
    assert!(reply.body == bomb);
    assert!(app.only_request().body == bomb);
    assert!(peak(&gate) < FLAT * 2, "{} bytes", peak(&gate));
}

#[test]
fn both_ways_flow_at_once_over_every_pair_of_protocols() {
    let fake = FakeElasticsearch::with_people();
    let app = StreamServer::echoing();
    for protocol in ["http1", "http2"] {
        let keys = format!("url: \"{}\", protocol: {protocol}", app.url());
        let gate = Plan::with_elasticsearch(&fake)
            .tls()
            .upstream_yaml("app", &keys)
            .route("public", "/public/**", "allow: everyone")
            .start();
        h2::block_on(async {
            assert_eq!(
                streams::converse(&gate.proxy, "/public/x", 50).await,
                50,
                "{protocol}"
            );
        });
        let mut wire = gate.proxy.connect();
        wire.send(
            b"POST /public/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .unwrap();
        wire.send(b"4\r\nping\r\n").unwrap();
        wire.reply_without_body().unwrap().expect(200);
        for _ in 0..50 {
            let echoed = wire.read_until(b"ping").unwrap();
            assert!(echoed.ends_with(b"ping"));
            wire.send(b"4\r\nping\r\n").unwrap();
        }
    }
}
