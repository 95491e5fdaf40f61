//! Ways in beside `Authorization`, which of them go together, and that nothing of any of them travels on.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

use crate::harness::client::{Call, basic};
use crate::harness::elasticsearch::{Account, FakeElasticsearch, Ticket};
use crate::harness::pki::Client;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Answer, Server};

const HOOK: &str = "aG9vazpob29rLWNhbmFyeQ==";

fn gate(fake: &FakeElasticsearch, app: &Server, credentials: &str) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route(
            "all",
            "/**",
            &format!("allow: authenticated, forward: {{ identity_headers: {{}} }}, credentials: {{ {credentials} }}"),
        )
        .start()
}

fn with_hook() -> FakeElasticsearch {
    let fake = FakeElasticsearch::with_people();
    fake.know(&format!("ApiKey {HOOK}"), Account::new("hook", &[], &[]));
    fake
}

#[test]
fn an_api_key_counts_in_the_routes_header_and_parameter_and_goes_no_further() {
    let (fake, app) = (with_hook(), Server::echoing());
    let gate = gate(
        &fake,
        &app,
        "api_key: { header: X-Hook-Key, query_parameter: key }",
    );
    gate.proxy
        .get("/a")
        .header("X-Hook-Key", HOOK)
        .send()
        .expect(200);
    let encoded = HOOK.replace('=', "%3D");
    gate.proxy
        .get(&format!("/b?x=1&key={encoded}&y=%20"))
        .send()
        .expect(200);
    gate.proxy.get(&format!("/c?key={HOOK}")).send().expect(200);
    let targets: Vec<_> = app
        .requests()
        .into_iter()
        .map(|request| request.target)
        .collect();
    assert_eq!(targets, ["/a", "/b?x=1&y=%20", "/c"]);
    assert!(!app.bytes().contains("hook-canary") && !app.bytes().contains("aG9vazpob29r"));
    // All of it is one credential: one entry, asked for once.
    assert_eq!(fake.authentications(), 1);
    gate.proxy
        .get("/?key=x%20y")
        .send()
        .expect_refusal(401, "malformed_credential");
    // On a route that doesn't take it there, it is the application's.
    let plain = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("all", "/**", "allow: authenticated")
        .start();
    plain.proxy.get(&format!("/?key={HOOK}")).send().expect(401);
}

#[test]
fn two_credentials_shown_on_purpose_are_refused_whatever_they_are() {
    let (fake, app) = (with_hook(), Server::echoing());
    let gate = gate(
        &fake,
        &app,
        "api_key: { header: X-Hook-Key, query_parameter: key }",
    );
    let in_query = format!("/?key={HOOK}");
    let pairs: [Call<'_>; 5] = [
        gate.proxy
            .get("/")
            .header("X-Hook-Key", HOOK)
            .basic("alice", "alice-password"),
        gate.proxy.get(&in_query).basic("alice", "alice-password"),
        gate.proxy.get(&in_query).header("X-Hook-Key", HOOK),
        gate.proxy
            .get("/")
            .header("X-Hook-Key", HOOK)
            .header("X-Hook-Key", HOOK),
        gate.proxy.get(&format!("{in_query}&key={HOOK}")),
    ];
    for call in pairs {
        call.send().expect_refusal(400, "ambiguous_credentials");
    }
    assert_eq!((app.requests().len(), fake.questions()), (0, 0));
}

#[test]
fn a_user_acts_as_another_only_where_the_route_allows_it() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let alice = basic("alice", "alice-password");
    fake.know(
        &format!("{alice} as bob"),
        Account::new("bob", &["visitor"], &[]),
    );
    let call = |gate: &Running, name: &str| {
        let call = gate.proxy.get("/").authorization(&alice);
        call.header("es-security-runas-user", name).send()
    };
    let closed = gate(&fake, &app, "");
    call(&closed, "bob").expect(200);
    let open = gate(&fake, &app, "run_as: true");
    open.proxy.get("/").authorization(&alice).send().expect(200);
    call(&open, "bob").expect(200);
    call(&open, "bob").expect(200);
    call(&open, "carol").expect_refusal(401, "unauthenticated");
    let users: Vec<_> = app
        .requests()
        .iter()
        .map(|request| {
            assert_eq!(request.header("es-security-runas-user"), None);
            request.header("x-forwarded-user").unwrap().to_owned()
        })
        .collect();
    assert_eq!(users, ["alice", "alice", "bob", "bob"]);
    let logged = open
        .process
        .stderr
        .find(|line| line.contains("acts as another user"));
    assert!(logged.unwrap().contains("bob"));
    // Nobody acts as somebody.
    let call = open.proxy.get("/").header("es-security-runas-user", "bob");
    call.send().expect_refusal(401, "no_credential");
    let twice = open.proxy.get("/").authorization(&alice);
    let twice = twice.header("es-security-runas-user", "bob");
    twice
        .header("es-security-runas-user", "bob")
        .send()
        .expect_refusal(400, "ambiguous_header");
}

#[test]
fn who_to_act_as_travels_on_only_with_the_clients_own_credential() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let alice = basic("alice", "alice-password");
    fake.know(&format!("{alice} as bob"), Account::new("bob", &[], &[]));
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route(
            "all",
            "/**",
            "allow: authenticated, forward: passthrough, credentials: { run_as: true, secondary_authorization: true }",
        )
        .start();
    let call = gate.proxy.get("/").authorization(&alice);
    let call = call.header("es-security-runas-user", "bob");
    call.header("es-secondary-authorization", "Basic c2Vjb25k")
        .send()
        .expect(200);
    let request = app.only_request();
    assert_eq!(request.header("authorization"), Some(alice.as_str()));
    assert_eq!(request.header("es-security-runas-user"), Some("bob"));
    assert_eq!(
        request.header("es-secondary-authorization"),
        Some("Basic c2Vjb25k")
    );
}

#[test]
fn a_secondary_credential_stays_behind_unless_the_route_lets_it_through() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    for (credentials, wanted) in [
        ("", None),
        ("secondary_authorization: true", Some("Basic c2Vjb25k")),
    ] {
        let gate = gate(&fake, &app, credentials);
        let call = gate.proxy.get("/").basic("alice", "alice-password");
        call.header("es-secondary-authorization", "Basic c2Vjb25k")
            .send()
            .expect(200);
        let last = app.requests().pop().unwrap();
        assert_eq!(last.header("es-secondary-authorization"), wanted);
    }
}

#[test]
fn nobody_is_whom_the_route_says_and_a_wrong_credential_is_not_nobody() {
    let (fake, app) = (with_hook(), Server::echoing());
    let anonymous =
        Account::new("_anonymous", &["guest"], &[]).with("authentication_type", json!("anonymous"));
    fake.know("", anonymous);
    let by_authority = gate(&fake, &app, "anonymous: authority");
    by_authority.proxy.get("/").send().expect(200);
    let fixed = gate(
        &fake,
        &app,
        &format!("anonymous: {{ api_key: \"{HOOK}\" }}"),
    );
    fixed.proxy.get("/").send().expect(200);
    let users: Vec<_> = app
        .requests()
        .iter()
        .map(|request| request.header("x-forwarded-user").unwrap().to_owned())
        .collect();
    assert_eq!(users, ["_anonymous", "hook"]);
    for gate in [&by_authority, &fixed] {
        let wrong = gate.proxy.get("/").basic("alice", "wrong");
        wrong.send().expect_refusal(401, "unauthenticated");
    }
    // An authority without an anonymous user refuses, and no client is blamed for it.
    fake.forget("");
    let none = gate(&fake, &app, "anonymous: authority");
    for _ in 0..200 {
        none.proxy
            .get("/")
            .send()
            .expect_refusal(401, "unauthenticated");
    }
}

/// An issuer of tokens with one key.
struct Issuer {
    key: jsonwebtoken::EncodingKey,
    id: String,
}

impl Issuer {
    fn new(folder: &Path) -> Self {
        let (issuer, jwks) = Self::with_keys("one");
        fs::write(folder.join("jwks.json"), jwks).unwrap();
        issuer
    }

    /// An issuer whose key has this id, and its JWKS.
    fn with_keys(id: &str) -> (Self, String) {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let key = jsonwebtoken::EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk =
            jsonwebtoken::jwk::Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::ES256)
                .unwrap();
        jwk.common.key_id = Some(id.into());
        let issuer = Self {
            key,
            id: id.to_owned(),
        };
        (issuer, json!({"keys": [jwk]}).to_string())
    }

    fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        // Far in the future: the tests' clock is the machine's.
        let mut claims = json!({"iss": "https://id.test/", "aud": "shop", "sub": "canary-subject", "exp": 4_000_000_000_u64});
        change(&mut claims);
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

fn jwt_settings(folder: &Path) -> String {
    format!(
        "jwt: {{ client_authentication: shared-canary, issuers: [{{ issuer: \"https://id.test/\", audiences: [shop], algorithms: [ES256], jwks_file: {}/jwks.json }}] }}",
        folder.display()
    )
}

#[test]
fn garbage_expired_and_foreign_tokens_never_reach_the_authority() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new(folder.path());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("all", "/**", "allow: authenticated")
        .and(&format!(
            "credentials: {{ {} }}",
            jwt_settings(folder.path())
        ))
        .start();
    let none = format!(
        "{}.{}.x",
        URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}"),
        URL_SAFE_NO_PAD.encode("{\"iss\":\"https://id.test/\"}")
    );
    let good = issuer.token(|_| {});
    let bent = format!("{}A", &good[..good.len() - 1]);
    for bad in [
        none,
        "a.b.c".to_owned(),
        "a.b".to_owned(),
        bent + "AAA",
        issuer.token(|claims| claims["exp"] = json!(1_000)),
        issuer.token(|claims| claims["iss"] = json!("https://other.test/")),
        issuer.token(|claims| claims["aud"] = json!("other")),
    ] {
        let call = gate.proxy.get("/").authorization(&format!("Bearer {bad}"));
        call.send().expect_refusal(401, "unauthenticated");
    }
    assert_eq!(fake.questions(), 0);
    // A good one is the authority's to judge, with the secret of its realm.
    let value = format!("Bearer {good}");
    gate.proxy
        .get("/")
        .authorization(&value)
        .send()
        .expect_refusal(401, "unauthenticated");
    let asked = fake.server.requests();
    let asked: Vec<_> = asked
        .iter()
        .filter(|request| request.header("authorization") == Some(&value))
        .collect();
    assert!(!asked.is_empty());
    for request in asked {
        assert_eq!(
            request.header("es-client-authentication"),
            Some("SharedSecret shared-canary")
        );
    }
    // Tokens of the authority itself hold no dot and are none of the issuers' business.
    fake.know("Bearer opaque", Account::new("svc", &[], &[]));
    gate.proxy
        .get("/")
        .authorization("Bearer opaque")
        .send()
        .expect(200);
}

#[test]
fn keys_by_url_rotate_in_the_background_and_an_outage_of_their_server_hurts_nobody() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let keys: Arc<Mutex<Option<String>>> = Arc::default();
    let served = Arc::clone(&keys);
    let key_server = Server::start(move |_| match &*served.lock().unwrap() {
        Some(jwks) => Answer::text(jwks),
        None => Answer::HangUp,
    });
    let serve = |jwks: Option<&String>| {
        *keys.lock().unwrap() = jwks.cloned();
        // Two from here on: the first may have been under way.
        let seen = key_server.requests().len();
        key_server.wait_for_requests(seen + 2);
    };
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("all", "/**", "allow: authenticated")
        .and(&format!("credentials: {{ jwt: {{ issuers: [{{ issuer: \"https://id.test/\", audiences: [shop], algorithms: [ES256], jwks_url: \"{}/keys\", refresh: 50ms }}] }} }}", key_server.url()))
        .start();
    let ((one, first), (two, second)) = (Issuer::with_keys("one"), Issuer::with_keys("two"));
    let numbered = |issuer: &Issuer, number: usize| {
        let token = format!(
            "Bearer {}",
            issuer.token(|claims| claims["jti"] = json!(number))
        );
        fake.know(&token, Account::new("svc", &[], &[]));
        token
    };
    let send = |token: &str| gate.proxy.get("/").authorization(token).send();

    // Nobody knows the keys yet: trouble, and nobody's fault.
    send(&numbered(&one, 1)).expect_refusal(503, "authority_unavailable");
    serve(Some(&first));
    send(&numbered(&one, 2)).expect(200);
    serve(Some(&second));
    let asked = fake.questions();
    send(&numbered(&one, 3)).expect_refusal(401, "unauthenticated");
    assert_eq!(fake.questions(), asked, "a key that was taken out is gone");
    send(&numbered(&two, 4)).expect(200);
    serve(None);
    send(&numbered(&two, 5)).expect(200);

    let asked = fake.questions();
    let (stranger, _) = Issuer::with_keys("two");
    for bad in [
        stranger.token(|_| {}),
        two.token(|claims| claims["exp"] = json!(1_000)),
        two.token(|claims| claims["iss"] = json!("https://other.test/")),
        "garbage.garbage.garbage".to_owned(),
    ] {
        send(&format!("Bearer {bad}")).expect_refusal(401, "unauthenticated");
    }
    assert_eq!(fake.questions(), asked, "nothing bad reached the authority");
}

/// Every way in, each with canaries of its own.
fn every_way<'g>(gate: &'g Running, tokens: &[String; 2]) -> Vec<Call<'g>> {
    let [jwt, ticket] = tokens;
    vec![
        gate.proxy.get("/").basic("alice", "canary-password"),
        gate.proxy.get("/").authorization("Bearer canary-bearer"),
        gate.proxy.get("/").authorization(&format!("Bearer {jwt}")),
        gate.proxy.get("/").authorization(&format!("ApiKey {HOOK}")),
        gate.proxy.get("/").header("X-Hook-Key", HOOK),
        gate.proxy.get(&format!("/?key={HOOK}&z=1")),
        gate.proxy
            .get("/")
            .authorization(&format!("Negotiate {ticket}")),
        gate.proxy.get("/"),
        gate.proxy
            .get("/")
            .basic("alice", "canary-password")
            .header("es-security-runas-user", "canary-run-as")
            .header("es-secondary-authorization", "Basic canary-secondary")
            .header("es-client-authentication", "SharedSecret canary-client")
            .header("client-cert", ":canary:"),
    ]
}

#[test]
fn no_way_in_leaves_a_trace_anywhere_but_where_the_route_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new(folder.path());
    let jwt = issuer.token(|_| {});
    let client = Client::of(&crate::harness::pki::Authority::new(), "x", |_| {});
    let pem = STANDARD.encode(&client.chain[0]);
    for (forward, passes) in [
        ("{ identity_headers: {} }", false),
        ("none", false),
        ("passthrough", true),
    ] {
        let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
        let who = |name: &str| Account::new(name, &[], &[]);
        for (value, name) in [
            (basic("alice", "canary-password"), "alice"),
            ("Bearer canary-bearer".to_owned(), "bearer"),
            (format!("Bearer {jwt}"), "jwt"),
            (format!("ApiKey {HOOK}"), "hook"),
        ] {
            fake.know(&value, who(name));
        }
        let ticket = STANDARD.encode("ticket-canary");
        fake.know_ticket(&ticket, Ticket::Of(who("kerb"), "bXV0dWFs"));
        fake.know_certificate(&client.chain[0], who("robot"));
        let gate = Plan::with_authority(&fake.yaml_with_own())
            .listener("trusted_proxies: [127.0.0.0/8]")
            .listener("forwarded_client_certificates: client_cert")
            .upstream("app", &app)
            .route(
                "all",
                "/**",
                &format!("allow: authenticated, forward: {forward}, credentials: {{ api_key: {{ header: X-Hook-Key, query_parameter: key }}, anonymous: {{ basic: {{ username: alice, password: canary-password }} }} }}"),
            )
            .and(&format!("credentials: {{ kerberos: {{}}, {} }}", jwt_settings(folder.path())))
            .environment("RUST_LOG", "debug")
            .start();
        let tokens = [jwt.clone(), ticket.clone()];
        for call in every_way(&gate, &tokens) {
            call.send().expect(200);
        }
        let certified = gate
            .proxy
            .get("/")
            .header("client-cert", &format!(":{pem}:"));
        certified.send().expect(200);
        assert_eq!(fake.delegations(), 1);
        let mut told = gate.metrics();
        let mut gate = gate;
        gate.process.signal("TERM");
        gate.process.wait();
        told.push_str(&gate.process.output());
        let reached = app.bytes();
        let own = [
            "canary-password",
            "canary-bearer",
            &jwt,
            HOOK,
            &ticket,
            "ticket-canary",
            &pem,
            "canary-secondary",
            "canary-client",
            "token-canary",
            "own-canary",
            "shared-canary",
            &basic("alice", "canary-password")[6..],
        ];
        for canary in own {
            assert!(
                !told.contains(canary),
                "{forward}: {canary} was logged or counted"
            );
            let let_through = passes
                && [
                    "canary-bearer",
                    &jwt,
                    HOOK,
                    &ticket,
                    &basic("alice", "canary-password")[6..],
                ]
                .contains(&canary);
            assert!(
                let_through || !reached.contains(canary),
                "{forward}: {canary} reached the upstream\n{reached}"
            );
        }
        assert!(!reached.to_ascii_lowercase().contains("x-hook-key") && !reached.contains("key="));
    }
}
