//! The session's cookie under attack: planted, doubled, tampered with, stolen, from elsewhere, too large.

use serde_json::json;

use super::house::{House, Sketch, is_here, superuser};
use crate::harness::client::basic;
use crate::harness::jar::{Kept, SameSite};
use crate::harness::person::Person;
use crate::harness::ports::free_port;

/// Keys of the session ring, as written in a config.
const FIRST_KEY: &str = "sso-key-one-sso-key-one-sso-key-1";
const SECOND_KEY: &str = "sso-key-two-sso-key-two-sso-key-2";

/// The session's cookies of a browser, as they are kept.
fn sessions(person: &Person) -> Vec<Kept> {
    let jar = person.jar();
    let ours = jar
        .all()
        .iter()
        .filter(|cookie| cookie.name.contains("sidegate-session"));
    ours.cloned().collect()
}

/// A request of an API client with this `Cookie` line, over and above what the browser has.
fn with_cookie(house: &House, line: &str) -> u16 {
    let call = house.gate.proxy.get("/api").header("Cookie", line);
    let call = call.host(&format!("localhost:{}", house.gate.proxy.address.port()));
    call.send().status
}

#[test]
fn the_session_cookie_is_host_bound_unreadable_to_scripts_and_lax() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    house.log_in(&person, "alice");
    let cookies = sessions(&person);
    assert!(!cookies.is_empty());
    for cookie in &cookies {
        assert!(cookie.name.starts_with("__Host-"), "{cookie:?}");
        assert!(
            cookie.secure && cookie.http_only && !cookie.tail,
            "{cookie:?}"
        );
        assert_eq!(cookie.path, "/");
        assert_eq!(cookie.same_site, SameSite::Lax, "{cookie:?}");
    }
}

#[test]
fn a_header_credential_beats_the_session_and_the_identities_never_mix() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    house.log_in(&person, "alice");
    let tab = person.tab();
    let carla = basic("carla", "carla-password");
    let reply = tab.fetch("GET", &house.at("/vault/1"), &[("Authorization", &carla)]);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = house.app.requests().pop().unwrap();
    assert_eq!(seen.header("x-forwarded-user"), Some("carla"));
    assert_eq!(seen.header("x-forwarded-roles"), Some("shopper,keeper"));
    assert_eq!(seen.header("cookie"), None);
    // A refused header credential is refused; the session does not stand in for it.
    let wrong = basic("carla", "wrong");
    let reply = tab.fetch("GET", &house.at("/api"), &[("Authorization", &wrong)]);
    assert_eq!(reply.status, 401);
    // And the session is as it was: alice's, who may not see the vault.
    assert_eq!(house.ask(&person).status, 200);
    assert_eq!(tab.fetch("GET", &house.at("/vault/1"), &[]).status, 403);
    let seen = house.app.requests().pop().unwrap();
    assert_eq!(seen.header("x-forwarded-user"), Some("alice"));
}

#[test]
fn a_login_always_makes_a_new_session_and_a_planted_one_is_worth_nothing() {
    let house = Sketch::new().passwords().build();
    let (attacker, victim) = (house.person(), house.person());
    house.log_in(&attacker, "bob");
    let planted = sessions(&attacker);
    // The victim's browser carries the attacker's session, then the victim logs in over it.
    for cookie in &planted {
        let line = format!("{}={}; Path=/; Secure; HttpOnly", cookie.name, cookie.value);
        victim
            .jar()
            .take(&url::Url::parse(&house.url).unwrap(), &line);
    }
    let mut tab = victim.tab();
    tab.open(&house.own("login/basic"));
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    assert!(page.status() < 400, "{}", page.story());
    for cookie in sessions(&victim) {
        let old = planted.iter().find(|old| old.name == cookie.name);
        assert_ne!(old.map(|old| &old.value), Some(&cookie.value));
    }
    is_here(&tab.open(&house.at("/")), "alice");
    // The attacker's copy never becomes the victim's session.
    let page = attacker.tab().open(&house.at("/"));
    assert_ne!(super::house::here(&page).as_deref(), Some("alice"));
}

#[test]
fn an_attempts_cookie_planted_before_the_login_does_not_tell_its_owner_anything() {
    let house = Sketch::new().passwords().build();
    let (attacker, victim) = (house.person(), house.person());
    attacker.tab().open(&house.at("/"));
    for cookie in sessions(&attacker) {
        let line = format!("{}={}; Path=/; Secure; HttpOnly", cookie.name, cookie.value);
        victim
            .jar()
            .take(&url::Url::parse(&house.url).unwrap(), &line);
    }
    house.log_in(&victim, "alice");
    house.is_stranger(&attacker);
}

#[test]
fn a_cookie_that_was_stolen_is_worth_nothing_after_the_logout() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    let mut tab = house.log_in(&person, "alice");
    let thief = person.twin();
    tab.open(&house.own("logout"));
    house.is_stranger(&thief);
    let page = thief.tab().open(&house.at("/"));
    assert_eq!(page.url.path(), "/_sidegate/login", "{}", page.story());
}

#[test]
fn two_cookies_of_the_same_name_are_no_session_in_either_order() {
    let house = Sketch::new().passwords().build();
    let (alice, bob) = (house.person(), house.person());
    house.log_in(&alice, "alice");
    house.log_in(&bob, "bob");
    let pair = |person: &Person| {
        let all = sessions(person);
        let session = all.iter().max_by_key(|cookie| cookie.value.len()).unwrap();
        format!("{}={}", session.name, session.value)
    };
    let (one, other) = (pair(&alice), pair(&bob));
    assert_eq!(with_cookie(&house, &one), 200);
    for tossed in [
        format!("{one}; {other}"),
        format!("{other}; {one}"),
        format!("{one}; {one}"),
    ] {
        assert_eq!(with_cookie(&house, &tossed), 401, "{tossed}");
    }
    let name = one.split('=').next().unwrap().to_owned();
    assert_eq!(with_cookie(&house, &format!("{name}=x; {one}")), 401);
    assert_eq!(
        house
            .app
            .requests()
            .iter()
            .filter(|r| r.target == "/api")
            .count(),
        1
    );
}

#[test]
fn tampered_truncated_and_foreign_cookies_are_no_session_and_no_error() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    house.log_in(&person, "alice");
    let session = sessions(&person);
    let session = session
        .iter()
        .max_by_key(|cookie| cookie.value.len())
        .unwrap();
    let (name, value) = (&session.name, &session.value);
    let mut spoiled = vec![
        String::new(),
        "x".to_owned(),
        "=".repeat(100),
        "%00".to_owned(),
        "a".repeat(5_000),
        format!("{value}x"),
        format!("x{value}"),
        value[..value.len() / 2].to_owned(),
        value.to_uppercase(),
        value.chars().rev().collect(),
        format!("{value}.{value}"),
    ];
    // Every byte counts: key id, nonce, text, tag.
    for at in (0..value.len()).step_by(7) {
        let mut bytes = value.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        spoiled.push(String::from_utf8(bytes).unwrap());
    }
    spoiled.retain(|other| other != value);
    for value in spoiled {
        let status = with_cookie(&house, &format!("{name}={value}"));
        assert_eq!(status, 401, "{value}");
    }
    // Another deployment's cookie under the very same name.
    let other = Sketch::new()
        .passwords()
        .sso("session: { cookie_name: app }")
        .build();
    let third = Sketch::new()
        .passwords()
        .sso("session: { cookie_name: app }")
        .build();
    let (here, there) = (other.person(), third.person());
    other.log_in(&here, "alice");
    third.log_in(&there, "alice");
    let foreign = there
        .jar()
        .all()
        .iter()
        .map(|c| format!("{}={}", c.name, c.value))
        .collect::<Vec<_>>()
        .join("; ");
    assert_eq!(with_cookie(&other, &foreign), 401);
    assert_eq!(with_cookie(&third, &foreign), 200);
}

#[test]
fn an_old_key_opens_until_it_is_taken_away() {
    let port = free_port();
    let build = |keys: &str| {
        let mut sketch = Sketch::new();
        sketch.port = port;
        sketch
            .passwords()
            .sso(&format!("session: {{ keys: [{keys}], cookie_name: app }}"))
    };
    let data = tempfile::tempdir().unwrap();
    let authority = format!(
        "embedded: {{ address: \"127.0.0.1:0\", superuser_password: elastic-password, data: {} }}",
        data.path().display()
    );
    let first = build(FIRST_KEY).authority(&authority).build();
    let person = first.person();
    first.log_in(&person, "alice");
    let line = person
        .jar()
        .all()
        .iter()
        .map(|c| format!("{}={}", c.name, c.value))
        .collect::<Vec<_>>()
        .join("; ");
    drop(first);
    let rotated = build(&format!("{SECOND_KEY}, {FIRST_KEY}"))
        .authority(&authority)
        .build();
    assert_eq!(with_cookie(&rotated, &line), 200);
    drop(rotated);
    let gone = build(SECOND_KEY).authority(&authority).build();
    assert_eq!(with_cookie(&gone, &line), 401);
}

#[test]
fn two_hundred_chunks_and_a_missing_one_are_no_session_and_cost_nothing() {
    let house = Sketch::new().passwords().build();
    // Somebody with so much metadata that the session needs several cookies, where it does.
    let person = house.person();
    house.log_in(&person, "alice");
    let session = sessions(&person);
    let session = session
        .iter()
        .max_by_key(|cookie| cookie.value.len())
        .unwrap();
    for separator in ["-", ".", "_", ""] {
        let chunks: Vec<String> = (0..200)
            .map(|n| format!("{}{separator}{n}=QUJD", session.name))
            .collect();
        assert_eq!(with_cookie(&house, &chunks.join("; ")), 401);
        // Beside the real one they change nothing, or make it none; they are never an error.
        let both = format!("{}={}; {}", session.name, session.value, chunks.join("; "));
        let status = with_cookie(&house, &both);
        assert!(matches!(status, 200 | 401), "{status}");
    }
    assert_eq!(house.ask(&person).status, 200);
}

#[test]
fn a_hundred_pending_logins_stay_a_handful_of_cookies_and_the_newest_ends_well() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    let mut tab = person.tab();
    for n in 0..100 {
        tab.open(&house.at(&format!("/page/{n}")));
    }
    let jar = person.jar().all().len();
    assert!(jar <= 10, "{jar} cookies");
    let size: usize = person
        .jar()
        .all()
        .iter()
        .map(|c| c.name.len() + c.value.len())
        .sum();
    assert!(size < 16_000, "{size} bytes of cookies");
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    is_here(&page, "alice");
    assert_eq!(page.place(), "/page/99");
}

#[test]
fn own_cookies_never_reach_an_upstream_and_foreign_ones_do() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    house.log_in(&person, "alice");
    let url = url::Url::parse(&house.url).unwrap();
    person.jar().take(&url, "theme=dark; Path=/");
    assert_eq!(house.ask(&person).status, 200);
    let seen = house.app.requests().pop().unwrap();
    assert_eq!(seen.header("cookie"), Some("theme=dark"));
    assert_eq!(seen.header("authorization"), None);
    for cookie in sessions(&person) {
        assert!(!house.app.bytes().contains(&cookie.value));
    }
    // On a route for everybody, too.
    person
        .tab()
        .fetch("GET", &house.at("/open/x"), &[])
        .expect(200);
    let seen = house.app.requests().pop().unwrap();
    assert_eq!(seen.header("cookie"), Some("theme=dark"));
}

#[test]
fn unsafe_methods_with_a_session_need_to_come_from_our_own_pages() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    house.log_in(&person, "alice");
    let line = {
        let jar = person.jar();
        let pairs: Vec<String> = jar
            .all()
            .iter()
            .map(|c| format!("{}={}", c.name, c.value))
            .collect();
        pairs.join("; ")
    };
    let url = house.url.clone();
    let send = |headers: &[(&str, &str)]| {
        let mut call = house
            .gate
            .proxy
            .post("/orders", "x")
            .header("Cookie", &line);
        for (name, value) in headers {
            call = call.header(name, value);
        }
        call.send()
    };
    for headers in [
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "same-site")],
        vec![("Origin", "https://evil.example")],
        vec![("Origin", "null")],
        vec![("Origin", &format!("{url}.evil.example"))],
        vec![("Origin", "https://localhost:1")],
        vec![("Sec-Fetch-Site", "cross-site"), ("Origin", &url)],
        vec![],
    ] {
        let reply = send(&headers);
        assert_eq!(reply.status, 403, "{headers:?}");
        assert_eq!(reply.refusal(), Some("cross_site"), "{headers:?}");
    }
    send(&[("Sec-Fetch-Site", "same-origin"), ("Origin", &url)]).expect(200);
    send(&[("Origin", &url)]).expect(200);
    // A header credential is no cookie: nobody can make a browser send it.
    let call = house
        .gate
        .proxy
        .post("/orders", "x")
        .header("Origin", "https://evil.example");
    call.authorization(&superuser()).send().expect(200);
    // A WebSocket handshake is a GET, and still asked where it comes from.
    let call = house.gate.proxy.get("/socket").header("Cookie", &line);
    let call = call
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket");
    let call = call.header("Sec-WebSocket-Version", "13");
    let call = call.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let reply = call.header("Origin", "https://evil.example").send();
    assert_eq!(reply.status, 403, "{:?}", reply.headers);
    house.put("/_security/role/unused", &json!({}));
}
