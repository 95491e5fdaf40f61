//! The assembled program: builds every floor in order, runs it, reloads it, drains it.
//!
//! Assembly only: no type that another floor needs is defined here, and no decision about a request is made here.

pub mod alone;
mod authority;
pub mod build;
mod door;
mod entrance;
mod operations;
pub mod probe;
mod probe_sso;
mod reload;
mod running;
mod serving;
mod workshop;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::authority::Authority;
use crate::config::check;
use crate::config::references::Machine;
use crate::config::settings::Settings;
use crate::model::clock::Clock;
use crate::net::drain::{Drain, Report};
use crate::telemetry::log::LogLevel;

use reload::{Cause, Contents, Watch};
use running::Running;
use serving::Serving;

pub use reload::Reloads;
pub use serving::Addresses;

/// A running Sidegate.
pub struct App {
    running: Arc<Running>,
    serving: Serving,
    embedded: Option<authority::Embedded>,
    terminate: Signal,
    interrupt: Signal,
}

impl App {
    /// Builds everything, binds every address and begins to serve.
    ///
    /// # Errors
    /// Whatever keeps it from serving as configured: a port that is taken, a file that can't be read, a store that can't be
    /// opened. An authority that doesn't answer is no error: it may come up later, and until then requests get 503.
    pub async fn start(settings: Settings, clock: Clock, level: LogLevel) -> anyhow::Result<Self> {
        // First of all, so that a signal during start-up is not lost.
        let (terminate, interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let (drain, watch) = Drain::new();
        let (running, embedded) = Running::assemble(settings, clock, level, watch.clone()).await?;
        let running = Arc::new(running);
        let serving = Serving::start(&running, embedded.clone(), (drain, watch))?;
        tokio::spawn(authority::watch(Arc::clone(&running)));
        Ok(Self {
            running,
            serving,
            embedded,
            terminate,
            interrupt,
        })
    }

    /// Where everything was bound.
    pub fn addresses(&self) -> &Addresses {
        self.serving.addresses()
    }

    /// The embedded authority, when there is one.
    pub fn embedded_authority(&self) -> Option<&Authority> {
        self.embedded.as_ref().map(|embedded| &embedded.authority)
    }

    /// Serves until SIGTERM or SIGINT, reloading meanwhile, then drains. A second signal cuts the drain short.
    pub async fn run(mut self, mut reloads: Reloads) -> ExitCode {
        let files = watched_files(&self.running.settings(), &reloads);
        let mut watch = Watch::start(&files);
        let mut contents = Contents::read(&files);
        // Nobody watched while everything started.
        if reloads.has_changed() {
            self.reload(&reloads, Cause::FileChange);
        }
        loop {
            let cause = tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                () = reloads.hangup() => Cause::Signal,
                () = watch.changed() => Cause::FileChange,
            };
            watch.settle().await;
            let files = watched_files(&self.running.settings(), &reloads);
            let found = Contents::read(&files);
            if cause == Cause::Signal || found != contents {
                self.reload(&reloads, cause);
                let now_watched = watched_files(&self.running.settings(), &reloads);
                // What was found before the reload: a change that came during it must not pass for known.
                contents = found;
                if now_watched != files {
                    contents = Contents::read(&now_watched);
                }
            }
            // Links may point elsewhere although what is behind them is the same.
            watch.follow(&watched_files(&self.running.settings(), &reloads));
        }
        self.drain().await;
        ExitCode::SUCCESS
    }

    /// Check, then swap: whatever is wrong with the new files, the old configuration stays whole.
    fn reload(&self, reloads: &Reloads, cause: Cause) {
        if cause == Cause::Signal
            && let Err(error) = self.running.reopen_logs()
        {
            tracing::error!(%error, "a log could not be reopened");
        }
        let outcome = self.try_reload(reloads);
        self.running.note_reload(&outcome);
        match outcome {
            Ok(()) => tracing::info!(?cause, "configuration and certificates reloaded"),
            Err(error) => {
                tracing::error!(?cause, error = %format!("{error:#}"), "reload refused, the old configuration stays");
            }
        }
    }

    fn try_reload(&self, reloads: &Reloads) -> anyhow::Result<()> {
        let Some(path) = reloads.config() else {
            return Ok(());
        };
        let checked = check::load(path, &Machine).with_context(|| path.display().to_string())?;
        for warning in &checked.warnings {
            tracing::warn!(%warning, "configuration warning");
        }
        // Certificates are read before anything is swapped, and swapped last.
        Serving::try_certificates(&checked.settings)?;
        self.running.apply(checked.settings)?;
        self.serving
            .reload_certificates(&self.running, &self.running.settings())
    }

    async fn drain(mut self) {
        self.running.begin_drain();
        let deadline = self.running.settings().drain_timeout;
        tracing::info!(?deadline, "draining");
        let finished = tokio::select! {
            report = self.serving.drain(deadline) => Some(report),
            _ = self.terminate.recv() => None,
            _ = self.interrupt.recv() => None,
        };
        match finished {
            Some(Report { open, cut: 0 }) => tracing::info!(open, "drained"),
            Some(Report { open, cut }) => {
                tracing::warn!(open, cut, "drain deadline passed, connections cut");
            }
            None => {
                let Report { open, cut } = self.serving.cut().await;
                tracing::warn!(open, cut, "second signal, connections cut");
            }
        }
        tokio::select! {
            () = self.running.take_back() => {}
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        self.running.stop();
    }
}

/// Every file and folder whose change matters: the configuration, certificates, keys, those that sign included, the CAs of
/// clients and their revocation lists, and whatever single sign-on reads: the operator's own pages, keys of sessions, CAs.
fn watched_files(settings: &Settings, reloads: &Reloads) -> BTreeSet<PathBuf> {
    let certificates = settings
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref())
        .chain(settings.authority.tls())
        .flat_map(|tls| {
            let clients = tls.client_certificates.iter();
            tls.certificates
                .iter()
                .flat_map(|files| [files.certificate.clone(), files.key.clone()])
                .chain(
                    clients
                        .flat_map(|files| [files.ca.clone()].into_iter().chain(files.crl.clone())),
                )
        });
    let Some(config) = reloads.config() else {
        return BTreeSet::new();
    };
    let signing = settings.assertion.iter().flat_map(|signing| &signing.keys);
    certificates
        .chain(signing.map(|key| key.key.clone()))
        .chain(
            settings
                .sso
                .iter()
                .flat_map(|sso| sso.files.iter().cloned()),
        )
        .chain([config.to_owned()])
        .collect()
}

pub use running::GateAlone;

#[cfg(test)]
mod tests;
