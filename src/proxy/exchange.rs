//! One request and its response, counted and logged once, when both are over.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, StatusCode, Uri};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use super::failure::Failure;
use super::respond::Person;
use super::site::Local;
use crate::gate::authorize::Permit;
use crate::gate::cache::CacheResult;
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
    /// Where it goes in logs.
    local: Arc<Local>,
    peer: Arc<Peer>,
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    status: Option<StatusCode>,
    bytes: u64,
}

/// A response body that ends its exchange.
struct Recorded {
    body: Body,
    exchange: Box<Exchange>,
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
            local,
            peer: Arc::clone(peer),
            method: head.method.clone(),
            uri: head.uri.clone(),
            host: head.headers.get(HOST).cloned(),
            status: None,
            bytes: 0,
        })
    }

    /// The target as asked for.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Ties the response to the exchange: it is over when the body is.
    pub fn answer(mut self: Box<Self>, response: Response) -> Response {
        self.status = Some(response.status());
        response.map(|body| match body {
            // Whole already: hyper takes it in one piece, and nothing more can be learned about it.
            Body::Empty => body,
            Body::Full(ref bytes) => {
                self.bytes = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
                body
            }
            Body::Incoming(_) | Body::Boxed(_) => Body::Boxed(UnsyncBoxBody::new(Recorded {
                body,
                exchange: self,
            })),
        })
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

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(context));
        match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.exchange.bytes += data.len() as u64;
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
