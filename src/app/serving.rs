//! Everything that listens: the proxy's listeners on their workers, the admin door and the embedded authority's API beside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::authority::{self, Embedded};
use super::door::{AuthorityDoor, SIDE_LIMITS, internal_error};
use super::entrance::Entrance;
use super::running::Running;
use crate::admin::Admin;
use crate::admin::operations::Operations;
use crate::authority::certificates::InUse;
use crate::config::settings::{self, Settings};
use crate::net::drain::{Drain, Report, Watch};
use crate::net::http::{Peer, Request, Response};
use crate::net::listen::Bound;
use crate::net::serve::{Front, Handler};
use crate::net::tls::{ServerTls, TlsError};
use crate::net::workers::{Workers, worker_count};

/// Where everything was bound.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Listeners of the proxy door, by name, in written order.
    pub listeners: Vec<(String, SocketAddr)>,
    /// The admin door.
    pub admin: SocketAddr,
    /// The embedded authority's API, when it is served.
    pub authority: Option<SocketAddr>,
}

/// What listens. Dropping it stops the workers.
pub(super) struct Serving {
    addresses: Addresses,
    drain: Drain,
    /// The drain of the side doors begins only when the proxy's is over, so that an orchestrator can watch it.
    side_drain: Drain,
    certificates: Vec<Option<Arc<ServerTls>>>,
    authority_tls: Option<Arc<ServerTls>>,
    /// What the embedded authority tells of all of them.
    in_use: Option<InUse>,
    // In this order: the proxy's workers stop before the side doors do.
    _workers: Arc<Workers>,
    _side: Arc<Workers>,
}

impl Serving {
    /// Binds everything before anything is served, then begins to accept.
    ///
    /// # Errors
    /// An address that is taken or not ours, a certificate that can't be read, no threads.
    pub(super) fn start(
        running: &Arc<Running>,
        embedded: Option<Embedded>,
        (drain, watch): (Drain, Watch),
    ) -> anyhow::Result<Self> {
        let settings = running.settings();
        let (side_drain, side_watch) = Drain::new();
        let mut bound = Vec::new();
        for listener in &settings.listeners {
            bound.push(
                Bound::bind(listener.address)
                    .with_context(|| format!("can't listen on {}", listener.address))?,
            );
        }
        let certificates = settings
            .listeners
            .iter()
            .map(|listener| load(listener.tls.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        let side = Arc::new(Workers::start(1)?);
        let admin = listen_beside(
            running,
            &side,
            &side_watch,
            ("admin", settings.admin.address, None),
            AdminDoor(admin_of(running)),
        )?;
        let authority_tls = load(settings.authority.tls())?;
        let authority = match (&embedded, &settings.authority) {
            (
                Some(embedded),
                settings::Authority::Embedded(settings::Embedded {
                    address: Some(address),
                    ..
                }),
            ) => Some(listen_beside(
                running,
                &side,
                &side_watch,
                ("authority", *address, authority_tls.clone()),
                AuthorityDoor(embedded.authority.clone()),
            )?),
            _ => None,
        };
        let workers = Arc::new(Workers::start(worker_count(settings.workers))?);
        let entrance = Arc::new(Entrance {
            proxy: Arc::clone(&running.proxy),
            sso: Arc::clone(&running.sso),
        });
        let mut listeners = Vec::new();
        for ((listener, bound), tls) in settings.listeners.iter().zip(bound).zip(&certificates) {
            listeners.push((listener.name.clone(), bound.address()));
            let metrics = running.families.net.listener(&listener.name);
            let front = Front::new(
                listener,
                Arc::clone(&entrance),
                tls.clone(),
                metrics,
                watch.clone(),
            );
            tracing::info!(listener = %listener.name, address = %bound.address(), tls = tls.is_some(), "listening");
            accept(bound, front, &workers);
        }
        let serving = Self {
            addresses: Addresses {
                listeners,
                admin,
                authority,
            },
            drain,
            side_drain,
            certificates,
            authority_tls,
            in_use: embedded.map(|embedded| embedded.certificates),
            _workers: workers,
            _side: side,
        };
        serving.tell_certificates(running);
        Ok(serving)
    }

    /// Where everything was bound.
    pub(super) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Reads every certificate of new settings without using it, so that a fault shows before anything is swapped.
    ///
    /// # Errors
    /// A file that can't be read, a key that doesn't fit its certificate.
    pub(super) fn try_certificates(settings: &Settings) -> anyhow::Result<()> {
        for listener in &settings.listeners {
            load(listener.tls.as_ref()).with_context(|| format!("listener {}", listener.name))?;
        }
        load(settings.authority.tls()).context("authority.embedded.tls")?;
        Ok(())
    }

    /// Serves new connections by the certificates of new settings; open connections keep theirs.
    ///
    /// # Errors
    /// As for [`Serving::try_certificates`]; what can't be read keeps its old certificate.
    pub(super) fn reload_certificates(
        &self,
        running: &Running,
        settings: &Settings,
    ) -> anyhow::Result<()> {
        for (listener, tls) in settings.listeners.iter().zip(&self.certificates) {
            if let (Some(written), Some(serving)) = (&listener.tls, tls) {
                serving
                    .reload(written)
                    .with_context(|| format!("listener {}", listener.name))?;
            }
        }
        if let (Some(written), Some(serving)) = (settings.authority.tls(), &self.authority_tls) {
            serving.reload(written).context("authority.embedded.tls")?;
        }
        self.tell_certificates(running);
        Ok(())
    }

    fn tell_certificates(&self, running: &Running) {
        let served = || {
            let listeners = self.certificates.iter().flatten();
            listeners.chain(&self.authority_tls).map(|tls| &**tls)
        };
        let expiries: Vec<_> = served().flat_map(ServerTls::expiries).collect();
        running.families.net.certificates(&expiries);
        if let Some(in_use) = &self.in_use {
            in_use.set(authority::in_use(served()));
        }
    }

    /// Cuts every connection of the proxy's listeners that is still open.
    pub(super) async fn cut(&mut self) -> Report {
        self.drain.finish(Duration::ZERO).await
    }

    /// Stops accepting, lets requests finish, cuts what is left at the deadline; then the side doors close too.
    pub(super) async fn drain(&mut self, deadline: Duration) -> Report {
        let report = self.drain.finish(deadline).await;
        self.side_drain.finish(Duration::from_millis(250)).await;
        report
    }
}

/// Reads what a listener's TLS names, if it has any.
fn load(tls: Option<&settings::Tls>) -> Result<Option<Arc<ServerTls>>, TlsError> {
    tls.map(|tls| ServerTls::load(tls).map(Arc::new))
        .transpose()
}

/// Binds and serves a door that is not the proxy's, on the side worker.
fn listen_beside<H: Handler>(
    running: &Arc<Running>,
    workers: &Arc<Workers>,
    watch: &Watch,
    (name, address, tls): (&str, SocketAddr, Option<Arc<ServerTls>>),
    handler: H,
) -> anyhow::Result<SocketAddr> {
    let bound =
        Bound::bind(address).with_context(|| format!("can't listen on {address} ({name})"))?;
    let address = bound.address();
    let listener = settings::Listener {
        name: name.to_owned(),
        address,
        tls: None,
        trusted_proxies: Vec::new(),
        forwarded_client_certificates: None,
        limits: SIDE_LIMITS,
    };
    let metrics = running.families.net.listener(name);
    tracing::info!(listener = name, %address, "listening");
    accept(
        bound,
        Front::new(&listener, Arc::new(handler), tls, metrics, watch.clone()),
        workers,
    );
    Ok(address)
}

fn accept<H: Handler>(bound: Bound, front: Front<H>, workers: &Arc<Workers>) {
    let workers = Arc::clone(workers);
    tokio::spawn(async move {
        if let Err(error) = bound.accept(Arc::new(front), workers).await {
            tracing::error!(%error, "a listener stopped accepting");
        }
    });
}

fn admin_of(running: &Arc<Running>) -> Admin {
    let operations: Arc<dyn Operations> = Arc::clone(running) as Arc<dyn Operations>;
    Admin::new(
        operations,
        running.families.registry.clone(),
        running.level.clone(),
        [],
    )
}

struct AdminDoor(Admin);

impl Handler for AdminDoor {
    async fn call(&self, request: Request, _peer: &Arc<Peer>) -> Response {
        self.0.respond(request).await
    }

    fn panicked(&self) -> Response {
        internal_error()
    }
}
