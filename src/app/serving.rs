//! Everything that listens: the proxy's listeners on their workers, the admin door and the embedded authority's API beside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::StatusCode;
use tower::ServiceExt as _;

use super::running::Running;
use crate::admin::Admin;
use crate::admin::operations::Operations;
use crate::authority::Authority;
use crate::config::settings::{self, Limits, Settings};
use crate::net::drain::{Drain, Report, Watch};
use crate::net::http::{Body, Peer, Request, Response};
use crate::net::listen::Bound;
use crate::net::serve::{Front, Handler};
use crate::net::tls::ServerTls;
use crate::net::workers::{Workers, worker_count};

/// Bounds of the doors that operators use: small, because their clients are few.
const SIDE_LIMITS: Limits = Limits {
    max_connections: 256,
    max_headers: 100,
    max_header_bytes: 32 * 1024,
    handshake_timeout: Duration::from_secs(10),
    header_timeout: Duration::from_secs(10),
    body_idle_timeout: Duration::from_secs(30),
    keep_alive_timeout: Duration::from_secs(75),
    max_streams: 100,
};

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
        embedded: Option<Authority>,
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
            .map(|listener| {
                listener
                    .tls
                    .as_ref()
                    .map(|tls| ServerTls::load(tls).map(Arc::new))
                    .transpose()
            })
            .collect::<Result<Vec<_>, _>>()?;
        let side = Arc::new(Workers::start(1)?);
        let admin = listen_beside(
            running,
            &side,
            &side_watch,
            ("admin", settings.admin.address),
            AdminDoor(admin_of(running)),
        )?;
        let authority = match (embedded, &settings.authority) {
            (
                Some(authority),
                settings::Authority::Embedded(settings::Embedded {
                    address: Some(address),
                    ..
                }),
            ) => Some(listen_beside(
                running,
                &side,
                &side_watch,
                ("authority", *address),
                AuthorityDoor(authority),
            )?),
            _ => None,
        };
        let workers = Arc::new(Workers::start(worker_count(settings.workers))?);
        let mut listeners = Vec::new();
        for ((listener, bound), tls) in settings.listeners.iter().zip(bound).zip(&certificates) {
            listeners.push((listener.name.clone(), bound.address()));
            let metrics = running.families.net.listener(&listener.name);
            let front = Front::new(
                listener,
                Arc::clone(&running.proxy),
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
            _workers: workers,
            _side: side,
        };
        serving.tell_expiries(running);
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
            if let Some(tls) = &listener.tls {
                ServerTls::load(tls).with_context(|| format!("listener {}", listener.name))?;
            }
        }
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
        self.tell_expiries(running);
        Ok(())
    }

    fn tell_expiries(&self, running: &Running) {
        for tls in self.certificates.iter().flatten() {
            running.families.net.certificates(&tls.expiries());
        }
    }

    /// Stops accepting, lets requests finish, cuts what is left at the deadline; then the side doors close too.
    pub(super) async fn drain(&mut self, deadline: Duration) -> Report {
        let report = self.drain.finish(deadline).await;
        self.side_drain.finish(Duration::from_millis(250)).await;
        report
    }
}

/// Binds and serves a door that is not the proxy's, on the side worker.
fn listen_beside<H: Handler>(
    running: &Arc<Running>,
    workers: &Arc<Workers>,
    watch: &Watch,
    (name, address): (&str, SocketAddr),
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
        Front::new(&listener, Arc::new(handler), None, metrics, watch.clone()),
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

struct AuthorityDoor(Authority);

impl Handler for AuthorityDoor {
    async fn call(&self, request: Request, _peer: &Arc<Peer>) -> Response {
        self.0
            .clone()
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {})
    }

    fn panicked(&self) -> Response {
        internal_error()
    }
}

fn internal_error() -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
