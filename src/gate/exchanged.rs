//! What an identity was exchanged for: the credentials and assertions made for upstreams, kept with its cache entry.
//!
//! Always true: a grant is used only before it expires; when no cache entry holds them any more, grants are let go of at once,
//! and one that is made later is never kept; letting go of a grant drops its lease, which is how whoever made it learns that
//! it can be taken back. Knows nothing of how grants are made: that is the forwarding's.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use http::HeaderValue;
use tokio::sync::{Mutex, MutexGuard};

use super::cache::Cache;
use super::refusal::Refusal;
use crate::model::clock::Now;
use crate::model::credential::Fingerprint;
use crate::model::identity::Identity;

/// The count of holders of what nobody will ever hold again.
const RETIRED: usize = usize::MAX;

/// Everything one identity was exchanged for. Shared by the cache entries that follow one another for a credential.
#[derive(Debug)]
pub struct Exchanged {
    /// One per distinct exchange of the route table.
    slots: Box<[Slot]>,
    /// How many cache entries hold it, or [`RETIRED`].
    holders: AtomicUsize,
}

/// Where the grant of one exchange is kept.
#[derive(Debug, Default)]
pub struct Slot {
    grant: ArcSwapOption<Grant>,
    trouble: ArcSwapOption<Trouble>,
    /// Held by whoever makes a grant, so that one is made however many wait.
    making: Mutex<()>,
}

/// Why no grant could be made a moment ago.
#[derive(Debug)]
struct Trouble {
    refusal: Refusal,
    /// Monotonic time until which nobody tries again.
    until: Duration,
}

/// What is sent to an upstream, and until when.
pub struct Grant {
    /// The value of its header.
    pub value: HeaderValue,
    /// Monotonic nanoseconds from which it is not sent any more.
    expires: AtomicU64,
    /// Monotonic time from which a new one is better.
    fresh_until: Duration,
    /// Dropped with the grant; `None` when there is nothing to take back.
    pub lease: Option<Box<dyn Any + Send + Sync>>,
    /// Monotonic nanoseconds from which a use has a new one made in the background.
    due: AtomicU64,
    /// Monotonic nanoseconds until which an upstream's doubt in it is not looked into.
    vouched: AtomicU64,
}

impl Grant {
    /// A grant that is renewed from `due` on, if it is used, and not used from `expires` on.
    pub fn new(value: HeaderValue, due: Duration, expires: Duration) -> Self {
        Self {
            value,
            expires: AtomicU64::new(nanos(expires)),
            fresh_until: due,
            lease: None,
            due: AtomicU64::new(nanos(due)),
            vouched: AtomicU64::new(0),
        }
    }

    /// With something that is dropped with it.
    #[must_use]
    pub fn leasing(self, lease: Box<dyn Any + Send + Sync>) -> Self {
        Self {
            lease: Some(lease),
            ..self
        }
    }

    /// Whether it may be sent.
    pub fn is_live(&self, now: Now) -> bool {
        nanos(now.mono) < self.expires.load(Ordering::Relaxed)
    }

    /// Whether it may be sent, and for long enough that nobody need make a new one.
    pub fn is_fresh(&self, now: Now) -> bool {
        now.mono < self.fresh_until && self.is_live(now)
    }

    /// Ends it early, wherever it is kept.
    pub fn bury(&self) {
        self.expires.store(0, Ordering::Relaxed);
    }

    /// True for one caller per `pause` once it is due for renewal.
    pub fn claim_renewal(&self, now: Now, pause: Duration) -> bool {
        claim(&self.due, now, pause)
    }

    /// True for one caller per `pause`: that one may ask whether the grant still lives.
    pub fn claim_doubt(&self, now: Now, pause: Duration) -> bool {
        claim(&self.vouched, now, pause)
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("fresh_until", &self.fresh_until)
            .finish_non_exhaustive()
    }
}

/// Moves a due time on for whoever sees it first.
fn claim(due: &AtomicU64, now: Now, pause: Duration) -> bool {
    let at = due.load(Ordering::Relaxed);
    let next = nanos(now.mono.saturating_add(pause));
    nanos(now.mono) >= at
        && due
            .compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Slot {
    /// The grant, if there is one that may be sent. Cheap: no lock, no count that cores share.
    pub fn live(&self, now: Now) -> Option<Guard<Option<Arc<Grant>>>> {
        let grant = self.grant.load();
        grant
            .as_ref()
            .is_some_and(|grant| grant.is_live(now))
            .then_some(grant)
    }

    /// Whatever grant there is.
    pub fn current(&self) -> Option<Arc<Grant>> {
        self.grant.load_full()
    }

    /// Waits for the turn to make a grant.
    pub async fn make(&self) -> MutexGuard<'_, ()> {
        self.making.lock().await
    }

    /// Notes why none could be made, so that not everybody who comes within `pause` tries again.
    pub fn note_trouble(&self, refusal: Refusal, now: Now, pause: Duration) {
        let until = now.mono.saturating_add(pause);
        self.trouble
            .store(Some(Arc::new(Trouble { refusal, until })));
    }

    /// The trouble that was noted a moment ago.
    pub fn trouble(&self, now: Now) -> Option<Refusal> {
        let trouble = self.trouble.load();
        let trouble = trouble
            .as_ref()
            .filter(|trouble| now.mono < trouble.until)?;
        Some(trouble.refusal.clone())
    }
}

impl Exchanged {
    /// Room for as many exchanges as the route table has.
    pub fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self {
            slots: (0..slots).map(|_| Slot::default()).collect(),
            holders: AtomicUsize::new(0),
        })
    }

    /// The slot of an exchange.
    pub fn slot(&self, at: usize) -> Option<&Slot> {
        self.slots.get(at)
    }

    /// Keeps a grant, unless everything was let go of meanwhile; what it replaces is let go of.
    pub fn keep(&self, at: usize, grant: Arc<Grant>) {
        if let Some(slot) = self.slots.get(at) {
            slot.trouble.store(None);
            slot.grant.store(Some(grant));
            // Looked at after the store: whoever retires looks at the slots after that.
            if self.is_retired() {
                slot.grant.store(None);
            }
        }
    }

    /// Whether everything was let go of.
    pub fn is_retired(&self) -> bool {
        self.holders.load(Ordering::SeqCst) == RETIRED
    }

    /// One more cache entry holds this; false when it is too late for that.
    pub(super) fn hold(&self) -> bool {
        self.holders
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |holders| {
                (holders != RETIRED).then(|| holders + 1)
            })
            .is_ok()
    }

    /// One cache entry less holds this; the last lets go of everything.
    pub(super) fn release(&self) {
        let before =
            self.holders.fetch_update(
                Ordering::SeqCst,
                Ordering::SeqCst,
                |holders| match holders {
                    RETIRED => None,
                    0 | 1 => Some(RETIRED),
                    more => Some(more - 1),
                },
            );
        if matches!(before, Ok(0 | 1)) {
            self.let_go();
        }
    }

    /// Lets go of everything, whoever holds this.
    pub(super) fn retire(&self) {
        self.holders.store(RETIRED, Ordering::SeqCst);
        self.let_go();
    }

    fn let_go(&self) {
        for slot in &self.slots {
            slot.grant.store(None);
        }
    }
}

// === impl Cache ===

impl Cache {
    /// With room for this many exchanges in every entry.
    pub(super) fn with_exchanges(mut self, exchanges: usize) -> Self {
        self.exchanges = exchanges;
        self
    }

    /// What the entry before had been exchanged for, if that was the same identity and no purge covers it; else nothing yet.
    pub(super) fn exchanged(
        &self,
        fingerprint: &Fingerprint,
        identity: &Identity,
    ) -> Option<Arc<Exchanged>> {
        if self.exchanges == 0 {
            return None;
        }
        let before = self.entries.get(fingerprint);
        let same = before
            .filter(|entry| entry.identity == *identity && self.is_unpurged(entry))
            .and_then(|entry| entry.exchanged.clone())
            .filter(|exchanged| !exchanged.is_retired());
        Some(same.unwrap_or_else(|| Exchanged::new(self.exchanges)))
    }

    /// Lets go of everything that any identity was exchanged for.
    pub(super) fn retire(&self) {
        for (_, entry) in &self.entries {
            if let Some(exchanged) = &entry.exchanged {
                exchanged.retire();
            }
        }
    }

    /// Whose credential this is, if that is remembered.
    pub(super) fn username(&self, fingerprint: &Fingerprint) -> Option<String> {
        let entry = self.entries.get(fingerprint)?;
        Some(entry.identity.username.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(seconds: u64) -> Now {
        let at = Duration::from_secs(seconds);
        Now { mono: at, unix: at }
    }

    fn grant(lease: &Arc<()>) -> Arc<Grant> {
        let (due, end) = (Duration::from_secs(50), Duration::from_secs(60));
        let value = HeaderValue::from_static("Bearer x");
        Arc::new(Grant::new(value, due, end).leasing(Box::new(Arc::clone(lease))))
    }

    #[test]
    fn a_grant_is_sent_until_it_expires_and_renewed_by_one_caller() {
        let (lease, exchanged) = (Arc::new(()), Exchanged::new(1));
        exchanged.keep(0, grant(&lease));
        let slot = exchanged.slot(0).unwrap();
        assert!(slot.live(now(59)).is_some() && slot.live(now(60)).is_none());
        let kept = slot.current().unwrap();
        let pause = Duration::from_secs(5);
        assert!(!kept.claim_renewal(now(49), pause));
        assert!(kept.claim_renewal(now(50), pause) && !kept.claim_renewal(now(54), pause));
        assert!(kept.claim_renewal(now(55), pause));
    }

    #[test]
    fn the_last_holder_lets_go_and_nothing_is_kept_after() {
        let (lease, exchanged) = (Arc::new(()), Exchanged::new(1));
        assert!(exchanged.hold() && exchanged.hold());
        exchanged.keep(0, grant(&lease));
        exchanged.release();
        assert_eq!(Arc::strong_count(&lease), 2);
        exchanged.release();
        assert_eq!(Arc::strong_count(&lease), 1);
        assert!(!exchanged.hold());
        exchanged.keep(0, grant(&lease));
        assert_eq!(
            Arc::strong_count(&lease),
            1,
            "kept although nobody holds it"
        );
    }

    #[test]
    fn a_buried_grant_is_sent_no_more() {
        let (lease, exchanged) = (Arc::new(()), Exchanged::new(1));
        exchanged.keep(0, grant(&lease));
        let slot = exchanged.slot(0).unwrap();
        assert!(slot.current().unwrap().is_fresh(now(1)));
        slot.current().unwrap().bury();
        assert!(slot.live(now(1)).is_none() && slot.current().is_some());
    }

    #[test]
    fn trouble_is_told_for_a_moment() {
        let exchanged = Exchanged::new(1);
        let slot = exchanged.slot(0).unwrap();
        slot.note_trouble(Refusal::Internal("x"), now(1), Duration::from_secs(1));
        assert!(slot.trouble(now(1)).is_some() && slot.trouble(now(2)).is_none());
    }
}
