//! Copies of the store: consistent while it is written to, complete, and openable by themselves.
//!
//! A copy is made of one redb read snapshot, row by row into a fresh file, so it never holds half a write and needs no pause.
//! It is fsynced and then renamed into place: whoever sees the name sees all of it. It never interprets a row, so a new table
//! needs no line here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableHandle as _};

use super::database::StoreFile;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file can't be written.
    #[error("{path} can't be written")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Reading the store or writing the copy failed.
    #[error("the store can't be copied")]
    Store(#[source] Box<redb::Error>),
}

/// A handle that copies can be made through while the store is open. Cheap to clone; keeps the file locked while it lives.
#[derive(Clone)]
pub struct Snapshots(Arc<StoreFile>);

/// Name and shape of the table that says what the file is.
pub(super) const META: TableDefinition<'static, &str, &str> = TableDefinition::new("meta");

fn store_error(error: impl Into<redb::Error>) -> BackupError {
    BackupError::Store(Box::new(error.into()))
}

impl Snapshots {
    /// Copies of this file.
    pub fn of(file: Arc<StoreFile>) -> Self {
        Self(file)
    }

    /// Writes everything that is durable now to a new file at `path`, readable by its owner alone. Blocks on the disk.
    ///
    /// # Errors
    /// See [`BackupError`]; a file that was at `path` is then untouched.
    pub fn copy_to(&self, path: &Path) -> Result<(), BackupError> {
        let draft = beside(path, "partial");
        let copied = self.write_draft(&draft);
        let placed = copied.and_then(|()| {
            std::fs::rename(&draft, path).map_err(|source| BackupError::File {
                path: path.to_owned(),
                source,
            })
        });
        if placed.is_err() {
            // A half copy would only be taken for a whole one.
            let _ = std::fs::remove_file(&draft);
        }
        placed
    }

    fn write_draft(&self, draft: &Path) -> Result<(), BackupError> {
        let failed = |source| BackupError::File {
            path: draft.to_owned(),
            source,
        };
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(draft).map_err(failed)?;
        let synced = file.try_clone().map_err(failed)?;
        let backend = FileBackend::new(file).map_err(store_error)?;
        let copy = Database::builder()
            .create_with_backend(backend)
            .map_err(store_error)?;
        let source = self
            .0
            .database()
            .ok_or_else(|| store_error(redb::Error::PreviousIo))?;
        copy_tables(&source, &copy)?;
        drop(copy);
        synced.sync_all().map_err(failed)
    }
}

fn copy_tables(from: &Database, to: &Database) -> Result<(), BackupError> {
    let read = from.begin_read().map_err(store_error)?;
    let write = to.begin_write().map_err(store_error)?;
    for handle in read.list_tables().map_err(store_error)? {
        if handle.name() == META.name() {
            let source = read.open_table(META).map_err(store_error)?;
            let mut target = write.open_table(META).map_err(store_error)?;
            for entry in source.iter().map_err(store_error)? {
                let (key, value) = entry.map_err(store_error)?;
                target
                    .insert(key.value(), value.value())
                    .map_err(store_error)?;
            }
            continue;
        }
        let definition: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(handle.name());
        let source = read.open_table(definition).map_err(store_error)?;
        let mut target = write.open_table(definition).map_err(store_error)?;
        for entry in source.iter().map_err(store_error)? {
            let (key, value) = entry.map_err(store_error)?;
            target
                .insert(key.value(), value.value())
                .map_err(store_error)?;
        }
    }
    write.commit().map_err(store_error)
}

/// The same path with an ending added to the whole name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}
