//! A WebSocket under way: bytes both ways, and an orderly end when it may not go on.
//!
//! Always true: a Close is only put between two frames, masked towards the application, and only where none was sent; once a
//! tunnel is to end, no further frame passes in either direction; every end has a deadline. Messages are not looked at.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use super::frames::{Frames, Place};
use crate::model::clock;
use crate::net::upgraded::Duplex;

/// Bytes moved at a time in each direction.
const BUFFER: usize = 16 * 1024;

/// For the last bytes to be taken.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// How a tunnel is ended from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// Status code of the Close (RFC 6455 §7.4.1).
    pub code: u16,
    /// Its reason.
    pub reason: &'static str,
    /// How long a frame that was begun, and then both sides' own Close, are waited for.
    pub patience: Duration,
}

/// Nothing moved for too long.
const SILENT: Goodbye = Goodbye {
    code: 1001,
    reason: "idle for too long",
    patience: Duration::from_secs(2),
};

type Orders = watch::Receiver<Option<Goodbye>>;

/// Moves bytes both ways until both directions ended, nothing moved in either for `idle`, or `until` says goodbye.
///
/// # Errors
/// What reading or writing failed with; [`io::ErrorKind::TimedOut`] for silence.
pub async fn relay(
    client: Box<dyn Duplex>,
    server: Box<dyn Duplex>,
    until: impl Future<Output = Goodbye>,
    idle: Option<Duration>,
) -> io::Result<()> {
    let moved = AtomicBool::new(false);
    let (order, orders) = watch::channel(None);
    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let (mut server_reads, mut server_writes) = tokio::io::split(server);
    let up = Way {
        frames: Frames::new(true),
        moved: &moved,
        orders: orders.clone(),
    };
    let down = Way {
        frames: Frames::new(false),
        moved: &moved,
        orders,
    };
    let ended = {
        let both = async {
            tokio::try_join!(
                up.carry(&mut client_reads, &mut server_writes),
                down.carry(&mut server_reads, &mut client_writes),
            )
        };
        tokio::pin!(both);
        let (goodbye, ended) = tokio::select! {
            result = &mut both => return result.map(drop),
            goodbye = until => (goodbye, Ok(())),
            () = silence(&moved, idle) => (SILENT, Err(io::ErrorKind::TimedOut.into())),
        };
        order.send_replace(Some(goodbye));
        // Whoever is not done by then is cut.
        let _ = tokio::time::timeout(goodbye.patience, &mut both).await;
        ended
    };
    let last = async { tokio::join!(client_writes.shutdown(), server_writes.shutdown()) };
    let _ = tokio::time::timeout(LAST_WRITE, last).await;
    ended
}

/// Over when nothing moved for `idle`; never without it.
async fn silence(moved: &AtomicBool, idle: Option<Duration>) {
    let Some(idle) = idle else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(idle).await;
        if !moved.swap(false, Ordering::Relaxed) {
            return;
        }
    }
}

/// One direction.
struct Way<'m> {
    frames: Frames,
    moved: &'m AtomicBool,
    orders: Orders,
}

impl Way<'_> {
    async fn carry(
        mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        let goodbye = loop {
            let read = tokio::select! {
                biased;
                goodbye = ordered(&mut self.orders) => break goodbye,
                read = from.read(&mut buffer) => read?,
            };
            self.moved.store(true, Ordering::Relaxed);
            if read == 0 {
                return to.shutdown().await;
            }
            let bytes = buffer.get(..read).unwrap_or_default();
            self.frames.pass(bytes);
            to.write_all(bytes).await?;
            to.flush().await?;
        };
        // Trouble in one direction must not keep the other from its end.
        let _ = self.part(goodbye, from, to, &mut buffer).await;
        Ok(())
    }

    /// Lets the frame that was begun through, says Close, and takes what comes until the other Close is there.
    async fn part(
        &mut self,
        goodbye: Goodbye,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        buffer: &mut [u8],
    ) -> io::Result<()> {
        while let Place::Within(left) = self.frames.place() {
            let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let read = from
                .read(buffer.get_mut(..most).unwrap_or_default())
                .await?;
            if read == 0 {
                return Ok(());
            }
            let bytes = buffer.get(..read).unwrap_or_default();
            self.frames.pass(bytes);
            to.write_all(bytes).await?;
        }
        if self.frames.place() == Place::Between {
            let close = self
                .frames
                .close(goodbye.code, goodbye.reason, clock::random_bytes());
            to.write_all(&close).await?;
        }
        to.flush().await?;
        while matches!(self.frames.place(), Place::Between | Place::Within(_)) {
            let read = from.read(buffer).await?;
            if read == 0 {
                break;
            }
            self.frames.pass(buffer.get(..read).unwrap_or_default());
        }
        Ok(())
    }
}

/// Over when the order to end is there.
async fn ordered(orders: &mut Orders) -> Goodbye {
    let order = orders.wait_for(Option::is_some).await.map(|order| *order);
    match order {
        Ok(order) => order.unwrap_or(SILENT),
        // Nobody can order anything any more: the tunnel ends with whoever ran it.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    const OVER: Goodbye = Goodbye {
        code: 1008,
        reason: "over",
        patience: Duration::from_secs(3),
    };

    struct Ends {
        client: DuplexStream,
        app: DuplexStream,
        end: oneshot::Sender<Goodbye>,
        tunnel: JoinHandle<io::Result<()>>,
    }

    fn open(idle: Option<Duration>) -> Ends {
        let (client, a) = tokio::io::duplex(64);
        let (app, b) = tokio::io::duplex(64);
        let (end, ended) = oneshot::channel();
        let until = async {
            match ended.await {
                Ok(goodbye) => goodbye,
                Err(_) => std::future::pending().await,
            }
        };
        let tunnel =
            tokio::spawn(async move { relay(Box::new(a), Box::new(b), until, idle).await });
        Ends {
            client,
            app,
            end,
            tunnel,
        }
    }

    async fn read(stream: &mut DuplexStream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    async fn rest(stream: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_relays_until_nothing_moves() {
        let mut ends = open(Some(Duration::from_secs(10)));
        ends.client
            .write_all(b"\x81\x84mask\x1d\x08\x1d\x0c")
            .await
            .unwrap();
        assert_eq!(
            read(&mut ends.app, 10).await,
            b"\x81\x84mask\x1d\x08\x1d\x0c"
        );
        let error = ends.tunnel.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(&rest(&mut ends.client).await[..4], b"\x88\x13\x03\xe9");
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_waits_for_the_frame_that_was_begun_and_lets_no_other_through() {
        let mut ends = open(None);
        ends.app.write_all(b"\x82\x05abc").await.unwrap();
        assert_eq!(read(&mut ends.client, 5).await, b"\x82\x05abc");
        ends.end.send(OVER).unwrap();
        // The direction that stands between two frames ends at once, masked; the other one when it may.
        let told = read(&mut ends.app, 12).await;
        assert_eq!(told[..2], [0x88, 0x86]);
        let unmasked: Vec<u8> = told[6..]
            .iter()
            .zip(told[2..6].iter().cycle())
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(unmasked, b"\x03\xf0over");
        ends.app.write_all(b"de\x82\x05later").await.unwrap();
        assert_eq!(read(&mut ends.client, 10).await, b"de\x88\x06\x03\xf0over");
        // Both answer; then it is over before any deadline.
        ends.app.write_all(b"\x88\x02\x03\xf0").await.unwrap();
        ends.client
            .write_all(b"\x88\x82mask\x6e\x91")
            .await
            .unwrap();
        assert!(ends.tunnel.await.unwrap().is_ok());
        assert_eq!(rest(&mut ends.client).await, b"");
        assert_eq!(rest(&mut ends.app).await, b"");
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_never_ends_is_cut_without_a_close() {
        let mut ends = open(None);
        ends.app.write_all(b"\x82\x05abc").await.unwrap();
        assert_eq!(read(&mut ends.client, 5).await, b"\x82\x05abc");
        ends.end.send(OVER).unwrap();
        assert!(ends.tunnel.await.unwrap().is_ok());
        assert_eq!(rest(&mut ends.client).await, b"");
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_was_a_frame_is_cut_without_a_close() {
        let mut ends = open(None);
        ends.app.write_all(b"\x82\xfbbroken").await.unwrap();
        assert_eq!(read(&mut ends.client, 8).await, b"\x82\xfbbroken");
        ends.end.send(OVER).unwrap();
        assert!(ends.tunnel.await.unwrap().is_ok());
        assert_eq!(rest(&mut ends.client).await, b"");
    }
}
