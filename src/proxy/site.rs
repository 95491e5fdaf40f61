//! What one configuration comes to, and each worker's share of it.
//!
//! A [`Site`] is immutable and exchanged whole; a [`Local`] is a worker's handle on it with that worker's connections. Requests
//! hold their `Local`, so a request ends with the configuration it began with, and no count that all cores share is touched.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::login::LoginPage;
use super::metrics::{ProxyMetrics, SiteMetrics};
use super::respond::Manner;
use super::rewrite::Rewrite;
use super::trailers::Trailers;
use super::upstream::{Pools, Upstream};
use crate::config::settings::Settings;
use crate::forwarding::exchange::{Exchanger, Workshop};
use crate::forwarding::signer::{Signer, SignerError};
use crate::forwarding::{Forwarding, ForwardingError};
use crate::gate::Gate;
use crate::model::clock::Clock;
use crate::net::drain::Watch;
use crate::net::tls::TlsError;
use crate::telemetry::access::AccessLog;

/// How often idle connections are looked through.
const REAP_INTERVAL: Duration = Duration::from_secs(5);

/// What stays over reloads.
pub struct Shared {
    /// The clock.
    pub clock: Clock,
    /// The access log.
    pub log: AccessLog,
    /// Metric families.
    pub metrics: ProxyMetrics,
    /// The drain tunnels follow.
    pub drain: Watch,
}

/// One configuration, built.
pub struct Site {
    /// Who decides.
    pub gate: Arc<Gate>,
    /// How identities travel.
    pub forwarding: Forwarding,
    /// What else changes on the way.
    pub rewrite: Rewrite,
    /// What may follow a body.
    pub trailers: Trailers,
    /// Upstreams in the name order of the settings.
    pub upstreams: Box<[Upstream]>,
    /// Metric handles.
    pub metrics: SiteMetrics,
    /// How much refusals tell.
    pub manner: Manner<'static>,
    /// Where browsers without a credential are sent; `None`: nowhere.
    pub login: Option<LoginPage>,
    /// Path at which the keys that verify assertions are served, and the keys.
    pub published_keys: Option<(String, Bytes)>,
}

/// Why a site can't be built.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// An identity header.
    #[error(transparent)]
    Forwarding(#[from] ForwardingError),
    /// A key that is to sign assertions.
    #[error("assertion: {0}")]
    Signer(#[from] SignerError),
    /// An upstream's TLS.
    #[error("upstream {name}: {source}")]
    Upstream {
        /// Upstream.
        name: String,
        /// What is wrong.
        source: TlsError,
    },
}

/// A worker's share of a site.
pub struct Local {
    /// The site.
    pub site: Arc<Site>,
    /// What stays over reloads.
    pub shared: Arc<Shared>,
    /// This worker's connections, by upstream.
    pub pools: Box<[Pools]>,
    /// Where the site in force is, for what outlives this one.
    pub sites: Arc<ArcSwap<Site>>,
}

thread_local! {
    /// This worker's shares: one per proxy, which is one, but in tests.
    static LOCALS: RefCell<Vec<(Weak<Shared>, Arc<Local>)>> = const { RefCell::new(Vec::new()) };
}

// === impl Site ===

impl Site {
    /// Builds everything the settings name around a gate that was built from the same settings.
    ///
    /// # Errors
    /// [`SiteError`] for the first thing that can't be built.
    pub fn build(
        settings: &Settings,
        gate: Arc<Gate>,
        metrics: &ProxyMetrics,
    ) -> Result<Self, SiteError> {
        let upstreams = settings
            .upstreams
            .iter()
            .map(|(name, upstream)| {
                Upstream::new(upstream, metrics.upstream(name)).map_err(|source| {
                    SiteError::Upstream {
                        name: name.clone(),
                        source,
                    }
                })
            })
            .collect::<Result<_, _>>()?;
        let manner = Manner {
            explain: settings.explain_refusals,
            negotiate: gate.offers_negotiate(),
            ..Manner::default()
        };
        Ok(Self {
            gate,
            forwarding: Forwarding::new(&settings.routes)?,
            rewrite: Rewrite::default(),
            trailers: Trailers::new(settings),
            upstreams,
            metrics: metrics.site(settings),
            manner,
            login: settings.sso.as_ref().map(LoginPage::of),
            published_keys: None,
        })
    }

    /// With what makes credentials and assertions for upstreams.
    ///
    /// # Errors
    /// [`SiteError::Signer`] when a key that is to sign can't be used.
    pub fn making(mut self, settings: &Settings, workshop: Workshop) -> Result<Self, SiteError> {
        let signing = settings.assertion.as_ref();
        let signer = signing.map(Signer::load).transpose()?.map(Arc::new);
        let path = signing.and_then(|signing| signing.jwks_path.clone());
        self.published_keys = path
            .zip(signer.as_ref())
            .map(|(path, signer)| (path, Bytes::from(signer.jwks().to_string())));
        let jwt = settings.credentials.jwt.as_ref();
        let secret = jwt.and_then(|jwt| jwt.client_authentication.clone());
        let exchanger = Exchanger::new(self.gate.client().clone(), workshop, secret);
        self.forwarding = self.forwarding.making(exchanger, signer);
        Ok(self)
    }
}

// === impl Local ===

impl Local {
    /// This worker's share of the current site; made on first use, and anew after a reload.
    pub fn current(current: &Arc<ArcSwap<Site>>, shared: &Arc<Shared>) -> Arc<Self> {
        let site = current.load();
        LOCALS.with_borrow_mut(|locals| {
            let mine = locals
                .iter()
                .position(|(owner, _)| std::ptr::eq(owner.as_ptr(), Arc::as_ptr(shared)));
            if let Some(index) = mine {
                let local = &locals[index].1;
                if Arc::ptr_eq(&local.site, &site) {
                    return Arc::clone(local);
                }
                locals.swap_remove(index);
            }
            locals.retain(|(owner, _)| owner.strong_count() > 0);
            let local = Arc::new(Self::new(
                Arc::clone(&site),
                Arc::clone(shared),
                Arc::clone(current),
            ));
            tokio::spawn(Self::reap(Arc::downgrade(&local)));
            locals.push((Arc::downgrade(shared), Arc::clone(&local)));
            local
        })
    }

    fn new(site: Arc<Site>, shared: Arc<Shared>, sites: Arc<ArcSwap<Site>>) -> Self {
        Self {
            sites,
            pools: site.upstreams.iter().map(Upstream::pools).collect(),
            site,
            shared,
        }
    }

    /// Looks through idle connections until the share is no longer used.
    async fn reap(local: Weak<Self>) {
        loop {
            tokio::time::sleep(REAP_INTERVAL).await;
            let Some(local) = local.upgrade() else { return };
            let now = local.shared.clock.now();
            for pools in &local.pools {
                pools.reap(now);
            }
        }
    }
}
