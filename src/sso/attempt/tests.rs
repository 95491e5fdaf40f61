//! Attempts in cookies, and used up.

use super::*;
use crate::model::clock::Clock;
use crate::sso::fixture;

fn attempts() -> (Attempts, Clock) {
    let sso = fixture::sso("{ name: corp, login: { saml: { realm: s } } }");
    let attempts = Attempts::new(&sso, &fixture::keyring());
    (attempts, Clock::manual(Duration::from_secs(1_000_000)))
}

fn attempt(clock: &Clock, request: &str) -> Attempt {
    let flow = Flow::Saml {
        request: request.to_owned(),
    };
    let next = ReturnTo::parse("/x?y#z").unwrap();
    Attempt::new("corp", flow, next, true, Attempt::new_id(), clock.now())
}

#[test]
fn an_attempt_is_found_by_its_name_alone_while_it_is_young() {
    let (attempts, clock) = attempts();
    let one = attempt(&clock, "_1");
    let lines = attempts.keep(&one, &HeaderMap::new(), clock.now());
    let line = lines[0].1.to_str().unwrap();
    assert!(line.starts_with("__Host-sidegate-login-"), "{line}");
    assert!(line.contains("SameSite=None") && line.contains("Secure") && line.contains("HttpOnly"));
    let browser = fixture::cookie_header(&lines);
    let found = attempts.find(&one.id, &browser, clock.now());
    assert_eq!(found, Lookup::Found(Box::new(one.clone())));
    assert_eq!(
        attempts.find(&Attempt::new_id(), &browser, clock.now()),
        Lookup::Missing
    );
    assert_eq!(
        attempts.find("../x", &browser, clock.now()),
        Lookup::Missing
    );
    clock.advance(LIFE + Duration::from_secs(1));
    assert!(matches!(
        attempts.find(&one.id, &browser, clock.now()),
        Lookup::Expired(_)
    ));
}

#[test]
fn a_cookie_renamed_to_another_attempt_is_not_that_attempt() {
    let (attempts, clock) = attempts();
    let one = attempt(&clock, "_1");
    let browser = fixture::cookie_header(&attempts.keep(&one, &HeaderMap::new(), clock.now()));
    let other = Attempt::new_id();
    let line = browser[http::header::COOKIE]
        .to_str()
        .unwrap()
        .replace(&one.id, &other);
    let renamed = HeaderMap::from_iter([(http::header::COOKIE, line.parse().unwrap())]);
    assert_eq!(
        attempts.find(&other, &renamed, clock.now()),
        Lookup::Missing
    );
}

#[test]
fn only_an_openid_attempt_has_a_state_and_only_its_own() {
    let (_, clock) = attempts();
    let id = Attempt::new_id();
    let (state, random) = Attempt::new_state(&id);
    let flow = Flow::Oidc {
        state: random,
        nonce: "n".into(),
    };
    let one = Attempt::new("op", flow, ReturnTo::root(), false, id.clone(), clock.now());
    let state = state.expose_str().unwrap();
    assert_eq!(Attempt::id_of_state(state), Some(id.as_str()));
    assert!(one.has_state(state) && !one.has_state(&format!("{id}.x")) && !one.has_state(""));
    assert!(!attempt(&clock, "_1").has_state(state));
}

#[test]
fn a_relay_state_of_somebody_else_is_no_name() {
    let id = Attempt::new_id();
    assert_eq!(
        Attempt::id_of_relay_state(&Attempt::relay_state(&id)),
        Some(id.as_str())
    );
    for other in ["", "/x", "sg.", "sg.short", "sg.aaaaaaaaaaaaaaa/", &id] {
        assert_eq!(Attempt::id_of_relay_state(other), None, "{other}");
    }
}
