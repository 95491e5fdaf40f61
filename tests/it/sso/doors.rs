//! Every page and endpoint below the prefix, asked in every wrong way: none answers with a session, a redirect elsewhere or 500,
//! and none ever reaches the application.

use super::house::{House, Sketch};
use super::saml::Pair;
use crate::harness::client::Reply;
use url::form_urlencoded;

const ENDPOINTS: &[&str] = &[
    "",
    "login",
    "login/saml1",
    "login/basic",
    "login/nobody",
    "login/basic/more",
    "agreement",
    "overwritten",
    "done",
    "logout",
    "logged-out",
    "session",
    "saml/saml1/acs",
    "saml/saml1/logout",
    "saml/saml1/metadata",
    "saml/basic/acs",
    "saml/nobody/acs",
    "oidc/saml1/callback",
    "oidc/nobody/callback",
    "oidc/saml1/initiate",
    "oidc/saml1/backchannel",
    "assets/style.css",
    "assets/../login",
    "assets/%2e%2e/login",
    "assets/nowhere.js",
    "nowhere",
    "%6cogin",
    "LOGIN",
];

const METHODS: &[&str] = &[
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW",
];

const BODIES: &[(&str, &str)] = &[
    ("", ""),
    ("application/x-www-form-urlencoded", ""),
    ("application/x-www-form-urlencoded", "%zz=%&&&=&a"),
    (
        "application/x-www-form-urlencoded",
        "username=alice&username=bob&password=x",
    ),
    (
        "application/x-www-form-urlencoded",
        "SAMLResponse=PHg%2B&SAMLResponse=PHg%2B",
    ),
    (
        "application/json",
        "{\"username\": \"alice\", \"password\": \"alice-password\"}",
    ),
    ("multipart/form-data; boundary=x", "--x\r\n\r\n--x--"),
    ("text/plain", "username=alice&password=alice-password"),
];

/// What must hold of any answer to somebody who has no session.
fn judge(what: &str, reply: &Reply) {
    assert!(
        reply.status < 500,
        "{what}: {} {}",
        reply.status,
        reply.text()
    );
    for line in reply.headers_named("set-cookie") {
        assert!(
            !line.contains("sidegate-session-") || line.contains("Max-Age=0"),
            "{what}: {line}"
        );
    }
    if let Some(location) = reply.header("location") {
        let ours = location.starts_with("/_sidegate/")
            || location == "/"
            || location.starts_with("http://127.0.0.1:");
        assert!(ours, "{what}: {location}");
    }
    assert_eq!(reply.header("access-control-allow-origin"), None, "{what}");
    if reply
        .header("content-type")
        .is_some_and(|kind| kind.contains("html"))
    {
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{what}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{what}: {policy}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(
            reply.header("x-content-type-options"),
            Some("nosniff"),
            "{what}"
        );
    }
}

#[test]
fn no_endpoint_gives_a_session_or_fails_for_a_wrong_method_or_body() {
    let Some(pair) = Pair::start() else { return };
    let house = &pair.house;
    let proxy = &house.gate.proxy;
    let mut wire = proxy.connect();
    for path in ENDPOINTS {
        let path = format!("/_sidegate/{path}");
        for method in METHODS {
            for (kind, body) in BODIES {
                if body.is_empty() != kind.is_empty() && matches!(*method, "GET" | "HEAD") {
                    continue;
                }
                let mut call = proxy.call(method, &path);
                if !kind.is_empty() {
                    call = call.header("Content-Type", kind).body(*body);
                }
                // From a page of our own, so that nothing is refused for that alone.
                let call = call
                    .header("Origin", &house.url)
                    .header("Sec-Fetch-Site", "same-origin");
                wire.send(&call.bytes()).expect("it listens");
                let reply = if *method == "HEAD" {
                    wire.reply_without_body()
                } else {
                    wire.reply()
                };
                let what = format!("{method} {path} {kind} {body:?}");
                let reply = reply.unwrap_or_else(|error| panic!("{what}: {error}"));
                judge(&what, &reply);
                if reply.header("connection") == Some("close") {
                    wire = proxy.connect();
                }
            }
        }
    }
    assert_eq!(house.app.requests().len(), 0);
}

#[test]
fn forms_of_other_sites_are_refused_on_every_endpoint_that_changes_something() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    house.log_in(&person, "alice");
    let tab = person.tab();
    for (path, fields) in [
        (
            "login/basic",
            vec![("username", "bob"), ("password", "bob-password")],
        ),
        (
            "login",
            vec![("username", "bob"), ("password", "bob-password")],
        ),
        ("logout", vec![]),
        ("logout", vec![("everywhere", "true")]),
        ("session", vec![]),
    ] {
        let forged = crate::harness::person::Tab::forged(&house.own(path), &fields);
        let reply = tab.navigate(&forged);
        assert!(
            reply.status >= 400,
            "{path} {} {}",
            reply.status,
            reply.text()
        );
        assert_eq!(house.ask(&person).status, 200, "{path}");
    }
    let seen = house.app.requests();
    assert!(
        seen.iter()
            .all(|request| request.header("x-forwarded-user") == Some("alice"))
    );
    // A login form of the attacker's own, with a token of the attacker's own browser (login CSRF).
    let attacker = house.person();
    let mut theirs = attacker.tab();
    theirs.open(&house.own("login/basic"));
    let filled = theirs.submitting(&[("username", "bob"), ("password", "bob-password")]);
    let body = filled.body.clone().unwrap();
    let fields: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let victim = house.person();
    let reply = victim.tab().navigate(&crate::harness::person::Tab::forged(
        filled.url.as_str(),
        &fields,
    ));
    assert!(reply.status >= 400, "{}", reply.status);
    house.is_stranger(&victim);
    // Even where the browser tells nothing of where it comes from.
    let call = house.gate.proxy.call("POST", filled.url.path());
    let call = call
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(body);
    let reply = call.send();
    assert!(reply.status >= 400, "{}", reply.status);
    house.logged(&["cross_site"]);
}

#[test]
fn a_link_of_another_site_logs_nobody_out_without_a_click() {
    let house = Sketch::new().passwords().build();
    let person = house.person();
    house.log_in(&person, "alice");
    let mut tab = person.tab();
    let page = tab.go(crate::harness::person::Tab::lure(&house.own("logout")));
    assert_eq!(page.status(), 200, "{}", page.story());
    assert_eq!(house.ask(&person).status, 200);
    // An image of another site's, too.
    let image = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "no-cors"),
        ("Sec-Fetch-Dest", "image"),
    ];
    let mut call = house.gate.proxy.get("/_sidegate/logout");
    for (name, value) in image {
        call = call.header(name, value);
    }
    let cookies: Vec<String> = person
        .cookies("")
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    call.header("Cookie", &cookies.join("; ")).send();
    assert_eq!(house.ask(&person).status, 200);
    let page = tab.click("Log out");
    assert!(page.status() < 400, "{}", page.story());
    house.is_stranger(&person);
}

#[test]
fn what_is_too_large_or_too_long_is_refused_politely() {
    let house: House = Sketch::new().passwords().build();
    let proxy = &house.gate.proxy;
    let form = "application/x-www-form-urlencoded";
    let own = |call: crate::harness::client::Call<'_>| {
        call.header("Origin", &house.url)
            .header("Sec-Fetch-Site", "same-origin")
            .send()
    };
    let large = format!("username=alice&password={}", "x".repeat(300_000));
    let reply = own(proxy
        .post("/_sidegate/login/basic", large)
        .header("Content-Type", form));
    assert!(matches!(reply.status, 400 | 403 | 413), "{}", reply.status);
    let reply = own(proxy.get(&format!("/_sidegate/login?next=/{}", "x".repeat(20_000))));
    assert!(reply.status < 500, "{}", reply.status);
    let reply = own(proxy.get(&format!("/_sidegate/login?{}", "a=b&".repeat(5_000))));
    assert!(reply.status < 500, "{}", reply.status);
}
