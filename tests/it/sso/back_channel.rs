//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0): what a real provider sends, and what is only made to look like it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

use super::house::{House, Sketch, is_here};
use super::oidc;
use crate::harness::client::Reply;
use crate::harness::oidc_provider::{OidcProvider, SECRET};
use crate::harness::person::encode;
use crate::harness::server::{Answer, Server};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Somebody who signs logout tokens, and serves the key.
struct Signer {
    key: EncodingKey,
    keys: Server,
}

impl Signer {
    fn new() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("logout".to_owned());
        let set = json!({"keys": [jwk]});
        Self {
            key,
            keys: Server::start(move |_| {
                let kind = ("content-type", "application/json".to_owned());
                Answer::Reply(200, vec![kind], set.to_string().into_bytes())
            }),
        }
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("logout".to_owned());
        header.typ = Some("logout+jwt".to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// A token's claims as the provider would write them.
fn claims(sub: &str, id: &str) -> Value {
    let now = sidegate::model::clock::Clock::system().now().unix.as_secs();
    json!({
        "iss": oidc::issuer(), "aud": "es", "iat": now, "exp": now + 120, "jti": id, "sub": sub,
        "events": {EVENT: {}},
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn tell(house: &House, token: &str) -> Reply {
    let body = encode([("logout_token", token)].into_iter());
    let call = house
        .gate
        .proxy
        .post("/_sidegate/oidc/oidc1/backchannel", body);
    call.header("Content-Type", "application/x-www-form-urlencoded")
        .send()
}

#[test]
fn a_logout_token_is_believed_only_as_the_specification_says_and_only_once() {
    let Some(sketch) = oidc::plot() else { return };
    let signer = Signer::new();
    let realm = oidc::realm(&sketch, oidc::issuer(), "oidc1", "es", "code");
    let house = sketch
        .realms(&format!("oidc: {{ {realm} }}"))
        .provider(&format!(
            "{{ name: oidc1, login: {{ oidc: {{ realm: oidc1, back_channel_logout: {{ issuer: '{}', client_id: es, jwks_url: '{}/keys' }} }} }} }}",
            oidc::issuer(),
            signer.keys.url(),
        ))
        .build();
    let (alice, bob) = (house.person(), house.person());
    for (person, name) in [(&alice, "alice"), (&bob, "bob")] {
        let mut tab = person.tab();
        tab.open(&house.at("/"));
        is_here(&oidc::at_provider(&mut tab, name), name);
    }
    let good = || claims("alice", "one");
    let now = good()["iat"].as_u64().unwrap();
    let stranger = Signer::new();
    let unsigned = |alg: &str, claims: &Value| {
        let head = json!({"alg": alg, "typ": "logout+jwt", "kid": "logout"}).to_string();
        format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(head),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        )
    };
    let whole = signer.sign(&good());
    let (body, _) = whole.rsplit_once('.').unwrap();
    for (what, token) in [
        ("another's signature", stranger.sign(&good())),
        ("no signature", unsigned("none", &good())),
        ("no signature, said to be one", unsigned("ES256", &good())),
        ("half a signature", whole[..whole.len() - 4].to_owned()),
        (
            "somebody's bytes",
            format!("{body}.{}", URL_SAFE_NO_PAD.encode([1; 64])),
        ),
        (
            "another audience",
            signer.sign(&with(good(), "aud", json!("other"))),
        ),
        (
            "no audience",
            signer.sign(&with(good(), "aud", Value::Null)),
        ),
        (
            "another issuer",
            signer.sign(&with(good(), "iss", json!("https://evil.example"))),
        ),
        (
            "a nonce, as ID tokens have",
            signer.sign(&with(good(), "nonce", json!("n"))),
        ),
        (
            "no event",
            signer.sign(&with(good(), "events", Value::Null)),
        ),
        (
            "another event",
            signer.sign(&with(good(), "events", json!({"other": {}}))),
        ),
        (
            "an event that is a text",
            signer.sign(&with(good(), "events", json!({EVENT: "x"}))),
        ),
        (
            "nobody meant",
            signer.sign(&with(good(), "sub", Value::Null)),
        ),
        ("no id", signer.sign(&with(good(), "jti", Value::Null))),
        (
            "expired",
            signer.sign(&with(good(), "exp", json!(now - 3_600))),
        ),
        (
            "too old",
            signer.sign(&with(good(), "iat", json!(now - 86_400))),
        ),
        (
            "from the future",
            signer.sign(&with(good(), "iat", json!(now + 86_400))),
        ),
        ("no token", "x".to_owned()),
        ("nothing", String::new()),
        ("too large", "e".repeat(300_000)),
    ] {
        let reply = tell(&house, &token);
        assert!(
            (400..500).contains(&reply.status),
            "{what}: {} {}",
            reply.status,
            reply.text()
        );
        assert_eq!(house.ask(&alice).status, 200, "{what} ended a session");
    }
    house.logged(&["oidc_logout_token_refused"]);
    let reply = tell(&house, &whole).expect(200);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let ended = house.ask(&alice);
    assert_eq!(ended.status, 401);
    assert_eq!(
        ended.header("x-sidegate-session"),
        Some("session_ended_by_provider"),
        "{:?}",
        ended.headers
    );
    assert_eq!(house.ask(&bob).status, 200);
    // A new session is not ended by the old token.
    let mut tab = alice.tab();
    let page = tab.open(&house.at("/"));
    assert!(
        page.text().contains("session_ended_by_provider"),
        "{}",
        page.story()
    );
    is_here(&tab.click("oidc1"), "alice");
    assert_eq!(house.ask(&alice).status, 200);
    let replayed = tell(&house, &whole);
    assert!((400..500).contains(&replayed.status), "{}", replayed.status);
    assert_eq!(house.ask(&alice).status, 200);
}

#[test]
fn a_real_provider_ends_sessions_behind_the_browsers_back() {
    let sketch = Sketch::new();
    let Some(provider) = OidcProvider::start(
        0,
        &json!({
            "redirect_uris": [sketch.own("oidc/oidc1/callback")],
            "post_logout_redirect_uris": [sketch.own("logged-out")],
            "backchannel_logout_uri": sketch.own("oidc/oidc1/backchannel"),
        }),
    ) else {
        return;
    };
    let issuer = provider.issuer.clone();
    let realm = format!(
        "oidc1: {{ order: 5, rp: {{ client_id: es, client_secret: '{SECRET}', redirect_uri: '{}', response_type: code, \
         post_logout_redirect_uri: '{}' }}, op: {{ issuer: '{issuer}' }}, claims: {{ principal: sub }} }}",
        sketch.own("oidc/oidc1/callback"),
        sketch.own("logged-out"),
    );
    let house = sketch
        .realms(&format!("oidc: {{ {realm} }}"))
        .provider(&format!(
            "{{ name: oidc1, login: {{ oidc: {{ realm: oidc1, back_channel_logout: {{ issuer: '{issuer}', client_id: es, \
             jwks_url: '{issuer}/jwks' }} }} }} }}"
        ))
        .build();
    let (person, bystander) = (house.person(), house.person());
    for (browser, name) in [(&person, "alice"), (&bystander, "bob")] {
        let mut tab = browser.tab();
        tab.open(&house.at("/"));
        is_here(&tab.submit(&[("login", name)]), name);
    }
    let thief = person.twin();
    assert_eq!(house.ask(&thief).status, 200);
    // Logs out at the provider's own page, which knows nothing of Sidegate but its address. Its button stands outside of the form.
    let mut tab = person.tab();
    tab.open(&format!("{issuer}/session/end"));
    let confirmed = tab.submitting(&[]).with("logout", "yes");
    tab.go(confirmed);
    house.logged(&["session_ended_by_provider"]);
    house.is_stranger(&thief);
    house.is_stranger(&person);
    assert_eq!(house.ask(&bystander).status, 200, "somebody else's session");
}
