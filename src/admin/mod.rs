//! The admin door: metrics, health, the caches, the route table and the log level, for operators and their tools.
//!
//! Always true: it lives on a listener of its own and no request for the application ever reaches it; what a foreign web page
//! could have sent is refused (see `origin`); every body is bounded and every wait has a deadline.
//! Never: a credential, a key of a cache, or a secret of the configuration in an answer.
//! To add an endpoint: a variant of `Endpoint`, its path and methods there, and its line in `Admin::answer`.

pub mod operations;
mod origin;
mod purge;
mod reply;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use self::operations::{Operations, Readiness};
use self::reply::Problem;
use crate::gate::purge::PurgeScope;
use crate::net::http::{Body, CollectError, Head, Request, Response};
use crate::telemetry::log::{LogError, LogLevel};
use crate::telemetry::metrics::Registry;

/// The door. Clones are the same.
#[derive(Clone)]
pub struct Admin {
    operations: Arc<dyn Operations>,
    registry: Registry,
    level: LogLevel,
    hosts: Arc<[Box<str>]>,
}

/// The longest body accepted, in bytes.
const MOST_BODY: usize = 64 * 1024;
/// The longest wait for it.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The content type of Prometheus' text exposition.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

const INDEX: &str = "\
Sidegate admin

GET  /metrics                    Prometheus metrics
GET  /livez                      200 while the process runs
GET  /readyz[?verbose]           200 when requests can be served, else 503 and why not
GET  /routes                     the route table
GET  /cache                      cache statistics
POST /cache/purge                forget answers: {\"all\":true}, {\"user\":…}, {\"realm\":…}, {\"api_key_id\":…} or {\"role\":…}
POST /_security/…/_clear_cache   the same, with the paths of Elasticsearch
DELETE /sessions?user=…          end sessions: by user, realm and provider, or ?all=true
GET  /.well-known/jwks.json      the keys that verify assertions
GET  /log/level                  the log level
PUT  /log/level                  change it: {\"level\":\"debug\"}
";

/// What there is to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Endpoint {
    Index,
    Metrics,
    Livez,
    Readyz,
    Routes,
    Cache,
    Purge,
    ClearCache,
    Sessions,
    LogLevel,
    PublishedKeys,
}

impl Endpoint {
    fn find(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Index,
            "/metrics" => Self::Metrics,
            "/livez" => Self::Livez,
            "/readyz" => Self::Readyz,
            "/routes" => Self::Routes,
            "/cache" => Self::Cache,
            "/cache/purge" => Self::Purge,
            "/sessions" => Self::Sessions,
            "/log/level" => Self::LogLevel,
            "/.well-known/jwks.json" => Self::PublishedKeys,
            path if purge::parse_path(path, "").is_some() => Self::ClearCache,
            _ => return None,
        })
    }

    /// The methods it takes, as an `Allow` header says it.
    const fn allow(&self) -> &'static str {
        match self {
            Self::Index
            | Self::Metrics
            | Self::Livez
            | Self::Readyz
            | Self::Routes
            | Self::Cache
            | Self::PublishedKeys => "GET, HEAD",
            Self::Purge | Self::ClearCache => "POST",
            Self::Sessions => "DELETE",
            Self::LogLevel => "GET, HEAD, PUT",
        }
    }

    fn takes(&self, method: &Method) -> bool {
        self.allow()
            .split(", ")
            .any(|allowed| allowed == method.as_str())
    }
}

impl Admin {
    /// A door onto `operations`. `hosts` are names it may be asked for by, besides addresses and `localhost`.
    pub fn new(
        operations: Arc<dyn Operations>,
        registry: Registry,
        level: LogLevel,
        hosts: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            operations,
            registry,
            level,
            hosts: hosts
                .into_iter()
                .map(|host| host.to_ascii_lowercase().into())
                .collect(),
        }
    }

    /// Answers one request; every failure is an answer, too.
    pub async fn respond(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let response = match self.answer(&head, body).await {
            Ok(response) => response,
            Err(problem) => problem.respond(),
        };
        reply::without_body(&head.method, response)
    }

    async fn answer(&self, head: &Head, body: Body) -> Result<Response, Problem> {
        origin::check(head, &self.hosts)?;
        let nothing = || Problem::new(StatusCode::NOT_FOUND, "see / for what is here");
        let endpoint = Endpoint::find(head.uri.path()).ok_or_else(nothing)?;
        if !endpoint.takes(&head.method) {
            return Err(Problem::method(endpoint.allow()));
        }
        let ok = StatusCode::OK;
        match endpoint {
            Endpoint::Index => Ok(reply::text(ok, INDEX)),
            Endpoint::Metrics => self.metrics().await,
            Endpoint::Livez => Ok(reply::text(ok, "ok\n")),
            Endpoint::Readyz => Ok(readyz(head, &self.operations.readiness())),
            Endpoint::Routes => Ok(reply::json(ok, &self.operations.routes())),
            Endpoint::Cache => Ok(reply::json(ok, &self.operations.cache_statistics())),
            Endpoint::Purge => {
                let scope = purge::parse_body(&read(body).await?)?;
                let entries = self.purge(&scope).await;
                Ok(reply::json(
                    ok,
                    &json!({"purged": scope.label(), "entries": entries}),
                ))
            }
            Endpoint::ClearCache => {
                let query = head.uri.query().unwrap_or_default();
                for scope in purge::parse_path(head.uri.path(), query).ok_or_else(nothing)?? {
                    self.purge(&scope).await;
                }
                Ok(reply::json(ok, &purge::cleared()))
            }
            Endpoint::Sessions => self.end_sessions(head).await,
            Endpoint::PublishedKeys => match self.operations.published_keys() {
                Some(keys) => Ok(reply::json(ok, &keys)),
                None => Err(nothing()),
            },
            Endpoint::LogLevel if head.method == Method::PUT => {
                self.change_level(&read(body).await?)
            }
            Endpoint::LogLevel => Ok(self.show_level()),
        }
    }

    async fn end_sessions(&self, head: &Head) -> Result<Response, Problem> {
        let scope = sessions::parse_query(head.uri.query().unwrap_or_default())?;
        let Some(ending) = self.operations.end_sessions(&scope) else {
            return Err(Problem::new(StatusCode::NOT_FOUND, "there are no sessions"));
        };
        match ending.await {
            Ok(ended) => {
                tracing::info!(user = ?scope.user, realm = ?scope.realm, provider = ?scope.provider, ended, "sessions ended");
                Ok(reply::json(StatusCode::OK, &json!({"ended": ended})))
            }
            Err(trouble) => {
                tracing::warn!(trouble, "sessions could not be ended everywhere");
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Err(Problem::new(
                    status,
                    "the session store could not be asked; try again",
                ))
            }
        }
    }

    async fn metrics(&self) -> Result<Response, Problem> {
        let (registry, operations) = (self.registry.clone(), Arc::clone(&self.operations));
        // Thousands of series take milliseconds to write down, which no other request of this thread should wait for.
        let text = tokio::task::spawn_blocking(move || {
            // Counting what the caches hold brings their gauges up to date, in a gate that nobody uses as well.
            operations.cache_statistics();
            registry.render()
        })
        .await;
        match text {
            Ok(text) => Ok(reply::reply(StatusCode::OK, EXPOSITION, text)),
            Err(error) => {
                tracing::error!(%error, "metrics could not be rendered");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Err(Problem::new(status, "metrics could not be rendered"))
            }
        }
    }

    async fn purge(&self, scope: &PurgeScope) -> u64 {
        let entries = self.operations.purge(scope).await;
        tracing::info!(scope = scope.label(), entries, "cache purged");
        entries
    }

    fn show_level(&self) -> Response {
        reply::json(StatusCode::OK, &json!({"level": self.level.current()}))
    }

    fn change_level(&self, body: &[u8]) -> Result<Response, Problem> {
        let level = parse_level(body)
            .ok_or_else(|| Problem::bad_request(r#"expected {"level":"info"} or a bare level"#))?;
        match self.level.set(&level) {
            Ok(()) => {
                tracing::info!(level, "log level changed");
                Ok(self.show_level())
            }
            Err(error @ LogError::Directives { .. }) => {
                Err(Problem::bad_request(error.to_string()))
            }
            Err(error @ (LogError::AlreadyStarted | LogError::NotRunning)) => Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                error.to_string(),
            )),
        }
    }
}

/// `{"level":"debug"}`, `"debug"` or bare `debug`.
fn parse_level(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) if object.len() == 1 => {
            Some(object.get("level")?.as_str()?.to_owned())
        }
        Ok(Value::String(level)) => Some(level),
        Ok(_) => None,
        Err(_) => (!text.starts_with(['{', '[', '"'])).then(|| text.to_owned()),
    }
}

/// Reads a body within bounds of size and time.
async fn read(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, body.collect_up_to(MOST_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error @ CollectError::TooLarge { .. })) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            error.to_string(),
        )),
        Ok(Err(error @ CollectError::Broken(_))) => Err(Problem::bad_request(error.to_string())),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        )),
    }
}

/// Says whether requests can be served, and what is in the way: as JSON to whoever accepts only that, else as text.
fn readyz(head: &Head, readiness: &Readiness) -> Response {
    let status = match readiness.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let accept = head
        .headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.starts_with("application/json")) {
        let parts: Vec<Value> = readiness
            .parts
            .iter()
            .map(|part| json!({"name": part.name, "ready": part.trouble.is_none(), "trouble": part.trouble}))
            .collect();
        return reply::json(
            status,
            &json!({"ready": readiness.is_ready(), "parts": parts}),
        );
    }
    let verbose = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
        .any(|(key, _)| key == "verbose");
    let mut text = String::new();
    for part in &readiness.parts {
        match &part.trouble {
            Some(trouble) => text.push_str(&format!("[-] {}: {trouble}\n", part.name)),
            None if verbose => text.push_str(&format!("[+] {}\n", part.name)),
            None => {}
        }
    }
    text.push_str(match readiness.is_ready() {
        true => "ready\n",
        false => "not ready\n",
    });
    reply::text(status, text)
}

#[cfg(test)]
mod tests;
