//! What must let nobody in, each with the reason that the log gets.

use aws_lc_rs::hmac;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::authority::realm::jwt::tests::assembled;

/// An HS256 token by these bytes as key.
pub(super) fn hs256(key: &[u8], claims: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let sign = |message: &[u8]| hmac::sign(&key, message).as_ref().to_vec();
    text(&assembled(
        &json!({"alg": "HS256", "kid": "k1"}),
        claims,
        sign,
    ))
}

/// Why a login with this ID token fails.
async fn refusal_of(op: &Op, id_token: &str) -> String {
    op.gives(id_token);
    op.show("/me", &json!({"sub": "joe"}));
    let realm = op.realm().await;
    let refused = come_back(&realm, "/cb?code=c-1&state=st-1").await;
    refused.err().expect("refused").to_string()
}

async fn refused_for(changes: Value, reason: &str) {
    let op = Op::start().await;
    let found = refusal(&op, &with(op.claims(), &changes)).await;
    assert!(found.contains(reason), "{changes}: {found}");
}

#[tokio::test]
async fn the_response_of_another_attempt_never_reaches_the_token_endpoint() {
    let op = Op::start().await;
    op.gives(&op.token(&op.claims()));
    let realm = op.realm().await;
    for uri in [
        "/cb?code=c-1&state=st-2",
        "/cb?code=c-1",
        "/cb?code=c-1&state=st-1&state=st-1",
    ] {
        assert!(come_back(&realm, uri).await.is_err(), "{uri}");
    }
    assert!(op.asked("/token").is_empty());
}

#[tokio::test]
async fn a_code_of_another_provider_is_not_shown_to_this_one() {
    let op = Op::start().await;
    op.show(
        DISCOVERY,
        &with(
            op.document(),
            &json!({"authorization_response_iss_parameter_supported": true}),
        ),
    );
    op.gives(&op.token(&op.claims()));
    let realm = op.realm().await;
    for uri in [
        "/cb?code=c-1&state=st-1&iss=https%3A%2F%2Fevil",
        "/cb?code=c-1&state=st-1",
    ] {
        let refused = come_back(&realm, uri).await;
        assert!(matches!(refused, Err(LoginError::Response(_))), "{uri}");
    }
    assert!(op.asked("/token").is_empty());
}

#[tokio::test]
async fn a_code_is_used_once_even_when_it_comes_many_times_at_once() {
    let op = Op::start().await;
    op.gives(&op.token(&op.claims()));
    op.show("/me", &json!({"sub": "joe"}));
    let realm = op.realm().await;
    let tries = (0..10).map(|_| come_back(&realm, "/cb?code=c-1&state=st-1"));
    let ended = futures_util::future::join_all(tries).await;
    assert_eq!(ended.iter().filter(|ended| ended.is_ok()).count(), 1);
    let replayed = |ended: &&Result<Login, LoginError>| matches!(ended, Err(LoginError::Replayed));
    assert_eq!(ended.iter().filter(replayed).count(), 9);
    assert_eq!(op.asked("/token").len(), 1);
}

#[tokio::test]
async fn an_id_token_from_the_browser_is_used_once() {
    let op = Op::start().await;
    let mut settings = op.settings();
    settings.party.response_type = OidcResponseType::IdToken;
    let realm = OidcRealm::open("oidc1", &settings).await.unwrap();
    let uri = format!("/cb#id_token={}&state=st-1", op.token(&op.claims()));
    assert!(come_back(&realm, &uri).await.is_ok());
    assert!(matches!(
        come_back(&realm, &uri).await,
        Err(LoginError::Replayed)
    ));
}

#[tokio::test]
async fn a_login_that_the_person_or_the_provider_denied_is_denied() {
    let op = Op::start().await;
    let realm = op.realm().await;
    let refused = come_back(
        &realm,
        "/cb?error=access_denied&error_description=no+thanks&state=st-1",
    )
    .await;
    let reason = refused.err().unwrap().to_string();
    assert!(
        reason.contains("access_denied") && reason.contains("no thanks"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused() {
    for issuer in [json!("https://evil"), json!(null), json!(["x"])] {
        refused_for(json!({"iss": issuer}), "[iss]").await;
    }
}

#[tokio::test]
async fn a_token_for_another_client_is_refused() {
    for audience in [
        json!("other"),
        json!(["other"]),
        json!([]),
        json!(null),
        json!(["rp", 1]),
    ] {
        refused_for(json!({"aud": audience}), "[aud]").await;
    }
}

#[tokio::test]
async fn a_token_that_another_client_asked_for_is_refused() {
    refused_for(json!({"azp": "other"}), "[azp]").await;
    refused_for(json!({"aud": ["rp", "other"]}), "[azp]").await;
    refused_for(json!({"aud": ["rp", "other"], "azp": "other"}), "[azp]").await;
    refused_for(json!({"azp": 5}), "[azp]").await;
}

#[tokio::test]
async fn a_token_of_another_attempt_is_refused() {
    for nonce in [json!("no-2"), json!(null), json!("")] {
        refused_for(json!({"nonce": nonce}), "[nonce]").await;
    }
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    refused_for(json!({"exp": NOW - 60}), "expired").await;
    refused_for(json!({"exp": null}), "[exp]").await;
}

#[tokio::test]
async fn a_token_that_is_not_yet_valid_is_refused() {
    refused_for(json!({"nbf": NOW + 61}), "[nbf]").await;
    refused_for(json!({"iat": NOW + 61}), "[iat]").await;
    refused_for(json!({"auth_time": NOW + 61}), "[auth_time]").await;
}

#[tokio::test]
async fn a_token_about_nobody_is_refused() {
    refused_for(json!({"sub": null}), "[sub]").await;
    refused_for(json!({"sub": "x".repeat(256)}), "[sub]").await;
}

#[tokio::test]
async fn a_token_that_nobody_signed_is_refused() {
    let op = Op::start().await;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = format!("{}.{}.", part(&json!({"alg": "none"})), part(&op.claims()));
    let reason = refusal_of(&op, &none).await;
    assert!(reason.contains("no signed json web token"), "{reason}");
    let claimed = text(&assembled(&json!({"alg": "none"}), &op.claims(), |_| {
        vec![1]
    }));
    let reason = refusal_of(&op, &claimed).await;
    assert!(reason.contains("[alg]"), "{reason}");
}

#[tokio::test]
async fn the_providers_public_key_is_no_hmac_secret() {
    let op = Op::start().await;
    let jwk = op.signer.jwk.to_string();
    for key in [
        jwk.as_bytes(),
        op.signer.jwk["x"].as_str().unwrap().as_bytes(),
        SECRET.as_bytes(),
    ] {
        let reason = refusal_of(&op, &hs256(key, &op.claims())).await;
        assert!(reason.contains("[alg] is not ES256"), "{reason}");
    }
}

#[tokio::test]
async fn a_key_that_the_token_brings_along_is_not_looked_at() {
    let op = Op::start().await;
    let evil = ec_issuer("k1", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING);
    op.show("/evil", &json!({"keys": [evil.jwk]}));
    let url = format!("{}/evil", op.issuer);
    for header in [
        json!({"alg": "ES256", "kid": "k1", "jwk": evil.jwk}),
        json!({"alg": "ES256", "kid": "k1", "jku": url}),
        json!({"alg": "ES256", "kid": url, "x5u": url}),
    ] {
        let reason = refusal_of(&op, &text(&evil.token(&header, &op.claims()))).await;
        assert!(
            reason.contains("no key of the provider"),
            "{header}: {reason}"
        );
    }
    assert!(op.asked("/evil").is_empty());
}

#[tokio::test]
async fn an_access_token_or_what_is_not_understood_is_no_id_token() {
    let op = Op::start().await;
    for header in [
        json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}),
        json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"}),
        json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false}),
    ] {
        let reason = refusal_of(&op, &text(&op.signer.token(&header, &op.claims()))).await;
        assert!(reason.contains("header"), "{header}: {reason}");
    }
}

#[tokio::test]
async fn a_changed_claim_breaks_the_signature() {
    let op = Op::start().await;
    let good = op.token(&op.claims());
    let forged = URL_SAFE_NO_PAD.encode(with(op.claims(), &json!({"sub": "root"})).to_string());
    let mut parts: Vec<&str> = good.split('.').collect();
    parts[1] = &forged;
    let reason = refusal_of(&op, &parts.join(".")).await;
    assert!(reason.contains("no key of the provider"), "{reason}");
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_the_provider_once_in_a_while() {
    let op = Op::start().await;
    let realm = op.realm().await;
    let evil = ec_issuer("k9", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING);
    for count in 0..30 {
        let header = json!({"alg": "ES256", "kid": format!("k-{count}")});
        op.gives(&text(&evil.token(&header, &op.claims())));
        let uri = format!("/cb?code=c-{count}&state=st-1");
        assert!(come_back(&realm, &uri).await.is_err());
    }
    assert_eq!(op.asked("/jwks").len(), 2, "at the start, and once more");
}

#[tokio::test]
async fn userinfo_about_somebody_else_is_refused() {
    let op = Op::start().await;
    op.gives(&op.token(&op.claims()));
    for info in [
        json!({"sub": "root"}),
        json!({}),
        json!({"sub": ["joe"]}),
        json!("joe"),
        json!([]),
    ] {
        op.show("/me", &info);
        let realm = op.realm().await;
        let refused = come_back(&realm, "/cb?code=c-1&state=st-1").await;
        assert!(matches!(refused, Err(LoginError::UserInfo(_))), "{info}");
    }
    op.answer("/me", 401, json!({"sub": "joe"}).to_string());
    let realm = op.realm().await;
    assert!(come_back(&realm, "/cb?code=c-1&state=st-1").await.is_err());
}

#[tokio::test]
async fn an_access_token_that_the_id_token_does_not_speak_of_is_refused() {
    let op = Op::start().await;
    let mut settings = op.settings();
    settings.party.response_type = OidcResponseType::IdTokenToken;
    let other = id_token::half_hash(&Secret::from("at-2"), JwtAlgorithm::ES256);
    for hash in [json!(other), json!(null), json!(1)] {
        let realm = OidcRealm::open("oidc1", &settings).await.unwrap();
        let token = op.token(&with(op.claims(), &json!({"at_hash": hash})));
        let uri = format!("/cb#id_token={token}&access_token=at-1&token_type=bearer&state=st-1");
        let refused = come_back(&realm, &uri).await;
        assert!(
            matches!(refused, Err(LoginError::IdToken(IdTokenError::AccessToken))),
            "{hash}"
        );
    }
    assert!(op.asked("/me").is_empty());
    refused_for(json!({"at_hash": other}), "[at_hash]").await;
}

#[tokio::test]
async fn a_redirect_of_the_token_endpoint_is_not_followed() {
    let op = Op::start().await;
    op.gives(&op.token(&op.claims()));
    for status in [301, 302, 307, 308] {
        let page = Page {
            status,
            headers: vec![("location", format!("{}/elsewhere", op.issuer))],
            body: Vec::new(),
            stalls: false,
        };
        op.page("/token", page);
        let realm = op.realm().await;
        let refused = come_back(&realm, "/cb?code=c-1&state=st-1").await;
        assert!(
            matches!(
                refused,
                Err(LoginError::Exchange(ExchangeError::Refused { .. }))
            ),
            "{status}"
        );
    }
    assert!(op.asked("/elsewhere").is_empty());
}

#[tokio::test]
async fn a_huge_answer_is_not_read_to_its_end() {
    let op = Op::start().await;
    let good = json!({"id_token": op.token(&op.claims()), "access_token": "a", "token_type": "bearer", "x": "x".repeat(1 << 19)});
    op.show("/token", &good);
    let realm = op.realm().await;
    let refused = come_back(&realm, "/cb?code=c-1&state=st-1").await;
    assert!(matches!(
        refused,
        Err(LoginError::Exchange(ExchangeError::Fetch(_)))
    ));
}

#[tokio::test]
async fn a_provider_that_never_answers_is_given_up_on() {
    let op = Op::start().await;
    let mut settings = op.settings();
    settings.http.read_timeout = Duration::from_millis(50);
    for path in ["/token", "/me"] {
        op.gives(&op.token(&op.claims()));
        op.show("/me", &json!({"sub": "joe"}));
        op.stall(path);
        let realm = OidcRealm::open("oidc1", &settings).await.unwrap();
        let refused = come_back(&realm, "/cb?code=c-1&state=st-1").await;
        let reason = refused.err().unwrap().to_string();
        assert!(reason.contains("no answer in time"), "{path}: {reason}");
    }
}

#[tokio::test]
async fn garbage_of_the_token_endpoint_is_no_token_response() {
    let op = Op::start().await;
    let token = op.token(&op.claims());
    for body in [
        json!({}),
        json!([]),
        json!({"id_token": token}),
        json!({"id_token": token, "access_token": "a", "token_type": "mac"}),
        json!({"id_token": [token], "access_token": "a", "token_type": "bearer"}),
        json!({"id_token": "x.y.z", "access_token": "a", "token_type": "bearer"}),
        json!({"id_token": "", "access_token": "a", "token_type": "bearer"}),
    ] {
        op.show("/token", &body);
        let realm = op.realm().await;
        assert!(
            come_back(&realm, "/cb?code=c-1&state=st-1").await.is_err(),
            "{body}"
        );
    }
    op.answer("/token", 200, "\u{0}<html>".to_owned());
    let realm = op.realm().await;
    assert!(come_back(&realm, "/cb?code=c-1&state=st-1").await.is_err());
}

#[tokio::test]
async fn a_discovery_document_of_somebody_else_or_with_unsafe_places_counts_for_nothing() {
    let op = Op::start().await;
    for changes in [
        json!({"issuer": "https://evil"}),
        json!({"issuer": format!("{}/", op.issuer)}),
        json!({"authorization_endpoint": "http://op.example/auth"}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"authorization_endpoint": null}),
        json!({"jwks_uri": "/etc/passwd"}),
        json!({"jwks_uri": "http://op.example/jwks"}),
    ] {
        op.show(DISCOVERY, &with(op.document(), &changes));
        let realm = op.realm().await;
        assert!(
            realm.prepare(ATTEMPT, None, at(NOW)).await.is_err(),
            "{changes}"
        );
    }
    op.show(
        DISCOVERY,
        &with(
            op.document(),
            &json!({"token_endpoint": "http://op.example/token"}),
        ),
    );
    let realm = op.realm().await;
    let refused = come_back(&realm, "/cb?code=c-1&state=st-1").await;
    assert!(matches!(
        refused,
        Err(LoginError::Exchange(ExchangeError::NoEndpoint))
    ));
}

#[tokio::test]
async fn a_provider_that_is_away_is_not_asked_again_and_again() {
    let op = Op::start().await;
    op.answer(DISCOVERY, 500, String::new());
    let realm = op.realm().await;
    for _ in 0..20 {
        assert!(realm.prepare(ATTEMPT, None, at(NOW)).await.is_err());
    }
    assert_eq!(op.asked(DISCOVERY).len(), 1);
    op.show(DISCOVERY, &op.document());
    assert!(realm.prepare(ATTEMPT, None, at(NOW + 10)).await.is_ok());
}

#[tokio::test]
async fn no_reason_holds_a_code_a_token_or_the_secret() {
    let op = Op::start().await;
    let body = json!({"error": "invalid_grant", "error_description": "code is spent"});
    op.answer("/token", 400, body.to_string());
    let realm = op.realm().await;
    let refused = come_back(&realm, "/cb?code=code-canary&state=st-1").await;
    let reason = refused.err().unwrap().to_string();
    assert!(
        reason.contains("invalid_grant") && reason.contains("code is spent"),
        "{reason}"
    );
    assert!(
        !reason.contains("canary") && !reason.contains("client secret:"),
        "{reason}"
    );
}
