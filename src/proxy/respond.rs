//! The one place where a refusal or a failure becomes a response.
//!
//! Every such response carries `x-sidegate-refusal`, so that nobody mistakes it for the application's own, and the request's id.
//! The body is what the client can read: RFC 9457 problem details, Elasticsearch's envelope, or a small page.

use std::time::Duration;

use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use super::failure::Failure;
use super::grpc::{self, Code};
use super::rewrite::{X_SIDEGATE_REFUSAL, X_SIDEGATE_SESSION};
use crate::gate::refusal::{Ambiguity, Refusal};
use crate::net::admission::COME_BACK;
use crate::net::connect::ConnectError;
use crate::net::http::{Body, Response};
use crate::net::page::{STYLE, Sources, escape, guard};
use crate::net::request_id::X_REQUEST_ID;
use crate::wire::error::ErrorEnvelope;

/// The methods a route can take at all.
const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// One challenge per scheme, in a line of its own: several clients only read the first challenge of a line.
const CHALLENGES: [&str; 3] = [
    "Basic realm=\"sidegate\", charset=\"UTF-8\"",
    "Bearer realm=\"sidegate\"",
    "ApiKey",
];

/// Why a request gets no response of the application's.
#[derive(Debug)]
pub enum Denial {
    /// The gate said no.
    Refused(Refusal),
    /// Permitted, but the upstream gave nothing.
    Failed(Failure),
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for Denial {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What kind of body the client can read, from its `Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// `application/problem+json`, also for those who say nothing.
    Problem,
    /// Elasticsearch's vendored type, with the version asked for.
    Elasticsearch(Option<u8>),
    /// A page for people.
    Page,
    /// A gRPC status.
    Grpc,
}

impl Wants {
    /// Reads `Accept`. Elasticsearch's type counts wherever it stands; a page only if asked for before any JSON.
    pub fn of(headers: &HeaderMap) -> Self {
        for line in headers.get_all(ACCEPT) {
            let Ok(line) = line.to_str() else { continue };
            for kind in line.split(',') {
                let (kind, parameters) = kind.split_once(';').unwrap_or((kind, ""));
                let kind = kind.trim();
                let is = |name: &str| kind.eq_ignore_ascii_case(name);
                if is("application/vnd.elasticsearch+json") {
                    let version = parameters.trim().strip_prefix("compatible-with=");
                    return Self::Elasticsearch(version.and_then(|text| text.parse().ok()));
                }
                if is("text/html") || is("application/xhtml+xml") {
                    return Self::Page;
                }
                if is("application/json") || is("application/problem+json") {
                    return Self::Problem;
                }
            }
        }
        Self::Problem
    }
}

/// Somebody with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person<'s> {
    /// User name.
    pub username: &'s str,
    /// Realm.
    pub realm: &'s str,
    /// Path of the logout.
    pub logout: &'s str,
}

/// How much a refusal tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner<'s> {
    /// A 403 names what is missing.
    pub explain: bool,
    /// A 401 offers Kerberos.
    pub negotiate: bool,
    /// A 401 names this login page.
    pub login: Option<&'s str>,
    /// Whoever is logged in with a session: a 403 tells who they are here, and how to become somebody else.
    pub person: Option<Person<'s>>,
    /// A script of a browser asked, to which that offers another way in than the browser's own password window.
    pub script: bool,
}

/// Makes the response.
pub fn respond(denial: &Denial, wants: Wants, id: &HeaderValue, manner: Manner<'_>) -> Response {
    let status = denial.status();
    let told = Told {
        status,
        reason: denial.reason(),
        detail: denial.public(),
        missing: match denial {
            Denial::Refused(Refusal::Forbidden { missing, .. }) if manner.explain => missing,
            _ => &[],
        },
        id,
        login: manner.login.filter(|_| status == StatusCode::UNAUTHORIZED),
        person: manner
            .person
            .filter(|_| matches!(denial, Denial::Refused(Refusal::Forbidden { .. }))),
    };
    let (kind, body) = match wants {
        Wants::Grpc => return told.status_of_call(denial),
        Wants::Problem => (
            HeaderValue::from_static("application/problem+json"),
            told.problem(),
        ),
        Wants::Elasticsearch(version) => (elasticsearch_type(version), told.envelope()),
        Wants::Page => (
            HeaderValue::from_static("text/html; charset=utf-8"),
            told.page(),
        ),
    };
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if wants == Wants::Page {
        guard(headers, Sources::Alone);
    }
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_SIDEGATE_REFUSAL, HeaderValue::from_static(told.reason));
    headers.insert(X_REQUEST_ID, id.clone());
    if status == StatusCode::UNAUTHORIZED {
        challenge(denial, manner, headers);
    }
    if let Denial::Refused(Refusal::Ambiguous(Ambiguity::Framing)) = denial {
        // Nobody can tell where this request ends, so nothing behind it is read as another one.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Denial::Refused(Refusal::SessionEnded(_) | Refusal::AgreementPending) = denial {
        headers.insert(X_SIDEGATE_SESSION, HeaderValue::from_static(told.reason));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static(ALLOWED_METHODS));
    }
    if let Some(after) = retry_after(denial) {
        // Whole seconds, rounded up: zero would invite a stampede.
        headers.insert(
            RETRY_AFTER,
            HeaderValue::from(after.as_millis().div_ceil(1000).clamp(1, 86_400) as u64),
        );
    }
    response
}

/// Every challenge that could succeed, strongest first; in the middle of a negotiation only its next step, or a client could
/// leave it for a weaker scheme.
fn challenge(denial: &Denial, manner: Manner<'_>, headers: &mut HeaderMap) {
    if let Denial::Refused(Refusal::NegotiationUnfinished { reply }) = denial
        && let Ok(value) = HeaderValue::from_str(&format!("Negotiate {reply}"))
    {
        headers.insert(WWW_AUTHENTICATE, value);
        return;
    }
    let negotiate = manner.negotiate.then_some("Negotiate");
    let challenges = negotiate.into_iter().chain(CHALLENGES);
    let in_the_way = |challenge: &&str| {
        manner.script && (challenge.starts_with("Basic") || *challenge == "Negotiate")
    };
    for challenge in challenges.filter(|challenge| !in_the_way(challenge)) {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
}

/// The status of each denial.
const fn status_of(denial: &Denial) -> StatusCode {
    match denial {
        Denial::Refused(refusal) => match refusal {
            Refusal::Ambiguous(_) => StatusCode::BAD_REQUEST,
            Refusal::ExpectationUnknown => StatusCode::EXPECTATION_FAILED,
            Refusal::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::NoRoute => StatusCode::NOT_FOUND,
            Refusal::NoCredential
            | Refusal::MalformedCredential { .. }
            | Refusal::Unauthenticated { .. }
            | Refusal::NegotiationUnfinished { .. }
            | Refusal::SessionEnded(_)
            | Refusal::AgreementPending => StatusCode::UNAUTHORIZED,
            Refusal::Forbidden { .. }
            | Refusal::NotExchangeable { .. }
            | Refusal::UpgradeNotAllowed
            | Refusal::AddressNotAllowed
            | Refusal::PreflightNotAllowed(_)
            | Refusal::CrossSite => StatusCode::FORBIDDEN,
            Refusal::TooManyFailures { .. } | Refusal::RateLimited { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Refusal::AuthorityUnavailable { .. }
            | Refusal::SessionStore { .. }
            | Refusal::Overloaded { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        },
        Denial::Failed(failure) => match failure {
            Failure::Connect(ConnectError::Timeout(_))
            | Failure::ResponseTimeout(_)
            | Failure::Deadline => StatusCode::GATEWAY_TIMEOUT,
            Failure::Connect(_)
            | Failure::Closed(_)
            | Failure::Protocol(_)
            | Failure::Upgrade
            | Failure::BrokeOff(_)
            | Failure::StoodStill(_) => StatusCode::BAD_GATEWAY,
            Failure::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Failure::RequestBody => StatusCode::BAD_REQUEST,
            Failure::RequestBodyStalled => StatusCode::REQUEST_TIMEOUT,
        },
    }
}

fn retry_after(denial: &Denial) -> Option<Duration> {
    match denial {
        Denial::Refused(
            Refusal::TooManyFailures { retry_after, .. }
            | Refusal::AuthorityUnavailable { retry_after, .. }
            | Refusal::SessionStore { retry_after, .. }
            | Refusal::RateLimited { retry_after, .. }
            | Refusal::Overloaded { retry_after },
        ) => Some(*retry_after),
        Denial::Failed(Failure::Overloaded) => Some(COME_BACK),
        Denial::Refused(_) | Denial::Failed(_) => None,
    }
}

fn elasticsearch_type(version: Option<u8>) -> HeaderValue {
    match version {
        Some(7) => HeaderValue::from_static("application/vnd.elasticsearch+json;compatible-with=7"),
        Some(9) => HeaderValue::from_static("application/vnd.elasticsearch+json;compatible-with=9"),
        _ => HeaderValue::from_static("application/vnd.elasticsearch+json;compatible-with=8"),
    }
}

impl Denial {
    /// The HTTP status it is, or stands for.
    pub const fn status(&self) -> StatusCode {
        status_of(self)
    }

    /// The label in header, logs and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::Failed(failure) => failure.reason(),
        }
    }

    const fn public(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.public(),
            Self::Failed(Failure::RequestBody | Failure::RequestBodyStalled) => {
                "The request body did not arrive."
            }
            Self::Failed(
                Failure::ResponseTimeout(_)
                | Failure::Deadline
                | Failure::Connect(ConnectError::Timeout(_)),
            ) => "The application did not answer in time.",
            Self::Failed(Failure::Overloaded) => {
                "The application has too much to do right now; try again later."
            }
            Self::Failed(_) => "The application can't be reached.",
        }
    }
}

/// What the client is told, before it has a form.
struct Told<'d> {
    status: StatusCode,
    reason: &'static str,
    detail: &'static str,
    missing: &'d [String],
    id: &'d HeaderValue,
    login: Option<&'d str>,
    person: Option<Person<'d>>,
}

impl Told<'_> {
    fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Refused")
    }

    fn problem(&self) -> String {
        let mut problem = json!({
            "type": "about:blank",
            "title": self.title(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "reason": self.reason,
            "request_id": self.id.to_str().unwrap_or_default(),
        });
        if !self.missing.is_empty() {
            problem["missing"] = json!(self.missing);
        }
        if let Some(login) = self.login {
            problem["login"] = login.into();
        }
        problem.to_string()
    }

    /// What a gRPC client reads (HTTP 200, whatever it stands for).
    fn status_of_call(&self, denial: &Denial) -> Response {
        let code = match denial {
            // It is not known to be too slow, and nothing was done: worth another try.
            Denial::Failed(Failure::Connect(_)) => Code::Unavailable,
            Denial::Refused(_) | Denial::Failed(_) => Code::of(self.status),
        };
        let mut response = grpc::refusal(code, &self.sentence(), retry_after(denial));
        let headers = response.headers_mut();
        headers.insert(X_SIDEGATE_REFUSAL, HeaderValue::from_static(self.reason));
        headers.insert(X_REQUEST_ID, self.id.clone());
        response
    }

    fn sentence(&self) -> String {
        match self.missing {
            [] => self.detail.to_owned(),
            missing => format!("{} Missing: {}", self.detail, missing.join(", ")),
        }
    }

    fn envelope(&self) -> String {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "security_exception",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable_shards_exception",
            _ => "status_exception",
        };
        let reason = self.sentence();
        serde_json::to_string(&ErrorEnvelope::new(self.status.as_u16(), kind, &reason))
            .unwrap_or_default()
    }

    /// Of one family with the pages of single sign-on, but alone: its style stands inside.
    fn page(&self) -> String {
        let missing: String = self
            .missing
            .iter()
            .map(|missing| format!("<li><code>{}</code></li>", escape(missing)))
            .collect();
        let missing = match missing.as_str() {
            "" => String::new(),
            items => format!("<ul class=\"missing\">{items}</ul>"),
        };
        let person = self.person.map_or_else(String::new, |person| {
            format!(
                "<p>You are logged in as {} (realm {}).</p>\
                 <p><a href=\"{}\">Log out and use another account</a></p>",
                escape(person.username),
                escape(person.realm),
                escape(person.logout),
            )
        });
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{status} {title}</title><style>{STYLE}</style></head>\
             <body><main><h1>{title}</h1><p>{detail}</p>{missing}{person}\
             <p class=\"facts\">Code: <code>{reason}</code> ({status})<br>Request: <code>{id}</code></p></main></body></html>\n",
            status = self.status.as_u16(),
            title = self.title(),
            detail = escape(self.detail),
            reason = self.reason,
            id = escape(self.id.to_str().unwrap_or_default()),
        )
    }
}

#[cfg(test)]
mod tests;
