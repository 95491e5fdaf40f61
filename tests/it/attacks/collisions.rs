//! Credentials that look alike, and one credential in two places: nobody gets an answer that was given to another.
//!
//! CVE-2026-35030: a key of the first 20 letters of a token. Okta's notice of 30 October 2024: a key cut at 72 bytes.
//! CVE-2026-33496: a key without the issuer. CVE-2021-32701: a verdict of a weaker rule.

use serde_json::json;

use super::fixture::Scene;
use crate::harness::client::{Target, basic};
use crate::harness::elasticsearch::{Account, FakeElasticsearch};
use crate::harness::plan::Plan;
use crate::harness::server::Server;

fn status(proxy: &Target, path: &str, authorization: &str) -> u16 {
    proxy.get(path).authorization(authorization).send().status
}

#[test]
fn look_alike_credentials_never_share_an_answer() {
    let scene = Scene::new();
    let (fake, proxy) = (&scene.fake, &scene.gate.proxy);
    let same = |length: usize| "x".repeat(length);
    let long_name = "u".repeat(60);
    let mut pairs = vec![
        (basic("ab", "c"), basic("a", "bc")),
        (basic("d:e", "f"), basic("de", "f")),
        (basic("alice2", "pw"), basic("ALICE2", "pw")),
        (basic("alice3", "pw"), basic("alice3 ", "pw")),
        // bcrypt reads 72 bytes: with a name this long no letter of the password would count.
        (basic(&long_name, "one"), basic(&long_name, "two")),
        (basic(&"v".repeat(52), "one"), basic(&"v".repeat(52), "")),
        (
            basic("deep", &format!("{}a", "p".repeat(90))),
            basic("deep", &format!("{}b", "p".repeat(90))),
        ),
        // The same characters under two schemes.
        ("ApiKey YTpi".to_owned(), "Basic YTpi".to_owned()),
        ("Basic YTpk".to_owned(), "ApiKey YTpk".to_owned()),
        ("Bearer YTpj".to_owned(), "ApiKey YTpj".to_owned()),
        ("Bearer aaaa".to_owned(), "Bearer AAAA".to_owned()),
    ];
    for length in [20, 72, 200, 4_000] {
        let (one, two) = (format!("{}a", same(length)), format!("{}b", same(length)));
        pairs.push((format!("Bearer {one}"), format!("Bearer {two}")));
        pairs.push((format!("Bearer {one}"), format!("Bearer {}", same(length))));
    }
    for (known, stranger) in &pairs {
        fake.know(known, Account::new("known", &[], &[]));
        assert_eq!(status(proxy, "/app/x", known), 200, "{known}");
        assert_eq!(status(proxy, "/app/x", stranger), 401, "{stranger}");
        assert_eq!(status(proxy, "/app/x", known), 200, "{known} again");
    }
    // Each was asked about for itself, once. Beside an API key's identity its expiry is asked, and whichever of the two is
    // refused first ends the other: there one question may be all that arrives.
    for credential in pairs.iter().flat_map(|(known, stranger)| [known, stranger]) {
        let most = if credential.starts_with("ApiKey") {
            2
        } else {
            1
        };
        let asked = fake.questions_by(credential);
        assert!((1..=most).contains(&asked), "{credential}: {asked} times");
    }
}

/// CVE-2020-7009, CVE-2020-7014: whose key it is says nothing of what it may do.
#[test]
fn a_user_and_that_users_api_key_are_two_identities() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    let alice = Account::new("alice", &["shopper"], &["cluster:monitor"]);
    fake.know(&basic("alice", "pw"), alice.clone());
    let of_another_realm = Account::new("alice", &[], &[]).with(
        "authentication_realm",
        json!({"name": "ldap1", "type": "ldap"}),
    );
    fake.know("Bearer of-another-realm", of_another_realm);
    let key = Account::new("alice", &[], &[])
        .with("authentication_type", json!("api_key"))
        .with(
            "authentication_realm",
            json!({"name": "_es_api_key", "type": "_es_api_key"}),
        )
        .with("api_key", json!({"id": "key-1", "name": "narrow"}));
    fake.know("ApiKey a2V5LTE6c2VjcmV0", key);
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("monitor", "/**", "require: { cluster: [monitor] }")
        .start();

    for _ in 0..2 {
        gate.proxy.get("/").basic("alice", "pw").send().expect(200);
        for other in ["ApiKey a2V5LTE6c2VjcmV0", "Bearer of-another-realm"] {
            let narrow = gate.proxy.get("/").authorization(other).send();
            narrow.expect_refusal(403, "forbidden");
        }
    }
    assert_eq!(app.requests().len(), 2);
}

/// With one credential a client may do on one route what it may not on another, whichever it tried first.
#[test]
fn one_credential_on_two_routes_and_two_upstreams_is_judged_on_each() {
    let (fake, one, two) = (
        FakeElasticsearch::with_people(),
        Server::echoing(),
        Server::echoing(),
    );
    let manage = "require: { cluster: [manage] }";
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &one)
        .upstream("other", &two)
        .route("weak", "/weak", "allow: authenticated")
        .route("strong", "/strong", manage)
        .route_yaml(&format!(
            "{{ name: there, match: {{ path: \"/there\" }}, upstream: other, {manage} }}"
        ))
        .start();
    let alice = basic("alice", "alice-password");
    for _ in 0..2 {
        assert_eq!(status(&gate.proxy, "/weak", &alice), 200);
        assert_eq!(status(&gate.proxy, "/strong", &alice), 403);
        assert_eq!(status(&gate.proxy, "/there", &alice), 403);
    }
    assert_eq!((one.requests().len(), two.requests().len()), (2, 0));
}

#[test]
fn whom_a_credential_acts_as_is_part_of_what_is_remembered() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let alice = basic("alice", "alice-password");
    let superuser = Account::new("root", &["superuser"], &["*"]);
    fake.know(&format!("{alice} as bob"), Account::new("bob", &[], &[]));
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route(
            "admin",
            "/admin",
            "require: { roles: [superuser] }, credentials: { run_as: true }",
        )
        .route(
            "any",
            "/any",
            "allow: authenticated, credentials: { run_as: true }",
        )
        .start();
    let acting = |path: &str, user: &str| {
        let call = gate.proxy.get(path).authorization(&alice);
        call.header("es-security-runas-user", user).send().status
    };
    for _ in 0..2 {
        assert_eq!(status(&gate.proxy, "/any", &alice), 200);
        assert_eq!(acting("/any", "bob"), 200);
        // The authority doesn't let her act as root, whatever was remembered of her and bob.
        assert!(matches!(acting("/any", "root"), 401 | 403));
        assert_eq!(acting("/admin", "bob"), 403);
        assert_eq!(status(&gate.proxy, "/admin", &alice), 403);
    }
    // And when it does, that is no answer about bob or alice.
    fake.know(&format!("{alice} as root"), superuser);
    gate.admin
        .post_json("/cache/purge", &json!({"all": true}))
        .send()
        .expect(200);
    assert_eq!(acting("/admin", "root"), 200);
    assert_eq!(acting("/admin", "bob"), 403);
    assert_eq!(status(&gate.proxy, "/admin", &alice), 403);
}
