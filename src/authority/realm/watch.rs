//! Files that are read again when they change.
//!
//! Directories are watched rather than files, because editors and Kubernetes replace files by renaming. An event is only a hint:
//! what was read decides. Dropping a [`Watch`] ends it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// How long files must be quiet before they are read.
const SETTLE: Duration = Duration::from_millis(100);

/// A task that ends with its owner.
pub struct Background(AbortHandle);

impl Background {
    /// Runs the task on the current runtime.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Watches files until it is dropped.
pub struct Watch {
    _reader: Background,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Calls `read` on a blocking thread after a change in one of the directories that `files` lie in.
    pub fn start(files: &[PathBuf], read: impl Fn() + Send + Sync + 'static) -> Self {
        let (sender, mut changes) = mpsc::channel(1);
        let names: BTreeSet<_> = files
            .iter()
            .filter_map(|file| file.file_name().map(ToOwned::to_owned))
            .collect();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // The store lies beside the users' files and is written all the time; a symlink `..data` is how Kubernetes swaps.
            let concerns = |path: &PathBuf| {
                path.file_name().is_none_or(|name| {
                    names.contains(name) || name.to_string_lossy().starts_with("..")
                })
            };
            if event.is_ok_and(|event| {
                !event.kind.is_access()
                    && (event.paths.is_empty() || event.paths.iter().any(concerns))
            }) {
                // One pending hint is enough.
                let _ = sender.try_send(());
            }
        });
        let reader = Background::spawn(async move {
            let read = std::sync::Arc::new(read);
            while changes.recv().await.is_some() {
                while let Ok(Some(())) = tokio::time::timeout(SETTLE, changes.recv()).await {}
                let read = std::sync::Arc::clone(&read);
                if tokio::task::spawn_blocking(move || read()).await.is_err() {
                    return;
                }
            }
        });
        Self {
            _reader: reader,
            _watcher: watching(watcher, files),
        }
    }
}

fn watching(
    watcher: notify::Result<notify::RecommendedWatcher>,
    files: &[PathBuf],
) -> Option<notify::RecommendedWatcher> {
    let mut watcher = watcher
        .inspect_err(|error| tracing::warn!(%error, "can't watch for changes of realm files"))
        .ok()?;
    let directories: BTreeSet<&Path> = files.iter().map(|file| directory(file)).collect();
    for directory in directories {
        if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
            tracing::warn!(directory = %directory.display(), %error, "can't watch for changes of realm files");
        }
    }
    Some(watcher)
}

fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
