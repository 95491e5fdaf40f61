//! The addresses of an upstream: which rest after failures, and which were tried for one request.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http::uri::Scheme;

use crate::config::settings::UpstreamUrl;
use crate::model::clock::Now;

/// One address of an upstream, and whether it is left alone.
pub(super) struct Address {
    pub(super) url: UpstreamUrl,
    pub(super) scheme: Scheme,
    pub(super) authority: HeaderValue,
    pub(super) failures: AtomicU32,
    /// Monotonic milliseconds until which it is left alone.
    rests_until: AtomicU64,
}

/// The addresses that one request was tried on.
#[derive(Clone, Copy, Default)]
pub(super) struct Tried(u64);

// === impl Address ===

impl Address {
    pub(super) fn new(url: &UpstreamUrl) -> Self {
        let (scheme, authority) = match url {
            UpstreamUrl::Unix(_) => (Scheme::HTTP, "localhost".to_owned()),
            UpstreamUrl::Tcp { tls, host, port } => {
                let host = if host.contains(':') {
                    format!("[{host}]")
                } else {
                    host.clone()
                };
                let default = if *tls { 443 } else { 80 };
                let authority = if *port == default {
                    host
                } else {
                    format!("{host}:{port}")
                };
                (if *tls { Scheme::HTTPS } else { Scheme::HTTP }, authority)
            }
        };
        Self {
            url: url.clone(),
            scheme,
            authority: HeaderValue::try_from(authority)
                .unwrap_or_else(|_| HeaderValue::from_static("localhost")),
            failures: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
        }
    }

    pub(super) fn name(&self) -> String {
        match &self.url {
            UpstreamUrl::Unix(path) => format!("unix:{}", path.display()),
            UpstreamUrl::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }

    pub(super) fn rests(&self, now: Now) -> bool {
        now.mono < Duration::from_millis(self.rests_until.load(Ordering::Relaxed))
    }

    pub(super) fn rest(&self, until: Duration) {
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.rests_until.store(until, Ordering::Relaxed);
    }
}

// === impl Tried ===

impl Tried {
    /// Addresses beyond the 64th are never noted, and so may be tried twice.
    pub(super) fn note(&mut self, index: usize) {
        self.0 |= Self::bit(index);
    }

    pub(super) fn has(self, index: usize) -> bool {
        self.0 & Self::bit(index) != 0
    }

    pub(super) fn all(self, count: usize) -> bool {
        (0..count).all(|index| self.has(index))
    }

    fn bit(index: usize) -> u64 {
        u32::try_from(index)
            .ok()
            .and_then(|index| 1_u64.checked_shl(index))
            .unwrap_or(0)
    }
}
