//! Logouts that an OpenID provider tells behind the browser's back (OpenID Connect Back-Channel Logout 1.0).
//!
//! Always true: a logout token is signed by the issuer's published key, meant for this client, young, used once, and no ID token in
//! disguise; it ends sessions that began before it, of this provider alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use moka::sync::Cache;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::form::Form;
use super::logout;
use super::metrics::Way;
use super::pages::reason::Reason;
use super::refusal::Refusal;
use super::visit::{Visit, empty, json as reply};
use crate::config::sso::{BackChannel, Provider};
use crate::config::ways::{Jwt, JwtAlgorithm, JwtIssuer, JwtKeys};
use crate::gate::jwt::verify::{JwtVerifier, Unverified};
use crate::model::clock::Now;
use crate::net::fetch::FetchError;
use crate::net::http::{Body, Response};
use crate::session::ended::EndReason;
use crate::session::whose::Whose;

/// Bytes of the form at most.
const MAX_FORM: usize = 32 * 1024;
/// How far the clocks may be apart.
const SKEW: Duration = Duration::from_secs(60);
/// How old a token may be.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);
/// How often the issuer's keys are read.
const REFRESH: Duration = Duration::from_secs(10 * 60);
/// Ids of tokens remembered, so that none counts twice.
const MAX_IDS: u64 = 100_000;
/// Longest `jti`, `sub` and `sid`.
const MAX_TEXT: usize = 512;
/// The event that a logout token tells of (§2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Whose logout tokens are believed.
pub struct LogoutTokens {
    verifier: Arc<JwtVerifier>,
    seen: Cache<String, ()>,
}

/// What a logout token says. Names that stand twice are an error.
#[derive(Debug, Deserialize)]
struct Claims {
    iat: f64,
    jti: String,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    sid: Option<String>,
    events: HashMap<String, serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    nonce: Option<IgnoredAny>,
}

/// Whom a logout token means.
#[derive(Debug, PartialEq, Eq)]
pub struct Meant {
    /// The token's own id.
    pub id: String,
    /// Whose sessions; with `session` there too, that one of theirs.
    pub subject: Option<String>,
    /// The provider's name for the session.
    pub session: Option<String>,
    /// When it was made. Time since the Unix epoch.
    pub made: Duration,
}

impl LogoutTokens {
    /// Begins to read the issuer's keys. Must be called within a runtime.
    ///
    /// # Errors
    /// [`FetchError`] when no TLS can be set up.
    pub fn start(channel: &BackChannel) -> Result<Self, FetchError> {
        let keys = JwtKeys::Url {
            url: channel.jwks_url.clone(),
            ca: channel.jwks_ca.clone(),
        };
        Self::with_keys(channel, keys)
    }

    fn with_keys(channel: &BackChannel, keys: JwtKeys) -> Result<Self, FetchError> {
        let issuer = JwtIssuer {
            issuer: channel.issuer.clone(),
            audiences: vec![channel.client_id.clone()],
            algorithms: vec![
                JwtAlgorithm::Rs256,
                JwtAlgorithm::Rs384,
                JwtAlgorithm::Rs512,
                JwtAlgorithm::Ps256,
                JwtAlgorithm::Ps384,
                JwtAlgorithm::Ps512,
                JwtAlgorithm::Es256,
                JwtAlgorithm::Es384,
                JwtAlgorithm::EdDsa,
            ],
            keys,
            refresh: REFRESH,
        };
        let verifier = JwtVerifier::start(&Jwt {
            client_authentication: None,
            issuers: vec![issuer],
            clock_skew: SKEW,
        })?;
        Ok(Self {
            verifier,
            seen: Cache::builder()
                .max_capacity(MAX_IDS)
                .time_to_live(MAX_AGE + 2 * SKEW)
                .build(),
        })
    }

    async fn believe(&self, token: &str, now: Now) -> Result<Meant, Refusal> {
        let refused = |why: &str| Refusal::new(Reason::OidcLogoutTokenRefused).because(why);
        let payload = match self
            .verifier
            .verify_typed(token.as_bytes(), is_logout, now)
            .await
        {
            Ok(payload) => payload,
            Err(Unverified::Refused(why)) => return Err(refused(why)),
            Err(Unverified::Keys { issuer }) => {
                let mut refusal = Refusal::new(Reason::OidcLogoutTokenRefused)
                    .because(format!("the keys of {issuer} could not be read"));
                refusal.passing = true;
                return Err(refusal);
            }
        };
        let meant = read(&payload, now).map_err(refused)?;
        let fresh = self.seen.entry_by_ref(&meant.id).or_insert(()).is_fresh();
        if !fresh {
            return Err(refused("used before"));
        }
        Ok(meant)
    }
}

/// §2.4: `logout+jwt` is recommended; `JWT` and nothing are tolerated, because the event tells what it is.
fn is_logout(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    matches!(kind, "logout+jwt" | "jwt")
}

/// Whom the payload of a verified token means (§2.6, but for what every JWT is checked for).
///
/// # Errors
/// Why it is no logout token that counts, for the log.
pub fn read(payload: &[u8], now: Now) -> Result<Meant, &'static str> {
    let claims = std::str::from_utf8(payload).ok();
    let claims: Option<Claims> = claims.and_then(|text| serde_json::from_str(text).ok());
    meant(claims.ok_or("not the claims of a logout token")?, now)
}

fn meant(claims: Claims, now: Now) -> Result<Meant, &'static str> {
    if claims.nonce.is_some() {
        return Err("it has a nonce: an ID token in disguise");
    }
    if !claims.events.contains_key(EVENT) {
        return Err("it does not tell of a logout");
    }
    if claims.jti.is_empty() || claims.jti.len() > MAX_TEXT {
        return Err("its id is empty or too long");
    }
    let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > MAX_TEXT);
    if long(&claims.sub) || long(&claims.sid) {
        return Err("whom it means is too long");
    }
    if claims.sub.is_none() && claims.sid.is_none() {
        return Err("it means nobody");
    }
    let made = Duration::try_from_secs_f64(claims.iat).map_err(|_| "its time makes no sense")?;
    if made.saturating_add(MAX_AGE + SKEW) < now.unix {
        return Err("too old");
    }
    Ok(Meant {
        id: claims.jti,
        subject: claims.sub,
        session: claims.sid,
        made,
    })
}

/// `POST oidc/<provider>/backchannel`: no browser is there, so the answer is as §2.8 has it.
pub async fn answer(visit: &Visit<'_>, provider: &Provider, body: Body) -> Response {
    match ended(visit, provider, body).await {
        Ok(ended) => {
            logout::note_provider_logout(visit, &provider.name, Way::BackChannel, ended);
            empty(StatusCode::OK)
        }
        Err(refusal) => {
            super::outcome::note(visit, &refusal, Some(provider));
            let status = if refusal.passing {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::BAD_REQUEST
            };
            let told = json!({
                "error": "invalid_request",
                "error_description": refusal.reason.label(),
            });
            reply(status, &told)
        }
    }
}

async fn ended(visit: &Visit<'_>, provider: &Provider, body: Body) -> Result<u64, Refusal> {
    visit.check_method(&[Method::POST])?;
    let reason = Reason::OidcLogoutTokenRefused;
    let mut providers = visit.site.sso.providers.iter();
    let position = providers.position(|it| it.name == provider.name);
    let tokens = position.and_then(|at| visit.site.logout_tokens.get(at)?.as_ref());
    let Some(tokens) = tokens else {
        return Err(Refusal::new(reason).because("this provider has no back_channel_logout"));
    };
    let form = Form::posted(visit.headers(), body, MAX_FORM).await?;
    let token = form
        .once("logout_token", reason)?
        .ok_or_else(|| Refusal::new(reason).because("there is no logout_token"))?;
    let meant = tokens.believe(token, visit.now).await?;
    // A login of the same second is not meant; one a skew ahead may be.
    let before = meant.made.saturating_add(SKEW);
    let whose = Whose::of_subject(
        &provider.name,
        meant.subject.as_deref(),
        meant.session.as_deref(),
        before.min(visit.now.unix + Duration::from_millis(1)),
    );
    let Some(whose) = whose else {
        return Err(Refusal::new(reason).because("it means nobody"));
    };
    let sessions = &visit.site.sessions;
    Ok(sessions
        .end_all(&whose, EndReason::AtProvider, visit.now)
        .await?)
}

#[cfg(test)]
mod tests;
