//! Tokens good and bad, signed with keys made here.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header as Written, encode};
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SignatureAlgorithm};
use serde_json::{Value, json};

use super::*;
use crate::config::ways::JwtKeys;
use crate::model::clock::Clock;

const ISSUER: &str = "https://id.example/";
const NOW: u64 = 1_000_000;

/// An issuer with two keys, and a verifier that reads them from a file.
struct Bench {
    ec: EncodingKey,
    other: EncodingKey,
    verifier: Arc<JwtVerifier>,
    clock: Clock,
    jwks: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

fn jwk(key: &EncodingKey, algorithm: Algorithm, id: &str) -> Value {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    serde_json::to_value(jwk).unwrap()
}

fn ec_key(algorithm: &'static SignatureAlgorithm) -> EncodingKey {
    let pair = KeyPair::generate_for(algorithm).unwrap();
    EncodingKey::from_ec_der(&pair.serialize_der())
}

impl Bench {
    fn new() -> Self {
        let ec = ec_key(&PKCS_ECDSA_P256_SHA256);
        let other = ec_key(&PKCS_ECDSA_P384_SHA384);
        let folder = tempfile::tempdir().unwrap();
        let jwks = folder.path().join("jwks.json");
        let set = json!({"keys": [
            {"kty": "unheard of"},
            {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
            jwk(&ec, Algorithm::ES256, "ec"),
            jwk(&other, Algorithm::ES384, "other"),
        ]});
        std::fs::write(&jwks, set.to_string()).unwrap();
        let settings = Jwt {
            client_authentication: None,
            issuers: vec![JwtIssuer {
                issuer: ISSUER.into(),
                audiences: vec!["shop".into(), "orders".into()],
                algorithms: vec![JwtAlgorithm::Es256],
                keys: JwtKeys::File(jwks.clone()),
                refresh: Duration::from_secs(3_600),
            }],
            clock_skew: Duration::from_secs(30),
        };
        Self {
            ec,
            other,
            verifier: JwtVerifier::start(&settings).unwrap(),
            clock: Clock::manual(Duration::from_secs(NOW)),
            jwks,
            _folder: folder,
        }
    }

    async fn told(&self, token: &str) -> Result<(), Unverified> {
        self.verifier
            .verify(token.as_bytes(), self.clock.now())
            .await
    }

    /// A token that is good but for what `change` does to its claims.
    fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims =
            json!({"iss": ISSUER, "aud": "shop", "sub": "u", "exp": NOW + 60, "iat": NOW});
        change(&mut claims);
        encode(&header("ec"), &claims, &self.ec).unwrap()
    }
}

fn header(id: &str) -> Written {
    let mut header = Written::new(Algorithm::ES256);
    header.kid = Some(id.to_owned());
    header
}

/// A token of parts that no library would make.
fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn refused(why: &'static str) -> Result<(), Unverified> {
    Err(Unverified::Refused(why))
}

#[tokio::test]
async fn a_token_of_a_known_issuer_is_good_with_and_without_a_key_id() {
    let bench = Bench::new();
    assert_eq!(bench.told(&bench.token(|_| {})).await, Ok(()));
    let several = bench.token(|claims| claims["aud"] = json!(["x", "orders"]));
    assert_eq!(bench.told(&several).await, Ok(()));
    let claims = json!({"iss": ISSUER, "aud": "shop", "exp": NOW + 60});
    let unnamed = encode(&Written::new(Algorithm::ES256), &claims, &bench.ec).unwrap();
    assert_eq!(bench.told(&unnamed).await, Ok(()));
}

#[tokio::test]
async fn a_payload_that_is_not_utf8_is_refused_though_the_claims_in_it_are_good() {
    let bench = Bench::new();
    let claims = format!(
        r#"{{"iss": "{ISSUER}", "aud": "shop", "exp": {}, "x": "?"}}"#,
        NOW + 60
    );
    let token = |claims: &[u8]| {
        let part = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(br#"{"alg":"ES256"}"#), part(claims));
        let signature = crypto::sign(signed.as_bytes(), &bench.ec, Algorithm::ES256).unwrap();
        format!("{signed}.{signature}")
    };
    assert_eq!(bench.told(&token(claims.as_bytes())).await, Ok(()));
    let odd: Vec<u8> = claims
        .bytes()
        .map(|byte| if byte == b'?' { 0xff } else { byte })
        .collect();
    let told = bench.told(&token(&odd)).await;
    assert_eq!(told, refused("claims can't be read"));
}

#[tokio::test]
async fn claims_that_are_not_ours_or_not_now_are_refused() {
    let bench = Bench::new();
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 9] = [
        (
            |claims| claims["iss"] = json!("https://id.example"),
            "unknown issuer",
        ),
        (
            |claims| claims["aud"] = json!("SHOP"),
            "meant for somebody else",
        ),
        (
            |claims| claims["aud"] = json!([]),
            "meant for somebody else",
        ),
        (|claims| claims["exp"] = json!(NOW - 31), "expired"),
        (|claims| claims["nbf"] = json!(NOW + 31), "not yet good"),
        (|claims| claims["iat"] = json!(NOW + 3_600), "not yet good"),
        (
            |claims| claims["exp"] = json!("soon"),
            "claims can't be read",
        ),
        (
            |claims| drop(claims.as_object_mut().unwrap().remove("exp")),
            "claims can't be read",
        ),
        (
            |claims| drop(claims.as_object_mut().unwrap().remove("aud")),
            "claims can't be read",
        ),
    ];
    for (change, why) in cases {
        assert_eq!(
            bench.told(&bench.token(change)).await,
            refused(why),
            "{why}"
        );
    }
    let late = bench.token(|claims| claims["exp"] = json!(NOW - 29));
    assert_eq!(bench.told(&late).await, Ok(()), "within the skew");
}

#[tokio::test]
async fn no_algorithm_but_the_allowed_one_verifies_anything() {
    let bench = Bench::new();
    let claims = json!({"iss": ISSUER, "aud": "shop", "exp": NOW + 60});
    // A signature by a key of the set, with an algorithm that isn't allowed.
    let mut header = Written::new(Algorithm::ES384);
    header.kid = Some("other".into());
    let other = encode(&header, &claims, &bench.other).unwrap();
    assert_eq!(
        bench.told(&other).await,
        refused("algorithm is not allowed")
    );
    // The public key, or the published secret, taken for a shared one.
    for (secret, id) in [
        (std::fs::read(&bench.jwks).unwrap(), "ec"),
        (b"secret".to_vec(), "shared"),
    ] {
        let mut header = Written::new(Algorithm::HS256);
        header.kid = Some(id.into());
        let token = encode(&header, &claims, &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(
            bench.told(&token).await,
            refused("algorithm is not allowed")
        );
    }
    for none in ["none", "None", "NONE", "", "es256"] {
        let token = forged(&json!({"alg": none, "kid": "ec"}), &claims, "AAAA");
        assert_eq!(
            bench.told(&token).await,
            refused("algorithm is not allowed"),
            "{none}"
        );
    }
    // The allowed algorithm with another key's id.
    let token = forged(&json!({"alg": "ES256", "kid": "other"}), &claims, "AAAA");
    assert_eq!(bench.told(&token).await, refused("no such key"));
}

#[tokio::test]
async fn odd_headers_and_shapes_are_refused() {
    let bench = Bench::new();
    let claims = json!({"iss": ISSUER, "aud": "shop", "exp": NOW + 60});
    let good = bench.token(|_| {});
    let (signed, signature) = good.rsplit_once('.').unwrap();
    for (header, why) in [
        (
            json!({"alg": "ES256", "crit": ["b64"], "b64": false}),
            "something in it is critical",
        ),
        (
            json!({"alg": "ES256", "crit": []}),
            "something in it is critical",
        ),
        (
            json!({"alg": "ES256", "typ": "logout+jwt"}),
            "not of a type that stands for a user",
        ),
        (json!({"typ": "JWT"}), "header can't be read"),
        (json!(["ES256"]), "wrong signature"),
        (
            json!({"alg": "ES256", "kid": "ec", "jwk": {"kty": "EC"}}),
            "wrong signature",
        ),
    ] {
        let told = bench.told(&forged(&header, &claims, signature)).await;
        assert!(
            told == refused(why) || told == refused("header can't be read"),
            "{header} {told:?}"
        );
    }
    for token in [
        format!("{signed}."),
        signed.to_owned(),
        format!("{good}.x"),
        format!(".{good}"),
        "..".to_owned(),
        "a.b.c".to_owned(),
        String::new(),
    ] {
        assert!(bench.told(&token).await.is_err(), "{token}");
    }
    let mut bent = good.clone().into_bytes();
    let at = signed.len() + 5;
    bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
    assert_eq!(
        bench.verifier.verify(&bent, bench.clock.now()).await,
        refused("wrong signature")
    );
}

#[tokio::test]
async fn a_new_key_is_found_and_an_old_one_is_gone_after_a_second_look() {
    let bench = Bench::new();
    assert_eq!(bench.told(&bench.token(|_| {})).await, Ok(()));
    let next = ec_key(&PKCS_ECDSA_P256_SHA256);
    let set = json!({"keys": [jwk(&next, Algorithm::ES256, "next")]});
    std::fs::write(&bench.jwks, set.to_string()).unwrap();
    let claims = json!({"iss": ISSUER, "aud": "shop", "exp": NOW + 600});
    bench.clock.advance(Duration::from_secs(31));
    let token = encode(&header("next"), &claims, &next).unwrap();
    assert_eq!(bench.told(&token).await, Ok(()));
    assert_eq!(
        bench.told(&bench.token(|_| {})).await,
        refused("no such key")
    );
    // Another unknown key does not make it look again at once.
    std::fs::write(
        &bench.jwks,
        json!({"keys": [jwk(&bench.ec, Algorithm::ES256, "ec")]}).to_string(),
    )
    .unwrap();
    assert_eq!(
        bench.told(&bench.token(|_| {})).await,
        refused("no such key")
    );
    bench.clock.advance(Duration::from_secs(31));
    assert_eq!(bench.told(&bench.token(|_| {})).await, Ok(()));
}

#[tokio::test]
async fn keys_that_cannot_be_read_are_trouble_and_no_refusal() {
    let bench = Bench::new();
    std::fs::write(&bench.jwks, "{}").unwrap();
    let told = bench.told(&bench.token(|_| {})).await;
    assert_eq!(
        told,
        Err(Unverified::Keys {
            issuer: ISSUER.into()
        })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_refused_without_a_panic(token in "[-A-Za-z0-9_.]{0,200}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new();
            prop_assert!(bench.told(&token).await.is_err());
            Ok(())
        })?;
    }
}
