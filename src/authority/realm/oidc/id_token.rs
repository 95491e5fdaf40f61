//! The checks of an ID token (OpenID Connect Core §3.1.3.7 and §3.2.2.11).
//!
//! Always true: the one algorithm that was configured counts, whatever the token's header says; keys come from the provider's key
//! set or are the client secret, never from the token (`jwk`, `jku`, `x5c` are not even read); nothing of a token is believed
//! before its signature was found good.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::authority::realm::jwt::claims::{check_header, check_times};
use crate::authority::realm::jwt::keys::KeySet;
use crate::authority::realm::jwt::source::KeySource;
use crate::authority::realm::jwt::token::Jwt;
use crate::config::realms::JwtAlgorithm;
use crate::model::clock::Now;
use crate::model::secret::Secret;

/// Most bytes of a subject (OpenID Connect Core §2 says 255 characters of ASCII).
const MAX_SUBJECT: usize = 255;

/// Why an ID token is no good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Not a signed JSON Web Token.
    #[error("the id token is no signed json web token")]
    Malformed,
    /// The header asks for what is not understood.
    #[error("id token: {0}")]
    Header(String),
    /// Another algorithm than the configured one.
    #[error("id token: header [alg] is not {0}")]
    Algorithm(&'static str),
    /// No key of the provider made the signature.
    #[error("id token: no key of the provider made this signature")]
    Signature,
    /// Another issuer.
    #[error("id token: claim [iss] is not the provider")]
    Issuer,
    /// Not for this client.
    #[error("id token: claim [aud] does not name this client")]
    Audience,
    /// Made for another client.
    #[error("id token: claim [azp] is not this client")]
    AuthorizedParty,
    /// Expired, not yet valid, or without times.
    #[error("id token: {0}")]
    Time(String),
    /// Of another attempt.
    #[error("id token: claim [nonce] is not that of the attempt")]
    Nonce,
    /// Nobody.
    #[error("id token: claim [sub] is missing or too long")]
    Subject,
    /// Made with another access token.
    #[error("id token: claim [at_hash] is missing or not of the access token")]
    AccessToken,
}

/// Who may have signed.
pub enum Signers {
    /// Whoever has the client secret.
    Secret(KeySet),
    /// The provider's keys.
    Public(Arc<KeySource>),
}

impl Signers {
    /// Whether one of them signed the token with this algorithm.
    pub async fn signed(&self, jwt: &Jwt, algorithm: JwtAlgorithm, now: Now) -> bool {
        match self {
            Self::Secret(keys) => keys.verifies(jwt, algorithm),
            Self::Public(keys) => keys.verifies(jwt, algorithm, now).await,
        }
    }
}

/// An access token that came with the ID token, and whether `at_hash` must speak of it.
#[derive(Clone, Copy)]
pub struct Companion<'a> {
    /// The access token.
    pub token: &'a Secret,
    /// Core §3.2.2.9: needed where both came through the browser.
    pub is_hash_needed: bool,
}

/// What an ID token is held against.
pub struct Expected<'a> {
    /// Issuer.
    pub issuer: &'a str,
    /// This client.
    pub client_id: &'a str,
    /// The one algorithm.
    pub algorithm: JwtAlgorithm,
    /// Nonce of the attempt.
    pub nonce: &'a str,
    /// The access token that came with it.
    pub companion: Option<Companion<'a>>,
    /// How far the provider's clock may be off.
    pub skew: Duration,
}

/// Checks an ID token.
///
/// # Errors
/// See [`IdTokenError`]; its text is for the log.
pub async fn check(
    token: &Secret,
    signers: &Signers,
    expected: &Expected<'_>,
    now: Now,
) -> Result<Jwt, IdTokenError> {
    let jwt = Jwt::parse(token).ok_or(IdTokenError::Malformed)?;
    check_header(&jwt, false).map_err(IdTokenError::Header)?;
    if JwtAlgorithm::named(&jwt.header.alg) != Some(expected.algorithm) {
        return Err(IdTokenError::Algorithm(expected.algorithm.label()));
    }
    // Before the signature, though it proves nothing yet: a token of somebody else must not make keys be fetched.
    if jwt.string("iss") != Some(expected.issuer) {
        return Err(IdTokenError::Issuer);
    }
    if !signers.signed(&jwt, expected.algorithm, now).await {
        return Err(IdTokenError::Signature);
    }
    check_party(&jwt, expected.client_id)?;
    check_times(&jwt, &["auth_time"], expected.skew, now).map_err(IdTokenError::Time)?;
    let nonce = jwt.string("nonce").ok_or(IdTokenError::Nonce)?;
    if Secret::from(nonce) != Secret::from(expected.nonce) {
        return Err(IdTokenError::Nonce);
    }
    let subject = jwt.string("sub").ok_or(IdTokenError::Subject)?;
    if subject.len() > MAX_SUBJECT {
        return Err(IdTokenError::Subject);
    }
    check_companion(&jwt, expected)?;
    Ok(jwt)
}

/// Items 3 to 5: this client is among the audiences, and the one it was made for.
fn check_party(jwt: &Jwt, client_id: &str) -> Result<(), IdTokenError> {
    let audiences = jwt.strings("aud");
    if !audiences.contains(&client_id) {
        return Err(IdTokenError::Audience);
    }
    match jwt.claims.get("azp") {
        None if audiences.len() == 1 => Ok(()),
        Some(party) if party.as_str() == Some(client_id) => Ok(()),
        Some(_) | None => Err(IdTokenError::AuthorizedParty),
    }
}

fn check_companion(jwt: &Jwt, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    let Some(companion) = expected.companion else {
        return Ok(());
    };
    match jwt.claims.get("at_hash") {
        None if !companion.is_hash_needed => Ok(()),
        Some(hash) if hash.as_str() == Some(&half_hash(companion.token, expected.algorithm)) => {
            Ok(())
        }
        Some(_) | None => Err(IdTokenError::AccessToken),
    }
}

/// The left half of the hash that the algorithm is named after (Core §3.1.3.6).
pub fn half_hash(token: &Secret, algorithm: JwtAlgorithm) -> String {
    let label = algorithm.label();
    let kind = if label.ends_with("512") {
        &digest::SHA512
    } else if label.ends_with("384") {
        &digest::SHA384
    } else {
        &digest::SHA256
    };
    let hash = digest::digest(kind, token.expose());
    let hash = hash.as_ref();
    URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
}
