//! Guessing passwords gets slow, and trouble elsewhere never counts as guessing.

use crate::harness::elasticsearch::{FakeElasticsearch, Script};
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

fn limited(fake: &FakeElasticsearch, app: &Server, limit: &str) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("any", "/**", "allow: authenticated")
        .and(&format!("login_limit: {limit}"))
        .start()
}

#[test]
fn too_many_failures_from_one_address_are_429() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = limited(
        &fake,
        &app,
        "{ per_address: 3, per_username: 100, window: 600s }",
    );
    for guess in 0..3 {
        gate.proxy
            .get("/")
            .basic(&format!("user-{guess}"), "guess")
            .send()
            .expect(401);
    }
    let refused = gate.proxy.get("/").basic("user-9", "guess").send();
    let refused = refused.expect_refusal(429, "too_many_failures");
    assert!(
        refused
            .header("retry-after")
            .is_some_and(|value| value.parse::<u64>().is_ok())
    );
    assert_eq!(fake.authentications(), 3, "a limited guess is not asked");
}

#[test]
fn spellings_of_one_name_share_one_budget() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = limited(
        &fake,
        &app,
        "{ per_address: 100, per_username: 3, window: 600s }",
    );
    // The last is U+FF41 FULLWIDTH LATIN SMALL LETTER A, which NFKC folds to `a`.
    for name in ["alice", "ALICE", "Alice"] {
        gate.proxy.get("/").basic(name, "guess").send().expect(401);
    }
    let twin = gate.proxy.get("/").basic("\u{ff41}lice", "guess").send();
    twin.expect_refusal(429, "too_many_failures");
    gate.proxy
        .get("/")
        .basic("bob", "bob-password")
        .send()
        .expect(200);
}

#[test]
fn a_remembered_login_is_not_locked_out_and_forgives_nothing() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = limited(
        &fake,
        &app,
        "{ per_address: 100, per_username: 3, window: 600s }",
    );
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    for guess in 0..3 {
        gate.proxy
            .get("/")
            .basic("alice", &format!("guess-{guess}"))
            .send()
            .expect(401);
        gate.proxy
            .get("/")
            .basic("alice", "alice-password")
            .send()
            .expect(200);
    }
    gate.proxy
        .get("/")
        .basic("alice", "guess-9")
        .send()
        .expect(429);
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
}

#[test]
fn trouble_at_the_authority_counts_for_nobody() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = limited(
        &fake,
        &app,
        "{ per_address: 2, per_username: 2, window: 600s }",
    );
    fake.behave(Script::Status(500));
    for _ in 0..10 {
        gate.proxy
            .get("/")
            .basic("alice", "alice-password")
            .send()
            .expect(503);
    }
    fake.behave(Script::Honest);
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
}

#[test]
fn a_client_that_stands_still_is_cut_and_hurts_nobody() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .listener("limits: { header_timeout: 200ms, body_idle_timeout: 200ms, keep_alive_timeout: 200ms }")
        .upstream("app", &app)
        .route("open", "/**", "allow: everyone")
        .start();
    let unfinished_head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".as_slice();
    let unfinished_body = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf";
    for bytes in [unfinished_head, unfinished_body, b""] {
        let mut wire = gate.proxy.connect();
        wire.send(bytes).unwrap();
        gate.proxy.get("/x").send().expect(200);
        // Ends at the deadline of the gate, long before that of the test.
        wire.read_to_close();
    }
    let mut idle = gate.proxy.connect();
    gate.proxy.get("/x").send_on(&mut idle).expect(200);
    assert!(
        idle.read_to_close().is_empty(),
        "an idle connection is closed without a word"
    );
}

#[test]
fn connections_over_the_limit_wait_and_are_served_later() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .listener("limits: { max_connections: 2 }")
        .upstream("app", &app)
        .route("open", "/**", "allow: everyone")
        .start();
    let mut held: Vec<_> = (0..2).map(|_| gate.proxy.connect()).collect();
    for wire in &mut held {
        gate.proxy.get("/x").send_on(wire).expect(200);
    }
    let mut third = gate.proxy.connect();
    third.send(&gate.proxy.get("/x").bytes()).unwrap();
    drop(held);
    third.reply().unwrap().expect(200);
}
