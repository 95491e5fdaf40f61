//! One request to the door: everything about it that a page or a flow looks at.

use http::header::{HOST, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::cookies::Line;
use super::form::Form;
use super::metrics::SsoMetrics;
use super::pages::reason::Reason;
use super::refusal::Refusal;
use super::site::Site;
use super::used::UsedAttempts;
use crate::gate::limiter::LoginLimiter;
use crate::model::clock::Now;
use crate::net::http::{Body, Head, Peer, Response};
use crate::session::return_to::ReturnTo;
use crate::session::{Found, Held};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// One request, but for its body.
pub struct Visit<'r> {
    /// The configuration it is answered by.
    pub site: &'r Site,
    /// Limits on failed logins.
    pub limiter: &'r LoginLimiter,
    /// Attempts that were used.
    pub used: &'r UsedAttempts,
    /// What is counted.
    pub metrics: &'r SsoMetrics,
    /// The request.
    pub head: &'r Head,
    /// Who sent it.
    pub peer: &'r Peer,
    /// Its query.
    pub query: Form,
    /// Host asked for: lower case, without port.
    pub host: String,
    /// The request's name.
    pub id: &'r str,
    /// When it came.
    pub now: Now,
}

/// Who an answer is about, for the access log.
#[derive(Clone, Debug)]
pub struct About {
    /// User name.
    pub username: String,
    /// Realm.
    pub realm: String,
}

impl Visit<'_> {
    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Where the person wants to go, as the query says. Places below the prefix lead in circles and are the front page, but for
    /// the end of a login in a window of its own.
    pub fn next(&self) -> ReturnTo {
        self.place(self.query.first("next"), self.query.first("fragment"))
    }

    /// The same of a form.
    pub fn next_in(&self, form: &Form) -> ReturnTo {
        self.place(form.first("next"), form.first("fragment"))
    }

    /// Judges what somebody says is a place to go.
    pub fn place(&self, next: Option<&str>, fragment: Option<&str>) -> ReturnTo {
        let next = next
            .and_then(ReturnTo::parse)
            .unwrap_or_else(ReturnTo::root);
        let paths = &self.site.paths;
        if next.is_below(paths.prefix()) && next.as_str() != paths.to("done") {
            return ReturnTo::root();
        }
        match fragment {
            Some(fragment) if !fragment.is_empty() && !next.as_str().contains('#') => {
                next.with_fragment(fragment)
            }
            _ => next,
        }
    }

    /// The session that came along, if one did and it is in force.
    ///
    /// # Errors
    /// Trouble of the store.
    pub async fn session(&self) -> Result<Option<Held>, Refusal> {
        match self.site.sessions.open(self.headers(), self.now).await? {
            Found::Session(held) => Ok(Some(held)),
            Found::Nothing | Found::Ended(_) => Ok(None),
        }
    }

    /// Whether a page of ours (or nobody's: a bookmark, an address typed in) sent this. What says nothing at all is no browser, or
    /// one so old that it must bring a token.
    pub fn is_same_origin(&self) -> bool {
        let text = |name: &HeaderName| {
            let value = self.headers().get(name)?;
            Some(value.to_str().unwrap_or("unreadable"))
        };
        if let Some(site) = text(&SEC_FETCH_SITE) {
            return matches!(site, "same-origin" | "none");
        }
        match text(&http::header::ORIGIN) {
            Some(origin) => self.is_own_origin(origin),
            None => match text(&http::header::REFERER) {
                Some(referer) => {
                    let mut parts = referer.splitn(4, '/');
                    let origin = [parts.next(), parts.next(), parts.next()];
                    let origin: Vec<&str> = origin.into_iter().flatten().collect();
                    self.is_own_origin(&origin.join("/"))
                }
                None => true,
            },
        }
    }

    /// The public origin, or the one that the request came to: behind several names each is its own.
    fn is_own_origin(&self, origin: &str) -> bool {
        if origin == self.site.sso.public_url.origin() {
            return true;
        }
        let host = self.headers().get(HOST).and_then(|host| host.to_str().ok());
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some()
            && authority == host.or_else(|| Some(self.head.uri.authority()?.as_str()))
    }

    /// Refuses what a page of another site sent.
    ///
    /// # Errors
    /// [`Reason::CrossSite`]
    pub fn check_origin(&self) -> Result<(), Refusal> {
        if self.is_same_origin() {
            return Ok(());
        }
        Err(Refusal::new(Reason::CrossSite).because("sent by a page of another site"))
    }

    /// Refuses every method but these. `HEAD` goes with `GET`.
    ///
    /// # Errors
    /// [`Reason::MethodNotAllowed`]
    pub fn check_method(&self, allowed: &[Method]) -> Result<(), Refusal> {
        let method = match &self.head.method {
            &Method::HEAD => &Method::GET,
            method => method,
        };
        if allowed.contains(method) {
            return Ok(());
        }
        Err(Refusal::new(Reason::MethodNotAllowed).because(self.head.method.as_str()))
    }

    /// Whether the client takes JSON rather than a page.
    pub fn wants_json(&self) -> bool {
        let accept = self.headers().get(http::header::ACCEPT);
        let accept = accept.and_then(|accept| accept.to_str().ok());
        accept.is_some_and(|accept| accept.contains("json") && !accept.contains("text/html"))
    }

    /// Whether the request came to the host of the public URL, where cookies hold for the callback.
    pub fn is_at_public_host(&self) -> bool {
        self.host == self.site.sso.public_url.host()
    }
}

/// On to another place, by `GET`. Places come from [`ReturnTo`], our own paths, or the authority.
pub fn redirect(place: &str) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::FOUND;
    let location = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/"));
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    // What is on the way of a login is nobody else's business.
    headers.insert(
        http::header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    no_store(headers);
    response
}

/// JSON for whoever asked.
pub fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    let mut response = Response::new(Body::full(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/json");
    headers.insert(http::header::CONTENT_TYPE, kind);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, nosniff);
    no_store(headers);
    response
}

/// Nothing to say.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    no_store(response.headers_mut());
    response
}

fn no_store(headers: &mut HeaderMap) {
    headers.insert(
        http::header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
}

/// The same response with more lines.
pub fn with_lines(mut response: Response, lines: impl IntoIterator<Item = Line>) -> Response {
    for (name, value) in lines {
        response.headers_mut().append(name, value);
    }
    response
}
