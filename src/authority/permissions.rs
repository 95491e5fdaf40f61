//! From role names to compiled permissions, remembered.
//!
//! Always true: what is served was compiled from the roles and application privileges as they are now: both revisions are part
//! of the cache key, so a change needs no invalidation. A request costs the same for 3 roles or 300.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::access::Permissions;
use super::access::application::ApplicationCatalogue;
use super::access::budget::Budget;
use super::access::pattern::PatternError;
use super::builtin::accounts;
use super::builtin::roles as reserved;
use super::realm::service;
use super::record::{ApiKey, Principal, RoleSet};
use super::store::Tables;
use super::subject::Subject;
use crate::wire::roles::RoleDescriptor;

/// Sets of roles and API keys that are kept compiled.
const ENTRIES: u64 = 10_000;

/// Compiled permissions by what they were compiled from.
pub struct Compiled {
    cache: Cache<Source, Result<Permissions, PatternError>>,
    catalogue: ArcSwap<(u64, ApplicationCatalogue)>,
    /// Bounds compilations at once.
    permits: Arc<Semaphore>,
}

/// Why there are no permissions to decide by.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A role or key whose patterns are malformed or too complex together.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The process is shutting down.
    #[error("permissions can't be compiled while shutting down")]
    Closed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Source {
    /// Roles revision, privileges revision, sorted role names.
    Roles(u64, u64, Arc<[String]>),
    /// Privileges revision, name of a service account.
    Service(u64, String),
    /// Privileges revision, key id and version.
    ApiKey(u64, String, u64),
    /// Privileges revision, digest of a key's roles and its owner's: a thousand keys alike are compiled once.
    Alike(u64, [u8; 32]),
}

impl Default for Compiled {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cache: Cache::builder().max_capacity(ENTRIES).build(),
            catalogue: ArcSwap::from_pointee((u64::MAX, ApplicationCatalogue::default())),
            permits: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))),
        }
    }
}

/// A caller's roles: those that exist, with their names, and the assigned ones that don't.
pub struct Roles {
    /// Found, sorted by name.
    pub found: Vec<(String, RoleDescriptor)>,
    /// Assigned and unknown.
    pub missing: Vec<String>,
}

impl Compiled {
    /// The permissions of a subject's effective user.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub async fn of(
        &self,
        tables: &Tables,
        subject: &Subject,
    ) -> Result<Permissions, CompileError> {
        match subject.acting_key() {
            Some(key) => self.of_key(tables, key).await,
            None => self.of_principal(tables, &subject.effective).await,
        }
    }

    /// The permissions of whoever authenticated, which decide about run-as.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub async fn of_authenticated(
        &self,
        tables: &Tables,
        subject: &Subject,
    ) -> Result<Permissions, CompileError> {
        match &subject.api_key {
            Some(key) => self.of_key(tables, key).await,
            None => self.of_principal(tables, subject.authenticated()).await,
        }
    }

    /// The permissions of a user by their roles, or of a service account.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub async fn of_principal(
        &self,
        tables: &Tables,
        principal: &Principal,
    ) -> Result<Permissions, CompileError> {
        let Some(role) = service_role(principal) else {
            return self.of_roles(tables, &principal.roles).await;
        };
        let key = Source::Service(tables.privileges.revision(), principal.username.clone());
        self.cached_or(key, || {
            let catalogue = self.catalogue(tables);
            move || Permissions::compile(std::slice::from_ref(role), &catalogue.1)
        })
        .await
    }

    async fn of_roles(
        &self,
        tables: &Tables,
        names: &[String],
    ) -> Result<Permissions, CompileError> {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        let names: Arc<[String]> = names.into();
        // Revisions are read before the rows: a change in between leaves an entry under a key nobody asks for again.
        let revisions = (tables.roles.revision(), tables.privileges.revision());
        let key = Source::Roles(revisions.0, revisions.1, Arc::clone(&names));
        self.cached_or(key, || {
            let catalogue = self.catalogue(tables);
            let found = resolve(tables, &names).found;
            move || compile_good(&found, &catalogue.1)
        })
        .await
    }

    async fn of_key(
        &self,
        tables: &Tables,
        api_key: &Arc<ApiKey>,
    ) -> Result<Permissions, CompileError> {
        let revision = tables.privileges.revision();
        let key = Source::ApiKey(revision, api_key.id.clone(), api_key.version);
        if let Some(found) = self.cache.get(&key) {
            return Ok(found?);
        }
        let alike = content(api_key).map(|digest| Source::Alike(revision, digest));
        let prepare = || {
            let catalogue = self.catalogue(tables);
            let api_key = Arc::clone(api_key);
            move || compile_key(&api_key, &catalogue.1)
        };
        let Some(alike) = alike else {
            return self.cached_or(key, prepare).await;
        };
        let permissions = self.cached_or(alike, prepare).await?;
        self.cache.insert(key, Ok(permissions.clone()));
        Ok(permissions)
    }

    /// Compiling takes milliseconds, so it happens off the runtime's threads and a few at a time.
    async fn cached_or<F, P>(&self, key: Source, prepare: P) -> Result<Permissions, CompileError>
    where
        P: FnOnce() -> F,
        F: FnOnce() -> Result<Permissions, PatternError> + Send + 'static,
    {
        if let Some(found) = self.cache.get(&key) {
            return Ok(found?);
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| CompileError::Closed)?;
        // Whoever held the permit before may have compiled just this.
        if let Some(found) = self.cache.get(&key) {
            return Ok(found?);
        }
        let compiled = run(permit, prepare()).await?;
        // A failure is remembered as well: what took long to fail would fail again for every request.
        self.cache.insert(key, compiled.clone());
        Ok(compiled?)
    }

    /// Does something that may take long, as compiling does: off the runtime's threads, and a few at a time.
    ///
    /// # Errors
    /// [`CompileError::Closed`]
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CompileError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        run(permit.map_err(|_| CompileError::Closed)?, work).await
    }

    fn catalogue(&self, tables: &Tables) -> Arc<(u64, ApplicationCatalogue)> {
        let revision = tables.privileges.revision();
        let current = self.catalogue.load_full();
        if current.0 == revision {
            return current;
        }
        let mut catalogue = ApplicationCatalogue::default();
        for (_, row) in tables.privileges.select(|_, _| true) {
            catalogue.insert(&row.application, &row.name, row.actions.clone());
        }
        let fresh = Arc::new((revision, catalogue));
        self.catalogue.store(Arc::clone(&fresh));
        fresh
    }

    /// Forgets everything (`_clear_cache` of roles, privileges, API keys).
    pub fn clear(&self) {
        self.cache.invalidate_all();
    }
}

/// The permit travels with the work: a caller that hangs up must not free it while the thread is still busy.
async fn run<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CompileError> {
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    done.await.map_err(|_| CompileError::Closed)
}

/// Compiles roles together. When that fails because of single ones, these grant nothing and a warning names them: a role that
/// can't be evaluated must not lock out everybody who has it.
fn compile_good(
    roles: &[(String, RoleDescriptor)],
    catalogue: &ApplicationCatalogue,
) -> Result<Permissions, PatternError> {
    let together = |roles: &[(String, RoleDescriptor)], budget: &Budget| {
        let roles: Vec<RoleDescriptor> = roles.iter().map(|(_, role)| role.clone()).collect();
        Permissions::compile_within(&roles, catalogue, budget)
    };
    let failed = match together(roles, &Budget::for_all_roles()) {
        Ok(permissions) => return Ok(permissions),
        Err(error) => error,
    };
    let budget = Budget::for_all_roles();
    let mut good = roles.to_vec();
    good.retain(|named| match together(std::slice::from_ref(named), &budget) {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(role = %named.0, %error, "a role can't be evaluated and grants nothing");
            false
        }
    });
    if good.len() == roles.len() {
        return Err(failed);
    }
    together(&good, &Budget::for_all_roles())
}

/// Digest of all that [`compile_key`] looks at.
fn content(key: &ApiKey) -> Option<[u8; 32]> {
    let written = serde_json::to_vec(&(&key.roles, &key.limited_by)).ok()?;
    digest(&SHA256, &written).as_ref().try_into().ok()
}

/// A key grants what both its own roles and its owner's snapshot grant; without own roles, what the snapshot grants.
fn compile_key(
    key: &ApiKey,
    catalogue: &ApplicationCatalogue,
) -> Result<Permissions, PatternError> {
    let compile = |set: &RoleSet| {
        let roles: Vec<(String, RoleDescriptor)> = set
            .iter()
            .map(|(name, role)| (name.clone(), RoleDescriptor::clone(role)))
            .collect();
        compile_good(&roles, catalogue)
    };
    let owner = compile(&key.limited_by)?;
    if key.roles.is_empty() {
        return Ok(owner);
    }
    Ok(compile(&key.roles)?.limited_by(Arc::new(owner)))
}

/// Looks roles up: stored and reserved ones; sorted, without doubles.
pub fn resolve(tables: &Tables, names: &[String]) -> Roles {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    let mut roles = Roles {
        found: Vec::new(),
        missing: Vec::new(),
    };
    for name in names {
        let role = match reserved::reserved_role(&name) {
            Some(role) => Some(role.clone()),
            None => tables.roles.find(&name).map(|role| (*role).clone()),
        };
        match role {
            Some(role) => roles.found.push((name, role)),
            None => roles.missing.push(name),
        }
    }
    roles
}

/// What a service account may do; `None` for everybody else.
pub fn service_role(principal: &Principal) -> Option<&'static RoleDescriptor> {
    accounts::service_account(&principal.username)
        .filter(|_| principal.realm.kind == service::REALM)
}

/// The owner's descriptors as an API key remembers them: an API key's own when a key makes a key, else the roles' without descriptions.
pub fn snapshot(tables: &Tables, owner: &Principal) -> RoleSet {
    if let Some(role) = service_role(owner) {
        let role = RoleDescriptor {
            description: None,
            ..role.clone()
        };
        return RoleSet::from([(owner.username.clone(), Arc::new(role))]);
    }
    resolve(tables, &owner.roles)
        .found
        .into_iter()
        .map(|(name, mut role)| {
            role.description = None;
            (name, Arc::new(role))
        })
        .collect()
}
