//! Which fields may follow a body.
//!
//! Trailers come after the verdict, so nothing that was judged, stripped or set in a head may be said in them again: some
//! applications join both (RFC 9110 §6.5.1). Only HTTP/2 upstreams are sent any; HTTP/1.1 would need their names beforehand.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;

use super::site::Local;
use crate::config::settings::Settings;
use crate::forwarding::names::Names;

/// Never after a request's body, identities and configured credentials apart: what frames, routes, authenticates or conditions.
const FROM_CLIENTS: [&str; 20] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
    "host",
    "authorization",
    "cookie",
    "range",
    "max-forwards",
    "forwarded",
    "via",
    "date",
    "x-request-id",
    "x-real-ip",
    "x-client-ip",
    "x-rewrite-url",
];
const FROM_CLIENTS_PREFIXES: [&str; 12] = [
    "proxy-",
    "content-",
    "x-forwarded-",
    "x-original-",
    "x-http-method",
    "x-method-",
    "x-sidegate-",
    "x-api-",
    "true-client-",
    "es-",
    "if-",
    "sec-",
];

/// Never after a response's body.
const FROM_UPSTREAMS: [&str; 12] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "set-cookie",
    "x-request-id",
    "x-sidegate-refusal",
];

/// The rules, compiled once.
#[derive(Debug)]
pub struct Trailers {
    from_clients: Names,
    from_upstreams: Names,
}

impl Trailers {
    /// Joins the fixed names with the headers in which routes take credentials.
    pub fn new(settings: &Settings) -> Self {
        let credentials = settings
            .routes
            .iter()
            .filter_map(|route| route.credentials.api_key_header.as_deref());
        Self {
            from_clients: Names::new(
                FROM_CLIENTS.into_iter().chain(credentials),
                FROM_CLIENTS_PREFIXES,
            ),
            from_upstreams: Names::new(FROM_UPSTREAMS, []),
        }
    }

    /// Strips what may not follow a response's body.
    pub fn clean_response(&self, trailers: &mut HeaderMap) {
        self.from_upstreams.strip(trailers);
    }
}

/// Lets a request's trailers through that may pass.
#[derive(Clone)]
pub struct Passing(Arc<Local>);

impl Passing {
    /// By the rules of this site.
    pub fn by(local: &Arc<Local>) -> Self {
        Self(Arc::clone(local))
    }

    /// Strips what may not follow a request's body.
    pub fn clean(&self, trailers: &mut HeaderMap) {
        let site = &self.0.site;
        site.trailers.from_clients.strip(trailers);
        let identities: Vec<_> = trailers
            .keys()
            .filter(|name| site.forwarding.is_identity(name.as_str()))
            .cloned()
            .collect();
        for name in identities {
            trailers.remove(name);
        }
    }
}

impl fmt::Debug for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passing")
    }
}
