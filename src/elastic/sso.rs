//! Single sign-on at the authority: `saml/*`, `oidc/*`, `profile/_activate` and the tokens of sessions.
//!
//! Always true: everything is asked with Sidegate's own credential; a 401 is blamed on the login only when that credential is
//! known to be good; what an authority says about a denial is kept for the log, bounded, and never holds what was sent; a
//! place to go to is an absolute `http` or `https` URL of sane length, or it is garbage.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::{Answer, Client};
use super::error::AskError;
use super::metrics::Api;
use crate::model::secret::Secret;
use crate::wire::error::ErrorEnvelope;
use crate::wire::sso::{
    ActivatedProfile, LoginResponse, LogoutResponse, OidcPrepareResponse, SamlInvalidateResponse,
    SamlMetadataResponse, SamlPrepareResponse,
};

/// Characters kept of what an authority says about a denial.
const MAX_REASON: usize = 500;
/// Longest place to go to, in bytes: a signed request in a query is some kilobytes.
const MAX_REDIRECT: usize = 32 * 1024;
/// Metadata with which Elasticsearch marks a response to a request that was not among those named.
const UNSOLICITED: &str = "security.saml.unsolicited_in_response_to";

/// A SAML login that was begun.
#[derive(Clone, Debug)]
pub struct SamlRequest {
    /// Its `ID`.
    pub id: String,
    /// Where the browser goes.
    pub redirect: String,
}

/// An OpenID Connect login that was begun.
#[derive(Clone, Debug)]
pub struct OidcRequest {
    /// The realm that began it.
    pub realm: String,
    /// Where the browser goes.
    pub redirect: String,
    /// What the provider gives back.
    pub state: Secret,
    /// What the ID token must hold.
    pub nonce: Secret,
}

/// Which OpenID Connect realm begins a login.
#[derive(Clone, Copy, Debug)]
pub enum OidcRealm<'a> {
    /// The one of this name.
    Named(&'a str),
    /// The one of this issuer (OpenID Connect Core §4).
    OfIssuer {
        /// `iss`.
        issuer: &'a str,
        /// Who is probably about to log in.
        login_hint: Option<&'a str>,
    },
}

/// What a login through a realm came to.
#[derive(Clone, Debug)]
pub struct SsoLogin {
    /// The access token.
    pub access: Secret,
    /// The refresh token.
    pub refresh: Option<Secret>,
    /// How long the access token lives from now.
    pub life: Duration,
    /// The SAML request that was answered, where the authority tells.
    pub in_response_to: Option<String>,
}

/// A logout that goes on at the identity provider.
#[derive(Clone, Debug)]
pub struct SamlLogout {
    /// `ID` of the request, where the authority tells it.
    pub id: Option<String>,
    /// Where the browser goes; `None`: nowhere.
    pub redirect: Option<String>,
}

/// What came of an identity provider's logout message.
#[derive(Clone, Debug)]
pub struct SamlInvalidated {
    /// Tokens invalidated.
    pub invalidated: u64,
    /// Where the browser takes the answer.
    pub redirect: Option<String>,
}

/// A message of a SAML logout as the browser brought it.
#[derive(Clone, Copy, Debug)]
pub enum SamlMessage<'a> {
    /// By redirect: the raw query, signature included.
    Query(&'a str),
    /// By POST: base64 of the XML.
    Content(&'a str),
}

/// Why there is no login, or no logout.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SsoError {
    /// The authority is in trouble, or doesn't accept Sidegate's own credential.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The authority does not accept what the identity provider or the client sent.
    #[error("{node} refuses it: {reason}")]
    Refused {
        /// Who said so.
        node: Arc<str>,
        /// What it said.
        reason: String,
        /// Whether a response answered a request that was not among those named: the login was begun, and its trace lost.
        unsolicited: bool,
    },
    /// Sidegate lacks a privilege, there is no such realm, or the authority does not do this at all.
    #[error("{node} denies it: {reason}")]
    Denied {
        /// Who said so.
        node: Arc<str>,
        /// Its status.
        status: u16,
        /// What it said.
        reason: String,
    },
}

impl SsoError {
    /// True when the authority could not be asked, so that nothing is known.
    pub const fn is_trouble(&self) -> bool {
        matches!(self, Self::Ask(_))
    }
}

impl Client {
    /// Begins a SAML login at a realm (`POST /_security/saml/prepare`; needs `manage_saml`). `relay_state` comes back with the
    /// response.
    ///
    /// # Errors
    /// [`SsoError::Denied`] when there is no such realm.
    pub async fn saml_prepare(
        &self,
        realm: &str,
        relay_state: Option<&str>,
    ) -> Result<SamlRequest, SsoError> {
        let path = "/_security/saml/prepare";
        let mut body = json!({"realm": realm});
        if let Some(relay_state) = relay_state {
            body["relay_state"] = relay_state.into();
        }
        let answer = self.sso_post(Api::SamlPrepare, path, &body).await?;
        let told: SamlPrepareResponse = answer.parse()?;
        Ok(SamlRequest {
            redirect: place(&answer, told.redirect)?,
            id: told.id,
        })
    }

    /// Ends a SAML login with what the identity provider sent, base64 as it came (`POST /_security/saml/authenticate`). `ids`
    /// are the requests that may be answered; none: only a login that the identity provider began.
    ///
    /// # Errors
    /// [`SsoError::Refused`] when the response is not accepted.
    pub async fn saml_authenticate(
        &self,
        realm: &str,
        content: &str,
        ids: &[&str],
    ) -> Result<SsoLogin, SsoError> {
        let path = "/_security/saml/authenticate";
        let body = json!({"realm": realm, "content": content, "ids": ids});
        let answer = self.sso_post(Api::SamlAuthenticate, path, &body).await?;
        login(&answer)
    }

    /// Ends a session of a SAML realm, tokens included (`POST /_security/saml/logout`).
    ///
    /// # Errors
    /// [`SsoError`]; a token that is not known any more is [`SsoError::Refused`].
    pub async fn saml_logout(
        &self,
        access: &Secret,
        refresh: Option<&Secret>,
    ) -> Result<SamlLogout, SsoError> {
        let path = "/_security/saml/logout";
        let answer = self
            .sso_post(Api::SamlLogout, path, &tokens(access, refresh))
            .await?;
        let told: LogoutResponse = answer.parse()?;
        Ok(SamlLogout {
            redirect: told_place(&answer, told.redirect)?,
            id: told.id,
        })
    }

    /// Ends what a logout request of the identity provider names (`POST /_security/saml/invalidate`); `query` is raw, without
    /// the question mark.
    ///
    /// # Errors
    /// [`SsoError::Refused`] when the message is not accepted.
    pub async fn saml_invalidate(
        &self,
        realm: &str,
        query: &str,
    ) -> Result<SamlInvalidated, SsoError> {
        let path = "/_security/saml/invalidate";
        let body = json!({"realm": realm, "query_string": query});
        let answer = self.sso_post(Api::SamlInvalidate, path, &body).await?;
        let told: SamlInvalidateResponse = answer.parse()?;
        Ok(SamlInvalidated {
            invalidated: told.invalidated,
            redirect: told_place(&answer, told.redirect)?,
        })
    }

    /// Verifies the identity provider's answer to a logout request (`POST /_security/saml/complete_logout`).
    ///
    /// # Errors
    /// [`SsoError::Refused`] when it is not accepted.
    pub async fn saml_complete_logout(
        &self,
        realm: &str,
        ids: &[&str],
        message: SamlMessage<'_>,
    ) -> Result<(), SsoError> {
        let path = "/_security/saml/complete_logout";
        let mut body = json!({"realm": realm, "ids": ids});
        match message {
            SamlMessage::Query(query) => body["query_string"] = query.into(),
            SamlMessage::Content(content) => body["content"] = content.into(),
        }
        self.sso_post(Api::SamlCompleteLogout, path, &body)
            .await
            .map(|_| ())
    }

    /// The metadata that a SAML realm has for identity providers, XML (`GET /_security/saml/metadata/{realm}`).
    ///
    /// # Errors
    /// [`SsoError::Denied`] when there is no such realm.
    pub async fn saml_metadata(&self, realm: &str) -> Result<String, SsoError> {
        let realm = form_urlencoded::byte_serialize(realm.as_bytes())
            .collect::<String>()
            .replace('+', "%20");
        let path = format!("/_security/saml/metadata/{realm}");
        let answer = self
            .sso_ask(Api::SamlMetadata, (Method::GET, &path), None)
            .await?;
        let told: SamlMetadataResponse = answer.parse()?;
        Ok(told.metadata)
    }

    /// Begins an OpenID Connect login with a state and a nonce of ours (`POST /_security/oidc/prepare`; needs `manage_oidc`).
    ///
    /// # Errors
    /// [`SsoError::Denied`] when there is no such realm.
    pub async fn oidc_prepare(
        &self,
        realm: OidcRealm<'_>,
        state: &Secret,
        nonce: &Secret,
    ) -> Result<OidcRequest, SsoError> {
        let mut body = match realm {
            OidcRealm::Named(name) => json!({"realm": name}),
            OidcRealm::OfIssuer { issuer, login_hint } => {
                let mut body = json!({"iss": issuer});
                if let Some(hint) = login_hint {
                    body["login_hint"] = hint.into();
                }
                body
            }
        };
        body["state"] = state.expose_str().unwrap_or_default().into();
        body["nonce"] = nonce.expose_str().unwrap_or_default().into();
        let path = "/_security/oidc/prepare";
        let answer = self.sso_post(Api::OidcPrepare, path, &body).await?;
        let told: OidcPrepareResponse = answer.parse()?;
        Ok(OidcRequest {
            realm: told.realm,
            redirect: place(&answer, told.redirect)?,
            state: told.state.into(),
            nonce: told.nonce.into(),
        })
    }

    /// Ends an OpenID Connect login with the callback as it was received (`POST /_security/oidc/authenticate`).
    ///
    /// # Errors
    /// [`SsoError::Refused`] when it is not accepted.
    pub async fn oidc_authenticate(
        &self,
        realm: &str,
        redirect_uri: &str,
        state: &Secret,
        nonce: &Secret,
    ) -> Result<SsoLogin, SsoError> {
        let body = json!({
            "realm": realm,
            "redirect_uri": redirect_uri,
            "state": state.expose_str().unwrap_or_default(),
            "nonce": nonce.expose_str().unwrap_or_default(),
        });
        let path = "/_security/oidc/authenticate";
        let answer = self.sso_post(Api::OidcAuthenticate, path, &body).await?;
        login(&answer)
    }

    /// Ends a session of an OpenID Connect realm, tokens included (`POST /_security/oidc/logout`). Returns where the browser goes
    /// to end it at the provider, if anywhere.
    ///
    /// # Errors
    /// [`SsoError`]; a token that is not known any more is [`SsoError::Refused`].
    pub async fn oidc_logout(
        &self,
        access: &Secret,
        refresh: Option<&Secret>,
    ) -> Result<Option<String>, SsoError> {
        let path = "/_security/oidc/logout";
        let answer = self
            .sso_post(Api::OidcLogout, path, &tokens(access, refresh))
            .await?;
        told_place(&answer, answer.parse::<LogoutResponse>()?.redirect)
    }

    /// Makes or renews the profile of whoever an access token stands for (`POST /_security/profile/_activate`; needs
    /// `manage_user_profile`). Returns its id.
    ///
    /// # Errors
    /// [`SsoError`]; a login goes on without a profile.
    pub async fn activate_profile(&self, access: &Secret) -> Result<String, SsoError> {
        let body = json!({
            "grant_type": "access_token",
            "access_token": access.expose_str().unwrap_or_default(),
        });
        let path = "/_security/profile/_activate";
        let answer = self.sso_post(Api::ActivateProfile, path, &body).await?;
        Ok(answer.parse::<ActivatedProfile>()?.uid)
    }

    async fn sso_post(&self, api: Api, path: &str, body: &Value) -> Result<Answer, SsoError> {
        let bytes = Zeroizing::new(serde_json::to_vec(body).unwrap_or_default());
        let body = Bytes::copy_from_slice(&bytes);
        self.sso_ask(api, (Method::POST, path), Some(body)).await
    }

    async fn sso_ask(
        &self,
        api: Api,
        target: (Method, &str),
        body: Option<Bytes>,
    ) -> Result<Answer, SsoError> {
        let own = self.own()?;
        let answer = self
            .ask_judging(api, target, Some(&own), body, worth_reading)
            .await?;
        if answer.status == StatusCode::OK {
            return Ok(answer);
        }
        let told = Told::of(&answer);
        let node = Arc::clone(&answer.node);
        match answer.status {
            // With a good credential of ours, it is about what was sent.
            StatusCode::UNAUTHORIZED => match self.own_privileges(&[]).await {
                Ok(_) => Err(SsoError::Refused {
                    node,
                    reason: told.reason,
                    unsolicited: told.unsolicited,
                }),
                Err(error) => Err(error.into()),
            },
            status => Err(SsoError::Denied {
                node,
                status: status.as_u16(),
                reason: told.reason,
            }),
        }
    }
}

/// Lets through what Elasticsearch itself says about an answer that is no success: it tells more than its status.
fn worth_reading(answer: Answer) -> Result<Answer, AskError> {
    let tells = matches!(answer.status.as_u16(), 400 | 401 | 403 | 404 | 405 | 500);
    if tells && serde_json::from_slice::<ErrorEnvelope>(&answer.bytes).is_ok() {
        return Ok(answer);
    }
    answer.judged()
}

/// What an error says.
struct Told {
    reason: String,
    unsolicited: bool,
}

impl Told {
    fn of(answer: &Answer) -> Self {
        let Ok(envelope) = serde_json::from_slice::<ErrorEnvelope>(&answer.bytes) else {
            return Self {
                reason: format!("status {}", answer.status.as_u16()),
                unsolicited: false,
            };
        };
        let ErrorEnvelope { error, .. } = envelope;
        let mut causes = std::iter::once(&error.cause).chain(&error.root_cause);
        let unsolicited = causes.any(|cause| cause.more.contains_key(UNSOLICITED));
        let reason = error.cause.reason.unwrap_or_default();
        Self {
            reason: reason.chars().take(MAX_REASON).collect(),
            unsolicited,
        }
    }
}

fn login(answer: &Answer) -> Result<SsoLogin, SsoError> {
    let told: LoginResponse = answer.parse()?;
    let good = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !good(&told.access_token) || told.expires_in == 0 {
        return Err(answer.garbage("it holds no usable token").into());
    }
    Ok(SsoLogin {
        access: told.access_token.into(),
        refresh: told.refresh_token.map(Secret::from),
        life: Duration::from_secs(told.expires_in),
        in_response_to: told.in_response_to,
    })
}

fn tokens(access: &Secret, refresh: Option<&Secret>) -> Value {
    let mut body = json!({"token": access.expose_str().unwrap_or_default()});
    if let Some(refresh) = refresh.and_then(Secret::expose_str) {
        body["refresh_token"] = refresh.into();
    }
    body
}

fn told_place(answer: &Answer, redirect: Option<String>) -> Result<Option<String>, SsoError> {
    match redirect.filter(|redirect| !redirect.is_empty()) {
        Some(redirect) => place(answer, redirect).map(Some),
        None => Ok(None),
    }
}

/// It will stand in `Location`, so nothing but a URL may be in it.
fn place(answer: &Answer, redirect: String) -> Result<String, SsoError> {
    let absolute = redirect.starts_with("https://") || redirect.starts_with("http://");
    let plain = redirect.bytes().all(|byte| byte.is_ascii_graphic());
    if absolute && plain && redirect.len() <= MAX_REDIRECT {
        return Ok(redirect);
    }
    Err(answer.garbage("the place to go to is no plain URL").into())
}

#[cfg(test)]
mod tests;
