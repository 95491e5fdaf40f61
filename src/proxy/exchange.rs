//! One request and its response, counted and logged once, when both are over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, StatusCode, Uri};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::time::Sleep;

use super::failure::Failure;
use super::recheck::{Cause, Guard, Kind};
use super::respond::Person;
use super::site::Local;
use crate::gate::authorize::Permit;
use crate::gate::cache::CacheResult;
use crate::gate::recheck::Asked;
use crate::gate::trace::Steps;
use crate::model::clock::Now;
use crate::model::credential::Scheme;
use crate::net::http::{Body, BodyError, Head, Peer, Response};
use crate::telemetry::access::Record;

/// What a client that left before its answer began is logged with, as nginx does.
const CLIENT_CLOSED: u16 = 499;

/// Everything known of one request. Its end is its drop: when the response's body was sent, or the client went away.
pub struct Exchange {
    /// When the head had arrived.
    pub started: Now,
    /// The request's name.
    pub request_id: HeaderValue,
    /// The proof it was forwarded on; `None` when it was refused.
    pub permit: Option<Permit>,
    /// What the decision came to know, for requests that were refused.
    pub steps: Steps,
    /// The label of its refusal or failure.
    pub refusal: Option<&'static str>,
    /// The status it is logged and counted with, where the one on the wire says less.
    pub stands_for: Option<StatusCode>,
    /// Where it goes in logs.
    local: Arc<Local>,
    peer: Arc<Peer>,
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    status: Option<StatusCode>,
    /// Whether the answer is a stream of events.
    is_events: bool,
    bytes: u64,
}

/// A response body that ends its exchange.
struct Recorded {
    body: Body,
    exchange: Box<Exchange>,
    watched: Watched,
}

/// Whether a body is looked at again while it lasts. Nothing is set up before it is waited for.
enum Watched {
    /// It isn't.
    No,
    /// Not yet.
    Later,
    /// It is once this is over, counted from the request's head.
    At(Pin<Box<Sleep>>),
    /// It is.
    By(Pin<Box<dyn Future<Output = Cause> + Send>>),
}

/// Ends a body that its client may not have any more.
#[derive(Debug, thiserror::Error)]
#[error("closed when it was looked at again: {}", .cause.label())]
struct Closed {
    cause: Cause,
    /// For HTTP/2: hyper resets the stream with its code.
    source: h2::Error,
}

// === impl Exchange ===

impl Exchange {
    /// Begins one.
    pub fn begin(
        head: &Head,
        peer: &Arc<Peer>,
        request_id: HeaderValue,
        local: Arc<Local>,
        started: Now,
    ) -> Box<Self> {
        local.shared.metrics.in_flight().inc();
        Box::new(Self {
            started,
            request_id,
            permit: None,
            steps: Steps::off(),
            refusal: None,
            stands_for: None,
            local,
            peer: Arc::clone(peer),
            method: head.method.clone(),
            uri: head.uri.clone(),
            host: head.headers.get(HOST).cloned(),
            status: None,
            is_events: false,
            bytes: 0,
        })
    }

    /// The target as asked for.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Ties the response to the exchange: it is over when the body is.
    pub fn answer(mut self: Box<Self>, response: Response) -> Response {
        self.status = self.stands_for.or(Some(response.status()));
        // What says how long it is, as nearly everything does, is none.
        if response.body().size_hint().exact().is_none() {
            let kind = response.headers().get(CONTENT_TYPE);
            let is_events = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/event-stream");
            self.is_events = kind.is_some_and(is_events);
        }
        response.map(|body| match body {
            // Whole already: hyper takes it in one piece, and nothing more can be learned about it.
            Body::Empty => body,
            Body::Full(ref bytes) => {
                self.bytes = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
                body
            }
            Body::Incoming(_) | Body::Boxed(_) => Body::Boxed(UnsyncBoxBody::new(Recorded {
                watched: self.watched(),
                body,
                exchange: self,
            })),
        })
    }

    fn watched(&self) -> Watched {
        let lasts = self
            .permit
            .as_ref()
            .filter(|permit| permit.entry().is_some());
        match lasts.and_then(|permit| permit.route().recheck) {
            Some(_) => Watched::Later,
            None => Watched::No,
        }
    }

    /// What looks at this again on behalf of a permit; `None` where nothing does.
    /// Boxed, so that what passes it on stays small.
    pub fn guard(&self, permit: &Permit, kind: Kind) -> Option<Box<Guard>> {
        let interval = permit.route().recheck?;
        let standing = permit.standing(&Asked {
            method: &self.method,
            uri: &self.uri,
            host: self.host.as_ref(),
            peer: &self.peer,
            websocket: kind == Kind::WebSocket,
        })?;
        Some(Box::new(Guard {
            standing,
            kind,
            route: permit.route().name.clone(),
            interval,
            checked: self.started,
            judge: Arc::downgrade(&self.local.site.gate),
            sites: Arc::clone(&self.local.sites),
            shared: Arc::clone(&self.local.shared),
        }))
    }

    /// Who was refused, if they came with a session.
    pub fn person<'s>(&'s self, logout: &'s str) -> Option<Person<'s>> {
        let caller = self.steps.caller()?;
        (caller.scheme == Scheme::Session).then(|| Person {
            username: &caller.entry.identity.username,
            realm: &caller.entry.identity.realm.name,
            logout,
        })
    }

    /// The response failed after its status was sent: the client sees it cut off, log and metric tell why.
    fn broke_off(&mut self, error: BodyError) -> Failure {
        let failure = Failure::of_body(error);
        self.refusal = Some(failure.reason());
        let route = self.permit.as_ref().map(Permit::route);
        if let Some(upstream) =
            route.and_then(|route| self.local.site.upstreams.get(route.upstream))
        {
            upstream.metrics().fail(&failure);
            let cause = failure.cause();
            tracing::warn!(upstream = upstream.name(), cause, %failure, "upstream gave half a response");
        }
        failure
    }

    /// A stream of events is watched from the start, anything else once it has lasted.
    fn begin_watching(&self) -> Watched {
        if self.is_events {
            return self.watch();
        }
        let interval = self
            .permit
            .as_ref()
            .and_then(|permit| permit.route().recheck);
        let passed = self
            .local
            .shared
            .clock
            .now()
            .mono
            .saturating_sub(self.started.mono);
        interval.map_or(Watched::No, |interval| {
            let left = interval.saturating_sub(passed);
            Watched::At(Box::pin(tokio::time::sleep(left)))
        })
    }

    fn watch(&self) -> Watched {
        let permit = self.permit.as_ref();
        match permit.and_then(|permit| self.guard(permit, Kind::Response)) {
            Some(guard) => Watched::By(Box::pin(guard.over())),
            None => Watched::No,
        }
    }

    fn record(&self, now: Now) {
        let duration = now.mono.saturating_sub(self.started.mono);
        let permit = self.permit.as_ref();
        let caller = self.steps.caller();
        let route = permit.map(Permit::route).or_else(|| self.steps.route());
        let status = self.status.map_or(CLIENT_CLOSED, |status| status.as_u16());
        let site = &self.local.site;
        site.metrics.route(route.map(|route| route.index)).count(
            &self.method,
            self.status.unwrap_or(StatusCode::BAD_REQUEST),
            duration.as_secs_f64(),
        );
        let entry = permit
            .and_then(Permit::entry)
            .or_else(|| Some(&*caller?.entry));
        let effective = entry.filter(|entry| entry.run_by.is_some());
        let identity = entry.map(|entry| entry.run_by.as_deref().unwrap_or(&entry.identity));
        let scheme = permit
            .and_then(Permit::scheme)
            .or_else(|| Some(caller?.scheme));
        let cache = permit
            .map(Permit::cache)
            .or_else(|| Some(caller?.cache))
            .unwrap_or(CacheResult::Bypass);
        let host = match permit {
            Some(permit) => permit.host(),
            None => self.asked_host(),
        };
        // Only what was forwarded has an upstream.
        let upstream = permit.and_then(|permit| site.upstreams.get(permit.route().upstream));
        self.local.shared.log.record(&Record {
            time: now,
            duration,
            request_id: self.request_id.to_str().unwrap_or_default(),
            client_ip: self.peer.client_ip,
            method: self.method.as_str(),
            host,
            path: self.uri.path(),
            status,
            bytes: self.bytes,
            route: route.map_or("", |route| route.name.as_str()),
            username: identity.map(|identity| identity.username.as_str()),
            effective: effective.map(|entry| entry.identity.username.as_str()),
            realm: identity.map(|identity| identity.realm.name.as_str()),
            api_key_id: identity
                .and_then(|identity| identity.api_key.as_ref())
                .map(|key| key.id.as_str()),
            scheme: scheme.map(|scheme| scheme.label()),
            cache: cache.label(),
            refusal: self.refusal,
            upstream: upstream.map(|upstream| upstream.name()),
        });
    }

    fn asked_host(&self) -> &str {
        self.uri
            .host()
            .or_else(|| self.host.as_ref()?.to_str().ok())
            .unwrap_or_default()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.local.shared.metrics.in_flight().dec();
        self.record(self.local.shared.clock.now());
    }
}

// === impl Recorded ===

impl Recorded {
    /// Ready when a body that is waited for may not go on.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Cause> {
        loop {
            let next = match &mut self.watched {
                Watched::No => return Poll::Pending,
                Watched::Later => self.exchange.begin_watching(),
                Watched::At(timer) => {
                    std::task::ready!(timer.as_mut().poll(context));
                    self.exchange.watch()
                }
                Watched::By(over) => return over.as_mut().poll(context),
            };
            self.watched = next;
        }
    }
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            let cause = std::task::ready!(this.poll_over(context));
            this.watched = Watched::No;
            this.exchange.refusal = Some(cause.label());
            // What is left of it is let go of, and with it the upstream's connection.
            this.body = Body::Empty;
            let source = h2::Reason::CANCEL.into();
            return Poll::Ready(Some(Err(Closed { cause, source }.into())));
        };
        match frame {
            Some(Ok(mut frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.exchange.bytes += data.len() as u64;
                } else if let Some(trailers) = frame.trailers_mut() {
                    this.exchange.local.site.trailers.clean_response(trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                let failure = this.exchange.broke_off(error);
                Poll::Ready(Some(Err(failure.into())))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
