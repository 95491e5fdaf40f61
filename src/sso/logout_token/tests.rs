//! Logout tokens good and bad: their claims alone, and whole ones signed with keys made here.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
use serde_json::{Value, json as value};

use super::*;
use crate::config::settings::NodeUrl;
use crate::config::values::Value as _;
use crate::model::clock::Clock;

fn judged(json: &str) -> Result<Meant, &'static str> {
    let now = Clock::manual(Duration::from_secs(1_000_000)).now();
    read(json.as_bytes(), now)
}

fn token(more: &str) -> String {
    format!(r#"{{"iat": 999990, "jti": "1", "events": {{"{EVENT}": {{}}}}{more}}}"#)
}

#[test]
fn a_logout_token_names_the_event_and_somebody() {
    let meant = judged(&token(r#", "sub": "alice""#)).unwrap();
    assert_eq!(meant.subject.as_deref(), Some("alice"));
    assert!(judged(&token(r#", "sid": "s1""#)).is_ok());
    assert_eq!(judged(&token("")), Err("it means nobody"));
    assert!(judged(&token(r#", "sub": "a", "nonce": "n""#)).is_err());
    let other = r#"{"iat": 999990, "jti": "1", "sub": "a", "events": {"other": {}}}"#;
    assert_eq!(judged(other), Err("it does not tell of a logout"));
}

#[test]
fn an_id_token_is_no_logout_token() {
    assert_eq!(
        judged(r#"{"iat": 999990, "sub": "a", "nonce": "x", "aud": "c"}"#),
        Err("not the claims of a logout token")
    );
}

#[test]
fn an_old_or_senseless_token_is_refused() {
    let old = token(r#", "sub": "a""#).replace("999990", "900000");
    assert_eq!(judged(&old), Err("too old"));
    for odd in ["-1", "1e400", "\"x\""] {
        assert!(judged(&token(r#", "sub": "a""#).replace("999990", odd)).is_err());
    }
    let twice = token(r#", "sub": "a", "sub": "b""#);
    assert_eq!(judged(&twice), Err("not the claims of a logout token"));
    let now = Clock::manual(Duration::from_secs(1_000_000)).now();
    let mut bytes = token(r#", "sub": "a", "x": "?""#).into_bytes();
    assert!(read(&bytes, now).is_ok());
    bytes
        .iter_mut()
        .filter(|byte| **byte == b'?')
        .for_each(|byte| *byte = 0xff);
    assert!(read(&bytes, now).is_err(), "not UTF-8");
}

const ISSUER: &str = "https://op.example";
const NOW: u64 = 1_000_000;

/// A provider with two keys, and whoever believes what they sign.
struct Bench {
    pair: KeyPair,
    key: EncodingKey,
    other: EncodingKey,
    tokens: LogoutTokens,
    clock: Clock,
    _folder: tempfile::TempDir,
}

fn key_of(pair: &KeyPair) -> EncodingKey {
    EncodingKey::from_ec_der(&pair.serialize_der())
}

fn public(key: &EncodingKey, algorithm: Algorithm, id: &str) -> Value {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    serde_json::to_value(jwk).unwrap()
}

impl Bench {
    /// Must be called within a runtime.
    fn new() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let key = key_of(&pair);
        let other = key_of(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwks.json");
        let set = value!({"keys": [
            public(&key, Algorithm::ES256, "one"),
            public(&other, Algorithm::ES384, "two"),
            // A key that a careless provider publishes, and everybody could sign with.
            {"kty": "oct", "k": URL_SAFE_NO_PAD.encode("a published secret"), "kid": "shared", "alg": "HS256"},
        ]});
        std::fs::write(&file, set.to_string()).unwrap();
        let channel = BackChannel {
            issuer: ISSUER.to_owned(),
            client_id: "shop".to_owned(),
            jwks_url: NodeUrl::parse("https://op.example/jwks").unwrap(),
            jwks_ca: None,
        };
        Self {
            tokens: LogoutTokens::with_keys(&channel, JwtKeys::File(file)).unwrap(),
            pair,
            key,
            other,
            clock: Clock::manual(Duration::from_secs(NOW)),
            _folder: folder,
        }
    }

    async fn told(&self, token: &str) -> Result<Meant, String> {
        let believed = self.tokens.believe(token, self.clock.now()).await;
        believed.map_err(|refusal| {
            assert_eq!(refusal.reason, Reason::OidcLogoutTokenRefused);
            assert!(!refusal.passing, "a bad token is not worth another try");
            refusal.detail
        })
    }

    /// A good token, but for what `change` does to its header.
    fn headed(&self, change: impl FnOnce(&mut Header)) -> String {
        let mut header = header(Algorithm::ES256, "one");
        change(&mut header);
        encode(&header, &claims("1"), &self.key).unwrap()
    }
}

fn header(algorithm: Algorithm, id: &str) -> Header {
    let mut header = Header::new(algorithm);
    header.typ = Some("logout+jwt".to_owned());
    header.kid = Some(id.to_owned());
    header
}

fn claims(id: &str) -> Value {
    value!({
        "iss": ISSUER, "aud": "shop", "iat": NOW - 5, "exp": NOW + 100, "jti": id, "sub": "alice",
        "events": {EVENT: {}},
    })
}

#[tokio::test]
async fn a_token_signed_by_the_issuer_is_believed_once() {
    let bench = Bench::new();
    let token = bench.headed(|_| {});
    let meant = bench.told(&token).await.unwrap();
    assert_eq!(meant.subject.as_deref(), Some("alice"));
    assert_eq!(meant.made, Duration::from_secs(NOW - 5));
    assert_eq!(bench.told(&token).await, Err("used before".to_owned()));
    // The other key, and what else a type may be.
    for (number, kind) in [
        None,
        Some("JWT"),
        Some("application/logout+jwt"),
        Some("LOGOUT+JWT"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut header = header(Algorithm::ES384, "two");
        header.typ = kind.map(str::to_owned);
        // That algorithm is no default of the issuer's: it is in the list.
        let token = encode(&header, &claims(&format!("b{number}")), &bench.other).unwrap();
        assert!(bench.told(&token).await.is_ok(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_token_that_nobody_signed_is_refused() {
    let bench = Bench::new();
    let payload = URL_SAFE_NO_PAD.encode(claims("1").to_string());
    for alg in ["none", "None", "NONE", "", "ES256"] {
        let head = value!({"alg": alg, "typ": "logout+jwt", "kid": "one"}).to_string();
        let head = URL_SAFE_NO_PAD.encode(head);
        for signature in ["", "AA", &URL_SAFE_NO_PAD.encode([0; 64])] {
            let token = format!("{head}.{payload}.{signature}");
            assert!(bench.told(&token).await.is_err(), "{alg} {signature}");
        }
    }
    let token = bench.headed(|_| {});
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (head, _) = signed.split_once('.').unwrap();
    let mut forged = claims("1");
    forged["sub"] = value!("bob");
    let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
    let swapped = format!("{head}.{forged}.{signature}");
    assert_eq!(
        bench.told(&swapped).await,
        Err("wrong signature".to_owned())
    );
    assert!(
        bench.told(&token).await.is_ok(),
        "what was refused uses nothing up"
    );
}

#[tokio::test]
async fn the_public_key_is_no_shared_secret() {
    let bench = Bench::new();
    let raw = bench.pair.public_key_raw();
    let pem = bench.pair.public_key_pem();
    let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let base64 = lines.concat();
    let der = STANDARD.decode(&base64).unwrap();
    let jwk = public(&bench.key, Algorithm::ES256, "one").to_string();
    let secrets = [
        der.as_slice(),
        raw,
        pem.as_bytes(),
        pem.trim_end().as_bytes(),
        jwk.as_bytes(),
        base64.as_bytes(),
        b"a published secret",
        b"",
    ]
    .map(<[u8]>::to_vec);
    for secret in secrets {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            for id in ["one", "shared"] {
                let key = EncodingKey::from_secret(&secret);
                let token = encode(&header(algorithm, id), &claims("1"), &key).unwrap();
                assert_eq!(
                    bench.told(&token).await,
                    Err("algorithm is not allowed".to_owned())
                );
            }
        }
    }
}

#[tokio::test]
async fn a_key_is_used_for_its_own_algorithm_and_under_its_own_name() {
    let bench = Bench::new();
    let stranger = key_of(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap());
    for (what, token) in [
        (
            "a stranger's key under a known name",
            encode(&header(Algorithm::ES256, "one"), &claims("1"), &stranger).unwrap(),
        ),
        (
            "a stranger's key under its own name",
            encode(&header(Algorithm::ES256, "mine"), &claims("1"), &stranger).unwrap(),
        ),
        (
            "a known key under another's name",
            encode(&header(Algorithm::ES256, "two"), &claims("1"), &bench.key).unwrap(),
        ),
        ("a key that came with the token", {
            let mut header = header(Algorithm::ES256, "one");
            header.kid = None;
            header.jwk = Some(Jwk::from_encoding_key(&stranger, Algorithm::ES256).unwrap());
            encode(&header, &claims("1"), &stranger).unwrap()
        }),
        ("something critical", {
            let head = value!({"alg": "ES256", "kid": "one", "typ": "logout+jwt", "crit": ["b64"], "b64": false});
            let token = bench.headed(|_| {});
            let (_, rest) = token.split_once('.').unwrap();
            format!("{}.{rest}", URL_SAFE_NO_PAD.encode(head.to_string()))
        }),
    ] {
        assert!(bench.told(&token).await.is_err(), "{what}");
    }
}

#[tokio::test]
async fn another_kind_of_token_is_no_logout_token() {
    let bench = Bench::new();
    for kind in [
        "at+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "id_token",
        "logout",
        "logout+jwt+x",
    ] {
        let token = bench.headed(|header| header.typ = Some(kind.to_owned()));
        let why = bench.told(&token).await.unwrap_err();
        assert!(why.contains("type"), "{kind}: {why}");
    }
    for (change, why) in [
        (value!({"aud": "other"}), "meant for somebody else"),
        (value!({"iss": "https://evil.example"}), "unknown issuer"),
        (value!({"exp": NOW - 100}), "expired"),
        (value!({"iat": NOW + 100}), "not yet good"),
        (
            value!({"nonce": "n"}),
            "it has a nonce: an ID token in disguise",
        ),
        (value!({"events": {}}), "it does not tell of a logout"),
    ] {
        let mut claims = claims("1");
        for (name, to) in change.as_object().unwrap() {
            claims[name] = to.clone();
        }
        let token = encode(&header(Algorithm::ES256, "one"), &claims, &bench.key).unwrap();
        assert_eq!(bench.told(&token).await, Err(why.to_owned()), "{change}");
    }
}
