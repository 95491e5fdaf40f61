//! What runs: the proxy with its current site, and everything that outlives a reload.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{anyhow, ensure};
use arc_swap::ArcSwap;

use super::authority;
use super::build;
use super::workshop;
use crate::authority::Authority;
use crate::config::settings::{self, Listener, NodeUrl, Settings};
use crate::elastic::client::Client;
use crate::elastic::metrics::ElasticMetrics;
use crate::forwarding::exchange::Workshop;
use crate::forwarding::metrics::ExchangeMetrics;
use crate::gate::Gate;
use crate::gate::limiter::LoginLimiter;
use crate::gate::metrics::GateFamilies;
use crate::gate::purge::PurgeScope;
use crate::model::clock::Clock;
use crate::net::drain::Watch;
use crate::net::metrics::NetMetrics;
use crate::proxy::Proxy;
use crate::proxy::metrics::ProxyMetrics;
use crate::proxy::site::{Shared, Site};
use crate::session::Sessions;
use crate::session::memory::Memory;
use crate::session::metrics::SessionMetrics;
use crate::sso::metrics::SsoMetrics;
use crate::sso::used::UsedAttempts;
use crate::sso::{self, Door};
use crate::telemetry::access::AccessLog;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::log::LogLevel;
use crate::telemetry::metrics::{CounterVec, Gauge, RegisterError, Registry};

/// Metric families of every floor.
pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) gate: GateFamilies,
    pub(super) elastic: ElasticMetrics,
    pub(super) proxy: ProxyMetrics,
    exchanges: ExchangeMetrics,
    sessions: SessionMetrics,
    sso: SsoMetrics,
    pub(super) net: NetMetrics,
    reloads: CounterVec,
    last_reload: Gauge,
}

impl Families {
    /// Registers everything there is to count.
    ///
    /// # Errors
    /// A name that is taken twice: a mistake in this program.
    pub(super) fn register() -> Result<Self, RegisterError> {
        let registry = Registry::new()?;
        registry.build_info(&[
            ("version", build::VERSION),
            ("commit", build::COMMIT),
            ("profile", build::PROFILE),
        ])?;
        let reloads = registry.counters(
            "config_reloads_total",
            "Reloads by result; worry when one was refused: the files on disk are not what runs",
            &["result"],
        )?;
        for result in ["applied", "refused"] {
            let _created = reloads.with_label_values(&[result]);
        }
        let last_reload = registry.gauge(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration that runs was loaded, in seconds since the Unix epoch",
        )?;
        Ok(Self {
            gate: GateFamilies::register(&registry)?,
            elastic: ElasticMetrics::register(&registry)?,
            proxy: ProxyMetrics::register(&registry)?,
            exchanges: ExchangeMetrics::register(&registry)?,
            sessions: SessionMetrics::register(&registry)?,
            sso: SsoMetrics::register(&registry)?,
            net: NetMetrics::register(&registry)?,
            registry,
            reloads,
            last_reload,
        })
    }
}

/// The running program.
pub(super) struct Running {
    settings: ArcSwap<Settings>,
    pub(super) proxy: Arc<Proxy>,
    pub(super) sso: Arc<Door>,
    pub(super) families: Families,
    pub(super) level: LogLevel,
    limiter: Arc<LoginLimiter>,
    /// Browsers' sessions that outlive a reload.
    sessions: Arc<Memory>,
    /// Who makes what upstreams get in place of clients' credentials.
    workshop: Workshop,
    access_log: AccessLog,
    audit_log: Option<AuditLog>,
    embedded: Option<Authority>,
    pub(super) clock: Clock,
    draining: AtomicBool,
    /// Why the last reload was refused, until one is applied.
    last_refusal: ArcSwap<Option<String>>,
}

impl Running {
    /// Builds every floor in order. Returns the embedded authority beside, when that is what is asked.
    ///
    /// # Errors
    /// A store that can't be opened, a file that can't be read.
    pub(super) async fn assemble(
        settings: Settings,
        clock: Clock,
        level: LogLevel,
        drain: Watch,
    ) -> anyhow::Result<(Self, Option<authority::Embedded>)> {
        let families = Families::register()?;
        let access_log = AccessLog::start(&settings.access_log)?;
        access_log.register(&families.registry)?;
        let asked = authority::set_up(&settings.authority, &families.elastic, &clock).await?;
        let audit_log = asked.embedded.as_ref().and_then(|it| it.audit.clone());
        if let Some(log) = &audit_log {
            log.register(&families.registry)?;
        }
        let limiter = Arc::new(LoginLimiter::new(&settings.login_limit));
        let workshop = workshop::open(&settings, &families.exchanges, &clock);
        let sessions = Arc::new(Memory::default());
        let lasting = Lasting {
            families: &families,
            limiter: &limiter,
            sessions: &sessions,
            workshop: &workshop,
        };
        let site = site(&settings, asked.client, &lasting)?;
        workshop::sweep(&settings, site.gate.client(), &workshop);
        let door = Door::new(
            sso_site(&settings, &site.gate)?,
            sso::Shared {
                clock: clock.clone(),
                log: access_log.clone(),
                metrics: families.sso.clone(),
                limiter: Arc::clone(&limiter),
                used: UsedAttempts::default(),
            },
        );
        let shared = Shared {
            clock: clock.clone(),
            log: access_log.clone(),
            metrics: families.proxy.clone(),
            drain,
        };
        let running = Self {
            settings: ArcSwap::from_pointee(settings),
            proxy: Arc::new(Proxy::new(site, shared)),
            sso: Arc::new(door),
            families,
            level,
            limiter,
            sessions,
            workshop,
            access_log,
            audit_log,
            embedded: asked.embedded.as_ref().map(|it| it.authority.clone()),
            clock,
            draining: AtomicBool::new(false),
            last_refusal: ArcSwap::from_pointee(None),
        };
        running.tell_loaded();
        Ok((running, asked.embedded))
    }

    /// The settings in force.
    pub(super) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Whether the embedded authority, if there is one, accepts changes.
    pub(super) fn store_is_writable(&self) -> bool {
        self.embedded.as_ref().is_none_or(Authority::is_writable)
    }

    /// The client in force.
    pub(super) fn client(&self) -> Client {
        self.proxy.site().gate.client().clone()
    }

    /// Builds a site from new settings and serves by it. The cache starts empty: a new configuration asks its own questions.
    ///
    /// # Errors
    /// Whatever can't be built, or can only change by a restart; the old site stays.
    pub(super) fn apply(&self, settings: Settings) -> anyhow::Result<()> {
        let old = self.settings();
        refuse_what_needs_a_restart(&old, &settings)?;
        let client = match &settings.authority {
            settings::Authority::Embedded(_) => self.client(),
            settings::Authority::Elasticsearch(nodes) => {
                authority::client_of(nodes, &self.families.elastic, &self.clock)?
            }
        };
        let lasting = Lasting {
            families: &self.families,
            limiter: &self.limiter,
            sessions: &self.sessions,
            workshop: &self.workshop,
        };
        let site = site(&settings, client, &lasting)?;
        let former = Arc::clone(&self.proxy.site().gate);
        let gate = Arc::clone(&site.gate);
        let sso = sso_site(&settings, &gate)?;
        self.proxy.swap(site);
        self.sso.swap(sso);
        gate.succeeds(&former);
        // What the former gate had made for upstreams is nobody's any more.
        tokio::spawn(async move { former.retire().await });
        self.forget_nodes(&old, &settings);
        self.settings.store(Arc::new(settings));
        Ok(())
    }

    /// Series of nodes that are gone go away, too.
    fn forget_nodes(&self, old: &Settings, new: &Settings) {
        for node in nodes_of(old)
            .iter()
            .filter(|node| !nodes_of(new).contains(node))
        {
            self.families.elastic.forget_node(&node.authority());
        }
    }

    /// Counts a reload and remembers why it was refused, for readiness and `/metrics`.
    pub(super) fn note_reload(&self, outcome: &anyhow::Result<()>) {
        let result = if outcome.is_ok() {
            "applied"
        } else {
            "refused"
        };
        self.families.reloads.with_label_values(&[result]).inc();
        self.last_refusal.store(Arc::new(
            outcome.as_ref().err().map(|error| format!("{error:#}")),
        ));
        if outcome.is_ok() {
            self.tell_loaded();
        }
    }

    fn tell_loaded(&self) {
        let seconds = i64::try_from(self.clock.now().unix.as_secs()).unwrap_or(i64::MAX);
        self.families.last_reload.set(seconds);
    }

    /// Why the last reload was refused, if it was.
    pub(super) fn last_refusal(&self) -> Option<String> {
        self.last_refusal.load().as_ref().clone()
    }

    /// Purges what is known within `scope`, and takes back what was made for upstreams by it.
    pub(super) async fn purge(&self, scope: PurgeScope) -> u64 {
        let gate = Arc::clone(&self.proxy.site().gate);
        let purged = gate.purge(scope).await;
        let left = self.workshop.ledger.wait(workshop::PURGE_LIMIT).await;
        if left > 0 {
            tracing::warn!(
                left,
                "some of what was made for upstreams is not taken back yet"
            );
        }
        purged
    }

    /// Takes back everything that was made for upstreams, as far as there is time.
    pub(super) async fn take_back(&self) {
        let gate = Arc::clone(&self.proxy.site().gate);
        gate.retire().await;
        if let Some(sessions) = gate.sessions() {
            if sessions.settings().end_on_drain {
                let ended = sessions.end_here();
                tracing::info!(ended, "sessions ended by the drain");
            }
            let left = gate.settle_sessions(workshop::DRAIN_LIMIT).await;
            if left > 0 {
                tracing::warn!(
                    left,
                    "tokens of some sessions were not given back and end by themselves"
                );
            }
        }
        let left = self.workshop.ledger.settle(workshop::DRAIN_LIMIT).await;
        if left > 0 {
            tracing::warn!(
                left,
                "some of what was made for upstreams was not taken back and ends by itself"
            );
        }
    }

    /// Turns readiness off.
    pub(super) fn begin_drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether a drain has begun.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Opens the files of access and audit log anew, for log rotation.
    ///
    /// # Errors
    /// When one can't be opened; the old one stays in use.
    pub(super) fn reopen_logs(&self) -> anyhow::Result<()> {
        let access = self.access_log.reopen();
        if let Some(log) = &self.audit_log {
            log.reopen()?;
        }
        Ok(access?)
    }

    /// Writes out what is still in memory.
    pub(super) fn stop(&self) {
        self.access_log.stop();
        if let Some(log) = &self.audit_log {
            log.flush();
        }
    }
}

/// What outlives a reload and takes part in what one configuration comes to.
struct Lasting<'a> {
    families: &'a Families,
    limiter: &'a Arc<LoginLimiter>,
    sessions: &'a Arc<Memory>,
    workshop: &'a Workshop,
}

/// Everything one configuration comes to.
fn site(settings: &Settings, client: Client, lasting: &Lasting<'_>) -> anyhow::Result<Site> {
    let Lasting {
        families,
        limiter,
        sessions,
        workshop,
    } = lasting;
    let lender = workshop.ledger.lender(&client);
    let mut gate = gate(settings, client, families, limiter, &workshop.clock)?;
    if let Some(sso) = &settings.sso {
        let sessions = Sessions::new(sso, sessions, families.sessions.clone())?;
        gate = gate.with_sessions(sso, sessions);
    }
    gate.lend_by(&lender);
    let site = Site::build(settings, Arc::new(gate), &families.proxy)?;
    Ok(site.making(settings, Workshop::clone(workshop))?)
}

/// The door of single sign-on by the same settings, with the sessions of the same gate.
fn sso_site(settings: &Settings, gate: &Gate) -> anyhow::Result<Option<sso::site::Site>> {
    let (Some(sso), Some(sessions)) = (&settings.sso, gate.sessions()) else {
        return Ok(None);
    };
    let client = gate.client().clone();
    let site = sso::site::Site::build(sso, Arc::clone(sessions), client)?;
    Ok(Some(site))
}

fn gate(
    settings: &Settings,
    client: Client,
    families: &Families,
    limiter: &Arc<LoginLimiter>,
    clock: &Clock,
) -> anyhow::Result<Gate> {
    Gate::new(
        settings,
        client,
        &families.gate,
        Arc::clone(limiter),
        clock.clone(),
    )
    .map_err(anyhow::Error::from)
}

/// A gate without doors, for `explain`.
pub struct GateAlone {
    gate: Gate,
    workshop: Workshop,
}

impl GateAlone {
    /// Sets it up.
    ///
    /// # Errors
    /// As for the running gate: a store that can't be opened, a file that can't be read.
    pub async fn set_up(settings: &Settings, clock: Clock) -> anyhow::Result<Self> {
        let families = Families::register()?;
        let asked = authority::set_up(&settings.authority, &families.elastic, &clock).await?;
        let limiter = Arc::new(LoginLimiter::new(&settings.login_limit));
        let workshop = workshop::open(settings, &families.exchanges, &clock);
        let lender = workshop.ledger.lender(&asked.client);
        let gate = gate(settings, asked.client, &families, &limiter, &clock)?;
        gate.lend_by(&lender);
        Ok(Self { gate, workshop })
    }

    /// The gate.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Takes back the tokens that its decisions needed, as far as there is time.
    pub async fn take_back(self) {
        self.gate.retire().await;
        self.workshop.ledger.settle(workshop::DRAIN_LIMIT).await;
    }
}

fn nodes_of(settings: &Settings) -> &[NodeUrl] {
    match &settings.authority {
        settings::Authority::Elasticsearch(nodes) => &nodes.nodes,
        settings::Authority::Embedded(_) => &[],
    }
}

/// Sockets and threads are made at start only.
fn refuse_what_needs_a_restart(old: &Settings, new: &Settings) -> anyhow::Result<()> {
    let fixed = |listener: &Listener| Listener {
        tls: None,
        ..listener.clone()
    };
    let same_listeners =
        old.listeners.len() == new.listeners.len()
            && old.listeners.iter().zip(&new.listeners).all(|(old, new)| {
                fixed(old) == fixed(new) && old.tls.is_some() == new.tls.is_some()
            });
    ensure!(
        same_listeners,
        "listeners: addresses, limits and trusted proxies can only change by a restart"
    );
    ensure!(
        old.admin == new.admin,
        "admin.address can only change by a restart"
    );
    ensure!(
        old.workers == new.workers,
        "workers can only change by a restart"
    );
    ensure!(
        old.instance == new.instance,
        "instance can only change by a restart"
    );
    ensure!(
        old.access_log == new.access_log,
        "access_log can only change by a restart"
    );
    ensure!(
        old.login_limit == new.login_limit,
        "login_limit can only change by a restart"
    );
    match (&old.authority, &new.authority) {
        (settings::Authority::Embedded(old), settings::Authority::Embedded(new)) => {
            ensure!(
                old == new,
                "authority.embedded can only change by a restart"
            );
        }
        (settings::Authority::Elasticsearch(_), settings::Authority::Elasticsearch(_)) => {}
        _ => {
            return Err(anyhow!(
                "the kind of authority can only change by a restart"
            ));
        }
    }
    Ok(())
}
