//! What a listener takes: so many requests at a time, and so much from one client address.
//!
//! Always true: what is not configured costs nothing; memory is bounded by the connections that are open and by the keys a
//! [`Rate`] remembers; a trusted proxy's connections are not counted by address, because they are many clients', while each of
//! its requests counts for the client it is told for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::http::Peer;
use super::places::Places;
use super::rate::{Rate, network};
use crate::config::bounds::ListenerBounds;
use crate::model::clock::Now;

/// When to come back to a listener that has too much to do. Nobody knows; soon, but not at once.
pub const COME_BACK: Duration = Duration::from_secs(1);

/// Why a request is turned away before anybody judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// As many requests as may be are being answered.
    Overloaded,
    /// This client sent too many; when it may send the next.
    RateLimited(Duration),
}

/// Why a connection is closed before anything is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its client holds as many as it may.
    AddressLimit,
    /// Its client opened too many lately.
    AddressRate,
}

/// The bounds of one listener.
#[derive(Debug)]
pub struct Admission {
    places: Option<Arc<Places>>,
    requests: Option<Rate<IpAddr>>,
    connections: Option<Rate<IpAddr>>,
    open: Option<Arc<Open>>,
}

/// Connections open, by address; only addresses that have some.
#[derive(Debug)]
struct Open {
    most: usize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection that counts for its address while it lives.
#[derive(Debug)]
pub struct Entered(Option<(Arc<Open>, IpAddr)>);

impl Admission {
    /// By a listener's settings.
    pub fn new(bounds: &ListenerBounds) -> Self {
        let rate = |count: Option<u32>| count.map(|count| Rate::new(count, Duration::from_secs(1)));
        Self {
            places: bounds.requests.map(|count| Arc::new(Places::new(count))),
            requests: rate(bounds.request_rate),
            connections: rate(bounds.connection_rate),
            open: bounds.connections_per_address.map(|most| {
                Arc::new(Open {
                    most,
                    by_address: Mutex::default(),
                })
            }),
        }
    }

    /// Places for requests, where they are counted.
    pub fn places(&self) -> Option<&Arc<Places>> {
        self.places.as_ref()
    }

    /// Whether a connection may stay.
    ///
    /// # Errors
    /// [`Closed`] by whichever bound it is over.
    pub fn enter(&self, peer: &Peer, now: Now) -> Result<Entered, Closed> {
        if peer.trusted {
            return Ok(Entered(None));
        }
        let address = network(peer.client_ip);
        if let Some(rate) = &self.connections
            && rate.take(address, now).is_err()
        {
            return Err(Closed::AddressRate);
        }
        let Some(open) = &self.open else {
            return Ok(Entered(None));
        };
        let mut by_address = open.lock();
        let count = by_address.entry(address).or_default();
        if *count >= open.most {
            return Err(Closed::AddressLimit);
        }
        *count += 1;
        drop(by_address);
        Ok(Entered(Some((Arc::clone(open), address))))
    }

    /// Whether rates are counted: then, and only then, somebody has to look at the clock.
    pub fn counts_requests(&self) -> bool {
        self.requests.is_some()
    }

    /// Whether this client may send another request.
    ///
    /// # Errors
    /// [`TurnedAway::RateLimited`]
    pub fn request(&self, client: IpAddr, now: Now) -> Result<(), TurnedAway> {
        match &self.requests {
            None => Ok(()),
            Some(rate) => rate
                .take(network(client), now)
                .map_err(TurnedAway::RateLimited),
        }
    }
}

impl Open {
    /// Whoever panicked while counting has counted all the same.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Some((open, address)) = &self.0 else {
            return;
        };
        let mut by_address = open.lock();
        if let Some(count) = by_address.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::listening::PeerMatch;
    use crate::model::clock::Clock;
    use crate::net::peer::TrustedProxies;
    use crate::net::socket::Origin;

    fn peer(address: &str) -> Peer {
        let proxies = PeerMatch::Network("10.0.0.0/8".parse().unwrap());
        let origin = Origin::Tcp(address.parse().unwrap());
        TrustedProxies::new(&[proxies], None).peer(origin, false, "main".into())
    }

    #[test]
    fn an_address_holds_as_many_connections_as_it_may_and_is_forgotten_with_the_last() {
        let admission = Admission::new(&ListenerBounds {
            connections_per_address: Some(2),
            ..ListenerBounds::NONE
        });
        let now = Clock::manual(Duration::ZERO).now();
        let enter = |address: &str| admission.enter(&peer(address), now);
        let held: Vec<_> = (0..2).map(|_| enter("[2001:db8::1]:1").unwrap()).collect();
        assert_eq!(
            enter("[2001:db8::2]:1").unwrap_err(),
            Closed::AddressLimit,
            "the same network"
        );
        assert!(enter("[2001:db8:0:1::1]:1").is_ok());
        let proxied: Vec<_> = (0..9).map(|_| enter("10.0.0.1:1")).collect();
        assert!(proxied.iter().all(Result::is_ok));
        drop(held);
        assert!(enter("[2001:db8::2]:1").is_ok());
        assert!(admission.open.as_ref().unwrap().lock().is_empty());
    }

    #[test]
    fn what_is_not_configured_is_not_counted() {
        let admission = Admission::new(&ListenerBounds::NONE);
        let now = Clock::manual(Duration::ZERO).now();
        assert!(admission.places().is_none() && !admission.counts_requests());
        for _ in 0..100 {
            assert_eq!(admission.request([127, 0, 0, 1].into(), now), Ok(()));
            assert!(admission.enter(&peer("127.0.0.1:1"), now).is_ok());
        }
    }

    #[test]
    fn rates_are_by_address() {
        let admission = Admission::new(&ListenerBounds {
            request_rate: Some(2),
            connection_rate: Some(1),
            ..ListenerBounds::NONE
        });
        let now = Clock::manual(Duration::ZERO).now();
        assert!(admission.enter(&peer("192.0.2.1:1"), now).is_ok());
        assert_eq!(
            admission.enter(&peer("192.0.2.1:2"), now).unwrap_err(),
            Closed::AddressRate
        );
        assert!(admission.enter(&peer("192.0.2.2:1"), now).is_ok());
        let client = IpAddr::from([192, 0, 2, 1]);
        assert!((0..2).all(|_| admission.request(client, now).is_ok()));
        let wait = Duration::from_millis(500);
        assert_eq!(
            admission.request(client, now),
            Err(TurnedAway::RateLimited(wait))
        );
    }
}
