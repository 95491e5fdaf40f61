//! Closing so that the last answer is read.
//!
//! A socket that is closed while bytes of the client lie unread, or still come, makes the kernel send a reset, and a reset takes
//! from the client what it has not read yet: the very answer that says why it was refused. So the write half is closed first,
//! and what the client still sends is read and dropped for a while (RFC 9112 §9.6). Bounded in time and in bytes, and the
//! connection keeps its place among the listener's connections meanwhile.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

/// How long a client may be silent before nothing more is expected of it.
const SILENCE: Duration = Duration::from_secs(2);

/// How many times [`SILENCE`] a client that keeps sending is listened to.
const PERIODS: u32 = 5;

/// Bytes of a client that keeps sending; who sends more doesn't read.
const BYTES: usize = 256 * 1024 * 1024;

/// Bytes dropped at a time.
const CHUNK: usize = 16 * 1024;

/// Bytes dropped before other connections of the worker get their turn.
const BURST: usize = 64 * CHUNK;

/// Reads and drops until the client closes, falls silent, or has had enough time.
#[derive(Debug)]
pub struct Linger {
    timer: Pin<Box<Sleep>>,
    periods: u32,
    left: usize,
    moved: bool,
}

impl Default for Linger {
    fn default() -> Self {
        Self {
            timer: Box::pin(tokio::time::sleep(SILENCE)),
            periods: PERIODS,
            left: BYTES,
            moved: false,
        }
    }
}

impl Linger {
    /// Ready when the socket can be closed.
    pub fn poll<S: AsyncRead + Unpin>(
        &mut self,
        socket: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let mut burst = BURST;
        loop {
            match read_some(socket, context) {
                Poll::Ready(Ok(read @ 1..)) if self.left > read => {
                    self.left -= read;
                    self.moved = true;
                    burst = burst.saturating_sub(read);
                    if burst == 0 {
                        context.waker().wake_by_ref();
                        break;
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        while self.timer.as_mut().poll(context).is_ready() {
            self.periods -= 1;
            if !self.moved || self.periods == 0 {
                return Poll::Ready(());
            }
            self.moved = false;
            self.timer.set(tokio::time::sleep(SILENCE));
        }
        Poll::Pending
    }
}

fn read_some<S: AsyncRead + Unpin>(
    socket: &mut S,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut chunk = [0; CHUNK];
    let mut buffer = ReadBuf::new(&mut chunk);
    Pin::new(socket)
        .poll_read(context, &mut buffer)
        .map_ok(|()| buffer.filled().len())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;
    use tokio::time::Instant;

    use super::*;

    async fn lingered(mut socket: tokio::io::DuplexStream) -> Duration {
        let begun = Instant::now();
        let mut linger = Linger::default();
        poll_fn(|context| linger.poll(&mut socket, context)).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_closes_is_not_waited_for() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b"rest").await.unwrap();
        drop(client);
        assert_eq!(lingered(server).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_waited_for_a_little() {
        let (_client, server) = tokio::io::duplex(64);
        assert_eq!(lingered(server).await.as_secs(), SILENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_keeps_sending_is_listened_to_for_a_bounded_time() {
        let (mut client, server) = tokio::io::duplex(64);
        tokio::spawn(async move {
            while client.write_all(b"more").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        assert_eq!(
            lingered(server).await.as_secs(),
            SILENCE.as_secs() * u64::from(PERIODS)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_ends_it() {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        tokio::spawn(async move {
            let flood = vec![0; 1 << 20];
            while client.write_all(&flood).await.is_ok() {}
        });
        assert_eq!(lingered(server).await, Duration::ZERO);
    }
}
