//! A TCP proxy that breaks what passes through it, in the way the test says, for as long as it says.
//!
//! It knows of HTTP just enough to tell heads from bodies. Which fault is in force is looked at with every piece that passes, so
//! connections that were made before feel it too; one that was broken stays broken after the proxy is healed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::ports::free_port;

/// What is wrong.
#[derive(Clone, Default)]
pub(crate) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Nobody listens; connections there were are reset.
    Refuse,
    /// Connections are accepted and reset, those there were as well.
    Reset,
    /// Connections are accepted, and closed when the first byte comes.
    Close,
    /// Connections are accepted, whatever comes is read, and nothing is ever answered.
    BlackHole,
    /// The sending side is closed instead of an answer; the receiving side stays open.
    HalfClose,
    /// Answers come so much later.
    Late(Duration),
    /// Answers come in pieces of one byte.
    Bytewise,
    /// Of an answer come so many bytes, then the connection is reset.
    ResetAfter(usize),
    /// Of an answer come the head and so many bytes of the body, then nothing.
    StallInBody(usize),
    /// One header line after the other, for ever.
    EndlessHead,
    /// These bytes instead of an answer, then a close.
    Instead(Arc<[u8]>),
    /// Another certificate. Only for [`FaultProxy::to_tls`].
    Impostor(Arc<ServerConfig>),
}

/// The proxy, running. Ends with this value, and its connections with it.
pub(crate) struct FaultProxy {
    shared: Arc<Shared>,
    listening: Mutex<Option<(JoinHandle<()>, oneshot::Sender<()>)>>,
    runtime: Option<Runtime>,
}

struct Shared {
    address: SocketAddr,
    target: SocketAddr,
    /// Terminates TLS, and goes on in plain.
    tls: Option<Arc<ServerConfig>>,
    fault: watch::Sender<Fault>,
    connections: AtomicUsize,
}

/// Whether a connection goes on.
enum Next {
    Go,
    End,
}

impl FaultProxy {
    /// A healthy proxy before this address.
    pub(crate) fn to(target: SocketAddr) -> Self {
        Self::start(target, None)
    }

    /// The same, with TLS towards whoever connects.
    pub(crate) fn to_tls(target: SocketAddr, tls: Arc<ServerConfig>) -> Self {
        Self::start(target, Some(tls))
    }

    fn start(target: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let proxy = Self {
            shared: Arc::new(Shared {
                // Nobody else is given it while the proxy refuses connections.
                address: (Ipv4Addr::LOCALHOST, free_port()).into(),
                target,
                tls,
                fault: watch::Sender::new(Fault::None),
                connections: AtomicUsize::new(0),
            }),
            listening: Mutex::new(None),
            runtime: Some(runtime),
        };
        proxy.listen();
        proxy
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://address:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// From now on this is wrong. When it returns, nobody can connect to a proxy that refuses.
    pub(crate) fn suffer(&self, fault: Fault) {
        let refuses = matches!(fault, Fault::Refuse);
        self.shared.fault.send_replace(fault);
        if refuses {
            self.hang_up();
        } else {
            self.listen();
        }
    }

    /// From now on nothing is wrong.
    pub(crate) fn heal(&self) {
        self.suffer(Fault::None);
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("there until it is dropped")
    }

    fn listen(&self) {
        let mut listening = self.listening.lock().unwrap();
        if listening.is_some() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let (hang_up, hung_up) = oneshot::channel();
        let listener = self.runtime().block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(shared.address).unwrap();
            socket.listen(1024).unwrap()
        });
        let accepting = self.runtime().spawn(accept(listener, shared, hung_up));
        *listening = Some((accepting, hang_up));
    }

    fn hang_up(&self) {
        let Some((accepting, hang_up)) = self.listening.lock().unwrap().take() else {
            return;
        };
        drop(hang_up);
        drop(self.runtime().block_on(accepting));
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut hung_up: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            _ = &mut hung_up => return,
            accepted = listener.accept() => {
                let Ok((near, _)) = accepted else { continue };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let fault = shared.fault.subscribe();
                tokio::spawn(serve(near, fault, Arc::clone(&shared)));
            }
        }
    }
}

async fn serve(near: TcpStream, mut fault: watch::Receiver<Fault>, shared: Arc<Shared>) {
    let _ = near.set_nodelay(true);
    let now = fault.borrow_and_update().clone();
    if matches!(now, Fault::Reset | Fault::Refuse) {
        return reset(near);
    }
    let Some(tls) = &shared.tls else {
        return carry(near, fault, shared.target).await;
    };
    let tls = match now {
        Fault::Impostor(other) => other,
        _ => Arc::clone(tls),
    };
    if let Ok(mut near) = TlsAcceptor::from(tls).accept(near).await
        && let Ok(mut far) = TcpStream::connect(shared.target).await
    {
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}

/// Carries bytes both ways until somebody closes or a fault ends it.
async fn carry(mut near: TcpStream, mut fault: watch::Receiver<Fault>, target: SocketAddr) {
    let Ok(mut far) = TcpStream::connect(target).await else {
        return reset(near);
    };
    let _ = far.set_nodelay(true);
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut answer = Vec::new();
    loop {
        tokio::select! {
            changed = fault.changed() => {
                let now = fault.borrow().clone();
                if changed.is_err() || matches!(now, Fault::Reset | Fault::Refuse) {
                    return reset(near);
                }
                if matches!(now, Fault::Close) {
                    return;
                }
            }
            read = near.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                answer.clear();
                let now = fault.borrow().clone();
                match asked(now, &up[..count], &mut near, &mut far).await {
                    Ok(Next::Go) => {}
                    Ok(Next::End) | Err(_) => return,
                }
            }
            read = far.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                let now = fault.borrow().clone();
                match answered(now, &down[..count], &mut near, &mut answer).await {
                    Ok(Next::Go) => {}
                    Ok(Next::End) => return swallow(near, fault).await,
                    Err(_) => return reset(near),
                }
            }
        }
    }
}

/// A piece of a request has come.
async fn asked(
    fault: Fault,
    piece: &[u8],
    near: &mut TcpStream,
    far: &mut TcpStream,
) -> std::io::Result<Next> {
    match fault {
        Fault::BlackHole => {}
        Fault::Close => return Ok(Next::End),
        Fault::HalfClose => near.shutdown().await?,
        Fault::Instead(bytes) => {
            near.write_all(&bytes).await?;
            near.shutdown().await?;
        }
        Fault::EndlessHead => {
            near.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                near.write_all(b"x-more: and more\r\n").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        _ => {
            far.write_all(piece).await?;
            return Ok(Next::Go);
        }
    }
    // Whatever else is sent is read, so that nothing but this fault is felt.
    let mut rest = [0; 4096];
    while near.read(&mut rest).await? > 0 {}
    Ok(Next::End)
}

/// A piece of an answer has come; `answer` is what came of it before. An error resets the connection.
async fn answered(
    fault: Fault,
    piece: &[u8],
    near: &mut TcpStream,
    answer: &mut Vec<u8>,
) -> std::io::Result<Next> {
    let before = answer.len();
    answer.extend(piece);
    let until = match fault {
        Fault::ResetAfter(bytes) => bytes,
        Fault::StallInBody(bytes) => match answer.windows(4).position(|end| end == b"\r\n\r\n") {
            Some(head) => head + 4 + bytes,
            None => usize::MAX,
        },
        _ => usize::MAX,
    };
    let passes = until.saturating_sub(before).min(piece.len());
    match fault {
        Fault::Late(by) => tokio::time::sleep(by).await,
        Fault::Bytewise => {
            for byte in &piece[..passes] {
                near.write_all(std::slice::from_ref(byte)).await?;
                tokio::task::yield_now().await;
            }
            return Ok(Next::Go);
        }
        _ => {}
    }
    near.write_all(&piece[..passes]).await?;
    match fault {
        Fault::ResetAfter(_) if answer.len() >= until => Err(std::io::ErrorKind::Other.into()),
        Fault::StallInBody(_) if answer.len() >= until => Ok(Next::End),
        _ => Ok(Next::Go),
    }
}

/// Says nothing more on a connection until it is closed, or to be reset or closed.
async fn swallow(mut near: TcpStream, mut fault: watch::Receiver<Fault>) {
    let mut rest = [0; 4096];
    loop {
        tokio::select! {
            changed = fault.changed() => {
                let now = fault.borrow().clone();
                match now {
                    Fault::Reset | Fault::Refuse => return reset(near),
                    Fault::Close => return,
                    _ if changed.is_err() => return,
                    _ => {}
                }
            }
            read = near.read(&mut rest) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
            }
        }
    }
}

/// Closes with a reset instead of a farewell.
fn reset(near: TcpStream) {
    let _ = near.set_zero_linger();
}
