//! The answer to a CORS preflight that a route has Sidegate answer (the Fetch standard, "HTTP responses").
//!
//! The gate has said already that origin, method and headers are allowed; what is told here is what the route allows, not more.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, VARY,
};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::config::bounds::PreflightAnswer;
use crate::gate::preflight::Asked;
use crate::net::http::{Body, Head, Response};
use crate::net::request_id::X_REQUEST_ID;

const VARIES: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);

/// 204 with what the route allows; `None` when the request is no preflight after all.
pub fn reply(answer: &PreflightAnswer, head: &Head, id: &HeaderValue) -> Option<Response> {
    let asked = Asked::read(head)?;
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let origin = match answer.origins.is_empty() {
        true => HeaderValue::from_static("*"),
        false => asked.origin().clone(),
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if answer.credentials {
        let yes = HeaderValue::from_static("true");
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
    let methods = answer.methods.join(", ");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.try_into().ok()?);
    let names = match &answer.headers {
        Some(names) => names.join(", "),
        None => asked
            .headers()
            .iter()
            .map(HeaderName::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    };
    if !names.is_empty() {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.try_into().ok()?);
    }
    let age = HeaderValue::from(answer.max_age.as_secs());
    headers.insert(ACCESS_CONTROL_MAX_AGE, age);
    headers.insert(VARY, VARIES);
    headers.insert(X_REQUEST_ID, id.clone());
    Some(response)
}
