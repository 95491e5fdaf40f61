//! The userinfo endpoint (OpenID Connect Core §5.3): claims that the ID token doesn't have.
//!
//! Always true: an answer about somebody else than the ID token's subject counts for nothing; the ID token's claims go before;
//! a signed answer is believed only with a signature like the ID token's.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use super::exchange::MAX_BYTES;
use super::id_token::{Expected, Signers};
use super::provider::Endpoint;
use crate::authority::realm::jwt::token::Jwt;
use crate::authority::realm::user_claims::{Claims, string};
use crate::config::realms::JwtAlgorithm;
use crate::model::clock::Now;
use crate::model::secret::Secret;
use crate::net::fetch::{FetchError, Question};

/// Why there are no more claims.
#[derive(Debug, thiserror::Error)]
pub enum UserInfoError {
    /// The endpoint does not answer.
    #[error("the userinfo endpoint: {0}")]
    Fetch(#[from] FetchError),
    /// The endpoint says no.
    #[error("the userinfo endpoint answered {0}")]
    Status(StatusCode),
    /// The access token is nothing that a header can hold.
    #[error("the access token can't be sent")]
    Token,
    /// The answer is no set of claims.
    #[error("the userinfo endpoint's answer is no set of claims")]
    Malformed,
    /// The answer is signed by nobody known, or for somebody else.
    #[error("the userinfo endpoint's answer has no good signature for this client")]
    Signature,
    /// The answer is about somebody else (Core §5.3.2).
    #[error("the userinfo endpoint's answer is about another subject than the id token")]
    Subject,
}

/// Asks for the claims of `subject`.
///
/// # Errors
/// See [`UserInfoError`]; its text is for the log.
pub async fn ask(
    endpoint: &Endpoint,
    access_token: &Secret,
    subject: &str,
    (signers, expected): (&Signers, &Expected<'_>),
    now: Now,
) -> Result<Claims, UserInfoError> {
    let mut headers = HeaderMap::new();
    let bearer = [b"Bearer ", access_token.expose()].concat();
    let mut bearer = HeaderValue::from_bytes(&bearer).map_err(|_| UserInfoError::Token)?;
    bearer.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, bearer);
    let question = Question {
        method: Method::GET,
        headers,
        ..Question::default()
    };
    let answer = endpoint.fetcher.ask(question, MAX_BYTES).await?;
    if answer.status != StatusCode::OK {
        return Err(UserInfoError::Status(answer.status));
    }
    let claims = if is_signed(&answer.headers) {
        let token = Secret::new(answer.body.trim_ascii());
        verified(&token, signers, expected, now).await?
    } else {
        match serde_json::from_slice(&answer.body) {
            Ok(Value::Object(claims)) => claims,
            Ok(_) | Err(_) => return Err(UserInfoError::Malformed),
        }
    };
    match string(&claims, "sub") {
        Some(found) if found == subject => Ok(claims),
        Some(_) | None => Err(UserInfoError::Subject),
    }
}

fn is_signed(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/jwt")
}

async fn verified(
    token: &Secret,
    signers: &Signers,
    expected: &Expected<'_>,
    now: Now,
) -> Result<Claims, UserInfoError> {
    let jwt = Jwt::parse(token).ok_or(UserInfoError::Malformed)?;
    let right_algorithm = JwtAlgorithm::named(&jwt.header.alg) == Some(expected.algorithm);
    // Core §5.3.2: signed answers should name both; those that do must name these.
    let right_issuer = jwt
        .claims
        .get("iss")
        .is_none_or(|iss| iss == expected.issuer);
    let right_audience =
        !jwt.claims.contains_key("aud") || jwt.strings("aud").contains(&expected.client_id);
    let fits = right_algorithm && right_issuer && right_audience && jwt.header.crit.is_none();
    if !fits || !signers.signed(&jwt, expected.algorithm, now).await {
        return Err(UserInfoError::Signature);
    }
    Ok(jwt.claims)
}

/// Adds what the ID token doesn't say. Lists of both become one; of anything else the ID token's value stays.
pub fn merge(claims: &mut Claims, more: Claims) {
    for (name, value) in more {
        match (claims.get_mut(&name), value) {
            (None, value) => {
                claims.insert(name, value);
            }
            (Some(Value::Array(own)), Value::Array(more)) => {
                for item in more {
                    if !own.contains(&item) {
                        own.push(item);
                    }
                }
            }
            (Some(_), _) => {}
        }
    }
}
