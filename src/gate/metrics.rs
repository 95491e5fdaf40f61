//! What is counted about decisions and the cache.
//!
//! Handles are made when the gate is built, so that counting is one relaxed add. Routes are labelled by configured name.

use moka::notification::RemovalCause;

use crate::model::credential::Scheme;
use crate::telemetry::metrics::{Counter, CounterVec, Gauge, GaugeVec, RegisterError, Registry};

use super::cache::CacheResult;
use super::purge::PurgeScope;
use super::refusal::Refusal;

/// The label of requests that no route took.
const NO_ROUTE: &str = "none";

/// The caches, as a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CacheName {
    Entries,
    Negative,
    Resolved,
}

impl CacheName {
    const ALL: [Self; 3] = [Self::Entries, Self::Negative, Self::Resolved];

    const fn label(self) -> &'static str {
        match self {
            Self::Entries => "identity",
            Self::Negative => "negative",
            Self::Resolved => "resolved",
        }
    }
}

/// Outcomes of looking at a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthnResult {
    Accepted,
    Refused,
    Malformed,
    Blocked,
    Trouble,
}

impl AuthnResult {
    const ALL: [Self; 5] = [
        Self::Accepted,
        Self::Refused,
        Self::Malformed,
        Self::Blocked,
        Self::Trouble,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Blocked => "blocked",
            Self::Trouble => "trouble",
        }
    }
}

/// The metric families of the gate. Registered once per process; every gate takes its handles from here.
#[derive(Clone, Debug)]
pub struct GateFamilies {
    authn: CounterVec,
    authz: CounterVec,
    cache_requests: CounterVec,
    cache_entries: GaugeVec,
    evictions: CounterVec,
    purges: CounterVec,
    blocked: CounterVec,
}

impl GateFamilies {
    /// Registers the gate's metrics.
    ///
    /// # Errors
    /// [`RegisterError`] when a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, RegisterError> {
        Ok(Self {
            authn: registry.counters(
                "authn_total",
                "Credentials looked at, by scheme and outcome",
                &["scheme", "result"],
            )?,
            authz: registry.counters(
                "authz_total",
                "Decisions by route, result and reason; watch authority_unavailable and internal",
                &["route", "result", "reason"],
            )?,
            cache_requests: registry.counters(
                "cache_requests_total",
                "Look-ups by cache and result",
                &["cache", "result"],
            )?,
            cache_entries: registry.gauges(
                "cache_entries",
                "Entries held, by cache",
                &["cache"],
            )?,
            evictions: registry.counters(
                "cache_evictions_total",
                "Entries dropped, by cache and cause; many by size mean the cache is too small",
                &["cache", "cause"],
            )?,
            purges: registry.counters("cache_purges_total", "Purges, by scope", &["scope"])?,
            blocked: registry.counters(
                "login_blocked_total",
                "Logins not tried because of too many failures, by what was counted",
                &["by"],
            )?,
        })
    }
}

impl GateFamilies {
    /// Takes away every series of a route that is gone.
    pub(super) fn forget_route(&self, route: &str) {
        // Removing fails where there is no such series, which is what we want.
        drop(
            self.authz
                .remove_label_values(&[route, "permitted", "none"]),
        );
        for reason in ROUTE_REASONS {
            drop(self.authz.remove_label_values(&[route, "refused", reason]));
        }
    }
}

/// Reasons that can refuse a request after a route took it.
const ROUTE_REASONS: [&str; 27] = [
    "ambiguous_credentials",
    "no_credential",
    "malformed_credential",
    "unauthenticated",
    "forbidden",
    "not_exchangeable",
    "too_many_failures",
    "address_not_allowed",
    "preflight_not_allowed",
    "rate_limited",
    "authority_unavailable",
    "internal",
    "session_idle",
    "session_lifespan",
    "session_logged_out",
    "session_ended_by_provider",
    "session_limit",
    "session_revoked",
    "session_replaced",
    "session_token_refused",
    "session_certificate_changed",
    "session_provider_removed",
    "session_unknown",
    "session_drained",
    "agreement_pending",
    "cross_site",
    "store_unavailable",
];

/// One gate's handles.
#[derive(Debug)]
pub(super) struct GateMetrics {
    authn: [[Counter; AuthnResult::ALL.len()]; Scheme::ALL.len()],
    permitted: Vec<Counter>,
    refused: Vec<[Counter; ROUTE_REASONS.len()]>,
    unrouted: [Counter; Refusal::REASONS.len()],
    requests: [Counter; CacheResult::ALL.len()],
    resolved: [Counter; CacheResult::ALL.len()],
    entries: [Gauge; CacheName::ALL.len()],
    evictions: [[Counter; CAUSES.len()]; CacheName::ALL.len()],
    purges: [Counter; PurgeScope::LABELS.len()],
    blocked: [Counter; BLOCKED_BY.len()],
}

const CAUSES: [&str; 4] = ["expired", "explicit", "replaced", "size"];
const BLOCKED_BY: [&str; 2] = ["address", "username"];

impl GateMetrics {
    /// Makes every series of a gate with these routes; those that exist go on counting.
    pub(super) fn new<'a>(
        families: &GateFamilies,
        routes: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        let authz = |route: &str, result: &str, reason: &str| {
            families.authz.with_label_values(&[route, result, reason])
        };
        let requests = |cache: CacheName| {
            CacheResult::ALL.map(|result| {
                families
                    .cache_requests
                    .with_label_values(&[cache.label(), result.label()])
            })
        };
        Self {
            authn: Scheme::ALL.map(|scheme| {
                AuthnResult::ALL.map(|result| {
                    families
                        .authn
                        .with_label_values(&[scheme.label(), result.label()])
                })
            }),
            permitted: routes
                .clone()
                .map(|route| authz(route, "permitted", "none"))
                .collect(),
            refused: routes
                .map(|route| ROUTE_REASONS.map(|reason| authz(route, "refused", reason)))
                .collect(),
            unrouted: Refusal::REASONS.map(|reason| authz(NO_ROUTE, "refused", reason)),
            requests: requests(CacheName::Entries),
            resolved: requests(CacheName::Resolved),
            entries: CacheName::ALL
                .map(|cache| families.cache_entries.with_label_values(&[cache.label()])),
            evictions: CacheName::ALL.map(|cache| {
                CAUSES.map(|cause| {
                    families
                        .evictions
                        .with_label_values(&[cache.label(), cause])
                })
            }),
            purges: PurgeScope::LABELS.map(|scope| families.purges.with_label_values(&[scope])),
            blocked: BLOCKED_BY.map(|by| families.blocked.with_label_values(&[by])),
        }
    }

    pub(super) fn authenticated(&self, scheme: Scheme, result: AuthnResult) {
        self.authn[scheme as usize][result as usize].inc();
    }

    /// Counts a permit of the route at this index.
    pub(super) fn permitted(&self, route: usize) {
        if let Some(counter) = self.permitted.get(route) {
            counter.inc();
        }
    }

    /// Counts a refusal, of a route if one had matched.
    pub(super) fn refused(&self, route: Option<usize>, refusal: &Refusal) {
        let reason = refusal.reason();
        let of_route = route.and_then(|route| {
            let at = ROUTE_REASONS.iter().position(|known| *known == reason)?;
            self.refused.get(route)?.get(at)
        });
        let counter = of_route.or_else(|| {
            let at = Refusal::REASONS.iter().position(|known| *known == reason)?;
            self.unrouted.get(at)
        });
        if let Some(counter) = counter {
            counter.inc();
        }
    }

    pub(super) fn looked_up(&self, result: CacheResult) {
        self.requests[result as usize].inc();
    }

    pub(super) fn resolved(&self, result: CacheResult) {
        self.resolved[result as usize].inc();
    }

    pub(super) fn entries(&self, cache: CacheName, entries: u64) {
        self.entries[cache as usize].set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    pub(super) fn evicted(&self, cache: CacheName, cause: RemovalCause) {
        let at = match cause {
            RemovalCause::Expired => 0,
            RemovalCause::Explicit => 1,
            RemovalCause::Replaced => 2,
            RemovalCause::Size => 3,
        };
        self.evictions[cache as usize][at].inc();
    }

    pub(super) fn purged(&self, scope: &PurgeScope) {
        let label = scope.label();
        for (known, counter) in PurgeScope::LABELS.iter().zip(&self.purges) {
            if *known == label {
                counter.inc();
            }
        }
    }

    pub(super) fn blocked(&self, by: &str) {
        for (known, counter) in BLOCKED_BY.iter().zip(&self.blocked) {
            if *known == by {
                counter.inc();
            }
        }
    }
}
