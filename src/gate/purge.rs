//! What was purged, and when: the reason a purge beats every answer that was asked for before it (R-08).
//!
//! Always true: an answer carries the stamp of the moment it was asked for; it is only used while no later purge covers it. So
//! a purge is complete as soon as it is written here, whatever asks are in flight, and removing what it covers from memory
//! is mere housekeeping.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::model::identity::Identity;

/// Purges remembered one by one; answers older than the oldest are taken as purged.
const REMEMBERED: usize = 1024;

/// What to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeScope {
    /// Everything.
    All,
    /// Every credential of a user name, in any realm.
    User(String),
    /// Every credential checked by, or of a user from, a realm.
    Realm(String),
    /// The same of one user name.
    UserInRealm {
        /// The user's name.
        user: String,
        /// The realm's name.
        realm: String,
    },
    /// An API key, by id.
    ApiKey(String),
    /// Every identity that holds a role. API keys don't: they have a copy of their owner's privileges.
    Role(String),
}

impl PurgeScope {
    /// Every label of [`PurgeScope::label`].
    pub const LABELS: [&'static str; 5] = ["all", "user", "realm", "api_key", "role"];

    /// The label in logs and metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::User(_) | Self::UserInRealm { .. } => "user",
            Self::Realm(_) => "realm",
            Self::ApiKey(_) => "api_key",
            Self::Role(_) => "role",
        }
    }

    /// Whether an identity is meant.
    pub fn covers(&self, identity: &Identity) -> bool {
        match self {
            Self::All => true,
            Self::User(name) => identity.username == *name,
            Self::Realm(name) => is_of_realm(identity, name),
            Self::UserInRealm { user, realm } => {
                identity.username == *user && is_of_realm(identity, realm)
            }
            Self::ApiKey(id) => identity.api_key.as_ref().is_some_and(|key| key.id == *id),
            Self::Role(name) => identity.roles.iter().any(|role| role == name),
        }
    }
}

fn is_of_realm(identity: &Identity, name: &str) -> bool {
    identity.realm.name == name || identity.lookup_realm.name == name
}

/// The record of purges.
#[derive(Debug, Default)]
pub(super) struct PurgeLog {
    stamp: AtomicU64,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Answers with a lower stamp are older than what is remembered.
    floor: u64,
    /// Stamps and scopes, oldest first.
    purges: VecDeque<(u64, PurgeScope)>,
}

impl PurgeLog {
    /// The stamp for an ask that begins now.
    pub(super) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Acquire)
    }

    /// Writes a purge down. When this returns, no answer it covers is used any more.
    pub(super) fn add(&self, scope: PurgeScope) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp.load(Ordering::Acquire) + 1;
        if recent.purges.len() == REMEMBERED {
            recent.floor = recent
                .purges
                .pop_front()
                .map_or(stamp, |(oldest, _)| oldest);
        }
        recent.purges.push_back((stamp, scope));
        self.stamp.store(stamp, Ordering::Release);
    }

    /// Looks for a purge after `since` that covers any of these: `None` if there is one, else the stamp up to which they are
    /// vetted.
    pub(super) fn vet<'i>(
        &self,
        identities: impl Iterator<Item = &'i Identity> + Clone,
        since: u64,
    ) -> Option<u64> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let purged = since < recent.floor
            || recent
                .purges
                .iter()
                .rev()
                .take_while(|(stamp, _)| *stamp > since)
                .any(|(_, scope)| identities.clone().any(|identity| scope.covers(identity)));
        (!purged).then(|| self.stamp.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::Realm;

    fn identity(username: &str) -> Identity {
        let realm = Realm {
            name: "r".into(),
            kind: "native".into(),
        };
        Identity {
            username: username.into(),
            roles: vec!["reader".into()],
            full_name: None,
            email: None,
            metadata: serde_json::Map::new(),
            realm: realm.clone(),
            lookup_realm: realm,
            authentication_type: "realm".into(),
            api_key: None,
        }
    }

    fn vet(log: &PurgeLog, identity: &Identity, since: u64) -> Option<u64> {
        log.vet([identity].into_iter(), since)
    }

    #[test]
    fn a_purge_covers_what_was_asked_before_and_nothing_after() {
        let log = PurgeLog::default();
        let before = log.stamp();
        log.add(PurgeScope::User("alice".into()));
        assert_eq!(vet(&log, &identity("alice"), before), None);
        assert_eq!(vet(&log, &identity("bob"), before), Some(1));
        assert_eq!(vet(&log, &identity("alice"), log.stamp()), Some(1));
    }

    #[test]
    fn scopes_cover_by_realm_and_role_too() {
        let alice = identity("alice");
        let in_realm = |user: &str, realm: &str| PurgeScope::UserInRealm {
            user: user.into(),
            realm: realm.into(),
        };
        for scope in [
            PurgeScope::All,
            PurgeScope::Realm("r".into()),
            PurgeScope::Role("reader".into()),
            in_realm("alice", "r"),
        ] {
            assert!(scope.covers(&alice), "{scope:?}");
        }
        for scope in [
            PurgeScope::Realm("x".into()),
            PurgeScope::Role("x".into()),
            PurgeScope::ApiKey("x".into()),
            in_realm("alice", "x"),
            in_realm("bob", "r"),
        ] {
            assert!(!scope.covers(&alice), "{scope:?}");
        }
    }

    #[test]
    fn who_acts_as_another_is_covered_by_either_name() {
        let (log, both) = (PurgeLog::default(), [identity("alice"), identity("bob")]);
        log.add(PurgeScope::User("bob".into()));
        assert_eq!(log.vet(both.iter(), 0), None);
    }

    #[test]
    fn what_is_older_than_the_record_counts_as_purged() {
        let log = PurgeLog::default();
        for _ in 0..=REMEMBERED {
            log.add(PurgeScope::User("somebody".into()));
        }
        assert_eq!(vet(&log, &identity("bob"), 0), None);
        assert!(vet(&log, &identity("bob"), 1).is_some());
    }
}
