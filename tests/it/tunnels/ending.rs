//! a WebSocket and a stream of events, open while what they were opened with comes to its end.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{App, Open};
use crate::harness::client::basic;
use crate::harness::elasticsearch::{Account, FakeElasticsearch, Script};
use crate::harness::plan::{Plan, Running};

const KEY: &str = "ApiKey a2V5LTE6a2V5LWNhbmFyeQ==";

/// What is remembered for a moment is looked at again all the time.
const SOON: (&str, &str) = (
    "200ms",
    "ttl: 200ms, negative_ttl: 100ms, expiry_leeway: 0s",
);
/// Nothing but an alarm, or a known end, has anything looked at again.
const NEVER_BY_ITSELF: (&str, &str) = ("1h", "ttl: 1h, expiry_leeway: 0s");

fn open(fake: &FakeElasticsearch, app: &App, (recheck, cache): (&str, &str)) -> Running {
    let may = "require: { cluster: [monitor] }";
    Plan::with_elasticsearch(fake)
        .upstream("app", &app.server)
        .route(
            "socket",
            "/ws/**",
            &format!("{may}, websocket: true, recheck: {recheck}"),
        )
        .route(
            "events",
            "/events/**",
            &format!("{may}, recheck: {recheck}"),
        )
        .and(&format!("cache: {{ {cache} }}"))
        .start()
}

/// Both kinds, opened with an `Authorization`.
fn both(gate: &Running, authorization: &str) -> [Open; 2] {
    let headers = [("authorization", authorization)];
    [
        Open::socket(&gate.proxy, "/ws/echo", &headers),
        Open::events(&gate.proxy, "/events/all", &headers),
    ]
}

/// Both end as they should, and are counted and told for this reason; nothing else is open.
fn end(gate: &Running, app: &App, all: [Open; 2], reason: &str) {
    end_beside(gate, app, all, reason, 0);
}

/// The same where so many other tunnels stay.
fn end_beside(gate: &Running, app: &App, all: [Open; 2], reason: &str, stay: u32) {
    for one in all {
        one.ends_with(1008, app);
    }
    for kind in ["websocket", "response"] {
        let labels = [format!("kind=\"{kind}\""), format!("reason=\"{reason}\"")];
        let labels = labels.each_ref().map(String::as_str);
        gate.wait_for_metric("sidegate_streams_closed_total", &labels, |count| {
            count == 1.0
        });
        let told = |line: &str| {
            [kind, reason, "closed what was open", "alice"]
                .iter()
                .all(|part| line.contains(part))
        };
        assert!(gate.process.stderr.find(told).is_some(), "{kind} is told");
    }
    gate.wait_for_metric("sidegate_tunnels_open", &[], |open| open == f64::from(stay));
}

fn alice(privileges: &[&str]) -> Account {
    Account::new("alice", &["shopper"], privileges)
}

#[test]
fn an_api_key_that_is_invalidated_ends_what_it_opened() {
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let key = alice(&["cluster:monitor"])
        .with("authentication_type", json!("api_key"))
        .with("api_key", json!({"id": "key-1", "name": "k"}));
    fake.know(KEY, key);
    let gate = open(&fake, &app, SOON);
    let mut all = both(&gate, KEY);
    gate.wait_for_metric("sidegate_rechecks_total", &["result=\"kept\""], |kept| {
        kept >= 4.0
    });
    all.iter_mut().for_each(Open::lives);
    fake.forget(KEY);
    end(&gate, &app, all, "revoked");
}

#[test]
fn a_purge_after_a_password_change_ends_at_once_what_the_old_one_opened_and_nothing_else() {
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let gate = open(&fake, &app, NEVER_BY_ITSELF);
    let all = both(&gate, &basic("alice", "alice-password"));
    let mut others = both(&gate, &basic("root", "root-password"));
    fake.forget(&basic("alice", "alice-password"));
    gate.admin
        .post_json("/cache/purge", &json!({"user": "alice"}))
        .send()
        .expect(200);
    end_beside(&gate, &app, all, "revoked", 1);
    others.iter_mut().for_each(Open::lives);
}

#[test]
fn a_privilege_that_is_taken_away_ends_what_needed_it() {
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let gate = open(&fake, &app, SOON);
    let all = both(&gate, &basic("alice", "alice-password"));
    fake.know(&basic("alice", "alice-password"), alice(&[]));
    end(&gate, &app, all, "forbidden");
}

#[test]
fn a_token_ends_what_it_opened_when_it_expires_and_nobody_has_to_be_asked_in_time() {
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let gate = open(&fake, &app, NEVER_BY_ITSELF);
    let now = sidegate::model::clock::Clock::system().now().unix;
    let end_of_it = (now + Duration::from_secs(4)).as_secs();
    let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = part(&json!({"sub": "alice", "exp": end_of_it}));
    let token = format!("Bearer {}.{claims}.c2ln", part(&json!({"alg": "RS256"})));
    fake.know(&token, alice(&["cluster:monitor"]));
    let all = both(&gate, &token);
    end(&gate, &app, all, "expired");
}

#[test]
fn trouble_at_the_authority_ends_nothing() {
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let gate = open(&fake, &app, SOON);
    let mut all = both(&gate, &basic("alice", "alice-password"));
    fake.behave(Script::Status(503));
    gate.wait_for_metric(
        "sidegate_rechecks_total",
        &["result=\"trouble\""],
        |trouble| trouble >= 6.0,
    );
    all.iter_mut().for_each(Open::lives);
    // A request of its own can't be judged meanwhile.
    let request = gate
        .proxy
        .get("/events/more")
        .basic("alice", "alice-password");
    request.send().expect_refusal(503, "authority_unavailable");
    fake.forget(&basic("alice", "alice-password"));
    fake.behave(Script::Honest);
    end(&gate, &app, all, "revoked");
}

#[test]
fn a_reload_without_the_route_ends_what_it_let_in() {
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let gate = open(&fake, &app, NEVER_BY_ITSELF);
    let all = both(&gate, &basic("alice", "alice-password"));
    Plan::with_elasticsearch(&fake)
        .upstream("app", &app.server)
        .route("else", "/else", "allow: authenticated")
        .write_without_keys(gate.folder.path());
    gate.process.signal("HUP");
    end(&gate, &app, all, "route_gone");
}

#[test]
fn a_drain_says_goodbye_to_websockets_and_ends() {
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let gate = open(&fake, &app, NEVER_BY_ITSELF);
    let alice = basic("alice", "alice-password");
    let headers = [("authorization", alice.as_str())];
    let socket = Open::socket(&gate.proxy, "/ws/echo", &headers);
    gate.process.signal("TERM");
    socket.ends_with(1001, &app);
}

#[test]
fn a_route_for_everyone_has_nothing_to_look_at_again() {
    let (fake, app) = (FakeElasticsearch::with_people(), App::start());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app.server)
        .route(
            "all",
            "/**",
            "allow: everyone, websocket: true, recheck: 10ms",
        )
        .start();
    let mut socket = Open::socket(&gate.proxy, "/ws/echo", &[]);
    let _events = Open::events(&gate.proxy, "/events/all", &[]);
    for _ in 0..50 {
        socket.lives();
        drop(gate.admin.get("/livez").send());
    }
    assert_eq!(gate.metric("sidegate_rechecks_total", &[]), 0.0);
}
