//! The embedded authority without a gate: one listener, plain or TLS, served until a signal, then drained.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::authority::{self, Opened};
use super::door::{AuthorityDoor, SIDE_LIMITS};
use super::reload::{Cause, Contents, Reloads, Watch};
use crate::authority::certificates::InUse;
use crate::config::settings::{Limits, Listener, Tls};
use crate::config::settings_authority::AuthorityAlone;
use crate::model::clock::Clock;
use crate::net::drain::Drain;
use crate::net::listen::Bound;
use crate::net::metrics::NetMetrics;
use crate::net::serve::Front;
use crate::net::tls::ServerTls;
use crate::net::workers::{Workers, worker_count};
use crate::telemetry::audit::AuditLog;
use crate::telemetry::metrics::Registry;

/// Bounds of the one listener: its clients are applications, not only operators.
const LIMITS: Limits = Limits {
    max_connections: 10_000,
    ..SIDE_LIMITS
};

/// A running authority.
pub struct Alone {
    address: SocketAddr,
    drain: Drain,
    drain_timeout: Duration,
    tls: Option<(Tls, Arc<ServerTls>)>,
    certificates: InUse,
    audit: Option<AuditLog>,
    terminate: Signal,
    interrupt: Signal,
    // Stops the workers when dropped.
    _workers: Arc<Workers>,
}

impl Alone {
    /// Opens the store, binds the address and begins to serve.
    ///
    /// # Errors
    /// A store that can't be opened, an address that is taken, a certificate that can't be read.
    pub async fn start(
        settings: AuthorityAlone,
        address: SocketAddr,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        // First of all, so that a signal during start-up is not lost.
        let (terminate, interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let bound =
            Bound::bind(address, false).with_context(|| format!("can't listen on {address}"))?;
        let address = bound.address().tcp().unwrap_or(address);
        let tls = match &settings.embedded.tls {
            Some(written) => Some((written.clone(), Arc::new(ServerTls::load(written)?))),
            None => None,
        };
        let certificates = InUse::default();
        let Opened { authority, audit } =
            authority::open(&settings.embedded, certificates.clone(), clock).await?;
        let (drain, watch) = Drain::new();
        let workers = Arc::new(Workers::start(worker_count(settings.workers))?);
        let listener = Listener {
            tls: settings.embedded.tls.clone(),
            ..Listener::plain("authority", address, LIMITS)
        };
        let metrics = NetMetrics::register(&Registry::new()?)?.listener("authority");
        let serving = tls.as_ref().map(|(_, tls)| Arc::clone(tls));
        let door = Arc::new(AuthorityDoor(authority));
        let front = Arc::new(Front::new(&listener, door, serving, metrics, watch));
        let for_accept = Arc::clone(&workers);
        tokio::spawn(async move {
            if let Err(error) = bound.accept(front, for_accept).await {
                tracing::error!(%error, "the listener stopped accepting");
            }
        });
        tracing::info!(%address, tls = tls.is_some(), "listening");
        let alone = Self {
            address,
            drain,
            drain_timeout: settings.drain_timeout,
            tls,
            certificates,
            audit,
            terminate,
            interrupt,
            _workers: workers,
        };
        alone.tell_certificates();
        Ok(alone)
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Serves until SIGTERM or SIGINT, reading certificates again when they change or at SIGHUP, then drains. A second
    /// signal cuts the drain short.
    pub async fn run(mut self, mut reloads: Reloads) -> ExitCode {
        let files = self.files();
        let mut watch = Watch::start(&files);
        let mut contents = Contents::read(&files);
        loop {
            let cause = tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                () = reloads.hangup() => Cause::Signal,
                () = watch.changed() => Cause::FileChange,
            };
            watch.settle().await;
            let found = Contents::read(&files);
            if cause == Cause::Signal || found != contents {
                contents = found;
                self.reload(cause);
            }
        }
        self.finish().await;
        ExitCode::SUCCESS
    }

    fn files(&self) -> BTreeSet<PathBuf> {
        let tls = self.tls.iter();
        tls.flat_map(|(written, _)| &written.certificates)
            .flat_map(|files| [files.certificate.clone(), files.key.clone()])
            .collect()
    }

    fn reload(&self, cause: Cause) {
        if let (Cause::Signal, Some(log)) = (cause, &self.audit)
            && let Err(error) = log.reopen()
        {
            tracing::error!(%error, "the audit log could not be reopened");
        }
        if let Some((written, serving)) = &self.tls {
            match serving.reload(written) {
                Ok(()) => tracing::info!(?cause, "certificates reloaded"),
                Err(error) => {
                    tracing::error!(?cause, %error, "reload refused, the old certificates stay");
                }
            }
        }
        self.tell_certificates();
    }

    fn tell_certificates(&self) {
        let served = self.tls.iter().map(|(_, tls)| &**tls);
        self.certificates.set(authority::in_use(served));
    }

    async fn finish(&mut self) {
        tracing::info!(deadline = ?self.drain_timeout, "draining");
        let finished = tokio::select! {
            report = self.drain.finish(self.drain_timeout) => Some(report),
            _ = self.terminate.recv() => None,
            _ = self.interrupt.recv() => None,
        };
        match finished {
            Some(report) => tracing::info!(open = report.open, cut = report.cut, "drained"),
            None => {
                let report = self.drain.finish(Duration::ZERO).await;
                tracing::warn!(
                    open = report.open,
                    cut = report.cut,
                    "second signal, connections cut"
                );
            }
        }
        if let Some(log) = &self.audit {
            log.flush();
        }
    }
}
