//! How long answers are used, and who waits for whom: R-03…R-09, R-24, A-34…A-36, A-38, A-39.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;

use super::fixture::{BEGIN, Bench, Mood, api_key, basic, head, peer, route, settings, tell};
use crate::config::settings::{Access, Requirement, Settings, Template, TemplatePart};
use crate::gate::purge::PurgeScope;
use crate::gate::trace::Steps;

const SECOND: Duration = Duration::from_secs(1);

fn doors() -> Settings {
    settings(vec![
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
                privilege: "space".into(),
                resource: Template(vec![TemplatePart::Capture("space".into())]),
            }),
        ),
    ])
}

fn alice() -> String {
    basic("alice", "secret")
}

/// Lets background tasks run until `done`.
async fn until(done: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came to pass");
}

#[tokio::test]
async fn a_verdict_dies_within_its_ttl() {
    let bench = Bench::new(&doors());
    assert_eq!(bench.told("/monitor", &alice()).await, "permitted miss");
    bench.fake.add("alice", "secret", &[], &[]);
    bench.clock.advance(53 * SECOND);
    assert_eq!(bench.told("/monitor", &alice()).await, "permitted hit");
    bench.clock.advance(7 * SECOND);
    assert_eq!(bench.told("/monitor", &alice()).await, "forbidden");
    assert_eq!(bench.fake.asks(), (2, 2));
}

#[tokio::test]
async fn a_new_password_works_at_once_beside_the_old_entry() {
    let bench = Bench::new(&doors());
    assert_eq!(bench.told("/me", &alice()).await, "permitted miss");
    bench.fake.add("alice", "changed", &[], &[]);
    assert_eq!(
        bench.told("/me", &basic("alice", "changed")).await,
        "permitted miss"
    );
    bench.clock.advance(60 * SECOND);
    assert_eq!(bench.told("/me", &alice()).await, "unauthenticated");
}

#[tokio::test]
async fn an_api_keys_expiry_shortens_its_life() {
    let bench = Bench::new(&doors());
    let expires = BEGIN + 30 * SECOND;
    bench
        .fake
        .add_key("k1", "pw", &[], Some(expires.as_millis() as u64));
    let key = api_key("k1", "pw");
    assert_eq!(bench.told("/me", &key).await, "permitted miss");
    bench.clock.advance(27 * SECOND);
    assert_eq!(bench.told("/me", &key).await, "permitted hit");
    // Two seconds of leeway: asked again, and served, but not remembered any more.
    bench.clock.advance(SECOND);
    assert_eq!(bench.told("/me", &key).await, "permitted miss");
    assert_eq!(bench.told("/me", &key).await, "permitted miss");
}

#[tokio::test]
async fn a_jwts_expiry_shortens_its_life() {
    let bench = Bench::new(&doors());
    let claims = format!(r#"{{"exp":{}}}"#, (BEGIN + 12 * SECOND).as_secs());
    let token = format!(
        "e30.{}.c2ln",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims)
    );
    bench.fake.add(&token, "", &[], &[]);
    let bearer = format!("Bearer {token}");
    assert_eq!(bench.told("/me", &bearer).await, "permitted miss");
    assert_eq!(bench.told("/me", &bearer).await, "permitted hit");
    bench.clock.advance(10 * SECOND);
    assert_eq!(bench.told("/me", &bearer).await, "permitted miss");
}

#[tokio::test]
async fn a_refusal_is_remembered_for_a_little_while() {
    let bench = Bench::new(&doors());
    let wrong = basic("alice", "wrong");
    for _ in 0..3 {
        assert_eq!(bench.told("/me", &wrong).await, "unauthenticated");
    }
    assert_eq!(bench.fake.asks().0, 1);
    bench.fake.add("alice", "wrong", &[], &[]);
    bench.clock.advance(5 * SECOND);
    assert_eq!(bench.told("/me", &wrong).await, "permitted miss");
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_evicts_nothing_good() {
    let bench = Bench::new(&doors());
    assert_eq!(bench.told("/me", &alice()).await, "permitted miss");
    for guess in 0..2_000 {
        assert_eq!(
            bench
                .told("/me", &basic("alice", &format!("guess{guess}")))
                .await,
            "unauthenticated"
        );
    }
    let stats = bench.gate.stats();
    assert!(stats.negative <= 100, "{stats:?}");
    assert_eq!(stats.entries, 1);
    assert_eq!(bench.told("/me", &alice()).await, "permitted hit");
}

#[tokio::test]
async fn a_used_entry_is_refreshed_in_the_background() {
    let mut settings = doors();
    settings.cache.refresh_ahead = 0.5;
    let bench = Bench::new(&settings);
    assert_eq!(bench.told("/monitor", &alice()).await, "permitted miss");
    bench.clock.advance(30 * SECOND);
    for _ in 0..3 {
        assert_eq!(bench.told("/monitor", &alice()).await, "permitted hit");
    }
    until(|| bench.fake.asks() == (2, 2) && bench.gate.stats().in_flight == 0).await;
    // Past the first entry's ttl the second one serves: nobody waited.
    bench.clock.advance(31 * SECOND);
    assert_eq!(bench.told("/monitor", &alice()).await, "permitted hit");
}

#[tokio::test]
async fn a_refresh_that_is_refused_removes_the_entry_at_once() {
    let mut settings = doors();
    settings.cache.refresh_ahead = 0.5;
    let bench = Bench::new(&settings);
    assert_eq!(bench.told("/me", &alice()).await, "permitted miss");
    bench.fake.remove("alice");
    bench.clock.advance(30 * SECOND);
    assert_eq!(bench.told("/me", &alice()).await, "permitted hit");
    until(|| bench.gate.stats().in_flight == 0 && bench.gate.stats().entries == 0).await;
    assert_eq!(bench.told("/me", &alice()).await, "unauthenticated");
}

#[tokio::test]
async fn answers_about_captures_are_refreshed_in_the_background_too() {
    let mut settings = doors();
    settings.cache.refresh_ahead = 0.5;
    let bench = Bench::new(&settings);
    bench.fake.add("eve", "pw", &[], &["space"]);
    let eve = basic("eve", "pw");
    assert_eq!(bench.told("/spaces/a", &eve).await, "permitted miss");
    bench.clock.advance(30 * SECOND);
    assert_eq!(bench.told("/spaces/a", &eve).await, "permitted hit");
    until(|| bench.fake.asks() == (2, 4) && bench.gate.stats().in_flight == 0).await;
    bench.clock.advance(31 * SECOND);
    assert_eq!(bench.told("/spaces/a", &eve).await, "permitted hit");
    assert_eq!(bench.fake.asks(), (2, 4));
}

#[tokio::test]
async fn a_purge_by_any_scope_forgets_those_it_means_and_no_others() {
    for (scope, forgets) in [
        (PurgeScope::All, true),
        (PurgeScope::User("alice".into()), true),
        (PurgeScope::Realm("native1".into()), true),
        (PurgeScope::Role("reader".into()), true),
        (PurgeScope::User("bob".into()), false),
        (PurgeScope::Role("guest".into()), false),
        (PurgeScope::ApiKey("alice".into()), false),
    ] {
        let bench = Bench::new(&doors());
        bench.told("/me", &alice()).await;
        let swept = bench.gate.purge(scope.clone()).await;
        assert_eq!(swept, u64::from(forgets), "{scope:?}");
        let expected = if forgets {
            "permitted miss"
        } else {
            "permitted hit"
        };
        assert_eq!(bench.told("/me", &alice()).await, expected, "{scope:?}");
        assert_eq!(
            bench.told("/me", &alice()).await,
            "permitted hit",
            "{scope:?}"
        );
    }
    let bench = Bench::new(&doors());
    bench.fake.add_key("k1", "pw", &[], None);
    bench.told("/me", &api_key("k1", "pw")).await;
    assert_eq!(bench.gate.purge(PurgeScope::ApiKey("k1".into())).await, 1);
    assert_eq!(
        bench.told("/me", &api_key("k1", "pw")).await,
        "permitted miss"
    );
}

#[tokio::test]
async fn a_purge_wins_against_an_ask_in_flight() {
    let (bench, alice) = (Bench::new(&doors()), alice());
    let slow = bench.fake.hold();
    let asking = bench.get("/monitor", &alice);
    tokio::pin!(asking);
    // The authority has judged, with the old privileges, but its answer is still under way.
    assert!(futures_util::poll!(&mut asking).is_pending());
    until(|| bench.fake.asks() == (1, 1)).await;
    bench.fake.add("alice", "secret", &[], &[]);
    bench.gate.purge(PurgeScope::User("alice".into())).await;
    slow.close();
    // Even the one who asked before the purge gets the new answer; so does who comes after.
    assert_eq!(tell(&asking.await), "forbidden");
    assert_eq!(bench.told("/monitor", &alice).await, "forbidden");
    assert_eq!(bench.fake.asks(), (2, 2));
}

#[tokio::test]
async fn who_comes_after_a_purge_does_not_join_an_ask_from_before() {
    let (bench, alice) = (Bench::new(&doors()), alice());
    let slow = bench.fake.hold();
    let before = bench.get("/me", &alice);
    tokio::pin!(before);
    assert!(futures_util::poll!(&mut before).is_pending());
    until(|| bench.fake.asks().0 == 1).await;
    bench.fake.remove("alice");
    bench.gate.purge(PurgeScope::All).await;
    let after = bench.get("/me", &alice);
    tokio::pin!(after);
    assert!(futures_util::poll!(&mut after).is_pending());
    until(|| bench.fake.asks().0 == 2).await;
    slow.close();
    assert_eq!(tell(&after.await), "unauthenticated");
}

#[tokio::test]
async fn a_stampede_makes_one_ask() {
    let bench = Arc::new(Bench::new(&doors()));
    let slow = bench.fake.hold();
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.told("/monitor", &alice()).await })
        })
        .collect();
    until(|| bench.fake.asks() == (1, 1)).await;
    slow.close();
    let mut how = std::collections::BTreeMap::new();
    for caller in callers {
        *how.entry(caller.await.unwrap()).or_insert(0) += 1;
    }
    assert_eq!(how.get("permitted miss"), Some(&1), "{how:?}");
    assert!(
        how.keys().all(|told| told.starts_with("permitted")),
        "{how:?}"
    );
    assert_eq!(bench.fake.asks(), (1, 1));
}

#[tokio::test]
async fn a_caller_who_hangs_up_hurts_nobody() {
    let (bench, alice) = (Bench::new(&doors()), alice());
    let slow = bench.fake.hold();
    {
        let first = bench.get("/me", &alice);
        tokio::pin!(first);
        assert!(futures_util::poll!(&mut first).is_pending());
        until(|| bench.fake.asks().0 == 1).await;
    }
    let second = bench.get("/me", &alice);
    tokio::pin!(second);
    assert!(futures_util::poll!(&mut second).is_pending());
    slow.close();
    assert_eq!(tell(&second.await), "permitted coalesced");
    assert_eq!(bench.fake.asks().0, 1);
}

#[tokio::test]
async fn an_ask_that_dies_releases_those_who_wait() {
    let bench = Bench::new(&doors());
    bench.fake.feels(Mood::PanicsOnce);
    assert_eq!(bench.told("/me", &alice()).await, "permitted miss");
    assert_eq!(bench.gate.stats().in_flight, 0);
}

#[tokio::test]
async fn who_waits_too_long_is_told_so_and_no_ask_stays_behind() {
    let bench = Bench::with_timeout(&doors(), Duration::from_millis(40));
    bench.fake.feels(Mood::Silent);
    assert_eq!(bench.told("/me", &alice()).await, "unavailable timeout");
    until(|| bench.gate.stats().in_flight == 0).await;
    bench.fake.feels(Mood::Well);
    assert_eq!(bench.told("/me", &alice()).await, "permitted miss");
}

#[tokio::test]
async fn failed_logins_are_limited_by_name_and_by_address() {
    let mut settings = doors();
    settings.login_limit.per_username = 3;
    settings.login_limit.per_address = 6;
    let bench = Bench::new(&settings);
    for (guess, name) in ["alice", "ALICE", "ａｌｉｃｅ"].iter().enumerate() {
        assert_eq!(
            bench
                .told("/me", &basic(name, &format!("guess{guess}")))
                .await,
            "unauthenticated"
        );
    }
    assert_eq!(
        bench.told("/me", &basic("alice ", "guess")).await,
        "too_many_failures"
    );
    let asks = bench.fake.asks();
    assert_eq!(bench.told("/me", &alice()).await, "too_many_failures");
    assert_eq!(bench.fake.asks(), asks, "nobody is asked while blocked");
    for user in 0..3 {
        assert_eq!(
            bench.told("/me", &basic(&format!("u{user}"), "x")).await,
            "unauthenticated"
        );
    }
    assert_eq!(
        bench.told("/me", &basic("bob", "secret")).await,
        "too_many_failures"
    );
    let head = head("/me", &[&basic("bob", "secret")]);
    let elsewhere = bench
        .gate
        .decide(
            &head,
            &peer("10.0.0.2"),
            bench.clock.now(),
            &mut Steps::off(),
        )
        .await;
    assert_eq!(tell(&elsewhere), "permitted miss");
    bench.clock.advance(60 * SECOND);
    assert_eq!(bench.told("/me", &alice()).await, "permitted miss");
}

#[tokio::test]
async fn the_cache_neither_counts_nor_resets_and_a_proven_credential_is_not_blocked() {
    let mut settings = doors();
    settings.login_limit.per_address = 2;
    let bench = Bench::new(&settings);
    assert_eq!(bench.told("/me", &alice()).await, "permitted miss");
    for _ in 0..10 {
        // One ask, one failure; the rest are remembered refusals.
        assert_eq!(bench.told("/me", &basic("x", "1")).await, "unauthenticated");
    }
    assert_eq!(bench.told("/me", &alice()).await, "permitted hit");
    assert_eq!(bench.told("/me", &basic("x", "2")).await, "unauthenticated");
    assert_eq!(
        bench.told("/me", &basic("x", "3")).await,
        "too_many_failures"
    );
    assert_eq!(bench.told("/me", &alice()).await, "permitted hit");
    assert!(
        bench
            .limiter
            .check(peer("10.0.0.1").client_ip, None, bench.clock.now())
            .is_err()
    );
}

#[tokio::test]
async fn long_credentials_that_differ_late_get_their_own_verdict() {
    let bench = Bench::new(&doors());
    let user = "u".repeat(60);
    bench.fake.add(&user, "right", &[], &[]);
    assert_eq!(
        bench.told("/me", &basic(&user, "right")).await,
        "permitted miss"
    );
    assert_eq!(
        bench.told("/me", &basic(&user, "wrong")).await,
        "unauthenticated"
    );
    let token = "t".repeat(200);
    bench.fake.add(&format!("{token}a"), "", &[], &[]);
    assert_eq!(
        bench.told("/me", &format!("Bearer {token}a")).await,
        "permitted miss"
    );
    assert_eq!(
        bench.told("/me", &format!("Bearer {token}b")).await,
        "unauthenticated"
    );
}

#[tokio::test]
async fn a_purge_forgets_answers_about_captures_too_also_those_in_flight() {
    let bench = Bench::new(&doors());
    bench.fake.add("eve", "pw", &[], &["space"]);
    let eve = basic("eve", "pw");
    assert_eq!(bench.told("/spaces/a", &eve).await, "permitted miss");
    bench.fake.add("eve", "pw", &[], &[]);
    bench.gate.purge(PurgeScope::User("eve".into())).await;
    assert_eq!(bench.told("/spaces/a", &eve).await, "forbidden");

    bench.fake.add("eve", "pw", &[], &["space"]);
    let slow = bench.fake.hold();
    let asking = bench.get("/spaces/b", &eve);
    tokio::pin!(asking);
    let asks = bench.fake.asks().1;
    assert!(futures_util::poll!(&mut asking).is_pending());
    until(|| bench.fake.asks().1 == asks + 1).await;
    bench.fake.add("eve", "pw", &[], &[]);
    bench.gate.purge(PurgeScope::All).await;
    slow.close();
    assert_eq!(tell(&asking.await), "forbidden");
}

#[tokio::test]
async fn many_who_wait_for_one_refusal_are_one_failed_login() {
    let mut settings = doors();
    settings.login_limit.per_address = 2;
    let bench = Arc::new(Bench::new(&settings));
    let slow = bench.fake.hold();
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.told("/me", &basic("alice", "wrong")).await })
        })
        .collect();
    until(|| bench.fake.asks().0 == 1).await;
    slow.close();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "unauthenticated");
    }
    assert_eq!(
        bench.told("/me", &basic("alice", "wrong too")).await,
        "unauthenticated"
    );
    assert_eq!(
        bench.told("/me", &basic("alice", "wrong again")).await,
        "too_many_failures"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_that_race_for_many_credentials_still_make_one_pair_of_asks_each() {
    let bench = Arc::new(Bench::new(&doors()));
    for user in 0..50 {
        bench.fake.add(&format!("u{user}"), "pw", &[], &["monitor"]);
    }
    let callers: Vec<_> = (0..2_000)
        .map(|at| {
            let bench = Arc::clone(&bench);
            let credential = basic(&format!("u{}", at % 50), "pw");
            tokio::spawn(async move { bench.get("/monitor", &credential).await.is_ok() })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    let (identities, privileges) = bench.fake.asks();
    assert_eq!((identities, privileges), (50, 50));
}
