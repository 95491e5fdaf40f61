//! What the admin door may see and do of the running program.

use std::sync::Arc;

use serde_json::{Value, json};

use super::running::Running;
use crate::admin::operations::{EndingSessions, Operations, Purging, Readiness, SessionScope};
use crate::gate::purge::PurgeScope;
use crate::session::ended::EndReason;
use crate::session::whose::Whose;

impl Operations for Running {
    fn readiness(&self) -> Readiness {
        let authority = (!self.client().is_reachable()).then(|| {
            "the authority did not answer the last question; see the log for the cause".to_owned()
        });
        let store = (!self.store_is_writable()).then(|| {
            "the embedded authority's store can't be written; see the log for the cause".to_owned()
        });
        let draining = self.is_draining().then(|| "draining".to_owned());
        // A refused reload is no reason to take traffic away from the configuration that runs; it is shown, not counted.
        Readiness::default()
            .with("config", None)
            .with("authority", authority)
            .with("store", store)
            .with("draining", draining)
    }

    fn cache_statistics(&self) -> Value {
        let stats = self.proxy.site().gate.stats();
        let bounds = &self.settings().cache;
        json!({
            "identity": {"entries": stats.entries, "max_entries": bounds.max_entries, "ttl_seconds": bounds.ttl.as_secs_f64()},
            "negative": {"entries": stats.negative, "max_entries": bounds.max_negative_entries,
                "ttl_seconds": bounds.negative_ttl.as_secs_f64()},
            "resolved": {"entries": stats.resolved, "max_entries": bounds.max_resolved_entries},
            "asks_in_flight": stats.in_flight,
            "last_refused_reload": self.last_refusal(),
        })
    }

    fn purge<'a>(&'a self, scope: &PurgeScope) -> Purging<'a> {
        let scope = scope.clone();
        Box::pin(async move { Self::purge(self, scope).await })
    }

    fn end_sessions<'a>(&'a self, scope: &SessionScope) -> Option<EndingSessions<'a>> {
        let gate = Arc::clone(&self.proxy.site().gate);
        let sessions = Arc::clone(gate.sessions()?);
        let whose = Whose {
            username: scope.user.clone(),
            realm: scope.realm.clone(),
            provider: scope.provider.clone(),
            ..Whose::default()
        };
        let now = self.clock.now();
        Some(Box::pin(async move {
            let ending = sessions.end_all(&whose, EndReason::Admin, now);
            ending.await.map_err(|trouble| trouble.to_string())
        }))
    }

    fn published_keys(&self) -> Option<Value> {
        let site = self.proxy.site();
        site.forwarding.signer().map(|signer| signer.jwks().clone())
    }

    fn routes(&self) -> Value {
        let site = self.proxy.site();
        let upstreams: Vec<_> = site
            .upstreams
            .iter()
            .map(|upstream| upstream.name().to_owned())
            .collect();
        site.gate
            .routes()
            .routes()
            .iter()
            .map(|route| {
                json!({
                    "name": route.name,
                    "hosts": route.matches.hosts,
                    "path": route.matches.path,
                    "methods": route.matches.methods,
                    "access": route.access(),
                    "upstream": upstreams.get(route.upstream),
                    "websocket": route.websocket,
                })
            })
            .collect()
    }
}
