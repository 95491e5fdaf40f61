//! A Kerberos ticket's way to a decision.
//!
//! Always true: every ticket is judged by the authority, once, and none is remembered; what its owner is and may do is
//! remembered by owner. A client that keeps cookies gets one that stands for the token the ticket brought: 256 random bits that
//! mean nothing anywhere else, good no longer than the token, gone with any purge. Nothing is tied to a connection, which a
//! proxy in between may share among people.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::elastic::delegate::{Negotiation, TokenGrant};
use crate::elastic::error::AskError;
use crate::model::clock::{self, Now};
use crate::model::credential::{Credential, Scheme};
use crate::model::secret::Secret;
use crate::net::http::Peer;

use super::authenticate::{Authenticator, Known, Learnt, refused, result_of, trouble, unavailable};
use super::cache::{CacheResult, Found};
use super::claim::{Claim, Proof};
use super::extract::elsewhere::KERBEROS_COOKIE;
use super::extract::presented::Presented;
use super::refusal::Refusal;
use super::trace::Steps;

/// What a ticket came to.
#[derive(Debug)]
pub(super) struct Negotiated {
    /// What its owner can be asked about with.
    pub(super) claim: Claim,
    /// Lines for the response, whatever it is.
    pub(super) lines: Vec<(HeaderName, HeaderValue)>,
}

impl Authenticator {
    /// Finds out who presented a ticket.
    pub(super) async fn negotiate(
        self: &Arc<Self>,
        presented: &Presented<'_>,
        ticket: &[u8],
        peer: &Peer,
        now: Now,
        steps: &mut Steps,
    ) -> Result<Known, Refusal> {
        let outcome = self.exchange_ticket(presented, ticket, peer, now, steps);
        match outcome.await {
            Ok(known) => Ok(known),
            Err(refusal) => {
                self.metrics
                    .authenticated(Scheme::Kerberos, result_of(&refusal));
                Err(refusal)
            }
        }
    }

    async fn exchange_ticket(
        self: &Arc<Self>,
        presented: &Presented<'_>,
        ticket: &[u8],
        peer: &Peer,
        now: Now,
        steps: &mut Steps,
    ) -> Result<Known, Refusal> {
        self.may_try(peer, None, now)?;
        let Ok(_place) = self.exchanges.negotiations.try_acquire() else {
            return Err(unavailable("overloaded"));
        };
        let stamp = self.cache.stamp();
        match self.client.negotiate(&Secret::new(ticket)).await {
            Ok(Negotiation::Unfinished { reply }) => Err(Refusal::NegotiationUnfinished { reply }),
            Ok(Negotiation::Granted {
                grant,
                reply,
                owner,
            }) => {
                let claim = Claim {
                    scheme: Scheme::Kerberos,
                    proof: Proof::Direct(Credential::Bearer(grant.access_token.clone())),
                    run_as: presented.run_as().map(str::to_owned),
                };
                let known = match self.owner(&claim, &owner, stamp, now, steps).await {
                    Ok(known) => known,
                    Err(refusal) => {
                        self.exchanges.tickets.pass_by(&grant);
                        return Err(refusal);
                    }
                };
                let mut lines = Vec::new();
                lines.extend(reply.and_then(|reply| mutual(&reply)));
                lines.extend(self.cookie(grant, stamp, now));
                Ok(Known {
                    negotiated: Some(Box::new(Negotiated { claim, lines })),
                    ..known
                })
            }
            Err(error) => Err(self.lost(&error, peer, now)),
        }
    }

    /// What is known of a ticket's owner, asked for if need be.
    async fn owner(
        self: &Arc<Self>,
        claim: &Claim,
        (username, realm): &(String, String),
        stamp: u64,
        now: Now,
        steps: &mut Steps,
    ) -> Result<Known, Refusal> {
        let run_as = claim.run_as.as_deref().unwrap_or_default();
        let fingerprint = self.key.fingerprint(&[
            b"kerberos owner",
            username.as_bytes(),
            realm.as_bytes(),
            run_as.as_bytes(),
        ]);
        if let Found::Live(entry) = self.cache.find(&fingerprint, now) {
            return Ok(self.known(fingerprint, entry, claim.scheme, CacheResult::Hit, steps));
        }
        let learning = Arc::clone(self).learn(fingerprint, claim.clone(), stamp, now);
        match Box::pin(learning).await {
            Learnt::Known(entry) => {
                Ok(self.known(fingerprint, entry, claim.scheme, CacheResult::Miss, steps))
            }
            Learnt::Refused => Err(refused(claim.scheme)),
            Learnt::Trouble(error) => Err(trouble(&error)),
        }
    }

    fn lost(&self, error: &AskError, peer: &Peer, now: Now) -> Refusal {
        if error.is_refusal() {
            self.limiter.failed(peer.client_ip, None, now);
            return refused(Scheme::Kerberos);
        }
        tracing::warn!(
            target: "sidegate::gate",
            node = error.node(), cause = error.cause(), error = error.in_full(),
            "ticket could not be exchanged"
        );
        trouble(error)
    }

    /// Keeps the token and makes the cookie that stands for it; `None` where a ticket is wanted with every request.
    fn cookie(&self, grant: TokenGrant, stamp: u64, now: Now) -> Option<(HeaderName, HeaderValue)> {
        let most = self.exchanges.kerberos.as_ref()?.cookie_lifetime;
        if most.is_zero() {
            // It has served this request, and the upstream may have it.
            self.exchanges.tickets.pass_by(&grant);
            return None;
        }
        let bytes = Zeroizing::new(clock::random_bytes::<32>());
        let handle = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
        let held = Presented::handle(handle.as_bytes()).token_fingerprint(&self.key);
        let kept = self.exchanges.tickets.keep(held, grant, most, stamp, now);
        let life = kept.expires.saturating_sub(now.mono).as_secs();
        // Strict: a request begun by another site comes without it, and a browser that may negotiate does so again by itself.
        let line = Zeroizing::new(format!(
            "{KERBEROS_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={life}",
            *handle
        ));
        let mut value = HeaderValue::from_str(&line).ok()?;
        value.set_sensitive(true);
        Some((SET_COOKIE, value))
    }
}

/// RFC 4559 §5: the acceptor's last token goes with the response.
fn mutual(reply: &str) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::from_str(&format!("Negotiate {reply}")).ok()?;
    Some((WWW_AUTHENTICATE, value))
}
