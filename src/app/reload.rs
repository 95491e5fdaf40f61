//! What makes a running gate look at its configuration again: a signal, or a change of one of its files.
//!
//! Directories are watched rather than files, because editors and Kubernetes replace files by renaming (a mounted ConfigMap
//! swaps the symlink `..data`). Events are only a hint: what was read decides, after a pause in which a writer may finish.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How long files must be quiet before they are read.
const SETTLE: Duration = Duration::from_millis(150);

/// Why a reload happens; a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// SIGHUP.
    Signal,
    /// A watched file changed.
    FileChange,
}

/// The files a running gate depends on, and where its configuration comes from.
#[derive(Debug, Default)]
pub struct Reloads {
    config: Option<PathBuf>,
}

impl Reloads {
    /// Nothing to reload from: the configuration was not a file.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reload from this configuration file.
    pub fn of(config: PathBuf) -> Self {
        Self {
            config: Some(config),
        }
    }

    /// The configuration file, if there is one.
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

/// Waits for causes.
pub(super) struct Watch {
    hangup: Signal,
    changes: mpsc::Receiver<()>,
    // Dropping it ends the watching.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Starts to watch the directories of `files`. A directory that can't be watched is logged and left out: SIGHUP works
    /// all the same.
    ///
    /// # Errors
    /// When the process can't take signals.
    pub(super) fn start(files: &BTreeSet<PathBuf>) -> std::io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        let (sender, changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // One pending hint is enough.
                let _ = sender.try_send(());
            }
        });
        let watcher = match watcher {
            Ok(mut watcher) => {
                for directory in directories(files) {
                    if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive) {
                        tracing::warn!(directory = %directory.display(), %error, "can't watch for changes, only SIGHUP reloads");
                    }
                }
                Some(watcher)
            }
            Err(error) => {
                tracing::warn!(%error, "can't watch for changes, only SIGHUP reloads");
                None
            }
        };
        Ok(Self {
            hangup,
            changes,
            _watcher: watcher,
        })
    }

    /// The next cause. Cancel-safe: a cause is only consumed when it is returned.
    pub(super) async fn next(&mut self) -> Cause {
        tokio::select! {
            _ = self.hangup.recv() => Cause::Signal,
            changed = self.changes.recv() => {
                if changed.is_none() {
                    std::future::pending::<()>().await;
                }
                Cause::FileChange
            }
        }
    }

    /// Waits until files have been quiet for a moment.
    pub(super) async fn settle(&mut self) {
        while let Ok(Some(())) = tokio::time::timeout(SETTLE, self.changes.recv()).await {}
    }
}

fn directories(files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    files
        .iter()
        .map(|file| match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        })
        .collect()
}

/// Remembers what files held, so that a hint without a change costs no reload.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Contents {
    /// Reads every file (hashed: keys must not linger in memory); a missing one is `None`.
    pub(super) fn read(files: &BTreeSet<PathBuf>) -> Self {
        let digest = |file: &PathBuf| {
            let bytes = zeroize::Zeroizing::new(std::fs::read(file).ok()?);
            Some(
                aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes)
                    .as_ref()
                    .to_vec(),
            )
        };
        Self(
            files
                .iter()
                .map(|file| (file.clone(), digest(file)))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_watched_not_files() {
        let files = ["/etc/sidegate/a.yaml", "/etc/sidegate/tls.crt", "b.yaml"]
            .map(PathBuf::from)
            .into();
        assert_eq!(
            directories(&files),
            ["/etc/sidegate", "."].map(PathBuf::from).into()
        );
    }

    #[test]
    fn contents_differ_when_a_file_changes_or_goes() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x");
        let files = BTreeSet::from([file.clone()]);
        let missing = Contents::read(&files);
        std::fs::write(&file, "1").unwrap();
        let one = Contents::read(&files);
        assert_eq!(one, Contents::read(&files));
        assert_ne!(one, missing);
        std::fs::write(&file, "2").unwrap();
        assert_ne!(one, Contents::read(&files));
    }
}
