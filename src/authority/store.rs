//! The store: typed tables in memory, made durable by one redb file.
//!
//! Always true: a write is on disk (fsynced) before it is visible and before [`Store::write`] returns; readers never wait for
//! the disk; jobs run one after another, so read-modify-write inside a job is atomic. Jobs that queue up while the disk is
//! busy share one commit. Without a directory the same code runs on memory. A new table is one line in `tables!`; a change of
//! what a row looks like is a step in [`migration`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::backup::{META, Snapshots};
use super::job::{Closure, Job};
use super::migration::{self, MigrationError};
use super::record::{
    AccessToken, ApiKey, IndexSettings, Profile, RefreshToken, Reserved, ServiceToken, User,
};
use super::table::{Changes, Draft, Table};
use crate::wire::roles::{ApplicationPrivilege, RoleDescriptor, RoleMapping};

/// Name of the file in the data directory.
pub const FILE: &str = "authority.redb";
/// Jobs that share one commit at most.
const BATCH: usize = 256;

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory can't be made or used.
    #[error("data directory {path} can't be used")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file can't be opened: locked by another process, damaged, unreadable.
    #[error("store {path} can't be opened")]
    File {
        /// The file.
        path: PathBuf,
        /// What the store said.
        #[source]
        source: Box<redb::Error>,
    },
    /// Reading or writing failed.
    #[error("store failed")]
    Store(#[source] Box<redb::Error>),
    /// The format is unknown, or could not be brought up to date.
    #[error(transparent)]
    Format(#[from] MigrationError),
    /// A record doesn't have the shape its table promises.
    #[error("record {key} of table {table} can't be read")]
    Record {
        /// The table.
        table: &'static str,
        /// The record's key.
        key: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The writer thread can't be started.
    #[error("writer can't be started")]
    Thread(#[source] std::io::Error),
}

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The job itself said no; nothing was changed.
    #[error("the job refused")]
    Refused(E),
    /// The disk said no, or the store is closing; nothing was changed.
    #[error("the store did not accept the write")]
    Unavailable,
}

macro_rules! tables {
    ($($(#[doc = $doc:literal])* $name:ident : $row:ty),* $(,)?) => {
        /// Every table, for reading.
        #[derive(Debug, Default)]
        pub struct Tables { $($(#[doc = $doc])* pub $name: Table<$row>,)* }

        /// Every table, inside a write job.
        pub struct Drafts<'a> { $($(#[doc = $doc])* pub $name: Draft<'a, $row>,)* }

        impl Tables {
            fn load(database: &Database) -> Result<Self, OpenError> {
                let transaction = database.begin_read().map_err(store_error)?;
                Ok(Self { $($name: load_table(&transaction, stringify!($name))?,)* })
            }

            fn draft(&self) -> Drafts<'_> {
                Drafts { $($name: Draft::new(&self.$name),)* }
            }
        }

        impl Drafts<'_> {
            fn keep(&mut self) { $(self.$name.keep();)* }

            fn discard(&mut self) { $(self.$name.discard();)* }

            fn is_unchanged(&self) -> bool { true $(&& self.$name.settled().is_empty())* }

            fn commit(&self, database: &Database) -> Result<(), redb::Error> {
                if self.is_unchanged() {
                    return Ok(());
                }
                let mut transaction = database.begin_write()?;
                // The default, said aloud: commit returns after fsync.
                transaction.set_durability(Durability::Immediate)?;
                $(save_table(&transaction, stringify!($name), self.$name.settled())?;)*
                transaction.commit()?;
                Ok(())
            }

            fn into_changes(self) -> AllChanges { AllChanges { $($name: self.$name.into_settled(),)* } }
        }

        struct AllChanges { $($name: Changes<$row>,)* }

        impl AllChanges {
            fn apply(self, tables: &Tables) { $(tables.$name.apply(self.$name);)* }
        }
    };
}

tables! {
    /// Native users by name.
    users: User,
    /// Changed reserved users by name.
    reserved: Reserved,
    /// Roles by name.
    roles: RoleDescriptor,
    /// Role mappings by name.
    role_mappings: RoleMapping,
    /// Application privileges by `application/name`.
    privileges: ApplicationPrivilege,
    /// API keys by id.
    api_keys: ApiKey,
    /// Access tokens by hash.
    access_tokens: AccessToken,
    /// Refresh tokens by hash.
    refresh_tokens: RefreshToken,
    /// Settings of the security indices, by `security`, `security-tokens`, `security-profile`.
    index_settings: IndexSettings,
    /// Service account tokens by `namespace/service/name`.
    service_tokens: ServiceToken,
    /// User profiles by uid.
    profiles: Profile,
}

fn load_table<T: DeserializeOwned>(
    transaction: &redb::ReadTransaction,
    name: &'static str,
) -> Result<Table<T>, OpenError> {
    let definition: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(name);
    let table = match transaction.open_table(definition) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Table::default()),
        Err(error) => return Err(store_error(error)),
    };
    let mut rows = BTreeMap::new();
    for entry in table.iter().map_err(store_error)? {
        let (key, value) = entry.map_err(store_error)?;
        let key = key.value().to_owned();
        let row = serde_json::from_slice(value.value()).map_err(|source| OpenError::Record {
            table: name,
            key: key.clone(),
            source,
        })?;
        rows.insert(key, Arc::new(row));
    }
    Ok(Table::of(rows))
}

fn save_table<T: Serialize>(
    transaction: &redb::WriteTransaction,
    name: &'static str,
    changes: &Changes<T>,
) -> Result<(), redb::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let definition: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(name);
    let mut table = transaction.open_table(definition)?;
    for (key, row) in changes {
        match row {
            Some(row) => {
                let bytes = serde_json::to_vec(row)
                    .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
                table.insert(key.as_str(), bytes.as_slice())?;
            }
            None => {
                table.remove(key.as_str())?;
            }
        }
    }
    Ok(())
}

fn store_error(error: impl Into<redb::Error>) -> OpenError {
    OpenError::Store(Box::new(error.into()))
}

/// The open store. Dropping it waits for the writer, so the file can be opened again at once.
pub struct Store {
    tables: Arc<Tables>,
    identity: Identity,
    database: Arc<Database>,
    jobs: Option<mpsc::SyncSender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
}

/// What the store was born with.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `cluster_uuid` of `GET /`.
    pub cluster_uuid: String,
    /// Node id in `_nodes` answers.
    pub node_id: String,
}

impl Store {
    /// Opens the store in `directory` (made if absent, private to the user), or an empty one in memory.
    ///
    /// # Errors
    /// See [`OpenError`]. Blocks on the disk.
    pub fn open(directory: Option<&Path>, fresh: &Identity) -> Result<Self, OpenError> {
        let database = Arc::new(match directory {
            Some(directory) => open_file(directory)?,
            None => Database::builder()
                .create_with_backend(redb::backends::InMemoryBackend::new())
                .map_err(store_error)?,
        });
        let path = directory.map(|directory| directory.join(FILE));
        migration::upgrade(&database, path.as_deref())?;
        let identity = read_or_write_meta(&database, fresh)?;
        let tables = Arc::new(Tables::load(&database)?);
        let (jobs, queue) = mpsc::sync_channel(4 * BATCH);
        let for_writer = (Arc::clone(&database), Arc::clone(&tables));
        let writer = std::thread::Builder::new()
            .name("authority-store".to_owned())
            .spawn(move || write_loop(&for_writer.0, &for_writer.1, &queue))
            .map_err(OpenError::Thread)?;
        Ok(Self {
            tables,
            identity,
            database,
            jobs: Some(jobs),
            writer: Some(writer),
        })
    }

    /// The store in `directory`, opened only to be copied.
    ///
    /// # Errors
    /// When another process has it open, or it is no store that this program knows. Blocks on the disk.
    pub fn open_for_copy(directory: &Path) -> Result<Snapshots, OpenError> {
        Self::open_file_for_copy(&directory.join(FILE))
    }

    /// The same for a file of any name, such as a backup.
    ///
    /// # Errors
    /// As for [`Store::open_for_copy`].
    pub fn open_file_for_copy(path: &Path) -> Result<Snapshots, OpenError> {
        let database = Database::open(path).map_err(|error| OpenError::File {
            path: path.to_owned(),
            source: Box::new(error.into()),
        })?;
        migration::check(&database)?;
        Ok(Snapshots::of(Arc::new(database)))
    }

    /// Makes the directory of a store, if absent, private to the user.
    ///
    /// # Errors
    /// [`OpenError::Directory`]
    pub fn make_directory(directory: &Path) -> Result<(), OpenError> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(directory)
            .map_err(|source| OpenError::Directory {
                path: directory.to_owned(),
                source,
            })
    }

    /// The tables, for reading.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Copies of the store, made while it is in use.
    pub fn snapshots(&self) -> Snapshots {
        Snapshots::of(Arc::clone(&self.database))
    }

    /// What the store was born with.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Runs `work` alone against the tables and makes its changes durable, then visible, then returns.
    ///
    /// # Errors
    /// [`WriteError::Refused`] with the job's own error, or [`WriteError::Unavailable`]; nothing was changed in both cases.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, WriteError<E>>
    where
        F: FnOnce(&mut Drafts<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Closure::new(work, reply));
        let jobs = self.jobs.as_ref().ok_or(WriteError::Unavailable)?;
        // A full queue means the disk is far behind: shedding is better than blocking a runtime thread.
        jobs.try_send(job).map_err(|_| WriteError::Unavailable)?;
        answer.await.map_err(|_| WriteError::Unavailable)?
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take()
            && writer.thread().id() != std::thread::current().id()
        {
            let _ = writer.join();
        }
    }
}

fn write_loop(database: &Database, tables: &Tables, queue: &mpsc::Receiver<Box<dyn Job>>) {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        batch.extend(queue.try_iter().take(BATCH - 1));
        let mut drafts = tables.draft();
        for job in &mut batch {
            if job.run(&mut drafts) {
                drafts.keep();
            } else {
                drafts.discard();
            }
        }
        let committed = drafts.commit(database);
        match &committed {
            Ok(()) => drafts.into_changes().apply(tables),
            Err(error) => tracing::error!(%error, "authority store refused a commit"),
        }
        for job in batch {
            job.finish(committed.is_ok());
        }
    }
}

fn open_file(directory: &Path) -> Result<Database, OpenError> {
    let in_directory = |source| OpenError::Directory {
        path: directory.to_owned(),
        source,
    };
    Store::make_directory(directory)?;
    let path = directory.join(FILE);
    // Made here first so that nobody else can read it, whatever the umask.
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&path).map_err(in_directory)?;
    let database = Database::create(&path).map_err(|error| OpenError::File {
        path,
        source: Box::new(error.into()),
    })?;
    // The file's own name must survive a power cut, too.
    let synced = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(in_directory)?;
    Ok(database)
}

fn read_or_write_meta(database: &Database, fresh: &Identity) -> Result<Identity, OpenError> {
    let transaction = database.begin_write().map_err(store_error)?;
    let identity = {
        let mut meta = transaction.open_table(META).map_err(store_error)?;
        let mut read_or = |key: &str, value: &str| -> Result<String, OpenError> {
            let found = meta
                .get(key)
                .map_err(store_error)?
                .map(|found| found.value().to_owned());
            if let Some(found) = found {
                return Ok(found);
            }
            meta.insert(key, value).map_err(store_error)?;
            Ok(value.to_owned())
        };
        Identity {
            cluster_uuid: read_or("cluster_uuid", &fresh.cluster_uuid)?,
            node_id: read_or("node_id", &fresh.node_id)?,
        }
    };
    transaction.commit().map_err(store_error)?;
    Ok(identity)
}
