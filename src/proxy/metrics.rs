//! What the proxy counts.

use std::sync::OnceLock;

use http::{Method, StatusCode};

use super::failure::Failure;
use super::recheck::{Cause, Kind};
use crate::config::settings::Settings;
use crate::gate::refusal::Refusal;
use crate::telemetry::metrics::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, RegisterError, Registry,
};

/// Label of requests that reached no route's upstream because they were refused before one was permitted.
const NO_ROUTE: &str = "none";

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The metric families of the proxy. Registered once per process.
#[derive(Clone, Debug)]
pub struct ProxyMetrics {
    requests: CounterVec,
    durations: HistogramVec,
    in_flight: Gauge,
    upstream_durations: HistogramVec,
    upstream_failures: CounterVec,
    upstream_in_flight: GaugeVec,
    rejected: CounterVec,
    tunnels: Gauge,
    rechecks: RecheckMetrics,
}

/// What is counted about what lasts.
#[derive(Clone, Debug)]
pub struct RecheckMetrics {
    /// Looked at again, and left open.
    pub kept: Counter,
    /// Could not be looked at.
    pub trouble: Counter,
    ended: [[Counter; Cause::ALL.len()]; Kind::ALL.len()],
}

/// The handles of one configuration, by position in its tables.
#[derive(Debug)]
pub struct SiteMetrics {
    routes: Box<[RouteMetrics]>,
    none: RouteMetrics,
    rejected: Box<[Counter]>,
}

/// One route's handles.
#[derive(Debug)]
pub struct RouteMetrics {
    name: String,
    family: CounterVec,
    /// Filled as they occur, except those nearly every route has from the start.
    requests: [[OnceLock<Counter>; CLASSES.len()]; METHODS.len()],
    duration: Histogram,
}

/// One upstream's handles.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    /// Time to the response's head.
    pub duration: Histogram,
    failures: Box<[Counter]>,
    in_flight: GaugeVec,
    name: Box<str>,
}

impl ProxyMetrics {
    /// Registers the families.
    ///
    /// # Errors
    /// [`RegisterError`] when a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, RegisterError> {
        let in_flight = registry.gauges(
            "requests_in_flight",
            "Requests being answered, streams included",
            &[],
        )?;
        let tunnels = registry.gauges("tunnels_open", "WebSocket tunnels open", &[])?;
        let none: [&str; 0] = [];
        let rechecks = RecheckMetrics::register(registry)?;
        Ok(Self {
            rechecks,
            requests: registry.counters(
                "requests_total",
                "Requests by route (none: no route took it), method and class of the status",
                &["route", "method", "code_class"],
            )?,
            durations: registry.histograms(
                "request_duration_seconds",
                "Time from a request's head to the end of its response; tunnels and event streams count with their whole life",
                &["route"],
            )?,
            in_flight: in_flight.with_label_values(&none),
            upstream_durations: registry.histograms(
                "upstream_duration_seconds",
                "Time from a request's head to the head of the upstream's response",
                &["upstream"],
            )?,
            upstream_failures: registry.counters(
                "upstream_failures_total",
                "Permitted requests that got no response from the upstream, by cause; worry when it rises",
                &["upstream", "cause"],
            )?,
            upstream_in_flight: registry.gauges(
                "upstream_requests_in_flight",
                "Requests under way at an upstream with max_requests, which it nears before clients get 503",
                &["upstream"],
            )?,
            rejected: registry.counters(
                "rejected_requests_total",
                "Requests Sidegate refused, by reason; authority_unavailable means the authority is in trouble",
                &["reason"],
            )?,
            tunnels: tunnels.with_label_values(&none),
        })
    }

    /// The handles of one upstream, every series created.
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        UpstreamMetrics {
            duration: self.upstream_durations.with_label_values(&[name]),
            failures: Failure::CAUSES
                .iter()
                .map(|cause| self.upstream_failures.with_label_values(&[name, *cause]))
                .collect(),
            in_flight: self.upstream_in_flight.clone(),
            name: name.into(),
        }
    }

    /// The handles of one configuration.
    pub fn site(&self, settings: &Settings) -> SiteMetrics {
        SiteMetrics {
            routes: settings
                .routes
                .iter()
                .map(|route| self.route(&route.name, &route.matches.methods))
                .collect(),
            none: self.route(NO_ROUTE, &[]),
            rejected: Refusal::REASONS
                .iter()
                .map(|reason| self.rejected.with_label_values(&[*reason]))
                .collect(),
        }
    }

    /// Requests being answered.
    pub fn in_flight(&self) -> &Gauge {
        &self.in_flight
    }

    /// What is counted about what lasts.
    pub fn rechecks(&self) -> &RecheckMetrics {
        &self.rechecks
    }

    /// Tunnels open.
    pub fn tunnels(&self) -> &Gauge {
        &self.tunnels
    }

    fn route(&self, name: &str, methods: &[String]) -> RouteMetrics {
        let route = RouteMetrics {
            name: name.to_owned(),
            family: self.requests.clone(),
            requests: Default::default(),
            duration: self.durations.with_label_values(&[name]),
        };
        let usual = ["GET", "POST"].map(str::to_owned);
        for method in if methods.is_empty() { &usual } else { methods } {
            for class in [1, 3, 4] {
                route.counter(method_index(method), class);
            }
        }
        route
    }
}

// === impl RecheckMetrics ===

impl RecheckMetrics {
    fn register(registry: &Registry) -> Result<Self, RegisterError> {
        let looked = registry.counters(
            "rechecks_total",
            "WebSockets and streamed responses looked at again and left open, by result; trouble means that nobody could tell",
            &["result"],
        )?;
        let ended = registry.counters(
            "streams_closed_total",
            "WebSockets and streamed responses closed because whoever opened them may not have them any more, by kind and reason",
            &["kind", "reason"],
        )?;
        Ok(Self {
            kept: looked.with_label_values(&["kept"]),
            trouble: looked.with_label_values(&["trouble"]),
            ended: Kind::ALL.map(|kind| {
                Cause::ALL.map(|cause| ended.with_label_values(&[kind.label(), cause.label()]))
            }),
        })
    }

    /// Counts something that was ended.
    pub fn ended(&self, kind: Kind, cause: Cause) {
        let kinds = Kind::ALL.iter().zip(&self.ended);
        for (_, causes) in kinds.filter(|(known, _)| **known == kind) {
            let causes = Cause::ALL.iter().zip(causes);
            for (_, counter) in causes.filter(|(known, _)| **known == cause) {
                counter.inc();
            }
        }
    }
}

// === impl SiteMetrics ===

impl SiteMetrics {
    /// The handles of a route by its index; of no route without one.
    pub fn route(&self, index: Option<usize>) -> &RouteMetrics {
        index
            .and_then(|index| self.routes.get(index))
            .unwrap_or(&self.none)
    }

    /// Counts a refusal.
    pub fn reject(&self, refusal: &Refusal) {
        let reason = refusal.reason();
        let index = Refusal::REASONS.iter().position(|known| *known == reason);
        if let Some(counter) = index.and_then(|index| self.rejected.get(index)) {
            counter.inc();
        }
    }
}

// === impl RouteMetrics ===

impl RouteMetrics {
    /// Counts a request that is over.
    pub fn count(&self, method: &Method, status: StatusCode, seconds: f64) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.counter(method_index(method.as_str()), class).inc();
        self.duration.observe(seconds);
    }

    fn counter(&self, method: usize, class: usize) -> &Counter {
        self.requests[method][class].get_or_init(|| {
            self.family
                .with_label_values(&[self.name.as_str(), METHODS[method], CLASSES[class]])
        })
    }
}

fn method_index(method: &str) -> usize {
    let other = METHODS.len() - 1;
    METHODS
        .iter()
        .position(|known| *known == method)
        .unwrap_or(other)
}

// === impl UpstreamMetrics ===

impl UpstreamMetrics {
    /// Requests under way; its series begins with the first call.
    pub fn in_flight(&self) -> Gauge {
        self.in_flight.with_label_values(&[&*self.name])
    }

    /// Counts a failure.
    pub fn fail(&self, failure: &Failure) {
        let cause = failure.cause();
        let index = Failure::CAUSES.iter().position(|known| *known == cause);
        if let Some(counter) = index.and_then(|index| self.failures.get(index)) {
            counter.inc();
        }
    }
}
