//! More requests than there is room for: 503 at once, before memory grows, and nobody who is in is hurt.

use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::Plan;
use crate::harness::server::{Answer, Latch, Server};

/// Holds requests to `/held` until the latch is open, and answers all others.
fn holding(latch: &Latch) -> Server {
    let latch = latch.clone();
    Server::start(move |request| {
        if request.target == "/held" {
            latch.wait();
        }
        Answer::text("upstream")
    })
}

#[test]
fn a_listener_answers_so_many_requests_at_a_time_and_sheds_the_rest() {
    let (fake, latch) = (FakeElasticsearch::with_people(), Latch::default());
    let app = holding(&latch);
    let gate = Plan::with_elasticsearch(&fake)
        .listener("limits: { max_requests: 3 }")
        .upstream("app", &app)
        .route("open", "/held", "allow: everyone")
        .route("known", "/**", "allow: authenticated")
        .start();
    let mut held: Vec<_> = (0..3).map(|_| gate.proxy.connect()).collect();
    for wire in &mut held {
        wire.send(&gate.proxy.get("/held").bytes()).unwrap();
    }
    app.wait_for_requests(3);
    for _ in 0..20 {
        let shed = gate
            .proxy
            .get("/x")
            .basic("alice", "alice-password")
            .send()
            .expect_refusal(503, "overloaded");
        assert_eq!(shed.header("retry-after"), Some("1"));
        assert_eq!(
            shed.header("content-type"),
            Some("application/problem+json")
        );
    }
    assert_eq!(fake.questions(), 0, "who is shed is not asked about");
    assert_eq!(app.requests().len(), 3);
    let labels = ["listener=\"main\"", "reason=\"overloaded\""];
    let shed = gate.metric("sidegate_requests_turned_away_total", &labels);
    assert_eq!(shed, 20.0);
    // It is logged like any other refusal.
    let line = gate
        .process
        .stdout
        .find(|line| line.contains("\"overloaded\""));
    assert!(line.is_some(), "{}", gate.process.output());

    latch.open();
    for wire in &mut held {
        wire.reply().unwrap().expect(200);
    }
    for _ in 0..10 {
        gate.proxy
            .get("/x")
            .basic("alice", "alice-password")
            .send()
            .expect(200);
    }
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    let (fake, latch) = (FakeElasticsearch::with_people(), Latch::default());
    let app = holding(&latch);
    let gate = Plan::with_elasticsearch(&fake)
        .listener("limits: { max_requests: 1 }")
        .upstream_yaml("app", &format!("url: \"{}\", max_requests: 2", app.url()))
        .route("open", "/**", "allow: everyone")
        .start();
    for count in 1..=3 {
        let mut wire = gate.proxy.connect();
        wire.send(&gate.proxy.get("/held").bytes()).unwrap();
        app.wait_for_requests(count);
        drop(wire);
        gate.wait_for_metric("sidegate_requests_in_flight", &[], |now| now == 0.0);
    }
    let labels = ["upstream=\"app\""];
    gate.wait_for_metric("sidegate_upstream_requests_in_flight", &labels, |now| {
        now == 0.0
    });
    gate.proxy.get("/x").send().expect(200);
    latch.open();
}

#[test]
fn an_upstream_is_sent_so_many_requests_at_a_time_and_others_go_on() {
    let (fake, latch) = (FakeElasticsearch::with_people(), Latch::default());
    let (slow, other) = (holding(&latch), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream_yaml("app", &format!("url: \"{}\", max_requests: 2", slow.url()))
        .upstream("other", &other)
        .route_yaml("{ name: other, match: { path: /other }, upstream: other, allow: everyone }")
        .route("open", "/**", "allow: everyone")
        .start();
    let mut held: Vec<_> = (0..2).map(|_| gate.proxy.connect()).collect();
    for wire in &mut held {
        wire.send(&gate.proxy.get("/held").bytes()).unwrap();
    }
    slow.wait_for_requests(2);
    for _ in 0..5 {
        let shed = gate.proxy.get("/x").send();
        let shed = shed.expect_refusal(503, "upstream_overloaded");
        assert_eq!(shed.header("retry-after"), Some("1"));
        gate.proxy.get("/other").send().expect(200);
    }
    assert_eq!(slow.requests().len(), 2);
    let app = ["upstream=\"app\""];
    assert_eq!(
        gate.metric("sidegate_upstream_requests_in_flight", &app),
        2.0
    );
    let cause = ["upstream=\"app\"", "cause=\"overloaded\""];
    assert_eq!(gate.metric("sidegate_upstream_failures_total", &cause), 5.0);
    latch.open();
    for wire in &mut held {
        wire.reply().unwrap().expect(200);
    }
    gate.proxy.get("/x").send().expect(200);
}

#[test]
fn one_more_waits_for_its_turn_where_it_may() {
    let (fake, latch) = (FakeElasticsearch::with_people(), Latch::default());
    let app = holding(&latch);
    let keys = format!("url: \"{}\", max_requests: 1, max_wait: 10s", app.url());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream_yaml("app", &keys)
        .route("open", "/**", "allow: everyone")
        .start();
    let (mut first, mut second) = (gate.proxy.connect(), gate.proxy.connect());
    first.send(&gate.proxy.get("/held").bytes()).unwrap();
    app.wait_for_requests(1);
    second.send(&gate.proxy.get("/x").bytes()).unwrap();
    gate.wait_for_metric("sidegate_requests_in_flight", &[], |now| now == 2.0);
    // As many wait as may be under way, and no more.
    gate.proxy
        .get("/y")
        .send()
        .expect_refusal(503, "upstream_overloaded");
    latch.open();
    first.reply().unwrap().expect(200);
    second.reply().unwrap().expect(200);
    assert_eq!(app.requests().len(), 2);
}

#[test]
fn a_tunnel_holds_its_place_until_it_ends() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::start(|request| {
        if request.header("upgrade").is_none() {
            return Answer::text("upstream");
        }
        Answer::Take(Box::new(|stream| {
            let accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
            stream.write_all(accepted.as_bytes()).unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        }))
    });
    let gate = Plan::with_elasticsearch(&fake)
        .upstream_yaml("app", &format!("url: \"{}\", max_requests: 1", app.url()))
        .route("open", "/**", "allow: everyone, websocket: true")
        .start();
    let mut wire = gate.proxy.connect();
    let handshake = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    wire.send(handshake.as_bytes()).unwrap();
    assert_eq!(wire.reply_without_body().unwrap().status, 101);
    gate.proxy
        .get("/x")
        .send()
        .expect_refusal(503, "upstream_overloaded");
    drop(wire);
    let app = ["upstream=\"app\""];
    gate.wait_for_metric("sidegate_upstream_requests_in_flight", &app, |now| {
        now == 0.0
    });
    gate.proxy.get("/x").send().expect(200);
}
