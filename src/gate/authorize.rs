//! The only maker of [`Permit`].

use std::sync::Arc;

use http::Uri;

use super::cache::{CacheResult, Entry};
use super::routes::Route;
use crate::model::credential::Scheme;

/// Proof that an identity met a route's requirement for this one request. Consumed by the door that forwards it.
///
/// Not `Clone`, and its fields are private: no request is forwarded without one, and none is forwarded twice on one.
#[derive(Debug)]
pub struct Permit {
    route: Arc<Route>,
    /// Absent on routes for everyone.
    entry: Option<Arc<Entry>>,
    scheme: Option<Scheme>,
    cache: CacheResult,
    /// Canonical path and query: what was judged, and what must be forwarded.
    target: Uri,
    /// Canonical host the route was matched with.
    host: String,
}

impl Permit {
    /// The route that matched.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// What is known of the caller; `None` on routes for everyone.
    pub fn entry(&self) -> Option<&Entry> {
        self.entry.as_deref()
    }

    /// The credential's scheme, if one was used.
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// Where the answer came from.
    pub fn cache(&self) -> CacheResult {
        self.cache
    }

    /// The path and query to forward, in origin form.
    pub fn target(&self) -> &Uri {
        &self.target
    }

    /// The canonical host (lower case, no port, no trailing dot).
    pub fn host(&self) -> &str {
        &self.host
    }
}

#[cfg(test)]
impl Permit {
    /// A permit nobody earned, for the tests of the floors above.
    pub(crate) fn for_tests(
        route: Arc<Route>,
        entry: Option<Arc<Entry>>,
        target: &str,
        host: &str,
    ) -> Self {
        Self {
            scheme: entry.as_ref().map(|_| Scheme::Basic),
            route,
            entry,
            cache: CacheResult::Hit,
            target: target.parse().unwrap(),
            host: host.into(),
        }
    }
}
