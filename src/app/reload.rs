//! What makes a running gate look at its configuration again: a signal, or a change of one of its files.
//!
//! Directories are watched rather than files, because editors and Kubernetes replace files by renaming (a mounted Secret
//! swaps the symlink `..data`), and of every link on the way to a file the directory that it lies in. Events are only a hint:
//! what was read decides, after a pause in which a writer may finish.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How long files must be quiet before they are read.
const SETTLE: Duration = Duration::from_millis(150);

/// Links followed on the way to one file; what has more can't be opened either (Linux's `MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

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
    hints: mpsc::Sender<()>,
    directories: BTreeSet<PathBuf>,
    // Dropping it ends the watching.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Starts to watch the directories of `files`, and those among them that are directories. A directory that can't be watched
    /// is logged and left out: SIGHUP works all the same.
    pub(super) fn start(files: &BTreeSet<PathBuf>) -> Self {
        let (hints, changes) = mpsc::channel(1);
        let (sender, directories) = (hints.clone(), directories(files));
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // One pending hint is enough.
                let _ = sender.try_send(());
            }
        });
        let watcher = match watcher {
            Ok(mut watcher) => {
                for directory in &directories {
                    if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
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
            hints,
            directories,
            _watcher: watcher,
        }
    }

    /// Watches the directories of `files` from now on, if it doesn't yet: other files, or links that point elsewhere. Files may have
    /// changed before they were watched, so that counts as a hint.
    pub(super) fn follow(&mut self, files: &BTreeSet<PathBuf>) {
        if directories(files) != self.directories {
            *self = Self::start(files);
            // One pending hint is enough.
            let _ = self.hints.try_send(());
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

/// The directories of files, those among them that are directories, and those of every link on the way.
fn directories(files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for file in files {
        let mut way = file.clone();
        for _ in 0..MAX_LINKS {
            let Some((link, target)) = first_link(&way) else {
                break;
            };
            let home = parent(&link);
            let behind = home.join(target);
            way = match way.strip_prefix(&link) {
                Ok(rest) if !rest.as_os_str().is_empty() => behind.join(rest),
                Ok(_) | Err(_) => behind,
            };
            found.insert(home);
        }
        found.insert(parent(&way));
        if way.is_dir() {
            found.insert(way);
        }
    }
    found
}

/// The first link among the directories of a path and the file itself, and what it points to.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    ancestors
        .into_iter()
        .find_map(|path| Some((path.to_owned(), std::fs::read_link(path).ok()?)))
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
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
    fn of_links_both_ends_are_watched() {
        use std::os::unix::fs::symlink;

        // As a Secret is mounted: the file is a link through `..data`, which is a link to the version in force.
        let mount = tempfile::tempdir().unwrap();
        let mount = mount.path().canonicalize().unwrap();
        for version in ["..v1", "..v2"] {
            std::fs::create_dir_all(mount.join(version)).unwrap();
            std::fs::write(mount.join(version).join("tls.crt"), version).unwrap();
        }
        symlink("..v1", mount.join("..data")).unwrap();
        symlink("..data/tls.crt", mount.join("tls.crt")).unwrap();
        for named in ["tls.crt", "..data/tls.crt"] {
            let files = BTreeSet::from([mount.join(named)]);
            assert_eq!(
                directories(&files),
                [mount.clone(), mount.join("..v1")].into(),
                "{named}"
            );
        }
        symlink("..v2", mount.join("..new")).unwrap();
        std::fs::rename(mount.join("..new"), mount.join("..data")).unwrap();
        let files = BTreeSet::from([mount.join("tls.crt")]);
        assert!(directories(&files).contains(&mount.join("..v2")));
        // A link to itself leads nowhere, and ends.
        symlink("loop", mount.join("loop")).unwrap();
        assert!(directories(&BTreeSet::from([mount.join("loop/x")])).contains(&mount));
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
