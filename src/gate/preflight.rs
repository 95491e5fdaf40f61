//! CORS preflights: which requests are one, and what becomes of them.
//!
//! Always true: only what a browser really sends before a call (the Fetch standard, "CORS-preflight fetch") is a preflight:
//! `OPTIONS` with one `Origin` and one `Access-Control-Request-Method`, without body, credential and cookie. Everything else is
//! judged like any request, and so is a preflight on every route that doesn't say otherwise. A preflight that passes carries no
//! identity, whatever the route forwards.

use http::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_LENGTH, COOKIE, ORIGIN,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::json;

use super::extract::Intake;
use super::refusal::Refusal;
use super::routes::Route;
use super::trace::Steps;
use crate::config::bounds::{Preflight, PreflightAnswer};
use crate::net::http::Head;

/// Stands in a request's extensions when it has a body that its headers don't tell of, as HTTP/2 allows.
#[derive(Clone, Copy, Debug)]
pub struct HasBody;

/// What a browser asks before a call.
#[derive(Debug)]
pub struct Asked<'h> {
    origin: &'h HeaderValue,
    method: &'h HeaderValue,
    /// In lower case.
    headers: Vec<HeaderName>,
}

impl<'h> Asked<'h> {
    /// The preflight that a request is; `None` when it is none.
    pub fn read(head: &'h Head) -> Option<Self> {
        let headers = &head.headers;
        let has_body = headers.contains_key(TRANSFER_ENCODING)
            || headers
                .get(CONTENT_LENGTH)
                .is_some_and(|length| length != "0")
            || head.extensions.get::<HasBody>().is_some();
        if head.method != Method::OPTIONS || has_body || headers.contains_key(COOKIE) {
            return None;
        }
        let origin = single(headers, &ORIGIN).filter(|origin| !origin.is_empty())?;
        let method = single(headers, &ACCESS_CONTROL_REQUEST_METHOD)?;
        Method::from_bytes(method.as_bytes()).ok()?;
        let mut names = Vec::new();
        for line in headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
            let listed = line.as_bytes().split(|byte| *byte == b',');
            for name in listed
                .map(<[u8]>::trim_ascii)
                .filter(|name| !name.is_empty())
            {
                names.push(HeaderName::from_bytes(name).ok()?);
            }
        }
        Some(Self {
            origin,
            method,
            headers: names,
        })
    }

    /// Whose page asks.
    pub fn origin(&self) -> &'h HeaderValue {
        self.origin
    }

    /// The request headers it wants to set.
    pub fn headers(&self) -> &[HeaderName] {
        &self.headers
    }

    /// What of it the answer doesn't allow.
    fn excess(&self, answer: &PreflightAnswer) -> Option<&'static str> {
        let among = |list: &[String], wanted: &[u8]| list.iter().any(|it| it.as_bytes() == wanted);
        if !answer.origins.is_empty() && !among(&answer.origins, self.origin.as_bytes()) {
            return Some("origin");
        }
        if !among(&answer.methods, self.method.as_bytes()) {
            return Some("method");
        }
        let allowed = |name: &HeaderName| match &answer.headers {
            None => true,
            Some(names) => among(names, name.as_str().as_bytes()),
        };
        (!self.headers.iter().all(allowed)).then_some("headers")
    }
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether a request is let through as a preflight: true only where the route says so and no credential is shown.
///
/// # Errors
/// [`Refusal::PreflightNotAllowed`] where Sidegate itself answers, and its answer would be no.
pub(super) fn passes(
    intake: &Intake,
    route: &Route,
    head: &Head,
    steps: &mut Steps,
) -> Result<bool, Refusal> {
    let rule = match &route.preflight {
        Preflight::Judge => return Ok(false),
        Preflight::Pass => "pass",
        Preflight::Answer(_) => "answer",
    };
    let shows_nothing = matches!(intake.shown(head, &route.ways), Ok(None));
    let Some(asked) = Asked::read(head).filter(|_| shows_nothing) else {
        return Ok(false);
    };
    let excess = match &route.preflight {
        Preflight::Judge | Preflight::Pass => None,
        Preflight::Answer(answer) => asked.excess(answer),
    };
    steps.add("preflight", || {
        json!({
            "rule": rule,
            "origin": String::from_utf8_lossy(asked.origin.as_bytes()),
            "method": String::from_utf8_lossy(asked.method.as_bytes()),
            "not_allowed": excess,
        })
    });
    match excess {
        None => Ok(true),
        Some(what) => Err(Refusal::PreflightNotAllowed(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: [(&str, &str); 2] = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "PUT"),
    ];

    fn head(method: &str, lines: &[(&str, &str)]) -> Head {
        let mut request = http::Request::builder().method(method).uri("/x");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn with(more: &[(&'static str, &'static str)]) -> Head {
        head("OPTIONS", &[&REAL, more].concat())
    }

    #[test]
    fn only_what_a_browser_sends_is_a_preflight() {
        assert!(Asked::read(&with(&[])).is_some());
        assert!(Asked::read(&with(&[("content-length", "0")])).is_some());
        for more in [
            ("cookie", "a=b"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
            ("origin", "https://other.example.com"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "a b"),
        ] {
            assert!(Asked::read(&with(&[more])).is_none(), "{more:?}");
        }
        for lines in [&REAL[..1], &REAL[1..], &[]] {
            assert!(Asked::read(&head("OPTIONS", lines)).is_none(), "{lines:?}");
        }
        for method in ["GET", "POST", "options", "HEAD"] {
            assert!(Asked::read(&head(method, &REAL)).is_none(), "{method}");
        }
        let mut hidden = with(&[]);
        hidden.extensions.insert(HasBody);
        assert!(Asked::read(&hidden).is_none());
    }

    #[test]
    fn an_answer_allows_what_it_lists_and_nothing_else() {
        let answer = PreflightAnswer {
            origins: vec!["https://app.example.com".into()],
            methods: vec!["PUT".into()],
            headers: Some(vec!["x-a".into()]),
            ..PreflightAnswer::default()
        };
        let excess = |lines: &[(&str, &str)]| {
            let head = head("OPTIONS", lines);
            Asked::read(&head).unwrap().excess(&answer)
        };
        let asks = "access-control-request-headers";
        assert_eq!(excess(&[REAL[0], REAL[1], (asks, "X-A, ,x-a")]), None);
        assert_eq!(
            excess(&[REAL[0], REAL[1], (asks, "x-a"), (asks, "x-b")]),
            Some("headers")
        );
        assert_eq!(excess(&[REAL[0], (REAL[1].0, "DELETE")]), Some("method"));
        for origin in [
            "null",
            "https://APP.example.com",
            "https://app.example.com.evil.example",
            "http://app.example.com",
        ] {
            assert_eq!(excess(&[("origin", origin), REAL[1]]), Some("origin"));
        }
    }
}
