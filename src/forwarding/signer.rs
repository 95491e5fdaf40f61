//! Signs assertions: short-lived JWTs (RFC 7519) about the caller, with ES256 or EdDSA, and publishes the keys that verify them.
//!
//! Always true: the first key signs, every key is published, so that keys can overlap; a key that can't be used keeps the
//! configuration from being used; nothing of a private key is ever shown.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};

use crate::config::forwards::{Assertion, Claim, Signing, SigningKey};
use crate::config::settings::{IdentityField, Template, TemplatePart};
use crate::gate::fields;
use crate::model::clock::Now;
use crate::model::identity::Identity;

/// How far the clock of whoever verifies may be off, either way.
pub const SKEW: Duration = Duration::from_secs(30);

/// Signs by the keys of one configuration.
pub struct Signer {
    issuer: String,
    key: EncodingKey,
    header: Header,
    jwks: Value,
}

/// Why there can be no signer.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The file can't be read, or holds no private key in PEM.
    #[error("key {}: it can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// A key of another kind.
    #[error("key {}: it is neither on the curve P-256 nor an Ed25519 key", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// Two keys have the same id: nobody could tell them apart.
    #[error("two keys have the id {id}")]
    Twins {
        /// Their id.
        id: String,
    },
    /// No key at all.
    #[error("no key")]
    None,
}

/// An assertion could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the assertion could not be signed")]
pub struct Unsigned;

/// A key, read.
struct Key {
    encoding: EncodingKey,
    algorithm: Algorithm,
    /// As published, with its `kid`.
    jwk: Value,
    id: String,
}

impl Signer {
    /// Reads the keys.
    ///
    /// # Errors
    /// [`SignerError`] for the first key that can't be used.
    pub fn load(signing: &Signing) -> Result<Self, SignerError> {
        let keys: Vec<Key> = signing
            .keys
            .iter()
            .map(Key::load)
            .collect::<Result<_, _>>()?;
        for (at, key) in keys.iter().enumerate() {
            if keys.iter().take(at).any(|other| other.id == key.id) {
                return Err(SignerError::Twins { id: key.id.clone() });
            }
        }
        let jwks = json!({"keys": keys.iter().map(|key| key.jwk.clone()).collect::<Vec<_>>()});
        let first = keys.into_iter().next().ok_or(SignerError::None)?;
        let mut header = Header::new(first.algorithm);
        header.kid = Some(first.id);
        Ok(Self {
            issuer: signing.issuer.clone(),
            key: first.encoding,
            header,
            jwks,
        })
    }

    /// The public keys (RFC 7517 §5).
    pub fn jwks(&self) -> &Value {
        &self.jwks
    }

    /// Signs what a route asserts about an identity.
    ///
    /// # Errors
    /// [`Unsigned`], which keys that could be read don't give.
    pub fn sign(
        &self,
        assertion: &Assertion,
        identity: &Identity,
        now: Now,
    ) -> Result<String, Unsigned> {
        let claims = self.claims(assertion, identity, now);
        jsonwebtoken::encode(&self.header, &claims, &self.key).map_err(|_| Unsigned)
    }

    fn claims(&self, assertion: &Assertion, identity: &Identity, now: Now) -> Map<String, Value> {
        let seconds = |at: Duration| Value::from(at.as_secs());
        let mut claims = Map::new();
        for (name, wanted) in &assertion.claims {
            let value = match wanted {
                Claim::Field(field) => field_value(field, identity),
                Claim::Text(template) => {
                    fill(template, &assertion.route, identity).map(Value::from)
                }
            };
            if let Some(value) = value {
                claims.insert(name.clone(), value);
            }
        }
        // Last, so that nothing takes their place.
        for (name, value) in [
            ("iss", self.issuer.as_str().into()),
            ("sub", identity.username.as_str().into()),
            ("aud", assertion.audience.as_str().into()),
            ("iat", seconds(now.unix)),
            ("nbf", seconds(now.unix.saturating_sub(SKEW))),
            ("exp", seconds(now.unix + assertion.expiration)),
            ("roles", identity.roles.clone().into()),
            ("realm", identity.lookup_realm.name.as_str().into()),
            ("route", assertion.route.as_str().into()),
        ] {
            claims.insert(name.to_owned(), value);
        }
        claims
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("issuer", &self.issuer)
            .field("kid", &self.header.kid)
            .finish_non_exhaustive()
    }
}

// === impl Key ===

impl Key {
    fn load(setting: &SigningKey) -> Result<Self, SignerError> {
        let path = || setting.key.clone();
        let der =
            PrivateKeyDer::from_pem_file(&setting.key).map_err(|source| SignerError::Read {
                path: path(),
                source,
            })?;
        let (encoding, algorithm, mut jwk) = elliptic(&der)
            .or_else(|| edwards(&der))
            .ok_or_else(|| SignerError::Kind { path: path() })?;
        let id = setting.id.clone().unwrap_or_else(|| thumbprint(&jwk));
        for (name, value) in [
            ("kid", id.as_str()),
            ("use", "sig"),
            (
                "alg",
                if algorithm == Algorithm::ES256 {
                    "ES256"
                } else {
                    "EdDSA"
                },
            ),
        ] {
            jwk[name] = value.into();
        }
        Ok(Self {
            encoding,
            algorithm,
            jwk,
            id,
        })
    }
}

/// A key on the curve P-256, in PKCS#8 or as RFC 5915 has it.
fn elliptic(der: &PrivateKeyDer<'_>) -> Option<(EncodingKey, Algorithm, Value)> {
    let pair =
        EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_der())
            .ok()?;
    // An uncompressed point: 4, x, y (SEC 1 §2.3.3).
    let point = pair.public_key().as_ref();
    let (x, y) = (point.get(1..33)?, point.get(33..65)?);
    let jwk = json!({"crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y)});
    let document = pair.to_pkcs8v1().ok()?;
    Some((
        EncodingKey::from_ec_der(document.as_ref()),
        Algorithm::ES256,
        jwk,
    ))
}

fn edwards(der: &PrivateKeyDer<'_>) -> Option<(EncodingKey, Algorithm, Value)> {
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_der()).ok()?;
    let jwk = json!({"crv": "Ed25519", "kty": "OKP", "x": encode(pair.public_key().as_ref())});
    Some((
        EncodingKey::from_ed_der(der.secret_der()),
        Algorithm::EdDSA,
        jwk,
    ))
}

/// RFC 7638 §3: the SHA-256 of the required members in lexicographic order, which is how they stand in `jwk`.
fn thumbprint(jwk: &Value) -> String {
    encode(digest::digest(&digest::SHA256, jwk.to_string().as_bytes()).as_ref())
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A field of the identity as JSON; `None` when there is none.
fn field_value(field: &IdentityField, identity: &Identity) -> Option<Value> {
    match field {
        IdentityField::Roles => Some(identity.roles.clone().into()),
        IdentityField::Metadata(name) => identity.metadata.get(name).cloned(),
        _ => field_text(field, identity).map(Value::from),
    }
}

/// A field of the identity as text; what isn't text in the metadata, as JSON.
fn field_text(field: &IdentityField, identity: &Identity) -> Option<String> {
    fields::text(field, identity, |value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    })
}

/// The text of a template; `None` when a hole can't be filled.
pub fn fill(template: &Template, route: &str, identity: &Identity) -> Option<String> {
    let parts: Option<Vec<String>> = template
        .0
        .iter()
        .map(|part| match part {
            TemplatePart::Literal(text) => Some(text.clone()),
            // The one capture that a check lets through.
            TemplatePart::Capture(_) => Some(route.to_owned()),
            TemplatePart::Identity(field) => field_text(field, identity),
        })
        .collect();
    parts.map(|parts| parts.concat())
}
