//! The demo provider's key, and the hashes of its protocol.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What it signs with (RFC 7518 §3.4).
pub(super) const ALGORITHM: &str = "ES256";
const KEY_ID: &str = "demo";

/// A key that lives as long as the process.
pub(super) struct Signer(EcdsaKeyPair);

impl Signer {
    /// A fresh key.
    ///
    /// # Errors
    /// When the system can make none.
    pub(super) fn generate() -> anyhow::Result<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Ok(Self(key.map_err(|_| anyhow::anyhow!("can't make a key"))?))
    }

    /// The public half as a JWK set (RFC 7517).
    pub(super) fn key_set(&self) -> Value {
        // An uncompressed point: a byte that says so, then both coordinates.
        let point = self.0.public_key().as_ref();
        let half = point.len() / 2;
        let (x, y) = (&point[1..=half], &point[half + 1..]);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "kid": KEY_ID, "use": "sig", "alg": ALGORITHM,
            "x": encode(x), "y": encode(y),
        }]})
    }

    /// These claims as a signed JSON Web Token; `None` when the system can't sign.
    pub(super) fn sign(&self, claims: &Value) -> Option<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": ALGORITHM, "kid": KEY_ID, "typ": "JWT"});
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The challenge of a PKCE verifier by S256 (RFC 7636 §4.6).
pub(super) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// `at_hash` of an access token (OpenID Connect Core §3.1.3.6).
pub(super) fn half_hash(token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    let hash = hash.as_ref();
    URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
}
