//! One connection's future under watch: time-outs, graceful shutdown, cut.
//!
//! Wraps hyper's connection so that the common wake-up (a request arrives, an answer leaves) costs one atomic load more than
//! hyper alone; timers and drain are only looked at when they fire.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use hyper_util::rt::TokioExecutor;
use pin_project_lite::pin_project;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Sleep;

use super::drain::{Phase, Watch};
use super::http::{BodyError, Tracked};
use super::pulse::{Activity, Pulse};

/// A hyper connection that can be asked to close after the request it is at.
pub trait Graceful: Future<Output = hyper::Result<()>> {
    /// Answers what was begun, then closes (`Connection: close`, or GOAWAY).
    fn close_soon(self: Pin<&mut Self>);
}

impl<I, S> Graceful for http1::UpgradeableConnection<I, S>
where
    S: HttpService<Incoming, ResBody = Tracked>,
    S::Error: Into<BodyError>,
    I: Read + Write + Unpin + Send + 'static,
{
    fn close_soon(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Graceful for http2::Connection<I, S, TokioExecutor>
where
    S: HttpService<Incoming, ResBody = Tracked>,
    S::Error: Into<BodyError>,
    S::Future: Send + 'static,
    I: Read + Write + Unpin,
{
    fn close_soon(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// How long a drain waits for what an idle client may be sending just now. It gets an answer that says the connection closes;
/// nothing is ever closed under a client that uses it.
const LAST_CALL: Duration = Duration::from_secs(1);

/// How long each kind of standing still may last.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a request head, from its first byte, and for the first byte of a fresh connection.
    pub head: Duration,
    /// Between requests.
    pub idle: Duration,
    /// For a client that doesn't read its answer.
    pub write: Duration,
    /// Whether bytes between requests are a request head; with HTTP/2 they may be control frames.
    pub heads_are_visible: bool,
}

/// How a conversation ended.
#[derive(Debug)]
pub enum End {
    /// By either side, in order, or with an error of the connection.
    Closed(hyper::Result<()>),
    /// The client stood still for too long.
    TimedOut(Activity),
    /// The drain's deadline passed.
    Cut,
}

pin_project! {
    /// The future of one connection.
    pub struct Conversation<C> {
        #[pin]
        connection: C,
        #[pin]
        timer: Sleep,
        #[pin]
        changed: OwnedNotified,
        watching: bool,
        armed: bool,
        draining: bool,
        closing: bool,
        in_head: bool,
        seen: Option<Activity>,
        drain: Watch,
        pulse: Arc<Pulse>,
        patience: Patience,
    }
}

impl<C: Graceful> Conversation<C> {
    /// Watches `connection` until it ends.
    pub fn new(connection: C, pulse: Arc<Pulse>, patience: Patience, drain: Watch) -> Self {
        let seen = pulse.activity();
        Self {
            connection,
            timer: tokio::time::sleep(patience.head),
            changed: drain.changed(),
            watching: false,
            armed: false,
            draining: false,
            closing: false,
            in_head: false,
            seen: Some(seen),
            drain,
            pulse,
            patience,
        }
    }

    /// Follows the drain. Ready when everything is to be cut.
    fn poll_drain(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let this = self.as_mut().project();
            match this.drain.phase() {
                Phase::Cut => return Poll::Ready(()),
                Phase::Draining if !*this.draining => {
                    *this.draining = true;
                    *this.watching = false;
                    let mut this = self.as_mut().project();
                    this.changed.set(this.drain.changed());
                    self.as_mut().arm();
                    continue;
                }
                Phase::Serving | Phase::Draining => {}
            }
            // One registration per phase: polling a waiter takes a lock that all connections share.
            if *this.watching {
                return Poll::Pending;
            }
            *this.watching = true;
            if this.changed.poll(context).is_pending() {
                return Poll::Pending;
            }
            *self.as_mut().project().watching = false;
            let mut this = self.as_mut().project();
            this.changed.set(this.drain.changed());
        }
    }

    /// Asks HTTP/2 to close as soon as it may: before the first request it would do so without a word. HTTP/1 closes after
    /// its next answer, which says so, or when the last call is over. True when it was asked just now.
    fn ask_to_close(mut self: Pin<&mut Self>) -> bool {
        let this = self.as_mut().project();
        let speaks_http2 = !this.patience.heads_are_visible;
        if !*this.draining || *this.closing || !speaks_http2 || !this.pulse.has_had_requests() {
            return false;
        }
        *this.closing = true;
        this.connection.close_soon();
        true
    }

    /// Looks at the pulse when the timer fired. Ready when the client stood still for too long.
    fn poll_patience(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Activity> {
        let this = self.as_mut().project();
        if this.patience.heads_are_visible && this.pulse.in_head() != *this.in_head {
            *this.in_head = !*this.in_head;
            if *this.in_head {
                // The one case where the timer moves outside its own turn: an incomplete head, which is rare and must be exact.
                self.as_mut().arm();
            }
        }
        loop {
            let this = self.as_mut().project();
            if *this.armed && !this.timer.is_elapsed() {
                return Poll::Pending;
            }
            *this.armed = true;
            ready!(this.timer.poll(context));
            let this = self.as_mut().project();
            let activity = this.pulse.activity();
            if activity != Activity::Busy && *this.seen == Some(activity) {
                if !*this.draining || *this.closing || !matches!(activity, Activity::Idle { .. }) {
                    return Poll::Ready(activity);
                }
                *this.closing = true;
                this.connection.close_soon();
                // The connection has to look at what it was asked.
                context.waker().wake_by_ref();
            }
            self.as_mut().arm();
        }
    }

    fn arm(self: Pin<&mut Self>) {
        let mut this = self.project();
        let activity = this.pulse.activity();
        *this.seen = Some(activity);
        *this.armed = false;
        let last_call = *this.draining && !*this.closing;
        this.timer.set(tokio::time::sleep(match activity {
            Activity::Idle { .. } | Activity::Busy if last_call => LAST_CALL,
            Activity::Head { .. } if this.patience.heads_are_visible => this.patience.head,
            Activity::Idle { requests: 0 } => this.patience.head,
            Activity::Idle { .. } | Activity::Head { .. } => this.patience.idle,
            Activity::Blocked { .. } | Activity::Stuck { .. } => this.patience.write,
            Activity::Busy => this.patience.head.min(this.patience.write),
        }));
    }
}

impl<C: Graceful> Future for Conversation<C> {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        if self.as_mut().poll_drain(context).is_ready() {
            return Poll::Ready(End::Cut);
        }
        loop {
            if let Poll::Ready(result) = self.as_mut().project().connection.poll(context) {
                return Poll::Ready(End::Closed(result));
            }
            if !self.as_mut().ask_to_close() {
                break;
            }
        }
        self.poll_patience(context).map(End::TimedOut)
    }
}
