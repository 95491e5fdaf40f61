//! Browser sessions as written.

use std::time::Duration;

use super::*;
use crate::config::sso::{SessionSettings, SessionStore};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn with_session(body: &str) -> String {
    let session = indented(body, 4);
    format!(
        "{MINIMAL}sso:\n  public_url: https://a\n  providers: [{{ name: a, login: {{ anonymous: authority }} }}]\n  session:\n{session}"
    )
}

fn session(body: &str) -> SessionSettings {
    taken(&with_session(body)).settings.sso.unwrap().session
}

#[test]
fn without_the_section_sessions_are_in_cookies_for_a_day() {
    let session = session("persistent: false");
    assert!(matches!(session.store, SessionStore::Cookie));
    assert_eq!(session.lifespan, Duration::from_secs(24 * 3_600));
    assert_eq!(session.idle_timeout, Duration::from_secs(8 * 3_600));
    assert!(session.keys.is_empty() && session.max_sessions.is_none());
}

#[test]
fn everything_written_is_taken() {
    let session = session(&format!(
        r#"
store: {{ redis: {{ address: "redis:6379", username: u, password: p, database: 3, timeout: 250ms }} }}
keys: ["{KEY}", "{KEY}2"]
cookie_name: shop
persistent: true
idle_timeout: 10m
lifespan: 2h
max_sessions: 3
background: {{ paths: [/poll/**, "/x/{{id}}"], header: X-Background }}
end_on_drain: true
"#
    ));
    let SessionStore::Redis(redis) = &session.store else {
        panic!()
    };
    assert_eq!((redis.address.as_str(), redis.database), ("redis:6379", 3));
    assert_eq!(redis.timeout, Duration::from_millis(250));
    assert_eq!(redis.key_prefix, "sidegate:");
    assert_eq!(session.keys.len(), 2);
    assert_eq!(session.cookie_name.as_deref(), Some("shop"));
    assert_eq!(session.max_sessions, Some(3));
    assert_eq!(session.background.paths, ["/poll/**", "/x/{id}"]);
    assert_eq!(session.background.header.as_deref(), Some("x-background"));
    assert!(session.persistent && session.end_on_drain);
}

#[test]
fn keys_are_long_and_each_its_own() {
    let at = |body: &str| fault(&with_session(body)).0;
    assert_eq!(at("keys: [short]"), "sso.session.keys[0]");
    assert_eq!(
        at(&format!("keys: [\"{KEY}\", \"{KEY}\"]")),
        "sso.session.keys[1]"
    );
    assert_eq!(
        at("store: { redis: { address: \"redis:6379\" } }"),
        "sso.session.keys"
    );
}

#[test]
fn what_can_not_be_is_refused() {
    let at = |body: &str| fault(&with_session(body)).0;
    assert_eq!(at("max_sessions: 0"), "sso.session.max_sessions");
    assert_eq!(at("lifespan: 0s"), "sso.session.lifespan");
    assert_eq!(at("cookie_name: __Host-x"), "sso.session.cookie_name");
    assert_eq!(
        at("background: { paths: [x] }"),
        "sso.session.background.paths[0]"
    );
    let redis = |rest: &str| {
        at(&format!(
            "keys: [\"{KEY}\"]\nstore: {{ redis: {{ {rest} }} }}"
        ))
    };
    assert_eq!(redis("address: redis"), "sso.session.store.redis.address");
    assert_eq!(
        redis("address: \"redis:1\", username: u"),
        "sso.session.store.redis.password"
    );
}
