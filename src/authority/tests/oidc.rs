//! `_security/oidc/*` as callers see it. ID tokens come through the browser and are signed with the client secret, so that no
//! provider is needed.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::audit::Audited;
use super::realms::{WHO, map, native, realm, with_realms};
use super::*;
use crate::authority::audit::event::{Event, Events};
use crate::config::realm_values::ProviderUrl;
use crate::config::realms::{JwtAlgorithm, JwtClaim, JwtClaims, Realm, RealmKind};
use crate::config::realms_oidc::{
    OidcClientAuthMethod, OidcHttp, OidcParty, OidcProvider, OidcRealm, OidcResponseType,
};
use crate::config::values::Value as _;

const PREPARE: &str = "/_security/oidc/prepare";
const AUTHENTICATE: &str = "/_security/oidc/authenticate";
const LOGOUT: &str = "/_security/oidc/logout";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn oidc(name: &str, issuer: &str) -> Realm {
    let claim = |name: &str| JwtClaim {
        name: name.to_owned(),
        pattern: None,
    };
    let second = Duration::from_secs(1);
    let at = |path: &str| ProviderUrl::parse(&format!("{issuer}/{path}")).ok();
    let settings = OidcRealm {
        party: OidcParty {
            client_id: "shop".to_owned(),
            client_secret: Some(Secret::from(SECRET)),
            redirect_uri: "https://shop.test/cb".to_owned(),
            response_type: OidcResponseType::IdToken,
            scopes: vec!["openid".to_owned()],
            client_auth_method: OidcClientAuthMethod::Basic,
            assertion_algorithm: JwtAlgorithm::HS384,
            post_logout_redirect_uri: None,
            signature_algorithm: JwtAlgorithm::HS256,
            pkce: true,
        },
        provider: OidcProvider {
            issuer: issuer.to_owned(),
            discovery: None,
            authorization_endpoint: at("auth"),
            token_endpoint: None,
            userinfo_endpoint: None,
            endsession_endpoint: at("end"),
            keys: None,
        },
        claims: JwtClaims {
            principal: claim("sub"),
            groups: None,
            name: None,
            mail: None,
            dn: None,
        },
        populate_user_metadata: true,
        clock_skew: second,
        authorization_realms: Vec::new(),
        http: OidcHttp {
            ca: None,
            connect_timeout: second,
            read_timeout: second,
            keys_interval: second,
        },
    };
    realm(name, RealmKind::Oidc(Box::new(settings)))
}

fn id_token(issuer: &str, subject: &str, nonce: &str) -> String {
    let claims = json!({
        "iss": issuer, "aud": "shop", "sub": subject, "nonce": nonce, "iat": 1_700_000_000, "exp": 1_700_000_300,
    });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "HS256"})), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

async fn one_realm() -> Node {
    with_realms(vec![native(), oidc("oidc1", "https://op")]).await
}

fn back(token: &str, state: &str) -> Value {
    json!({"redirect_uri": format!("https://shop.test/cb#id_token={token}&state={state}"), "state": "st", "nonce": "no"})
}

async fn parameters(node: &Node, body: Value) -> (Value, BTreeMap<String, String>) {
    let answer = node.done("POST", PREPARE, body).await;
    let redirect = answer["redirect"].as_str().unwrap();
    let (endpoint, query) = redirect.split_once('?').unwrap();
    assert_eq!(endpoint, "https://op/auth");
    let sent = form_urlencoded::parse(query.as_bytes()).into_owned();
    let sent = sent.collect();
    (answer, sent)
}

#[tokio::test]
async fn a_login_is_prepared_with_the_callers_state_and_nonce_or_with_fresh_ones() {
    let node = one_realm().await;
    let body = json!({"realm": "oidc1", "state": "st", "nonce": "no"});
    let (answer, sent) = parameters(&node, body).await;
    let names: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(names, ["redirect", "state", "nonce", "realm"]);
    assert_eq!(
        (&answer["state"], &answer["nonce"], &answer["realm"]),
        (&json!("st"), &json!("no"), &json!("oidc1"))
    );
    assert_eq!(
        (sent["state"].as_str(), sent["nonce"].as_str()),
        ("st", "no")
    );
    let (first, sent) = parameters(&node, json!({"realm": "oidc1"})).await;
    let (second, _) = parameters(&node, json!({"realm": "oidc1"})).await;
    assert_eq!(first["state"], json!(sent["state"]));
    assert!(
        sent["state"].len() >= 43 && sent["nonce"].len() >= 43 && sent["state"] != sent["nonce"]
    );
    assert_ne!(first["state"], second["state"]);
    let third = json!({"iss": "https://op", "login_hint": "joe"});
    let (answer, sent) = parameters(&node, third).await;
    assert_eq!(
        (&answer["realm"], sent["login_hint"].as_str()),
        (&json!("oidc1"), "joe")
    );
}

#[tokio::test]
async fn a_realm_that_is_not_there_or_not_the_only_one_is_told() {
    let chain = vec![native(), oidc("a", "https://op"), oidc("b", "https://op")];
    let node = with_realms(chain).await;
    for (body, reason) in [
        (
            json!({"realm": "x"}),
            "Cannot find OpenID Connect realm with name [x]",
        ),
        (
            json!({"realm": "default_native"}),
            "Cannot find OpenID Connect realm with name [default_native]",
        ),
        (
            json!({"iss": "https://x"}),
            "Cannot find OpenID Connect realm with issuer [https://x]",
        ),
        (
            json!({"iss": "https://op"}),
            "Found multiple OpenID Connect realm with issuer [https://op]",
        ),
    ] {
        let answer = node.elastic("POST", PREPARE, body).await;
        assert_eq!((answer.status, answer.reason().as_str()), (500, reason));
    }
    // Two realms could have begun this login: a response must not be shown to both.
    let token = id_token("https://op", "joe", "no");
    assert_eq!(
        node.elastic("POST", AUTHENTICATE, back(&token, "st"))
            .await
            .status,
        401
    );
    let mut named = back(&token, "st");
    named["realm"] = json!("b");
    let answer = node.done("POST", AUTHENTICATE, named).await;
    assert_eq!(
        answer["authentication"]["authentication_realm"]["name"],
        "b"
    );
}

#[tokio::test]
async fn whoever_comes_back_from_the_provider_gets_tokens_and_the_roles_of_mappings() {
    let node = one_realm().await;
    map(&node, "oidc1", "shopper").await;
    let token = id_token("https://op", "joe", "no");
    let answer = node.done("POST", AUTHENTICATE, back(&token, "st")).await;
    let names: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "access_token",
            "type",
            "expires_in",
            "refresh_token",
            "authentication"
        ]
    );
    assert_eq!(answer["authentication"]["authentication_type"], "realm");
    let bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let who = node.with(&bearer, "GET", WHO, &Value::Null).await.json();
    let realm = json!({"name": "oidc1", "type": "oidc"});
    let expected = json!({
        "username": "joe", "roles": ["shopper"], "full_name": null, "email": null,
        "metadata": {"oidc(iss)": "https://op", "oidc(aud)": ["shop"], "oidc(sub)": "joe", "oidc(nonce)": "no"},
        "enabled": true, "authentication_realm": realm, "lookup_realm": realm, "authentication_type": "token",
    });
    assert_eq!(who, expected);
}

#[tokio::test]
async fn whoever_can_not_be_let_in_learns_nothing_but_that() {
    let node = one_realm().await;
    for (body, realm) in [
        (
            back(&id_token("https://op", "joe", "no"), "other"),
            json!(null),
        ),
        (
            back(&id_token("https://op", "joe", "other"), "st"),
            json!(null),
        ),
        (
            back(&id_token("https://evil", "joe", "no"), "st"),
            json!("oidc1"),
        ),
        (
            back(&id_token("https://op", "joe", "no"), "st"),
            json!("default_native"),
        ),
        (back("x", "st"), json!("oidc1")),
    ] {
        let mut body = body;
        body["realm"] = realm;
        let answer = node.elastic("POST", AUTHENTICATE, body).await;
        let text = "unable to authenticate user [<OIDC Token>] for action [cluster:admin/xpack/security/oidc/authenticate]";
        assert_eq!((answer.status, answer.reason().as_str()), (401, text));
    }
}

#[tokio::test]
async fn the_audit_log_tells_who_came_back_from_the_provider_and_who_was_not_let_in() {
    let events = Events::of([Event::AuthenticationSuccess, Event::AuthenticationFailed]);
    let options = Options {
        realms: vec![native(), oidc("oidc1", "https://op")],
        ..options()
    };
    let audited = Audited::open(events, options).await;
    for nonce in ["other", "no"] {
        let token = id_token("https://op", "joe", nonce);
        let node = &audited.node;
        node.elastic("POST", AUTHENTICATE, back(&token, "st")).await;
    }
    let lines: Vec<Value> = audited
        .lines()
        .into_iter()
        .filter(|line| line["event.type"] == "transport")
        .collect();
    let told = |at: usize, key: &str| lines[at][key].as_str().unwrap_or_default().to_owned();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(told(0, "event.action"), "authentication_failed");
    assert_eq!(told(0, "user.name"), "<OIDC Token>");
    assert_eq!(told(1, "event.action"), "authentication_success");
    assert_eq!(told(1, "user.name"), "joe");
    assert_eq!(told(1, "user.realm"), "oidc1");
    assert_eq!(
        told(1, "action"),
        "cluster:admin/xpack/security/oidc/authenticate"
    );
}

#[tokio::test]
async fn a_logout_takes_both_tokens_back_and_tells_where_the_provider_ends_its_session() {
    let node = one_realm().await;
    let token = id_token("https://op", "joe", "no");
    let pair = node.done("POST", AUTHENTICATE, back(&token, "st")).await;
    let body = json!({"token": pair["access_token"], "refresh_token": pair["refresh_token"]});
    let answer = node.done("POST", LOGOUT, body.clone()).await;
    assert_eq!(
        answer,
        json!({"redirect": format!("https://op/end?id_token_hint={token}")})
    );
    let bearer = format!("Bearer {}", pair["access_token"].as_str().unwrap());
    assert_eq!(
        node.with(&bearer, "GET", WHO, &Value::Null).await.status,
        401
    );
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]});
    assert_eq!(
        node.elastic("POST", "/_security/oauth2/token", refresh)
            .await
            .status,
        400
    );
    assert_eq!(node.elastic("POST", LOGOUT, body).await.status, 401, "once");
}

#[tokio::test]
async fn a_token_of_another_realm_is_no_session_at_a_provider() {
    let node = one_realm().await;
    let grant = json!({"grant_type": "password", "username": "elastic", "password": PASSWORD});
    let pair = node.done("POST", "/_security/oauth2/token", grant).await;
    let answer = node
        .elastic("POST", LOGOUT, json!({"token": pair["access_token"]}))
        .await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (400, "Access token is not valid for an OpenID Connect realm")
    );
    let bearer = format!("Bearer {}", pair["access_token"].as_str().unwrap());
    assert_eq!(
        node.with(&bearer, "GET", WHO, &Value::Null).await.status,
        200
    );
}

#[tokio::test]
async fn only_those_who_may_manage_oidc_speak_for_browsers() {
    let node = one_realm().await;
    let joe = node
        .user_with("joe", json!({"cluster": ["monitor", "manage_saml"]}))
        .await;
    let ann = node
        .user_with("ann", json!({"cluster": ["manage_oidc"]}))
        .await;
    let token = id_token("https://op", "joe", "no");
    for (path, body) in [
        (PREPARE, json!({"realm": "oidc1"})),
        (AUTHENTICATE, back(&token, "st")),
        (LOGOUT, json!({"token": "x"})),
    ] {
        assert_eq!(
            node.with(&joe, "POST", path, &body).await.status,
            403,
            "{path}"
        );
        assert_ne!(
            node.with(&ann, "POST", path, &body).await.status,
            403,
            "{path}"
        );
    }
}
