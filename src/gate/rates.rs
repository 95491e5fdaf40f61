//! How many requests a route takes from one client, and whence it takes them.
//!
//! Always true: addresses are looked at before any credential, and so is a rate by address; a rate by identity counts after
//! authentication, whatever becomes of the request then. A reload forgives nobody whose route keeps its limit. A route without
//! such rules costs two comparisons.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::json;

use super::authenticate::Authenticator;
use super::cache::Entry;
use super::refusal::Refusal;
use super::routes::Route;
use super::trace::Steps;
use crate::config::bounds::{Addresses, RateBy, RateLimit};
use crate::config::settings::Settings;
use crate::model::clock::Now;
use crate::model::credential::{Fingerprint, FingerprintKey};
use crate::net::rate::{Rate, network};

/// What the routes have counted. Shared by all generations of the gate.
#[derive(Debug, Default)]
pub(super) struct RouteRates(Mutex<HashMap<String, Weak<RouteRate>>>);

/// What one route has counted.
#[derive(Debug)]
pub(super) struct RouteRate {
    limit: RateLimit,
    counts: Counts,
}

#[derive(Debug)]
enum Counts {
    Addresses(Rate<IpAddr>),
    Identities(Rate<Fingerprint>, Box<FingerprintKey>),
}

impl RouteRates {
    /// The rate of each route, by its index: a former one, where the route keeps its name and its limit.
    pub(super) fn of(&self, settings: &Settings) -> Box<[Option<Arc<RouteRate>>]> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, rate| rate.strong_count() > 0);
        let mut rate = |name: &String, limit: &RateLimit| {
            let former = known.get(name).and_then(Weak::upgrade);
            former
                .filter(|former| former.limit == *limit)
                .unwrap_or_else(|| {
                    let fresh = Arc::new(RouteRate::new(limit.clone()));
                    known.insert(name.clone(), Arc::downgrade(&fresh));
                    fresh
                })
        };
        let routes = settings.routes.iter();
        routes
            .map(|route| Some(rate(&route.name, route.rules.rate.as_ref()?)))
            .collect()
    }
}

impl RouteRate {
    fn new(limit: RateLimit) -> Self {
        let counts = match limit.by {
            RateBy::Address => {
                Counts::Addresses(Rate::paced(limit.requests, limit.per, limit.burst))
            }
            RateBy::Identity => Counts::Identities(
                Rate::paced(limit.requests, limit.per, limit.burst),
                Box::new(FingerprintKey::random()),
            ),
        };
        Self { limit, counts }
    }

    fn take_address(&self, client: IpAddr, now: Now) -> Result<(), Refusal> {
        match &self.counts {
            Counts::Addresses(rate) => rate.take(network(client), now).map_err(limited("address")),
            Counts::Identities(..) => Ok(()),
        }
    }

    /// Whoever sends the request counts, not whom they act as.
    fn take_identity(&self, entry: &Entry, now: Now) -> Result<(), Refusal> {
        match &self.counts {
            Counts::Addresses(_) => Ok(()),
            Counts::Identities(rate, key) => {
                let who = entry.run_by.as_deref().unwrap_or(&entry.identity);
                let (realm, name) = (who.realm.name.as_bytes(), who.username.as_bytes());
                rate.take(key.fingerprint(&[realm, name]), now)
                    .map_err(limited("identity"))
            }
        }
    }

    fn told(&self) -> serde_json::Value {
        let (by, limit) = (self.by(), &self.limit);
        json!({"by": by, "requests": limit.requests, "per_seconds": limit.per.as_secs_f64(), "burst": limit.burst})
    }

    const fn by(&self) -> &'static str {
        match self.counts {
            Counts::Addresses(_) => "address",
            Counts::Identities(..) => "identity",
        }
    }
}

fn limited(by: &'static str) -> impl FnOnce(std::time::Duration) -> Refusal {
    move |retry_after| Refusal::RateLimited { by, retry_after }
}

/// Whether a route takes requests from there: `deny` wins, and an empty `allow` is everybody.
fn takes(addresses: &Addresses, client: IpAddr) -> bool {
    let client = client.to_canonical();
    let lists =
        |networks: &[ipnet::IpNet]| networks.iter().any(|network| network.contains(&client));
    !lists(&addresses.deny) && (addresses.allow.is_empty() || lists(&addresses.allow))
}

impl Authenticator {
    /// What a route asks before it looks at any credential.
    pub(super) fn admit(
        &self,
        route: &Route,
        client: IpAddr,
        now: Now,
        steps: &mut Steps,
    ) -> Result<(), Refusal> {
        if let Some(addresses) = &route.addresses {
            let taken = takes(addresses, client);
            steps.add(
                "addresses",
                || json!({"client": client.to_string(), "allowed": taken}),
            );
            if !taken {
                return Err(Refusal::AddressNotAllowed);
            }
        }
        if let Some(Some(rate)) = self.rates.get(route.index) {
            steps.add("rate_limit", || rate.told());
            rate.take_address(client, now)?;
        }
        Ok(())
    }

    /// What it asks of whoever is known.
    pub(super) fn admit_known(
        &self,
        route: &Route,
        entry: &Entry,
        now: Now,
    ) -> Result<(), Refusal> {
        match self.rates.get(route.index) {
            Some(Some(rate)) => rate.take_identity(entry, now),
            Some(None) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::config::settings::Access;
    use crate::gate::tests::fixture;

    fn settings(requests: u32) -> Settings {
        let mut route = fixture::route("r", "/", Access::Authenticated);
        route.rules.rate = Some(RateLimit {
            requests,
            per: Duration::from_secs(1),
            burst: requests,
            by: RateBy::Address,
        });
        fixture::settings(vec![route])
    }

    #[test]
    fn a_reload_forgives_nobody_whose_limit_stays() {
        let rates = RouteRates::default();
        let first = rates.of(&settings(1));
        let same = rates.of(&settings(1));
        let (first, same) = (first[0].as_ref().unwrap(), same[0].as_ref().unwrap());
        assert!(Arc::ptr_eq(first, same));
        let other = rates.of(&settings(2));
        assert!(!Arc::ptr_eq(first, other[0].as_ref().unwrap()));
    }

    fn networks() -> impl Strategy<Value = Vec<ipnet::IpNet>> {
        let network = (any::<u8>(), 0u8..=32).prop_map(|(first, length)| {
            let address = std::net::Ipv4Addr::new(first, 0, 0, 0);
            ipnet::IpNet::V4(ipnet::Ipv4Net::new(address, length).unwrap().trunc())
        });
        proptest::collection::vec(network, 0..4)
    }

    proptest! {
        #[test]
        fn deny_wins_and_mapped_addresses_are_what_they_map(allow in networks(), deny in networks(), first in any::<u8>()) {
            let client = std::net::Ipv4Addr::new(first, 0, 0, 0);
            let addresses = Addresses { allow: allow.clone(), deny: deny.clone() };
            let within = |list: &[ipnet::IpNet]| list.iter().any(|net| net.contains(&IpAddr::V4(client)));
            let expected = !within(&deny) && (allow.is_empty() || within(&allow));
            prop_assert_eq!(takes(&addresses, IpAddr::V4(client)), expected);
            prop_assert_eq!(takes(&addresses, IpAddr::V6(client.to_ipv6_mapped())), expected);
        }
    }
}
