//! What is counted about exchanges. Watch `denied`: Sidegate lacks a privilege.

use crate::telemetry::metrics::{CounterVec, GaugeVec, RegisterError, Registry};

/// What is made for upstreams, as a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An access token.
    Token,
    /// An access token that stands for a certificate or a ticket at the gate; only taking it back is counted.
    Held,
    /// An API key.
    ApiKey,
    /// A signed assertion.
    Assertion,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Token, Self::Held, Self::ApiKey, Self::Assertion];

    /// The label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Held => "held",
            Self::ApiKey => "api_key",
            Self::Assertion => "assertion",
        }
    }
}

/// What became of an exchange, as a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Made for an identity that had none.
    Made,
    /// Made anew ahead of its end.
    Renewed,
    /// Another credential of the same identity had one.
    Shared,
    /// The authority doesn't accept the client's credential any more.
    Refused,
    /// Sidegate lacks a privilege, or the authority doesn't do this.
    Denied,
    /// This kind of credential can't be exchanged.
    Unfit,
    /// The authority could not be asked.
    Trouble,
    /// Taken back.
    Invalidated,
    /// Could not be taken back; it ends by itself.
    Abandoned,
    /// Left by an earlier run, and taken back.
    Swept,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 10] = [
        Self::Made,
        Self::Renewed,
        Self::Shared,
        Self::Refused,
        Self::Denied,
        Self::Unfit,
        Self::Trouble,
        Self::Invalidated,
        Self::Abandoned,
        Self::Swept,
    ];

    /// The label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Renewed => "renewed",
            Self::Shared => "shared",
            Self::Refused => "refused",
            Self::Denied => "denied",
            Self::Unfit => "unfit",
            Self::Trouble => "trouble",
            Self::Invalidated => "invalidated",
            Self::Abandoned => "abandoned",
            Self::Swept => "swept",
        }
    }
}

/// Handles on the metrics of exchanges. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ExchangeMetrics {
    exchanges: CounterVec,
    leases: GaugeVec,
}

impl ExchangeMetrics {
    /// Registers `exchanges_total` and `exchange_leases`, every series at zero.
    ///
    /// # Errors
    /// [`RegisterError`] when a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, RegisterError> {
        let metrics = Self {
            exchanges: registry.counters(
                "exchanges_total",
                "Credentials and assertions made for upstreams, by kind and outcome; watch denied, trouble and abandoned",
                &["kind", "outcome"],
            )?,
            leases: registry.gauges(
                "exchange_leases",
                "Tokens and API keys made for upstreams and not taken back yet",
                &["kind"],
            )?,
        };
        for kind in Kind::ALL {
            for outcome in Outcome::ALL {
                metrics.count(kind, outcome, 0);
            }
            metrics.leases.with_label_values(&[kind.label()]).set(0);
        }
        Ok(metrics)
    }

    /// Counts what became of some exchanges.
    pub fn count(&self, kind: Kind, outcome: Outcome, count: u64) {
        self.exchanges
            .with_label_values(&[kind.label(), outcome.label()])
            .inc_by(count);
    }

    /// One more is out.
    pub fn leased(&self, kind: Kind) {
        self.leases.with_label_values(&[kind.label()]).inc();
    }

    /// One less is out.
    pub fn returned(&self, kind: Kind) {
        self.leases.with_label_values(&[kind.label()]).dec();
    }
}
