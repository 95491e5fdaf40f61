//! How often somebody may do something: one allowance per key, that is spent and grows back.
//!
//! Always true: memory is bounded, whatever keys a flood brings; a key costs one time stamp; nothing ticks in the background.
//! What is counted, and what a key is, is the caller's business; for addresses there is [`network`].

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::model::clock::Now;

/// Keys remembered at most. Beyond, those seldom seen are forgotten first.
const MAX_KEYS: u64 = 100_000;

/// The generic cell rate algorithm: per key only the time at which its allowance will be whole again, in monotonic nanoseconds.
#[derive(Debug)]
pub struct Rate<K: Hash + Eq + Send + Sync + 'static> {
    whole_at: Cache<K, Arc<AtomicU64>>,
    /// Time in which one is given back; zero: no limit.
    step: u64,
    /// Time in which the whole allowance is.
    window: u64,
}

impl<K: Hash + Eq + Send + Sync + 'static> Rate<K> {
    /// So many at once, and as many again over `window`; none: no limit.
    pub fn new(count: u32, window: Duration) -> Self {
        Self::paced(count, window, count)
    }

    /// `burst` at once, and `count` per `window` in the long run; none: no limit.
    pub fn paced(count: u32, window: Duration, burst: u32) -> Self {
        let step = nanos(window).checked_div(u64::from(count)).unwrap_or(0);
        // Finer than the clock: one each nanosecond is no limit either, but must not look like none by accident.
        let step = if count == 0 { 0 } else { step.max(1) };
        Self {
            whole_at: Cache::builder().max_capacity(MAX_KEYS).build(),
            step,
            window: step.saturating_mul(u64::from(burst)),
        }
    }

    /// Whether there is one left, without taking it.
    ///
    /// # Errors
    /// How long until there is.
    pub fn check(&self, key: &K, now: Now) -> Result<(), Duration> {
        if self.step == 0 {
            return Ok(());
        }
        let whole_at = self
            .whole_at
            .get(key)
            .map_or(0, |whole_at| whole_at.load(Ordering::Relaxed));
        self.next(whole_at, nanos(now.mono)).map(drop)
    }

    /// Takes one, whether it is left or not: the allowance is spent at most.
    pub fn count(&self, key: K, now: Now) {
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

    /// Takes one if it is left. One that is refused costs nothing, so that whoever keeps trying is let in at the same pace.
    ///
    /// # Errors
    /// How long until there is one.
    pub fn take(&self, key: K, now: Now) -> Result<(), Duration> {
        if self.step == 0 {
            return Ok(());
        }
        let now = nanos(now.mono);
        let whole_at = self.whole_at.get_with(key, Arc::default);
        whole_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |whole_at| {
                self.next(whole_at, now).ok()
            })
            .map(drop)
            .or_else(|whole_at| self.next(whole_at, now).map(drop))
    }

    /// When the allowance will be whole after one more.
    fn next(&self, whole_at: u64, now: u64) -> Result<u64, Duration> {
        let after_one_more = whole_at.max(now).saturating_add(self.step);
        match after_one_more.checked_sub(now.saturating_add(self.window)) {
            None | Some(0) => Ok(after_one_more),
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }

    /// How many keys are remembered, about.
    pub fn keys(&self) -> u64 {
        self.whole_at.run_pending_tasks();
        self.whole_at.entry_count()
    }
}

/// What counts as one client: an IPv6 customer has a whole /64, an IPv4 address mapped into IPv6 is the IPv4 address.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Clock;

    #[test]
    fn a_burst_passes_at_once_and_then_the_pace_holds() {
        let rate = Rate::paced(10, Duration::from_secs(1), 3);
        let clock = Clock::manual(Duration::ZERO);
        for _ in 0..3 {
            assert_eq!(rate.take("a", clock.now()), Ok(()));
        }
        let wait = Duration::from_millis(100);
        assert_eq!(rate.take("a", clock.now()), Err(wait));
        assert_eq!(rate.take("b", clock.now()), Ok(()), "another key");
        clock.advance(wait);
        assert_eq!(rate.take("a", clock.now()), Ok(()));
        assert_eq!(
            rate.take("a", clock.now()),
            Err(wait),
            "being refused cost nothing"
        );
        clock.advance(Duration::from_secs(10));
        let passed = (0..10).filter(|_| rate.take("a", clock.now()).is_ok());
        assert_eq!(passed.count(), 3, "what was not used is not saved up");
    }

    #[test]
    fn what_is_spent_without_asking_is_spent_at_most() {
        let rate = Rate::new(2, Duration::from_secs(10));
        let clock = Clock::manual(Duration::ZERO);
        for _ in 0..50 {
            rate.count("a", clock.now());
        }
        assert!(rate.check(&"a", clock.now()).is_err());
        clock.advance(Duration::from_secs(10));
        assert_eq!(rate.check(&"a", clock.now()), Ok(()));
    }

    #[test]
    fn none_and_too_many_are_no_limit() {
        let now = Clock::manual(Duration::ZERO).now();
        let none = Rate::new(0, Duration::from_secs(1));
        let many = Rate::new(u32::MAX, Duration::from_millis(1));
        for _ in 0..1_000 {
            assert_eq!(none.take("a", now), Ok(()));
            assert_eq!(many.take("a", now), Ok(()));
        }
    }

    #[test]
    fn a_flood_of_addresses_is_forgotten_and_not_hoarded() {
        let rate = Rate::new(1, Duration::from_secs(1));
        let now = Clock::manual(Duration::ZERO).now();
        for bits in 0..250_000u32 {
            let _ = rate.take(IpAddr::V4(bits.into()), now);
        }
        assert!(rate.keys() <= MAX_KEYS, "{}", rate.keys());
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
