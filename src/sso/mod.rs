//! The single sign-on door: login, callbacks, logout, and what a frontend may ask about its session.
//!
//! Always true: every login is an attempt of its own, sealed, short-lived and used once; nothing is redirected outside the
//! public URL but to an identity provider that the authority named; every end without a session says why in one line of log.
//!
//! A request goes downwards: [`paths`] says what it asks for → [`visit`] gathers what is known of it → one function per page or
//! flow ([`login`], [`saml`], [`oidc`], [`logout`]...) → [`finish`] makes every session → [`outcome`] tells every bad end.

pub mod about;
pub mod agreement;
pub mod attempt;
pub mod cookies;
pub mod depart;
pub mod finish;
#[cfg(test)]
mod fixture;
pub mod form;
pub mod landing;
pub mod login;
pub mod logout;
pub mod logout_token;
pub mod metrics;
pub mod oidc;
pub mod outcome;
pub mod overwritten;
pub mod pages;
pub mod password;
pub mod paths;
pub mod refusal;
pub mod saml;
pub mod selector;
pub mod silent;
pub mod single_logout;
pub mod site;
pub mod used;
pub mod visit;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::header::{ALLOW, HOST};
use http::{HeaderValue, Method, StatusCode};

use self::form::Form;
use self::metrics::SsoMetrics;
use self::pages::reason::Reason;
use self::paths::Place;
use self::refusal::Refusal;
use self::site::Site;
use self::used::UsedAttempts;
use self::visit::{About, Visit, empty};
use crate::config::sso::Provider;
use crate::gate;
use crate::gate::limiter::LoginLimiter;
use crate::gate::target::Target;
use crate::model::clock::{Clock, Now};
use crate::net::http::{Body, Head, Peer, Request, Response};
use crate::net::request_id::{X_REQUEST_ID, request_id};
use crate::net::serve::Handler;
use crate::telemetry::access::{AccessLog, Record};

/// Name of the door's requests where others have that of their route.
const ROUTE: &str = "sso";

/// The door. One per process; its site is exchanged on reload. Without one it takes nothing.
pub struct Door {
    site: ArcSwapOption<Site>,
    shared: Shared,
}

/// What stays over reloads.
pub struct Shared {
    /// The clock.
    pub clock: Clock,
    /// The access log.
    pub log: AccessLog,
    /// What is counted.
    pub metrics: SsoMetrics,
    /// Limits on failed logins, the gate's own.
    pub limiter: Arc<LoginLimiter>,
    /// Attempts that were used.
    pub used: UsedAttempts,
}

impl Door {
    /// Joins what a configuration came to with what outlives it.
    pub fn new(site: Option<Site>, shared: Shared) -> Self {
        Self {
            site: ArcSwapOption::new(site.map(Arc::new)),
            shared,
        }
    }

    /// Serves by another site from the next request on.
    pub fn swap(&self, site: Option<Site>) {
        self.site.store(site.map(Arc::new));
    }

    /// Whether a request is for this door, in whatever spelling: nothing below the prefix ever reaches an upstream.
    pub fn takes(&self, request: &Request) -> bool {
        match &*self.site.load() {
            Some(site) => is_below(site, request.uri().path()),
            None => false,
        }
    }

    async fn answer(
        &self,
        site: &Site,
        head: &Head,
        body: Body,
        peer: &Peer,
        id: &str,
        now: Now,
    ) -> Response {
        let place = place(site, head.uri.path());
        let target = Target::parse(head);
        let host = target.as_ref().map_or("", Target::host).to_owned();
        let visit = Visit {
            site,
            limiter: &self.shared.limiter,
            used: &self.shared.used,
            metrics: &self.shared.metrics,
            head,
            peer,
            query: Form::parse(head.uri.query().unwrap_or_default().as_bytes()),
            host,
            id,
            now,
        };
        let response = match target {
            Ok(_) => route(&visit, place, body).await,
            // The gate would not judge it either: two hosts, or a path of more than one reading.
            Err(refusal) => refused(&visit, unreadable(&refusal), None),
        };
        self.shared.metrics.answered(place, response.status());
        response
    }

    fn record(&self, head: &Head, peer: &Peer, id: &str, response: &Response, started: Now) {
        let now = self.shared.clock.now();
        let about = response.extensions().get::<About>();
        let bytes = http_body::Body::size_hint(response.body()).exact();
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        self.shared.log.record(&Record {
            time: now,
            duration: now.mono.saturating_sub(started.mono),
            request_id: id,
            client_ip: peer.client_ip,
            method: head.method.as_str(),
            host: head.uri.host().or(host).unwrap_or_default(),
            path: head.uri.path(),
            status: response.status().as_u16(),
            bytes: bytes.unwrap_or_default(),
            route: ROUTE,
            username: about.map(|about| about.username.as_str()),
            effective: None,
            realm: about.map(|about| about.realm.as_str()),
            api_key_id: None,
            scheme: None,
            cache: "bypass",
            refusal: response
                .extensions()
                .get::<Reason>()
                .map(|reason| reason.label()),
            upstream: None,
        });
    }
}

impl Handler for Door {
    async fn call(&self, request: Request, peer: &Arc<Peer>) -> Response {
        let started = self.shared.clock.now();
        let (head, body) = request.into_parts();
        let id = request_id(&head.headers, peer.trusted);
        let text = id.to_str().unwrap_or_default();
        let mut response = match self.site.load_full() {
            Some(site) => Box::pin(self.answer(&site, &head, body, peer, text, started)).await,
            None => empty(StatusCode::NOT_FOUND),
        };
        response.headers_mut().insert(X_REQUEST_ID, id.clone());
        self.record(&head, peer, text, &response, started);
        response
    }

    fn panicked(&self) -> Response {
        empty(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// What a path asks for; an odd spelling asks for nothing that is there.
fn place<'p>(site: &Site, path: &'p str) -> Place<'p> {
    site.paths.below(path).map_or(Place::Unknown, Place::parse)
}

/// Whether a path lies below the prefix once everything that may be written in several ways is written in one.
fn is_below(site: &Site, path: &str) -> bool {
    if site.paths.below(path).is_some() {
        return true;
    }
    if !path.contains('%') && !path.contains("//") && !path.contains("/.") && !path.contains('\\') {
        return false;
    }
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split(['/', '\\']) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    let canonical = format!("/{}", segments.join("/"));
    site.paths.below(&canonical).is_some()
}

async fn route(visit: &Visit<'_>, place: Place<'_>, body: Body) -> Response {
    let provider = match place {
        Place::Start(name)
        | Place::Acs(name)
        | Place::SamlLogout(name)
        | Place::Metadata(name)
        | Place::Callback(name)
        | Place::Initiate(name)
        | Place::BackChannel(name) => match visit.site.provider(name) {
            Ok(provider) => Some(provider),
            Err(refusal) => return refused(visit, refusal, None),
        },
        _ => None,
    };
    let outcome = match (place, provider) {
        (Place::Start(name), _) => login::start(visit, name, body).await,
        (Place::Acs(_), Some(provider)) => saml::acs(visit, provider, body).await,
        (Place::SamlLogout(_), Some(provider)) => {
            single_logout::answer(visit, provider, body).await
        }
        (Place::Metadata(_), Some(provider)) => single_logout::metadata(visit, provider).await,
        (Place::Callback(_), Some(provider)) => oidc::callback(visit, provider, body).await,
        (Place::Initiate(_), Some(provider)) => oidc::initiate(visit, provider, body).await,
        (Place::BackChannel(_), Some(provider)) => {
            Ok(logout_token::answer(visit, provider, body).await)
        }
        (Place::Login, _) => login::page(visit).await,
        (Place::Agreement, _) => agreement::answer(visit, body).await,
        (Place::Overwritten, _) => overwritten::page(visit).await,
        (Place::Done, _) => done(visit),
        (Place::Logout, _) => logout::answer(visit, body).await,
        (Place::LoggedOut, _) => logout::page(visit),
        (Place::Session, _) => about::answer(visit).await,
        (Place::Asset(name), _) => asset(visit, name),
        _ => Err(Refusal::new(Reason::PageUnknown)),
    };
    match outcome {
        Ok(response) => response,
        Err(refusal) => refused(visit, refusal, provider),
    }
}

fn unreadable(refusal: &gate::refusal::Refusal) -> Refusal {
    let reason = match refusal {
        gate::refusal::Refusal::MethodNotAllowed => Reason::MethodNotAllowed,
        _ => Reason::RequestMalformed,
    };
    Refusal::new(reason).because(refusal.to_string())
}

fn refused(visit: &Visit<'_>, refusal: Refusal, provider: Option<&Provider>) -> Response {
    let reason = refusal.reason;
    let mut response = outcome::refuse(visit, refusal, provider);
    if reason == Reason::MethodNotAllowed {
        let allowed = HeaderValue::from_static("GET, HEAD, POST");
        response.headers_mut().insert(ALLOW, allowed);
    }
    response.extensions_mut().insert(reason);
    response
}

/// The end of a login in a window of its own.
fn done(visit: &Visit<'_>) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET])?;
    Ok(visit.site.pages.done(visit.headers()))
}

fn asset(visit: &Visit<'_>, name: &str) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET])?;
    visit
        .site
        .pages
        .asset(name, visit.headers())
        .ok_or_else(|| Refusal::new(Reason::PageUnknown))
}

#[cfg(test)]
mod tests;
