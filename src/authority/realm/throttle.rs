//! Failed logins per user name: an allowance that is spent at once and grows back evenly (GCRA).
//!
//! Always true: an attempt is paid for before its password is looked at, and paid back when it was right, so attempts side by
//! side can't outrun the count; unknown names count like known ones; memory is bounded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::config::realms::FailedLogins;
use crate::model::clock::Now;
use crate::model::credential::Fingerprint;

/// Allowances. Names share one where their keyed fingerprints meet, which nobody outside can foresee; nothing that others do
/// takes a count away.
const SLOTS: usize = 1 << 18;

/// The allowances.
pub struct Throttle {
    /// When each allowance is whole again, in monotonic nanoseconds.
    whole_at: Box<[AtomicU64]>,
    /// Time in which one failure is forgiven.
    step: u64,
    window: u64,
}

impl Throttle {
    /// An allowance of `limit.per_username` failures.
    pub fn new(limit: FailedLogins) -> Self {
        let window = nanos(limit.window);
        Self {
            whole_at: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            step: window / u64::from(limit.per_username.max(1)),
            window,
        }
    }

    fn slot(&self, name: &Fingerprint) -> Option<&AtomicU64> {
        self.whole_at.get(name.slot(self.whole_at.len()))
    }

    /// Pays for one attempt.
    ///
    /// # Errors
    /// The time to wait when the allowance is spent.
    pub fn pay(&self, name: Fingerprint, now: Now) -> Result<(), Duration> {
        let now = nanos(now.mono);
        let limit = now.saturating_add(self.window);
        let next = |whole_at: u64| {
            let after = whole_at.max(now).saturating_add(self.step);
            (after <= limit).then_some(after)
        };
        let Some(whole_at) = self.slot(&name) else {
            return Ok(());
        };
        whole_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .map(drop)
            .map_err(|whole_at| {
                let after = whole_at.max(now).saturating_add(self.step);
                Duration::from_nanos(after.saturating_sub(limit))
            })
    }

    /// Pays an attempt back: the password was right, or could not be looked at.
    pub fn pay_back(&self, name: &Fingerprint) {
        if let Some(whole_at) = self.slot(name) {
            let before = |whole_at: u64| Some(whole_at.saturating_sub(self.step));
            // The closure always gives a value, so this can't fail.
            let _ = whole_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, before);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Clock;
    use crate::model::credential::FingerprintKey;

    #[test]
    fn a_spent_allowance_grows_back_and_right_passwords_cost_nothing() {
        let throttle = Throttle::new(FailedLogins {
            per_username: 3,
            window: Duration::from_secs(60),
        });
        let clock = Clock::manual(Duration::ZERO);
        let key = FingerprintKey::random();
        let name = |name: &str| key.fingerprint(&[name.as_bytes()]);
        for _ in 0..10 {
            assert_eq!(throttle.pay(name("joe"), clock.now()), Ok(()));
            throttle.pay_back(&name("joe"));
        }
        for _ in 0..3 {
            assert_eq!(throttle.pay(name("joe"), clock.now()), Ok(()));
        }
        let wait = Duration::from_secs(20);
        assert_eq!(throttle.pay(name("joe"), clock.now()), Err(wait));
        assert_eq!(throttle.pay(name("ann"), clock.now()), Ok(()));
        clock.advance(wait);
        assert_eq!(throttle.pay(name("joe"), clock.now()), Ok(()));
        assert!(throttle.pay(name("joe"), clock.now()).is_err());
    }

    #[test]
    fn no_number_of_other_names_makes_a_spent_allowance_whole() {
        let throttle = Throttle::new(FailedLogins {
            per_username: 3,
            window: Duration::from_secs(60),
        });
        let clock = Clock::manual(Duration::ZERO);
        let key = FingerprintKey::random();
        let joe = key.fingerprint(&[b"joe"]);
        while throttle.pay(joe, clock.now()).is_ok() {}
        for other in 0..300_000_u32 {
            let _ = throttle.pay(key.fingerprint(&[&other.to_be_bytes()]), clock.now());
        }
        assert!(throttle.pay(joe, clock.now()).is_err());
    }
}
