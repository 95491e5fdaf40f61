//! Tokens made here, against realms with keys made here.

mod https;

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use aws_lc_rs::{hmac, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::config::realm_values::JwksPath;
use crate::config::realms::{
    JwtAlgorithm, JwtClaim, JwtClaims, JwtTokenType, PublicKeys, RealmCache,
};

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

fn assembled(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> Jwt {
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

/// A pair of every kind, as a JWK and as what signs.
struct Issuer {
    jwk: Value,
    sign: Box<dyn Fn(&[u8], &str) -> Vec<u8>>,
}

fn rsa_issuer(kid: &str) -> Issuer {
    let private = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let components: signature::RsaPublicKeyComponents<Vec<u8>> = private.public_key().into();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({"kty": "RSA", "kid": kid, "use": "sig", "n": encode(&components.n), "e": encode(&components.e)});
    let sign = move |message: &[u8], algorithm: &str| sign_rsa(&private, message, algorithm);
    Issuer {
        jwk,
        sign: Box::new(sign),
    }
}

fn sign_rsa(key: &RsaKeyPair, message: &[u8], algorithm: &str) -> Vec<u8> {
    let encoding: &'static dyn signature::RsaEncoding = match algorithm {
        "RS256" => &signature::RSA_PKCS1_SHA256,
        "RS384" => &signature::RSA_PKCS1_SHA384,
        "RS512" => &signature::RSA_PKCS1_SHA512,
        "PS256" => &signature::RSA_PSS_SHA256,
        "PS384" => &signature::RSA_PSS_SHA384,
        _ => &signature::RSA_PSS_SHA512,
    };
    let mut made = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut made)
        .unwrap();
    made
}

fn ec_issuer(
    kid: &str,
    curve: &str,
    algorithm: &'static signature::EcdsaSigningAlgorithm,
) -> Issuer {
    let private = EcdsaKeyPair::generate(algorithm).unwrap();
    let point = private.public_key().as_ref()[1..].to_vec();
    let (x, y) = point.split_at(point.len() / 2);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({"kty": "EC", "crv": curve, "kid": kid, "x": encode(x), "y": encode(y)});
    let sign = move |message: &[u8], _: &str| {
        private
            .sign(&SystemRandom::new(), message)
            .unwrap()
            .as_ref()
            .to_vec()
    };
    Issuer {
        jwk,
        sign: Box::new(sign),
    }
}

fn signed_by(issuer: &Issuer, algorithm: &str, kid: Option<&str>) -> Jwt {
    let mut header = json!({"alg": algorithm});
    if let Some(kid) = kid {
        header["kid"] = json!(kid);
    }
    assembled(&header, &claims(), |message| {
        (issuer.sign)(message, algorithm)
    })
}

/// A realm whose public keys are in this file.
fn with_file(path: &std::path::Path) -> Settings {
    let all = JwtAlgorithm::ALL
        .into_iter()
        .map(|(algorithm, _)| algorithm);
    Settings {
        public_keys: Some(PublicKeys {
            path: JwksPath::File(path.to_owned()),
            interval: Duration::from_secs(3_600),
            ca: None,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(5),
        }),
        ..settings(&all.collect::<Vec<_>>())
    }
}

#[tokio::test]
async fn each_algorithm_takes_keys_of_its_kind_alone() {
    let issuers = [
        (
            rsa_issuer("rsa"),
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..],
        ),
        (
            ec_issuer("p256", "P-256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            &["ES256"],
        ),
        (
            ec_issuer("p384", "P-384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            &["ES384"],
        ),
        (
            ec_issuer("p521", "P-521", &signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            &["ES512"],
        ),
    ];
    let mut keys: Vec<Value> = issuers
        .iter()
        .map(|(issuer, _)| issuer.jwk.clone())
        .collect();
    keys.push(json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}));
    keys.push(json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode("a secret among public keys counts for nothing")}));
    keys.push(json!("no key"));
    let set = KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), Wanted::Public).unwrap();
    assert_eq!(set.len(), 4);
    for (issuer, own) in &issuers {
        for (algorithm, name) in JwtAlgorithm::ALL {
            let jwt = signed_by(
                issuer,
                if own.contains(&name) { name } else { own[0] },
                None,
            );
            assert_eq!(set.verifies(&jwt, algorithm), own.contains(&name), "{name}");
        }
        let other = signed_by(issuer, own[0], Some("another"));
        let (algorithm, _) = JwtAlgorithm::ALL
            .into_iter()
            .find(|(_, name)| *name == own[0])
            .unwrap();
        assert!(!set.verifies(&other, algorithm), "another key's id");
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    // The classic confusion: the attacker signs with HS256 over the public key's text.
    let issuer = rsa_issuer("rsa");
    let json = json!({"keys": [issuer.jwk]}).to_string();
    let set = KeySet::parse(json.as_bytes(), Wanted::Public).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, json.as_bytes());
    let jwt = assembled(&json!({"alg": "HS256"}), &claims(), |message| {
        hmac::sign(&key, message).as_ref().to_vec()
    });
    assert!(!set.verifies(&jwt, JwtAlgorithm::HS256));
    assert!(!set.verifies(&jwt, JwtAlgorithm::RS256));
}

#[test]
fn keys_that_are_for_something_else_are_left_out() {
    let jwk = rsa_issuer("rsa").jwk;
    for changes in [
        json!({"use": "enc"}),
        json!({"key_ops": ["sign"]}),
        json!({"n": "!"}),
        json!({"kty": "X"}),
    ] {
        let set = json!({"keys": [with(jwk.clone(), changes)]}).to_string();
        assert_eq!(
            KeySet::parse(set.as_bytes(), Wanted::Public).err(),
            Some(KeySetError::Empty)
        );
    }
    for broken in ["", "[]", "{}", "{\"keys\":1}"] {
        assert_eq!(
            KeySet::parse(broken.as_bytes(), Wanted::Public).err(),
            Some(KeySetError::Malformed)
        );
    }
    let short = json!({"keys": [{"kty": "oct", "k": URL_SAFE_NO_PAD.encode("short")}]}).to_string();
    let short = KeySet::parse(short.as_bytes(), Wanted::Secret).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"short");
    let jwt = assembled(&json!({"alg": "HS256"}), &claims(), |message| {
        hmac::sign(&key, message).as_ref().to_vec()
    });
    assert!(!short.verifies(&jwt, JwtAlgorithm::HS256), "RFC 7518 §3.2");
}

#[tokio::test]
async fn an_unknown_key_has_the_set_read_again_but_not_at_will() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let (first, second, third) = (rsa_issuer("1"), rsa_issuer("2"), rsa_issuer("3"));
    std::fs::write(&path, json!({"keys": [first.jwk]}).to_string()).unwrap();
    let source = KeySource::open("jwt1", with_file(&path).public_keys.as_ref().unwrap())
        .await
        .unwrap();
    let known = source.keys();
    assert!(known.verifies(&signed_by(&first, "RS256", Some("1")), JwtAlgorithm::RS256));

    std::fs::write(&path, json!({"keys": [second.jwk]}).to_string()).unwrap();
    let newer = source.newer_than(&known, at(100)).await.unwrap();
    assert!(newer.verifies(&signed_by(&second, "RS256", Some("2")), JwtAlgorithm::RS256));

    let current = source.keys();
    assert!(
        source.newer_than(&current, at(109)).await.is_none(),
        "nothing new, and too early"
    );
    std::fs::write(&path, "broken").unwrap();
    assert!(source.newer_than(&current, at(110)).await.is_none());
    assert!(!source.keys().is_empty(), "the former keys stay");
    std::fs::write(&path, json!({"keys": [third.jwk]}).to_string()).unwrap();
    assert!(source.newer_than(&current, at(120)).await.is_some());
}

#[tokio::test]
async fn a_file_of_keys_that_changes_is_read_again_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let (first, second) = (rsa_issuer("1"), rsa_issuer("2"));
    std::fs::write(&path, json!({"keys": [first.jwk]}).to_string()).unwrap();
    let source = KeySource::open("jwt1", with_file(&path).public_keys.as_ref().unwrap())
        .await
        .unwrap();
    std::fs::write(&path, json!({"keys": [second.jwk]}).to_string()).unwrap();
    let jwt = signed_by(&second, "RS256", None);
    let waiting = async {
        while !source.keys().verifies(&jwt, JwtAlgorithm::RS256) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap();
}
