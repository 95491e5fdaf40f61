//! What this process knows of a session right now: the one place where everybody who holds it finds its newest record.
//!
//! Always true: once it is over it stays over, for the first reason told; activity only moves forward; reading takes no lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::cookie::Lines;
use super::ended::EndReason;
use super::record::Session;
use crate::model::clock::Now;

/// A session in this process.
pub struct Live {
    current: ArcSwap<Session>,
    /// Unix milliseconds of the last activity known.
    active: AtomicU64,
    ended: OnceLock<EndReason>,
    /// Monotonic milliseconds at which a shared store was read last.
    checked: AtomicU64,
    /// Whether somebody reads it in the background.
    checking: AtomicBool,
    /// Unix milliseconds of the activity that a shared store knows of.
    told: AtomicU64,
    /// Monotonic milliseconds before which nobody begins to renew its tokens in the background.
    renew_from: AtomicU64,
    /// The cookie lines made last.
    written: ArcSwapOption<Written>,
}

/// Cookie lines, and what they say.
pub(super) struct Written {
    pub(super) generation: u64,
    pub(super) active: u64,
    pub(super) lines: Lines,
}

impl Live {
    /// A session known from now on.
    pub(super) fn new(session: Session, active: u64, now: Now) -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(session),
            active: AtomicU64::new(active),
            ended: OnceLock::new(),
            checked: AtomicU64::new(millis(now.mono)),
            checking: AtomicBool::new(false),
            told: AtomicU64::new(active),
            renew_from: AtomicU64::new(0),
            written: ArcSwapOption::empty(),
        })
    }

    /// Its newest record.
    pub fn session(&self) -> Arc<Session> {
        self.current.load_full()
    }

    /// Its last activity. Time since the Unix epoch.
    pub fn active(&self) -> Duration {
        Duration::from_millis(self.active_millis())
    }

    pub(super) fn active_millis(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    /// Notes activity.
    pub(super) fn be_active(&self, at: u64) {
        self.active.fetch_max(at, Ordering::Relaxed);
    }

    /// Why it is over; `None` while it isn't.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended.get().copied()
    }

    /// Ends it. True for the one who did.
    pub(super) fn end(&self, reason: EndReason) -> bool {
        self.ended.set(reason).is_ok()
    }

    /// Takes a record in if it is newer.
    pub(super) fn learn(&self, session: Session, active: u64) {
        self.be_active(active);
        let session = Arc::new(session);
        self.current.rcu(|current| {
            if session.generation > current.generation {
                Arc::clone(&session)
            } else {
                Arc::clone(current)
            }
        });
    }

    /// Puts a changed record in place of the one of generation `from`; the record there is now, either way.
    pub(super) fn replace(&self, from: u64, change: impl Fn(&mut Session)) -> Arc<Session> {
        self.current.rcu(|current| {
            if current.generation != from {
                return Arc::clone(current);
            }
            let mut next = Session::clone(current);
            change(&mut next);
            next.generation = from.saturating_add(1);
            Arc::new(next)
        });
        self.session()
    }

    /// How long ago a shared store was read.
    pub(super) fn age(&self, now: Now) -> Duration {
        let checked = Duration::from_millis(self.checked.load(Ordering::Relaxed));
        now.mono.saturating_sub(checked)
    }

    /// Notes that a shared store was read.
    pub(super) fn be_checked(&self, now: Now) {
        self.checked.store(millis(now.mono), Ordering::Relaxed);
    }

    /// True for one caller at a time, who reads the store and then calls [`Live::end_check`].
    pub(super) fn begin_check(&self) -> bool {
        !self.checking.swap(true, Ordering::Relaxed)
    }

    /// The reader is done.
    pub(super) fn end_check(&self) {
        self.checking.store(false, Ordering::Relaxed);
    }

    /// The activity to tell a shared store, for one caller per `pause`.
    pub(super) fn claim_telling(&self, pause: Duration) -> Option<u64> {
        let (active, told) = (self.active_millis(), self.told.load(Ordering::Relaxed));
        let due = active.saturating_sub(told) >= millis(pause);
        let mine = due
            && self
                .told
                .compare_exchange(told, active, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        mine.then_some(active)
    }

    /// True for one caller per `pause`.
    pub fn claim_renewal(&self, now: Now, pause: Duration) -> bool {
        let from = self.renew_from.load(Ordering::Relaxed);
        let next = millis(now.mono.saturating_add(pause));
        millis(now.mono) >= from
            && self
                .renew_from
                .compare_exchange(from, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// The lines made last, if there are any.
    pub(super) fn written(&self) -> Option<Arc<Written>> {
        self.written.load_full()
    }

    pub(super) fn write(&self, written: Written) {
        self.written.store(Some(Arc::new(written)));
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("session", &self.current.load())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
