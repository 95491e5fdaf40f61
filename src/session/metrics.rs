//! What is counted about sessions.
//!
//! Registered once per process; every reload's sessions go on counting.

use super::cookie::Unusable;
use super::ended::EndReason;
use super::record::Kind;
use crate::telemetry::metrics::{Counter, Gauge, RegisterError, Registry};

/// What a renewal of tokens came to, as a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// New tokens.
    Renewed,
    /// Another replica or request had done it.
    Found,
    /// The authority refuses.
    Refused,
    /// The authority or the store is in trouble.
    Trouble,
}

impl Renewal {
    const ALL: [Self; 4] = [Self::Renewed, Self::Found, Self::Refused, Self::Trouble];

    const fn label(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Found => "found",
            Self::Refused => "refused",
            Self::Trouble => "trouble",
        }
    }
}

/// Handles of everything counted.
#[derive(Clone, Debug)]
pub struct SessionMetrics {
    begun: [Counter; Kind::ALL.len()],
    ended: [Counter; EndReason::ALL.len()],
    renewals: [Counter; Renewal::ALL.len()],
    ignored: [Counter; Unusable::ALL.len()],
    store: [Counter; 2],
    given_back: [Counter; 2],
    live: Gauge,
}

impl SessionMetrics {
    /// Registers the metrics of sessions.
    ///
    /// # Errors
    /// [`RegisterError`] when a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, RegisterError> {
        let begun = registry.counters(
            "sessions_begun_total",
            "Logins that became a session, by kind of provider",
            &["kind"],
        )?;
        let ended = registry.counters(
            "sessions_ended_total",
            "Sessions that ended here, by reason",
            &["reason"],
        )?;
        let renewals = registry.counters(
            "session_renewals_total",
            "Tokens of sessions renewed, by result; refused ones end their session",
            &["result"],
        )?;
        let ignored = registry.counters(
            "session_cookies_ignored_total",
            "Session cookies that counted for nothing, by cause; doubled ones may have been planted",
            &["cause"],
        )?;
        let store = registry.counters(
            "session_store_requests_total",
            "Requests to the shared session store, by result; in trouble, nobody with a session passes",
            &["result"],
        )?;
        let given_back = registry.counters(
            "session_tokens_given_back_total",
            "Tokens of ended sessions invalidated at the authority, by result",
            &["result"],
        )?;
        let live = registry.gauge("sessions", "Sessions in use that this process remembers")?;
        Ok(Self {
            begun: Kind::ALL.map(|kind| begun.with_label_values(&[kind.label()])),
            ended: EndReason::ALL.map(|reason| ended.with_label_values(&[reason.label()])),
            renewals: Renewal::ALL.map(|result| renewals.with_label_values(&[result.label()])),
            ignored: Unusable::ALL.map(|cause| ignored.with_label_values(&[cause.label()])),
            store: ["answered", "trouble"].map(|result| store.with_label_values(&[result])),
            given_back: ["done", "failed"].map(|result| given_back.with_label_values(&[result])),
            live,
        })
    }

    pub(super) fn begun(&self, kind: Kind) {
        self.begun[kind as usize].inc();
    }

    pub(super) fn ended(&self, reason: EndReason) {
        self.ended[reason as usize].inc();
    }

    pub(super) fn ignored(&self, cause: Unusable) {
        self.ignored[cause as usize].inc();
    }

    pub(super) fn live(&self, sessions: u64) {
        self.live.set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }

    /// Counts a request to the shared store.
    pub(super) fn asked_store(&self, answered: bool) {
        self.store[usize::from(!answered)].inc();
    }

    /// Counts a renewal.
    pub fn renewed(&self, result: Renewal) {
        self.renewals[result as usize].inc();
    }

    /// Counts tokens given back to the authority.
    pub fn gave_back(&self, done: bool) {
        self.given_back[usize::from(!done)].inc();
    }
}
