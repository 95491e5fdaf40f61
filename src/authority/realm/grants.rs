//! API keys and access tokens as credentials.
//!
//! Both carry at least 128 random bits, so a SHA-256 is a safe way to keep them; keys are compared in constant time, tokens are
//! found by their hash.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::account;
use crate::authority::record::{ApiKey, ApiKeyKind, Bearer, Principal};
use crate::authority::store::Tables;
use crate::authority::subject::{API_KEY_REALM, Means, Subject};
use crate::model::clock::{self, Now};
use crate::model::secret::Secret;

/// Why a key or token was refused; the sentence Elasticsearch gives as unsuccessful credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantError {
    /// Refused; the chain ends with this as its only hint.
    Refused(String),
    /// A key of the wrong kind: the chain stops at once.
    WrongKind(String),
    /// A token that is expired or was invalidated.
    Expired,
}

/// A new API-key secret or token text: `N` random bytes as base64url.
pub fn random_text<const N: usize>() -> Secret {
    Secret::from(URL_SAFE_NO_PAD.encode(clock::random_bytes::<N>()))
}

/// The base64url SHA-256 under which a secret is kept.
pub fn digest_text(secret: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, secret))
}

/// The two halves of an `ApiKey` credential.
pub struct KeyCredential {
    /// Which key.
    pub id: String,
    secret: Secret,
}

/// Reads base64 of `id:secret`; `None` when it is anything else.
pub fn parse_api_key(value: &Secret) -> Option<KeyCredential> {
    let decoded = Secret::new(STANDARD.decode(value.expose()).ok()?);
    let (id, secret) = decoded.expose_str()?.split_once(':')?;
    (!id.is_empty()).then(|| KeyCredential {
        id: id.to_owned(),
        secret: Secret::from(secret),
    })
}

/// Finds the key of a credential, by its id and without a scan, and checks secret, kind and life.
///
/// # Errors
/// See [`GrantError`].
pub fn verify_api_key(
    tables: &Tables,
    credential: &KeyCredential,
    now: Now,
) -> Result<Arc<ApiKey>, GrantError> {
    let id = &credential.id;
    let refused = |why: String| Err(GrantError::Refused(format!("API key: {why}")));
    let Some(key) = tables.api_keys.find(id) else {
        return refused(format!("unable to find apikey with id {id}"));
    };
    if key.invalidation.is_some() {
        return refused(format!("api key [{id}] has been invalidated"));
    }
    let given = Secret::from(digest_text(credential.secret.expose()));
    if given != Secret::from(key.secret.as_str()) {
        return refused(format!("invalid credentials for API key [{id}]"));
    }
    if key.kind == ApiKeyKind::CrossCluster {
        return Err(GrantError::WrongKind(format!(
            "authentication expected API key type of [rest], but API key [{id}] has type [cross_cluster]"
        )));
    }
    if key.is_expired(now.unix_millis()) {
        return refused("api key is expired".to_owned());
    }
    Ok(key)
}

/// Checks the value of an `ApiKey` credential: base64 of `id:secret`.
///
/// # Errors
/// See [`GrantError`].
pub fn check_api_key(tables: &Tables, value: &Secret, now: Now) -> Result<Subject, GrantError> {
    let credential = parse_api_key(value)
        .ok_or_else(|| GrantError::Refused("API key: invalid ApiKey value".to_owned()))?;
    let key = verify_api_key(tables, &credential, now)?;
    Ok(Subject {
        effective: Arc::new(key_principal(&key)),
        authenticating: None,
        api_key: Some(key),
        service_token: None,
        means: Means::ApiKey,
        target_exists: true,
    })
}

/// An API key acts under its owner's name, without roles.
fn key_principal(key: &ApiKey) -> Principal {
    Principal {
        roles: Vec::new(),
        realm: account::realm(API_KEY_REALM, API_KEY_REALM),
        ..key.creator.clone()
    }
}

/// Checks an access token.
///
/// # Errors
/// See [`GrantError`].
pub fn check_access_token(
    tables: &Tables,
    token: &Secret,
    now: Now,
) -> Result<Subject, GrantError> {
    let Some(row) = tables.access_tokens.find(&digest_text(token.expose())) else {
        return Err(GrantError::Refused(
            "oauth2 token: invalid token".to_owned(),
        ));
    };
    if row.invalidated || row.expiration <= now.unix_millis() {
        return Err(GrantError::Expired);
    }
    bearer_subject(tables, &row.bearer, now).ok_or(GrantError::Expired)
}

/// Everybody a token speaks for. The owner of an API key is not among them: keys outlive their owners' accounts.
pub fn principals(bearer: &Bearer) -> impl Iterator<Item = &Principal> {
    std::iter::once(&bearer.effective).chain(&bearer.authenticating)
}

/// Whom a token stands for. Elasticsearch lets a token outlive the API key that asked for it, and the user it was made for;
/// here it dies with either.
pub fn bearer_subject(tables: &Tables, bearer: &Bearer, now: Now) -> Option<Subject> {
    let is_out = |principal: &Principal| {
        let user = |name: &str| tables.users.find(name);
        account::is_out(principal, user, |name| tables.reserved.find(name))
    };
    if principals(bearer).any(is_out) {
        return None;
    }
    let api_key = match &bearer.api_key {
        None => None,
        Some(id) => Some(
            tables
                .api_keys
                .find(id)
                .filter(|key| key.is_active(now.unix_millis()))?,
        ),
    };
    Some(Subject {
        effective: Arc::new(bearer.effective.clone()),
        authenticating: bearer.authenticating.clone().map(Arc::new),
        api_key,
        service_token: None,
        means: Means::Token,
        target_exists: true,
    })
}
