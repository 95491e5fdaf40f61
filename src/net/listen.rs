//! Binding addresses and handing accepted sockets to the workers.
//!
//! Always true: a connection that the kernel accepted for a listener is served, also when the listener closes. To accept from
//! another kind of socket: a variant of `Listening` here, and of [`Accepted`] in [`super::socket`].

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};

use super::activation::Passed;
use super::drain::Phase;
use super::serve::{Front, Handler};
use super::socket::Accepted;
use super::unix::{self, SocketFile};
use super::workers::Workers;
use crate::config::listening::ListenAddress;

/// Connections the kernel keeps for us while all places are taken.
const BACKLOG: i32 = 4096;

/// How long to wait when accepting fails for want of a resource; trying at once would only burn the core.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a listener whose address another process shares takes what is on its way, after it refused what is new. Longer
/// than a handshake of TCP takes, and shorter than the second after which a client that was refused tries again.
const HAND_OVER: Duration = Duration::from_millis(500);

/// A bound address, not yet accepting.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<Listening>,
    address: ListenAddress,
}

/// One listening socket.
#[derive(Debug)]
enum Listening {
    Tcp {
        socket: TcpListener,
        ending: Ending,
    },
    Unix {
        socket: UnixListener,
        /// `None` when the file is the service manager's.
        file: Option<SocketFile>,
        ending: Ending,
    },
}

/// What becomes of a socket at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It is closed, and what waits in it is lost unless it was accepted.
    Close,
    /// Another process listens at the same address and gets what is new.
    HandOver,
    /// The service manager keeps it, with all that waits in it.
    Leave,
}

impl Bound {
    /// Binds and listens. Port 0 gets a free port; see [`Bound::address`]. With `reuse_port`, other processes of the same user
    /// may bind the same address with the same wish.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        if reuse_port {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from(socket);
        let address = ListenAddress::Tcp(socket.local_addr()?);
        let ending = Ending::of(reuse_port);
        let sockets = vec![Listening::Tcp { socket, ending }];
        Ok(Self { sockets, address })
    }

    /// Makes a Unix socket and listens; see [`unix::bind`].
    ///
    /// # Errors
    /// When somebody else listens there, something else lies there, or the folder can't be written.
    pub fn bind_unix(path: &Path, mode: u32, reuse_port: bool) -> io::Result<Self> {
        let (socket, file) = unix::bind(path, mode, reuse_port, BACKLOG)?;
        Ok(Self {
            sockets: vec![Listening::Unix {
                socket,
                file: Some(file),
                ending: Ending::of(reuse_port),
            }],
            address: ListenAddress::Unix(path.to_owned()),
        })
    }

    /// Takes sockets that the service manager bound.
    ///
    /// # Errors
    /// When one can't be asked for its address.
    pub fn passed(name: &str, passed: Vec<Passed>) -> io::Result<Self> {
        let mut address = ListenAddress::Systemd(name.to_owned());
        let mut sockets = Vec::with_capacity(passed.len());
        for (index, socket) in passed.into_iter().enumerate() {
            let (socket, own) = Listening::of(socket)?;
            if let (0, Some(own)) = (index, own) {
                address = own;
            }
            sockets.push(socket);
        }
        Ok(Self { sockets, address })
    }

    /// The address as bound; of several passed sockets, the first one's.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Accepts until the drain begins. Then new clients are turned away or go elsewhere, those that the kernel has accepted
    /// already are still served, and the sockets are closed.
    ///
    /// The caller keeps a handle on the workers until the drain is over: when the last one goes, so do their connections.
    ///
    /// At most `max_connections` are open at a time; more wait in the kernel's backlog.
    ///
    /// # Errors
    /// When a socket can't be watched for readiness.
    pub async fn accept<H: Handler>(
        self,
        front: Arc<Front<H>>,
        workers: Arc<Workers>,
    ) -> io::Result<()> {
        let _listening = front.drain().listening();
        let desk = Desk {
            places: Arc::new(Semaphore::new(
                front.limits().max_connections.min(Semaphore::MAX_PERMITS),
            )),
            front,
            workers,
        };
        let all = join_all(self.sockets.into_iter().map(|socket| desk.attend(socket)));
        all.await.into_iter().collect()
    }
}

// === impl Ending ===

impl Ending {
    const fn of(reuse_port: bool) -> Self {
        if reuse_port {
            Self::HandOver
        } else {
            Self::Close
        }
    }
}

// === impl Listening ===

impl Listening {
    /// A passed socket, and its address when it has one worth telling.
    fn of(passed: Passed) -> io::Result<(Self, Option<ListenAddress>)> {
        let ending = Ending::Leave;
        match passed {
            Passed::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                let address = ListenAddress::Tcp(socket.local_addr()?);
                Ok((Self::Tcp { socket, ending }, Some(address)))
            }
            Passed::Unix(socket) => {
                socket.set_nonblocking(true)?;
                let address = socket.local_addr()?;
                let path = address.as_pathname();
                let address = path.map(|path| ListenAddress::Unix(path.to_owned()));
                let file = None;
                let socket = Self::Unix {
                    socket,
                    file,
                    ending,
                };
                Ok((socket, address))
            }
        }
    }
}

/// Hands what one listener accepts to the workers.
struct Desk<H> {
    places: Arc<Semaphore>,
    front: Arc<Front<H>>,
    workers: Arc<Workers>,
}

impl<H: Handler> Desk<H> {
    async fn attend(&self, socket: Listening) -> io::Result<()> {
        let cut = self.front.drain().reached(Phase::Cut);
        let attending = async {
            match socket {
                Listening::Tcp { socket, ending } => {
                    let socket = tokio::net::TcpListener::from_std(socket)?;
                    self.while_serving(&socket).await;
                    if ending == Ending::HandOver {
                        refuse_what_is_new(&socket);
                        self.for_a_while(&socket).await;
                    }
                    if ending != Ending::Leave {
                        self.to_the_last(socket.into_std()?).await;
                    }
                }
                Listening::Unix {
                    socket,
                    file,
                    ending,
                } => {
                    let socket = tokio::net::UnixListener::from_std(socket)?;
                    self.while_serving(&socket).await;
                    // New clients find nothing, or what another process put there.
                    drop(file);
                    if ending == Ending::HandOver {
                        self.for_a_while(&socket).await;
                    }
                    if ending != Ending::Leave {
                        self.to_the_last(socket.into_std()?).await;
                    }
                }
            }
            Ok(())
        };
        tokio::select! {
            ended = attending => ended,
            () = cut => Ok(()),
        }
    }

    /// Accepts until the drain begins.
    async fn while_serving<L: Acceptor>(&self, socket: &L) {
        tokio::select! {
            () = self.accept_all(socket) => {}
            () = self.front.drain().reached(Phase::Draining) => {}
        }
    }

    /// Accepts what was on its way when the drain began.
    async fn for_a_while<L: Acceptor>(&self, socket: &L) {
        tokio::select! {
            () = self.accept_all(socket) => {}
            () = tokio::time::sleep(HAND_OVER) => {}
        }
    }

    async fn accept_all<L: Acceptor>(&self, socket: &L) {
        while let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            let accepted = next(socket).await;
            self.seat(accepted, place);
        }
    }

    /// Accepts what the kernel still holds, asking it rather than waiting to be told.
    async fn to_the_last<L: Remainder>(&self, socket: L) {
        while let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            match socket.accept_now() {
                Ok(accepted) => self.seat(accepted, place),
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        warn!(%error, "accepting failed");
                    }
                    return;
                }
            }
        }
    }

    fn seat(&self, accepted: Accepted, place: OwnedSemaphorePermit) {
        let front = Arc::clone(&self.front);
        let hold = self.front.drain().hold();
        self.workers.run(move |load| {
            tokio::spawn(front.serve(accepted, place, hold, load));
        });
    }
}

/// A socket that connections are awaited on.
trait Acceptor: Sync {
    /// One connection, non-blocking and free of this thread's event queue: a worker will own it.
    fn accept_one(&self) -> impl Future<Output = io::Result<Accepted>> + Send;
}

impl Acceptor for tokio::net::TcpListener {
    async fn accept_one(&self) -> io::Result<Accepted> {
        let (socket, address) = self.accept().await?;
        Ok(Accepted::Tcp(socket.into_std()?, address))
    }
}

impl Acceptor for tokio::net::UnixListener {
    async fn accept_one(&self) -> io::Result<Accepted> {
        let (socket, _unnamed) = self.accept().await?;
        Ok(Accepted::Unix(socket.into_std()?))
    }
}

/// A socket that is asked for what it holds.
trait Remainder: Send + Sync {
    /// One connection, non-blocking.
    fn accept_now(&self) -> io::Result<Accepted>;
}

impl Remainder for TcpListener {
    fn accept_now(&self) -> io::Result<Accepted> {
        let (socket, address) = self.accept()?;
        socket.set_nonblocking(true)?;
        Ok(Accepted::Tcp(socket, address))
    }
}

impl Remainder for UnixListener {
    fn accept_now(&self) -> io::Result<Accepted> {
        let (socket, _unnamed) = self.accept()?;
        socket.set_nonblocking(true)?;
        Ok(Accepted::Unix(socket))
    }
}

/// The next socket. Never fails: what can't be accepted is gone, what may come back is waited for.
async fn next<L: Acceptor>(socket: &L) -> Accepted {
    loop {
        match socket.accept_one().await {
            Ok(accepted) => return accepted,
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                warn!(%error, "accepting failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Makes the kernel drop what would begin a connection here, while what has begun goes on.
///
/// A client whose first packet is dropped sends it again after a second, and by then this socket is closed and the other
/// process gets it. Without this, Linux hands connections to this socket up to the moment it closes, and resets those that
/// were not accepted yet (unless net.ipv4.tcp_migrate_req is set).
fn refuse_what_is_new(socket: &tokio::net::TcpListener) {
    // Classic BPF over the TCP header: of the flags at offset 13, SYN without ACK.
    let program = [
        SockFilter::new(0x30, 0, 0, 13),
        SockFilter::new(0x54, 0, 0, 0x12),
        SockFilter::new(0x15, 0, 1, 0x02),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    if let Err(error) = SockRef::from(socket).attach_filter(&program) {
        debug!(%error, "new connections can't be refused while the listener closes");
    }
}

/// Errors that are about the one connection, not about us.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
