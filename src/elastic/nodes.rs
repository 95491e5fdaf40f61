//! Several nodes as one transport: round robin over those that answer, fail-over within one deadline.
//!
//! Always true: a node that can't be reached, times out or answers 502, 503 or 504 rests, longer each time; an ask goes to
//! another node at once while time is left; nodes that rest are tried when no other answers, the one that wakes first before the
//! others, so that a recovery is seen without waiting. Redirects are handed up, never followed. An ask may arrive twice: most
//! only read, and a token or API key that was made for nobody ends by itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Uri, header};
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tower::Service;

use crate::config::settings::{Elasticsearch, NodeUrl};
use crate::model::clock::Clock;
use crate::net::http::{Body, BodyError, CollectError, Request, Response};
use crate::telemetry::metrics::Gauge;

use super::connect::{self, Connector};
use super::metrics::ElasticMetrics;
use super::transport::{Answered, SendError, Transport};

pub use super::connect::TlsError;

/// Bytes of a response at most; a security answer is a few kilobytes.
pub(super) const MAX_RESPONSE: usize = 1 << 20;

/// Questions under way to all nodes together. A flood of logins must cost neither them nor us a connection for each.
const MAX_AT_ONCE: usize = 512;
/// First and longest rest of a failing node.
const REST: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

impl Transport {
    /// A pool of the nodes in `settings`. Opens nothing until the first ask.
    ///
    /// # Errors
    /// [`TlsError`] when a node is `https` and no trust can be set up.
    pub fn nodes(
        settings: &Elasticsearch,
        metrics: &ElasticMetrics,
        clock: Clock,
    ) -> Result<Self, TlsError> {
        let tls = if settings.nodes.iter().any(|node| node.tls) {
            Some(connect::tls_config(settings.ca.as_deref())?)
        } else {
            None
        };
        let connector = Connector::new(tls, settings.connect_timeout);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_timer(TokioTimer::new())
            .build(connector);
        let pool = Pool {
            client,
            nodes: settings
                .nodes
                .iter()
                .map(|url| Node::new(url, metrics))
                .collect(),
            turn: AtomicUsize::new(0),
            places: Semaphore::new(MAX_AT_ONCE),
            timeout: settings.timeout,
            clock,
        };
        Ok(Self::of(Nodes(Arc::new(pool))))
    }
}

/// The service over a pool.
#[derive(Clone)]
struct Nodes(Arc<Pool>);

struct Pool {
    client: legacy::Client<Connector, Full<Bytes>>,
    nodes: Vec<Node>,
    turn: AtomicUsize,
    /// Questions that may be under way; more wait, within their time.
    places: Semaphore,
    timeout: Duration,
    clock: Clock,
}

/// A node and how it fares.
struct Node {
    name: Arc<str>,
    /// `https://host:port/prefix`, without trailing slash.
    base: String,
    failures: AtomicU32,
    /// Monotonic milliseconds until which it rests.
    rests_until: AtomicU64,
    up: Gauge,
}

impl Service<Request> for Nodes {
    type Response = Answered;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<Answered, SendError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let pool = Arc::clone(&self.0);
        Box::pin(async move { pool.send(request).await })
    }
}

impl Pool {
    async fn send(&self, request: Request) -> Result<Answered, SendError> {
        let (head, body) = request.into_parts();
        // Our own questions are in memory, so this neither waits nor fails.
        let body = body.collect_up_to(MAX_RESPONSE).await.unwrap_or_default();
        let start = self.clock.now().mono;
        let Ok(Ok(_place)) = tokio::time::timeout(self.timeout, self.places.acquire()).await else {
            return Err(self.nobody_in_time());
        };
        let (order, awake) = self.order(start);
        let mut last = None;
        for (tried, node) in order.iter().enumerate() {
            let spent = self.clock.now().mono.saturating_sub(start);
            let Some(left) = self
                .timeout
                .checked_sub(spent)
                .filter(|left| !left.is_zero())
            else {
                break;
            };
            // Time that is left is shared with the nodes still to be tried. All that rest count as one while others are awake:
            // one that is silent must not take the time of one that has long been well again.
            let rivals = match awake.checked_sub(tried) {
                Some(0) | None => order.len() - tried,
                Some(left) => left + usize::from(awake < order.len()),
            };
            let share = u32::try_from(rivals).unwrap_or(u32::MAX);
            let outcome = self.attempt(node, &head, body.clone(), left / share).await;
            node.learn(&outcome, self.clock.now().mono);
            match outcome {
                Ok(answered) if tried + 1 < order.len() && is_unwell(&answered.response) => {
                    last = Some(Ok(answered));
                }
                Err(error @ (SendError::Timeout { .. } | SendError::Connect { .. })) => {
                    tracing::debug!(target: "sidegate::elastic", node = %node.name, %error, "node failed");
                    last = Some(Err(error));
                }
                done => return done,
            }
        }
        last.unwrap_or_else(|| Err(self.nobody_in_time()))
    }

    fn nobody_in_time(&self) -> SendError {
        let first = self.nodes.first();
        SendError::Timeout {
            node: first.map_or_else(|| Arc::from("none"), |node| Arc::clone(&node.name)),
        }
    }

    /// Nodes to try, and how many of them are awake: first those, beginning with whose turn it is, then those that rest,
    /// beginning with the one that wakes first.
    fn order(&self, now: Duration) -> (Vec<&Node>, usize) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.nodes.len().max(1);
        let (mut order, mut resting): (Vec<&Node>, Vec<&Node>) = (0..self.nodes.len())
            .filter_map(|step| self.nodes.get((turn + step) % count))
            .partition(|node| !node.rests(now));
        let awake = order.len();
        resting.sort_by_key(|node| node.rests_until.load(Ordering::Relaxed));
        order.extend(resting);
        (order, awake)
    }

    async fn attempt(
        &self,
        node: &Node,
        head: &http::request::Parts,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answered, SendError> {
        let broken = |source: BodyError| SendError::Connect {
            node: Arc::clone(&node.name),
            source,
        };
        let request = node
            .request(head, body)
            .map_err(|error| broken(error.into()))?;
        let exchange = async {
            let response = match self.client.request(request.clone()).await {
                // A kept connection that the node closed just now: the question only reads, so it is put once more.
                Err(error) if !error.is_connect() => self.client.request(request).await,
                outcome => outcome,
            };
            let response = response.map_err(|error| broken(error.into()))?;
            let (head, body) = response.into_parts();
            match Body::from(body).collect_up_to(MAX_RESPONSE).await {
                Ok(bytes) => Ok(Answered {
                    node: Arc::clone(&node.name),
                    response: Response::from_parts(head, Body::full(bytes)),
                }),
                Err(CollectError::TooLarge { .. }) => Err(SendError::TooLong {
                    node: Arc::clone(&node.name),
                }),
                Err(CollectError::Broken(source)) => Err(broken(source)),
            }
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendError::Timeout {
                node: Arc::clone(&node.name),
            }),
        }
    }
}

impl Node {
    fn new(url: &NodeUrl, metrics: &ElasticMetrics) -> Self {
        let name = url.authority();
        Self {
            base: url.to_string(),
            up: metrics.up(&name),
            name: name.into(),
            failures: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
        }
    }

    fn rests(&self, now: Duration) -> bool {
        u128::from(self.rests_until.load(Ordering::Relaxed)) > now.as_millis()
    }

    /// Lets a node rest after a failure, and forgets its failures after an answer.
    fn learn(&self, outcome: &Result<Answered, SendError>, now: Duration) {
        let well = match outcome {
            Ok(answered) => !is_unwell(&answered.response),
            Err(SendError::TooLong { .. }) => true,
            Err(SendError::Timeout { .. } | SendError::Connect { .. }) => false,
        };
        if well {
            if self.failures.swap(0, Ordering::Relaxed) > 0 {
                tracing::info!(target: "sidegate::elastic", node = %self.name, "node answers again");
            }
            self.rests_until.store(0, Ordering::Relaxed);
            self.up.set(1);
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let rest = REST.0.saturating_mul(1 << failures.min(10)).min(REST.1);
        let until = u64::try_from((now + rest).as_millis()).unwrap_or(u64::MAX);
        self.rests_until.store(until, Ordering::Relaxed);
        self.up.set(0);
        if failures == 0 {
            tracing::warn!(target: "sidegate::elastic", node = %self.name, "node rests after a failure");
        }
    }

    fn request(
        &self,
        head: &http::request::Parts,
        body: Bytes,
    ) -> Result<http::Request<Full<Bytes>>, http::Error> {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri = format!("{}{path}", self.base).parse()?;
        let mut request = http::Request::builder()
            .method(head.method.clone())
            .uri(uri)
            .body(Full::new(body))?;
        *request.headers_mut() = head.headers.clone();
        request.headers_mut().insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("sidegate/", env!("CARGO_PKG_VERSION"))),
        );
        Ok(request)
    }
}

/// Statuses by which a node, or the balancer before it, says that it can't serve now.
fn is_unwell(response: &Response) -> bool {
    matches!(response.status().as_u16(), 502..=504)
}
