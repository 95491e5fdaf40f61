//! What this process remembers of sessions, whatever store there is: those in use, those that ended, and what was ended at once.
//!
//! Always true: it outlives reloads and nothing else; every part of it is bounded, and what falls out of it is found again in
//! the cookie or the store. With sessions in cookies, this is also the only place that knows which of them ended, so all of
//! it holds for one process: see `docs/sessions.md`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use super::ended::EndReason;
use super::live::Live;
use super::record::{Session, SessionId};
use super::whose::Whose;
use crate::model::clock;
use crate::model::secret::Secret;

/// Sessions in use that are remembered.
const MAX_LIVE: u64 = 200_000;
/// Ended sessions that are remembered.
const MAX_ENDED: u64 = 500_000;
/// The longest that an ended session is remembered: longer than the authority's refresh tokens live.
const ENDED_LIFE: Duration = Duration::from_secs(31 * 24 * 3600);
/// Endings of many sessions at once that are remembered.
const MAX_BARS: usize = 4096;

/// Sessions in this process. One per process.
pub struct Memory {
    /// Seals where no key is configured.
    pub(super) spare: Secret,
    lives: Cache<SessionId, Arc<Live>>,
    ended: Cache<SessionId, EndReason>,
    users: Mutex<HashMap<User, Vec<SessionId>>>,
    bars: Mutex<VecDeque<Bar>>,
}

/// Who a limit is about.
type User = (String, String, String);

/// Many sessions ended at once, among them some that this process has not seen yet.
struct Bar {
    whose: Whose,
    reason: EndReason,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            spare: Secret::new(clock::random_bytes::<32>()),
            lives: Cache::builder().max_capacity(MAX_LIVE).build(),
            ended: Cache::builder()
                .max_capacity(MAX_ENDED)
                .time_to_live(ENDED_LIFE)
                .build(),
            users: Mutex::default(),
            bars: Mutex::default(),
        }
    }
}

impl Memory {
    /// The session with this id, if it is in use here.
    pub(super) fn find(&self, id: &SessionId) -> Option<Arc<Live>> {
        self.lives.get(id)
    }

    /// Why a session ended, if that is remembered.
    pub(super) fn ended(&self, id: &SessionId) -> Option<EndReason> {
        self.ended.get(id)
    }

    /// Takes a session in; the one that is there already, if somebody was faster.
    pub(super) fn enter(&self, live: &Arc<Live>) -> Arc<Live> {
        let session = live.session();
        let entry = self.lives.entry(session.id).or_insert(Arc::clone(live));
        if entry.is_fresh() {
            let mut users = lock(&self.users);
            users.entry(user(&session)).or_default().push(session.id);
        }
        entry.into_value()
    }

    /// Remembers that a session ended, and lets go of the rest of it.
    pub(super) fn leave(&self, session: &Session, reason: EndReason) {
        self.ended.insert(session.id, reason);
        self.lives.invalidate(&session.id);
        let mut users = lock(&self.users);
        if let Some(ids) = users.get_mut(&user(session)) {
            ids.retain(|id| *id != session.id);
            if ids.is_empty() {
                users.remove(&user(session));
            }
        }
    }

    /// The sessions of this user at this provider, oldest first.
    pub(super) fn of_same_user(&self, session: &Session) -> Vec<Arc<Live>> {
        let mut users = lock(&self.users);
        let Some(ids) = users.get_mut(&user(session)) else {
            return Vec::new();
        };
        let mut found: Vec<Arc<Live>> = ids.iter().filter_map(|id| self.lives.get(id)).collect();
        // What fell out of the memory is no longer counted.
        ids.retain(|id| self.lives.contains_key(id));
        drop(users);
        found.sort_by_key(|live| live.session().created);
        found
    }

    /// Every session in use. Walks all of them.
    pub(super) fn all(&self) -> Vec<Arc<Live>> {
        self.lives.iter().map(|(_, live)| live).collect()
    }

    /// How many are in use.
    pub(super) fn len(&self) -> u64 {
        self.lives.entry_count()
    }

    /// Bars every session that is meant, seen or not.
    pub(super) fn bar(&self, whose: Whose, reason: EndReason) {
        let mut bars = lock(&self.bars);
        if bars.len() >= MAX_BARS {
            bars.pop_front();
        }
        bars.push_back(Bar { whose, reason });
    }

    /// Why a session that shows up for the first time was ended before.
    pub(super) fn barred(&self, session: &Session) -> Option<EndReason> {
        let bars = lock(&self.bars);
        let mut covering = bars.iter().filter(|bar| bar.whose.covers(session));
        covering.next().map(|bar| bar.reason)
    }
}

fn user(session: &Session) -> User {
    (
        session.provider.clone(),
        session.realm.clone(),
        session.username.clone(),
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory")
            .field("live", &self.lives.entry_count())
            .finish_non_exhaustive()
    }
}
