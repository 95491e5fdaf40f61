//! One question to one URL, over HTTP/1.1, whose answer is a small document.
//!
//! Always true: bounded in size and time; redirects are not followed, because whoever answers was chosen by the operator.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::http::{Body, BodyError, CollectError};
use super::tls::{ALPN_HTTP1, TlsError};
use super::trust;
use crate::config::settings::NodeUrl;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// TLS can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Not in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection, or one that broke.
    #[error("no connection: {0}")]
    Connect(#[source] BodyError),
    /// Something else than 200.
    #[error("answered {0}")]
    Status(StatusCode),
    /// Longer than is sane, or broken off.
    #[error("the answer can't be read: {0}")]
    Body(#[from] CollectError),
}

/// How long each part of it may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// To be connected, TLS included.
    pub connect: Duration,
    /// From then to the end of the answer.
    pub answer: Duration,
}

/// What is asked, beside the URL.
#[derive(Debug, Default)]
pub struct Question {
    /// Method.
    pub method: Method,
    /// Header lines beside `Host`, `Accept` and `User-Agent`.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// What was answered, whatever the status.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Header lines.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// A URL and whom to believe there.
#[derive(Clone)]
pub struct Fetcher {
    url: NodeUrl,
    deadlines: Deadlines,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Fetcher {
    /// Reads the CA file, when the URL is `https`; connects to nobody. The URL's prefix is the whole target.
    ///
    /// # Errors
    /// [`FetchError::Tls`]
    pub fn new(url: NodeUrl, ca: Option<&Path>, deadlines: Deadlines) -> Result<Self, FetchError> {
        let tls = if url.tls {
            let config = trust::client_config(ca, None, &[ALPN_HTTP1])?;
            let name = trust::server_name(&url.host)?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        Ok(Self {
            url,
            deadlines,
            tls,
        })
    }

    /// Gets the document, of `limit` bytes at most.
    ///
    /// # Errors
    /// [`FetchError`], one variant per cause.
    pub async fn get(&self, limit: usize) -> Result<Bytes, FetchError> {
        let answer = self.ask(Question::default(), limit).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status => Err(FetchError::Status(status)),
        }
    }

    /// Asks, and reads at most `limit` bytes of the answer's body.
    ///
    /// # Errors
    /// [`FetchError`], one variant per cause; any status is an answer.
    pub async fn ask(&self, question: Question, limit: usize) -> Result<Answer, FetchError> {
        let tcp = TcpStream::connect((self.url.host.as_str(), self.url.port));
        match &self.tls {
            None => {
                let tcp = self.connected(tcp).await?;
                self.answered(tcp, question, limit).await
            }
            Some((connector, name)) => {
                let tls = async { connector.connect(name.clone(), tcp.await?).await };
                let stream = self.connected(tls).await?;
                self.answered(stream, question, limit).await
            }
        }
    }

    async fn connected<S>(
        &self,
        connecting: impl Future<Output = io::Result<S>>,
    ) -> Result<S, FetchError> {
        let connecting = tokio::time::timeout(self.deadlines.connect, connecting);
        connecting
            .await
            .map_err(|_elapsed| FetchError::Timeout)?
            .map_err(broken)
    }

    async fn answered<S>(
        &self,
        stream: S,
        question: Question,
        limit: usize,
    ) -> Result<Answer, FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asking = tokio::time::timeout(
            self.deadlines.answer,
            self.exchange(stream, question, limit),
        );
        asking.await.map_err(|_elapsed| FetchError::Timeout)?
    }

    async fn exchange<S>(
        &self,
        stream: S,
        question: Question,
        limit: usize,
    ) -> Result<Answer, FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Ends with this call, however that ends.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let target = match self.url.prefix.as_str() {
            "" => "/",
            target => target,
        };
        let mut request = http::Request::builder()
            .method(question.method)
            .uri(target)
            .header(header::HOST, self.url.authority())
            .header(
                header::ACCEPT,
                "application/json, application/jwk-set+json, */*;q=0.5",
            )
            .header(header::USER_AGENT, "sidegate")
            .body(Body::full(question.body))
            .map_err(broken)?;
        request.headers_mut().extend(question.headers);
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        let body = Body::from(body).collect_up_to(limit).await?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }
}

fn broken(error: impl Into<BodyError>) -> FetchError {
    FetchError::Connect(error.into())
}
