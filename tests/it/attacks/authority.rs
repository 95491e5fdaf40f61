//! Answers of the authority that are none: a refusal of its own kind, never a verdict, never remembered.
//!
//! CVE-2023-27488, CVE-2026-73552: a check that failed let everybody in. OpenSearch #6371: it made good logins fail.

use super::fixture::Scene;
use crate::harness::client::{Reply, basic};
use crate::harness::elasticsearch::{Account, FakeElasticsearch, Script};
use crate::harness::plan::Plan;
use crate::harness::server::{Latch, Server};

/// What it may answer instead of an answer.
fn troubles(elsewhere: &Server) -> Vec<(&'static str, Script)> {
    let huge: &'static str = format!("{{\"username\":\"{}\"}}", "a".repeat(32 << 20)).leak();
    let many: &'static str = format!(
        "{{\"username\":\"alice\",\"roles\":[{}\"x\"]}}",
        "\"role\",".repeat(2 << 20)
    )
    .leak();
    let deep: &'static str = format!(
        "{{\"username\":\"alice\",\"metadata\":{}",
        "[".repeat(100_000)
    )
    .leak();
    vec![
        ("500", Script::Status(500)),
        ("502", Script::Status(502)),
        ("503", Script::Status(503)),
        ("504", Script::Status(504)),
        ("429", Script::Status(429)),
        ("404", Script::Status(404)),
        ("400", Script::Status(400)),
        ("418", Script::Status(418)),
        ("204 and an envelope", Script::Status(204)),
        ("a redirect", Script::Redirect(elsewhere.url())),
        (
            "a redirect home",
            Script::Redirect("/_security/_authenticate?again".to_owned()),
        ),
        (
            "HTML",
            Script::Body("<html><body>Welcome! {\"username\":\"alice\"}</body></html>"),
        ),
        ("nothing", Script::Body("")),
        ("null", Script::Body("null")),
        ("true", Script::Body("true")),
        ("an empty object", Script::Body("{}")),
        ("an empty list", Script::Body("[]")),
        (
            "truncated JSON",
            Script::Body("{\"username\":\"alice\",\"roles\":["),
        ),
        (
            "two documents",
            Script::Body("{\"username\":\"alice\"}{\"username\":\"root\"}"),
        ),
        ("no name", Script::Body("{\"username\":\"\",\"roles\":[]}")),
        (
            "a name that is a number",
            Script::Body("{\"username\":1,\"roles\":[\"superuser\"]}"),
        ),
        ("a huge name", Script::Body(huge)),
        ("a million roles", Script::Body(many)),
        ("bottomless", Script::Body(deep)),
        ("somebody else's voice", Script::Foreign),
        ("a hang-up", Script::HangUp),
        ("privileges: 500", Script::PrivilegesStatus(500)),
        ("privileges: 404", Script::PrivilegesStatus(404)),
        ("privileges: HTML", Script::PrivilegesBody("<html></html>")),
        ("privileges: nothing", Script::PrivilegesBody("")),
        (
            "privileges: truncated",
            Script::PrivilegesBody("{\"has_all_requested\":true,"),
        ),
        (
            "privileges: yes to a shorter list",
            Script::PrivilegesBody(
                "{\"username\":\"alice\",\"has_all_requested\":true,\"cluster\":{},\"index\":{},\"application\":{}}",
            ),
        ),
        (
            "privileges: yes to another list",
            Script::PrivilegesBody(
                "{\"username\":\"alice\",\"has_all_requested\":true,\"cluster\":{\"all\":true},\"index\":{},\"application\":{}}",
            ),
        ),
        (
            "privileges: yes, bare",
            Script::PrivilegesBody("{\"has_all_requested\":true}"),
        ),
        (
            "privileges: a yes that is a word",
            Script::PrivilegesBody(
                "{\"username\":\"alice\",\"has_all_requested\":true,\"cluster\":{\"monitor\":\"true\"},\"index\":{},\"application\":{}}",
            ),
        ),
        ("privileges: a huge body", Script::PrivilegesBody(huge)),
    ]
}

fn ask(scene: &Scene) -> Reply {
    let call = scene.gate.proxy.get("/monitor");
    call.basic("alice", "alice-password").send()
}

/// A scene with a route whose question is about a privilege.
fn scene() -> Scene {
    Scene::with(|plan| plan.route("monitor", "/monitor", "require: { cluster: [monitor] }"))
}

#[test]
fn an_answer_that_is_none_is_503_and_neither_remembered_nor_anybodys_failure() {
    let scene = scene();
    let elsewhere = Server::echoing();
    for (what, script) in troubles(&elsewhere) {
        scene.fake.behave(script);
        let (before, asked) = scene.heard();
        let refused = ask(&scene);
        assert_eq!(refused.status, 503, "{what}: {:?}", refused.refusal());
        assert_eq!(refused.refusal(), Some("authority_unavailable"), "{what}");
        let after = refused
            .header("retry-after")
            .and_then(|it| it.parse::<u64>().ok());
        assert!(
            after.is_some_and(|after| (1..=120).contains(&after)),
            "{what}: {after:?}"
        );
        assert!(refused.header("www-authenticate").is_none(), "{what}");
        assert_eq!(scene.app.bytes().len(), before, "{what}");
        assert!(
            scene.fake.questions() > asked,
            "{what}: the authority was asked"
        );
        // Who is known already is served through all of it.
        scene.serves_another();
    }
    assert!(elsewhere.requests().is_empty(), "no redirect is followed");
    scene.fake.behave(Script::Honest);
    assert_eq!(ask(&scene).status, 200);
}

/// What `has_all_requested` says is not looked at where the list says otherwise.
#[test]
fn a_yes_to_everything_beside_a_no_is_a_no() {
    let scene = scene();
    scene.fake.behave(Script::PrivilegesBody(
        "{\"username\":\"alice\",\"has_all_requested\":true,\"cluster\":{\"monitor\":false},\"index\":{},\"application\":{}}",
    ));
    let before = scene.app.bytes().len();
    let status = ask(&scene).status;
    assert!(matches!(status, 403 | 503), "{status}");
    assert_eq!(scene.app.bytes().len(), before);
}

/// A permit may outlive the authority where that is asked for; a refusal, and what has run out, may not.
#[test]
fn stale_permits_serve_nobody_who_was_denied() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    fake.know(
        &basic("alice", "alice-password"),
        Account::new("alice", &[], &["cluster:monitor"]),
    );
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("monitor", "/**", "require: { cluster: [monitor] }")
        .and("cache: { ttl: 1ms, refresh_ahead: 1.0, max_stale: 600s, negative_ttl: 1ms }")
        .start();
    let ask = |user: &str, password: &str| gate.proxy.get("/").basic(user, password).send().status;
    assert_eq!(ask("alice", "alice-password"), 200);
    assert_eq!(ask("bob", "bob-password"), 403);
    assert_eq!(ask("alice", "wrong"), 401);
    fake.behave(Script::Status(500));
    assert_eq!(ask("alice", "alice-password"), 200, "stale, as asked for");
    for _ in 0..3 {
        assert_eq!(ask("bob", "bob-password"), 503);
        assert_eq!(ask("alice", "wrong"), 503);
        assert_eq!(ask("root", "root-password"), 503, "never seen");
    }
    assert_eq!(app.requests().len(), 2);
}

#[test]
fn everybody_who_waits_for_a_silent_authority_is_told_in_time_and_nothing_stays_locked() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_authority(&format!(
        "elasticsearch: {{ nodes: [\"{}\"], timeout: 300ms }}",
        fake.url()
    ))
    .upstream("app", &app)
    .route("monitor", "/**", "require: { cluster: [monitor] }")
    .start();
    let latch = Latch::default();
    fake.behave(Script::Hold(latch.clone()));
    let call = gate.proxy.get("/").basic("alice", "alice-password");
    let mut wires: Vec<_> = (0..100)
        .map(|_| {
            let mut wire = gate.proxy.connect();
            wire.send(&call.bytes()).unwrap();
            wire
        })
        .collect();
    // The first ones lose patience.
    drop(wires.drain(..10));
    for mut wire in wires {
        let reply = wire.reply().unwrap();
        reply.expect_refusal(503, "authority_unavailable");
    }
    assert!(app.requests().is_empty());
    latch.open();
    fake.behave(Script::Honest);
    call.send().expect(200);
}
