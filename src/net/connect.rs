//! Dialling an upstream: TCP, TLS over TCP, or a Unix socket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::{ALPN_H2, ALPN_HTTP1, TlsError};
use super::trust;
use crate::config::settings::{Upstream, UpstreamProtocol, UpstreamUrl};

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answered in time, TLS included.
    #[error("no connection within {}s", .0.as_secs_f32())]
    Timeout(Duration),
    /// Refused, unreachable, or not resolvable.
    #[error("could not connect: {0}")]
    Io(#[source] io::Error),
    /// The TLS handshake failed.
    #[error("tls handshake failed: {0}")]
    Tls(#[source] io::Error),
    /// The upstream is to speak HTTP/2 and did not agree to.
    #[error("upstream does not offer http/2")]
    NoHttp2,
}

/// Dials the addresses of one upstream.
#[derive(Clone)]
pub struct Connector {
    tls: Option<(TlsConnector, Option<ServerName<'static>>)>,
    timeout: Duration,
    http2: bool,
}

/// A connected stream of any kind.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// A Unix socket.
    Unix(UnixStream),
}

// === impl Connector ===

impl Connector {
    /// Reads the TLS files when any address needs them.
    ///
    /// # Errors
    /// [`TlsError`] naming the file or host that can't be used.
    pub fn new(upstream: &Upstream) -> Result<Self, TlsError> {
        let http2 = upstream.protocol == UpstreamProtocol::Http2;
        let mut wants_tls = false;
        for url in &upstream.urls {
            if let UpstreamUrl::Tcp {
                tls: true, host, ..
            } = url
            {
                wants_tls = true;
                trust::server_name(host)?;
            }
        }
        let tls = if wants_tls {
            let config = trust::client_config(
                upstream.tls.ca.as_deref(),
                upstream.tls.client_certificate.as_ref(),
                &[if http2 { ALPN_H2 } else { ALPN_HTTP1 }],
            )?;
            let name = upstream
                .tls
                .server_name
                .as_deref()
                .map(trust::server_name)
                .transpose()?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        Ok(Self {
            tls,
            timeout: upstream.connect_timeout,
            http2,
        })
    }

    /// Connects to one address within the connect timeout, TLS handshake included.
    ///
    /// # Errors
    /// [`ConnectError`], one variant per cause.
    pub async fn connect(&self, url: &UpstreamUrl) -> Result<Stream, ConnectError> {
        tokio::time::timeout(self.timeout, self.dial(url))
            .await
            .unwrap_or(Err(ConnectError::Timeout(self.timeout)))
    }

    async fn dial(&self, url: &UpstreamUrl) -> Result<Stream, ConnectError> {
        match url {
            UpstreamUrl::Unix(path) => UnixStream::connect(path)
                .await
                .map(Stream::Unix)
                .map_err(ConnectError::Io),
            UpstreamUrl::Tcp { tls, host, port } => {
                let tcp = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(ConnectError::Io)?;
                tcp.set_nodelay(true).map_err(ConnectError::Io)?;
                if *tls {
                    self.handshake(tcp, host).await
                } else {
                    Ok(Stream::Tcp(tcp))
                }
            }
        }
    }

    async fn handshake(&self, tcp: TcpStream, host: &str) -> Result<Stream, ConnectError> {
        let invalid = || ConnectError::Tls(io::ErrorKind::InvalidInput.into());
        let (connector, name) = self.tls.as_ref().ok_or_else(invalid)?;
        let name = match name {
            Some(name) => name.clone(),
            None => trust::server_name(host).map_err(|_| invalid())?,
        };
        let stream = connector
            .connect(name, tcp)
            .await
            .map_err(ConnectError::Tls)?;
        if self.http2 && stream.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
            return Err(ConnectError::NoHttp2);
        }
        Ok(Stream::Tls(Box::new(stream)))
    }
}

// === impl Stream ===

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
