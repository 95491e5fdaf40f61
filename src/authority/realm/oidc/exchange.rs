//! The token endpoint: a code is exchanged for tokens (OpenID Connect Core §3.1.3).
//!
//! Always true: the endpoint is the one that was configured or discovered, redirects are not followed, and no more than
//! [`MAX_BYTES`] of an answer are read; the client secret goes nowhere else.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::provider::Endpoint;
use super::response::words;
use crate::authority::realm::grants::random_text;
use crate::authority::realm::jwt::keys::hmac_algorithm;
use crate::config::realms_oidc::{OidcClientAuthMethod, OidcParty};
use crate::model::clock::Now;
use crate::model::secret::Secret;
use crate::net::fetch::{FetchError, Question};

/// Bytes of an answer at most.
pub const MAX_BYTES: usize = 1 << 18;
/// Life of a client assertion.
const ASSERTION: Duration = Duration::from_secs(60);

/// Why a code gave no tokens.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// There is no token endpoint.
    #[error("the provider has no token endpoint")]
    NoEndpoint,
    /// There is no client secret to prove oneself with, or it can't be sent.
    #[error("the client secret can't be used")]
    Secret,
    /// The endpoint does not answer.
    #[error("the token endpoint: {0}")]
    Fetch(#[from] FetchError),
    /// The endpoint says no (RFC 6749 §5.2).
    #[error("the token endpoint answered {status} with the error [{code}]: {description}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// `error`
        code: String,
        /// `error_description`
        description: String,
    },
    /// The answer is no token response.
    #[error("the token endpoint's answer is no token response")]
    Malformed,
    /// An access token of a kind that nothing is known about.
    #[error("the access token is no bearer token")]
    TokenType,
}

/// What a code was exchanged for.
#[derive(Debug)]
pub struct Tokens {
    /// ID token, not verified.
    pub id_token: Secret,
    /// Access token for the userinfo endpoint.
    pub access_token: Secret,
}

#[derive(Deserialize)]
struct Answer {
    id_token: String,
    access_token: String,
    token_type: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
    error_description: String,
}

/// Exchanges a code.
///
/// # Errors
/// See [`ExchangeError`]; its text is for the log.
pub async fn exchange(
    endpoint: &Endpoint,
    party: &OidcParty,
    code: &Secret,
    verifier: Option<&Secret>,
    now: Now,
) -> Result<Tokens, ExchangeError> {
    let question = question(endpoint, party, code, verifier, now)?;
    let answer = endpoint.fetcher.ask(question, MAX_BYTES).await?;
    if answer.status != StatusCode::OK {
        let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        return Err(ExchangeError::Refused {
            status: answer.status.as_u16(),
            code: words(&refusal.error),
            description: words(&refusal.error_description),
        });
    }
    let answer: Answer =
        serde_json::from_slice(&answer.body).map_err(|_| ExchangeError::Malformed)?;
    if !answer.token_type.eq_ignore_ascii_case("bearer") {
        return Err(ExchangeError::TokenType);
    }
    Ok(Tokens {
        id_token: Secret::from(answer.id_token),
        access_token: Secret::from(answer.access_token),
    })
}

fn question(
    endpoint: &Endpoint,
    party: &OidcParty,
    code: &Secret,
    verifier: Option<&Secret>,
    now: Now,
) -> Result<Question, ExchangeError> {
    let text = |secret: &Secret| secret.expose_str().map(str::to_owned);
    let secret = party.client_secret.as_ref().and_then(text);
    let secret = secret.ok_or(ExchangeError::Secret)?;
    let mut headers = HeaderMap::new();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(header::CONTENT_TYPE, form);
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("grant_type", "authorization_code");
    body.append_pair("code", code.expose_str().unwrap_or_default());
    body.append_pair("redirect_uri", &party.redirect_uri);
    if let Some(verifier) = verifier {
        body.append_pair("code_verifier", verifier.expose_str().unwrap_or_default());
    }
    match party.client_auth_method {
        OidcClientAuthMethod::Basic => {
            headers.insert(header::AUTHORIZATION, basic(&party.client_id, &secret)?);
        }
        OidcClientAuthMethod::Post => {
            body.append_pair("client_id", &party.client_id);
            body.append_pair("client_secret", &secret);
        }
        OidcClientAuthMethod::Jwt => {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            body.append_pair("client_assertion_type", kind);
            let assertion = assertion(endpoint, party, now).ok_or(ExchangeError::Secret)?;
            body.append_pair("client_assertion", &assertion);
        }
    }
    Ok(Question {
        method: Method::POST,
        headers,
        body: body.finish().into(),
    })
}

/// RFC 6749 §2.3.1: each half is form-encoded before the pair is.
fn basic(client_id: &str, secret: &str) -> Result<HeaderValue, ExchangeError> {
    let encoded =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = format!("{}:{}", encoded(client_id), encoded(secret));
    let value = format!("Basic {}", STANDARD.encode(pair));
    let mut value = HeaderValue::try_from(value).map_err(|_| ExchangeError::Secret)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A `client_secret_jwt` (OpenID Connect Core §9); `None` when the algorithm or the secret doesn't allow one.
fn assertion(endpoint: &Endpoint, party: &OidcParty, now: Now) -> Option<String> {
    let algorithm = party.assertion_algorithm;
    let key = hmac::Key::new(
        hmac_algorithm(algorithm)?,
        party.client_secret.as_ref()?.expose(),
    );
    let id = random_text::<16>();
    let issued = now.unix.as_secs();
    let claims = json!({
        "iss": party.client_id,
        "sub": party.client_id,
        "aud": endpoint.url,
        "jti": id.expose_str(),
        "iat": issued,
        "exp": issued + ASSERTION.as_secs(),
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": algorithm.label(), "typ": "JWT"});
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    Some(format!("{signed}.{signature}"))
}
