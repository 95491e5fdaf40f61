//! What the admin door needs of the running program, without knowing how it is built.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use crate::gate::purge::PurgeScope;

/// A purge under way; comes to the number of credentials forgotten.
pub type Purging<'a> = Pin<Box<dyn Future<Output = u64> + Send + 'a>>;

/// Sessions being ended; comes to their number, or to why nobody can tell.
pub type EndingSessions<'a> = Pin<Box<dyn Future<Output = Result<u64, String>> + Send + 'a>>;

/// The running program, as an operator sees it. The app implements it.
pub trait Operations: Send + Sync {
    /// Which parts are ready to serve requests: `authority`, `config`, `draining`.
    fn readiness(&self) -> Readiness;

    /// Entries, bounds and counts of the caches, without any key or credential.
    fn cache_statistics(&self) -> Value;

    /// Forgets answers. When this has completed, no request is decided from what was in `scope`, not even by an ask that was in
    /// flight. Forgetting more than was asked for is allowed; less is not.
    fn purge<'a>(&'a self, scope: &PurgeScope) -> Purging<'a>;

    /// Ends browsers' sessions, so that none of them passes any more when this has completed; `None` where there are none.
    fn end_sessions<'a>(&'a self, _scope: &SessionScope) -> Option<EndingSessions<'a>> {
        None
    }

    /// The route table in written order, without secrets.
    fn routes(&self) -> Value;

    /// The public keys that verify assertions, as a JWK set (RFC 7517); `None` when nobody signs any.
    fn published_keys(&self) -> Option<Value> {
        None
    }
}

/// Whether requests can be served, part by part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Every part there is, ready or not.
    pub parts: Vec<Part>,
}

/// A part of the program that must be ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Why it isn't ready, in words without secrets; `None` when it is.
    pub trouble: Option<String>,
}

impl Readiness {
    /// Adds a part.
    #[must_use]
    pub fn with(mut self, name: &'static str, trouble: Option<String>) -> Self {
        self.parts.push(Part { name, trouble });
        self
    }

    /// True when no part is in trouble.
    pub fn is_ready(&self) -> bool {
        self.parts.iter().all(|part| part.trouble.is_none())
    }
}

/// Which sessions to end: those of whom everything that is given holds; nothing given means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionScope {
    /// The user's name.
    pub user: Option<String>,
    /// The realm that vouched for them.
    pub realm: Option<String>,
    /// The provider they logged in at.
    pub provider: Option<String>,
}
