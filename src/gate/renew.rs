//! New tokens for a session, made once however many requests and replicas want them.
//!
//! Always true: a refresh token works once, and Elasticsearch answers its use again with the same pair for 30 seconds only; so
//! there is one renewal per session in a process, it reads the store before and, when it was refused, after; trouble at the
//! authority or the store ends no session. It runs detached: a browser that leaves hurts nobody.

use std::sync::Arc;
use std::time::Duration;

use super::authenticate::{Authenticator, RETRY_AFTER, trouble};
use super::browser::{Browser, Freshness, freshness};
use super::refusal::Refusal;
use crate::elastic::exchanges::ExchangeError;
use crate::model::certificate::CertificateChain;
use crate::model::clock::Now;
use crate::session::ended::EndReason;
use crate::session::live::Live;
use crate::session::metrics::Renewal;
use crate::session::record::{Kind, Session, Tokens};
use crate::session::trouble::StoreTrouble;

/// How long another replica gets to write down what it renewed, when the authority says that the refresh token was used.
const OTHERS_TURN: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// What a renewal came to. Cloned to everybody who waited.
#[derive(Clone, Debug)]
pub(super) enum Renewed {
    /// The session as it is now.
    Session(Arc<Session>),
    /// It is over.
    Ended(EndReason),
    /// Nobody can tell.
    Trouble(Refusal),
}

/// What there is to make tokens of.
pub(super) struct Renewing {
    pub(super) live: Arc<Live>,
    /// The record whose tokens end, or were refused.
    pub(super) from: Arc<Session>,
    /// The certificate of the request, for sessions that were made with one.
    pub(super) chain: Option<Arc<CertificateChain>>,
}

impl Authenticator {
    /// Joins the renewal of a session, or begins it. The outcome is the same for everybody who waits.
    pub(super) async fn renewed(
        self: &Arc<Self>,
        browser: &Arc<Browser>,
        renewing: Renewing,
        now: Now,
    ) -> Renewed {
        let ticket = self.begin_renewal(browser, renewing, now);
        let Some(ticket) = ticket else {
            return Renewed::Trouble(super::authenticate::unavailable("overloaded"));
        };
        match ticket.wait().await {
            Some(renewed) => renewed,
            None => Renewed::Trouble(Refusal::Internal("a renewing task died")),
        }
    }

    /// The same without waiting for it; `None` when too many are under way.
    pub(super) fn begin_renewal(
        self: &Arc<Self>,
        browser: &Arc<Browser>,
        renewing: Renewing,
        now: Now,
    ) -> Option<super::flight::Ticket<Renewed>> {
        let (id, generation) = (renewing.from.id, renewing.from.generation);
        browser.renewals.join(&id, generation, || {
            let (this, browser) = (Arc::clone(self), Arc::clone(browser));
            async move { this.renew(&browser, &renewing, now).await }
        })
    }

    async fn renew(&self, browser: &Browser, renewing: &Renewing, now: Now) -> Renewed {
        let Renewing { live, from, .. } = renewing;
        let metrics = browser.sessions.metrics();
        match self.look_again(browser, renewing, now).await {
            Ok(Some(found)) => return found,
            Ok(None) => {}
            Err(trouble) => return store_trouble(trouble),
        }
        match self.new_tokens(renewing).await {
            Ok(tokens) => {
                metrics.renewed(Renewal::Renewed);
                match browser.sessions.replace_tokens(live, from, tokens).await {
                    Ok(session) => settled(live, session),
                    Err(trouble) => store_trouble(trouble),
                }
            }
            Err(Unrenewed::Refused(why)) => {
                // Another replica may have been faster, and be about to write it down.
                for pause in OTHERS_TURN {
                    if let Ok(Some(found)) = self.look_again(browser, renewing, now).await {
                        return found;
                    }
                    if !browser.sessions.is_shared() {
                        break;
                    }
                    tokio::time::sleep(pause).await;
                }
                if let Ok(Some(found)) = self.look_again(browser, renewing, now).await {
                    return found;
                }
                metrics.renewed(Renewal::Refused);
                tracing::info!(
                    target: "sidegate::gate",
                    session = ?from.id, username = ?from.username, %why, "tokens of a session could not be renewed"
                );
                browser.end(from, EndReason::Refused, now).await;
                Renewed::Ended(live.ended().unwrap_or(EndReason::Refused))
            }
            Err(Unrenewed::Trouble(refusal)) => {
                metrics.renewed(Renewal::Trouble);
                Renewed::Trouble(refusal)
            }
        }
    }

    /// Looks whether somebody else renewed or ended the session.
    async fn look_again(
        &self,
        browser: &Browser,
        renewing: &Renewing,
        now: Now,
    ) -> Result<Option<Renewed>, StoreTrouble> {
        let Renewing { live, from, .. } = renewing;
        browser.sessions.read_again(live, now).await?;
        if let Some(reason) = live.ended() {
            return Ok(Some(Renewed::Ended(reason)));
        }
        let session = live.session();
        if session.generation > from.generation
            && session.tokens != from.tokens
            && freshness(&session, self.clock.now()) != Freshness::Over
        {
            browser.sessions.metrics().renewed(Renewal::Found);
            return Ok(Some(Renewed::Session(session)));
        }
        Ok(None)
    }

    /// Tokens of a refresh token or, for a session that began with a certificate, of the certificate.
    async fn new_tokens(&self, renewing: &Renewing) -> Result<Tokens, Unrenewed> {
        // The record there is now: a refused access token may belong to an older one.
        let session = renewing.live.session();
        let asked = self.clock.now();
        let refresh = session.tokens.as_ref().and_then(|it| it.refresh.as_ref());
        if let Some(refresh) = refresh {
            let tokens = self.client.refreshed_token(refresh).await?;
            return Ok(Tokens::new(
                tokens.access,
                tokens.refresh,
                tokens.life,
                asked,
            ));
        }
        match (session.kind, &renewing.chain) {
            (Kind::Pki, Some(chain)) if asked.unix < chain.not_after() => {
                let grant = self.client.delegate_pki(chain).await?;
                Ok(Tokens::new(
                    grant.access_token,
                    None,
                    grant.expires_in,
                    asked,
                ))
            }
            _ => Err(Unrenewed::Refused(
                "there is nothing to renew them with".into(),
            )),
        }
    }
}

/// Why there are no new tokens.
enum Unrenewed {
    /// The session is worth nothing any more.
    Refused(String),
    /// Nobody can tell.
    Trouble(Refusal),
}

impl From<ExchangeError> for Unrenewed {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::InvalidGrant { .. } | ExchangeError::Refused { .. } => {
                Self::Refused(error.to_string())
            }
            ExchangeError::Ask(error) => error.into(),
            ExchangeError::Denied { .. } | ExchangeError::Unfit => {
                tracing::warn!(target: "sidegate::gate", %error, "tokens of a session could not be renewed");
                Self::Trouble(super::authenticate::unavailable("own_credential"))
            }
        }
    }
}

impl From<crate::elastic::error::AskError> for Unrenewed {
    fn from(error: crate::elastic::error::AskError) -> Self {
        if error.is_refusal() {
            return Self::Refused(error.to_string());
        }
        tracing::warn!(
            target: "sidegate::gate",
            node = error.node(), cause = error.cause(), error = error.in_full(),
            "tokens of a session could not be renewed"
        );
        Self::Trouble(trouble(&error))
    }
}

fn settled(live: &Live, session: Arc<Session>) -> Renewed {
    match live.ended() {
        Some(reason) => Renewed::Ended(reason),
        None => Renewed::Session(session),
    }
}

fn store_trouble(trouble: StoreTrouble) -> Renewed {
    Renewed::Trouble(Refusal::SessionStore {
        cause: trouble.cause,
        retry_after: RETRY_AFTER,
    })
}
