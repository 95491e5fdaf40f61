//! The store: typed tables in memory, made durable by one redb file.
//!
//! Always true: a write is on disk (fsynced) before it is visible and before [`Store::write`] returns; readers never wait for
//! the disk; jobs run one after another, so read-modify-write inside a job is atomic. Jobs that queue up while the disk is
//! busy share one commit. A job that panics, or leaves a row that could not be read again, changes nothing and ends nothing.
//! After the disk failed, writes are refused until the file can be opened again; reads go on. Without a directory the same code
//! runs on memory. A new table is one line in `tables!`; a change of what a row looks like is a step in [`migration`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use redb::{Database, Durability, ReadableDatabase, ReadableTable as _};
use tokio::sync::oneshot;

use super::backup::{META, Snapshots};
use super::database::StoreFile;
use super::job::{Closure, Job};
use super::migration::{self, MigrationError};
use super::record::{
    AccessToken, ApiKey, IndexSettings, Profile, RefreshToken, Reserved, ServiceToken, User,
};
use super::rows::{self, Unreadable};
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
            /// Reads everything; rows that can't be read are set aside.
            fn load(database: &Database) -> Result<Self, redb::Error> {
                let transaction = database.begin_read()?;
                let mut unreadable: Vec<Unreadable> = Vec::new();
                let tables = Self { $($name: rows::load(&transaction, stringify!($name), &mut unreadable)?,)* };
                drop(transaction);
                if !unreadable.is_empty() {
                    rows::set_aside(database, &unreadable)?;
                }
                Ok(tables)
            }

            /// Takes over all rows of `fresh`.
            fn replace(&self, fresh: Self) { $(self.$name.replace(fresh.$name);)* }

            fn draft(&self) -> Drafts<'_> {
                Drafts { $($name: Draft::new(&self.$name),)* }
            }
        }

        impl Drafts<'_> {
            fn keep(&mut self) { $(self.$name.keep();)* }

            fn discard(&mut self) { $(self.$name.discard();)* }

            /// Whether all rows that the current job wrote could be read again.
            fn reads_back(&self) -> bool { true $(&& self.$name.reads_back())* }

            fn is_unchanged(&self) -> bool { true $(&& self.$name.settled().is_empty())* }

            fn commit(&self, database: &Database) -> Result<(), redb::Error> {
                if self.is_unchanged() {
                    return Ok(());
                }
                let mut transaction = database.begin_write()?;
                // The default, said aloud: commit returns after fsync.
                transaction.set_durability(Durability::Immediate)?;
                $(rows::save(&transaction, stringify!($name), self.$name.settled())?;)*
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

fn store_error(error: impl Into<redb::Error>) -> OpenError {
    OpenError::Store(Box::new(error.into()))
}

/// The open store. Dropping it waits for the writer, so the file can be opened again at once.
pub struct Store {
    tables: Arc<Tables>,
    identity: Identity,
    file: Arc<StoreFile>,
    /// Whether the last commit held, and the file is open.
    writable: Arc<AtomicBool>,
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
        let file = match directory {
            Some(directory) => StoreFile::at(open_file(directory)?, &directory.join(FILE)),
            None => StoreFile::once(Arc::new(
                Database::builder()
                    .create_with_backend(redb::backends::InMemoryBackend::new())
                    .map_err(store_error)?,
            )),
        };
        let path = directory.map(|directory| directory.join(FILE));
        Self::over(file, path.as_deref(), fresh)
    }

    /// The store in an open file; `path` says where, so that an old format can be kept beside it.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn over(file: StoreFile, path: Option<&Path>, fresh: &Identity) -> Result<Self, OpenError> {
        let database = file
            .database()
            .ok_or_else(|| store_error(redb::Error::PreviousIo))?;
        migration::upgrade(&database, path)?;
        let identity = read_or_write_meta(&database, fresh)?;
        let tables = Arc::new(Tables::load(&database).map_err(store_error)?);
        drop(database);
        let file = Arc::new(file);
        let writable = Arc::new(AtomicBool::new(true));
        let (jobs, queue) = mpsc::sync_channel(4 * BATCH);
        let writer = Writer {
            file: Arc::clone(&file),
            tables: Arc::clone(&tables),
            writable: Arc::clone(&writable),
        };
        let writer = std::thread::Builder::new()
            .name("authority-store".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(OpenError::Thread)?;
        Ok(Self {
            tables,
            identity,
            file,
            writable,
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
        Ok(Snapshots::of(Arc::new(StoreFile::once(Arc::new(database)))))
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
        Snapshots::of(Arc::clone(&self.file))
    }

    /// Whether writes are accepted: false from a failed commit until one that holds.
    pub fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Acquire)
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

/// The writing side: runs jobs, commits them, makes them visible.
struct Writer {
    file: Arc<StoreFile>,
    tables: Arc<Tables>,
    writable: Arc<AtomicBool>,
}

impl Writer {
    fn run(self, queue: &mpsc::Receiver<Box<dyn Job>>) {
        while let Ok(first) = queue.recv() {
            let mut batch = vec![first];
            batch.extend(queue.try_iter().take(BATCH - 1));
            // Before the jobs look at the tables, for these are read anew with the file.
            if !self.writable.load(Ordering::Acquire) {
                self.revive();
            }
            let mut drafts = self.tables.draft();
            let jobs: Vec<(Box<dyn Job>, bool)> = batch
                .into_iter()
                .map(|mut job| {
                    let is_kept = runs(job.as_mut(), &mut drafts);
                    (job, is_kept)
                })
                .collect();
            let held = self.commit(drafts);
            for (job, is_kept) in jobs {
                job.finish(held && is_kept);
            }
        }
    }

    fn commit(&self, drafts: Drafts<'_>) -> bool {
        let committed = match self.file.database() {
            Some(database) => drafts.commit(&database),
            None => Err(redb::Error::PreviousIo),
        };
        if let Err(error) = committed {
            if self.writable.swap(false, Ordering::AcqRel) {
                tracing::error!(%error, "the authority store can't be written: changes are refused until it can");
            }
            drop(drafts);
            self.revive();
            return false;
        }
        drafts.into_changes().apply(&self.tables);
        if !self.writable.swap(true, Ordering::AcqRel) {
            tracing::info!("the authority store can be written again");
        }
        true
    }

    /// Opens the file again after a failure. What is visible becomes what is durable: of a commit that failed late, the disk
    /// may hold all, though its callers were told no.
    fn revive(&self) {
        let revived = self
            .file
            .reopen()
            .and_then(|database| Tables::load(&database));
        match revived {
            Ok(fresh) => self.tables.replace(fresh),
            Err(error) => tracing::debug!(%error, "the authority store can't be opened again yet"),
        }
    }
}

/// Runs one job; true when its changes are kept.
fn runs(job: &mut dyn Job, drafts: &mut Drafts<'_>) -> bool {
    // A job sees drafts only, and those of one that panicked are thrown away.
    let outcome = catch_unwind(AssertUnwindSafe(|| job.run(drafts)));
    let is_kept = match outcome {
        Ok(wanted) => {
            let reads_back = !wanted || drafts.reads_back();
            if !reads_back {
                tracing::error!("a change was refused because the store could not read it again");
            }
            wanted && reads_back
        }
        Err(_) => {
            tracing::error!("a change panicked and was thrown away");
            false
        }
    };
    if is_kept {
        drafts.keep();
    } else {
        drafts.discard();
    }
    is_kept
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
