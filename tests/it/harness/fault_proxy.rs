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

use super::eventually;
use super::ports::free_port;

/// What is wrong.
#[derive(Clone, Default)]
pub(crate) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Nobody listens; connections there were are reset.
    Refuse,
    /// Connections are accepted, and reset when the first byte comes; those there were are reset as well.
    Reset,
    /// Connections are accepted and closed, those there were as well.
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
    open: AtomicUsize,
}

/// Whether a connection goes on.
enum Next {
    Go,
    End,
}

/// How it ends.
enum End {
    Close,
    Reset,
    Impostor(Arc<ServerConfig>),
}

/// A connection that is open until this is dropped.
struct Open(Arc<Shared>);

impl Open {
    fn count(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
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
                open: AtomicUsize::new(0),
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

    /// From now on this is wrong. When it returns, nobody can connect to a proxy that refuses, and connections that are to end
    /// have ended.
    pub(crate) fn suffer(&self, fault: Fault) {
        let refuses = matches!(fault, Fault::Refuse);
        let ends = matches!(fault, Fault::Refuse | Fault::Reset | Fault::Close);
        self.shared.fault.send_replace(fault);
        if refuses {
            self.hang_up();
        } else {
            self.listen();
        }
        let all_ended = || !ends || self.shared.open.load(Ordering::SeqCst) == 0;
        assert!(eventually(all_ended), "connections stay open");
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
        let mut bound = None;
        // A process that was forked while this listened keeps the address for an instant.
        eventually(|| {
            let listener = self.runtime().block_on(async {
                let socket = TcpSocket::new_v4()?;
                socket.set_reuseaddr(true)?;
                socket.bind(shared.address)?;
                socket.listen(1024)
            });
            bound = listener.ok();
            bound.is_some()
        });
        let listener = bound.expect("the address is free");
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

async fn serve(mut near: TcpStream, fault: watch::Receiver<Fault>, shared: Arc<Shared>) {
    let _open = Open::count(&shared);
    let _ = near.set_nodelay(true);
    if matches!(*fault.borrow(), Fault::Reset) {
        // Whoever is reset at once may take it for a connection that never was.
        let _ = near.peek(&mut [0]).await;
    }
    let mut watched = fault.clone();
    let cut = async {
        let ends = |fault: &Fault| {
            matches!(
                fault,
                Fault::Refuse | Fault::Reset | Fault::Close | Fault::Impostor(_)
            )
        };
        match watched.wait_for(ends).await.as_deref() {
            Ok(Fault::Close) => End::Close,
            Ok(Fault::Impostor(tls)) => End::Impostor(Arc::clone(tls)),
            _ => End::Reset,
        }
    };
    let end = tokio::select! {
        biased;
        end = cut => end,
        end = carry(&mut near, fault, &shared) => end,
    };
    match end {
        End::Close => {}
        End::Reset => drop(near.set_zero_linger()),
        // Whoever began with the right one is cut off by this as well: half a handshake later.
        End::Impostor(tls) => drop(TlsAcceptor::from(tls).accept(near).await),
    }
}

/// Carries bytes both ways until somebody closes or a fault ends it.
async fn carry(near: &mut TcpStream, fault: watch::Receiver<Fault>, shared: &Shared) -> End {
    let Ok(mut far) = TcpStream::connect(shared.target).await else {
        return End::Reset;
    };
    let _ = far.set_nodelay(true);
    if let Some(tls) = &shared.tls {
        if let Ok(mut near) = TlsAcceptor::from(Arc::clone(tls)).accept(near).await {
            drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
        }
        return End::Close;
    }
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut answer = Vec::new();
    loop {
        let next = tokio::select! {
            read = near.read(&mut up) => {
                let Ok(count @ 1..) = read else { return End::Close };
                answer.clear();
                let now = fault.borrow().clone();
                asked(now, &up[..count], near, &mut far).await
            }
            read = far.read(&mut down) => {
                let Ok(count @ 1..) = read else { return End::Close };
                let now = fault.borrow().clone();
                answered(now, &down[..count], near, &mut answer).await
            }
        };
        match next {
            Ok(Next::Go) => {}
            Ok(Next::End) => return End::Close,
            Err(_) => return End::Reset,
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
    swallow(near).await
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
        Fault::StallInBody(_) if answer.len() >= until => swallow(near).await,
        _ => Ok(Next::Go),
    }
}

/// Reads what is sent, so that nothing but the fault is felt, and says nothing more.
async fn swallow(near: &mut TcpStream) -> std::io::Result<Next> {
    let mut rest = [0; 4096];
    while near.read(&mut rest).await? > 0 {}
    Ok(Next::End)
}
