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

/// Where the configuration comes from, and whether somebody asked to read it again. Made before the configuration is read
/// for the first time, so that neither a signal nor a change of the file is lost while everything starts.
#[derive(Debug)]
pub struct Reloads {
    config: Option<PathBuf>,
    seen: Contents,
    hangup: Signal,
}

impl Reloads {
    /// Nothing to reload from: the configuration was not a file.
    ///
    /// # Errors
    /// When the process can't take signals.
    pub fn none() -> std::io::Result<Self> {
        Ok(Self {
            config: None,
            seen: Contents::default(),
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Reload from this configuration file, which is read for the first time after this.
    ///
    /// # Errors
    /// When the process can't take signals.
    pub fn of(config: PathBuf) -> std::io::Result<Self> {
        Ok(Self {
            seen: Contents::read(&BTreeSet::from([config.clone()])),
            config: Some(config),
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Whether the configuration file holds something else than when this was made.
    pub(super) fn has_changed(&self) -> bool {
        let files = self.config.iter().cloned().collect();
        Contents::read(&files) != self.seen
    }

    /// Waits for SIGHUP.
    pub(super) async fn hangup(&mut self) {
        self.hangup.recv().await;
    }

    /// The configuration file, if there is one.
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

/// Waits for changes of files.
pub(super) struct Watch {
    changes: mpsc::Receiver<()>,
    // Dropping it ends the watching.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Starts to watch the directories of `files`, and those among them that are directories. A directory that can't be watched is logged and left out: SIGHUP works
    /// all the same.
    pub(super) fn start(files: &BTreeSet<PathBuf>) -> Self {
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
        Self {
            changes,
            _watcher: watcher,
        }
    }

    /// The next hint of a change. Cancel-safe: a hint is only consumed when this returns.
    pub(super) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until files have been quiet for a moment.
    pub(super) async fn settle(&mut self) {
        while let Ok(Some(())) = tokio::time::timeout(SETTLE, self.changes.recv()).await {}
    }
}

fn directories(files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let of = |file: &PathBuf| match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let folders = files.iter().filter(|file| file.is_dir()).cloned();
    files.iter().map(of).chain(folders).collect()
}

/// Remembers what files held, so that a hint without a change costs no reload.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Contents {
    /// Reads every file (hashed: keys must not linger in memory), and of every folder the names in it; a missing one is `None`.
    pub(super) fn read(files: &BTreeSet<PathBuf>) -> Self {
        let digest = |file: &PathBuf| {
            let bytes = zeroize::Zeroizing::new(match names(file) {
                Some(names) => names,
                None => std::fs::read(file).ok()?,
            });
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

/// What is in a folder, but for hidden names: editors and Kubernetes keep their own there. `None`: it is no folder.
fn names(folder: &Path) -> Option<Vec<u8>> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().into_encoded_bytes())
        .filter(|name| !name.starts_with(b"."))
        .collect();
    names.sort();
    Some(names.join(&0))
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

    #[test]
    fn a_new_file_in_a_folder_is_a_change_and_a_hidden_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let files = BTreeSet::from([directory.path().to_owned()]);
        assert!(directories(&files).contains(directory.path()));
        let empty = Contents::read(&files);
        std::fs::write(directory.path().join(".login.html.swp"), "1").unwrap();
        assert_eq!(empty, Contents::read(&files));
        std::fs::write(directory.path().join("login.html"), "1").unwrap();
        assert_ne!(empty, Contents::read(&files));
    }
}
