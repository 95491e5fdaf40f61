//! What a connection is doing, told by its own reads, writes and requests, so that one lazy timer can watch it.
//!
//! The hot path sets flags; it never reads a clock and never re-arms a timer. The timer wakes at most once per period, looks
//! at the flags, and closes the connection when nothing moved for too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::linger::Linger;
use super::places::Places;

/// Shared by a connection's socket, its requests and its timer; all of them live on one worker.
#[derive(Debug, Default)]
pub struct Pulse {
    requests: AtomicU32,
    in_flight: AtomicU32,
    head_begun: AtomicBool,
    write_blocked: AtomicBool,
    writes: AtomicU32,
    /// Frames of answers handed out so far, and those of them whose answer was not asked for more since.
    frames: AtomicU32,
    handed: AtomicU32,
    /// Where its requests take their places, where places are counted.
    places: Option<Arc<Places>>,
    /// A [`Rest`].
    rest: AtomicU8,
    switched: AtomicBool,
}

/// What is left of the body of the latest HTTP/1 request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rest {
    /// It had none, or all of it was read.
    None,
    /// Somebody reads it, or may.
    Open,
    /// Nobody wants it; it is being dropped, to keep the connection.
    Draining,
    /// Nobody will read it, and the connection can't be used again.
    Abandoned,
}

/// What the timer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Between requests (or before the first), nothing of the next one has arrived.
    Idle {
        /// How many requests came before.
        requests: u32,
    },
    /// Part of a request head has arrived.
    Head {
        /// How many requests came before.
        requests: u32,
    },
    /// A request is being answered.
    Busy,
    /// An answer can't be written because the client doesn't read.
    Blocked {
        /// How many writes succeeded so far.
        writes: u32,
    },
    /// Part of an answer waits for an HTTP/2 window that the client keeps shut.
    Stuck {
        /// How many parts of answers were handed out so far.
        frames: u32,
    },
}

/// Counts as a request in flight while it lives.
#[derive(Debug)]
pub struct InFlight {
    pulse: Arc<Pulse>,
    handed: bool,
    /// Whether it holds one of the places.
    placed: bool,
}

// === impl Pulse ===

impl Pulse {
    /// That of a connection whose requests take places here.
    pub fn new(places: Option<&Arc<Places>>) -> Self {
        Self {
            places: places.cloned(),
            ..Self::default()
        }
    }

    /// A request head has arrived whole.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head_begun.store(false, Ordering::Relaxed);
        InFlight {
            pulse: Arc::clone(self),
            handed: false,
            placed: false,
        }
    }

    /// What is going on.
    pub fn activity(&self) -> Activity {
        let requests = self.requests.load(Ordering::Relaxed);
        if self.write_blocked.load(Ordering::Relaxed) {
            let writes = self.writes.load(Ordering::Relaxed);
            Activity::Blocked { writes }
        } else if self.handed.load(Ordering::Relaxed) > 0 {
            let frames = self.frames.load(Ordering::Relaxed);
            Activity::Stuck { frames }
        } else if self.in_flight.load(Ordering::Relaxed) > 0 {
            Activity::Busy
        } else if self.head_begun.load(Ordering::Relaxed) {
            Activity::Head { requests }
        } else {
            Activity::Idle { requests }
        }
    }

    /// Whether a request has come at all.
    pub fn has_had_requests(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Tells what is left of a request's body.
    pub fn tell_rest(&self, rest: Rest) {
        self.rest.store(rest as u8, Ordering::Relaxed);
    }

    /// The rest that was being drained is whole, or given up. Says nothing when another request has begun meanwhile.
    pub fn drained(&self, whole: bool) {
        let rest = if whole { Rest::None } else { Rest::Abandoned };
        let told = self.rest.compare_exchange(
            Rest::Draining as u8,
            rest as u8,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if told.is_ok() && whole {
            // What came in since the answer was the rest of a body, not a head.
            self.head_begun.store(false, Ordering::Relaxed);
        }
    }

    /// Whether the connection can't be used again because a body on it will not be read.
    pub fn is_abandoned(&self) -> bool {
        self.rest.load(Ordering::Relaxed) == Rest::Abandoned as u8
    }

    /// The connection left HTTP.
    pub fn switch(&self) {
        self.switched.store(true, Ordering::Relaxed);
    }

    /// Whether the client may still be sending what nobody reads: a body, or a head that was refused unfinished.
    fn is_mid_message(&self) -> bool {
        let unread = self.rest.load(Ordering::Relaxed) != Rest::None as u8
            || self.head_begun.load(Ordering::Relaxed);
        unread && !self.switched.load(Ordering::Relaxed)
    }

    /// Whether an incomplete head is waiting for its rest.
    pub fn in_head(&self) -> bool {
        self.head_begun.load(Ordering::Relaxed) && self.in_flight.load(Ordering::Relaxed) == 0
    }
}

impl InFlight {
    /// A part of the answer was handed out. Whoever writes it asks for the next one when it is on its way.
    pub fn hand_out(&mut self) {
        add(&self.pulse.frames, 1);
        add(&self.pulse.handed, 1);
        self.handed = true;
    }

    /// The next part is asked for.
    pub fn ask(&mut self) {
        if std::mem::take(&mut self.handed) {
            add(&self.pulse.handed, u32::MAX);
        }
    }

    /// Takes one of the listener's places for it; false when all are taken.
    pub fn take_place(&mut self) -> bool {
        self.placed = self.pulse.places.as_ref().is_some_and(|it| it.take());
        self.placed || self.pulse.places.is_none()
    }
}

/// All of a connection lives on one worker, so no update can get lost between the two; a bus lock per frame would be wasted.
fn add(count: &AtomicU32, number: u32) {
    let now = count.load(Ordering::Relaxed);
    count.store(now.wrapping_add(number), Ordering::Relaxed);
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.ask();
        self.pulse.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.placed
            && let Some(places) = &self.pulse.places
        {
            places.give_back();
        }
    }
}

/// A socket that tells its [`Pulse`], and lingers when it is shut down in the middle of a message. Sits below TLS, so that a
/// stalled handshake or record shows too.
#[derive(Debug)]
pub struct Watched<S> {
    socket: S,
    pulse: Arc<Pulse>,
    linger: Option<Box<Linger>>,
}

impl<S> Watched<S> {
    /// Wraps a connected socket.
    pub fn new(socket: S, pulse: Arc<Pulse>) -> Self {
        Self {
            socket,
            pulse,
            linger: None,
        }
    }

    fn wrote<T>(&self, result: &Poll<io::Result<T>>) {
        match result {
            Poll::Pending => self.pulse.write_blocked.store(true, Ordering::Relaxed),
            Poll::Ready(_) => {
                self.pulse.write_blocked.store(false, Ordering::Relaxed);
                let writes = self.pulse.writes.load(Ordering::Relaxed);
                self.pulse
                    .writes
                    .store(writes.wrapping_add(1), Ordering::Relaxed);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.socket).poll_read(context, buffer);
        if buffer.filled().len() > before && this.pulse.in_flight.load(Ordering::Relaxed) == 0 {
            this.pulse.head_begun.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_write(context, bytes);
        this.wrote(&result);
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_write_vectored(context, slices);
        this.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.socket).poll_shutdown(context))?;
            if !this.pulse.is_mid_message() {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.linger.get_or_insert_default();
        linger.poll(&mut this.socket, context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_connection_goes_from_idle_over_head_to_busy_and_back() {
        let (mut client, server) = tokio::io::duplex(64);
        let pulse = Arc::new(Pulse::default());
        let mut server = Watched::new(server, Arc::clone(&pulse));
        assert_eq!(pulse.activity(), Activity::Idle { requests: 0 });
        client.write_all(b"GET /").await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(server.read(&mut buffer).await.unwrap(), 5);
        assert_eq!(pulse.activity(), Activity::Head { requests: 0 });
        assert!(pulse.in_head());
        let request = pulse.begin();
        assert_eq!(pulse.activity(), Activity::Busy);
        drop(request);
        assert_eq!(pulse.activity(), Activity::Idle { requests: 1 });
    }

    #[test]
    fn an_answer_that_is_not_asked_for_more_is_stuck_until_it_is() {
        let pulse = Arc::new(Pulse::default());
        let mut request = pulse.begin();
        request.hand_out();
        assert_eq!(pulse.activity(), Activity::Stuck { frames: 1 });
        request.ask();
        assert_eq!(pulse.activity(), Activity::Busy);
        request.hand_out();
        drop(request);
        assert_eq!(pulse.activity(), Activity::Idle { requests: 1 });
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_shows_as_blocked() {
        let (_client, server) = tokio::io::duplex(4);
        let pulse = Arc::new(Pulse::default());
        let mut server = Watched::new(server, Arc::clone(&pulse));
        let write = server.write_all(b"longer than the pipe");
        assert!(futures_util::FutureExt::now_or_never(write).is_none());
        assert_eq!(pulse.activity(), Activity::Blocked { writes: 1 });
    }
}
