//! Draining: stop accepting, let what is open finish, report what had to be cut.
//!
//! One [`Drain`] triggers, many [`Watch`]es listen; every connection and tunnel holds a [`Hold`] while it is open. The phase
//! only ever moves forward. Watching costs one atomic load on the hot path; wake-ups happen at phase changes alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everything is served.
    Serving,
    /// Listeners take what the kernel has accepted for them, then close; connections close after the request they are at, or
    /// the next one.
    Draining,
    /// The deadline passed; what is still open is dropped.
    Cut,
}

/// What a drain came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Connections and tunnels open when the drain began.
    pub open: usize,
    /// Those that had to be cut at the deadline.
    pub cut: usize,
}

/// The trigger.
#[derive(Debug)]
pub struct Drain(Arc<State>);

/// The listening side. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watch(Arc<State>);

/// Counts as one open connection while it lives.
#[derive(Debug)]
pub struct Hold(Arc<State>);

/// Keeps a drain from ending while a listener may still have connections to accept.
#[derive(Debug)]
pub struct Listening(Arc<State>);

#[derive(Debug)]
struct State {
    phase: AtomicU8,
    listening: AtomicUsize,
    changed: Arc<Notify>,
    open: AtomicUsize,
    closed: Notify,
}

// === impl Drain ===

impl Drain {
    /// A trigger and its first watch.
    pub fn new() -> (Self, Watch) {
        let state = Arc::new(State {
            phase: AtomicU8::new(Phase::Serving as u8),
            changed: Arc::new(Notify::new()),
            listening: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            closed: Notify::new(),
        });
        (Self(Arc::clone(&state)), Watch(state))
    }

    /// Begins to drain and returns at once.
    pub fn start(&self) {
        self.0.advance(Phase::Draining);
    }

    /// Drains: waits until nothing is open or `deadline` has passed, then cuts the rest.
    pub async fn finish(&self, deadline: Duration) -> Report {
        self.start();
        let open = self.0.open.load(Ordering::SeqCst);
        if tokio::time::timeout(deadline, self.0.wait_until_closed())
            .await
            .is_ok()
        {
            return Report { open, cut: 0 };
        }
        let cut = self.0.open.load(Ordering::SeqCst);
        self.0.advance(Phase::Cut);
        // Cutting is a wake-up and a drop; a second is far more than it takes.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.0.wait_until_closed()).await;
        Report { open, cut }
    }
}

// === impl Watch ===

impl Watch {
    /// The phase right now.
    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Cut,
        }
    }

    /// Completes at the next phase change after this call. Look at [`Watch::phase`] after making it, or a change is missed.
    pub fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.0.changed).notified_owned()
    }

    /// Completes when the phase is `phase` or later.
    pub async fn reached(&self, phase: Phase) {
        loop {
            let changed = self.changed();
            if self.phase() >= phase {
                return;
            }
            changed.await;
        }
    }

    /// Counts a connection or tunnel as open.
    pub fn hold(&self) -> Hold {
        self.0.open.fetch_add(1, Ordering::SeqCst);
        Hold(Arc::clone(&self.0))
    }

    /// Counts a listener as accepting.
    pub fn listening(&self) -> Listening {
        self.0.listening.fetch_add(1, Ordering::SeqCst);
        Listening(Arc::clone(&self.0))
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::SeqCst)
    }
}

// === impl Hold ===

impl Drop for Hold {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.closed.notify_waiters();
        }
    }
}

// === impl Listening ===

impl Drop for Listening {
    fn drop(&mut self) {
        if self.0.listening.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.closed.notify_waiters();
        }
    }
}

// === impl State ===

impl State {
    fn advance(&self, phase: Phase) {
        if self.phase.fetch_max(phase as u8, Ordering::AcqRel) < phase as u8 {
            self.changed.notify_waiters();
        }
    }

    async fn wait_until_closed(&self) {
        loop {
            let closed = self.closed.notified();
            // Listeners first: what one accepts last is counted as open before it stops.
            if self.listening.load(Ordering::SeqCst) == 0 && self.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            closed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_when_the_last_connection_closes() {
        let (drain, watch) = Drain::new();
        let hold = watch.hold();
        let finishing = tokio::spawn(async move { drain.finish(Duration::from_secs(30)).await });
        watch.reached(Phase::Draining).await;
        drop(hold);
        assert_eq!(finishing.await.unwrap(), Report { open: 1, cut: 0 });
        assert_eq!(watch.phase(), Phase::Draining);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_open_at_the_deadline_is_cut_and_counted() {
        let (drain, watch) = Drain::new();
        let stubborn = watch.clone();
        tokio::spawn(async move {
            let _hold = stubborn.hold();
            stubborn.reached(Phase::Cut).await;
        });
        tokio::task::yield_now().await;
        assert_eq!(
            drain.finish(Duration::from_secs(5)).await,
            Report { open: 1, cut: 1 }
        );
        assert_eq!(watch.open(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_listeners_that_still_accept() {
        let (drain, watch) = Drain::new();
        let listening = watch.listening();
        let finishing = tokio::spawn(async move { drain.finish(Duration::from_secs(30)).await });
        watch.reached(Phase::Draining).await;
        let last = watch.hold();
        drop(listening);
        tokio::task::yield_now().await;
        assert!(!finishing.is_finished());
        drop(last);
        assert_eq!(finishing.await.unwrap().cut, 0);
    }

    #[tokio::test]
    async fn a_late_watcher_sees_a_drain_that_has_begun() {
        let (drain, watch) = Drain::new();
        drain.start();
        watch.reached(Phase::Draining).await;
    }
}
