//! The OpenID Connect realm: people who log in at a provider with a browser (OpenID Connect Core 1.0).
//!
//! One login is two calls: [`OidcRealm::prepare`] makes the URL for the browser, [`OidcRealm::authenticate`] takes what the
//! browser came back with: [`response`] → [`exchange`] (code flow) → [`id_token`] → [`user_info`] → the user. Always true: a
//! response counts once; every refusal says why in the log and nothing to the client; nothing is kept between the two calls
//! but the caller's state and nonce. It takes no credential of a request's headers, and looks nobody up.

pub mod exchange;
pub mod id_token;
pub mod provider;
pub mod request;
pub mod response;
pub mod user_info;

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde_json::{Map, Value, json};

use super::account;
use super::contract::{Presented, Proven, Realm, Token};
use super::jwt::keys::KeySet;
use super::pattern::PatternError;
use super::user_claims::{self, UserClaims};
use crate::config::realms_oidc::{OidcRealm as Settings, OidcResponseType};
use crate::model::clock::Now;
use crate::model::credential::{Fingerprint, FingerprintKey};
use crate::model::secret::Secret;
use crate::net::fetch::FetchError;
use crate::wire::principals::RealmRef;
use exchange::ExchangeError;
use id_token::{Companion, Expected, IdTokenError, Signers};
use provider::{Endpoints, Provider, ProviderError};
use request::{Attempt, Verifiers};
use response::{Response, ResponseError};
use user_info::UserInfoError;

/// Responses that are remembered as used at most.
const MAX_SPENT: u64 = 50_000;
/// How long a used response is remembered; nobody gives codes or ID tokens a longer life.
const SPENT: Duration = Duration::from_secs(24 * 3_600);
/// Longest ID token that is kept for the logout, in bytes.
const MAX_HINT: usize = 16 * 1024;
/// Name under which the ID token is kept for the logout, as Elasticsearch keeps it.
const HINT: &str = "id_token_hint";

/// Why the realm can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// A regular expression.
    #[error("claim_patterns: {0}")]
    Pattern(#[from] PatternError),
    /// TLS towards the provider.
    #[error("ssl: {0}")]
    Tls(#[from] FetchError),
}

/// Why a response lets nobody in. For the log.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The provider's endpoints are not known.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The response.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// It was used before.
    #[error("the response was used before")]
    Replayed,
    /// The token endpoint.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The ID token.
    #[error(transparent)]
    IdToken(#[from] IdTokenError),
    /// There is nothing to check a signature with.
    #[error("there is no key to check signatures with")]
    NoKeys,
    /// The userinfo endpoint.
    #[error(transparent)]
    UserInfo(#[from] UserInfoError),
    /// The claims make no user.
    #[error("{0}")]
    Claims(String),
}

/// What the browser came back with, and the attempt it belongs to.
#[derive(Clone, Copy)]
pub struct Callback<'a> {
    /// The URI the browser came back to, or its path and query.
    pub uri: &'a str,
    /// State and nonce that the caller kept.
    pub attempt: Attempt<'a>,
}

/// Somebody who logged in.
pub struct Login {
    /// Who.
    pub user: Proven,
    /// What is kept for their logout.
    pub kept: Map<String, Value>,
}

/// People of one provider.
pub struct OidcRealm {
    reference: RealmRef,
    settings: Settings,
    provider: Provider,
    claims: UserClaims,
    verifiers: Verifiers,
    key: FingerprintKey,
    /// Codes and ID tokens that were used.
    spent: Cache<Fingerprint, ()>,
}

impl OidcRealm {
    /// Compiles the rules and reads keys whose place is written. A provider that can't be reached doesn't keep it from opening.
    ///
    /// # Errors
    /// See [`OidcError`].
    pub async fn open(name: &str, settings: &Settings) -> Result<Self, OidcError> {
        let needs_keys = settings.party.signature_algorithm.secret_bytes().is_none();
        let provider = Provider::open(name, &settings.provider, &settings.http, needs_keys).await?;
        Ok(Self {
            reference: account::realm(name, "oidc"),
            claims: UserClaims::new(&settings.claims)?,
            provider,
            settings: settings.clone(),
            verifiers: Verifiers::random(),
            key: FingerprintKey::random(),
            spent: Cache::builder()
                .max_capacity(MAX_SPENT)
                .time_to_live(SPENT)
                // The default policy may turn newcomers away, who are the ones that count here.
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.reference.name
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.settings.provider.issuer
    }

    /// The URL that begins an attempt in the browser.
    ///
    /// # Errors
    /// [`ProviderError`] while the provider could never be discovered.
    pub async fn prepare(
        &self,
        attempt: Attempt<'_>,
        login_hint: Option<&str>,
        now: Now,
    ) -> Result<String, ProviderError> {
        let endpoints = self.provider.endpoints(now).await?;
        let verifier = self.verifier(attempt);
        Ok(request::authentication_url(
            &endpoints.authorization.text,
            &self.settings.party,
            attempt,
            login_hint,
            verifier.as_ref(),
        ))
    }

    fn verifier(&self, attempt: Attempt<'_>) -> Option<Secret> {
        let party = &self.settings.party;
        let is_used = party.pkce && party.response_type == OidcResponseType::Code;
        is_used.then(|| self.verifiers.verifier(attempt))
    }

    /// Who came back from the provider.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn authenticate(
        &self,
        callback: Callback<'_>,
        now: Now,
    ) -> Result<Login, LoginError> {
        let endpoints = self.provider.endpoints(now).await?;
        let party = &self.settings.party;
        let response = response::read(
            callback.uri,
            response::Expected {
                state: callback.attempt.state,
                issuer: self.issuer(),
                names_itself: endpoints.names_itself,
                response_type: party.response_type,
            },
        )?;
        self.spend(&response)?;
        let signers = self.signers(&endpoints)?;
        let (id_token, access_token) = match response {
            Response::Code(code) => {
                let tokens = self.exchange(&endpoints, &code, callback, now).await?;
                (tokens.id_token, Some(tokens.access_token))
            }
            Response::Tokens {
                id_token,
                access_token,
            } => (id_token, access_token),
        };
        let is_hash_needed = party.response_type == OidcResponseType::IdTokenToken;
        let expected = Expected {
            issuer: self.issuer(),
            client_id: &party.client_id,
            algorithm: party.signature_algorithm,
            nonce: callback.attempt.nonce,
            companion: access_token.as_ref().map(|token| Companion {
                token,
                is_hash_needed,
            }),
            skew: self.settings.clock_skew,
        };
        let jwt = id_token::check(&id_token, &signers, &expected, now).await?;
        let mut claims = jwt.claims.clone();
        if let (Some(endpoint), Some(token)) = (&endpoints.userinfo, &access_token) {
            let subject = jwt.string("sub").unwrap_or_default();
            let more = user_info::ask(endpoint, token, subject, (&signers, &expected), now).await?;
            user_info::merge(&mut claims, more);
        }
        Ok(Login {
            user: self.user(&claims)?,
            kept: kept(&id_token),
        })
    }

    /// Marks a response as used.
    fn spend(&self, response: &Response) -> Result<(), LoginError> {
        let bearer = match response {
            Response::Code(code) => code,
            Response::Tokens { id_token, .. } => id_token,
        };
        let fingerprint = self.key.fingerprint(&[bearer.expose()]);
        if self.spent.entry(fingerprint).or_insert(()).is_fresh() {
            return Ok(());
        }
        Err(LoginError::Replayed)
    }

    fn signers(&self, endpoints: &Endpoints) -> Result<Signers, LoginError> {
        let party = &self.settings.party;
        if party.signature_algorithm.secret_bytes().is_some() {
            let secret = party.client_secret.clone().ok_or(LoginError::NoKeys)?;
            return Ok(Signers::Secret(KeySet::of_secret(secret)));
        }
        let keys = endpoints.keys.as_ref().ok_or(LoginError::NoKeys)?;
        Ok(Signers::Public(Arc::clone(keys)))
    }

    async fn exchange(
        &self,
        endpoints: &Endpoints,
        code: &Secret,
        callback: Callback<'_>,
        now: Now,
    ) -> Result<exchange::Tokens, ExchangeError> {
        let endpoint = endpoints.token.as_ref().ok_or(ExchangeError::NoEndpoint)?;
        let verifier = self.verifier(callback.attempt);
        exchange::exchange(endpoint, &self.settings.party, code, verifier.as_ref(), now).await
    }

    fn user(&self, claims: &user_claims::Claims) -> Result<Proven, LoginError> {
        let metadata = if self.settings.populate_user_metadata {
            user_claims::metadata(claims, |name| format!("oidc({name})"))
        } else {
            Map::new()
        };
        self.claims
            .user(claims, metadata)
            .map_err(LoginError::Claims)
    }

    /// The URL that ends the session at the provider, for what was kept at the login; `None`: the provider has no such place.
    pub async fn logout_url(
        &self,
        kept: &Map<String, Value>,
        state: &str,
        now: Now,
    ) -> Option<String> {
        // A logout here is a logout even while the provider is away.
        let endpoints = self.provider.endpoints(now).await.ok()?;
        let endpoint = &endpoints.end_session.as_ref()?.text;
        let hint = kept.get(HINT).and_then(Value::as_str);
        Some(request::logout_url(
            endpoint,
            &self.settings.party,
            hint,
            state,
        ))
    }
}

/// What the logout needs: the ID token, unless it is so long that no URL could hold it.
fn kept(id_token: &Secret) -> Map<String, Value> {
    let mut kept = Map::new();
    let hint = id_token.expose_str();
    if let Some(hint) = hint.filter(|hint| hint.len() <= MAX_HINT) {
        kept.insert(HINT.to_owned(), json!(hint));
    }
    kept
}

impl Realm for Arc<OidcRealm> {
    fn reference(&self) -> &RealmRef {
        &self.reference
    }

    fn token(&self, _presented: &Presented<'_>) -> Option<Token> {
        None
    }

    fn authorization_realms(&self) -> &[String] {
        &self.settings.authorization_realms
    }

    fn forget(&self, _usernames: &[String]) {}
}

#[cfg(test)]
mod tests;
