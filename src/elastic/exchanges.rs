//! Exchanges: the client's credential for a token or an API key, asked with Sidegate's own credential; and taking them back.
//!
//! Always true: a 401 is only blamed on the client's credential when Sidegate's own is certainly good, so that trouble of ours
//! logs nobody out; what the authority says about a denial is kept for the log and bounded; no secret is in an error.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::authorization::Asker;
use super::client::{Answer, Client};
use super::error::AskError;
use super::metrics::Api;
use crate::model::credential::Credential;
use crate::model::secret::Secret;
use crate::wire::error::ErrorEnvelope;
use crate::wire::grants::{CreateApiKeyResponse, TokenResponse};

const TOKEN: &str = "/_security/oauth2/token";
const API_KEY: &str = "/_security/api_key";
const GRANT: &str = "/_security/api_key/grant";
const QUERY: &str = "/_security/_query/api_key";

/// Characters kept of what an authority says about a denial.
const MAX_REASON: usize = 500;
/// Keys found by one query.
const MAX_FOUND: usize = 500;

/// A pair of tokens.
pub struct Tokens {
    /// The access token.
    pub access: Secret,
    /// The refresh token, if there is one. It works once.
    pub refresh: Option<Secret>,
    /// How long the access token lives, from the moment it was asked for.
    pub life: Duration,
    /// Whom it stands for, when the authority says so.
    pub username: Option<String>,
}

/// An API key that was granted.
pub struct GrantedKey {
    /// Its id.
    pub id: String,
    /// base64 of `id:secret`.
    pub encoded: Secret,
}

/// Why there is no exchange.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The authority is in trouble, or doesn't accept Sidegate's own credential.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The authority doesn't accept the client's credential any more.
    #[error("credential refused by {node}")]
    Refused {
        /// Who said so.
        node: Arc<str>,
    },
    /// 403, or 400 for a feature that is off: Sidegate lacks a privilege, or the authority doesn't do this at all.
    #[error("{node} denies it: {reason}")]
    Denied {
        /// Who said so.
        node: Arc<str>,
        /// What it said.
        reason: String,
    },
    /// 400 `invalid_grant` (RFC 6749 §5.2): the refresh token was used, expired or invalidated.
    #[error("{node} refuses the refresh token: {reason}")]
    InvalidGrant {
        /// Who said so.
        node: Arc<str>,
        /// What it said.
        reason: String,
    },
    /// This kind of credential can't be exchanged for that.
    #[error("this kind of credential can't be exchanged")]
    Unfit,
}

/// RFC 6749 §5.2, as Elasticsearch answers it.
#[derive(Deserialize)]
struct OauthError {
    error: String,
    #[serde(default)]
    error_description: String,
}

#[derive(Deserialize)]
struct Found {
    api_keys: Vec<FoundKey>,
}

#[derive(Deserialize)]
struct FoundKey {
    id: String,
}

impl Client {
    /// An access token for a user name and password (grant type `password`). Needs `manage_token`.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub async fn token_for_password(
        &self,
        username: &str,
        password: &Secret,
    ) -> Result<Tokens, ExchangeError> {
        let password = password.expose_str().ok_or(ExchangeError::Unfit)?;
        let body = json!({"grant_type": "password", "username": username, "password": password});
        self.tokens(&body).await
    }

    /// A new pair for a refresh token, which is used up by this: asked again within 30 seconds, it gives the same pair again.
    ///
    /// # Errors
    /// [`ExchangeError::InvalidGrant`] when it doesn't work any more.
    pub async fn refreshed_token(&self, refresh: &Secret) -> Result<Tokens, ExchangeError> {
        let refresh = refresh.expose_str().ok_or(ExchangeError::Unfit)?;
        self.tokens(&json!({"grant_type": "refresh_token", "refresh_token": refresh}))
            .await
    }

    async fn tokens(&self, body: &Value) -> Result<Tokens, ExchangeError> {
        let answer = self
            .exchange_as_own(Api::Token, Method::POST, TOKEN, body)
            .await?;
        let answer: TokenResponse = answer.parse()?;
        Ok(Tokens {
            access: answer.access_token.into(),
            refresh: answer.refresh_token.map(Secret::from),
            life: Duration::from_secs(answer.expires_in),
            username: answer.authentication.map(|user| user.username),
        })
    }

    /// Takes an access token back. One that is not known any more is as good as taken back.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub async fn invalidate_access_token(&self, token: &Secret) -> Result<(), ExchangeError> {
        self.invalidate_token("token", token).await
    }

    /// Takes a refresh token back, so that nobody can make new access tokens of it.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub async fn invalidate_refresh_token(&self, token: &Secret) -> Result<(), ExchangeError> {
        self.invalidate_token("refresh_token", token).await
    }

    async fn invalidate_token(&self, kind: &str, token: &Secret) -> Result<(), ExchangeError> {
        let body = json!({kind: token.expose_str().unwrap_or_default()});
        let outcome = self
            .exchange_as_own(Api::InvalidateToken, Method::DELETE, TOKEN, &body)
            .await;
        match outcome {
            Ok(_) | Err(ExchangeError::Ask(AskError::Status { status: 404, .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// An API key owned by whoever `credential` belongs to, or by `run_as`, if they may act as that user, with these
    /// fields of the create API key API. `secret` goes with a token that needs it in the authority's JWT realm. Needs
    /// `grant_api_key`.
    ///
    /// # Errors
    /// [`ExchangeError::Unfit`] for an API key, which can't grant another.
    pub async fn grant_api_key(
        &self,
        credential: &Credential,
        secret: Option<&Secret>,
        run_as: Option<&str>,
        api_key: &Map<String, Value>,
    ) -> Result<GrantedKey, ExchangeError> {
        let mut body = match credential {
            Credential::Basic { username, password } => json!({
                "grant_type": "password",
                "username": username,
                "password": password.expose_str().ok_or(ExchangeError::Unfit)?,
            }),
            Credential::Bearer(token) => json!({
                "grant_type": "access_token",
                "access_token": token.expose_str().ok_or(ExchangeError::Unfit)?,
            }),
            Credential::ApiKey(_) => return Err(ExchangeError::Unfit),
        };
        if let Some(secret) = secret {
            let value = secret.expose_str().ok_or(ExchangeError::Unfit)?;
            body["client_authentication"] = json!({"scheme": "SharedSecret", "value": value});
        }
        if let Some(username) = run_as {
            body["run_as"] = username.into();
        }
        body["api_key"] = Value::Object(api_key.clone());
        let answer = self
            .exchange_as_own(Api::GrantApiKey, Method::POST, GRANT, &body)
            .await?;
        let answer: CreateApiKeyResponse = answer.parse()?;
        Ok(GrantedKey {
            id: answer.id,
            encoded: answer.encoded.into(),
        })
    }

    /// Ids of keys that are not invalidated and whose metadata has one field of this value, but not the other; some of them when
    /// there are many. Needs `manage_api_key`.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub async fn api_keys_marked(
        &self,
        (field, value): (&str, &str),
        (other, but): (&str, &str),
    ) -> Result<Vec<String>, ExchangeError> {
        let body = json!({
            "size": MAX_FOUND,
            "query": {"bool": {
                "filter": [
                    {"term": {format!("metadata.{field}"): value}},
                    {"term": {"invalidated": false}},
                ],
                "must_not": [{"term": {format!("metadata.{other}"): but}}],
            }},
        });
        let answer = self
            .exchange_as_own(Api::QueryApiKey, Method::POST, QUERY, &body)
            .await?;
        let found: Found = answer.parse()?;
        Ok(found.api_keys.into_iter().map(|key| key.id).collect())
    }

    /// Takes API keys back; those that are gone or unknown are as good as taken back. Needs `manage_api_key`.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub async fn invalidate_api_keys(&self, ids: &[String]) -> Result<(), ExchangeError> {
        let body = json!({"ids": ids});
        self.exchange_as_own(Api::InvalidateApiKey, Method::DELETE, API_KEY, &body)
            .await
            .map(|_| ())
    }

    /// Whether a credential still works.
    ///
    /// # Errors
    /// [`AskError`] when that can't be learned.
    pub async fn is_accepted(&self, credential: &Credential) -> Result<bool, AskError> {
        let outcome = self
            .ask_judging(
                Api::Authenticate,
                (Method::GET, "/_security/_authenticate"),
                Some(&Asker::of(credential)),
                None,
                Answer::judged,
            )
            .await;
        match outcome {
            Ok(_) => Ok(true),
            Err(AskError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One exchange, with Sidegate's own credential.
    async fn exchange_as_own(
        &self,
        api: Api,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Answer, ExchangeError> {
        let own = self.own()?;
        let bytes = zeroize::Zeroizing::new(serde_json::to_vec(body).unwrap_or_default());
        let body = bytes::Bytes::copy_from_slice(&bytes);
        let answer = self
            .ask_judging(api, (method, path), Some(&own), Some(body), worth_reading)
            .await?;
        match answer.status {
            StatusCode::OK => Ok(answer),
            StatusCode::UNAUTHORIZED => Err(self.blame(&answer.node).await),
            StatusCode::BAD_REQUEST => Err(bad_request(&answer)),
            _ => Err(ExchangeError::Denied {
                reason: reason(&answer),
                node: answer.node,
            }),
        }
    }

    /// Whose credential a 401 is about: the client's, if Sidegate's own is good.
    async fn blame(&self, node: &Arc<str>) -> ExchangeError {
        match self.own_privileges(&[]).await {
            Ok(_) => ExchangeError::Refused {
                node: Arc::clone(node),
            },
            Err(error) => ExchangeError::Ask(error),
        }
    }
}

/// Lets through what tells more than its status does: denials and refusals in Elasticsearch's words.
fn worth_reading(answer: Answer) -> Result<Answer, AskError> {
    let tells = matches!(
        answer.status,
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    );
    let is_own_word = || {
        answer.names_product()
            || serde_json::from_slice::<ErrorEnvelope>(&answer.bytes).is_ok()
            || serde_json::from_slice::<OauthError>(&answer.bytes).is_ok()
    };
    if tells && is_own_word() {
        return Ok(answer);
    }
    answer.judged()
}

fn bad_request(answer: &Answer) -> ExchangeError {
    let node = Arc::clone(&answer.node);
    match serde_json::from_slice::<OauthError>(&answer.bytes) {
        Ok(error) if error.error == "invalid_grant" => ExchangeError::InvalidGrant {
            node,
            reason: bounded(&error.error_description),
        },
        Ok(error) => ExchangeError::Denied {
            node,
            reason: bounded(&format!("{}: {}", error.error, error.error_description)),
        },
        Err(_) => ExchangeError::Denied {
            reason: reason(answer),
            node,
        },
    }
}

fn reason(answer: &Answer) -> String {
    match serde_json::from_slice::<ErrorEnvelope>(&answer.bytes) {
        Ok(envelope) => bounded(&envelope.error.cause.reason.unwrap_or_default()),
        Err(_) => format!("status {}", answer.status.as_u16()),
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_REASON).collect()
}
