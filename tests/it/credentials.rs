//! What clients bring: exactly one credential, read strictly, never mixed up with another.

use serde_json::json;

use crate::harness::client::{Target, basic};
use crate::harness::elasticsearch::{Account, FakeElasticsearch};
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

/// One route for anybody who is somebody.
fn for_the_authenticated(fake: &FakeElasticsearch, app: &Server) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("all", "/**", "allow: authenticated")
        .and("login_limit: { per_address: 1000, per_username: 1000 }")
        .start()
}

fn status(proxy: &Target, authorization: &str) -> u16 {
    proxy.get("/").authorization(authorization).send().status
}

#[test]
fn a_good_password_passes_and_a_wrong_one_gets_every_challenge() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_the_authenticated(&fake, &app);

    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    for call in [
        gate.proxy.get("/"),
        gate.proxy.get("/").basic("alice", "wrong"),
    ] {
        let refused = call.send().expect(401);
        let challenges: Vec<_> = refused.headers_named("www-authenticate").collect();
        let all = challenges.join(", ");
        for scheme in ["Basic realm=", "Bearer", "ApiKey"] {
            assert!(all.contains(scheme), "{challenges:?}");
        }
    }
    assert_eq!(
        app.requests().len(),
        1,
        "nothing refused reached the upstream"
    );
}

#[test]
fn the_scheme_is_case_blind_and_shares_one_entry() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_the_authenticated(&fake, &app);
    let value = basic("alice", "alice-password");
    let token = value.strip_prefix("Basic ").unwrap();

    for scheme in ["Basic", "basic", "bAsIc"] {
        assert_eq!(
            status(&gate.proxy, &format!("{scheme} {token}")),
            200,
            "{scheme}"
        );
    }
    assert_eq!(fake.authentications(), 1);
}

#[test]
fn two_credentials_are_refused_and_neither_is_chosen() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_the_authenticated(&fake, &app);
    let alice = basic("alice", "alice-password");

    let two_lines = gate
        .proxy
        .get("/")
        .authorization(&alice)
        .basic("bob", "bob-password")
        .send();
    two_lines.expect_refusal(400, "ambiguous_credentials");
    let twice_the_same = gate
        .proxy
        .get("/")
        .authorization(&alice)
        .authorization(&alice)
        .send();
    twice_the_same.expect_refusal(400, "ambiguous_credentials");
    let one_line = status(&gate.proxy, &format!("{alice}, Bearer abc"));
    assert!(matches!(one_line, 400 | 401), "{one_line}");
    assert_eq!((app.requests().len(), fake.questions()), (0, 0));
}

#[test]
fn a_credential_that_cannot_be_read_asks_nobody() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_the_authenticated(&fake, &app);
    let encoded = |bytes: &[u8]| {
        use base64::Engine as _;
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(bytes)
        )
    };
    for bad in [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic !!!!".to_owned(),
        "Basic YWxpY2U".to_owned() + "=====",
        encoded(b"no-colon"),
        encoded(b"nul\0:password"),
        encoded(b"line\r\nbreak:password"),
        encoded(b"alice:pass\nword"),
        encoded(b"\xff\xfe:password"),
        "Bearer".to_owned(),
        "Bearer two words".to_owned(),
        "ApiKey".to_owned(),
        "Digest username=\"alice\"".to_owned(),
        "Basic\tYWxpY2U6YWxpY2UtcGFzc3dvcmQ=".to_owned(),
    ] {
        let status = status(&gate.proxy, &bad);
        assert!(matches!(status, 400 | 401), "{bad:?}: {status}");
    }
    assert_eq!((app.requests().len(), fake.questions()), (0, 0));
}

#[test]
fn passwords_travel_byte_for_byte() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    let odd = basic("zoë", "päss:wörd: with : colons");
    fake.know(&odd, Account::new("zoë", &[], &[]));
    let gate = for_the_authenticated(&fake, &app);

    assert_eq!(status(&gate.proxy, &odd), 200);
}

#[test]
fn look_alike_credentials_never_share_an_answer() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    let long = "x".repeat(200);
    let pairs = [
        (basic("ab", "c"), basic("a", "bc")),
        (basic(&"u".repeat(60), "one"), basic(&"u".repeat(60), "two")),
        (
            basic("deep", &format!("{}a", "p".repeat(90))),
            basic("deep", &format!("{}b", "p".repeat(90))),
        ),
        (format!("Bearer {long}a"), format!("Bearer {long}b")),
        // The same characters under two schemes.
        (format!("ApiKey {}", "YTpi"), format!("Basic {}", "YTpi")),
        (format!("Bearer {}", "YTpj"), format!("ApiKey {}", "YTpj")),
    ];
    let gate = for_the_authenticated(&fake, &app);
    for (known, stranger) in &pairs {
        fake.know(known, Account::new("known", &[], &[]));
        assert_eq!(status(&gate.proxy, known), 200, "{known}");
        assert_eq!(status(&gate.proxy, stranger), 401, "{stranger}");
        assert_eq!(status(&gate.proxy, known), 200, "{known} again");
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

#[test]
fn a_user_and_that_users_api_key_are_two_identities() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    fake.know(
        &basic("alice", "pw"),
        Account::new("alice", &["shopper"], &["cluster:monitor"]),
    );
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

    gate.proxy.get("/").basic("alice", "pw").send().expect(200);
    let key = gate
        .proxy
        .get("/")
        .authorization("ApiKey a2V5LTE6c2VjcmV0")
        .send();
    key.expect_refusal(403, "forbidden");
}

#[test]
fn a_request_without_a_credential_uses_no_cache() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_the_authenticated(&fake, &app);
    for _ in 0..3 {
        gate.proxy
            .get("/")
            .send()
            .expect_refusal(401, "no_credential");
    }
    gate.proxy.get("/").authorization("").send().expect(401);
    assert_eq!(fake.questions(), 0);
    gate.wait_for_metric("sidegate_cache_entries", &[], |count| count == 0.0);
}
