//! Limits on failed logins, per source address and per normalised user name.
//!
//! Always true: only an authority's 401 counts; an answer from the cache neither counts nor resets; trouble at the authority
//! counts nothing. Spellings of one name share one budget. Memory is bounded. No user name is kept: keys are fingerprints.

use std::net::IpAddr;
use std::time::Duration;

use unicode_normalization::UnicodeNormalization as _;

use super::rates::RouteRates;
use crate::config::bounds::LoginLimit;
use crate::model::clock::Now;
use crate::model::credential::{Fingerprint, FingerprintKey};
use crate::net::rate::{Rate, network};

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
    /// What the routes' own limits have counted, which a reload forgives as little.
    pub(super) routes: RouteRates,
}

impl LoginLimiter {
    /// A limiter by these limits; a limit of zero is none.
    pub fn new(limit: &LoginLimit) -> Self {
        Self {
            addresses: Rate::new(limit.per_address, limit.window),
            usernames: Rate::new(limit.per_username, limit.window),
            key: FingerprintKey::random(),
            routes: RouteRates::default(),
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
