//! Ends what lasts, a WebSocket or a streamed response, when whoever opened it may not have it any more.
//!
//! Always true: it is looked at again at least as often as its route says, at once when something was purged or a session
//! ended, and when its credential is known to end; by the gate in force, which a reload may have put in place since. Trouble at
//! the authority or the session store ends nothing for [`OUTAGE`], and the known end of a credential counts all the while.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tracing::{debug, info};

use super::metrics::RecheckMetrics;
use super::site::{Shared, Site};
use crate::gate::Gate;
use crate::gate::recheck::Standing;
use crate::gate::refusal::Refusal;
use crate::model::clock::{self, Now};

/// How long something goes on that can't be looked at; three of its route's intervals where that is longer.
pub const OUTAGE: Duration = Duration::from_secs(10 * 60);
/// After trouble it is tried again no later than this.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);
/// Looked at no more often than this, whatever rings.
const BREATH: Duration = Duration::from_millis(50);

/// Why something that lasted was ended; a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The credential is refused.
    Revoked,
    /// The credential, or the session's life, came to its known end.
    Expired,
    /// The privileges are gone.
    Forbidden,
    /// The session ended.
    SessionEnded,
    /// The configuration has no such route any more.
    RouteGone,
    /// Nobody could tell for too long, or something went wrong here.
    Unverifiable,
}

impl Cause {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Revoked,
        Self::Expired,
        Self::Forbidden,
        Self::SessionEnded,
        Self::RouteGone,
        Self::Unverifiable,
    ];

    /// The label in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Forbidden => "forbidden",
            Self::SessionEnded => "session_ended",
            Self::RouteGone => "route_gone",
            Self::Unverifiable => "unverifiable",
        }
    }

    /// What a WebSocket's client is told.
    pub const fn public(self) -> &'static str {
        match self {
            Self::Revoked => "credential no longer accepted",
            Self::Expired => "credential expired",
            Self::Forbidden => "no longer allowed",
            Self::SessionEnded => "session over",
            Self::RouteGone => "nothing here any more",
            Self::Unverifiable => "permission can't be checked",
        }
    }

    /// What a refusal means for something that goes on; `None` when nobody could tell.
    const fn of(refusal: &Refusal) -> Option<Self> {
        match refusal {
            Refusal::NoCredential
            | Refusal::MalformedCredential { .. }
            | Refusal::Unauthenticated { .. }
            | Refusal::NegotiationUnfinished { .. } => Some(Self::Revoked),
            Refusal::Forbidden { .. }
            | Refusal::NotExchangeable { .. }
            | Refusal::AddressNotAllowed
            | Refusal::PreflightNotAllowed(_) => Some(Self::Forbidden),
            Refusal::SessionEnded(_) | Refusal::AgreementPending => Some(Self::SessionEnded),
            Refusal::NoRoute
            | Refusal::UpgradeNotAllowed
            | Refusal::MethodNotAllowed
            | Refusal::ExpectationUnknown
            | Refusal::Ambiguous(_) => Some(Self::RouteGone),
            Refusal::Internal(_) => Some(Self::Unverifiable),
            Refusal::AuthorityUnavailable { .. }
            | Refusal::SessionStore { .. }
            | Refusal::TooManyFailures { .. }
            | Refusal::RateLimited { .. }
            | Refusal::Overloaded { .. }
            | Refusal::CrossSite => None,
        }
    }
}

/// What is looked at again, as a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tunnel.
    WebSocket,
    /// A response's body.
    Response,
}

impl Kind {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::WebSocket, Self::Response];

    /// The label in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Response => "response",
        }
    }
}

/// Looks at one thing for as long as it lasts.
pub struct Guard {
    /// What is known of it.
    pub standing: Standing,
    /// What it is.
    pub kind: Kind,
    /// Name of its route.
    pub route: String,
    /// How often it is looked at.
    pub interval: Duration,
    /// When that was done last: at first, when it was permitted.
    pub checked: Now,
    /// Who permitted it.
    pub judge: Weak<Gate>,
    /// Where the gate in force is.
    pub sites: Arc<ArcSwap<Site>>,
    /// Clock and metrics.
    pub shared: Arc<Shared>,
}

impl Guard {
    /// Over when it has to end: counted, logged and why.
    pub async fn over(mut self) -> Cause {
        let cause = self.watch().await;
        self.metrics().ended(self.kind, cause);
        let entry = self.standing.entry();
        let identity = &entry.identity;
        info!(
            target: "sidegate::gate",
            kind = self.kind.label(), reason = cause.label(), route = self.route,
            username = ?identity.username, realm = identity.realm.name,
            api_key_id = identity.api_key.as_ref().map(|key| key.id.as_str()),
            scheme = self.standing.scheme().label(), client = %self.standing.peer().client_ip,
            "closed what was open"
        );
        cause
    }

    async fn watch(&mut self) -> Cause {
        let (mut gate, mut alarm) = self.current();
        let mut next = self.checked.mono.saturating_add(jittered(self.interval));
        // What happened before anybody listened.
        let is_judge = std::ptr::eq(self.judge.as_ptr(), Arc::as_ptr(&gate));
        if !is_judge || gate.doubts(&self.standing) {
            next = self.checked.mono;
        }
        loop {
            let woken = self.wait(next, &mut alarm).await;
            let (current, fresh) = self.current();
            if woken && Arc::ptr_eq(&current, &gate) && !gate.doubts(&self.standing) {
                continue;
            }
            (gate, alarm) = (current, fresh);
            match self.look(&gate).await {
                Ok(pause) => next = self.now().mono.saturating_add(pause),
                Err(cause) => return cause,
            }
        }
    }

    /// Looks once; the time until the next look, or why it is over.
    async fn look(&mut self, gate: &Gate) -> Result<Duration, Cause> {
        let begun = self.now();
        let verdict = gate.recheck(&mut self.standing, begun).await;
        let now = self.now();
        let ends = self.standing.ends().is_some_and(|end| now.unix >= end);
        let since = now.mono.saturating_sub(self.checked.mono);
        let next = conclude(&verdict, ends, since, self.interval)?;
        match verdict {
            Ok(()) => {
                self.metrics().kept.inc();
                self.checked = begun;
            }
            Err(refusal) => {
                self.metrics().trouble.inc();
                debug!(target: "sidegate::gate", reason = refusal.reason(), detail = %refusal, "could not be looked at again");
            }
        }
        Ok(jittered(next))
    }

    /// Waits until `next` or the known end, whichever comes first; true when the alarm was faster.
    async fn wait(&self, next: Duration, alarm: &mut watch::Receiver<()>) -> bool {
        let now = self.now();
        let left = self.standing.ends().map(|end| end.saturating_sub(now.unix));
        let pause = next
            .saturating_sub(now.mono)
            .min(left.unwrap_or(Duration::MAX));
        tokio::select! {
            () = tokio::time::sleep(pause.max(BREATH.min(self.interval))) => false,
            _ = alarm.changed() => true,
        }
    }

    /// The gate in force, and its alarm from now on.
    fn current(&self) -> (Arc<Gate>, watch::Receiver<()>) {
        let gate = Arc::clone(&self.sites.load().gate);
        let alarm = gate.alarm();
        (gate, alarm)
    }

    fn now(&self) -> Now {
        self.shared.clock.now()
    }

    fn metrics(&self) -> &RecheckMetrics {
        self.shared.metrics.rechecks()
    }
}

/// What a look comes to, `since` the last good one: the time until the next, or why it is over. `ends`: the credential or the
/// session's life has come to its known end.
fn conclude(
    verdict: &Result<(), Refusal>,
    ends: bool,
    since: Duration,
    interval: Duration,
) -> Result<Duration, Cause> {
    let cause = verdict.as_ref().err().map(Cause::of);
    match cause {
        Some(Some(Cause::SessionEnded)) => Err(Cause::SessionEnded),
        _ if ends => Err(Cause::Expired),
        Some(Some(cause)) => Err(cause),
        Some(None) if since >= OUTAGE.max(interval.saturating_mul(3)) => Err(Cause::Unverifiable),
        Some(None) => Ok(interval.min(TROUBLE_PAUSE)),
        None => Ok(interval),
    }
}

/// Up to a tenth less, so that what was opened together isn't looked at together.
fn jittered(interval: Duration) -> Duration {
    let [random] = clock::random_bytes::<1>();
    interval.mul_f64(1.0 - 0.1 * f64::from(random) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::credential::Scheme;
    use crate::session::ended::EndReason;

    const SECOND: Duration = Duration::from_secs(1);

    fn trouble() -> Result<(), Refusal> {
        Err(Refusal::AuthorityUnavailable {
            cause: "connect",
            retry_after: SECOND,
        })
    }

    #[test]
    fn trouble_ends_nothing_before_the_bound_and_is_looked_at_sooner() {
        let after = |since, interval| conclude(&trouble(), false, since, interval);
        assert_eq!(after(OUTAGE - SECOND, 30 * SECOND), Ok(TROUBLE_PAUSE));
        assert_eq!(after(OUTAGE - SECOND, SECOND), Ok(SECOND));
        assert_eq!(after(OUTAGE, 30 * SECOND), Err(Cause::Unverifiable));
        // Who is looked at once an hour isn't given up within one.
        assert_eq!(after(OUTAGE, 3600 * SECOND), Ok(TROUBLE_PAUSE));
        assert_eq!(
            after(3 * 3600 * SECOND, 3600 * SECOND),
            Err(Cause::Unverifiable)
        );
    }

    #[test]
    fn a_known_end_counts_whatever_the_authority_says_or_does_not_say() {
        let refused = Err(Refusal::Unauthenticated {
            scheme: Scheme::ApiKey,
        });
        for verdict in [Ok(()), trouble(), refused] {
            assert_eq!(
                conclude(&verdict, true, SECOND, SECOND),
                Err(Cause::Expired)
            );
        }
        let ended = Err(Refusal::SessionEnded(EndReason::Lifespan));
        assert_eq!(
            conclude(&ended, true, SECOND, SECOND),
            Err(Cause::SessionEnded)
        );
    }

    #[test]
    fn a_refusal_ends_it_for_its_own_reason() {
        for (refusal, cause) in [
            (
                Refusal::Unauthenticated {
                    scheme: Scheme::Basic,
                },
                Cause::Revoked,
            ),
            (Refusal::NoCredential, Cause::Revoked),
            (Refusal::NoRoute, Cause::RouteGone),
            (Refusal::UpgradeNotAllowed, Cause::RouteGone),
            (Refusal::AgreementPending, Cause::SessionEnded),
            (Refusal::Internal("a test"), Cause::Unverifiable),
        ] {
            assert_eq!(conclude(&Err(refusal), false, SECOND, SECOND), Err(cause));
        }
    }
}
