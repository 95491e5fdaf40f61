//! The pages that people see around a login: the login itself, what went wrong, logged out, and the few that a protocol needs.
//!
//! [`Pages`] is made once per config; a page is one call with the request's headers (for the language) and a plain struct of
//! [`context`], and comes back as a whole response, status and headers included. The door adds its cookies and sends it.
//!
//! Always true: everything a page shows is escaped; no page loads anything from elsewhere, holds inline script or style, is
//! framed, or is stored; all but [`Pages::implicit`] work without JavaScript; every template and text was tried with sample
//! data before [`Pages::new`] returned, so an operator's mistake is found at load. A page never decides anything.
//!
//! What the door must know:
//! - files come from `{prefix}assets/<name>` by [`Pages::asset`];
//! - with JavaScript, links that begin a login get `&fragment=..` and the password form a field `fragment`: the fragment of the
//!   page's own URL, without `#`, at most 2048 characters, to be made part of the target (`ReturnTo`);
//! - the frontend's script opens `{prefix}login?next={prefix}done` in a window; `{prefix}done` is [`Pages::done`];
//! - the forms' `Origin` header is sent (`Referrer-Policy: same-origin`); a form may not lead to another origin, not even by a
//!   redirect (browsers apply `form-action` to redirects), so what goes to an identity provider is always a link.
//!
//! To add a page: its struct in `context`, its template, a method here, a sample in `samples`, its texts.

pub mod assets;
pub mod context;
pub mod icons;
pub mod reason;
pub mod samples;
pub mod templates;
pub mod texts;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use minijinja::value::Serde;
use minijinja::{Value, context as given};
use serde::Serialize;

use self::assets::Assets;
use self::reason::{Class, Reason};
use self::templates::Templates;
use crate::config::fault::Faults;
use crate::config::sso::Sso;
use crate::net::http::{Body, Response};
use crate::net::page::{Sources, guard};

/// The pages of one config.
#[derive(Debug)]
pub struct Pages {
    templates: Templates,
    assets: Assets,
}

impl Pages {
    /// Makes the pages, the operator's files among them, and tries each once in every language.
    ///
    /// # Errors
    /// Every fault of the operator's templates and texts, with file and line.
    pub fn new(settings: &Sso) -> Result<Self, Faults> {
        let (templates, assets) = templates::load(settings)?;
        Ok(Self { templates, assets })
    }

    /// The login page. 200, or the notice's status when an attempt failed.
    pub fn login(&self, headers: &HeaderMap, page: &context::Login<'_>) -> Response {
        let (status, class, after) = match &page.notice {
            Some(notice) if notice.reason.class() != Class::Ended => {
                (notice.reason.status(), "bad", notice.retry_after)
            }
            Some(_) | None => (StatusCode::OK, "", None),
        };
        let more = given! { notice_class => class };
        let mut response = self.page(status, "login.html", headers, page, more);
        retry_after(&mut response, after);
        response
    }

    /// What went wrong, and the ways on. The status is the reason's.
    pub fn failed(&self, headers: &HeaderMap, page: &context::Failed<'_>) -> Response {
        let more = given! { class => page.reason.class().label() };
        let mut response = self.page(page.reason.status(), "failed.html", headers, page, more);
        retry_after(&mut response, page.retry_after);
        response
    }

    /// After a logout. 200
    pub fn logged_out(&self, headers: &HeaderMap, page: &context::LoggedOut<'_>) -> Response {
        self.page(StatusCode::OK, "logged-out.html", headers, page, ())
    }

    /// What must be agreed to. 200
    pub fn agreement(&self, headers: &HeaderMap, page: &context::Agreement<'_>) -> Response {
        let paragraphs: Vec<&str> = page
            .message
            .split("\n\n")
            .map(str::trim)
            .filter(|paragraph| !paragraph.is_empty())
            .collect();
        let more = given! { paragraphs => Value::from(Serde(&paragraphs)) };
        self.page(StatusCode::OK, "agreement.html", headers, page, more)
    }

    /// Another user than before. 200
    pub fn overwritten(&self, headers: &HeaderMap, page: &context::Overwritten<'_>) -> Response {
        self.page(StatusCode::OK, "overwritten.html", headers, page, ())
    }

    /// A form that sends itself again from our own site. 200
    pub fn bounce(&self, headers: &HeaderMap, page: &context::Bounce<'_>) -> Response {
        self.page(StatusCode::OK, "bounce.html", headers, page, ())
    }

    /// Takes the URL's fragment along. 200
    pub fn capture(&self, headers: &HeaderMap, page: &context::Capture<'_>) -> Response {
        self.page(StatusCode::OK, "capture.html", headers, page, ())
    }

    /// Takes an implicit flow's response to the server. 200
    pub fn implicit(&self, headers: &HeaderMap, page: &context::Implicit<'_>) -> Response {
        self.page(StatusCode::OK, "implicit.html", headers, page, ())
    }

    /// Asks before it logs out. 200
    pub fn confirm(&self, headers: &HeaderMap, page: &context::Confirm<'_>) -> Response {
        self.page(StatusCode::OK, "confirm.html", headers, page, ())
    }

    /// The end of a login in a window that the frontend's script opened. 200
    pub fn done(&self, headers: &HeaderMap) -> Response {
        self.page(StatusCode::OK, "done.html", headers, &(), ())
    }

    /// A file of the pages, by its plain name or the one with its hash; `None`: there is none of that name.
    pub fn asset(&self, name: &str, headers: &HeaderMap) -> Option<Response> {
        self.assets.serve(name, headers)
    }

    fn page(
        &self,
        status: StatusCode,
        template: &str,
        headers: &HeaderMap,
        page: &impl Serialize,
        more: impl Into<Value>,
    ) -> Response {
        let language = self.templates.language(headers);
        match self.templates.render(template, language, page, more.into()) {
            Ok(text) => whole(status, text),
            Err(error) => {
                tracing::error!(template, %error, "a page could not be made");
                let code = Reason::Internal.label();
                let text = format!("<!doctype html><title>{code}</title><p>{code}");
                whole(Reason::Internal.status(), text)
            }
        }
    }
}

fn whole(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    guard(response.headers_mut(), Sources::OwnOrigin);
    response
}

fn retry_after(response: &mut Response, seconds: Option<u64>) {
    if let Some(seconds) = seconds {
        let value = HeaderValue::from(seconds.clamp(1, 86_400));
        response.headers_mut().insert(RETRY_AFTER, value);
    }
}

#[cfg(test)]
mod tests;
