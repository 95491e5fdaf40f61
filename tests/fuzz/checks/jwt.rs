//! JSON Web Tokens. The first byte chooses: a token as it is, or two lines, header and claims, that are signed here with a key
//! the verifier knows. What is believed is signed by an algorithm that is allowed, meant for us, and good now.

use std::cell::RefCell;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use sidegate::authority::realm::jwt::token::Jwt as StoredJwt;
use sidegate::config::ways::{Jwt, JwtAlgorithm, JwtIssuer, JwtKeys};
use sidegate::gate::extract::presented::unverified_expiry;
use sidegate::gate::jwt::verify::JwtVerifier;
use sidegate::model::clock::Clock;
use sidegate::model::secret::Secret;
use sidegate::sso::logout_token;
use std::sync::Arc;
use tokio::runtime::Runtime;

const ISSUER: &str = "https://id.test/";
const NOW: u64 = 1_700_000_000;
const SKEW: u64 = 30;

/// A throwaway key: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`.
const KEY: &str = include_str!("jwt-key.pem");

struct Bench {
    runtime: Runtime,
    verifier: Arc<JwtVerifier>,
    key: EncodingKey,
    clock: Clock,
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let key = EncodingKey::from_ec_pem(KEY.as_bytes()).expect("a key");
        let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).expect("a public key");
        let set = std::env::temp_dir().join(format!("sidegate-fuzz-{}.jwks", std::process::id()));
        std::fs::write(&set, json!({"keys": [jwk]}).to_string()).expect("a file");
        let settings = Jwt {
            client_authentication: None,
            issuers: vec![JwtIssuer {
                issuer: ISSUER.into(),
                audiences: vec!["shop".into()],
                algorithms: vec![JwtAlgorithm::Es256],
                keys: JwtKeys::File(set.clone()),
                refresh: Duration::from_secs(1 << 30),
            }],
            clock_skew: Duration::from_secs(SKEW),
        };
        let verifier = runtime.block_on(async { JwtVerifier::start(&settings) });
        let bench = Self {
            verifier: verifier.expect("a verifier"),
            runtime,
            key,
            clock: Clock::manual(Duration::from_secs(NOW)),
        };
        let good = bench.sign(
            br#"{"alg":"ES256"}"#,
            br#"{"iss":"https://id.test/","aud":"shop","exp":1700000060}"#,
        );
        assert!(bench.believes(&good).is_some(), "the bench can verify");
        let _ = std::fs::remove_file(set);
        bench
    }

    fn sign(&self, header: &[u8], claims: &[u8]) -> Vec<u8> {
        let encode = |part| URL_SAFE_NO_PAD.encode(part);
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = crypto::sign(signed.as_bytes(), &self.key, Algorithm::ES256);
        format!("{signed}.{}", signature.expect("a signature")).into_bytes()
    }

    fn believes(&self, token: &[u8]) -> Option<Vec<u8>> {
        let judging = self
            .verifier
            .verify_typed(token, |_| true, self.clock.now());
        let payload = self.runtime.block_on(judging).ok()?;
        Some(payload.to_vec())
    }
}

/// Any bytes.
pub(crate) fn check(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    BENCH.with_borrow_mut(|slot| {
        let bench = slot.get_or_insert_with(Bench::new);
        let token = match rest.iter().position(|byte| *byte == b'\n') {
            Some(cut) if how % 2 == 1 => bench.sign(&rest[..cut], &rest[cut + 1..]),
            Some(_) | None => rest.to_vec(),
        };
        let _ = unverified_expiry(&token);
        let _ = StoredJwt::parse(&Secret::new(token.clone()));
        let Some(payload) = bench.believes(&token) else {
            return;
        };
        believed(&token, &payload);
        if let Ok(meant) = logout_token::read(&payload, bench.clock.now()) {
            assert!(meant.subject.is_some() || meant.session.is_some());
            assert!(!meant.id.is_empty());
        }
    });
    // Whoever has the key may write any claims.
    let now = Clock::manual(Duration::from_secs(NOW)).now();
    let _ = logout_token::read(rest, now);
}

fn believed(token: &[u8], payload: &[u8]) {
    let text = std::str::from_utf8(token).expect("text");
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3);
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64");
    if let Ok(header) = serde_json::from_slice::<Value>(&decode(parts[0])) {
        assert_eq!(header["alg"], "ES256");
        assert!(header.get("crit").is_none_or(Value::is_null));
    }
    assert_eq!(decode(parts[1]), payload);
    std::str::from_utf8(payload).expect("JSON is UTF-8");
    // A lone surrogate in what nobody looks at.
    let Ok(claims) = serde_json::from_slice::<Value>(payload) else {
        return;
    };
    assert_eq!(claims["iss"], ISSUER);
    let audience = &claims["aud"];
    let several = audience
        .as_array()
        .is_some_and(|all| all.contains(&json!("shop")));
    assert!(audience == "shop" || several, "{audience}");
    assert!(claims["exp"].as_f64().expect("a number") + SKEW as f64 > NOW as f64);
    for begin in ["nbf", "iat"] {
        if let Some(begin) = claims[begin].as_f64() {
            assert!(begin <= (NOW + SKEW) as f64);
        }
    }
}
