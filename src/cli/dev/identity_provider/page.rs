//! The demo provider's pages: plain HTML that says on every page what it is.

use http::StatusCode;
use http::header::{self, HeaderValue};

use super::people::PEOPLE;
use crate::net::http::{Body, Response};

const STYLE: &str = "body{font:1.05rem/1.5 system-ui;max-width:28rem;margin:4rem auto;padding:0 1rem}:root{color-scheme:light dark}\
    .note{border-left:4px solid #b45309;padding:.3rem .8rem}button{font:inherit;display:block;width:100%;text-align:left;\
    margin:.6rem 0;padding:.7rem 1rem;border:1px solid GrayText;border-radius:.5rem;background:Canvas;color:CanvasText;cursor:pointer}\
    button:focus-visible{outline:3px solid #2563eb}small{display:block}";

/// Who can log in, as one form; `query` is the request, which comes back with the answer.
pub(super) fn login(query: &str, redirect_uri: &str) -> Response {
    let people: String = PEOPLE
        .iter()
        .map(|person| {
            format!(
                "<button name=person value=\"{0}\">{1}<small>{0} &middot; {2}</small></button>",
                escape(person.name),
                escape(person.full_name),
                escape(person.about)
            )
        })
        .collect();
    let body = format!(
        "<h1>Who are you?</h1><form method=post action=\"/login?{}\">{people}<button name=person value=\"\">Cancel</button></form>",
        escape(query)
    );
    // Browsers hold the redirect after a form to this rule as well.
    page(StatusCode::OK, "Log in", &body, &origin_of(redirect_uri))
}

/// Something that can't be served.
pub(super) fn trouble(status: StatusCode, problem: &str) -> Response {
    let body = format!(
        "<h1>This does not work</h1><p role=alert>{}</p>",
        escape(problem)
    );
    page(status, "This does not work", &body, "")
}

/// After a logout that leads nowhere.
pub(super) fn goodbye() -> Response {
    page(
        StatusCode::OK,
        "Logged out",
        "<h1>You are logged out</h1>",
        "",
    )
}

fn page(status: StatusCode, title: &str, body: &str, form_target: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>{title} &middot; demo identity provider</title><style>{STYLE}</style><main>{body}\
         <p class=note>This is the <strong>demo identity provider</strong> of <code>sidegate dev --sso</code>. It is for development \
         only: nobody has a password here.</p></main>"
    );
    let mut response = Response::new(Body::full(html));
    *response.status_mut() = status;
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {form_target}; frame-ancestors 'none'; base-uri 'none'"
    );
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn origin_of(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return String::new();
    };
    let authority = rest.split('/').next().unwrap_or_default();
    format!("{scheme}://{authority}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
