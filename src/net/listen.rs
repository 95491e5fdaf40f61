//! Binding addresses and handing accepted sockets to the workers.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Semaphore;
use tracing::warn;

use super::drain::Phase;
use super::serve::{Front, Handler};
use super::workers::Workers;

/// Connections the kernel keeps for us while all places are taken.
const BACKLOG: i32 = 4096;

/// How long to wait when accepting fails for want of a resource; trying at once would only burn the core.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound address, not yet accepting.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds and listens. Port 0 gets a free port; see [`Bound::address`].
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address as bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until the drain begins; the socket is closed then, so that new clients go elsewhere at once.
    ///
    /// The caller keeps a handle on the workers until the drain is over: when the last one goes, so do their connections.
    ///
    /// At most `max_connections` are open at a time; more wait in the kernel's backlog.
    ///
    /// # Errors
    /// When the socket can't be watched for readiness.
    pub async fn accept<H: Handler>(
        self,
        front: Arc<Front<H>>,
        workers: Arc<Workers>,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let places = Arc::new(Semaphore::new(
            front.limits().max_connections.min(Semaphore::MAX_PERMITS),
        ));
        let draining = front.drain().clone();
        let accepting = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let (socket, address) = next(&listener).await;
                let front = Arc::clone(&front);
                workers.run(move |load| {
                    tokio::spawn(front.serve(socket, address, place, load));
                });
            }
        };
        tokio::select! {
            () = accepting => {}
            () = draining.reached(Phase::Draining) => {}
        }
        Ok(())
    }
}

/// The next socket, non-blocking and free of this thread's event queue: a worker will own it. Never fails: what can't be
/// accepted is gone, what may come back is waited for.
async fn next(listener: &tokio::net::TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener
            .accept()
            .await
            .and_then(|(socket, address)| Ok((socket.into_std()?, address)))
        {
            Ok(accepted) => return accepted,
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                warn!(%error, "accepting failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
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
