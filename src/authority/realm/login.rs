//! Checking a user name and password.
//!
//! Proven pairs are remembered under a keyed fingerprint together with the hash they were proven against, and count only while
//! the account still has that very hash: a changed password or a deleted user needs no invalidation. Failures are not cached.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::account::{self, Account};
use crate::authority::password::{HashingError, Passwords};
use crate::authority::record::Principal;
use crate::authority::store::Tables;
use crate::model::credential::{Fingerprint, FingerprintKey};
use crate::model::secret::Secret;

/// Elasticsearch's `cache.ttl` and `cache.max_users`.
const CACHE_TTL: Duration = Duration::from_secs(20 * 60);
const CACHE_ENTRIES: u64 = 100_000;

/// Why a login failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginError {
    /// Unknown user, wrong password, disabled: nobody is told which.
    Refused,
    /// The password could not be checked now.
    Unchecked(HashingError),
}

/// The password check with its memory.
pub struct Logins {
    key: FingerprintKey,
    proven: Cache<Fingerprint, Arc<str>>,
    passwords: Passwords,
}

impl Logins {
    /// Uses `passwords` to hash.
    pub fn new(passwords: Passwords) -> Self {
        Self {
            key: FingerprintKey::random(),
            proven: Cache::builder()
                .max_capacity(CACHE_ENTRIES)
                .time_to_live(CACHE_TTL)
                .build(),
            passwords,
        }
    }

    /// The hashing pool.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Logs a user in.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn check(
        &self,
        tables: &Tables,
        username: &str,
        password: &Secret,
    ) -> Result<Principal, LoginError> {
        let account = account::find(tables, username);
        let hash = account
            .as_ref()
            .and_then(|account| account.password.as_deref());
        let fingerprint = self
            .key
            .fingerprint(&[username.as_bytes(), password.expose()]);
        let proven = self.proven.get(&fingerprint);
        let known = proven.is_some() && proven.as_deref() == hash;
        if !known {
            let hash: Option<Arc<str>> = hash.map(Arc::from);
            let right = self
                .passwords
                .verify(password.clone(), hash.clone())
                .await
                .map_err(LoginError::Unchecked)?;
            let (true, Some(hash)) = (right, hash) else {
                return Err(LoginError::Refused);
            };
            self.proven.insert(fingerprint, hash);
        }
        match account {
            Some(Account {
                principal,
                enabled: true,
                ..
            }) => Ok(principal),
            Some(_) | None => Err(LoginError::Refused),
        }
    }

    /// Forgets every proven pair (`_clear_cache` of a realm).
    pub fn clear(&self) {
        self.proven.invalidate_all();
    }
}
