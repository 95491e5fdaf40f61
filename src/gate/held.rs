//! Tokens of the authority that the gate holds for those who showed a certificate or a ticket instead.
//!
//! Always true: a token is used only before its own end and before any purge since it was made, because it carries the roles
//! its owner had then; nothing here is ever shown to a client. moka bounds how many there are.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::elastic::delegate::TokenGrant;
use crate::model::clock::Now;
use crate::model::credential::Fingerprint;
use crate::model::secret::Secret;

/// Elasticsearch's longest life of a token is an hour; what is older can't be of use.
const MAX_LIFE: Duration = Duration::from_secs(3_600);
/// How far the clocks of authority and gate may be apart without hurting anybody.
const SKEW: Duration = Duration::from_secs(30);

/// A token and how long it is good.
#[derive(Debug)]
pub(super) struct HeldToken {
    pub(super) token: Secret,
    /// From then on another one is fetched, where that is possible. Time since the Unix epoch.
    renew_at: Duration,
    /// From then on it is not used. Time since the Unix epoch.
    pub(super) expires: Duration,
    stamp: u64,
}

/// The tokens of one kind.
#[derive(Debug)]
pub(super) struct HeldTokens(Cache<Fingerprint, Arc<HeldToken>>);

impl HeldTokens {
    /// At most `capacity` of them.
    pub(super) fn new(capacity: u64) -> Self {
        let tokens = Cache::builder()
            .max_capacity(capacity)
            .time_to_live(MAX_LIFE)
            .build();
        Self(tokens)
    }

    /// The token kept under a fingerprint, if it is good under the purge stamp `stamp`.
    pub(super) fn find(&self, held: &Fingerprint, stamp: u64, now: Now) -> Option<Arc<HeldToken>> {
        let token = self.0.get(held)?;
        (token.stamp == stamp && now.unix < token.expires).then_some(token)
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
        let life = grant.expires_in.min(most).min(MAX_LIFE);
        // Short lives keep a part of themselves: a token of a minute is good for half of it, not for ever renewed.
        let token = Arc::new(HeldToken {
            token: grant.access_token,
            renew_at: now.unix + life.saturating_sub(SKEW * 2).max(life / 3),
            expires: now.unix + life.saturating_sub(SKEW).max(life / 2),
            stamp,
        });
        self.0.insert(held, Arc::clone(&token));
        token
    }

    /// Drops a token that the authority doesn't take any more.
    pub(super) fn forget(&self, held: &Fingerprint) {
        self.0.invalidate(held);
    }
}

impl HeldToken {
    /// Whether it is time for another one.
    pub(super) fn is_due(&self, now: Now) -> bool {
        now.unix >= self.renew_at
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
        clock.advance(Duration::from_secs(30));
        assert!(find(7).is_none());
    }
}
