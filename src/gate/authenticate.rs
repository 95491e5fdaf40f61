//! From a presented credential to a cache entry: looked up, or asked for once however many are waiting.
//!
//! Always true: a hit waits for nobody; an ask runs detached and is bounded by the client's deadline, a waiter by its own;
//! only a 401 makes a credential refused and counts as a failed login; trouble is handed on as trouble.

use std::sync::Arc;
use std::time::Duration;

use crate::elastic::client::Client;
use crate::elastic::error::AskError;
use crate::model::clock::{Clock, Now};
use crate::model::credential::{Fingerprint, FingerprintKey, Scheme};
use crate::model::privilege::Atom;
use crate::net::http::Peer;

use super::cache::{Cache, CacheResult, Entry, Found};
use super::claim::Claim;
use super::exchange::Exchanges;
use super::extract::Intake;
use super::extract::presented::Presented;
use super::flight::Flights;
use super::kerberos::Negotiated;
use super::limiter::LoginLimiter;
use super::metrics::{AuthnResult, GateMetrics};
use super::rates::RouteRate;
use super::refusal::Refusal;
use super::trace::Steps;

/// What the client is told to wait when the authority didn't say.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long stale entries are used without asking again after trouble.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// Asks begun on behalf of one request: more than one only when a purge overtook it or the asking task died.
const ATTEMPTS: u32 = 3;
/// A waiter outlasts the ask's own deadline by this, so that it learns the cause.
const GRACE: Duration = Duration::from_millis(200);

/// Knows who credentials belong to.
pub(super) struct Authenticator {
    pub(super) client: Client,
    pub(super) cache: Cache,
    pub(super) metrics: Arc<GateMetrics>,
    pub(super) limiter: Arc<LoginLimiter>,
    /// What each route counts, by its index.
    pub(super) rates: Box<[Option<Arc<RouteRate>>]>,
    pub(super) clock: Clock,
    pub(super) key: FingerprintKey,
    /// Static atoms of all routes.
    pub(super) atoms: Arc<[Atom]>,
    /// Distinct forwardings: slots of prebuilt headers per entry.
    pub(super) slots: usize,
    pub(super) asks: Flights<Fingerprint, Learnt>,
    pub(super) resolving: Flights<(Fingerprint, Vec<Atom>), Resolution>,
    /// What becomes of credentials that the authority isn't shown as they are.
    pub(super) exchanges: Exchanges,
    /// Finds credentials.
    pub(super) intake: Intake,
}

/// What an ask about a credential came to. Cloned to everybody who waited.
#[derive(Clone, Debug)]
pub(super) enum Learnt {
    Known(Arc<Entry>),
    Refused,
    Trouble(AskError),
}

/// What an ask about resolved atoms came to; one boolean per atom.
pub(super) type Resolution = Result<Arc<[bool]>, AskError>;

/// A credential whose identity is known.
pub(super) struct Known {
    pub(super) entry: Arc<Entry>,
    pub(super) fingerprint: Fingerprint,
    pub(super) how: CacheResult,
    /// What a ticket was exchanged for with this very request.
    pub(super) negotiated: Option<Box<Negotiated>>,
}

/// Why waiting for an ask came to nothing.
enum Unasked {
    /// The waiter's deadline passed.
    Late,
    /// Too many asks are in flight.
    Crowded,
    /// Asks kept dying or being overtaken by purges.
    Lost,
}

impl Authenticator {
    /// Finds out who presented a credential.
    pub(super) async fn identify(
        self: &Arc<Self>,
        presented: &Presented<'_>,
        peer: &Peer,
        now: Now,
        steps: &mut Steps,
    ) -> Result<Known, Refusal> {
        let fingerprint = presented.fingerprint(&self.key);
        let found = self.cache.find(&fingerprint, now);
        if let Found::Live(entry) = found {
            if entry.claim_refresh(now, self.cache.refresh_pause()) {
                self.refresh(fingerprint, presented, now);
            }
            return Ok(self.known(
                fingerprint,
                entry,
                presented.scheme(),
                CacheResult::Hit,
                steps,
            ));
        }
        // Boxed: a hit would otherwise carry, and copy, the state of an ask.
        let (outcome, how) = match found {
            Found::Refused => (Err(refused(presented.scheme())), CacheResult::NegativeHit),
            Found::Expired(entry) => {
                Box::pin(self.ask_again(fingerprint, entry, presented, peer, now)).await
            }
            Found::Absent | Found::Live(_) => {
                Box::pin(self.ask_first(fingerprint, presented, peer, now)).await
            }
        };
        match outcome {
            Ok(entry) => Ok(self.known(fingerprint, entry, presented.scheme(), how, steps)),
            Err(refusal) => {
                self.metrics.looked_up(how);
                self.metrics
                    .authenticated(presented.scheme(), result_of(&refusal));
                steps.add("cache", || serde_json::json!({"result": how.label()}));
                Err(refusal)
            }
        }
    }

    pub(super) fn known(
        &self,
        fingerprint: Fingerprint,
        entry: Arc<Entry>,
        scheme: Scheme,
        how: CacheResult,
        steps: &mut Steps,
    ) -> Known {
        self.metrics.looked_up(how);
        self.metrics.authenticated(scheme, AuthnResult::Accepted);
        steps.add("cache", || serde_json::json!({"result": how.label()}));
        steps.add("identity", || {
            serde_json::json!({
                "username": entry.identity.username,
                "roles": entry.identity.roles,
                "realm": entry.identity.realm.name,
                "authentication_type": entry.identity.authentication_type,
            })
        });
        Known {
            entry,
            fingerprint,
            how,
            negotiated: None,
        }
    }

    /// A credential never seen, or long ago: only here a guess can be made, so only here the limiter is asked.
    async fn ask_first(
        self: &Arc<Self>,
        fingerprint: Fingerprint,
        presented: &Presented<'_>,
        peer: &Peer,
        now: Now,
    ) -> (Result<Arc<Entry>, Refusal>, CacheResult) {
        let claim = match presented.claim(&self.key) {
            Ok(claim) => claim,
            Err(refusal) => return (Err(refusal), CacheResult::Bypass),
        };
        if claim.is_a_login()
            && let Err(refusal) = self.may_try(peer, claim.username(), now)
        {
            return (Err(refusal), CacheResult::Bypass);
        }
        let (outcome, how) = self.ask(fingerprint, &claim, now).await;
        (self.settle(outcome, &claim, peer, how, now), how)
    }

    /// Forgets a credential, and lets go of what was made for it.
    pub(super) fn forget(&self, presented: &Presented<'_>) {
        let fingerprint = presented.fingerprint(&self.key);
        self.cache.entries.invalidate(&fingerprint);
    }

    /// Asks the limiter.
    pub(super) fn may_try(
        &self,
        peer: &Peer,
        username: Option<&str>,
        now: Now,
    ) -> Result<(), Refusal> {
        self.limiter
            .check(peer.client_ip, username, now)
            .map_err(|blocked| {
                self.metrics.blocked(blocked.by);
                Refusal::TooManyFailures {
                    by: blocked.by,
                    retry_after: blocked.retry_after,
                }
            })
    }

    /// What somebody known can be asked about with.
    fn claim_of(&self, known: &Known, presented: &Presented<'_>) -> Result<Claim, Refusal> {
        match &known.negotiated {
            Some(negotiated) => Ok(negotiated.claim.clone()),
            None => presented.claim(&self.key),
        }
    }

    /// A credential that was good: on trouble its entry may still serve.
    async fn ask_again(
        self: &Arc<Self>,
        fingerprint: Fingerprint,
        entry: Arc<Entry>,
        presented: &Presented<'_>,
        peer: &Peer,
        now: Now,
    ) -> (Result<Arc<Entry>, Refusal>, CacheResult) {
        let may_be_stale = self.cache.may_be_stale(&entry, now);
        if may_be_stale && entry.in_trouble(now) {
            return (Ok(entry), CacheResult::Stale);
        }
        let claim = match presented.claim(&self.key) {
            Ok(claim) => claim,
            Err(refusal) => return (Err(refusal), CacheResult::Bypass),
        };
        let (outcome, how) = self.ask(fingerprint, &claim, now).await;
        let lets_stale = match &outcome {
            Ok(Learnt::Trouble(error)) => error.allows_stale(),
            Err(Unasked::Late) => true,
            _ => false,
        };
        // Looked at again, because a purge may have come while we waited.
        if lets_stale && self.cache.may_be_stale(&entry, self.clock.now()) {
            entry.note_trouble(self.clock.now(), TROUBLE_PAUSE);
            return (Ok(entry), CacheResult::Stale);
        }
        (self.settle(outcome, &claim, peer, how, now), how)
    }

    fn settle(
        &self,
        outcome: Result<Learnt, Unasked>,
        claim: &Claim,
        peer: &Peer,
        how: CacheResult,
        now: Now,
    ) -> Result<Arc<Entry>, Refusal> {
        match outcome {
            Ok(Learnt::Known(entry)) => Ok(entry),
            Ok(Learnt::Refused) => {
                // One ask is one failed login, however many waited for it.
                if how == CacheResult::Miss && claim.is_a_login() {
                    self.limiter.failed(peer.client_ip, claim.username(), now);
                }
                Err(refused(claim.scheme))
            }
            Ok(Learnt::Trouble(error)) => Err(trouble(&error)),
            Err(unasked) => Err(unasked.refusal()),
        }
    }

    /// Asks about a credential, or waits for whoever already does.
    async fn ask(
        self: &Arc<Self>,
        fingerprint: Fingerprint,
        claim: &Claim,
        now: Now,
    ) -> (Result<Learnt, Unasked>, CacheResult) {
        let mut how = CacheResult::Coalesced;
        let asking = async {
            let mut now = now;
            for _ in 0..ATTEMPTS {
                let stamp = self.cache.stamp();
                let ticket = self
                    .asks
                    .join(&fingerprint, stamp, || {
                        Arc::clone(self).look_or_learn(fingerprint, claim.clone(), stamp, now)
                    })
                    .ok_or(Unasked::Crowded)?;
                if ticket.started {
                    how = CacheResult::Miss;
                }
                match ticket.wait().await {
                    Some(Learnt::Known(entry)) if !self.cache.is_unpurged(&entry) => {}
                    Some(learnt) => return Ok(learnt),
                    None => tracing::error!(target: "sidegate::gate", "an asking task died"),
                }
                now = self.clock.now();
            }
            Err(Unasked::Lost)
        };
        let outcome = tokio::time::timeout(self.client.timeout() + GRACE, asking)
            .await
            .unwrap_or(Err(Unasked::Late));
        (outcome, how)
    }

    /// Asks again in the background; whoever is served meanwhile is served from the cache.
    fn refresh(self: &Arc<Self>, fingerprint: Fingerprint, presented: &Presented<'_>, now: Now) {
        let Ok(claim) = presented.claim(&self.key) else {
            return;
        };
        let stamp = self.cache.stamp();
        // Crowded: then it is refreshed by a later use.
        drop(self.asks.join(&fingerprint, stamp, || {
            Arc::clone(self).learn(fingerprint, claim, stamp, now)
        }));
    }

    /// Asks about resolved atoms, or waits for whoever already asks the same.
    pub(super) async fn resolve(
        self: &Arc<Self>,
        known: &Known,
        presented: &Presented<'_>,
        atoms: Vec<Atom>,
        now: Now,
    ) -> Result<(Arc<[bool]>, CacheResult), Unresolved> {
        let claim = self
            .claim_of(known, presented)
            .map_err(Unresolved::Refusal)?;
        let mut how = CacheResult::Coalesced;
        let asking = async {
            let mut now = now;
            for _ in 0..ATTEMPTS {
                let stamp = self.cache.stamp();
                let ticket = self
                    .join_resolving(known.fingerprint, &claim, &atoms, stamp, now)
                    .ok_or(Unasked::Crowded)?;
                if ticket.started {
                    how = CacheResult::Miss;
                }
                match ticket.wait().await {
                    Some(Ok(_)) if stamp != self.cache.stamp() => {}
                    Some(resolution) => return Ok(resolution),
                    None => tracing::error!(target: "sidegate::gate", "an asking task died"),
                }
                now = self.clock.now();
            }
            Err(Unasked::Lost)
        };
        let outcome = tokio::time::timeout(self.client.timeout() + GRACE, asking)
            .await
            .unwrap_or(Err(Unasked::Late));
        match outcome {
            Ok(Ok(granted)) => Ok((granted, how)),
            Ok(Err(error)) if error.is_refusal() => {
                self.cache
                    .refuse(known.fingerprint, self.cache.stamp(), self.clock.now());
                Err(Unresolved::Refusal(refused(claim.scheme)))
            }
            Ok(Err(error)) => Err(Unresolved::Trouble {
                stale: error.allows_stale(),
                refusal: trouble(&error),
            }),
            Err(unasked) => Err(Unresolved::Trouble {
                stale: matches!(unasked, Unasked::Late),
                refusal: unasked.refusal(),
            }),
        }
    }

    /// Asks again about resolved atoms in the background.
    pub(super) fn refresh_resolved(
        self: &Arc<Self>,
        known: &Known,
        presented: &Presented<'_>,
        atoms: &[Atom],
        now: Now,
    ) {
        if let Ok(claim) = self.claim_of(known, presented) {
            let stamp = self.cache.stamp();
            drop(self.join_resolving(known.fingerprint, &claim, atoms, stamp, now));
        }
    }

    fn join_resolving(
        self: &Arc<Self>,
        fingerprint: Fingerprint,
        claim: &Claim,
        atoms: &[Atom],
        stamp: u64,
        now: Now,
    ) -> Option<super::flight::Ticket<Resolution>> {
        let key = (fingerprint, atoms.to_vec());
        self.resolving.join(&key, stamp, || {
            let (this, claim, atoms) = (Arc::clone(self), claim.clone(), atoms.to_vec());
            async move {
                let granted = this.privileges(&claim, &atoms, stamp, now).await?;
                this.cache
                    .remember_resolved(fingerprint, &atoms, &granted, stamp, now);
                Ok(granted.into())
            }
        })
    }
}

/// Why resolved atoms stay unknown.
pub(super) enum Unresolved {
    /// The credential is no good any more.
    Refusal(Refusal),
    /// The authority is in trouble.
    Trouble {
        /// Whether former answers may serve.
        stale: bool,
        refusal: Refusal,
    },
}

impl Unasked {
    fn refusal(self) -> Refusal {
        match self {
            Self::Late => unavailable("timeout"),
            Self::Crowded => unavailable("overloaded"),
            Self::Lost => Refusal::Internal("asks were lost or overtaken by purges"),
        }
    }
}

pub(super) const fn unavailable(cause: &'static str) -> Refusal {
    Refusal::AuthorityUnavailable {
        cause,
        retry_after: RETRY_AFTER,
    }
}

pub(super) fn trouble(error: &AskError) -> Refusal {
    Refusal::AuthorityUnavailable {
        cause: error.cause(),
        retry_after: error.retry_after().unwrap_or(RETRY_AFTER),
    }
}

pub(super) const fn refused(scheme: Scheme) -> Refusal {
    Refusal::Unauthenticated { scheme }
}

pub(super) fn result_of(refusal: &Refusal) -> AuthnResult {
    match refusal {
        Refusal::Unauthenticated { .. } => AuthnResult::Refused,
        Refusal::TooManyFailures { .. } => AuthnResult::Blocked,
        Refusal::AuthorityUnavailable { .. } | Refusal::Internal(_) => AuthnResult::Trouble,
        _ => AuthnResult::Malformed,
    }
}
