//! The proxy door: one request in, decided, forwarded, recorded.
//!
//! Always true: nothing is forwarded without a [`Permit`], and the permit is consumed by forwarding; what was judged (target,
//! host, method) is what is forwarded; identities are stripped before they are set; the upstream's own answers pass untouched,
//! its 401 and 403 included, and only Sidegate's carry `x-sidegate-refusal`.
//! To add a reason to fail: a variant of [`failure::Failure`], an arm in [`mod@respond`].

mod address;
pub mod again;
pub mod connection;
pub mod exchange;
pub mod failure;
pub mod frames;
pub mod grpc;
pub mod hop;
pub mod login;
pub mod metrics;
pub mod outgoing;
pub mod planted;
pub mod pool;
pub mod preflight;
pub mod recheck;
pub mod reply;
pub mod respond;
pub mod revocation;
pub mod rewrite;
pub mod site;
pub mod slots;
pub mod trailers;
pub mod tunnel;
pub mod turn;
pub mod upgrade;
pub mod upload;
pub mod upstream;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderValue, Method, StatusCode, Version};
use tracing::warn;

use self::again::Special;
use self::exchange::Exchange;
use self::grpc::Call;
use self::login::LoginPage;
use self::outgoing::Incoming;
use self::planted::strip_own_cookies;
use self::recheck::Kind;
use self::respond::{Denial, Manner, Wants, respond};
use self::rewrite::Rewrite;
use self::site::{Local, Shared, Site};
use self::trailers::Passing;
use self::turn::Turn;
use self::upgrade::Handshake;
use crate::config::bounds::Preflight;
use crate::forwarding::failure::AttachError;
use crate::gate::authorize::Permit;
use crate::gate::preflight::HasBody;
use crate::gate::refusal::Refusal;
use crate::model::clock::{Clock, Now};
use crate::net::admission::{COME_BACK, TurnedAway};
use crate::net::http::{Body, Peer, Request, Response};
use crate::net::request_id::{X_REQUEST_ID, request_id};
use crate::net::serve::Handler;

/// The door. One per process; its site is exchanged on reload.
pub struct Proxy {
    site: Arc<ArcSwap<Site>>,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Joins what a configuration came to with what outlives it.
    pub fn new(site: Site, shared: Shared) -> Self {
        Self {
            site: Arc::new(ArcSwap::from_pointee(site)),
            shared: Arc::new(shared),
        }
    }

    /// Serves by another site from the next request on.
    pub fn swap(&self, site: Site) {
        self.site.store(Arc::new(site));
    }

    /// The site in force.
    pub fn site(&self) -> Arc<Site> {
        self.site.load_full()
    }

    /// Decides, then forwards; the caller records.
    async fn pass(
        &self,
        mut incoming: Box<Incoming>,
        peer: &Peer,
        local: &Arc<Local>,
        exchange: &mut Exchange,
    ) -> Result<Response, Denial> {
        if incoming.head.method == Method::OPTIONS && !matches!(incoming.body, Body::Empty) {
            incoming.head.extensions.insert(HasBody);
        }
        let site = &*local.site;
        if let Some((path, keys)) = &site.published_keys
            && incoming.head.uri.path() == path
        {
            return Ok(reply_keys(keys, &exchange.request_id));
        }
        site.rewrite
            .check_connection(&incoming.head.headers, &site.forwarding)?;
        Rewrite::check_expectation(&incoming.head.headers)?;
        let verdict = site
            .gate
            .decide(&incoming.head, peer, exchange.started, &mut exchange.steps)
            .await;
        let permit = verdict?;
        if permit.is_preflight()
            && let Preflight::Answer(answer) = &permit.route().preflight
        {
            let answered = preflight::reply(answer, &incoming.head, &exchange.request_id);
            return answered.ok_or_else(|| Refusal::Internal("preflight without answer").into());
        }
        forward(permit, incoming, peer, local, exchange).await
    }
}

/// Sends a permitted request on: rewrites the head, attaches the identity, and takes the target from the permit.
///
/// Consumes the permit; the exchange keeps it for the record, where nothing can be forwarded on it any more.
async fn forward(
    mut permit: Permit,
    mut incoming: Box<Incoming>,
    peer: &Peer,
    local: &Arc<Local>,
    exchange: &mut Exchange,
) -> Result<Response, Denial> {
    let site = &*local.site;
    let started = exchange.started;
    let head = &mut incoming.head;
    let handshake = Handshake::find(head)?;
    if handshake.is_some() && !permit.route().websocket {
        exchange.permit = Some(permit);
        return Err(Refusal::UpgradeNotAllowed.into());
    }
    let told = permit.response_lines();
    let index = permit.route().upstream;
    let (Some(upstream), Some(pools)) = (site.upstreams.get(index), local.pools.get(index)) else {
        return Err(Refusal::Internal("route without upstream").into());
    };
    site.rewrite
        .prepare(head, peer, &exchange.request_id, upstream.speaks_http2());
    let kept = site.gate.take_credentials(&permit, head);
    let mut attached = site.forwarding.attach(&permit, head, started);
    if matches!(attached, Err(AttachError::Unmade)) {
        // Boxed: what is at hand must not pay for what has to be asked for.
        attached = Box::pin(site.forwarding.exchange(&permit, head, started)).await;
    }
    head.headers.extend(kept);
    head.uri = permit.target().clone();
    let guard = handshake
        .as_ref()
        .and_then(|_| exchange.guard(&permit, Kind::WebSocket));
    let permit = exchange.permit.insert(permit);
    match attached {
        Ok(()) => {}
        Err(AttachError::Refused(refusal)) => return Err(refusal.into()),
        Err(error) => {
            warn!(%error, "identity could not be attached");
            return Err(Refusal::Internal("identity could not be attached").into());
        }
    }
    let special = match permit.route().forward.combined() {
        // Boxed for the same reason.
        Some(_) => Box::pin(Special::prepare(permit, &mut incoming)).await?,
        None => None,
    };
    let clock = &local.shared.clock;
    let slot = match upstream.slot().await {
        Ok(slot) => slot,
        Err(failure) => {
            upstream.metrics().fail(&failure);
            return Err(failure.into());
        }
    };
    if upstream.speaks_http2() {
        incoming.trailers = Some(Passing::by(local));
    }
    let sent = match handshake {
        // Boxed: tunnels are rare, and their state would otherwise be part of every connection's memory.
        Some(handshake) => {
            if let Some(slot) = &slot {
                incoming.head.extensions.insert(slot.clone());
            }
            let head = incoming.head;
            Box::pin(upgrade::tunnel(
                handshake, head, local, index, guard, started,
            ))
            .await
        }
        None => {
            if incoming.head.version < Version::HTTP_2 {
                Turn::default().await;
            }
            upstream.send(pools, incoming, clock, started).await
        }
    };
    let sent = match special {
        Some(special) => {
            let upstream = (upstream, pools);
            Box::pin(special.conclude(sent, permit, site, upstream, clock)).await
        }
        None => sent,
    };
    match sent {
        Ok(mut response) => {
            let took = clock.now().mono.saturating_sub(started.mono);
            upstream.metrics().duration.observe(took.as_secs_f64());
            // A switch of protocols is the one answer whose `Connection` and `Upgrade` are for the client.
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                site.rewrite.clean_response(response.headers_mut());
            }
            if response.headers().contains_key(SET_COOKIE) {
                strip_own_cookies(response.headers_mut(), |name| site.gate.owns_cookie(name));
            }
            *response.version_mut() = Version::HTTP_11;
            let id = exchange.request_id.clone();
            response.headers_mut().insert(X_REQUEST_ID, id);
            for (name, value) in told {
                response.headers_mut().append(name, value);
            }
            Ok(match slot {
                Some(slot) => response.map(|body| slot.hold(body)),
                None => response,
            })
        }
        Err(failure) => {
            upstream.metrics().fail(&failure);
            warn!(upstream = upstream.name(), cause = failure.cause(), %failure, "upstream gave no response");
            Err(failure.into())
        }
    }
}

/// What is left of a deadline.
fn left_of(deadline: Duration, started: Now, clock: &Clock) -> Duration {
    deadline.saturating_sub(clock.now().mono.saturating_sub(started.mono))
}

/// The keys that verify assertions (RFC 7517), for whoever asks.
fn reply_keys(keys: &Bytes, id: &HeaderValue) -> Response {
    let mut response = Response::new(Body::full(keys.clone()));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/jwk-set+json");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    headers.insert(X_REQUEST_ID, id.clone());
    response
}

impl Handler for Proxy {
    async fn call(&self, request: Request, peer: &Arc<Peer>) -> Response {
        let started = self.shared.clock.now();
        let local = Local::current(&self.site, &self.shared);
        let (mut head, body) = request.into_parts();
        upgrade::read_as_get(&mut head);
        let id = request_id(&head.headers, peer.trusted);
        let mut exchange = Exchange::begin(&head, peer, id, Arc::clone(&local), started);
        let call = Call::find(&head);
        let wants = match call {
            Some(_) => Wants::Grpc,
            None => Wants::of(&head.headers),
        };
        let login = local.site.login.as_ref();
        let navigates = login.is_some() && login::navigates(&head.method, &head.headers);
        let is_script = login.is_some() && login::is_script(&head.headers);
        let deadline = call.and_then(|call| call.deadline);
        let incoming = Box::new(Incoming {
            head,
            body,
            trailers: None,
            deadline,
        });
        let response = match self.pass(incoming, peer, &local, &mut exchange).await {
            Ok(response) if call.is_some() => {
                let left = deadline.map(|deadline| left_of(deadline, started, &self.shared.clock));
                Call::bound(response, left)
            }
            Ok(response) => response,
            Err(denial) => {
                exchange.refusal = Some(denial.reason());
                if let Denial::Refused(refusal) = &denial {
                    local.site.metrics.reject(refusal);
                }
                let id = &exchange.request_id;
                let there = login.filter(|_| navigates);
                match there.and_then(|login| login.redirect(&denial, exchange.uri(), id)) {
                    Some(response) => response,
                    None => {
                        exchange.stands_for = Some(denial.status());
                        let manner = Manner {
                            login: login.map(LoginPage::url),
                            script: is_script,
                            person: login.and_then(|login| exchange.person(login.logout())),
                            ..local.site.manner
                        };
                        respond(&denial, wants, id, manner)
                    }
                }
            }
        };
        exchange.answer(response)
    }

    fn turn_away(&self, request: Request, peer: &Arc<Peer>, why: TurnedAway) -> Response {
        let local = Local::current(&self.site, &self.shared);
        let (head, _body) = request.into_parts();
        let id = request_id(&head.headers, peer.trusted);
        let started = self.shared.clock.now();
        let mut exchange = Exchange::begin(&head, peer, id, Arc::clone(&local), started);
        let refusal = match why {
            TurnedAway::Overloaded => Refusal::Overloaded {
                retry_after: COME_BACK,
            },
            TurnedAway::RateLimited(retry_after) => Refusal::RateLimited {
                by: "address",
                retry_after,
            },
        };
        exchange.refusal = Some(refusal.reason());
        local.site.metrics.reject(&refusal);
        let wants = Wants::of(&head.headers);
        let response = respond(
            &refusal.into(),
            wants,
            &exchange.request_id,
            local.site.manner,
        );
        exchange.answer(response)
    }

    fn panicked(&self) -> Response {
        let denial = Refusal::Internal("panic").into();
        let id = request_id(&http::HeaderMap::new(), false);
        respond(&denial, Wants::Problem, &id, Manner::default())
    }
}

#[cfg(test)]
mod tests;
