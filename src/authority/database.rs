//! The open redb file, and opening it again after the disk failed.
//!
//! After one failed write redb answers every later one with the same error, also when the disk has room again; only a new
//! opening ends that. Always true: at most one opening of the file at a time (the file is locked), and nobody is given one that
//! is known to be broken. What to do with a file once it is open is [`super::store`]'s business.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use redb::Database;

/// Opens the same file again.
type Open = Box<dyn Fn() -> Result<Database, redb::Error> + Send + Sync>;

/// The store's database. Shared by whoever writes and whoever copies.
pub struct StoreFile {
    current: RwLock<Option<Arc<Database>>>,
    /// `None`: what is gone can't be opened again, as in memory.
    open: Option<Open>,
}

impl StoreFile {
    /// An open database that is opened again by `open`.
    pub fn new(
        database: Database,
        open: impl Fn() -> Result<Database, redb::Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            current: RwLock::new(Some(Arc::new(database))),
            open: Some(Box::new(open)),
        }
    }

    /// An open database in the file at `path`.
    pub fn at(database: Database, path: &Path) -> Self {
        let path = path.to_owned();
        Self::new(database, move || {
            Database::open(&path).map_err(redb::Error::from)
        })
    }

    /// A database that can't be opened again.
    pub fn once(database: Arc<Database>) -> Self {
        Self {
            current: RwLock::new(Some(database)),
            open: None,
        }
    }

    /// The open database; `None` after it broke.
    pub fn database(&self) -> Option<Arc<Database>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Closes what is open, broken as it is, and opens it again. Blocks on the disk.
    ///
    /// # Errors
    /// What the store said, or that a copy is being made of the old opening; the database stays away then.
    pub fn reopen(&self) -> Result<Arc<Database>, redb::Error> {
        let Some(open) = &self.open else {
            return self.database().ok_or(redb::Error::PreviousIo);
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // The lock on the file goes with the last holder of the old opening; one that makes a copy may need a while.
        drop(current.take());
        let fresh = Arc::new(open()?);
        *current = Some(Arc::clone(&fresh));
        Ok(fresh)
    }
}
