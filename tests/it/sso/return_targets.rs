//! Where a login may lead: to a path of this origin, as browsers read it, and nowhere else.

use url::Url;

use super::house::{House, Sketch};
use crate::harness::person::encode;

/// What attackers write where a path should be.
const ELSEWHERE: &[&str] = &[
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "//evil.example/%2e%2e",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/%09/evil.example",
    "/%5cevil.example",
    "/%5c%5cevil.example",
    "/%2f/evil.example",
    "/%2fevil.example",
    "/%0d%0aSet-Cookie:%20x=1",
    "/\r\nSet-Cookie: x=1",
    "/\r\n\r\n<script>",
    "/./\\evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/%2e//evil.example",
    "/;@evil.example",
    "//localhost@evil.example",
    "//alice@evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https://evil.example/",
    "HTTPS://evil.example",
    "http://localhost.evil.example/",
    "https://localhost:1/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "evil.example",
    "evil.example/path",
    "?next=//evil.example",
    "@evil.example",
    ".evil.example",
    ":1@evil.example",
    "/\u{2044}/evil.example",
    "\u{ff0f}\u{ff0f}evil.example",
    "/\u{0}//evil.example",
    "",
];

/// The origin that a login ends at, whatever `next` says.
fn lands(house: &House, next: &str) -> Url {
    let person = house.person();
    let mut tab = person.tab();
    let query = encode([("next", next)].into_iter());
    tab.open(&house.own(&format!("login?{query}")));
    let page = tab.submit(&[("username", "alice"), ("password", "alice-password")]);
    // The application's page, or a path that the gate itself refuses; both are here.
    assert!(
        matches!(page.status(), 200 | 400),
        "{next:?} {}",
        page.story()
    );
    for (_, reply) in &page.trail {
        assert_eq!(reply.header("x"), None);
        for line in reply.headers_named("set-cookie") {
            assert!(!line.starts_with("x="), "{next:?} set a cookie");
        }
    }
    page.url
}

#[test]
fn a_login_never_leads_to_another_site_whatever_next_says() {
    let house = Sketch::new()
        .passwords()
        .and("login_limit: { per_address: 10000, per_username: 10000 }")
        .build();
    let home = Url::parse(&house.url).unwrap();
    for next in ELSEWHERE {
        let at = lands(&house, next);
        assert_eq!(at.origin(), home.origin(), "{next:?} led to {at}");
        assert_eq!(at.query(), None, "{next:?} led to {at}");
        assert!(!at.path().starts_with("//"), "{next:?} led to {at}");
    }
    let long = format!("/{}", "a".repeat(10_000));
    assert_eq!(lands(&house, &long).path(), "/");
}

#[test]
fn a_login_leads_to_every_path_of_ours_letter_for_letter() {
    let house = Sketch::new().passwords().build();
    for next in [
        "/",
        "/a/b?c=d&e=f%20g",
        "/a%20b",
        "/?x=https://evil.example",
        "/search?q=a+b%2Bc",
        "/%C3%A4?%C3%B6=1",
        "/a?b?c",
        "/view#/deep/link?x=1",
    ] {
        let at = lands(&house, next);
        assert_eq!(&at[url::Position::BeforePath..], next);
    }
}

#[test]
fn a_login_never_leads_back_into_the_login() {
    let house = Sketch::new().passwords().build();
    for next in [
        "/_sidegate/login",
        "/_sidegate/logout",
        "/_sidegate/login/basic?next=/_sidegate/logout",
        "/_sidegate",
        "/_sidegate/nowhere",
    ] {
        assert_eq!(lands(&house, next).path(), "/", "{next}");
    }
}

#[test]
fn who_is_logged_in_already_is_sent_on_under_the_same_rule() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    let mut tab = house.log_in(&person, "alice");
    let home = Url::parse(&house.url).unwrap();
    for next in ELSEWHERE {
        let query = encode([("next", *next)].into_iter());
        for path in ["login", "login/basic", "logged-out", "capture", "logout"] {
            let reply = tab.navigate(&tab.address(&house.own(&format!("{path}?{query}"))));
            if let Some(location) = reply.header("location") {
                let at = home.join(location).unwrap();
                assert_eq!(at.origin(), home.origin(), "{path} {next:?} {location}");
            }
            let refresh = reply.header("refresh").unwrap_or_default();
            assert!(!refresh.contains("evil"), "{path} {next:?} {refresh}");
        }
        // Logged out by the last path.
        tab = house.log_in(&person, "alice");
    }
}
