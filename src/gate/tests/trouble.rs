//! When the authority is in trouble: R-09, R-10, A-37.

use std::time::Duration;

use super::fixture::{BEGIN, Bench, Mood, api_key, basic, route, settings};
use crate::config::settings::{Access, Requirement, Settings, Template, TemplatePart};
use crate::gate::purge::PurgeScope;
use crate::gate::refusal::Refusal;

const SECOND: Duration = Duration::from_secs(1);

fn doors() -> Settings {
    let mut settings = settings(vec![
        route("me", "/me", Access::Authenticated),
        route(
            "monitor",
            "/monitor",
            Access::Require(Requirement::Cluster("monitor".into())),
        ),
        route(
            "spaces",
            "/spaces/{space}",
            Access::Require(Requirement::Application {
                application: "shop".into(),
                privilege: "orders_read".into(),
                resource: Template(vec![TemplatePart::Capture("space".into())]),
            }),
        ),
    ]);
    settings.login_limit.per_address = 1;
    settings
}

fn stale() -> Settings {
    let mut settings = doors();
    settings.cache.max_stale = 300 * SECOND;
    settings
}

fn alice() -> String {
    basic("alice", "secret")
}

/// Every way not to answer, and what it is called.
fn troubles() -> Vec<(Mood, &'static str)> {
    let answers = |status, text: &str| Mood::Answers(status, text.to_owned());
    let short =
        r#"{"username":"alice","has_all_requested":true,"cluster":{},"index":{},"application":{}}"#;
    vec![
        (answers(500, "{}"), "unavailable status"),
        (answers(503, ""), "unavailable status"),
        (answers(403, "{}"), "unavailable status"),
        (answers(404, "{}"), "unavailable status"),
        (answers(302, ""), "unavailable status"),
        (answers(429, ""), "unavailable overloaded"),
        (answers(200, "<html>hello</html>"), "unavailable garbage"),
        (
            answers(200, r#"{"username":"alice","roles":["#),
            "unavailable garbage",
        ),
        (answers(200, short), "unavailable garbage"),
        (answers(200, &"x".repeat(2 << 20)), "unavailable garbage"),
        (Mood::ForeignRefusal, "unavailable not_elasticsearch"),
        (Mood::Unreachable, "unavailable connect"),
        (Mood::Silent, "unavailable timeout"),
    ]
}

#[tokio::test]
async fn trouble_is_503_never_401_not_remembered_and_no_failed_login() {
    for (mood, expected) in troubles() {
        let bench = Bench::with_timeout(&doors(), Duration::from_millis(40));
        bench.fake.feels(mood.clone());
        for _ in 0..3 {
            assert_eq!(bench.told("/monitor", &alice()).await, expected, "{mood:?}");
        }
        let stats = bench.gate.stats();
        assert_eq!((stats.entries, stats.negative), (0, 0), "{mood:?}");
        bench.fake.feels(Mood::Well);
        assert_eq!(
            bench.told("/monitor", &alice()).await,
            "permitted miss",
            "{mood:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_short_of_what_was_asked_grants_nothing() {
    let bench = Bench::new(&doors());
    let identity_and_all = serde_json::json!({
        "username": "alice", "roles": [], "full_name": null, "email": null, "metadata": {}, "enabled": true,
        "authentication_realm": {"name": "r", "type": "native"}, "lookup_realm": {"name": "r", "type": "native"},
        "authentication_type": "realm", "has_all_requested": true, "cluster": {}, "index": {}, "application": {},
    });
    bench
        .fake
        .feels(Mood::Answers(200, identity_and_all.to_string()));
    assert_eq!(
        bench.told("/monitor", &alice()).await,
        "unavailable garbage"
    );
}

#[tokio::test]
async fn an_answer_about_somebody_anonymous_or_disabled_lets_nobody_in() {
    let bench = Bench::new(&settings(vec![route("me", "/me", Access::Authenticated)]));
    let mut answer = serde_json::json!({
        "username": "_anonymous", "roles": [], "full_name": null, "email": null, "metadata": {}, "enabled": true,
        "authentication_realm": {"name": "__anonymous", "type": "__anonymous"},
        "lookup_realm": {"name": "__anonymous", "type": "__anonymous"}, "authentication_type": "anonymous",
    });
    bench.fake.feels(Mood::Answers(200, answer.to_string()));
    assert_eq!(bench.told("/me", &alice()).await, "unavailable garbage");
    answer["authentication_type"] = "realm".into();
    answer["enabled"] = false.into();
    bench.fake.feels(Mood::Answers(200, answer.to_string()));
    assert_eq!(bench.told("/me", &alice()).await, "unauthenticated");
}

#[tokio::test]
async fn an_overloaded_authority_says_when_to_come_back() {
    let bench = Bench::new(&doors());
    bench.fake.feels(Mood::Answers(429, String::new()));
    match bench.get("/me", &alice()).await {
        Err(Refusal::AuthorityUnavailable { retry_after, .. }) => assert!(retry_after >= SECOND),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_live_entry_needs_no_authority() {
    let bench = Bench::new(&doors());
    assert_eq!(bench.told("/monitor", &alice()).await, "permitted miss");
    bench.fake.feels(Mood::Unreachable);
    assert_eq!(bench.told("/monitor", &alice()).await, "permitted hit");
    assert_eq!(
        bench.told("/spaces/a", &alice()).await,
        "unavailable connect"
    );
    assert_eq!(
        bench.told("/monitor", &basic("bob", "secret")).await,
        "unavailable connect"
    );
}

#[tokio::test]
async fn stale_answers_are_off_by_default() {
    let bench = Bench::new(&doors());
    assert_eq!(bench.told("/monitor", &alice()).await, "permitted miss");
    bench.fake.feels(Mood::Unreachable);
    bench.clock.advance(60 * SECOND);
    assert_eq!(
        bench.told("/monitor", &alice()).await,
        "unavailable connect"
    );
}

#[tokio::test]
async fn a_former_permit_serves_through_an_outage_for_as_long_as_allowed() {
    let bench = Bench::new(&stale());
    assert_eq!(bench.told("/monitor", &alice()).await, "permitted miss");
    assert_eq!(bench.told("/spaces/a", &alice()).await, "permitted hit");
    bench.fake.feels(Mood::Answers(500, String::new()));
    bench.clock.advance(60 * SECOND);
    let before = bench.fake.asks();
    for _ in 0..5 {
        assert_eq!(bench.told("/monitor", &alice()).await, "permitted stale");
    }
    assert_eq!(bench.told("/spaces/a", &alice()).await, "permitted stale");
    assert_eq!(
        bench.fake.asks().0,
        before.0 + 1,
        "not everybody waits for the outage again"
    );
    assert_eq!(
        bench.told("/monitor", &basic("bob", "secret")).await,
        "unavailable status"
    );
    bench.clock.advance(300 * SECOND);
    assert_eq!(bench.told("/monitor", &alice()).await, "unavailable status");
    bench.fake.feels(Mood::Well);
    assert_eq!(bench.told("/monitor", &alice()).await, "permitted miss");
}

#[tokio::test]
async fn a_former_no_is_not_served_stale() {
    let bench = Bench::new(&stale());
    assert_eq!(
        bench.told("/monitor", &basic("bob", "secret")).await,
        "forbidden"
    );
    bench.fake.feels(Mood::Unreachable);
    bench.clock.advance(60 * SECOND);
    assert_eq!(
        bench.told("/monitor", &basic("bob", "secret")).await,
        "unavailable connect"
    );
}

#[tokio::test]
async fn only_transport_errors_and_5xx_allow_stale_answers() {
    for mood in [
        Mood::Answers(429, String::new()),
        Mood::Answers(200, "garbage".to_owned()),
        Mood::Answers(403, "{}".to_owned()),
        Mood::ForeignRefusal,
    ] {
        let bench = Bench::new(&stale());
        assert_eq!(bench.told("/me", &alice()).await, "permitted miss");
        bench.clock.advance(60 * SECOND);
        bench.fake.feels(mood.clone());
        assert!(
            bench.told("/me", &alice()).await.starts_with("unavailable"),
            "{mood:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_or_a_purge_ends_stale_serving_at_once() {
    let bench = Bench::new(&stale());
    assert_eq!(bench.told("/me", &alice()).await, "permitted miss");
    bench.fake.remove("alice");
    bench.clock.advance(60 * SECOND);
    assert_eq!(bench.told("/me", &alice()).await, "unauthenticated");
    bench.fake.feels(Mood::Unreachable);
    bench.clock.advance(5 * SECOND);
    assert_ne!(bench.told("/me", &alice()).await, "permitted stale");

    let bench = Bench::new(&stale());
    assert_eq!(bench.told("/me", &alice()).await, "permitted miss");
    bench.fake.feels(Mood::Unreachable);
    bench.clock.advance(60 * SECOND);
    assert_eq!(bench.told("/me", &alice()).await, "permitted stale");
    bench.gate.purge(PurgeScope::All).await;
    assert_eq!(bench.told("/me", &alice()).await, "unavailable connect");
}

#[tokio::test]
async fn no_credential_outlives_its_own_expiry_however_stale_answers_may_be() {
    let bench = Bench::new(&stale());
    let expires = BEGIN + 90 * SECOND;
    bench
        .fake
        .add_key("k1", "pw", &[], Some(expires.as_millis() as u64));
    let key = api_key("k1", "pw");
    assert_eq!(bench.told("/me", &key).await, "permitted miss");
    bench.fake.feels(Mood::Unreachable);
    bench.clock.advance(60 * SECOND);
    assert_eq!(bench.told("/me", &key).await, "permitted stale");
    bench.clock.advance(28 * SECOND);
    assert_eq!(bench.told("/me", &key).await, "unavailable connect");
}
