//! A JSON Web Token taken apart (RFC 7519, compact form of RFC 7515 §3.1). Nothing in it is proven yet.
//!
//! Always true: what is here was UTF-8, base64url and JSON, and no longer than [`MAX_BYTES`]; what is not a signed token is
//! nothing, not an error, since a bearer token may be anything.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::authority::realm::user_claims;
use crate::model::secret::Secret;

/// Longest token that is looked at, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The header's fields that count.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Header {
    /// Signature algorithm.
    pub alg: String,
    /// Type of token.
    #[serde(default)]
    pub typ: Option<String>,
    /// Which key signed it.
    #[serde(default)]
    pub kid: Option<String>,
    /// Extensions that must be understood; none is.
    #[serde(default)]
    pub crit: Option<Value>,
}

/// A token, not verified.
#[derive(Clone)]
pub struct Jwt {
    text: Secret,
    /// Length of the text that is signed.
    signed: usize,
    /// The signature.
    pub signature: Vec<u8>,
    /// The header.
    pub header: Header,
    /// The claims.
    pub claims: Map<String, Value>,
}

impl Jwt {
    /// Takes a token apart; `None`: it is no signed JSON Web Token.
    pub fn parse(token: &Secret) -> Option<Self> {
        let text = token.expose_str().filter(|text| text.len() <= MAX_BYTES)?;
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let claims: Value = serde_json::from_slice(&decode(claims)?).ok()?;
        let Value::Object(claims) = claims else {
            return None;
        };
        Some(Self {
            header: serde_json::from_slice(&decode(header)?).ok()?,
            claims,
            signature: decode(signature).filter(|bytes| !bytes.is_empty())?,
            signed: signed.len(),
            text: token.clone(),
        })
    }

    /// What the signature is over (RFC 7515 §5.2).
    pub fn signed(&self) -> &[u8] {
        &self.text.expose()[..self.signed]
    }

    /// The whole token, to be fingerprinted.
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// A claim that is a string with something in it.
    pub fn string(&self, name: &str) -> Option<&str> {
        user_claims::string(&self.claims, name)
    }

    /// A claim that is a string or a list of strings; empty when it is absent or anything else.
    pub fn strings(&self, name: &str) -> Vec<&str> {
        user_claims::strings(&self.claims, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(header: &str, claims: &str, signature: &str) -> Secret {
        let parts = [header, claims, signature].map(|part| URL_SAFE_NO_PAD.encode(part));
        Secret::from(parts.join("."))
    }

    #[test]
    fn what_is_no_signed_token_is_nothing() {
        assert!(Jwt::parse(&token(r#"{"alg":"RS256"}"#, "{}", "s")).is_some());
        for bad in [
            token(r#"{"alg":"RS256"}"#, "{}", ""),
            token("{}", "{}", "s"),
            token(r#"{"alg":1}"#, "{}", "s"),
            token(r#"{"alg":"RS256"}"#, "[]", "s"),
            Secret::from("a.b"),
            Secret::from("a.b.c.d"),
            Secret::new(vec![0xff, b'.', b'.']),
            token(
                r#"{"alg":"RS256"}"#,
                &format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BYTES)),
                "s",
            ),
            token(
                r#"{"alg":"RS256"}"#,
                &format!("{}{}", "[".repeat(9_000), "]".repeat(9_000)),
                "s",
            ),
        ] {
            assert!(Jwt::parse(&bad).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_or_refused(text in "[a-zA-Z0-9_.-]{0,200}") {
            let _ = Jwt::parse(&Secret::from(text));
        }
    }
}
