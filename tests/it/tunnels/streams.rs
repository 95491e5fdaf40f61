//! Streams under small limits: what lives outlasts every one of them, what is dead is cut.

use std::sync::mpsc;
use std::time::Duration;

use crate::harness::client::Duplex;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::Plan;
use crate::harness::server::{Answer, Server};

#[test]
fn a_slow_stream_that_lives_outlasts_every_limit_and_a_dead_one_is_cut() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::start(|_| {
        Answer::Take(Box::new(|stream: &mut dyn Duplex| {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes());
            // Nobody ever sends: it is a clock that ticks twelve times within what is three times every limit.
            let (_nobody, tick) = mpsc::channel::<()>();
            for _ in 0..12 {
                let _ = tick.recv_timeout(Duration::from_millis(250));
                let _ = stream.write_all(b"9\r\ndata: x\n\n\r\n");
                let _ = stream.flush();
            }
            let mut byte = [0];
            let _ = stream.read(&mut byte);
        }))
    });
    let limits = "response_timeout: 1s, idle_timeout: 1s";
    let gate = Plan::with_elasticsearch(&fake)
        .listener("limits: { header_timeout: 1s, body_idle_timeout: 1s, keep_alive_timeout: 1s }")
        .upstream_yaml("app", &format!("url: \"{}\", {limits}", app.url()))
        .route("events", "/events", "allow: authenticated, recheck: 1s")
        .start();
    let request = gate.proxy.get("/events").basic("alice", "alice-password");
    let mut wire = gate.proxy.connect();
    wire.send(&request.bytes()).unwrap();
    for event in 0..12 {
        wire.read_until(b"data: x\n\n\r\n")
            .unwrap_or_else(|error| panic!("event {event}: {error}"));
    }
    assert_eq!(
        wire.read_to_close(),
        b"",
        "cut, and not ended as if it were whole"
    );
}
