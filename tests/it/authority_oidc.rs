//! The embedded authority's OpenID Connect realm, with a real provider on the other side.

use serde_json::{Value, json};

use crate::harness::client::{Reply, basic};
use crate::harness::oidc_provider::{Browser, OidcProvider, SECRET};
use crate::harness::plan::{Plan, Running};

const CALLBACK: &str = "https://app.example.test/_sidegate/oidc/corporate/callback";
const GOODBYE: &str = "https://app.example.test/_sidegate/logged-out";
const ES256: &str = "client_auth_method: client_secret_post, signature_algorithm: ES256";

/// A running authority with one realm `oidc1`, and the provider it trusts.
struct Pair {
    provider: OidcProvider,
    gate: Running,
}

/// One login that was begun.
struct Begun {
    redirect: String,
    state: String,
    nonce: String,
}

fn provider_settings() -> Value {
    json!({"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [GOODBYE], "pkce": true})
}

fn start_gate(issuer: &str, client: &str, rp: &str) -> Running {
    let realm = format!(
        "order: 5, rp: {{ client_id: {client}, client_secret: '{SECRET}', redirect_uri: '{CALLBACK}', response_type: code, \
         requested_scopes: [openid, profile, email, groups], post_logout_redirect_uri: '{GOODBYE}', {rp} }}, \
         op: {{ issuer: '{issuer}' }}, claims: {{ principal: sub, groups: groups, name: name, mail: email }}"
    );
    let gate = Plan::with_authority(&format!(
        "embedded: {{ address: \"127.0.0.1:0\", superuser_password: elastic-password, realms: {{ oidc: {{ oidc1: {{ {realm} }} }} }} }}"
    ))
    .upstream_yaml("app", "url: 'http://127.0.0.1:1'")
    .route("all", "/**", "allow: authenticated")
    .start();
    let rules =
        json!({"all": [{"field": {"realm.name": "oidc1"}}, {"field": {"groups": "admins"}}]});
    let mapping = json!({"enabled": true, "roles": ["shop_admin"], "rules": rules});
    ask(&gate, "/_security/role_mapping/admins", &mapping).expect(200);
    gate
}

fn ask(gate: &Running, path: &str, body: &Value) -> Reply {
    let authority = gate.authority.as_ref().expect("an address");
    let call = authority.post_json(path, body);
    call.authorization(&basic("elastic", "elastic-password"))
        .send()
}

impl Pair {
    /// `None` after saying that the test is skipped.
    fn start(client: &str, rp: &str) -> Option<Self> {
        let provider = OidcProvider::start(0, &provider_settings())?;
        let gate = start_gate(&provider.issuer, client, rp);
        Some(Self { provider, gate })
    }

    fn ask(&self, path: &str, body: &Value) -> Reply {
        ask(&self.gate, path, body)
    }

    fn prepare(&self) -> Begun {
        let body = json!({"realm": "oidc1"});
        let reply = self.ask("/_security/oidc/prepare", &body).expect(200);
        let text = |name: &str| reply.json()[name].as_str().unwrap().to_owned();
        assert_eq!(text("realm"), "oidc1");
        Begun {
            redirect: text("redirect"),
            state: text("state"),
            nonce: text("nonce"),
        }
    }

    fn authenticate(&self, begun: &Begun, landed: &str) -> Reply {
        let body = json!({
            "redirect_uri": landed, "state": begun.state, "nonce": begun.nonce, "realm": "oidc1",
        });
        self.ask("/_security/oidc/authenticate", &body)
    }

    fn who(&self, pair: &Value) -> Reply {
        let token = format!("Bearer {}", pair["access_token"].as_str().unwrap());
        let authority = self.gate.authority.as_ref().unwrap();
        let call = authority.get("/_security/_authenticate");
        call.authorization(&token).send()
    }

    /// A whole login of this name.
    fn log_in(&self, name: &str) -> Value {
        let begun = self.prepare();
        let landed = self.provider.log_in(&begun.redirect, name);
        self.authenticate(&begun, &landed).expect(200).json()
    }

    fn logged(&self, reason: &str) {
        let line = self
            .gate
            .process
            .stderr
            .find(|line| line.contains("realm refused") && line.contains(reason));
        assert!(line.is_some(), "no line says [{reason}]");
    }
}

#[test]
fn somebody_who_logs_in_at_a_real_provider_gets_tokens_roles_and_metadata() {
    let Some(pair) = Pair::start("es", "") else {
        return;
    };
    let tokens = pair.log_in("alice");
    assert_eq!(
        (&tokens["type"], &tokens["expires_in"]),
        (&json!("Bearer"), &json!(1_200))
    );
    let who = pair.who(&tokens).expect(200).json();
    assert_eq!(
        (&who["username"], &who["full_name"], &who["email"]),
        (
            &json!("alice"),
            &json!("Alice Example"),
            &json!("alice@example.test")
        )
    );
    assert_eq!(
        who["roles"],
        json!(["shop_admin"]),
        "by the group that only userinfo tells"
    );
    assert_eq!(
        who["authentication_realm"],
        json!({"name": "oidc1", "type": "oidc"})
    );
    assert_eq!(who["metadata"]["oidc(sub)"], "alice");
    assert_eq!(who["metadata"]["oidc(groups)"], json!(["admins", "devs"]));
    assert_eq!(pair.who(&pair.log_in("bob")).json()["roles"], json!([]));
    // The refreshed pair still is that session.
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]});
    let again = pair
        .ask("/_security/oauth2/token", &refresh)
        .expect(200)
        .json();
    let out = json!({"token": again["access_token"], "refresh_token": again["refresh_token"]});
    let out = pair.ask("/_security/oidc/logout", &out).expect(200).json();
    let redirect = out["redirect"].as_str().unwrap();
    assert!(redirect.contains("id_token_hint=ey"), "{redirect}");
    pair.who(&again).expect(401);
    let spent = json!({"grant_type": "refresh_token", "refresh_token": again["refresh_token"]});
    pair.ask("/_security/oauth2/token", &spent).expect(400);
}

#[test]
fn every_way_to_prove_oneself_and_every_kind_of_signature_is_taken_by_a_real_provider() {
    let by_assertion = "client_auth_method: client_secret_jwt, signature_algorithm: PS256";
    for (client, rp) in [
        ("es-post", ES256),
        ("es-jwt", by_assertion),
        ("es-hmac", "signature_algorithm: HS256"),
        ("es-signed", ""),
    ] {
        let Some(pair) = Pair::start(client, rp) else {
            return;
        };
        let who = pair.who(&pair.log_in("alice")).expect(200).json();
        assert_eq!(who["roles"], json!(["shop_admin"]), "{client}");
    }
}

#[test]
fn a_logout_here_ends_in_a_logout_at_the_provider() {
    let Some(pair) = Pair::start("es", "") else {
        return;
    };
    let begun = pair.prepare();
    let mut browser = Browser::default();
    let landed = browser.log_in(&pair.provider, &begun.redirect, "alice");
    let tokens = pair.authenticate(&begun, &landed).expect(200).json();
    // Whoever is logged in there is not asked again.
    let second = pair.prepare();
    let landed = browser.log_in(&pair.provider, &second.redirect, "nobody");
    pair.authenticate(&second, &landed).expect(200);
    let out = json!({"token": tokens["access_token"], "refresh_token": tokens["refresh_token"]});
    let out = pair.ask("/_security/oidc/logout", &out).expect(200).json();
    let redirect = out["redirect"].as_str().unwrap().to_owned();
    let path = redirect.trim_start_matches(&pair.provider.issuer);
    let page = browser
        .go(&pair.provider, "GET", path, "")
        .expect(200)
        .text();
    let (_, rest) = page.split_once("name=\"xsrf\" value=\"").expect("a form");
    let (xsrf, _) = rest.split_once('"').unwrap();
    let form = format!("xsrf={xsrf}&logout=yes");
    let confirmed = browser.go(&pair.provider, "POST", "/session/end/confirm", &form);
    let back = confirmed.header("location").unwrap();
    assert!(back.starts_with(&format!("{GOODBYE}?state=")), "{back}");
    let third = pair.prepare();
    let landed = browser.log_in(&pair.provider, &third.redirect, "nobody");
    assert!(
        landed.contains("error=access_denied"),
        "asked again: {landed}"
    );
}

#[test]
fn a_denied_replayed_or_swapped_response_lets_nobody_in_and_the_log_says_why() {
    let Some(pair) = Pair::start("es", "") else {
        return;
    };
    let begun = pair.prepare();
    let denied = pair.provider.log_in(&begun.redirect, "mallory");
    let reply = pair.authenticate(&begun, &denied).expect(401).json();
    assert_eq!(
        reply["error"]["reason"],
        "unable to authenticate user [<OIDC Token>] for action [cluster:admin/xpack/security/oidc/authenticate]"
    );
    pair.logged("access_denied");
    let begun = pair.prepare();
    let landed = pair.provider.log_in(&begun.redirect, "alice");
    let other = pair.prepare();
    pair.authenticate(&other, &landed).expect(401);
    pair.logged("parameter [state] is not that of the attempt");
    let elsewhere = landed.replace(
        &format!("iss={}", form(&pair.provider.issuer)),
        "iss=https%3A%2F%2Fevil.test",
    );
    assert_ne!(landed, elsewhere, "the provider names itself");
    pair.authenticate(&begun, &elsewhere).expect(401);
    pair.logged("parameter [iss] is not the provider that was asked");
    let wrong_nonce = Begun {
        nonce: other.nonce.clone(),
        ..pair.prepare()
    };
    let there = pair.provider.log_in(&wrong_nonce.redirect, "alice");
    pair.authenticate(&wrong_nonce, &there).expect(401);
    // Another nonce is another PKCE verifier, so the provider refuses before the ID token could.
    pair.logged("invalid_grant");
    pair.authenticate(&begun, &landed).expect(200);
    pair.authenticate(&begun, &landed).expect(401);
    pair.logged("the response was used before");
}

#[test]
fn a_code_for_one_attempt_is_of_no_use_in_another() {
    let Some(pair) = Pair::start("es", "") else {
        return;
    };
    // What an attacker does who got hold of somebody's code: their own attempt, with the other's code in it.
    let (victim, own) = (pair.prepare(), pair.prepare());
    let landed = pair.provider.log_in(&victim.redirect, "alice");
    let swapped = landed.replace(&victim.state, &own.state);
    pair.authenticate(&own, &swapped).expect(401);
    pair.logged("invalid_grant");
}

#[test]
fn a_provider_that_comes_up_late_or_with_new_keys_is_found() {
    let Some(provider) = OidcProvider::start(0, &provider_settings()) else {
        return;
    };
    let (port, issuer) = (provider.port(), provider.issuer.clone());
    drop(provider);
    let gate = start_gate(&issuer, "es-post", ES256);
    let early = ask(&gate, "/_security/oidc/prepare", &json!({"realm": "oidc1"})).expect(503);
    let reason = early.json()["error"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("discovery document"), "{reason}");
    drop(gate);
    let provider = OidcProvider::start(port, &provider_settings()).unwrap();
    let gate = start_gate(&issuer, "es-post", ES256);
    let mut pair = Pair { provider, gate };
    pair.who(&pair.log_in("alice")).expect(200);
    let Pair { provider, gate } = pair;
    drop(provider);
    // The same provider with other keys: the realm fetches them when it sees a signature that no known key made.
    let provider = OidcProvider::start(port, &provider_settings()).unwrap();
    pair = Pair { provider, gate };
    pair.who(&pair.log_in("bob")).expect(200);
}

fn form(text: &str) -> String {
    text.replace(':', "%3A").replace('/', "%2F")
}
