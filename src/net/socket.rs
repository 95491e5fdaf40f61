//! A client's socket, whatever kind it is, and where it comes from.
//!
//! Always true: nothing a client sent is lost between accepting and serving; what was looked at ahead is read again. One more
//! kind of socket is one more variant here and in [`super::listen`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// How HTTP/2 with prior knowledge begins (RFC 9113 §3.4); no HTTP/1 request begins like this.
const PREFACE: [u8; 4] = *b"PRI ";

/// Where a connection comes from, as far as its socket tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This address.
    Tcp(SocketAddr),
    /// A process of this machine that may open the socket's file.
    Unix,
}

impl Origin {
    /// The address: a peer of a Unix socket is on this machine, so its address is the loopback's, with port 0.
    pub const fn address(self) -> SocketAddr {
        match self {
            Self::Tcp(address) => address,
            Self::Unix => SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        }
    }
}

/// An accepted socket, non-blocking, that belongs to no runtime yet.
#[derive(Debug)]
pub enum Accepted {
    /// Over TCP.
    Tcp(std::net::TcpStream, SocketAddr),
    /// Over a Unix socket.
    Unix(StdUnixStream),
}

impl Accepted {
    /// Where it comes from.
    pub const fn origin(&self) -> Origin {
        match self {
            Self::Tcp(_, address) => Origin::Tcp(*address),
            Self::Unix(_) => Origin::Unix,
        }
    }

    /// Gives it to the runtime that this is called in.
    ///
    /// # Errors
    /// When it can't be watched for readiness.
    pub fn register(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(socket, _) => {
                let socket = TcpStream::from_std(socket)?;
                let _ = socket.set_nodelay(true);
                Ok(Socket::Tcp(socket))
            }
            Self::Unix(socket) => Ok(Socket::Unix(
                UnixStream::from_std(socket)?,
                Begun::default(),
            )),
        }
    }
}

/// A client's socket.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket, with what was read ahead.
    Unix(UnixStream, Begun),
}

/// The first bytes of a connection, read ahead because a Unix socket can't be looked into.
#[derive(Debug, Default)]
pub struct Begun {
    bytes: [u8; PREFACE.len()],
    read: u8,
    given: u8,
}

impl Begun {
    fn left(&self) -> &[u8] {
        self.bytes
            .get(usize::from(self.given)..usize::from(self.read))
            .unwrap_or_default()
    }
}

impl Socket {
    /// Whether the next bytes are the beginning of HTTP/2's preface; they are still there to be read afterwards. Waits for the
    /// first bytes; the caller sets the deadline, and after it may go on as if nothing had been asked.
    pub async fn begins_with_http2(&mut self) -> bool {
        match self {
            Self::Tcp(socket) => {
                let mut start = [0; PREFACE.len()];
                let length = socket.peek(&mut start).await;
                // An error shows again, and is dealt with, where the request is read.
                length.is_ok_and(|length| length == start.len()) && start == PREFACE
            }
            Self::Unix(socket, begun) => {
                while PREFACE.starts_with(begun.left()) {
                    let at = usize::from(begun.read);
                    let free = begun.bytes.get_mut(at..).unwrap_or_default();
                    if free.is_empty() {
                        return true;
                    }
                    match socket.read(free).await {
                        Ok(read @ 1..) => begun.read += u8::try_from(read).unwrap_or_default(),
                        Ok(_) | Err(_) => return false,
                    }
                }
                false
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Unix(socket, begun) => {
                let left = begun.left();
                if left.is_empty() {
                    return Pin::new(socket).poll_read(context, buffer);
                }
                let given = left.len().min(buffer.remaining());
                buffer.put_slice(left.get(..given).unwrap_or_default());
                begun.given += u8::try_from(given).unwrap_or_default();
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Unix(socket, _) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Unix(socket, _) => Pin::new(socket).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(context),
            Self::Unix(socket, _) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Unix(socket, _) => Pin::new(socket).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn looked_at(pieces: &[&[u8]]) -> (bool, Vec<u8>) {
        let (mut client, server) = UnixStream::pair().unwrap();
        let mut socket = Socket::Unix(server, Begun::default());
        let looking = tokio::spawn(async move {
            let found = socket.begins_with_http2().await;
            let mut all = Vec::new();
            socket.read_to_end(&mut all).await.unwrap();
            (found, all)
        });
        for piece in pieces {
            client.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        drop(client);
        looking.await.unwrap()
    }

    #[tokio::test]
    async fn a_preface_is_found_on_a_unix_socket_and_read_again() {
        let whole = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        assert_eq!(looked_at(&[whole]).await, (true, whole.to_vec()));
        let split: [&[u8]; 3] = [b"P", b"RI", b" * HTTP/2.0"];
        assert_eq!(looked_at(&split).await, (true, split.concat()));
    }

    #[tokio::test]
    async fn anything_else_is_read_whole_as_well() {
        for pieces in [
            &[b"GET / HTTP/1.1\r\n".as_slice()][..],
            &[b"P", b"UT / HTTP/1.1\r\n"],
            &[b"PR"],
            &[],
        ] {
            assert_eq!(looked_at(pieces).await, (false, pieces.concat()));
        }
    }
}
