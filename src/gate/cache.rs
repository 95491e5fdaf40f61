//! One entry per credential (to be completed: moka, single flight, refresh, purge).

use std::sync::OnceLock;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::model::identity::Identity;
use crate::model::privilege::AtomBits;

/// Headers made once per entry and forwarding, then cloned (cheaply) into each request.
pub type PrebuiltHeaders = Box<[(HeaderName, HeaderValue)]>;

/// What is remembered about a credential. Immutable but for the lazily made headers.
#[derive(Debug)]
pub struct Entry {
    /// Who it is.
    pub identity: Identity,
    /// Static atoms the identity was granted.
    pub granted: AtomBits,
    /// Monotonic time from which it may not be used any more (stale-if-error apart).
    pub expires: Duration,
    /// One slot per distinct forwarding, filled by the first request that needs it.
    pub prebuilt: Box<[OnceLock<PrebuiltHeaders>]>,
}

/// How a decision came by its answer; a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheResult {
    /// A live entry.
    Hit,
    /// Nobody knew; the authority was asked.
    Miss,
    /// A remembered refusal.
    NegativeHit,
    /// An entry past its ttl, because the authority is in trouble.
    Stale,
    /// Waited for somebody else's ask.
    Coalesced,
    /// No credential took part.
    Bypass,
}

impl CacheResult {
    /// Every value, to pre-create metric series.
    pub const ALL: [Self; 6] = [
        Self::Hit,
        Self::Miss,
        Self::NegativeHit,
        Self::Stale,
        Self::Coalesced,
        Self::Bypass,
    ];

    /// The label in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::NegativeHit => "negative_hit",
            Self::Stale => "stale",
            Self::Coalesced => "coalesced",
            Self::Bypass => "bypass",
        }
    }
}
