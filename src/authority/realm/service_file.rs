//! The `service_tokens` file: one `namespace/service/token:hash` a line, as Elasticsearch's own tool writes it.
//!
//! Always true: a change of the file counts within a second; a file that can't be read or has a line without `:` grants
//! nothing. Blank lines and those that start with `#` don't count; hashes in a format this program can't check are skipped.
//! Never writes the file.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::authority::password;
use crate::model::clock::Now;

/// How long the file is not looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Hashes by `namespace/service/token`.
pub type Hashes = BTreeMap<String, Arc<str>>;

/// Why the file is not usable.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is there and can't be read.
    #[error("service tokens file can't be read")]
    Read(#[source] std::io::Error),
    /// It is longer than anybody needs.
    #[error("service tokens file is longer than {MAX_FILE} bytes")]
    TooLong,
    /// A line is not `name:hash`.
    #[error("missing ':' character at line #{line} of the service tokens file")]
    Line {
        /// Counted from one.
        line: usize,
    },
}

/// The file and what was last read from it.
#[derive(Debug)]
pub struct ServiceFile {
    path: Option<PathBuf>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// When it was last looked at.
    at: Option<Duration>,
    stamp: Option<Stamp>,
    hashes: Arc<Hashes>,
}

/// Tells one version of a file from the next.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    length: u64,
    inode: u64,
}

impl ServiceFile {
    /// Reads the file for the first time. Without a path, or while there is no such file, there are no tokens.
    ///
    /// # Errors
    /// See [`FileError`]. Blocks on the disk.
    pub fn open(path: Option<PathBuf>) -> Result<Self, FileError> {
        let mut last = Last::default();
        if let Some(path) = &path {
            last.stamp = stamp(path);
            last.hashes = Arc::new(read(path)?);
        }
        let last = Mutex::new(last);
        Ok(Self { path, last })
    }

    /// The hashes as the file has them now. Reads a changed file (a small one) on the calling thread.
    pub fn hashes(&self, now: Now) -> Arc<Hashes> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last
            .at
            .is_some_and(|at| now.mono.saturating_sub(at) < LOOK_EVERY);
        let Some(path) = self.path.as_ref().filter(|_| !fresh) else {
            return Arc::clone(&last.hashes);
        };
        last.at = Some(now.mono);
        let stamp = stamp(path);
        if stamp != last.stamp {
            last.stamp = stamp;
            last.hashes = Arc::new(read(path).unwrap_or_else(|error| {
                tracing::error!(path = %path.display(), %error, "service tokens of the file are dropped");
                Hashes::new()
            }));
            tracing::info!(path = %path.display(), tokens = last.hashes.len(), "service tokens file read again");
        }
        Arc::clone(&last.hashes)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        length: metadata.len(),
        inode: metadata.ino(),
    })
}

fn read(path: &Path) -> Result<Hashes, FileError> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Hashes::new()),
        Err(error) => return Err(FileError::Read(error)),
        Ok(metadata) if metadata.len() > MAX_FILE => return Err(FileError::TooLong),
        Ok(_) => {}
    }
    parse(&std::fs::read_to_string(path).map_err(FileError::Read)?)
}

/// Reads the text of the file.
///
/// # Errors
/// A line without `:`.
pub fn parse(text: &str) -> Result<Hashes, FileError> {
    let mut hashes = Hashes::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, hash) = line
            .split_once(':')
            .ok_or(FileError::Line { line: at + 1 })?;
        if !password::is_supported(hash) {
            tracing::warn!(
                token = name,
                "service token of the file is skipped: its hash can't be checked"
            );
        } else if hashes.insert(name.to_owned(), Arc::from(hash)).is_some() {
            tracing::warn!(
                token = name,
                "service token is twice in the file, the later one counts"
            );
        }
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Clock;

    const HASH: &str = "{PBKDF2_STRETCH}10000$bm90LXNvLXNhbHR5LXNhbHQtbm90LXNvLXNhbHR5IQ==$S2V5IG9mIDMyIGJ5dGVzLCBubyBtb3JlLCBubyBsZXM=";

    #[test]
    fn lines_are_names_and_hashes_and_the_later_one_counts() {
        let text = format!(
            "# made by a tool\n\nelastic/kibana/a:{HASH}\n  elastic/kibana/b:plain\nelastic/kibana/a:{HASH}\n"
        );
        let names: Vec<String> = parse(&text).unwrap().into_keys().collect();
        assert_eq!(names, ["elastic/kibana/a"]);
        let broken = parse("elastic/kibana/a\n").unwrap_err();
        assert_eq!(
            broken.to_string(),
            "missing ':' character at line #1 of the service tokens file"
        );
    }

    #[test]
    fn a_changed_file_counts_and_a_broken_or_missing_one_grants_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("service_tokens");
        let clock = Clock::manual(Duration::from_secs(1));
        let file = ServiceFile::open(Some(path.clone())).unwrap();
        let count = || {
            clock.advance(LOOK_EVERY);
            file.hashes(clock.now()).len()
        };
        assert_eq!(count(), 0, "no file yet");
        std::fs::write(&path, format!("elastic/kibana/a:{HASH}\n")).unwrap();
        assert_eq!(count(), 1);
        std::fs::write(
            &path,
            format!("elastic/kibana/a:{HASH}\nelastic/kibana/b:{HASH}\n"),
        )
        .unwrap();
        assert_eq!(count(), 2);
        std::fs::write(&path, "broken").unwrap();
        assert_eq!(count(), 0);
        std::fs::write(&path, format!("elastic/kibana/a:{HASH}\n")).unwrap();
        assert_eq!(count(), 1);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(count(), 0);
        std::fs::write(&path, "broken").unwrap();
        assert!(ServiceFile::open(Some(path)).is_err());
    }
}
