//! Keys that signatures are checked with: JSON Web Keys (RFC 7517, RFC 7518 §6).
//!
//! Always true: a key is tried only for algorithms of its own kind, so that a public key can never serve as an HMAC secret; a
//! key that says which algorithm or which id it is for serves no other. Keys this program can't use are left out of a set.
//! Checked by aws-lc alone, ES512 as well as the others: one way for all twelve algorithms.

use aws_lc_rs::{hmac, signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::token::Jwt;
use crate::config::realms::JwtAlgorithm;
use crate::model::secret::Secret;

/// Keys of a set at most; the rest is left out.
const MAX_KEYS: usize = 256;

/// Why a set of keys is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON, or not a JWK set.
    #[error("it is no set of json web keys")]
    Malformed,
    /// No key in it can be used.
    #[error("it holds no key that can be used here")]
    Empty,
}

/// What a set is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Public keys: RSA and EC.
    Public,
    /// Secrets for HMAC.
    Secret,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point, with the algorithm that its curve stands for.
    Ec(JwtAlgorithm, Vec<u8>),
    Secret(Secret),
}

/// One key.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    material: Material,
}

/// Keys to check signatures with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// One secret, for any HMAC algorithm it is long enough for.
    pub fn of_secret(secret: Secret) -> Self {
        Self(vec![Key {
            id: None,
            algorithm: None,
            material: Material::Secret(secret),
        }])
    }

    /// Reads a JWK set.
    ///
    /// # Errors
    /// See [`KeySetError`].
    pub fn parse(json: &[u8], wanted: Wanted) -> Result<Self, KeySetError> {
        let set: RawSet = serde_json::from_slice(json).map_err(|_| KeySetError::Malformed)?;
        let keys = set.keys.into_iter().take(MAX_KEYS);
        let keys: Vec<Key> = keys.filter_map(|key| Key::read(key, wanted)).collect();
        if keys.is_empty() {
            return Err(KeySetError::Empty);
        }
        Ok(Self(keys))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the keys made the token's signature with this algorithm.
    pub fn verifies(&self, jwt: &Jwt, algorithm: JwtAlgorithm) -> bool {
        self.0
            .iter()
            .filter(|key| key.may_serve(jwt.header.kid.as_deref(), algorithm))
            .any(|key| {
                key.material
                    .verifies(jwt.signed(), &jwt.signature, algorithm)
            })
    }
}

impl Key {
    fn read(json: Value, wanted: Wanted) -> Option<Self> {
        let raw: RawKey = serde_json::from_value(json).ok()?;
        let for_signatures = raw
            .purpose
            .as_deref()
            .is_none_or(|purpose| purpose == "sig");
        let may_verify = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if !for_signatures || !raw.key_ops.as_ref().is_none_or(may_verify) {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
        let material = match (raw.kty.as_str(), wanted) {
            ("RSA", Wanted::Public) => Material::Rsa {
                n: without_leading_zeros(bytes(&raw.n)?),
                e: without_leading_zeros(bytes(&raw.e)?),
            },
            ("EC", Wanted::Public) => {
                let (algorithm, size) = match raw.crv.as_deref()? {
                    "P-256" => (JwtAlgorithm::ES256, 32),
                    "P-384" => (JwtAlgorithm::ES384, 48),
                    "P-521" => (JwtAlgorithm::ES512, 66),
                    _ => return None,
                };
                let (x, y) = (bytes(&raw.x)?, bytes(&raw.y)?);
                if x.len() != size || y.len() != size {
                    return None;
                }
                // SEC 1 §2.3.3: an uncompressed point.
                Material::Ec(algorithm, [vec![4], x, y].concat())
            }
            ("oct", Wanted::Secret) => Material::Secret(Secret::new(bytes(&raw.k)?)),
            _ => return None,
        };
        Some(Self {
            id: raw.kid,
            algorithm: raw.alg,
            material,
        })
    }

    fn may_serve(&self, id: Option<&str>, algorithm: JwtAlgorithm) -> bool {
        let same_id = match (self.id.as_deref(), id) {
            (Some(own), Some(wanted)) => own == wanted,
            (None, _) | (_, None) => true,
        };
        let named = self.algorithm.as_deref();
        same_id && named.is_none_or(|named| named == algorithm.label())
    }
}

/// Some issuers put the sign byte of ASN.1 in front.
fn without_leading_zeros(bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[zeros..].to_vec()
}

impl Material {
    fn verifies(&self, message: &[u8], made: &[u8], algorithm: JwtAlgorithm) -> bool {
        match self {
            Self::Rsa { n, e } => rsa(algorithm).is_some_and(|parameters| {
                let key = signature::RsaPublicKeyComponents { n, e };
                key.verify(parameters, message, made).is_ok()
            }),
            Self::Ec(own, point) if *own == algorithm => ec(algorithm).is_some_and(|curve| {
                let key = signature::UnparsedPublicKey::new(curve, point);
                key.verify(message, made).is_ok()
            }),
            Self::Ec(..) => false,
            Self::Secret(secret) => {
                let long_enough = |bytes: usize| secret.expose().len() >= bytes;
                let fits = algorithm.secret_bytes().is_some_and(long_enough);
                hmac_algorithm(algorithm)
                    .filter(|_| fits)
                    .is_some_and(|algorithm| {
                        let key = hmac::Key::new(algorithm, secret.expose());
                        hmac::verify(&key, message, made).is_ok()
                    })
            }
        }
    }
}

fn rsa(algorithm: JwtAlgorithm) -> Option<&'static signature::RsaParameters> {
    match algorithm {
        JwtAlgorithm::RS256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        JwtAlgorithm::RS384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        JwtAlgorithm::RS512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        JwtAlgorithm::PS256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        JwtAlgorithm::PS384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        JwtAlgorithm::PS512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        JwtAlgorithm::HS256
        | JwtAlgorithm::HS384
        | JwtAlgorithm::HS512
        | JwtAlgorithm::ES256
        | JwtAlgorithm::ES384
        | JwtAlgorithm::ES512 => None,
    }
}

fn ec(algorithm: JwtAlgorithm) -> Option<&'static signature::EcdsaVerificationAlgorithm> {
    match algorithm {
        JwtAlgorithm::ES256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
        JwtAlgorithm::ES384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
        JwtAlgorithm::ES512 => Some(&signature::ECDSA_P521_SHA512_FIXED),
        JwtAlgorithm::HS256
        | JwtAlgorithm::HS384
        | JwtAlgorithm::HS512
        | JwtAlgorithm::RS256
        | JwtAlgorithm::RS384
        | JwtAlgorithm::RS512
        | JwtAlgorithm::PS256
        | JwtAlgorithm::PS384
        | JwtAlgorithm::PS512 => None,
    }
}

/// The HMAC behind an algorithm; `None` for those with public keys.
pub fn hmac_algorithm(algorithm: JwtAlgorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        JwtAlgorithm::HS256 => Some(hmac::HMAC_SHA256),
        JwtAlgorithm::HS384 => Some(hmac::HMAC_SHA384),
        JwtAlgorithm::HS512 => Some(hmac::HMAC_SHA512),
        JwtAlgorithm::RS256
        | JwtAlgorithm::RS384
        | JwtAlgorithm::RS512
        | JwtAlgorithm::PS256
        | JwtAlgorithm::PS384
        | JwtAlgorithm::PS512
        | JwtAlgorithm::ES256
        | JwtAlgorithm::ES384
        | JwtAlgorithm::ES512 => None,
    }
}
