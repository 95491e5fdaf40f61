//! One application behind Sidegate: choosing an address, keeping connections, trying again where that is safe.
//!
//! Tried again, on an address where it was not tried yet if there is one: a request not a byte of which was sent; and one that
//! can't change anything twice (idempotent, without body) when the connection closed without a response. Never a request whose
//! response was begun or timed out.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tracing::{debug, warn};

use super::address::{Address, Tried};
use super::connection::{Connection, Unanswered, classify};
use super::failure::Failure;
use super::metrics::UpstreamMetrics;
use super::outgoing::{Incoming, Lost, Outgoing};
use super::pool::Pool;
use super::reply::reply;
use super::slots::{Slot, Slots};
use crate::config::settings::{self, UpstreamHost, UpstreamProtocol};
use crate::model::clock::{Clock, Now};
use crate::net::connect::{ConnectError, Connector, Stream};
use crate::net::http::Body;
use crate::net::steady::{Half, Steady};
use crate::net::tls::TlsError;

/// How often a silent HTTP/2 upstream is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// An upstream as all workers share it. Nothing in it is written per request unless an address fails.
pub struct Upstream {
    name: Arc<str>,
    addresses: Box<[Address]>,
    connector: Connector,
    protocol: UpstreamProtocol,
    host: UpstreamHost,
    response_timeout: Duration,
    idle_timeout: Option<Duration>,
    max_idle: usize,
    pool_idle_timeout: Duration,
    retries: u32,
    unhealthy_after: u32,
    unhealthy_for: Duration,
    slots: Option<Slots>,
    metrics: UpstreamMetrics,
}

/// One worker's connections to an upstream.
pub struct Pools {
    pools: Box<[Arc<Pool>]>,
    turn: AtomicUsize,
}

// === impl Upstream ===

impl Upstream {
    /// From checked settings; reads TLS files.
    ///
    /// # Errors
    /// [`TlsError`] naming the file or host that can't be used.
    pub fn new(settings: &settings::Upstream, metrics: UpstreamMetrics) -> Result<Self, TlsError> {
        Ok(Self {
            name: settings.name.as_str().into(),
            addresses: settings.urls.iter().map(Address::new).collect(),
            connector: Connector::new(settings)?,
            protocol: settings.protocol,
            host: settings.host,
            response_timeout: settings.response_timeout,
            idle_timeout: settings.idle_timeout,
            max_idle: settings.max_idle,
            pool_idle_timeout: settings.pool_idle_timeout,
            retries: settings.retries,
            unhealthy_after: settings.unhealthy_after.max(1),
            unhealthy_for: settings.unhealthy_for,
            slots: Slots::new(&settings.bounds, || metrics.in_flight()),
            metrics,
        })
    }

    /// Its name in routes, logs and metrics.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its handles.
    pub fn metrics(&self) -> &UpstreamMetrics {
        &self.metrics
    }

    /// A place for one more request; `None` where they are not counted.
    ///
    /// # Errors
    /// [`Failure::Overloaded`]
    pub async fn slot(&self) -> Result<Option<Slot>, Failure> {
        match &self.slots {
            None => Ok(None),
            // Boxed: without a bound nobody carries the state of waiting.
            Some(slots) => Box::pin(slots.take()).await.map(Some),
        }
    }

    /// Whether HTTP/2 is spoken to it.
    pub fn speaks_http2(&self) -> bool {
        self.protocol == UpstreamProtocol::Http2
    }

    /// Time a body or tunnel may stand still.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    /// Time to a response's head.
    pub fn response_timeout(&self) -> Duration {
        self.response_timeout
    }

    /// Empty pools for one worker.
    pub fn pools(&self) -> Pools {
        let pool = |_: &Address| Arc::new(Pool::new(self.max_idle, self.pool_idle_timeout));
        Pools {
            pools: self.addresses.iter().map(pool).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Sends a request and gives the response as soon as its head is there. The request's target is in origin form.
    ///
    /// # Errors
    /// [`Failure`] when no address gave a response.
    pub async fn send(
        &self,
        pools: &Pools,
        incoming: Box<Incoming>,
        clock: &Clock,
        started: Now,
    ) -> Result<http::Response<Body>, Failure> {
        let mut outgoing = Outgoing::new(*incoming);
        let upload = outgoing.upload().cloned();
        let mut left = self.retries;
        let mut fresh = false;
        let mut tried = Tried::default();
        loop {
            let index = self.choose(pools, started, tried);
            tried.note(index);
            let spare = if left > 0 { outgoing.spare() } else { None };
            let sent = if self.speaks_http2() {
                Box::pin(self.send_http2(index, pools, outgoing, fresh, clock, started)).await
            } else {
                self.send_http1(index, pools, outgoing, fresh, clock, started)
                    .await
            };
            let lost = match sent {
                Ok(response) => return Ok(self.watched(response, upload)),
                Err(lost) => lost,
            };
            let Lost {
                failure,
                reused,
                unsent,
            } = *lost;
            // A kept-alive connection that was closed meanwhile says nothing about the upstream, so it costs no retry; nor does
            // an address where nobody listens while there is another.
            let is_down = matches!(failure, Failure::Connect(ConnectError::Io(_)));
            let elsewhere = is_down && left > 0 && !tried.all(self.addresses.len());
            let free = unsent.is_some() && (elsewhere || (reused && !fresh));
            let is_closed = matches!(failure, Failure::Closed(_));
            outgoing = match unsent.or(spare.filter(|_| is_closed)) {
                Some(again) if free || left > 0 => again,
                _ => return Err(failure),
            };
            debug!(upstream = %self.name, %failure, "request is sent again");
            if !free {
                left -= 1;
            }
            fresh = true;
        }
    }

    /// Dials one address for a connection of its own, outside the pools.
    ///
    /// # Errors
    /// [`ConnectError`], after every address that doesn't rest was tried once.
    pub async fn dial(&self, pools: &Pools, now: Now) -> Result<Stream, ConnectError> {
        let mut left = self.addresses.len();
        let mut tried = Tried::default();
        loop {
            let index = self.choose(pools, now, tried);
            tried.note(index);
            match self.dial_address(index, now).await {
                Err(_) if left > 1 => left -= 1,
                result => return result,
            }
        }
    }

    /// The `Host` for requests over a connection of its own.
    pub fn host_header(&self) -> Option<HeaderValue> {
        match self.host {
            UpstreamHost::Preserve => None,
            UpstreamHost::Upstream => self
                .addresses
                .first()
                .map(|address| address.authority.clone()),
        }
    }

    async fn dial_address(&self, index: usize, now: Now) -> Result<Stream, ConnectError> {
        let address = &self.addresses[index];
        let result = self.connector.connect(&address.url).await;
        match &result {
            Ok(_) => address.failures.store(0, Ordering::Relaxed),
            Err(error) => {
                let failures = address.failures.fetch_add(1, Ordering::Relaxed) + 1;
                if failures >= self.unhealthy_after {
                    address.rest(now.mono.saturating_add(self.unhealthy_for));
                    warn!(upstream = %self.name, address = %address.name(), %error, failures, "upstream address rests");
                }
            }
        }
        result
    }

    /// Round robin over the addresses that don't rest and were not tried; then over those not tried, since refusing would help
    /// nobody; then over all.
    fn choose(&self, pools: &Pools, now: Now, tried: Tried) -> usize {
        let count = self.addresses.len();
        if count == 1 {
            return 0;
        }
        let turn = pools.turn.fetch_add(1, Ordering::Relaxed);
        let order = || (0..count).map(|offset| turn.wrapping_add(offset) % count);
        let untried = |index: &usize| !tried.has(*index);
        order()
            .find(|index| untried(index) && !self.addresses[*index].rests(now))
            .or_else(|| order().find(untried))
            .unwrap_or(turn % count)
    }

    async fn send_http1(
        &self,
        index: usize,
        pools: &Pools,
        mut outgoing: Box<Outgoing>,
        fresh: bool,
        clock: &Clock,
        started: Now,
    ) -> Result<http::Response<Body>, Box<Lost>> {
        let pool = &pools.pools[index];
        let pooled = if fresh { None } else { pool.take(started) };
        let mut connection = match pooled {
            Some(connection) => connection,
            // Boxed: dialling is rare, and its state would otherwise be part of every request's.
            None => match Box::pin(self.open_http1(index, started)).await {
                Ok(connection) => connection,
                Err(failure) => return Err(Lost::before(failure, outgoing)),
            },
        };
        if self.host == UpstreamHost::Upstream {
            let authority = self.addresses[index].authority.clone();
            outgoing.request.headers_mut().insert(HOST, authority);
        }
        let reused = connection.reused;
        let sent = connection
            .send(&mut outgoing, self.response_timeout, clock, started)
            .await;
        match sent {
            // What may not have a body but announces one can't be told from the next response.
            Ok(response) if announces_a_body_it_cannot_have(&response) => {
                let mut response = response.map(|_none| Body::Empty);
                response.headers_mut().remove(CONTENT_LENGTH);
                Ok(response)
            }
            Ok(response) => Ok(response.map(|incoming| reply(incoming, connection, pool))),
            Err(unanswered) => {
                let Unanswered { failure, unsent } = *unanswered;
                let unsent = unsent.map(|request| outgoing.put_back(request));
                let reused = reused && matches!(failure, Failure::Closed(_));
                Err(Box::new(Lost {
                    failure,
                    reused,
                    unsent,
                }))
            }
        }
    }

    async fn open_http1(&self, index: usize, now: Now) -> Result<Box<Connection>, Failure> {
        let stream = self.dial_address(index, now).await?;
        Connection::open(stream, self.response_timeout).await
    }

    async fn send_http2(
        &self,
        index: usize,
        pools: &Pools,
        mut outgoing: Box<Outgoing>,
        fresh: bool,
        clock: &Clock,
        started: Now,
    ) -> Result<http::Response<Body>, Box<Lost>> {
        let pool = &pools.pools[index];
        let shared = if fresh { None } else { pool.shared() };
        let reused = shared.is_some();
        let mut sender = match shared {
            Some(sender) => sender,
            None => match self.open_http2(index, started).await {
                Ok(sender) => {
                    pool.share(sender.clone());
                    sender
                }
                Err(failure) => return Err(Lost::before(failure, outgoing)),
            },
        };
        let address = &self.addresses[index];
        let own = (self.host == UpstreamHost::Upstream).then_some(&address.authority);
        outgoing.make_http2(&address.scheme, own, &address.authority);
        let answer = sender.try_send_request(outgoing.take());
        let waits = (outgoing.deadline, outgoing.upload().map(Arc::as_ref));
        let mut error = match self.in_time(answer, waits, clock, started).await {
            Ok(Ok(response)) => return Ok(response.map(Body::from)),
            Ok(Err(error)) => error,
            Err(failure) => {
                return Err(Box::new(Lost {
                    failure,
                    reused: false,
                    unsent: None,
                }));
            }
        };
        let unsent = error
            .take_message()
            .map(|request| outgoing.put_back(request));
        let failure = classify(error.into_error());
        Err(Box::new(Lost {
            reused: reused && matches!(failure, Failure::Closed(_)),
            failure,
            unsent,
        }))
    }

    /// Waits for a response's head until the client's own deadline, or else until the upstream had its time from the end of the
    /// request's body.
    async fn in_time<A: Future>(
        &self,
        answer: A,
        (deadline, mut uploading): (Option<Duration>, Option<&Half>),
        clock: &Clock,
        started: Now,
    ) -> Result<A::Output, Failure> {
        if let Some(deadline) = deadline {
            let spent = clock.now().mono.saturating_sub(started.mono);
            return tokio::time::timeout(deadline.saturating_sub(spent), answer)
                .await
                .map_err(|_elapsed| Failure::Deadline);
        }
        let limit = self.response_timeout;
        let mut answer = std::pin::pin!(answer);
        loop {
            if let Ok(answer) = tokio::time::timeout(limit, answer.as_mut()).await {
                return Ok(answer);
            }
            match &uploading {
                // Its end may have been a moment ago, so it gets its time from here once more.
                Some(upload) if upload.is_done() => uploading = None,
                Some(_) => {}
                None => return Err(Failure::ResponseTimeout(limit)),
            }
        }
    }

    async fn open_http2(
        &self,
        index: usize,
        now: Now,
    ) -> Result<http2::SendRequest<Body>, Failure> {
        let stream = self.dial_address(index, now).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_reset_streams(64)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::Closed)?;
        let name = Arc::clone(&self.name);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(upstream = %name, %error, "http/2 connection ended");
            }
        });
        Ok(sender)
    }

    /// Puts the idle time-out on a response's body; it counts while the request's body stands still as well.
    fn watched(
        &self,
        response: http::Response<Body>,
        upload: Option<Arc<Half>>,
    ) -> http::Response<Body> {
        let upload = upload.filter(|upload| !upload.is_done());
        match self.idle_timeout {
            Some(limit) => response.map(|body| match body {
                Body::Empty | Body::Full(_) => body,
                Body::Incoming(_) | Body::Boxed(_) => {
                    let steady = Steady::new(body, limit);
                    Body::stream(match upload {
                        Some(upload) => steady.beside(upload),
                        None => steady,
                    })
                }
            }),
            None => response,
        }
    }
}

fn announces_a_body_it_cannot_have<B>(response: &http::Response<B>) -> bool {
    response.status() == http::StatusCode::NO_CONTENT
        && (response.headers().contains_key(TRANSFER_ENCODING)
            || response
                .headers()
                .get(CONTENT_LENGTH)
                .is_some_and(|length| length != "0"))
}

// === impl Pools ===

impl Pools {
    /// Drops connections that have been idle for too long.
    pub fn reap(&self, now: Now) {
        for pool in &self.pools {
            pool.reap(now);
        }
    }

    /// How many connections are idle.
    pub fn idle(&self) -> usize {
        self.pools.iter().map(|pool| pool.idle()).sum()
    }
}
