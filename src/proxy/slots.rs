//! How many requests an upstream is sent at a time.
//!
//! Always true: with a bound, no more are under way than it says, over all workers, response bodies and WebSocket tunnels
//! included; as many wait at most as may be under way, and none for longer than configured. Without one nothing is counted.
//! A reload begins to count anew: what was under way before it ends beside what comes after.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::Failure;
use crate::config::bounds::UpstreamBounds;
use crate::net::http::{Body, BodyError};
use crate::telemetry::metrics::Gauge;

/// The places of one upstream.
pub struct Slots {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    wait: Duration,
    in_flight: Gauge,
}

/// A place, held by every clone: by the response's body, or by a tunnel.
#[derive(Clone)]
pub struct Slot(#[expect(dead_code, reason = "held for its drop")] Arc<Held>);

struct Held {
    _place: OwnedSemaphorePermit,
    in_flight: Gauge,
}

/// Counts as waiting while it lives.
struct Waiting<'s>(&'s AtomicUsize);

impl Slots {
    /// By an upstream's settings; `None` without a bound. The gauge shows how many places are taken.
    pub fn new(bounds: &UpstreamBounds, in_flight: impl FnOnce() -> Gauge) -> Option<Self> {
        let most = bounds.requests?;
        Some(Self {
            places: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            most_waiting: most,
            wait: bounds.wait,
            in_flight: in_flight(),
        })
    }

    /// Takes a place, at once or after a short wait.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] when none gets free in time, or too many wait already.
    pub async fn take(&self) -> Result<Slot, Failure> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(self.slot(place));
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if self.wait.is_zero() || before >= self.most_waiting {
            return Err(Failure::Overloaded);
        }
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(self.wait, place).await {
            Ok(Ok(place)) => Ok(self.slot(place)),
            Ok(Err(_)) | Err(_) => Err(Failure::Overloaded),
        }
    }

    fn slot(&self, place: OwnedSemaphorePermit) -> Slot {
        self.in_flight.inc();
        Slot(Arc::new(Held {
            _place: place,
            in_flight: self.in_flight.clone(),
        }))
    }
}

impl Slot {
    /// Keeps the place until the body has been sent, or dropped.
    pub fn hold(self, body: Body) -> Body {
        match body {
            // Nothing more comes from the upstream.
            Body::Empty | Body::Full(_) => body,
            Body::Incoming(_) | Body::Boxed(_) => Body::stream(Holding { body, _slot: self }),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that holds a place.
struct Holding {
    body: Body,
    _slot: Slot,
}

impl http_body::Body for Holding {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Registry;

    fn slots(requests: usize, wait: Duration) -> Slots {
        let bounds = UpstreamBounds {
            requests: Some(requests),
            wait,
        };
        let gauge = || Registry::new().unwrap().gauge("held", "Held").unwrap();
        Slots::new(&bounds, gauge).unwrap()
    }

    #[tokio::test]
    async fn one_more_than_the_bound_is_refused_at_once_and_a_body_gives_the_place_back() {
        let slots = slots(1, Duration::ZERO);
        let slot = slots.take().await.unwrap();
        assert!(matches!(slots.take().await, Err(Failure::Overloaded)));
        let body = slot.hold(Body::stream(http_body_util::Empty::new()));
        assert!(slots.take().await.is_err(), "the body is not over");
        assert_eq!(slots.in_flight.get(), 1);
        drop(body);
        assert_eq!(slots.in_flight.get(), 0);
        let slot = slots.take().await.unwrap();
        drop(slot.hold(Body::Empty));
        assert!(slots.take().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_gets_the_next_place_or_gives_up_in_time() {
        let slots = Arc::new(slots(1, Duration::from_secs(1)));
        let held = slots.take().await.unwrap();
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.take().await.is_ok() }
        });
        while slots.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(slots.take().await.is_err(), "one waits already");
        drop(held);
        assert!(waiting.await.unwrap());
        let _held = slots.take().await.unwrap();
        assert!(slots.take().await.is_err(), "in vain");
        assert_eq!(slots.waiting.load(Ordering::Relaxed), 0);
    }
}
