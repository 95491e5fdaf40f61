//! One small document from one URL, over HTTP/1.1.
//!
//! Always true: bounded in size and time; redirects are not followed, because whoever answers was chosen by the operator.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::http::{Body, BodyError};
use super::tls::{ALPN_HTTP1, TlsError};
use super::trust;
use crate::config::settings::NodeUrl;

/// Bytes of a document at most.
const MAX_BYTES: usize = 1 << 20;
/// Time for all of it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// TLS can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Not in time.
    #[error("no answer within {}s", TIMEOUT.as_secs())]
    Timeout,
    /// No connection, or one that broke.
    #[error("no connection: {0}")]
    Connect(#[source] BodyError),
    /// Something else than 200.
    #[error("answered {0}")]
    Status(StatusCode),
    /// Longer than is sane.
    #[error("longer than {MAX_BYTES} bytes, or broken off")]
    Broken,
}

/// A URL and whom to believe there.
#[derive(Clone)]
pub struct Fetcher {
    url: NodeUrl,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Fetcher {
    /// Reads the CA file, when the URL is `https`.
    ///
    /// # Errors
    /// [`FetchError::Tls`]
    pub fn new(url: NodeUrl, ca: Option<&Path>) -> Result<Self, FetchError> {
        let tls = if url.tls {
            let config = trust::client_config(ca, None, &[ALPN_HTTP1])?;
            let name = trust::server_name(&url.host)?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        Ok(Self { url, tls })
    }

    /// Gets the document.
    ///
    /// # Errors
    /// [`FetchError`], one variant per cause.
    pub async fn get(&self) -> Result<Bytes, FetchError> {
        tokio::time::timeout(TIMEOUT, self.connect_and_get())
            .await
            .unwrap_or(Err(FetchError::Timeout))
    }

    async fn connect_and_get(&self) -> Result<Bytes, FetchError> {
        let tcp = TcpStream::connect((self.url.host.as_str(), self.url.port))
            .await
            .map_err(broken)?;
        match &self.tls {
            None => self.get_on(tcp).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), tcp).await;
                self.get_on(stream.map_err(broken)?).await
            }
        }
    }

    async fn get_on<S>(&self, stream: S) -> Result<Bytes, FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Ends with the sender, which ends with this call.
        let driver = tokio::spawn(connection);
        let path = if self.url.prefix.is_empty() {
            "/"
        } else {
            &self.url.prefix
        };
        let request = http::Request::builder()
            .uri(path)
            .header(header::HOST, self.url.authority())
            .header(header::ACCEPT, "application/json")
            .body(Body::Empty)
            .map_err(broken)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let document = if response.status() == StatusCode::OK {
            let body = Body::from(response.into_body());
            let collected = body.collect_up_to(MAX_BYTES).await;
            collected.map_err(|_| FetchError::Broken)
        } else {
            Err(FetchError::Status(response.status()))
        };
        driver.abort();
        document
    }
}

fn broken(error: impl Into<BodyError>) -> FetchError {
    FetchError::Connect(error.into())
}
