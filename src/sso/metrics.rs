//! What the door counts.

use crate::config::sso::ProviderKind;
use crate::telemetry::metrics::{CounterVec, RegisterError, Registry};

use super::pages::reason::Reason;
use super::paths::Place;

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// How a session was logged out, as a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By its user.
    User,
    /// By its user, with every other session.
    Everywhere,
    /// By a SAML logout request.
    Saml,
    /// By a logout token.
    BackChannel,
}

impl Way {
    const ALL: [Self; 4] = [Self::User, Self::Everywhere, Self::Saml, Self::BackChannel];

    /// The label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Everywhere => "everywhere",
            Self::Saml => "saml",
            Self::BackChannel => "back_channel",
        }
    }
}

/// The metric families of the door. Registered once per process.
#[derive(Clone, Debug)]
pub struct SsoMetrics {
    requests: CounterVec,
    begun: CounterVec,
    logins: CounterVec,
    refusals: CounterVec,
    logouts: CounterVec,
}

impl SsoMetrics {
    /// Registers the families, every series of a closed set at zero.
    ///
    /// # Errors
    /// [`RegisterError`] when a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, RegisterError> {
        let metrics = Self {
            requests: registry.counters(
                "sso_requests_total",
                "Requests below the prefix of single sign-on, by page and class of the status",
                &["page", "code_class"],
            )?,
            begun: registry.counters(
                "sso_attempts_total",
                "Logins begun at an identity provider, by kind; compare with sso_logins_total",
                &["kind"],
            )?,
            logins: registry.counters("sso_logins_total", "Logins that led to a session, by kind", &["kind"])?,
            refusals: registry.counters(
                "sso_refusals_total",
                "Requests to the door that ended badly, by reason code; docs/sso-troubleshooting.md tells what to do",
                &["reason"],
            )?,
            logouts: registry.counters("sso_logouts_total", "Logouts, by way", &["way"])?,
        };
        for page in Place::LABELS {
            metrics.requests.with_label_values(&[page, "2xx"]);
        }
        for kind in ProviderKind::LABELS {
            metrics.begun.with_label_values(&[kind]);
            metrics.logins.with_label_values(&[kind]);
        }
        for reason in Reason::ALL {
            metrics.refusals.with_label_values(&[reason.label()]);
        }
        for way in Way::ALL {
            metrics.logouts.with_label_values(&[way.label()]);
        }
        Ok(metrics)
    }

    /// One request was answered.
    pub fn answered(&self, place: Place<'_>, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        let class = CLASSES.get(class).copied().unwrap_or("5xx");
        self.requests
            .with_label_values(&[place.label(), class])
            .inc();
    }

    /// A login began at an identity provider.
    pub fn begun(&self, kind: &ProviderKind) {
        self.begun.with_label_values(&[kind.label()]).inc();
    }

    /// A login led to a session.
    pub fn logged_in(&self, kind: &ProviderKind) {
        self.logins.with_label_values(&[kind.label()]).inc();
    }

    /// Something ended badly.
    pub fn refused(&self, reason: Reason) {
        self.refusals.with_label_values(&[reason.label()]).inc();
    }

    /// A logout.
    pub fn logged_out(&self, way: Way) {
        self.logouts.with_label_values(&[way.label()]).inc();
    }
}
