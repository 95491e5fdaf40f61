//! One token against the issuers configured (RFC 7519 §7.2, RFC 8725).
//!
//! Always true: refused are tokens without a signature, with an algorithm that isn't allowed or doesn't fit the key, with
//! anything critical (RFC 7515 §4.1.11), of an unknown issuer, for somebody else, not yet or no longer good. A token that the
//! keys can't be read for is neither good nor bad: that is trouble.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

use super::keys::{Keys, library};
use crate::config::ways::{Jwt, JwtAlgorithm, JwtIssuer};
use crate::model::clock::Now;
use crate::net::fetch::FetchError;

/// Verifies tokens.
pub struct JwtVerifier {
    issuers: Vec<Issuer>,
    skew: Duration,
}

struct Issuer {
    settings: JwtIssuer,
    keys: Arc<Keys>,
}

/// Why a token was not found good.
#[derive(Debug, PartialEq, Eq)]
pub enum Unverified {
    /// It is not; why, for the log.
    Refused(&'static str),
    /// Nobody knows: the issuer's keys can't be read.
    Keys {
        /// The issuer.
        issuer: Arc<str>,
    },
}

/// RFC 7515 §4.1, as far as it is looked at. A name that stands twice is an error.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

/// RFC 7519 §4.1, as far as it is looked at. A name that stands twice is an error.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl JwtVerifier {
    /// Begins to read the keys of every issuer. Must be called within a runtime.
    ///
    /// # Errors
    /// [`FetchError`] when no TLS can be set up.
    pub fn start(settings: &Jwt) -> Result<Arc<Self>, FetchError> {
        let issuers = settings
            .issuers
            .iter()
            .map(|issuer| {
                Ok(Issuer {
                    settings: issuer.clone(),
                    keys: Keys::start(issuer)?,
                })
            })
            .collect::<Result<_, FetchError>>()?;
        Ok(Arc::new(Self {
            issuers,
            skew: settings.clock_skew,
        }))
    }

    /// Looks a token over.
    ///
    /// # Errors
    /// [`Unverified`]
    pub(in crate::gate) async fn verify(&self, token: &[u8], now: Now) -> Result<(), Unverified> {
        self.verify_typed(token, is_jwt, now).await.map(drop)
    }

    /// Looks a token over whose type, where its header names one, is one that `is_type` knows; returns its payload, JSON.
    ///
    /// # Errors
    /// [`Unverified`]
    pub async fn verify_typed(
        &self,
        token: &[u8],
        is_type: fn(&str) -> bool,
        now: Now,
    ) -> Result<Zeroizing<Vec<u8>>, Unverified> {
        let refused = |why| Err(Unverified::Refused(why));
        let Some(parts) = parts(token) else {
            return refused("not a signed token");
        };
        let Some(header) = decoded::<Header>(parts.header) else {
            return refused("header can't be read");
        };
        if header.crit.is_some() {
            return refused("something in it is critical");
        }
        if !header.typ.as_deref().is_none_or(is_type) {
            return refused("not of a type that stands for a user");
        }
        let Some(claims) = decoded::<Claims>(parts.payload) else {
            return refused("claims can't be read");
        };
        let mut issuers = self.issuers.iter();
        let Some(issuer) = issuers.find(|issuer| issuer.settings.issuer == claims.iss) else {
            return refused("unknown issuer");
        };
        // What costs nothing first: a flood of old tokens then costs no signature.
        if let Some(why) = self.untimely(&claims, now) {
            return refused(why);
        }
        if !claims.aud.meets(&issuer.settings.audiences) {
            return refused("meant for somebody else");
        }
        let Some(algorithm) = issuer.algorithm(&header.alg) else {
            return refused("algorithm is not allowed");
        };
        issuer
            .check(&parts, header.kid.as_deref(), algorithm, now)
            .await?;
        let payload = URL_SAFE_NO_PAD.decode(parts.payload);
        payload
            .map(Zeroizing::new)
            .map_err(|_| Unverified::Refused("claims can't be read"))
    }

    fn untimely(&self, claims: &Claims, now: Now) -> Option<&'static str> {
        let (now, skew) = (now.unix.as_secs_f64(), self.skew.as_secs_f64());
        let begins = [claims.nbf, claims.iat].into_iter().flatten();
        // JSON knows no NaN, so these comparisons are whole.
        if now >= claims.exp + skew {
            return Some("expired");
        }
        let early = |begin: f64| begin > now + skew;
        begins.into_iter().any(early).then_some("not yet good")
    }
}

impl Issuer {
    fn algorithm(&self, name: &str) -> Option<JwtAlgorithm> {
        let mut allowed = self.settings.algorithms.iter();
        allowed
            .find(|algorithm| name_of(**algorithm) == name)
            .copied()
    }

    async fn check(
        &self,
        parts: &Parts<'_>,
        id: Option<&str>,
        algorithm: JwtAlgorithm,
        now: Now,
    ) -> Result<(), Unverified> {
        let mut keys = self.keys.candidates(id, algorithm);
        if keys.is_empty() {
            self.keys.look_again(now).await;
            keys = self.keys.candidates(id, algorithm);
        }
        if keys.is_empty() && !self.keys.are_known() {
            return Err(Unverified::Keys {
                issuer: self.settings.issuer.as_str().into(),
            });
        }
        let good = keys.iter().any(|key| {
            crypto::verify(parts.signature, parts.signed, key, library(algorithm)).unwrap_or(false)
        });
        if good {
            return Ok(());
        }
        Err(Unverified::Refused(if keys.is_empty() {
            "no such key"
        } else {
            "wrong signature"
        }))
    }
}

impl Audience {
    fn meets(&self, wanted: &[String]) -> bool {
        match self {
            Self::One(audience) => wanted.contains(audience),
            Self::Several(audiences) => audiences.iter().any(|audience| wanted.contains(audience)),
        }
    }
}

/// The three parts of a compact token (RFC 7515 §7.1).
struct Parts<'t> {
    header: &'t [u8],
    payload: &'t [u8],
    signature: &'t str,
    /// Header and payload, as signed.
    signed: &'t [u8],
}

fn parts(token: &[u8]) -> Option<Parts<'_>> {
    let text = std::str::from_utf8(token).ok()?;
    let (signed, signature) = text.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let whole = !header.is_empty() && !payload.is_empty() && !signature.is_empty();
    (whole && !payload.contains('.')).then_some(Parts {
        header: header.as_bytes(),
        payload: payload.as_bytes(),
        signature,
        signed: signed.as_bytes(),
    })
}

fn decoded<T: DeserializeOwned>(part: &[u8]) -> Option<T> {
    let json = Zeroizing::new(URL_SAFE_NO_PAD.decode(part).ok()?);
    // JSON is UTF-8 (RFC 8259 §8.1), which a reader of bytes doesn't look for in what it skips.
    serde_json::from_str(std::str::from_utf8(&json).ok()?).ok()
}

/// RFC 7519 §5.1, RFC 9068 §2.1.
fn is_jwt(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    matches!(kind, "jwt" | "at+jwt")
}

const fn name_of(algorithm: JwtAlgorithm) -> &'static str {
    match algorithm {
        JwtAlgorithm::Rs256 => "RS256",
        JwtAlgorithm::Rs384 => "RS384",
        JwtAlgorithm::Rs512 => "RS512",
        JwtAlgorithm::Ps256 => "PS256",
        JwtAlgorithm::Ps384 => "PS384",
        JwtAlgorithm::Ps512 => "PS512",
        JwtAlgorithm::Es256 => "ES256",
        JwtAlgorithm::Es384 => "ES384",
        JwtAlgorithm::EdDsa => "EdDSA",
    }
}

#[cfg(test)]
mod tests;
