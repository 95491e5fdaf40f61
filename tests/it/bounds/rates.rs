//! How often one client may come: per listener and per route.

use std::fs;

use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

#[test]
fn a_route_takes_so_many_requests_from_one_address_and_tells_when_to_come_back() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .listener("trusted_proxies: [127.0.0.1]")
        .upstream("app", &app)
        .route(
            "few",
            "/few",
            "allow: authenticated, rate_limit: { requests: 2, per: 1h, burst: 3 }",
        )
        .route("many", "/many", "allow: everyone")
        .start();
    let few = |address: &str| gate.proxy.get("/few").header("X-Forwarded-For", address);
    for _ in 0..3 {
        few("192.0.2.1").send().expect_refusal(401, "no_credential");
    }
    let refused = few("192.0.2.1")
        .basic("alice", "alice-password")
        .send()
        .expect_refusal(429, "rate_limited");
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(
        (1_700..=1_800).contains(&after),
        "half an hour each: {after}"
    );
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        fake.questions(),
        0,
        "nobody is asked about who is over the limit"
    );

    few("192.0.2.2")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    gate.proxy
        .get("/many")
        .header("X-Forwarded-For", "192.0.2.1")
        .send()
        .expect(200);
    for last in 1..=3 {
        few(&format!("2001:db8::{last}")).send().expect(401);
    }
    few("2001:db8::4").send().expect(429);
    few("2001:db8:0:1::1").send().expect(401);
    gate.wait_for_metric(
        "sidegate_authz_total",
        &["route=\"few\"", "reason=\"rate_limited\""],
        |count| count == 2.0,
    );
}

#[test]
fn by_identity_a_user_has_one_allowance_whatever_they_come_with() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route(
            "few",
            "/**",
            "require: { cluster: [monitor] }, rate_limit: { requests: 2, per: 1h, by: identity }",
        )
        .start();
    let get = |name: &str| {
        gate.proxy
            .get("/")
            .basic(name, &format!("{name}-password"))
            .send()
    };
    // Those who fail to log in spend nobody's allowance.
    for _ in 0..3 {
        gate.proxy
            .get("/")
            .basic("alice", "guess")
            .send()
            .expect(401);
    }
    get("alice").expect(200);
    get("alice").expect(200);
    get("alice").expect_refusal(429, "rate_limited");
    get("bob").expect(403);
    get("bob").expect(403);
    get("bob").expect_refusal(429, "rate_limited");
    assert_eq!(app.requests().len(), 2);
}

#[test]
fn a_reload_forgives_nobody() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let plan = Plan::with_elasticsearch(&fake).upstream("app", &app).route(
        "few",
        "/few",
        "allow: everyone, rate_limit: { requests: 1, per: 1h }",
    );
    let gate = plan.start();
    gate.proxy.get("/few").send().expect(200);
    let more = plan.clone().route("more", "/more", "allow: everyone");
    fs::write(&gate.config, more.yaml(gate.folder.path())).unwrap();
    gate.wait_for_reload("applied");
    gate.proxy.get("/more").send().expect(200);
    gate.proxy
        .get("/few")
        .send()
        .expect_refusal(429, "rate_limited");
}

#[test]
fn a_listener_takes_so_many_requests_per_second_from_one_address() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .listener("trusted_proxies: [127.0.0.1]")
        .listener("limits: { rate: { requests: 5 } }")
        .upstream("app", &app)
        .route("open", "/**", "allow: everyone")
        .start();
    let send = |address: &str| {
        gate.proxy
            .get("/")
            .header("X-Forwarded-For", address)
            .send()
    };
    // As fast as one can: a second gives back five, so some of these are over whatever the machine does.
    let statuses: Vec<u16> = (0..500).map(|_| send("192.0.2.1").status).collect();
    let passed = statuses.iter().filter(|status| **status == 200).count();
    assert!(passed >= 5, "{passed}");
    assert!(statuses.contains(&429), "none of 500 was over the limit");
    assert_eq!(app.requests().len(), passed);
    send("192.0.2.2").expect(200);
    let limited = gate.metric(
        "sidegate_requests_turned_away_total",
        &["listener=\"main\"", "reason=\"rate_limited\""],
    );
    assert_eq!(limited, (500 - passed) as f64);
    assert!(
        gate.metric(
            "sidegate_rejected_requests_total",
            &["reason=\"rate_limited\""]
        ) > 0.0
    );
}

/// Opens connections one after the other, each with a request; tells how many were answered.
fn served(gate: &Running, connections: usize) -> usize {
    let request = gate.proxy.get("/").bytes();
    (0..connections)
        .filter(|_| {
            let mut wire = gate.proxy.connect();
            wire.send(&request).is_ok() && wire.reply().is_ok_and(|reply| reply.status == 200)
        })
        .count()
}

#[test]
fn an_address_opens_so_many_connections_per_second_and_a_proxy_as_many_as_it_needs() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let plan = Plan::with_elasticsearch(&fake)
        .listener("limits: { rate: { connections: 2 } }")
        .upstream("app", &app)
        .route("open", "/**", "allow: everyone");
    let gate = plan.start();
    let answered = served(&gate, 200);
    assert!((2..200).contains(&answered), "{answered}");
    let labels = ["listener=\"main\"", "reason=\"address_rate\""];
    let refused = gate.metric("sidegate_connections_refused_total", &labels);
    assert_eq!(refused, (200 - answered) as f64);
    let behind = plan.listener("trusted_proxies: [127.0.0.1]").start();
    assert_eq!(served(&behind, 50), 50);
}

#[test]
fn an_address_holds_so_many_connections_and_gets_their_places_back() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .listener("limits: { max_connections_per_address: 3 }")
        .upstream("app", &app)
        .route("open", "/**", "allow: everyone")
        .start();
    let mut held: Vec<_> = (0..3).map(|_| gate.proxy.connect()).collect();
    for wire in &mut held {
        gate.proxy.get("/").send_on(wire).expect(200);
    }
    assert_eq!(served(&gate, 5), 0);
    let labels = ["listener=\"main\"", "reason=\"address_limit\""];
    assert_eq!(
        gate.metric("sidegate_connections_refused_total", &labels),
        5.0
    );
    // Those who are in don't notice.
    for wire in &mut held {
        gate.proxy.get("/").send_on(wire).expect(200);
    }
    drop(held);
    gate.wait_for_metric(
        "sidegate_connections_open",
        &["listener=\"main\""],
        |open| open == 0.0,
    );
    assert_eq!(served(&gate, 3), 3);
}
