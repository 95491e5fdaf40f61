//! `sidegate health`: one question to the admin door, answered by the exit code.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Longest answer worth showing.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Options of `sidegate health`.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// What to ask
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:9901/readyz",
        env = "SIDEGATE_HEALTH_URL"
    )]
    url: http::Uri,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    timeout: u64,
}

/// Exit code 0 for a 2xx answer, 1 for anything else.
///
/// # Errors
/// When nobody answers in time.
pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let Options { url, timeout } = options;
    if url.scheme_str() != Some("http") {
        bail!("{url} is not an http:// URL: the admin door speaks plain HTTP on loopback");
    }
    let client: Client<HttpConnector, Empty<bytes::Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let ask = async {
        let response = client.get(url.clone()).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT)
            .collect()
            .await
            .map(|body| body.to_bytes());
        Ok::<_, hyper_util::client::legacy::Error>((status, body.unwrap_or_default()))
    };
    let (status, body) = tokio::time::timeout(Duration::from_secs(timeout), ask)
        .await
        .with_context(|| format!("{url} did not answer within {timeout} s"))?
        .with_context(|| format!("{url} can't be reached"))?;
    if status.is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!(
        "{url} answered {status}: {}",
        String::from_utf8_lossy(&body).trim()
    )
}
