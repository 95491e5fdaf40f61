//! What is remembered: one entry per credential, refusals apart from it, and answers about resolved atoms.
//!
//! Always true: keys are fingerprints, so no secret is stored; an entry is used only while its ttl and its credential's own
//! life last and no purge covers it, all judged against the caller's `now`; refusals live in a small cache of their own, so
//! that a flood of wrong passwords evicts nothing good; trouble is never remembered. moka bounds the memory and drops what
//! is past use; it never decides what is valid.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;

use crate::config::settings;
use crate::model::clock::{self, Now};
use crate::model::credential::Fingerprint;
use crate::model::identity::Identity;
use crate::model::privilege::{Atom, AtomBits};

use super::exchanged::Exchanged;
use super::metrics::{CacheName, GateMetrics};
use super::purge::{PurgeLog, PurgeScope};

/// Headers made once per entry and forwarding, then cloned (cheaply) into each request.
pub type PrebuiltHeaders = Box<[(HeaderName, HeaderValue)]>;

/// What is remembered about a credential. Immutable but for the lazily made headers and its own bookkeeping.
#[derive(Debug)]
pub struct Entry {
    /// Who it is; with `run_by`, whom they act as.
    pub identity: Identity,
    /// Who it really is, when they act as another user.
    pub run_by: Option<Box<Identity>>,
    /// The user they may not act as, although they asked to.
    pub(super) denied: Option<Box<str>>,
    /// Static atoms the identity was granted.
    pub granted: AtomBits,
    /// Monotonic time from which it may not be used any more (stale-if-error apart).
    pub expires: Duration,
    /// Time since the Unix epoch from which the credential itself counts as expired, leeway included; `None`: unknown or never.
    pub not_after: Option<Duration>,
    /// One slot per distinct forwarding, filled by the first request that needs it.
    pub prebuilt: Box<[OnceLock<PrebuiltHeaders>]>,
    /// What it was exchanged for; `None` when no route exchanges anything.
    pub exchanged: Option<Arc<Exchanged>>,
    /// Purge stamp at the start of the ask.
    stamp: u64,
    /// Purge stamp up to which no purge covers this entry.
    vetted: AtomicU64,
    /// Monotonic nanoseconds from which a use asks again in the background.
    refresh_at: AtomicU64,
    /// Monotonic nanoseconds before which, after trouble, a stale entry is used without asking.
    trouble_until: AtomicU64,
}

impl Entry {
    fn is_live(&self, now: Now) -> bool {
        now.mono < self.expires && self.credential_lives(now)
    }

    /// Whoever has a part in it: who it is, and who acts as them.
    pub(super) fn everybody(&self) -> impl Iterator<Item = &Identity> + Clone {
        [&self.identity].into_iter().chain(self.run_by.as_deref())
    }

    fn credential_lives(&self, now: Now) -> bool {
        self.not_after.is_none_or(|end| now.unix < end)
    }

    /// True for one caller per `pause` once the entry is due for a refresh.
    pub(super) fn claim_refresh(&self, now: Now, pause: Duration) -> bool {
        claim(&self.refresh_at, now, pause)
    }

    /// Notes that the authority is in trouble, so that stale uses don't wait for it one by one.
    pub(super) fn note_trouble(&self, now: Now, pause: Duration) {
        let until = nanos(now.mono.saturating_add(pause));
        self.trouble_until.store(until, Ordering::Relaxed);
    }

    /// Whether trouble was noted a moment ago.
    pub(super) fn in_trouble(&self, now: Now) -> bool {
        nanos(now.mono) < self.trouble_until.load(Ordering::Relaxed)
    }
}

/// Moves a due time on for whoever sees it first.
fn claim(due: &AtomicU64, now: Now, pause: Duration) -> bool {
    let at = due.load(Ordering::Relaxed);
    nanos(now.mono) >= at
        && due
            .compare_exchange(
                at,
                nanos(now.mono.saturating_add(pause)),
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How a decision came by its answer; a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheResult {
    /// A live entry.
    Hit,
    /// Nobody knew; the authority was asked.
    Miss,
    /// A remembered refusal.
    NegativeHit,
    /// An entry past its ttl, because the authority is in trouble.
    Stale,
    /// Waited for somebody else's ask.
    Coalesced,
    /// No credential took part.
    Bypass,
}

impl CacheResult {
    /// Every value, to pre-create metric series.
    pub const ALL: [Self; 6] = [
        Self::Hit,
        Self::Miss,
        Self::NegativeHit,
        Self::Stale,
        Self::Coalesced,
        Self::Bypass,
    ];

    /// The label in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::NegativeHit => "negative_hit",
            Self::Stale => "stale",
            Self::Coalesced => "coalesced",
            Self::Bypass => "bypass",
        }
    }
}

/// What an authority told about a credential, before it becomes an [`Entry`].
#[derive(Debug)]
pub(super) struct Learned {
    pub(super) identity: Identity,
    pub(super) run_by: Option<Box<Identity>>,
    pub(super) denied: Option<Box<str>>,
    pub(super) granted: AtomBits,
    /// When the credential itself expires, in time since the Unix epoch.
    pub(super) credential_expires: Option<Duration>,
}

/// What a look-up comes to.
#[derive(Debug)]
pub(super) enum Found {
    /// To be used.
    Live(Arc<Entry>),
    /// Was good, is past its ttl.
    Expired(Arc<Entry>),
    /// The authority refused it a moment ago.
    Refused,
    /// Not known.
    Absent,
}

/// A remembered answer about a resolved atom.
#[derive(Debug)]
struct Resolved {
    granted: bool,
    expires: Duration,
    stamp: u64,
    refresh_at: AtomicU64,
}

/// What is known of a resolved atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KnownAtom {
    pub(super) granted: bool,
    /// To be asked again in the background, by this caller.
    pub(super) due: bool,
}

#[derive(Clone, Copy, Debug)]
struct Negative {
    expires: Duration,
    stamp: u64,
}

/// Sizes, for the admin door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Credentials known.
    pub entries: u64,
    /// Refusals remembered.
    pub negative: u64,
    /// Resolved atoms remembered.
    pub resolved: u64,
    /// Asks in flight.
    pub in_flight: u64,
}

type AtomKey = (Fingerprint, Atom);

/// The three caches and the record of purges.
pub(super) struct Cache {
    pub(super) entries: moka::sync::Cache<Fingerprint, Arc<Entry>, ByFingerprint>,
    negative: moka::sync::Cache<Fingerprint, Negative, ByFingerprint>,
    resolved: moka::sync::Cache<AtomKey, Arc<Resolved>>,
    purges: PurgeLog,
    life: settings::Cache,
    metrics: Arc<GateMetrics>,
    /// Distinct exchanges of the route table.
    pub(super) exchanges: usize,
}

impl Cache {
    pub(super) fn new(life: &settings::Cache, metrics: &Arc<GateMetrics>) -> Self {
        // Judged by `now` on every use; this only frees memory of what nobody asks for any more.
        let hygiene = (life.ttl + life.max_stale).max(Duration::from_secs(1));
        let listen = |name| {
            let metrics = Arc::clone(metrics);
            move |cause: RemovalCause| metrics.evicted(name, cause)
        };
        let (entry, negative, resolved) = (
            listen(CacheName::Entries),
            listen(CacheName::Negative),
            listen(CacheName::Resolved),
        );
        Self {
            entries: moka::sync::Cache::builder()
                .max_capacity(life.max_entries)
                .time_to_live(hygiene)
                .eviction_listener(move |_, gone: Arc<Entry>, cause| {
                    if let Some(exchanged) = &gone.exchanged {
                        exchanged.release();
                    }
                    entry(cause);
                })
                .build_with_hasher(ByFingerprint),
            negative: moka::sync::Cache::builder()
                .max_capacity(life.max_negative_entries)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(life.negative_ttl.max(Duration::from_secs(1)))
                .eviction_listener(move |_, _, cause| negative(cause))
                .build_with_hasher(ByFingerprint),
            resolved: moka::sync::Cache::builder()
                .max_capacity(life.max_resolved_entries)
                .time_to_live(hygiene)
                .eviction_listener(move |_, _, cause| resolved(cause))
                .build(),
            purges: PurgeLog::default(),
            life: life.clone(),
            metrics: Arc::clone(metrics),
            exchanges: 0,
        }
    }

    /// The stamp for an ask that begins now.
    pub(super) fn stamp(&self) -> u64 {
        self.purges.stamp()
    }

    /// Looks a credential up.
    pub(super) fn find(&self, fingerprint: &Fingerprint, now: Now) -> Found {
        if let Some(entry) = self.entries.get(fingerprint)
            && self.is_unpurged(&entry)
        {
            return if entry.is_live(now) {
                Found::Live(entry)
            } else {
                Found::Expired(entry)
            };
        }
        match self.negative.get(fingerprint) {
            Some(refused) if now.mono < refused.expires && refused.stamp == self.stamp() => {
                Found::Refused
            }
            _ => Found::Absent,
        }
    }

    /// Whether no purge since its ask covers the entry. One comparison, unless there was a purge since the last look.
    pub(super) fn is_unpurged(&self, entry: &Entry) -> bool {
        if entry.vetted.load(Ordering::Acquire) == self.purges.stamp() {
            return true;
        }
        match self.purges.vet(entry.everybody(), entry.stamp) {
            Some(vetted) => {
                entry.vetted.fetch_max(vetted, Ordering::AcqRel);
                true
            }
            None => false,
        }
    }

    /// Whether an expired entry may serve while the authority is in trouble.
    pub(super) fn may_be_stale(&self, entry: &Entry, now: Now) -> bool {
        now.mono < entry.expires.saturating_add(self.life.max_stale)
            && entry.credential_lives(now)
            && self.is_unpurged(entry)
    }

    /// Remembers what was learned by an ask that began at `now` under `stamp`. Life is counted from there, so that the ttl
    /// bounds staleness however slow the authority was.
    pub(super) fn remember(
        &self,
        fingerprint: Fingerprint,
        learned: Learned,
        slots: usize,
        stamp: u64,
        now: Now,
    ) -> Arc<Entry> {
        let not_after = learned
            .credential_expires
            .map(|end| end.saturating_sub(self.life.expiry_leeway));
        let exchanged = self.exchanged(&fingerprint, &learned.identity);
        let entry = Arc::new(Entry {
            identity: learned.identity,
            run_by: learned.run_by,
            denied: learned.denied,
            granted: learned.granted,
            expires: now.mono + jittered(self.life.ttl),
            not_after,
            prebuilt: (0..slots).map(|_| OnceLock::new()).collect(),
            exchanged,
            stamp,
            vetted: AtomicU64::new(stamp),
            refresh_at: AtomicU64::new(self.refresh_at(now)),
            trouble_until: AtomicU64::new(0),
        });
        self.negative.invalidate(&fingerprint);
        // A credential about to expire serves this one request and is not worth remembering.
        if entry.is_live(now) {
            if let Some(exchanged) = &entry.exchanged {
                // Nobody can have retired it: it is new, or held by the entry that this one replaces.
                exchanged.hold();
            }
            self.entries.insert(fingerprint, Arc::clone(&entry));
        }
        self.metrics
            .entries(CacheName::Entries, self.entries.entry_count());
        entry
    }

    fn refresh_at(&self, now: Now) -> u64 {
        if self.life.refresh_ahead < 1.0 {
            nanos(
                now.mono
                    + self
                        .life
                        .ttl
                        .mul_f64(self.life.refresh_ahead.clamp(0.0, 1.0)),
            )
        } else {
            u64::MAX
        }
    }

    /// How long one background refresh keeps others from starting.
    pub(super) fn refresh_pause(&self) -> Duration {
        (self.life.ttl / 20).max(Duration::from_secs(1))
    }

    /// Remembers that the authority refused a credential, and forgets what was known of it.
    pub(super) fn refuse(&self, fingerprint: Fingerprint, stamp: u64, now: Now) {
        self.entries.invalidate(&fingerprint);
        self.negative.insert(
            fingerprint,
            Negative {
                expires: now.mono + self.life.negative_ttl,
                stamp,
            },
        );
        self.metrics
            .entries(CacheName::Negative, self.negative.entry_count());
    }

    /// What is known of a resolved atom. With `stale`, a former yes counts within `max_stale`.
    pub(super) fn resolved(&self, key: &AtomKey, stale: bool, now: Now) -> Option<KnownAtom> {
        let known = self.resolved.get(key)?;
        // Any purge will do: who this credential is may have changed with it.
        if known.stamp != self.stamp() {
            return None;
        }
        let live = now.mono < known.expires;
        let serves = live
            || (stale
                && known.granted
                && now.mono < known.expires.saturating_add(self.life.max_stale));
        serves.then(|| KnownAtom {
            granted: known.granted,
            due: live && claim(&known.refresh_at, now, self.refresh_pause()),
        })
    }

    /// Remembers answers about resolved atoms from an ask that began at `now` under `stamp`.
    pub(super) fn remember_resolved(
        &self,
        fingerprint: Fingerprint,
        atoms: &[Atom],
        granted: &[bool],
        stamp: u64,
        now: Now,
    ) {
        for (atom, granted) in atoms.iter().zip(granted) {
            let resolved = Resolved {
                granted: *granted,
                expires: now.mono + jittered(self.life.ttl),
                stamp,
                refresh_at: AtomicU64::new(self.refresh_at(now)),
            };
            self.resolved
                .insert((fingerprint, atom.clone()), Arc::new(resolved));
        }
        self.metrics
            .entries(CacheName::Resolved, self.resolved.entry_count());
    }

    /// Writes a purge down; from here on nothing it covers is used.
    pub(super) fn purge(&self, scope: PurgeScope) {
        self.metrics.purged(&scope);
        self.purges.add(scope);
    }

    /// Frees the memory of what a purge covers; returns how many entries that were. Walks the whole cache: not for a thread
    /// that serves requests.
    pub(super) fn sweep(&self, scope: &PurgeScope) -> u64 {
        let mut swept = 0;
        for (fingerprint, entry) in &self.entries {
            if entry.everybody().any(|one| scope.covers(one)) && !self.is_unpurged(&entry) {
                self.entries.invalidate(&*fingerprint);
                swept += 1;
            }
        }
        self.negative.invalidate_all();
        self.resolved.invalidate_all();
        self.stats();
        swept
    }

    /// Sizes now; also brings the gauges up to date.
    pub(super) fn stats(&self) -> CacheStats {
        self.entries.run_pending_tasks();
        self.negative.run_pending_tasks();
        self.resolved.run_pending_tasks();
        let stats = CacheStats {
            entries: self.entries.entry_count(),
            negative: self.negative.entry_count(),
            resolved: self.resolved.entry_count(),
            in_flight: 0,
        };
        self.metrics.entries(CacheName::Entries, stats.entries);
        self.metrics.entries(CacheName::Negative, stats.negative);
        self.metrics.entries(CacheName::Resolved, stats.resolved);
        stats
    }
}

/// Up to a tenth less, so that entries learned together don't expire together. Never more: `ttl` bounds staleness.
fn jittered(ttl: Duration) -> Duration {
    let random = u16::from_le_bytes(clock::random_bytes::<2>());
    ttl.mul_f64(1.0 - 0.1 * f64::from(random) / f64::from(u16::MAX))
}

/// Fingerprints are keyed hashes already: eight of their bytes are as good a hash as any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByFingerprint;

impl BuildHasher for ByFingerprint {
    type Hasher = FirstBytes;

    fn build_hasher(&self) -> FirstBytes {
        FirstBytes(0)
    }
}

pub(super) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
