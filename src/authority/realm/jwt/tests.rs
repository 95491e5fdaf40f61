//! Tokens made here, against realms with keys made here.

mod https;
pub(in crate::authority::realm) mod keys;

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::config::realms::{JwtAlgorithm, JwtClaim, JwtClaims, JwtTokenType, RealmCache};

const NOW: u64 = 1_700_000_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn claim(name: &str) -> JwtClaim {
    JwtClaim {
        name: name.to_owned(),
        pattern: None,
    }
}

fn settings(algorithms: &[JwtAlgorithm]) -> Settings {
    Settings {
        token_type: JwtTokenType::IdToken,
        issuer: "https://issuer".to_owned(),
        audiences: vec!["shop".to_owned()],
        subjects: Vec::new(),
        subject_patterns: Vec::new(),
        algorithms: algorithms.to_vec(),
        clock_skew: Duration::from_secs(60),
        public_keys: None,
        secret_keys: Some(SecretKeys::Key(Secret::from(SECRET))),
        claims: JwtClaims {
            principal: claim("sub"),
            groups: Some(claim("groups")),
            name: Some(claim("name")),
            mail: None,
            dn: None,
        },
        fallback_sub: None,
        fallback_aud: None,
        required_claims: std::collections::BTreeMap::new(),
        client_secret: None,
        populate_user_metadata: true,
        authorization_realms: Vec::new(),
        cache: RealmCache::default(),
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer", "aud": ["shop", "other"], "sub": "joe", "iat": NOW, "exp": NOW + 300,
        "groups": ["a", "b"], "name": "Joe", "nested": {"x": 1}, "level": 3, "flags": [true, false],
    })
}

fn with(mut claims: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// A token with this header and these claims, signed somehow.
pub(in crate::authority::realm) fn assembled(
    header: &Value,
    claims: &Value,
    sign: impl Fn(&[u8]) -> Vec<u8>,
) -> Jwt {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    Jwt::parse(&Secret::from(format!("{signed}.{signature}"))).unwrap()
}

fn hs256(header: Value, claims: &Value) -> Jwt {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    assembled(&header, claims, |message| {
        hmac::sign(&key, message).as_ref().to_vec()
    })
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Duration::from_secs(seconds),
        unix: Duration::from_secs(seconds),
    }
}

async fn verdict(settings: &Settings, jwt: &Jwt, now: u64) -> Result<Proven, String> {
    let realm = JwtRealm::open("jwt1", settings).await.unwrap();
    let secret = Secret::from("client");
    match realm.verdict(jwt, Some(&secret), at(now)).await {
        Verdict::Proven(user) => Ok(user),
        Verdict::Refused(reason) => Err(reason),
        Verdict::NotMine => Err("not mine".to_owned()),
    }
}

async fn refusal(settings: &Settings, claims: Value) -> String {
    let jwt = hs256(json!({"alg": "HS256"}), &claims);
    verdict(settings, &jwt, NOW).await.expect_err("refused")
}

#[tokio::test]
async fn a_good_token_makes_a_user_of_its_claims() {
    let settings = settings(&[JwtAlgorithm::HS256]);
    let jwt = hs256(json!({"alg": "HS256", "typ": "JWT"}), &claims());
    let user = verdict(&settings, &jwt, NOW).await.unwrap();
    assert_eq!(user.username, "joe");
    assert_eq!(user.full_name.as_deref(), Some("Joe"));
    assert_eq!(user.groups, ["a", "b"]);
    let expected = json!({
        "jwt_token_type": "id_token", "jwt_claim_iss": "https://issuer", "jwt_claim_aud": ["shop", "other"],
        "jwt_claim_sub": "joe", "jwt_claim_groups": ["a", "b"], "jwt_claim_name": "Joe", "jwt_claim_level": 3,
        "jwt_claim_flags": [true, false],
    });
    assert_eq!(Value::Object(user.metadata), expected);
    let bare = Settings {
        populate_user_metadata: false,
        ..settings
    };
    let user = verdict(&bare, &jwt, NOW).await.unwrap();
    assert_eq!(
        Value::Object(user.metadata),
        json!({"jwt_token_type": "id_token"})
    );
}

#[tokio::test]
async fn every_claim_is_held_to_its_rule() {
    let settings = settings(&[JwtAlgorithm::HS256]);
    for (changes, named) in [
        (json!({"iss": "https://other"}), "iss"),
        (json!({"iss": null}), "iss"),
        (json!({"aud": "other"}), "aud"),
        (json!({"aud": null}), "aud"),
        (json!({"aud": [1]}), "aud"),
        (json!({"sub": null}), "sub"),
        (json!({"sub": ""}), "sub"),
        (json!({"sub": 5}), "sub"),
        (json!({"exp": null}), "exp"),
        (json!({"exp": "soon"}), "exp"),
        (json!({"exp": NOW - 60}), "expired"),
        (json!({"iat": null}), "iat"),
        (json!({"iat": NOW + 61}), "iat"),
        (json!({"nbf": NOW + 61}), "nbf"),
        (json!({"nbf": "x"}), "nbf"),
        (json!({"auth_time": NOW + 61}), "auth_time"),
    ] {
        let reason = refusal(&settings, with(claims(), changes.clone())).await;
        assert!(reason.contains(named), "{changes}: {reason}");
    }
    for changes in [
        json!({"exp": NOW - 59}),
        json!({"iat": NOW + 60, "nbf": NOW + 60}),
        json!({"aud": "shop"}),
        json!({"exp": 1e12}),
    ] {
        let jwt = hs256(json!({"alg": "HS256"}), &with(claims(), changes));
        assert!(verdict(&settings, &jwt, NOW).await.is_ok());
    }
}

#[tokio::test]
async fn headers_that_mean_something_else_are_refused() {
    let all: Vec<JwtAlgorithm> = JwtAlgorithm::ALL
        .into_iter()
        .map(|(algorithm, _)| algorithm)
        .collect();
    let settings = settings(&all);
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "hs256"}),
        json!({"alg": "RS256"}),
        json!({"alg": "HS384"}),
        json!({"alg": "EdDSA"}),
        json!({"alg": "HS256", "typ": "JWE"}),
        json!({"alg": "HS256", "typ": "at+jwt"}),
        json!({"alg": "HS256", "crit": ["exp"]}),
    ] {
        let jwt = hs256(header.clone(), &claims());
        assert!(verdict(&settings, &jwt, NOW).await.is_err(), "{header}");
    }
    let narrow = Settings {
        algorithms: vec![JwtAlgorithm::HS512],
        ..settings
    };
    let jwt = hs256(json!({"alg": "HS256"}), &claims());
    assert!(verdict(&narrow, &jwt, NOW).await.is_err(), "not allowed");
}

#[tokio::test]
async fn subjects_required_claims_and_patterns_narrow_who_gets_in() {
    let mut narrow = settings(&[JwtAlgorithm::HS256]);
    narrow.subjects = vec!["ann".to_owned()];
    narrow.subject_patterns = vec!["/[a-z]+-service/".to_owned(), "j?e".to_owned()];
    for (subject, fits) in [
        ("ann", true),
        ("joe", true),
        ("db-service", true),
        ("eve", false),
        ("xdb-Service", false),
    ] {
        let jwt = hs256(
            json!({"alg": "HS256"}),
            &with(claims(), json!({"sub": subject})),
        );
        assert_eq!(verdict(&narrow, &jwt, NOW).await.is_ok(), fits, "{subject}");
    }
    let mut required = settings(&[JwtAlgorithm::HS256]);
    required.required_claims.insert(
        "tier".to_owned(),
        vec!["gold".to_owned(), "silver".to_owned()],
    );
    for (tier, fits) in [
        (json!("gold"), true),
        (json!(["x", "silver"]), true),
        (json!("tin"), false),
        (Value::Null, false),
    ] {
        let jwt = hs256(
            json!({"alg": "HS256"}),
            &with(claims(), json!({"tier": tier})),
        );
        assert_eq!(verdict(&required, &jwt, NOW).await.is_ok(), fits, "{tier}");
    }
    let mut patterned = settings(&[JwtAlgorithm::HS256]);
    patterned.claims.principal.pattern = Some("^([^@]+)@acme$".to_owned());
    patterned.claims.groups = Some(JwtClaim {
        name: "groups".to_owned(),
        pattern: Some("^es-(.+)$".to_owned()),
    });
    let changes = json!({"sub": "joe@acme", "groups": ["es-admin", "other", "es-"]});
    let jwt = hs256(json!({"alg": "HS256"}), &with(claims(), changes));
    let user = verdict(&patterned, &jwt, NOW).await.unwrap();
    assert_eq!(
        (user.username.as_str(), user.groups),
        ("joe", vec!["admin".to_owned()])
    );
    let reason = refusal(&patterned, with(claims(), json!({"sub": "joe@evil"}))).await;
    assert!(reason.contains("user name"), "{reason}");
}

#[tokio::test]
async fn an_access_token_may_lack_registered_claims_but_never_contradict_them() {
    let mut access = settings(&[JwtAlgorithm::HS256]);
    access.token_type = JwtTokenType::AccessToken;
    access.subjects = vec!["joe".to_owned()];
    access.fallback_sub = Some("client_id".to_owned());
    access.fallback_aud = Some("scope".to_owned());
    access.claims.principal = claim("client_id");
    let plain = with(
        claims(),
        json!({"sub": null, "aud": null, "client_id": "joe", "scope": "shop"}),
    );
    for header in [
        json!({"alg": "HS256", "typ": "at+jwt"}),
        json!({"alg": "HS256"}),
    ] {
        assert!(verdict(&access, &hs256(header, &plain), NOW).await.is_ok());
    }
    for changes in [
        json!({"sub": "eve"}),
        json!({"aud": "other"}),
        json!({"client_id": "eve"}),
    ] {
        let jwt = hs256(
            json!({"alg": "HS256"}),
            &with(plain.clone(), changes.clone()),
        );
        assert!(verdict(&access, &jwt, NOW).await.is_err(), "{changes}");
    }
}

#[tokio::test]
async fn the_client_proves_itself_before_the_token_is_looked_at() {
    let mut guarded = settings(&[JwtAlgorithm::HS256]);
    guarded.client_secret = Some(Secret::from("client"));
    let realm = JwtRealm::open("jwt1", &guarded).await.unwrap();
    let jwt = hs256(json!({"alg": "HS256"}), &claims());
    for secret in [None, Some(Secret::from("wrong"))] {
        let verdict = realm.verdict(&jwt, secret.as_ref(), at(NOW)).await;
        assert!(matches!(verdict, Verdict::Refused(_)));
    }
    let secret = Secret::from("client");
    assert!(matches!(
        realm.verdict(&jwt, Some(&secret), at(NOW)).await,
        Verdict::Proven(_)
    ));
    // Remembered by now, and still nothing without the secret.
    assert!(matches!(
        realm.verdict(&jwt, None, at(NOW)).await,
        Verdict::Refused(_)
    ));
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_time() {
    let realm = JwtRealm::open("jwt1", &settings(&[JwtAlgorithm::HS256]))
        .await
        .unwrap();
    let jwt = hs256(json!({"alg": "HS256"}), &claims());
    for (now, fits) in [(NOW, true), (NOW + 359, true), (NOW + 360, false)] {
        let verdict = realm.verdict(&jwt, None, at(now)).await;
        assert_eq!(matches!(verdict, Verdict::Proven(_)), fits, "{now}");
    }
}
