//! What listeners count.

use super::admission::{Closed, TurnedAway};
use crate::telemetry::metrics::{Counter, CounterVec, Gauge, GaugeVec, RegisterError, Registry};

/// The metric families of all listeners. Registered once per process.
#[derive(Clone, Debug)]
pub struct NetMetrics {
    connections: GaugeVec,
    handshakes: CounterVec,
    timeouts: CounterVec,
    proxy_headers: CounterVec,
    closed: CounterVec,
    turned_away: CounterVec,
    expiries: GaugeVec,
}

/// One listener's handles.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    connections: Gauge,
    /// Handshakes that ended well.
    pub handshake_succeeded: Counter,
    /// Handshakes that failed.
    pub handshake_failed: Counter,
    /// Handshakes that took too long.
    pub handshake_timed_out: Counter,
    /// Connections closed because the client stood still.
    pub timed_out: Counter,
    /// Connections closed because no PROXY protocol header came where one was due.
    pub without_header: Counter,
    closed_by_limit: Counter,
    closed_by_rate: Counter,
    overloaded: Counter,
    rate_limited: Counter,
}

/// Counts as an open connection while it lives.
#[derive(Debug)]
pub struct Opened(Gauge);

impl NetMetrics {
    /// Registers the families.
    ///
    /// # Errors
    /// [`RegisterError`] when a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, RegisterError> {
        Ok(Self {
            connections: registry.gauges(
                "connections_open",
                "Connections open, tunnels included; worry when it nears the listener's max_connections",
                &["listener"],
            )?,
            handshakes: registry.counters(
                "tls_handshakes_total",
                "TLS handshakes by result; a rise of failed ones hints at clients without the CA or with old protocols",
                &["listener", "result"],
            )?,
            timeouts: registry.counters(
                "connection_timeouts_total",
                "Connections closed because the client stood still in a head, between requests, or while being answered",
                &["listener"],
            )?,
            proxy_headers: registry.counters(
                "proxy_protocol_refused_total",
                "Connections closed because no PROXY protocol header came where one was due; worry when a load balancer's settings changed",
                &["listener"],
            )?,
            closed: registry.counters(
                "connections_refused_total",
                "Connections closed unread because their client's address had too many; worry when it is not an attacker's",
                &["listener", "reason"],
            )?,
            turned_away: registry.counters(
                "requests_turned_away_total",
                "Requests refused unjudged: overloaded (503) or rate_limited (429); worry when overloaded",
                &["listener", "reason"],
            )?,
            expiries: registry.gauges(
                "tls_cert_not_after_timestamp_seconds",
                "End of validity of each certificate; worry weeks before it is now",
                &["name"],
            )?,
        })
    }

    /// The handles of one listener, every series created.
    pub fn listener(&self, name: &str) -> ListenerMetrics {
        let handshakes = |result| self.handshakes.with_label_values(&[name, result]);
        let closed = |reason| self.closed.with_label_values(&[name, reason]);
        let turned_away = |reason| self.turned_away.with_label_values(&[name, reason]);
        ListenerMetrics {
            connections: self.connections.with_label_values(&[name]),
            handshake_succeeded: handshakes("ok"),
            handshake_failed: handshakes("failed"),
            handshake_timed_out: handshakes("timeout"),
            timed_out: self.timeouts.with_label_values(&[name]),
            without_header: self.proxy_headers.with_label_values(&[name]),
            closed_by_limit: closed("address_limit"),
            closed_by_rate: closed("address_rate"),
            overloaded: turned_away("overloaded"),
            rate_limited: turned_away("rate_limited"),
        }
    }

    /// Publishes when certificates end: of all listeners, after every (re)load. One that is served no more is forgotten, so that
    /// nobody is called about it.
    pub fn certificates(&self, expiries: &[(String, i64)]) {
        self.expiries.retain(|labels| {
            let named = |name: &str| labels.iter().any(|label| **label == *name);
            expiries.iter().any(|(name, _)| named(name))
        });
        for (name, not_after) in expiries {
            self.expiries
                .with_label_values(&[name.as_str()])
                .set(*not_after);
        }
    }
}

impl ListenerMetrics {
    /// Counts a connection closed unread.
    pub fn closed(&self, why: Closed) {
        match why {
            Closed::AddressLimit => self.closed_by_limit.inc(),
            Closed::AddressRate => self.closed_by_rate.inc(),
        }
    }

    /// Counts a request that nobody judges.
    pub fn turned_away(&self, why: TurnedAway) {
        match why {
            TurnedAway::Overloaded => self.overloaded.inc(),
            TurnedAway::RateLimited(_) => self.rate_limited.inc(),
        }
    }

    /// Counts a connection until the value is dropped.
    pub fn opened(&self) -> Opened {
        self.connections.inc();
        Opened(self.connections.clone())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.dec();
    }
}
