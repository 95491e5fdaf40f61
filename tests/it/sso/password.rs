//! Logins with a form: the way in, what is redirected, sessions, and the ways out.

use super::house::{Sketch, here, is_here};

#[test]
fn a_navigation_is_sent_to_the_login_and_comes_back_to_where_it_wanted() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    let mut tab = person.tab();
    let login = tab.open(&house.at("/orders/7?sort=up&q=a%20b"));
    assert_eq!(login.url.path(), "/_sidegate/login");
    assert_eq!(login.trail[0].1.status, 302);
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    is_here(&page, "alice");
    assert_eq!(page.place(), "/orders/7?sort=up&q=a%20b");
    // Nothing of the login was for the application, and it is told who is there.
    let requests = house.app.requests();
    assert_eq!(requests.len(), 1, "{requests:#?}");
    assert_eq!(requests[0].header("x-forwarded-user"), Some("alice"));
    assert_eq!(requests[0].header("x-forwarded-roles"), Some("shopper"));
    assert_eq!(requests[0].header("cookie"), None);
    // A browser believes every cookie it was given.
    assert_eq!(person.jar().refused, Vec::new());
}

#[test]
fn everything_but_a_navigation_gets_401_and_is_told_where_to_log_in() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    let tab = person.tab();
    for (method, headers) in [
        ("GET", vec![]),
        ("POST", vec![]),
        ("GET", vec![("Accept", "text/html")]),
        ("GET", vec![("X-Requested-With", "XMLHttpRequest")]),
    ] {
        let reply = tab.fetch(method, &house.at("/api/orders?x=1"), &headers);
        assert_eq!(reply.status, 401, "{method} {headers:?}");
        assert!(reply.header("location").is_none());
        if headers.is_empty() {
            let told = reply.json().to_string();
            assert!(told.contains("/_sidegate/login"), "{told}");
        }
    }
    let upgrade = tab.fetch(
        "GET",
        &house.at("/socket"),
        &[
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ],
    );
    assert_eq!(upgrade.status, 401);
    // Without Sec-Fetch: by Accept and X-Requested-With.
    let curl = house.gate.proxy.get("/").header("Accept", "text/html");
    curl.send().expect(302);
    let script = house.gate.proxy.get("/").header("Accept", "text/html");
    script
        .header("X-Requested-With", "XMLHttpRequest")
        .send()
        .expect(401);
    house
        .gate
        .proxy
        .get("/")
        .header("Accept", "*/*")
        .send()
        .expect(401);
    let post = house
        .gate
        .proxy
        .post("/", "x")
        .header("Accept", "text/html");
    post.send().expect(401);
    assert_eq!(house.app.requests().len(), 0);
}

#[test]
fn a_wrong_password_is_told_on_the_form_and_the_target_is_kept() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    let mut tab = person.tab();
    tab.open(&house.at("/orders/7"));
    for (name, password) in [("alice", "bob-password"), ("who", "who-password")] {
        let again = tab.submit(&[("username", name), ("password", password)]);
        assert_eq!(again.status(), 401, "{}", again.story());
        assert!(again.text().contains(name), "what was typed is still there");
        assert!(!again.text().contains(password));
        house.logged(&["password_wrong", name]);
    }
    house.is_stranger(&person);
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    is_here(&page, "alice");
    assert_eq!(page.place(), "/orders/7");
}

#[test]
fn the_password_is_kept_nowhere_and_the_session_is_a_token() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    house.log_in(&person, "alice");
    for (name, value) in person.cookies("") {
        assert!(!value.contains("alice"), "{name}={value}");
    }
    assert!(!house.gate.process.output().contains("alice-password"));
    // A changed password leaves the session alone: it was exchanged for tokens.
    house.put(
        "/_security/user/alice/_password",
        &serde_json::json!({"password": "another-password"}),
    );
    assert_eq!(house.ask(&person).status, 200);
}

#[test]
fn failed_logins_are_throttled_by_name_whatever_the_browser() {
    let house = Sketch::new().passwords().build();
    let mut last = 0;
    for _ in 0..40 {
        let mut tab = house.person().tab();
        tab.open(&house.at("/"));
        last = tab
            .submit(&[("username", "Alice"), ("password", "guess")])
            .status();
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    house.logged(&["too_many_failures"]);
    let mut tab = house.person().tab();
    tab.open(&house.at("/"));
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    assert_eq!(page.status(), 429, "{}", page.story());
    assert!(page.reply.header("retry-after").is_some());
}

#[test]
fn logout_ends_the_session_and_its_tokens_and_waits_for_a_click() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    let mut tab = house.log_in(&person, "alice");
    let thief = person.twin();
    assert_eq!(house.ask(&thief).status, 200);
    let out = tab.open(&house.own("logout"));
    assert_eq!(out.status(), 200, "{}", out.story());
    assert_eq!(out.url.path(), "/_sidegate/logged-out");
    assert_eq!(here(&out), None);
    house.is_stranger(&person);
    // Neither the cookie nor anything in it is worth something any more.
    house.is_stranger(&thief);
    let login = tab.click("Log in");
    assert_eq!(login.url.path(), "/_sidegate/login", "{}", login.story());
    let page = tab.submit(&[("username", "bob"), ("password", "bob-password")]);
    is_here(&page, "bob");
}

#[test]
fn logging_out_everywhere_ends_the_sessions_of_all_browsers() {
    let house = Sketch::new().passwords().build();
    let (desk, phone, other) = (house.person(), house.person(), house.person());
    let mut tab = house.log_in(&desk, "alice");
    house.log_in(&phone, "alice");
    house.log_in(&other, "bob");
    tab.open(&house.own("session"));
    let reply = tab.go(tab.link(&house.own("logout?everywhere=true")));
    assert_eq!(reply.status(), 200, "{}", reply.story());
    house.is_stranger(&desk);
    house.is_stranger(&phone);
    assert_eq!(house.ask(&other).status, 200);
}

#[test]
fn the_session_page_tells_frontends_who_is_there_and_how_long() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    let tab = person.tab();
    tab.fetch("GET", &house.own("session"), &[]).expect(401);
    house.log_in(&person, "carla");
    let told = tab.fetch("GET", &house.own("session"), &[]).expect(200);
    assert_eq!(told.header("cache-control"), Some("no-store"));
    let told = told.json();
    assert_eq!(told["username"], "carla", "{told}");
    assert_eq!(told["roles"], serde_json::json!(["shopper", "keeper"]));
    assert!(told.to_string().contains("expires"), "{told}");
    assert!(!told.to_string().contains("token"), "{told}");
    tab.fetch("POST", &house.own("session"), &[]).expect(200);
}
