//! Tokens of the authority that the gate holds for those who showed a certificate or a ticket instead.
//!
//! Always true: a token is used only before its own end and before any purge since it was made, because it carries the roles
//! its owner had then; nothing here is ever shown to a client; what leaves before its end is taken back by whoever lent it.
//! moka bounds how many there are. Lives are counted from the moment of asking, so no clock but our own takes part.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::notification::RemovalCause;
use moka::sync::Cache;

use crate::elastic::delegate::TokenGrant;
use crate::model::clock::Now;
use crate::model::credential::Fingerprint;
use crate::model::secret::Secret;

/// Elasticsearch's longest life of a token is an hour; what is older can't be of use.
const MAX_LIFE: Duration = Duration::from_secs(3_600);
/// What a token is not used any more before its end: requests take time, and so did the answer that brought it.
const LEEWAY: Duration = Duration::from_secs(30);

/// How long one renewal keeps others from starting.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);
/// How often at most it is asked whether one that an upstream refused is still good.
const DOUBT_PAUSE: Duration = Duration::from_secs(10);

/// Who notes down the tokens that are held, and takes them back.
pub trait Lender: Send + Sync {
    /// Notes one down, with what makes new ones of it where there is that.
    fn lend(&self, token: &Secret, refresh: Option<&Secret>) -> Box<dyn Loan>;
}

/// A token that is noted down.
pub trait Loan: Send + Sync {
    /// It is not held any more.
    fn end(self: Box<Self>, ending: Ending);
}

/// How a loan ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// To be taken back at once.
    Now,
    /// To be taken back when requests under way can be over.
    Soon,
    /// It ends by itself about now.
    Lapsed,
}

/// A token and how long it is good.
pub(super) struct HeldToken {
    pub(super) token: Secret,
    /// What makes another one of it, once.
    pub(super) refresh: Option<Secret>,
    /// From then on another one is fetched, where that is possible. Monotonic time.
    renew_at: Duration,
    /// From then on it is not used. Monotonic time.
    pub(super) expires: Duration,
    /// How long that was when it was kept.
    life: Duration,
    /// Monotonic nanoseconds until which somebody fetches another one.
    renewing: AtomicU64,
    /// Monotonic nanoseconds until which nobody's doubt in it is looked into.
    vouched: AtomicU64,
    stamp: u64,
    loan: Mutex<Option<Box<dyn Loan>>>,
}

/// The tokens of one kind.
pub(super) struct HeldTokens {
    tokens: Cache<Fingerprint, Arc<HeldToken>>,
    lender: OnceLock<Arc<dyn Lender>>,
    retired: AtomicBool,
}

/// moka drops what is past use; `now` decides what that is.
struct ByLife;

impl Expiry<Fingerprint, Arc<HeldToken>> for ByLife {
    fn expire_after_create(
        &self,
        _: &Fingerprint,
        token: &Arc<HeldToken>,
        _: Instant,
    ) -> Option<Duration> {
        Some(token.life)
    }

    fn expire_after_update(
        &self,
        _: &Fingerprint,
        token: &Arc<HeldToken>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(token.life)
    }
}

impl HeldTokens {
    /// At most `capacity` of them.
    pub(super) fn new(capacity: u64) -> Self {
        let tokens = Cache::builder()
            .max_capacity(capacity)
            .expire_after(ByLife)
            .eviction_listener(|_, gone: Arc<HeldToken>, cause| {
                gone.let_go(match cause {
                    RemovalCause::Explicit => Ending::Now,
                    RemovalCause::Replaced | RemovalCause::Size => Ending::Soon,
                    RemovalCause::Expired => Ending::Lapsed,
                });
            })
            .build();
        Self {
            tokens,
            lender: OnceLock::new(),
            retired: AtomicBool::new(false),
        }
    }

    /// Has everything noted down that is held from now on. The first lender stays.
    pub(super) fn lend_by(&self, lender: &Arc<dyn Lender>) {
        // A second one is a mistake that hurts nobody.
        let _ = self.lender.set(Arc::clone(lender));
    }

    /// The token kept under a fingerprint, if it is good under the purge stamp `stamp`.
    pub(super) fn find(&self, held: &Fingerprint, stamp: u64, now: Now) -> Option<Arc<HeldToken>> {
        let token = self.tokens.get(held)?;
        (token.stamp == stamp && now.mono < token.expires).then_some(token)
    }

    /// Keeps what was granted to an ask that began at `now` under `stamp`, at most `most` long.
    pub(super) fn keep(
        &self,
        held: Fingerprint,
        grant: TokenGrant,
        most: Duration,
        stamp: u64,
        now: Now,
    ) -> Arc<HeldToken> {
        let whole = grant.expires_in.min(most).min(MAX_LIFE);
        // Short lives keep a part of themselves: a token of a minute is good for half of it, not for ever renewed.
        let life = whole.saturating_sub(LEEWAY).max(whole / 2);
        let loan = self
            .lender
            .get()
            .map(|lender| lender.lend(&grant.access_token, grant.refresh_token.as_ref()));
        let token = Arc::new(HeldToken {
            token: grant.access_token,
            refresh: grant.refresh_token,
            renew_at: now.mono + whole.saturating_sub(LEEWAY * 2).max(whole / 3),
            expires: now.mono + life,
            life,
            renewing: AtomicU64::new(0),
            vouched: AtomicU64::new(0),
            stamp,
            loan: Mutex::new(loan),
        });
        if !self.retired.load(Ordering::SeqCst) {
            self.tokens.insert(held, Arc::clone(&token));
            // Looked at again: whoever retires walks over what is there after that.
            if self.retired.load(Ordering::SeqCst) {
                self.tokens.invalidate(&held);
            }
        }
        token
    }

    /// Has what was granted taken back, which nobody keeps, once the request it came with can be over.
    pub(super) fn pass_by(&self, grant: &TokenGrant) {
        if let Some(lender) = self.lender.get() {
            let loan = lender.lend(&grant.access_token, grant.refresh_token.as_ref());
            loan.end(Ending::Soon);
        }
    }

    /// Drops a token that the authority doesn't take any more.
    pub(super) fn forget(&self, held: &Fingerprint) {
        self.tokens.invalidate(held);
    }

    /// Lets go of every token that a purge has made useless. Walks over all of them.
    pub(super) fn sweep(&self, stamp: u64) {
        for (held, token) in &self.tokens {
            if token.stamp < stamp {
                self.tokens.invalidate(&*held);
            }
        }
    }

    /// Lets go of everything, and keeps nothing from now on. Walks over all of them.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        for (held, _) in &self.tokens {
            self.tokens.invalidate(&*held);
        }
    }
}

impl HeldToken {
    /// True for one caller per [`RENEWAL_PAUSE`] once it is time for another one; the others go on with this.
    pub(super) fn claim_renewal(&self, now: Now) -> bool {
        self.is_due(now) && claim(&self.renewing, now, RENEWAL_PAUSE)
    }

    /// True for one caller per [`DOUBT_PAUSE`]: that one may ask whether it is still good.
    pub(super) fn claim_doubt(&self, now: Now) -> bool {
        claim(&self.vouched, now, DOUBT_PAUSE)
    }

    /// Whether it is time for another one.
    pub(super) fn is_due(&self, now: Now) -> bool {
        now.mono >= self.renew_at
    }

    fn let_go(&self, ending: Ending) {
        let loan = self
            .loan
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(loan) = loan {
            loan.end(ending);
        }
    }
}

/// Moves a time on for whoever sees first that it has come.
fn claim(time: &AtomicU64, now: Now, pause: Duration) -> bool {
    let at = time.load(Ordering::Relaxed);
    let next = nanos(now.mono + pause);
    nanos(now.mono) >= at
        && time
            .compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Drop for HeldToken {
    /// One that was never kept, or whose cache went away with it.
    fn drop(&mut self) {
        self.let_go(Ending::Soon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Clock;
    use crate::model::credential::FingerprintKey;

    #[test]
    fn a_token_is_used_before_its_end_and_before_any_purge() {
        let clock = Clock::manual(Duration::from_secs(1_000));
        let held = HeldTokens::new(10);
        let name = FingerprintKey::random().fingerprint(&[b"x"]);
        let grant = TokenGrant {
            access_token: Secret::from("t"),
            expires_in: Duration::from_secs(1_200),
            refresh_token: None,
        };
        held.keep(name, grant, Duration::MAX, 7, clock.now());
        let find = |stamp| held.find(&name, stamp, clock.now());
        assert!(find(7).is_some_and(|token| !token.is_due(clock.now())));
        assert!(find(8).is_none(), "a purge came");
        clock.advance(Duration::from_secs(1_141));
        assert!(find(7).is_some_and(|token| token.is_due(clock.now())));
        let claimed: Vec<_> = (0..3)
            .filter_map(|_| find(7))
            .map(|token| token.claim_renewal(clock.now()))
            .collect();
        assert_eq!(claimed, [true, false, false], "one of them renews it");
        let token = find(7).unwrap();
        assert!(token.claim_doubt(clock.now()) && !token.claim_doubt(clock.now()));
        clock.advance(Duration::from_secs(30));
        assert!(find(7).is_none());
    }

    /// Notes how loans ended.
    #[derive(Clone, Default)]
    struct Book(Arc<Mutex<Vec<(String, Ending)>>>);

    struct Note(String, Book);

    impl Lender for Book {
        fn lend(&self, token: &Secret, _: Option<&Secret>) -> Box<dyn Loan> {
            let token = token.expose_str().unwrap().to_owned();
            Box::new(Note(token, self.clone()))
        }
    }

    impl Loan for Note {
        fn end(self: Box<Self>, ending: Ending) {
            self.1.0.lock().unwrap().push((self.0, ending));
        }
    }

    #[test]
    fn what_leaves_is_taken_back_once_and_what_is_replaced_a_little_later() {
        let (clock, book) = (Clock::manual(Duration::from_secs(1_000)), Book::default());
        let held = HeldTokens::new(10);
        let lender: Arc<dyn Lender> = Arc::new(book.clone());
        held.lend_by(&lender);
        let key = FingerprintKey::random();
        let keep = |name: &str, token: &str, stamp| {
            let grant = TokenGrant {
                access_token: Secret::from(token),
                expires_in: Duration::from_secs(1_200),
                refresh_token: None,
            };
            let name = key.fingerprint(&[name.as_bytes()]);
            held.keep(name, grant, Duration::MAX, stamp, clock.now());
        };
        let told = || std::mem::take(&mut *book.0.lock().unwrap());
        let ended = |token: &str, ending| (token.to_owned(), ending);
        keep("a", "1", 1);
        keep("a", "2", 1);
        assert_eq!(told(), [ended("1", Ending::Soon)]);
        held.forget(&key.fingerprint(&[b"a"]));
        assert_eq!(told(), [ended("2", Ending::Now)]);
        keep("a", "3", 1);
        keep("b", "4", 2);
        held.sweep(2);
        assert_eq!(told(), [ended("3", Ending::Now)]);
        held.retire();
        assert_eq!(told(), [ended("4", Ending::Now)]);
        keep("c", "5", 2);
        assert_eq!(told(), [ended("5", Ending::Soon)], "kept after the end");
        held.pass_by(&TokenGrant {
            access_token: Secret::from("6"),
            expires_in: Duration::from_secs(1_200),
            refresh_token: None,
        });
        assert_eq!(told(), [ended("6", Ending::Soon)]);
    }
}
