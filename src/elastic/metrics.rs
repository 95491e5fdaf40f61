//! What is counted about asks.

use std::time::Duration;

use crate::telemetry::metrics::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, RegisterError, Registry,
};

/// The endpoints asked, as a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `GET /_security/_authenticate`
    Authenticate,
    /// `POST /_security/user/_has_privileges`
    HasPrivileges,
    /// `GET /_security/api_key?id=…`
    ApiKey,
    /// `GET /`
    Info,
    /// `POST /_security/delegate_pki`
    DelegatePki,
    /// `POST /_security/oauth2/token`
    Token,
    /// `DELETE /_security/oauth2/token`
    InvalidateToken,
    /// `POST /_security/api_key/grant`
    GrantApiKey,
    /// `POST /_security/_query/api_key`
    QueryApiKey,
    /// `DELETE /_security/api_key`
    InvalidateApiKey,
    /// `POST /_security/saml/prepare`
    SamlPrepare,
    /// `POST /_security/saml/authenticate`
    SamlAuthenticate,
    /// `POST /_security/saml/logout`
    SamlLogout,
    /// `POST /_security/saml/invalidate`
    SamlInvalidate,
    /// `POST /_security/saml/complete_logout`
    SamlCompleteLogout,
    /// `GET /_security/saml/metadata/…`
    SamlMetadata,
    /// `POST /_security/oidc/prepare`
    OidcPrepare,
    /// `POST /_security/oidc/authenticate`
    OidcAuthenticate,
    /// `POST /_security/oidc/logout`
    OidcLogout,
    /// `POST /_security/profile/_activate`
    ActivateProfile,
}

impl Api {
    /// Every endpoint.
    pub const ALL: [Self; 20] = [
        Self::Authenticate,
        Self::HasPrivileges,
        Self::ApiKey,
        Self::Info,
        Self::DelegatePki,
        Self::Token,
        Self::InvalidateToken,
        Self::GrantApiKey,
        Self::QueryApiKey,
        Self::InvalidateApiKey,
        Self::SamlPrepare,
        Self::SamlAuthenticate,
        Self::SamlLogout,
        Self::SamlInvalidate,
        Self::SamlCompleteLogout,
        Self::SamlMetadata,
        Self::OidcPrepare,
        Self::OidcAuthenticate,
        Self::OidcLogout,
        Self::ActivateProfile,
    ];

    /// The label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::HasPrivileges => "has_privileges",
            Self::ApiKey => "api_key",
            Self::Info => "info",
            Self::DelegatePki => "delegate_pki",
            Self::Token => "token",
            Self::InvalidateToken => "invalidate_token",
            Self::GrantApiKey => "grant_api_key",
            Self::QueryApiKey => "query_api_key",
            Self::InvalidateApiKey => "invalidate_api_key",
            Self::SamlPrepare => "saml_prepare",
            Self::SamlAuthenticate => "saml_authenticate",
            Self::SamlLogout => "saml_logout",
            Self::SamlInvalidate => "saml_invalidate",
            Self::SamlCompleteLogout => "saml_complete_logout",
            Self::SamlMetadata => "saml_metadata",
            Self::OidcPrepare => "oidc_prepare",
            Self::OidcAuthenticate => "oidc_authenticate",
            Self::OidcLogout => "oidc_logout",
            Self::ActivateProfile => "activate_profile",
        }
    }
}

/// Values of the label `code`: statuses that matter one by one, the rest by class, and the ways to get none.
const CODES: [&str; 11] = [
    "200",
    "401",
    "403",
    "404",
    "429",
    "other",
    "5xx",
    "timeout",
    "connect",
    "garbage",
    "not_elasticsearch",
];

/// Handles on the metrics of asks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ElasticMetrics {
    requests: CounterVec,
    seconds: HistogramVec,
    up: GaugeVec,
}

impl ElasticMetrics {
    /// Registers `es_requests_total`, `es_request_duration_seconds` and `es_up`, every series of a closed set at zero.
    ///
    /// # Errors
    /// [`RegisterError`] when a name is taken.
    pub fn register(registry: &Registry) -> Result<Self, RegisterError> {
        let metrics = Self {
            requests: registry.counters(
                "es_requests_total",
                "Asks to the authority by endpoint and outcome; watch 5xx, timeout and connect",
                &["api", "code"],
            )?,
            seconds: registry.histograms(
                "es_request_duration_seconds",
                "Time until the authority's answer was whole",
                &["api"],
            )?,
            up: registry.gauges(
                "es_up",
                "1 while the node answers, 0 while it rests after a failure",
                &["node"],
            )?,
        };
        for api in Api::ALL {
            metrics.seconds(api);
            for code in CODES {
                metrics.requests(api, code);
            }
        }
        Ok(metrics)
    }

    /// Counts one ask and its time.
    pub(super) fn asked(&self, api: Api, code: &'static str, took: Duration) {
        self.requests(api, code).inc();
        self.seconds(api).observe(took.as_secs_f64());
    }

    /// The gauge of one node, made at 1: nobody is down until it fails.
    pub(super) fn up(&self, node: &str) -> Gauge {
        let gauge = self.up.with_label_values(&[node]);
        gauge.set(1);
        gauge
    }

    /// Takes the gauge of a node away that a reload dropped from the configuration.
    pub fn forget_node(&self, node: &str) {
        // Only fails when there is no such series, which is what we want.
        drop(self.up.remove_label_values(&[node]));
    }

    fn requests(&self, api: Api, code: &'static str) -> Counter {
        self.requests.with_label_values(&[api.label(), code])
    }

    fn seconds(&self, api: Api) -> Histogram {
        self.seconds.with_label_values(&[api.label()])
    }
}

/// The value of `code` for a status.
pub(super) const fn code_of(status: u16) -> &'static str {
    match status {
        200 => "200",
        401 => "401",
        403 => "403",
        404 => "404",
        429 => "429",
        500..=599 => "5xx",
        _ => "other",
    }
}
