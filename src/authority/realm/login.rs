//! Checking a user name and password.
//!
//! Proven pairs are remembered per realm, under a keyed fingerprint together with the hash they were proven against, and count
//! only while the account still has that very hash: a changed password or a deleted user needs no invalidation. Failures are not
//! cached; they are limited per user name.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::Mutex;

use super::throttle::Throttle;
use crate::authority::password::{HashingError, Passwords, counting};
use crate::config::realms::{FailedLogins, RealmCache};
use crate::model::credential::{Fingerprint, FingerprintKey};
use crate::model::secret::Secret;

/// Locks at most; one that is dropped early only lets two hashes be made for one pair.
const MAX_TURNS: u64 = 10_000;
/// How long a lock nobody asks for is kept.
const TURN_IDLE: Duration = Duration::from_secs(60);

/// The password check, shared by all realms.
pub struct Logins {
    key: FingerprintKey,
    passwords: Passwords,
    throttle: Throttle,
    /// One lock for each pair that is being checked.
    turns: Cache<Fingerprint, Arc<Mutex<()>>>,
}

impl Logins {
    /// Uses `passwords` to hash.
    pub fn new(passwords: Passwords, limit: FailedLogins) -> Self {
        Self {
            key: FingerprintKey::random(),
            passwords,
            throttle: Throttle::new(limit),
            turns: Cache::builder()
                .max_capacity(MAX_TURNS)
                .time_to_idle(TURN_IDLE)
                .build(),
        }
    }

    /// The hashing pool.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// The limit on failures.
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// What a name is counted under.
    pub fn fingerprint_of_name(&self, username: &str) -> Fingerprint {
        self.key.fingerprint(&[username.as_bytes()])
    }

    /// What a pair is remembered under, when it is right by this hash.
    pub fn fingerprint(&self, username: &str, password: &Secret, hash: &str) -> Fingerprint {
        let password = counting(password.expose(), hash);
        self.key.fingerprint(&[username.as_bytes(), password])
    }

    /// What a pair is counted under while it is checked.
    pub fn fingerprint_of_pair(&self, username: &str, password: &Secret) -> Fingerprint {
        let parts = [username.as_bytes(), password.expose()];
        self.key.fingerprint(&parts)
    }

    /// The lock to hold while this pair is hashed: of many requests that bring the same pair at once, one pays for the hash, and
    /// the others find it remembered.
    pub fn turn(&self, pair: Fingerprint) -> Arc<Mutex<()>> {
        self.turns.get_with(pair, Arc::default)
    }

    /// Whether the password has this hash; without a hash no, after the same time. The slow way.
    ///
    /// # Errors
    /// See [`HashingError`].
    pub async fn verify(
        &self,
        password: &Secret,
        hash: Option<Arc<str>>,
    ) -> Result<bool, HashingError> {
        self.passwords.verify(password.clone(), hash).await
    }
}

/// A pair that was proven.
#[derive(Clone)]
struct Proof {
    hash: Arc<str>,
    username: Arc<str>,
}

/// Pairs of user name and password that one realm proved.
pub struct Memory(Cache<Fingerprint, Proof>);

impl Memory {
    /// An empty memory of this size and endurance.
    pub fn new(cache: RealmCache) -> Self {
        let entries = if cache.ttl.is_zero() {
            0
        } else {
            cache.entries
        };
        Self(
            Cache::builder()
                .max_capacity(entries)
                .time_to_live(cache.ttl)
                .build(),
        )
    }

    /// Whether the pair was proven against this very hash.
    pub fn knows(&self, pair: &Fingerprint, hash: &str) -> bool {
        self.0.get(pair).is_some_and(|proof| &*proof.hash == hash)
    }

    /// Remembers a proven pair.
    pub fn remember(&self, pair: Fingerprint, username: &str, hash: Arc<str>) {
        let username = Arc::from(username);
        self.0.insert(pair, Proof { hash, username });
    }

    /// Forgets these users; without any, all.
    pub fn forget(&self, usernames: &[String]) {
        if usernames.is_empty() {
            return self.0.invalidate_all();
        }
        let named = |proof: &Proof| usernames.iter().any(|name| **name == *proof.username);
        for (pair, _) in self.0.iter().filter(|(_, proof)| named(proof)) {
            self.0.invalidate(&*pair);
        }
    }
}
