//! Limits on failed logins, per source address and per normalised user name.
//!
//! Always true: only an authority's 401 counts; an answer from the cache neither counts nor resets; trouble at the authority
//! counts nothing. Spellings of one name share one budget. Memory is bounded. No user name is kept: keys are fingerprints.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use unicode_normalization::UnicodeNormalization as _;

use crate::config::settings::LoginLimit;
use crate::model::clock::Now;
use crate::model::credential::{Fingerprint, FingerprintKey};

/// Addresses, and names, remembered at most.
const MAX_KEYS: u64 = 100_000;

/// Who may not try now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// `address` or `username`.
    pub by: &'static str,
    /// When one more attempt is allowed.
    pub retry_after: Duration,
}

/// Counts failed logins. Shared by all generations of the gate, so that a reload forgives nobody.
#[derive(Debug)]
pub struct LoginLimiter {
    addresses: Rate<IpAddr>,
    usernames: Rate<Fingerprint>,
    key: FingerprintKey,
}

impl LoginLimiter {
    /// A limiter by these limits; a limit of zero is none.
    pub fn new(limit: &LoginLimit) -> Self {
        Self {
            addresses: Rate::new(limit.per_address, limit.window),
            usernames: Rate::new(limit.per_username, limit.window),
            key: FingerprintKey::random(),
        }
    }

    /// Whether a login may be tried.
    ///
    /// # Errors
    /// [`Blocked`] by whichever limit is spent, and for how long.
    pub fn check(&self, address: IpAddr, username: Option<&str>, now: Now) -> Result<(), Blocked> {
        let blocked = |by| move |retry_after| Blocked { by, retry_after };
        self.addresses
            .check(&network(address), now)
            .map_err(blocked("address"))?;
        match username {
            Some(name) => self
                .usernames
                .check(&self.name(name), now)
                .map_err(blocked("username")),
            None => Ok(()),
        }
    }

    /// Counts a login that the authority refused.
    pub fn failed(&self, address: IpAddr, username: Option<&str>, now: Now) {
        self.addresses.count(network(address), now);
        if let Some(name) = username {
            self.usernames.count(self.name(name), now);
        }
    }

    /// The key of a name: trimmed, NFKC, lower case, NFKC again because folding may denormalise.
    fn name(&self, name: &str) -> Fingerprint {
        let folded: String = name
            .trim()
            .nfkc()
            .flat_map(char::to_lowercase)
            .nfkc()
            .collect();
        self.key.fingerprint(&[folded.trim().as_bytes()])
    }
}

/// An IPv6 customer has a whole /64, so that is what is counted.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// GCRA: per key only the time at which its allowance will be whole again, in monotonic nanoseconds.
#[derive(Debug)]
struct Rate<K: std::hash::Hash + Eq + Send + Sync + 'static> {
    whole_at: Cache<K, Arc<AtomicU64>>,
    /// Time in which one failure is forgiven; zero: no limit.
    step: u64,
    window: u64,
}

impl<K: std::hash::Hash + Eq + Send + Sync + 'static> Rate<K> {
    fn new(failures: u32, window: Duration) -> Self {
        let window = nanos(window);
        Self {
            whole_at: Cache::builder().max_capacity(MAX_KEYS).build(),
            step: window.checked_div(u64::from(failures)).unwrap_or(0),
            window,
        }
    }

    fn check(&self, key: &K, now: Now) -> Result<(), Duration> {
        if self.step == 0 {
            return Ok(());
        }
        let now = nanos(now.mono);
        let whole_at = self
            .whole_at
            .get(key)
            .map_or(0, |whole_at| whole_at.load(Ordering::Relaxed));
        let after_one_more = whole_at.max(now).saturating_add(self.step);
        match after_one_more.checked_sub(now.saturating_add(self.window)) {
            None | Some(0) => Ok(()),
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }

    fn count(&self, key: K, now: Now) {
        if self.step == 0 {
            return;
        }
        let now = nanos(now.mono);
        let whole_at = self.whole_at.get_with(key, Arc::default);
        // The limit is spent at one window ahead; counting on would only punish for longer than the window.
        let most = now.saturating_add(self.window).saturating_add(self.step);
        let next = |whole_at: u64| Some(whole_at.max(now).saturating_add(self.step).min(most));
        // The closure always gives a value, so this can't fail.
        let _ = whole_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Clock;

    fn limiter(per_address: u32, per_username: u32) -> LoginLimiter {
        LoginLimiter::new(&LoginLimit {
            per_address,
            per_username,
            window: Duration::from_secs(60),
        })
    }

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_spent_allowance_grows_back_over_the_window() {
        let (limiter, clock) = (limiter(3, 0), Clock::manual(Duration::ZERO));
        for _ in 0..3 {
            assert_eq!(limiter.check(HOME, None, clock.now()), Ok(()));
            limiter.failed(HOME, None, clock.now());
        }
        let blocked = limiter.check(HOME, None, clock.now()).unwrap_err();
        assert_eq!(
            (blocked.by, blocked.retry_after),
            ("address", Duration::from_secs(20))
        );
        clock.advance(Duration::from_secs(20));
        assert_eq!(limiter.check(HOME, None, clock.now()), Ok(()));
        limiter.failed(HOME, None, clock.now());
        assert!(limiter.check(HOME, None, clock.now()).is_err());
        clock.advance(Duration::from_secs(60));
        assert_eq!(limiter.check(HOME, None, clock.now()), Ok(()));
    }

    #[test]
    fn spellings_of_a_name_share_a_budget() {
        let (limiter, now) = (limiter(0, 2), Clock::manual(Duration::ZERO).now());
        limiter.failed(HOME, Some("Alice"), now);
        limiter.failed(HOME, Some("ａｌｉｃｅ "), now);
        assert_eq!(
            limiter.check(HOME, Some("ALICE"), now).unwrap_err().by,
            "username"
        );
        assert_eq!(limiter.check(HOME, Some("bob"), now), Ok(()));
    }

    #[test]
    fn an_ipv6_network_shares_a_budget() {
        let (limiter, now) = (limiter(1, 0), Clock::manual(Duration::ZERO).now());
        limiter.failed("2001:db8::1".parse().unwrap(), None, now);
        assert!(
            limiter
                .check("2001:db8::ffff:1".parse().unwrap(), None, now)
                .is_err()
        );
        assert!(
            limiter
                .check("2001:db8:0:1::1".parse().unwrap(), None, now)
                .is_ok()
        );
        limiter.failed("::ffff:10.0.0.1".parse().unwrap(), None, now);
        assert!(
            limiter
                .check("10.0.0.1".parse().unwrap(), None, now)
                .is_err()
        );
        assert!(
            limiter
                .check("10.0.0.2".parse().unwrap(), None, now)
                .is_ok()
        );
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let (limiter, now) = (limiter(0, 0), Clock::manual(Duration::ZERO).now());
        for _ in 0..100 {
            limiter.failed(HOME, Some("a"), now);
        }
        assert_eq!(limiter.check(HOME, Some("a"), now), Ok(()));
    }
}
