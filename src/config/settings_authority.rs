//! What the operator wants of the embedded authority beside its store: its audit log, and how it runs alone.

use std::net::SocketAddr;
use std::time::Duration;

use super::settings::{AccessLogTarget, Authority, Embedded, Tls};

/// The audit log of the embedded authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Where it goes.
    pub target: AccessLogTarget,
    /// Names of the events that are written.
    pub events: Vec<&'static str>,
}

/// What `sidegate authority` serves.
#[derive(Clone, Debug)]
pub struct AuthorityAlone {
    /// The authority.
    pub embedded: Embedded,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// Worker threads; `None`: one per core.
    pub workers: Option<usize>,
}

impl Authority {
    /// The embedded authority's own address, if it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Embedded(embedded) => embedded.address,
            Self::Elasticsearch(_) => None,
        }
    }

    /// TLS of the embedded authority's own address.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Self::Embedded(embedded) => embedded.tls.as_ref(),
            Self::Elasticsearch(_) => None,
        }
    }
}
