//! Where somebody without a credential is sent: to the login page, or nowhere.
//!
//! Always true: only a browser that opens a page is sent there; scripts, WebSockets and API clients get their 401, which names the
//! login page. What the application answers is never looked at.

use http::header::{ACCEPT, CACHE_CONTROL, LOCATION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::respond::Denial;
use super::rewrite::X_SIDEGATE_REFUSAL;
use crate::config::sso::Sso;
use crate::gate::refusal::Refusal;
use crate::net::http::{Body, Response};
use crate::net::request_id::X_REQUEST_ID;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Longest place to come back to; a longer one is left out.
const MAX_NEXT: usize = 4_096;

/// The way to the login page.
#[derive(Clone, Debug)]
pub struct LoginPage {
    prefix: String,
    /// Its whole URL, for those who are told and not sent.
    url: String,
    logout: String,
}

impl LoginPage {
    /// That of these settings.
    pub fn of(sso: &Sso) -> Self {
        Self {
            prefix: sso.prefix.clone(),
            url: format!("{}{}login", sso.public_url.origin(), sso.prefix),
            logout: format!("{}logout", sso.prefix),
        }
    }

    /// Its whole URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Path of the logout.
    pub fn logout(&self) -> &str {
        &self.logout
    }

    /// The way there, and back to `uri` afterwards; `None` when a login would not help.
    pub fn redirect(&self, denial: &Denial, uri: &Uri, id: &HeaderValue) -> Option<Response> {
        let page = match denial {
            Denial::Refused(Refusal::NoCredential | Refusal::SessionEnded(_)) => "login",
            Denial::Refused(Refusal::AgreementPending) => "agreement",
            Denial::Refused(_) | Denial::Failed(_) => return None,
        };
        let mut place = format!("{}{page}", self.prefix);
        if let Some(next) = uri.path_and_query().map(http::uri::PathAndQuery::as_str)
            && next.len() <= MAX_NEXT
            && next != "/"
        {
            place.push_str("?next=");
            place.extend(form_urlencoded::byte_serialize(next.as_bytes()));
        }
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::FOUND;
        let headers = response.headers_mut();
        headers.insert(LOCATION, HeaderValue::from_str(&place).ok()?);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let reason = HeaderValue::from_static(denial.reason());
        headers.insert(X_SIDEGATE_REFUSAL, reason);
        headers.insert(X_REQUEST_ID, id.clone());
        Some(response)
    }
}

/// Whether a browser opens a page by this: Fetch Metadata says so, or, where there is none, it takes HTML and no script sent it.
pub fn navigates(method: &Method, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) || headers.contains_key(UPGRADE) {
        return false;
    }
    let is = |name: &HeaderName, wanted: &str| headers.get(name).map(|value| value == wanted);
    match is(&SEC_FETCH_MODE, "navigate") {
        // A frame could not show the login page.
        Some(navigates) => navigates && is(&SEC_FETCH_DEST, "document").unwrap_or(true),
        None => {
            let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
            accept.is_some_and(|accept| accept.contains("text/html"))
                && !headers.contains_key(X_REQUESTED_WITH)
        }
    }
}

/// Whether a script of a browser sent this: then a challenge that opens the browser's own password window would be in the way.
pub fn is_script(headers: &HeaderMap) -> bool {
    headers.contains_key(SEC_FETCH_MODE) || headers.contains_key(X_REQUESTED_WITH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::credential::Scheme;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn only_a_browser_that_opens_a_page_is_sent_to_the_login() {
        let opens = |lines: &[_]| navigates(&Method::GET, &headers(lines));
        assert!(opens(&[
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document")
        ]));
        assert!(opens(&[("sec-fetch-mode", "navigate")]));
        assert!(opens(&[("accept", "text/html,*/*;q=0.8")]));
        assert!(!opens(&[
            ("sec-fetch-mode", "cors"),
            ("accept", "text/html")
        ]));
        assert!(!opens(&[
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe")
        ]));
        assert!(!opens(&[
            ("accept", "text/html"),
            ("x-requested-with", "XMLHttpRequest")
        ]));
        assert!(!opens(&[("accept", "*/*")]));
        assert!(!opens(&[]));
        assert!(!opens(&[
            ("upgrade", "websocket"),
            ("sec-fetch-mode", "navigate")
        ]));
        assert!(!navigates(
            &Method::POST,
            &headers(&[("sec-fetch-mode", "navigate")])
        ));
    }

    #[test]
    fn a_deep_link_survives_the_way_to_the_login_pain_5() {
        let page = LoginPage {
            prefix: "/_sidegate/".into(),
            url: String::new(),
            logout: String::new(),
        };
        let id = HeaderValue::from_static("id");
        let to = |denial: Denial, uri: &str| {
            let response = page.redirect(&denial, &uri.parse().unwrap(), &id)?;
            Some(response.headers()[LOCATION].to_str().unwrap().to_owned())
        };
        let none = || Denial::Refused(Refusal::NoCredential);
        assert_eq!(
            to(none(), "/a b?x=1&y=%2F".replace(' ', "%20").as_str()).unwrap(),
            "/_sidegate/login?next=%2Fa%2520b%3Fx%3D1%26y%3D%252F"
        );
        assert_eq!(to(none(), "/").unwrap(), "/_sidegate/login");
        let long = format!("/{}", "x".repeat(MAX_NEXT));
        assert_eq!(to(none(), &long).unwrap(), "/_sidegate/login");
        let refused = Refusal::Unauthenticated {
            scheme: Scheme::Basic,
        };
        assert_eq!(to(refused.into(), "/"), None);
    }
}
