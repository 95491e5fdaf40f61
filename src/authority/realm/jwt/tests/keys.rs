//! Keys of every kind: which signatures they vouch for, and how they are read again.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair};

use super::*;
use crate::config::realm_values::JwksPath;
use crate::config::realms::PublicKeys;

/// Signs a message with an algorithm of the key's kind.
type Signer = Box<dyn Fn(&[u8], &str) -> Vec<u8>>;

/// A pair of every kind, as a JWK and as what signs.
pub(in crate::authority::realm) struct Issuer {
    /// The public half.
    pub(in crate::authority::realm) jwk: Value,
    sign: Signer,
}

pub(in crate::authority::realm) fn rsa_issuer(kid: &str) -> Issuer {
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

pub(in crate::authority::realm) fn ec_issuer(
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

impl Issuer {
    /// A token that this issuer signs with the algorithm of the header.
    pub(in crate::authority::realm) fn token(&self, header: &Value, claims: &Value) -> Jwt {
        let algorithm = header["alg"].as_str().unwrap_or_default();
        assembled(header, claims, |message| (self.sign)(message, algorithm))
    }
}

pub(super) fn signed_by(issuer: &Issuer, algorithm: &str, kid: Option<&str>) -> Jwt {
    let mut header = json!({"alg": algorithm});
    if let Some(kid) = kid {
        header["kid"] = json!(kid);
    }
    issuer.token(&header, &claims())
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

#[tokio::test]
async fn a_key_that_was_withdrawn_counts_for_nothing_remembered_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let (first, second) = (rsa_issuer("1"), rsa_issuer("2"));
    std::fs::write(&path, json!({"keys": [first.jwk]}).to_string()).unwrap();
    let realm = JwtRealm::open("jwt1", &with_file(&path)).await.unwrap();
    let jwt = signed_by(&first, "RS256", Some("1"));
    let counts = async || matches!(realm.verdict(&jwt, None, at(NOW)).await, Verdict::Proven(_));
    assert!(counts().await && counts().await);
    std::fs::write(&path, json!({"keys": [second.jwk]}).to_string()).unwrap();
    let waiting = async {
        while counts().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap();
}
