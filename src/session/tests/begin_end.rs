//! How sessions begin and end, whatever the store.

use std::time::Duration;

use super::fixture::{Bench, Jar, login, sso};
use crate::session::ended::{EndReason, TokenFate};
use crate::session::record::{Kind, OidcNames};
use crate::session::trouble::BeginError;
use crate::session::whose::Whose;

#[tokio::test]
async fn a_login_gives_a_session_that_ends_for_good_at_the_logout() {
    let bench = Bench::new(&sso());
    let (held, jar) = bench.log_in("alice").await;
    assert_eq!(bench.visit(&jar).await, "alice");
    let now = bench.clock.now();
    let end = bench
        .sessions
        .end(&held.session, EndReason::LoggedOut, TokenFate::Leave, now);
    end.await.unwrap();
    assert_eq!(bench.visit(&jar).await, "session_logged_out", "replayed");
    assert_eq!(bench.reasons(), ["session_logged_out"]);
    let ended = bench.ended.lock().unwrap();
    assert_eq!(ended[0].tokens, TokenFate::Leave);
}

#[tokio::test]
async fn a_login_never_keeps_the_id_that_was_there_before() {
    let bench = Bench::new(&sso());
    let (first, mut jar) = bench.log_in("mallory").await;
    let planted = jar.clone();
    let second = bench.log_in_with("alice", &mut jar).await;
    assert_ne!(first.session.id, second.session.id);
    assert_eq!(bench.visit(&jar).await, "alice");
    assert_eq!(bench.visit(&planted).await, "session_replaced");
}

#[tokio::test]
async fn the_cookie_is_cleared_by_a_logout() {
    let bench = Bench::new(&sso());
    let (_, mut jar) = bench.log_in("alice").await;
    jar.take(&bench.sessions.clear_lines(&jar.headers()));
    assert!(jar.0.is_empty());
    assert_eq!(bench.visit(&jar).await, "nothing");
}

#[tokio::test]
async fn without_activity_a_session_runs_out_and_only_activity_keeps_it() {
    let bench = Bench::new(&sso());
    let (_, jar) = bench.log_in("alice").await;
    for _ in 0..3 {
        bench.clock.advance(Duration::from_secs(1_800));
        let held = bench.held(&jar).await;
        bench.sessions.notice(&held, bench.clock.now());
    }
    bench.clock.advance(Duration::from_secs(1_800));
    assert_eq!(
        bench.visit(&jar).await,
        "alice",
        "looked at, which is no activity"
    );
    bench.clock.advance(Duration::from_secs(1_800));
    assert_eq!(bench.visit(&jar).await, "session_idle");
    assert_eq!(bench.reasons(), ["session_idle"]);
}

#[tokio::test]
async fn no_activity_outlives_the_lifespan() {
    let mut settings = sso();
    settings.session.lifespan = Duration::from_secs(5_400);
    let bench = Bench::new(&settings);
    let (_, jar) = bench.log_in("alice").await;
    for _ in 0..2 {
        bench.clock.advance(Duration::from_secs(2_000));
        let held = bench.held(&jar).await;
        bench.sessions.notice(&held, bench.clock.now());
    }
    bench.clock.advance(Duration::from_secs(1_400));
    assert_eq!(bench.visit(&jar).await, "session_lifespan");
}

#[tokio::test]
async fn a_provider_and_a_login_may_have_times_of_their_own() {
    let mut settings = sso();
    settings.providers[0].idle_timeout = Some(Duration::from_secs(60));
    let bench = Bench::new(&settings);
    let (held, _) = bench.log_in("alice").await;
    assert_eq!(held.session.idle_timeout, Duration::from_secs(60));
    assert_eq!(held.session.lifespan, Duration::from_secs(86_400));
    let mut new = login("bob", &bench.clock);
    new.lifespan = Some(Duration::from_secs(5));
    let begun = bench.begin(new);
    let (held, _) = begun.await.unwrap();
    assert_eq!(held.session.lifespan, Duration::from_secs(5));
}

#[tokio::test]
async fn the_youngest_sessions_stay_where_their_number_is_limited() {
    let mut settings = sso();
    settings.session.max_sessions = Some(2);
    let bench = Bench::new(&settings);
    let mut jars = Vec::new();
    for _ in 0..3 {
        bench.clock.advance(Duration::from_secs(1));
        jars.push(bench.log_in("alice").await.1);
    }
    let (_, other) = bench.log_in("bob").await;
    assert_eq!(bench.visit(&jars[0]).await, "session_limit");
    assert_eq!(bench.visit(&jars[1]).await, "alice");
    assert_eq!(bench.visit(&jars[2]).await, "alice");
    assert_eq!(bench.visit(&other).await, "bob");
    assert_eq!(bench.reasons(), ["session_limit"]);
}

#[tokio::test]
async fn anonymous_sessions_are_everybodys_and_not_counted() {
    let mut settings = sso();
    settings.session.max_sessions = Some(1);
    let bench = Bench::new(&settings);
    let mut jars = Vec::new();
    for _ in 0..3 {
        let mut new = login("guest", &bench.clock);
        new.provider = "guest".into();
        new.kind = Kind::Anonymous;
        new.tokens = None;
        let mut jar = Jar::default();
        let begun = bench.begin(new);
        jar.take(&begun.await.unwrap().1);
        jars.push(jar);
    }
    for jar in &jars {
        assert_eq!(bench.visit(jar).await, "guest");
    }
}

#[tokio::test]
async fn all_sessions_of_a_user_end_at_once_and_later_ones_do_not() {
    let bench = Bench::new(&sso());
    let (_, one) = bench.log_in("alice").await;
    let (_, two) = bench.log_in("alice").await;
    let (_, other) = bench.log_in("bob").await;
    let whose = Whose::of_user("alice");
    let ending = bench
        .sessions
        .end_all(&whose, EndReason::Admin, bench.clock.now());
    assert_eq!(ending.await, Ok(2));
    assert_eq!(bench.visit(&one).await, "session_revoked");
    assert_eq!(bench.visit(&two).await, "session_revoked");
    assert_eq!(bench.visit(&other).await, "bob");
    let (_, later) = bench.log_in("alice").await;
    assert_eq!(bench.visit(&later).await, "alice");
}

#[tokio::test]
async fn a_logout_token_ends_the_sessions_it_names() {
    let bench = Bench::new(&sso());
    let mut jars = Vec::new();
    for (subject, sid) in [("s1", Some("a")), ("s1", Some("b")), ("s2", None)] {
        let mut new = login(subject, &bench.clock);
        new.oidc = Some(OidcNames {
            subject: subject.into(),
            session: sid.map(str::to_owned),
        });
        let mut jar = Jar::default();
        let begun = bench.begin(new);
        jar.take(&begun.await.unwrap().1);
        jars.push(jar);
    }
    let end = async |subject, sid| {
        let now = bench.clock.now();
        let whose = Whose::of_subject("form", subject, sid, now.unix).unwrap();
        bench
            .sessions
            .end_all(&whose, EndReason::LoggedOut, now)
            .await
    };
    assert_eq!(end(Some("s1"), Some("b")).await, Ok(1));
    assert_eq!(bench.visit(&jars[0]).await, "s1");
    assert_eq!(bench.visit(&jars[1]).await, "session_logged_out");
    assert_eq!(end(Some("s1"), None).await, Ok(1));
    assert_eq!(end(None, Some("x")).await, Ok(0));
    assert_eq!(bench.visit(&jars[2]).await, "s2");
    assert_eq!(Whose::of_subject("form", None, None, Duration::ZERO), None);
}

#[tokio::test]
async fn sessions_of_a_provider_that_is_gone_end() {
    let bench = Bench::new(&sso());
    let (_, jar) = bench.log_in("alice").await;
    let mut settings = sso();
    settings.providers.remove(0);
    let reloaded = Bench::joining(&settings, &bench.clock, &bench.memory);
    assert_eq!(reloaded.visit(&jar).await, "session_provider_removed");
}

#[tokio::test]
async fn what_ran_out_is_told_although_nobody_comes() {
    let mut settings = sso();
    settings.session.keys.clear();
    let bench = Bench::new(&settings);
    let (_, jar) = bench.log_in("alice").await;
    assert_eq!(bench.sessions.sweep(bench.clock.now()).await, Ok(0));
    bench.clock.advance(Duration::from_secs(3_600));
    assert_eq!(bench.sessions.sweep(bench.clock.now()).await, Ok(1));
    assert_eq!(bench.reasons(), ["session_idle"]);
    assert_eq!(bench.visit(&jar).await, "session_idle");
}

#[tokio::test]
async fn a_sweep_leaves_sessions_that_may_be_in_use_elsewhere() {
    // With keys of their own, other replicas may have seen activity.
    let bench = Bench::new(&sso());
    let (_, _jar) = bench.log_in("alice").await;
    bench.clock.advance(Duration::from_secs(3_600));
    assert_eq!(bench.sessions.sweep(bench.clock.now()).await, Ok(0));
    bench.clock.advance(Duration::from_secs(86_400));
    assert_eq!(bench.sessions.sweep(bench.clock.now()).await, Ok(1));
    assert_eq!(bench.reasons(), ["session_lifespan"]);
}

#[tokio::test]
async fn a_session_that_fits_no_cookie_does_not_begin() {
    let bench = Bench::new(&sso());
    let mut new = login("alice", &bench.clock);
    if let Some(tokens) = &mut new.tokens {
        tokens.access = "x".repeat(20_000).into();
    }
    let begun = bench.begin(new);
    assert_eq!(begun.await.err(), Some(BeginError::TooLarge));
}
