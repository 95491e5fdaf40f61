//! What listeners count.

use crate::telemetry::metrics::{Counter, CounterVec, Gauge, GaugeVec, RegisterError, Registry};

/// The metric families of all listeners. Registered once per process.
#[derive(Clone, Debug)]
pub struct NetMetrics {
    connections: GaugeVec,
    handshakes: CounterVec,
    timeouts: CounterVec,
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
        ListenerMetrics {
            connections: self.connections.with_label_values(&[name]),
            handshake_succeeded: handshakes("ok"),
            handshake_failed: handshakes("failed"),
            handshake_timed_out: handshakes("timeout"),
            timed_out: self.timeouts.with_label_values(&[name]),
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
