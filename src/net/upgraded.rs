//! The client's side of a connection that switched protocols.

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

use super::pulse::Watched;
use super::socket::Socket;

/// A bidirectional stream of bytes.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// The client sent bytes of the new protocol before it was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client sent bytes before the upgrade was answered")]
pub struct EarlyBytes;

/// Unwraps a connection served by [`super::serve`] down to its stream.
///
/// # Errors
/// [`EarlyBytes`] when something had been read before the switch; nobody can tell which protocol it belongs to.
pub fn client_stream(upgraded: Upgraded) -> Result<Box<dyn Duplex>, EarlyBytes> {
    let upgraded = match upgraded.downcast::<TokioIo<TlsStream<Watched<Socket>>>>() {
        Ok(parts) if parts.read_buf.is_empty() => return Ok(Box::new(parts.io.into_inner())),
        Ok(_early) => return Err(EarlyBytes),
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<Watched<Socket>>>() {
        Ok(parts) if parts.read_buf.is_empty() => Ok(Box::new(parts.io.into_inner())),
        Ok(_early) => Err(EarlyBytes),
        Err(upgraded) => Ok(Box::new(TokioIo::new(upgraded))),
    }
}
