//! One ask in flight per key, detached from whoever started it.
//!
//! Always true: the ask runs as its own task, so a caller who hangs up hurts nobody; when that task dies, panics included,
//! everybody who waits is told; the number of asks in flight is bounded; no lock is held while anybody waits. An ask that began
//! before a purge is not joined by those who came after it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Asks in flight at most; beyond, callers are turned away instead of queueing without bound.
const MAX_IN_FLIGHT: usize = 4096;

/// The asks in flight.
#[derive(Debug)]
pub(super) struct Flights<K, V>(Arc<Mutex<HashMap<K, Flight<V>>>>);

#[derive(Debug)]
struct Flight<V> {
    /// Purge stamp at its start.
    stamp: u64,
    answer: watch::Receiver<Option<V>>,
}

/// A place in the queue of one ask.
#[derive(Debug)]
pub(super) struct Ticket<V> {
    answer: watch::Receiver<Option<V>>,
    /// Whether this caller started the ask.
    pub(super) started: bool,
}

impl<V: Clone> Ticket<V> {
    /// The answer; `None` when the ask died without one.
    pub(super) async fn wait(mut self) -> Option<V> {
        let answer = self.answer.wait_for(Option::is_some).await.ok()?;
        answer.clone()
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Joins the ask for `key`, or starts one; `None` when too many are in flight. Must be called within a runtime.
    pub(super) fn join<F>(&self, key: &K, stamp: u64, ask: impl FnOnce() -> F) -> Option<Ticket<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(key)
            && flight.stamp == stamp
        {
            return Some(Ticket {
                answer: flight.answer.clone(),
                started: false,
            });
        }
        if flights.len() >= MAX_IN_FLIGHT {
            return None;
        }
        let (sender, answer) = watch::channel(None);
        flights.insert(
            key.clone(),
            Flight {
                stamp,
                answer: answer.clone(),
            },
        );
        drop(flights);
        let landing = Landing {
            flights: Self(Arc::clone(&self.0)),
            key: key.clone(),
            stamp,
        };
        let ask = ask();
        tokio::spawn(async move {
            let _landing = landing;
            let value = ask.await;
            // Fails when nobody waits any more, which is fine: the cache has the answer.
            drop(sender.send(Some(value)));
        });
        Some(Ticket {
            answer,
            started: true,
        })
    }

    /// How many are in flight.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a flight off the list when its task ends, however it ends.
struct Landing<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Send + Sync + 'static,
{
    flights: Flights<K, V>,
    key: K,
    stamp: u64,
}

impl<K, V> Drop for Landing<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Send + Sync + 'static,
{
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        // A younger ask, begun after a purge, may have taken the place.
        if flights
            .get(&self.key)
            .is_some_and(|flight| flight.stamp == self.stamp)
        {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_ask_that_panics_tells_everybody_who_waits_and_leaves_nothing_behind() {
        let flights: Flights<&str, u8> = Flights::new();
        let first = flights
            .join(&"key", 0, || async { panic!("of an ask, in a test") })
            .unwrap();
        let second = flights.join(&"key", 0, || async { 1 }).unwrap();
        assert!(!second.started, "it joined the first");
        assert_eq!((first.wait().await, second.wait().await), (None, None));
        assert_eq!(flights.len(), 0);
        let next = flights.join(&"key", 0, || async { 2 }).unwrap();
        assert_eq!(next.wait().await, Some(2));
    }

    #[tokio::test]
    async fn the_one_who_began_an_ask_may_leave() {
        let flights: Flights<&str, u8> = Flights::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        let first = flights.join(&"key", 0, || async move { told.await.unwrap_or_default() });
        let second = flights.join(&"key", 0, || async { 1 }).unwrap();
        drop(first);
        tell.send(7).unwrap();
        assert_eq!(second.wait().await, Some(7));
    }
}
