//! One small document over `https`: how an issuer's keys are read.
//!
//! Always true: the server's certificate is verified, the whole exchange has a deadline, the answer has a bound, and redirects
//! are refused.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::watch::Background;
use crate::config::realm_values::JwksPath;
use crate::config::realms::PublicKeys;
use crate::net::http::Body;
use crate::net::tls::TlsError;
use crate::net::trust;

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Trust can't be set up, or the host is no name.
    #[error("tls can't be set up: {0}")]
    Tls(#[from] TlsError),
    /// No connection, or none that can be trusted.
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
    /// Not in time.
    #[error("no answer in time")]
    Timeout,
    /// The exchange broke.
    #[error("the exchange broke: {0}")]
    Http(#[from] hyper::Error),
    /// Not 200.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// Too long, or cut off.
    #[error("the answer can't be read: {0}")]
    Body(String),
}

/// Fetches one URL.
pub struct Fetcher {
    tls: TlsConnector,
    name: ServerName<'static>,
    host: String,
    port: u16,
    target: String,
    connect_timeout: Duration,
    read_timeout: Duration,
}

impl Fetcher {
    /// Sets trust up; connects to nobody.
    ///
    /// # Errors
    /// [`FetchError::Tls`].
    pub fn new(settings: &PublicKeys) -> Result<Self, FetchError> {
        let (host, port, target) = match &settings.path {
            JwksPath::Url { host, port, target } => (host.clone(), *port, target.clone()),
            JwksPath::File(_) => (String::new(), 0, String::new()),
        };
        let config = trust::client_config(settings.ca.as_deref(), None, &[b"http/1.1"])?;
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            name: trust::server_name(&host)?,
            host,
            port,
            target,
            connect_timeout: settings.connect_timeout,
            read_timeout: settings.read_timeout,
        })
    }

    /// Fetches it, up to `limit` bytes.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(&self, limit: usize) -> Result<Bytes, FetchError> {
        let connecting = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            self.tls.connect(self.name.clone(), tcp).await
        };
        let stream = tokio::time::timeout(self.connect_timeout, connecting);
        let stream = stream.await.map_err(|_| FetchError::Timeout)??;
        let exchange = self.exchange(TokioIo::new(stream), limit);
        let answer = tokio::time::timeout(self.read_timeout, exchange).await;
        answer.map_err(|_| FetchError::Timeout)?
    }

    async fn exchange<S>(&self, stream: S, limit: usize) -> Result<Bytes, FetchError>
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        let _connection = Background::spawn(async move {
            // What goes wrong on the connection is told by the exchange as well.
            let _ = connection.await;
        });
        let host = if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        };
        let request = http::Request::builder()
            .method(Method::GET)
            .uri(self.target.as_str())
            .header(header::HOST, host)
            .header(header::ACCEPT, "application/json, application/jwk-set+json")
            .header(header::USER_AGENT, "sidegate")
            .body(Empty::<Bytes>::new())
            .map_err(|error| FetchError::Body(error.to_string()))?;
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Body::from(response.into_body());
        let collected = body.collect_up_to(limit).await;
        collected.map_err(|error| FetchError::Body(error.to_string()))
    }
}
