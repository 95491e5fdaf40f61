//! Asks that turn what a client showed into a token of the authority; asked with Sidegate's own credential.
//!
//! Always true: a 401 here refuses the client only when Sidegate's own credential is known to be good; a 403 is always
//! Sidegate's own, and the log names the privilege it lacks.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::json;
use zeroize::Zeroizing;

use super::client::{Answer, Client, own_fault};
use super::error::AskError;
use super::metrics::Api;
use crate::model::certificate::CertificateChain;
use crate::model::secret::Secret;
use crate::wire::grants::{TokenError, TokenResponse};

/// A token of the authority that stands for somebody.
#[derive(Clone, Debug)]
pub struct TokenGrant {
    /// The access token.
    pub access_token: Secret,
    /// How long it lives from now.
    pub expires_in: Duration,
    /// What a new pair is made of, once. A certificate brings none.
    pub refresh_token: Option<Secret>,
}

/// What came of a Kerberos ticket.
#[derive(Clone, Debug)]
pub enum Negotiation {
    /// A token; `reply` (base64) tells the client whom it spoke to.
    Granted {
        /// The token.
        grant: TokenGrant,
        /// base64, for `WWW-Authenticate: Negotiate`.
        reply: Option<String>,
        /// Whose ticket it was: user name and realm.
        owner: (String, String),
    },
    /// The client must answer `reply` (base64) first.
    Unfinished {
        /// base64, for `WWW-Authenticate: Negotiate`.
        reply: String,
    },
}

impl Client {
    /// A token for the owner of a verified certificate (`POST /_security/delegate_pki`; needs the privilege `delegate_pki`).
    ///
    /// # Errors
    /// [`AskError::Refused`] when no PKI realm accepts the chain; [`AskError::OwnCredential`] when Sidegate may not ask.
    pub async fn delegate_pki(&self, chain: &CertificateChain) -> Result<TokenGrant, AskError> {
        let encoded: Vec<String> = chain.der().map(|der| STANDARD.encode(der)).collect();
        let body = json!({"x509_certificate_chain": encoded}).to_string();
        let own = self.own()?;
        let target = (Method::POST, "/_security/delegate_pki");
        let asked = self
            .ask_judging(
                Api::DelegatePki,
                target,
                Some(&own),
                Some(body.into()),
                |answer| answer.judged(),
            )
            .await;
        let answer = self.excused(asked, "delegate_pki").await?;
        grant(&answer, &answer.parse()?)
    }

    /// A token for the owner of a Kerberos ticket, base64 as the client sent it (`POST /_security/oauth2/token` with grant type
    /// `_kerberos`; needs the privilege `manage_token`).
    ///
    /// # Errors
    /// [`AskError::Refused`] when no Kerberos realm accepts the ticket; [`AskError::OwnCredential`] when Sidegate may not ask.
    pub async fn negotiate(&self, ticket: &Secret) -> Result<Negotiation, AskError> {
        let text = ticket.expose_str().unwrap_or_default();
        let body =
            Zeroizing::new(json!({"grant_type": "_kerberos", "kerberos_ticket": text}).to_string());
        let own = self.own()?;
        let target = (Method::POST, "/_security/oauth2/token");
        let body = Some(body.as_bytes().to_vec().into());
        let asked = self
            .ask_judging(
                Api::Token,
                target,
                Some(&own),
                body,
                |answer| match unfinished(&answer) {
                    Some(_) => Ok(answer),
                    None => answer.judged(),
                },
            )
            .await;
        let answer = self.excused(asked, "manage_token").await?;
        if let Some(reply) = unfinished(&answer) {
            return Ok(Negotiation::Unfinished { reply });
        }
        let told: TokenResponse = answer.parse()?;
        let Some(whose) = &told.authentication else {
            return Err(answer.garbage("it does not tell whose token it is"));
        };
        let realm = whose.authentication_realm.name.clone();
        let owner = (whose.username.clone(), realm);
        Ok(Negotiation::Granted {
            owner,
            grant: grant(&answer, &told)?,
            reply: told
                .kerberos_authentication_response_token
                .filter(|reply| is_base64(reply)),
        })
    }

    /// Finds out whose fault a refusal is: with a good credential of Sidegate's own, it is the client's.
    async fn excused(
        &self,
        asked: Result<Answer, AskError>,
        privilege: &'static str,
    ) -> Result<Answer, AskError> {
        match asked {
            Err(refused @ AskError::Refused { .. }) => match self.own_privileges(&[]).await {
                Ok(_) => Err(refused),
                Err(error) => Err(error),
            },
            Err(error @ AskError::Status { status: 403, .. }) => {
                tracing::warn!(
                    target: "sidegate::elastic",
                    node = error.node(), privilege,
                    "own credential lacks a cluster privilege"
                );
                Err(own_fault(error))
            }
            other => other,
        }
    }
}

fn grant(answer: &Answer, told: &TokenResponse) -> Result<TokenGrant, AskError> {
    let token = told.access_token.as_bytes();
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) || told.expires_in == 0 {
        return Err(answer.garbage("it holds no usable token"));
    }
    Ok(TokenGrant {
        access_token: Secret::new(token),
        expires_in: Duration::from_secs(told.expires_in),
        refresh_token: told.refresh_token.as_deref().map(Secret::from),
    })
}

/// The token the client is to answer, when the negotiation goes on.
fn unfinished(answer: &Answer) -> Option<String> {
    if !matches!(
        answer.status,
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED
    ) || !answer.names_product()
    {
        return None;
    }
    let error: TokenError = answer.parse().ok()?;
    error
        .error_description
        .filter(|reply| error.error == "_unauthorized" && is_base64(reply))
}

/// It will stand in a header, so nothing else may be in it.
fn is_base64(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 * 1024 && STANDARD.decode(text).is_ok()
}
