//! What holds for sessions in cookies: sealing, rotation, several tabs, planted cookies.

use std::time::Duration;

use http::header::COOKIE;

use super::fixture::{Bench, Jar, sso};
use crate::model::secret::Secret;
use crate::session::record::Tokens;

fn tokens(bench: &Bench, name: &str) -> Tokens {
    Tokens::new(
        name.into(),
        Some("next".into()),
        Duration::from_secs(1_200),
        bench.clock.now(),
    )
}

#[tokio::test]
async fn nothing_in_the_cookie_can_be_read() {
    let bench = Bench::new(&sso());
    let (_, jar) = bench.log_in("alice").await;
    let [(name, value)] = jar.0.as_slice() else {
        panic!("one cookie: {jar:?}");
    };
    assert!(name.starts_with("__Host-sidegate-session-"), "{name}");
    assert!(!value.contains("alice") && !value.contains("access"));
    assert!(value.len() < 1_000, "{}", value.len());
}

#[tokio::test]
async fn what_this_instance_did_not_seal_counts_for_nothing() {
    let bench = Bench::new(&sso());
    let (_, jar) = bench.log_in("alice").await;
    let (name, value) = jar.0[0].clone();
    let mut flipped = value.clone();
    flipped.replace_range(60..61, if &value[60..61] == "A" { "B" } else { "A" });
    for wrong in [
        flipped,
        value[..value.len() - 4].to_owned(),
        "x".into(),
        format!("{value}AAAA"),
    ] {
        assert_eq!(
            bench.visit(&Jar(vec![(name.clone(), wrong)])).await,
            "nothing"
        );
    }
    assert_eq!(bench.visit(&jar).await, "alice");
    let mut elsewhere = sso();
    elsewhere.session.cookie_name = Some("same".into());
    let first = Bench::new(&elsewhere);
    let (_, jar) = first.log_in("alice").await;
    elsewhere.public_url.authority = "other.example".into();
    assert_eq!(
        Bench::new(&elsewhere).visit(&jar).await,
        "nothing",
        "another deployment's"
    );
}

#[tokio::test]
async fn a_planted_twin_makes_no_session_and_does_no_harm_to_the_real_one() {
    let bench = Bench::new(&sso());
    let (_, jar) = bench.log_in("alice").await;
    let (_, attackers) = bench.log_in("mallory").await;
    let mut headers = attackers.headers();
    headers.append(COOKIE, jar.headers()[COOKIE].clone());
    let found = bench.sessions.open(&headers, bench.clock.now()).await;
    assert!(matches!(found, Ok(crate::session::Found::Nothing)));
    assert_eq!(bench.visit(&jar).await, "alice");
}

#[tokio::test]
async fn keys_are_rotated_without_anybody_noticing() {
    let bench = Bench::new(&sso());
    let (_, mut jar) = bench.log_in("alice").await;
    let mut both = sso();
    both.session
        .keys
        .insert(0, Secret::from("key two, which is thirty-two bytes"));
    let bench = Bench::joining(&both, &bench.clock, &bench.memory);
    let held = bench.held(&jar).await;
    let lines = bench.sessions.lines(&held, bench.clock.now());
    assert_eq!(lines.len(), 1, "sealed anew with the first key");
    jar.take(&lines);
    both.session.keys.pop();
    let bench = Bench::joining(&both, &bench.clock, &bench.memory);
    assert_eq!(bench.visit(&jar).await, "alice");
    let old = Bench::joining(&sso(), &bench.clock, &bench.memory);
    assert_eq!(old.visit(&jar).await, "nothing");
}

#[tokio::test]
async fn without_keys_sessions_survive_a_reload_and_no_restart() {
    let mut settings = sso();
    settings.session.keys.clear();
    let bench = Bench::new(&settings);
    let (_, jar) = bench.log_in("alice").await;
    let reloaded = Bench::joining(&settings, &bench.clock, &bench.memory);
    assert_eq!(reloaded.visit(&jar).await, "alice");
    assert_eq!(Bench::new(&settings).visit(&jar).await, "nothing");
}

#[tokio::test]
async fn new_tokens_reach_every_tab_and_the_cookie() {
    let bench = Bench::new(&sso());
    let (held, mut jar) = bench.log_in("alice").await;
    let new = tokens(&bench, "second");
    let replaced = bench
        .sessions
        .replace_tokens(&held.live, &held.session, new.clone());
    assert_eq!(replaced.await.unwrap().tokens, Some(new.clone()));
    // A tab with the old cookie uses the new tokens, and gets the new cookie.
    let tab = bench.held(&jar).await;
    assert_eq!(tab.session.tokens, Some(new.clone()));
    let lines = bench.sessions.lines(&tab, bench.clock.now());
    assert_eq!(
        lines,
        bench.sessions.lines(&tab, bench.clock.now()),
        "the same for all tabs"
    );
    jar.take(&lines);
    // So does another replica with the same key.
    let other = Bench::joining(&sso(), &bench.clock, &std::sync::Arc::default());
    assert_eq!(other.held(&jar).await.session.tokens, Some(new));
    let up_to_date = bench.held(&jar).await;
    assert!(
        bench
            .sessions
            .lines(&up_to_date, bench.clock.now())
            .is_empty()
    );
}

#[tokio::test]
async fn who_is_late_with_new_tokens_changes_nothing() {
    let bench = Bench::new(&sso());
    let (held, _) = bench.log_in("alice").await;
    let (first, second) = (tokens(&bench, "first"), tokens(&bench, "second"));
    let won = bench
        .sessions
        .replace_tokens(&held.live, &held.session, first.clone());
    assert_eq!(won.await.unwrap().generation, 2);
    let lost = bench
        .sessions
        .replace_tokens(&held.live, &held.session, second);
    assert_eq!(lost.await.unwrap().tokens, Some(first));
}

#[tokio::test]
async fn activity_is_written_into_the_cookie_now_and_then() {
    let bench = Bench::new(&sso());
    let (_, jar) = bench.log_in("alice").await;
    let mut written = 0;
    for _ in 0..120 {
        bench.clock.advance(Duration::from_secs(1));
        let held = bench.held(&jar).await;
        bench.sessions.notice(&held, bench.clock.now());
        written += usize::from(!bench.sessions.lines(&held, bench.clock.now()).is_empty());
    }
    // From the 60th second on, as this browser ignores what it is told.
    assert_eq!(written, 61);
    let held = bench.held(&jar).await;
    assert_eq!(held.live.active(), bench.clock.now().unix);
}

#[tokio::test]
async fn sessions_ended_at_once_are_barred_although_this_process_never_saw_them() {
    use crate::session::ended::EndReason;
    use crate::session::whose::Whose;
    let bench = Bench::new(&sso());
    let (_, jar) = bench.log_in("alice").await;
    bench.clock.advance(Duration::from_secs(1));
    let restarted = Bench::joining(&sso(), &bench.clock, &std::sync::Arc::default());
    let whose = Whose::of_user("alice");
    let now = bench.clock.now();
    let ending = restarted.sessions.end_all(&whose, EndReason::Admin, now);
    assert_eq!(ending.await, Ok(0));
    assert_eq!(restarted.visit(&jar).await, "session_revoked");
    assert_eq!(restarted.reasons(), ["session_revoked"]);
}

#[tokio::test]
async fn a_persistent_cookie_lives_as_long_as_its_session() {
    let mut settings = sso();
    settings.session.persistent = true;
    settings.session.partitioned = true;
    let bench = Bench::new(&settings);
    let new = super::fixture::login("alice", &bench.clock);
    let begun = bench.begin(new);
    let (_, lines) = begun.await.unwrap();
    let line = lines[0].1.to_str().unwrap();
    assert!(
        line.ends_with("; SameSite=None; Partitioned; Max-Age=86400"),
        "{line}"
    );
}
