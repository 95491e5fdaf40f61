//! What changes between the request a client sent and the one an upstream gets, identities apart.
//!
//! Always true: what belongs to the client's connection stays there, whichever `Connection` line names it (RFC 9110 §7.6.1);
//! nothing Sidegate vouches for can be named away by the client; `Forwarded` and `X-Forwarded-*` tell what Sidegate saw,
//! prefixed by what a trusted proxy saw, and never what somebody claims.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, TE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::hop;
use crate::forwarding::Forwarding;
use crate::forwarding::names::Names;
use crate::gate::refusal::{Ambiguity, Refusal};
use crate::net::http::{Head, Peer};
use crate::net::peer::X_FORWARDED_FOR;
use crate::net::request_id::X_REQUEST_ID;

/// The header that tells Sidegate's own answers from the application's.
pub const X_SIDEGATE_REFUSAL: HeaderName = HeaderName::from_static("x-sidegate-refusal");
/// Why a browser's session counts for nothing, on a 401.
pub const X_SIDEGATE_SESSION: HeaderName = HeaderName::from_static("x-sidegate-session");

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// RFC 9110 §7.6.1, and what its predecessors called hop-by-hop. `Expect` is met by Sidegate itself.
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
];

/// They would turn the method that was judged into another one.
const METHOD_OVERRIDES: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// What proxies say about the original request.
const PROXY_CLAIMS: [&str; 5] = [
    "forwarded",
    "x-real-ip",
    "x-rewrite-url",
    "x-client-ip",
    "true-client-ip",
];
const PROXY_CLAIM_PREFIXES: [&str; 2] = ["x-forwarded-", "x-original-"];

/// About how many headers a request gains.
const SET_HEADERS: usize = 14;

/// Names a client may not list in `Connection`, identities apart.
const PROTECTED: [&str; 12] = [
    "authorization",
    "host",
    "cookie",
    "content-length",
    "content-type",
    "transfer-encoding",
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
    "date",
    "via",
];

/// The rules, compiled once.
#[derive(Debug)]
pub struct Rewrite {
    from_anybody: Names,
    from_trusted: Names,
    protected: Names,
    from_upstream: Names,
}

impl Default for Rewrite {
    fn default() -> Self {
        let always = || HOP_BY_HOP.into_iter().chain(METHOD_OVERRIDES);
        Self {
            from_anybody: Names::new(always().chain(PROXY_CLAIMS), PROXY_CLAIM_PREFIXES),
            from_trusted: Names::new(always(), []),
            protected: Names::new(PROTECTED, PROXY_CLAIM_PREFIXES),
            // `Trailer` stays: the server side needs it to send trailers on.
            from_upstream: Names::new(
                [
                    "connection",
                    "keep-alive",
                    "proxy-connection",
                    "proxy-authenticate",
                    "te",
                    "transfer-encoding",
                    "upgrade",
                    "x-sidegate-refusal",
                ],
                [],
            ),
        }
    }
}

impl Rewrite {
    /// Looks at all `Connection` lines of a request before anything is done with it.
    ///
    /// # Errors
    /// [`Ambiguity::Connection`] when one names a protected header, or isn't a list of names.
    pub fn check_connection(
        &self,
        headers: &HeaderMap,
        forwarding: &Forwarding,
    ) -> Result<(), Refusal> {
        for line in headers.get_all(CONNECTION) {
            if is_harmless(line) {
                continue;
            }
            let line = line
                .to_str()
                .map_err(|_| Refusal::Ambiguous(Ambiguity::Connection))?;
            for name in line.split(',').map(str::trim) {
                if self.protected.contains(name) || forwarding.is_identity(name) {
                    return Err(Refusal::Ambiguous(Ambiguity::Connection));
                }
            }
        }
        Ok(())
    }

    /// Looks at what a client expects before it is answered.
    ///
    /// # Errors
    /// [`Refusal::ExpectationUnknown`] for anything but `100-continue`.
    pub fn check_expectation(headers: &HeaderMap) -> Result<(), Refusal> {
        let known = |line: &HeaderValue| line.as_bytes().eq_ignore_ascii_case(b"100-continue");
        if headers.get_all(EXPECT).iter().all(known) {
            Ok(())
        } else {
            Err(Refusal::ExpectationUnknown)
        }
    }

    /// Makes the head of a judged request one for the next hop: strips, then sets. Neither target nor identity is touched.
    ///
    /// `te_trailers`: the upstream speaks HTTP/2, where `TE: trailers` is end to end in effect (gRPC asks for it).
    pub fn prepare(
        &self,
        head: &mut Head,
        peer: &Peer,
        request_id: &HeaderValue,
        te_trailers: bool,
    ) {
        let te_trailers = te_trailers && head.headers.get(TE).is_some_and(|te| te == "trailers");
        let host = host_of(head);
        let sent_host = head.headers.contains_key(HOST);
        let headers = &mut head.headers;
        // Room for what is set here and for an identity, so that the map grows once at most.
        headers.reserve(SET_HEADERS);
        strip_named(headers);
        if peer.trusted {
            self.from_trusted.strip(headers);
        } else {
            self.from_anybody.strip(headers);
        }
        if te_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if head.version == Version::HTTP_2 {
            join_cookies(headers);
        }
        tell_who_came(headers, peer, host.as_ref());
        headers.insert(X_REQUEST_ID, request_id.clone());
        // No `Connection` line can have named it away, so where the client sent one it is still there.
        if let (Some(host), false) = (host, sent_host) {
            headers.insert(HOST, host);
        }
    }

    /// Strips from a response what belongs to the upstream's connection, and a marker only Sidegate may set.
    pub fn clean_response(&self, headers: &mut HeaderMap) {
        if headers.contains_key(CONNECTION) {
            strip_named(headers);
        }
        // The length that counted was that of the chunks (RFC 9112 §6.3).
        if headers.remove(TRANSFER_ENCODING).is_some() {
            headers.remove(CONTENT_LENGTH);
        }
        self.from_upstream.strip(headers);
    }
}

/// The two values nearly every `Connection` line has.
fn is_harmless(line: &HeaderValue) -> bool {
    let line = line.as_bytes();
    line.eq_ignore_ascii_case(b"keep-alive")
        || line.eq_ignore_ascii_case(b"close")
        || line.eq_ignore_ascii_case(b"upgrade")
}

/// Removes every header that any `Connection` line names.
fn strip_named(headers: &mut HeaderMap) {
    let mut named: Vec<HeaderName> = Vec::new();
    for line in headers.get_all(CONNECTION) {
        if is_harmless(line) {
            continue;
        }
        named.extend(
            line.as_bytes()
                .split(|byte| *byte == b',')
                .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()),
        );
    }
    for name in named {
        headers.remove(name);
    }
}

/// `Host` as the client sent it; in HTTP/2 the target's authority stands for it.
fn host_of(head: &Head) -> Option<HeaderValue> {
    head.headers.get(HOST).cloned().or_else(|| {
        let authority = head.uri.authority()?;
        HeaderValue::from_str(authority.as_str()).ok()
    })
}

/// RFC 9113 §8.2.3: HTTP/2 may split cookies over lines; HTTP/1.1 knows one line only.
fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).iter();
    if lines.nth(1).is_none() {
        return;
    }
    let lines: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(b"; ".as_slice())) {
        headers.insert(COOKIE, joined);
    }
}

/// Sets `X-Forwarded-For/-Proto/-Host/-Port` and `Forwarded` (RFC 7239).
fn tell_who_came(headers: &mut HeaderMap, peer: &Peer, host: Option<&HeaderValue>) {
    let socket = peer.address.ip().to_canonical();
    // A trusted proxy whose chain led to nobody but itself said nothing that can be believed; it is replaced then.
    let believed = peer.trusted && peer.client_ip != socket;
    hop::with(socket, peer.tls, host, |hop| {
        chain(headers, X_FORWARDED_FOR, &hop.address, believed);
        chain(headers, FORWARDED, &hop.element, believed);
        let proto = HeaderValue::from_static(if peer.tls { "https" } else { "http" });
        for (name, value) in [
            (X_FORWARDED_PROTO, Some(&proto)),
            (X_FORWARDED_HOST, host),
            (X_FORWARDED_PORT, Some(&hop.port)),
        ] {
            let kept = believed && headers.get_all(&name).iter().count() == 1;
            if let (false, Some(value)) = (kept, value) {
                headers.insert(name, value.clone());
            }
        }
    });
}

/// Appends to the chain of a trusted proxy, or begins a new one.
fn chain(headers: &mut HeaderMap, name: HeaderName, element: &HeaderValue, believed: bool) {
    let mut whole = Vec::new();
    if believed {
        for line in headers.get_all(&name) {
            whole.extend_from_slice(line.as_bytes());
            whole.extend_from_slice(b", ");
        }
    }
    let value = if whole.is_empty() {
        Some(element.clone())
    } else {
        whole.extend_from_slice(element.as_bytes());
        HeaderValue::from_maybe_shared(bytes::Bytes::from(whole)).ok()
    };
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::net::http::PeerCertificate;

    fn forwarding() -> Forwarding {
        Forwarding::new(&[]).unwrap()
    }

    fn peer(trusted: bool) -> Peer {
        Peer {
            address: "192.0.2.1:4000".parse().unwrap(),
            client_ip: if trusted { "203.0.113.9" } else { "192.0.2.1" }
                .parse()
                .unwrap(),
            trusted,
            tls: true,
            listener: Arc::from("l"),
            certificate: PeerCertificate::Absent,
        }
    }

    fn head(headers: &[(&str, &str)]) -> Head {
        let mut builder = http::Request::builder().uri("/x");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn prepared(trusted: bool, headers: &[(&str, &str)]) -> HeaderMap {
        let mut head = head(headers);
        let id = HeaderValue::from_static("id");
        Rewrite::default().prepare(&mut head, &peer(trusted), &id, false);
        head.headers
    }

    #[test]
    fn claims_of_a_stranger_are_replaced() {
        let seen = prepared(
            false,
            &[
                ("host", "shop.example:8443"),
                ("x-forwarded-for", "6.6.6.6"),
                ("X_Forwarded_Proto", "http"),
                ("x-forwarded-prefix", "/admin"),
                ("x-original-url", "/admin"),
                ("forwarded", "for=6.6.6.6"),
                ("x-real-ip", "6.6.6.6"),
            ],
        );
        assert_eq!(seen["x-forwarded-for"], "192.0.2.1");
        assert_eq!(seen["x-forwarded-proto"], "https");
        assert_eq!(seen["x-forwarded-host"], "shop.example:8443");
        assert_eq!(seen["x-forwarded-port"], "8443");
        assert_eq!(
            seen["forwarded"],
            "for=192.0.2.1;host=\"shop.example:8443\";proto=https"
        );
        assert_eq!(seen.len(), 7, "{seen:?}");
    }

    #[test]
    fn a_trusted_proxys_chain_is_continued() {
        let seen = prepared(
            true,
            &[
                ("host", "shop.example"),
                ("x-forwarded-for", "203.0.113.9"),
                ("x-forwarded-for", "198.51.100.1"),
                ("x-forwarded-proto", "http"),
            ],
        );
        assert_eq!(
            seen["x-forwarded-for"],
            "203.0.113.9, 198.51.100.1, 192.0.2.1"
        );
        assert_eq!(seen["x-forwarded-proto"], "http");
        assert_eq!(seen["x-forwarded-port"], "443");
    }

    #[test]
    fn what_any_connection_line_names_stays_behind() {
        let seen = prepared(
            false,
            &[
                ("connection", "close, X-One"),
                ("connection", "x-two"),
                ("x-one", "1"),
                ("x-two", "2"),
                ("x-three", "3"),
                ("keep-alive", "timeout=5"),
                ("proxy-authorization", "x"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("http2-settings", "x"),
                ("x-http-method-override", "DELETE"),
                ("X_HTTP_Method", "DELETE"),
            ],
        );
        assert_eq!(seen["x-three"], "3");
        for gone in [
            "connection",
            "x-one",
            "x-two",
            "keep-alive",
            "te",
            "upgrade",
        ] {
            assert!(!seen.contains_key(gone), "{gone}");
        }
        assert!(!seen.keys().any(|name| name.as_str().contains("method")));
    }

    #[test]
    fn naming_a_protected_header_in_connection_is_ambiguous() {
        let rewrite = Rewrite::default();
        for line in [
            "Authorization",
            "close, X-Forwarded-User",
            "x_forwarded_for",
            "keep-alive,host",
            "X-Sidegate-User",
        ] {
            let head = head(&[("connection", "keep-alive"), ("connection", line)]);
            assert_eq!(
                rewrite.check_connection(&head.headers, &forwarding()),
                Err(Refusal::Ambiguous(Ambiguity::Connection)),
                "{line}"
            );
        }
        let fine = head(&[("connection", "Keep-Alive, Upgrade, X-Mine")]);
        assert_eq!(
            rewrite.check_connection(&fine.headers, &forwarding()),
            Ok(())
        );
    }

    #[test]
    fn cookies_split_by_http2_are_one_line_again() {
        let mut head = head(&[("cookie", "a=1"), ("cookie", "b=2")]);
        head.version = Version::HTTP_2;
        head.uri = "https://shop.example/x".parse().unwrap();
        let id = HeaderValue::from_static("id");
        Rewrite::default().prepare(&mut head, &peer(false), &id, false);
        assert_eq!(head.headers["cookie"], "a=1; b=2");
        assert_eq!(head.headers["host"], "shop.example");
    }

    #[test]
    fn a_response_loses_its_hop_and_any_false_marker() {
        let mut headers = head(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("x-sidegate-refusal", "no"),
            ("www-authenticate", "Basic"),
        ])
        .headers;
        Rewrite::default().clean_response(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("www-authenticate"));
    }

    #[test]
    fn the_length_of_chunks_is_not_told_twice() {
        let mut headers =
            head(&[("content-length", "3"), ("transfer-encoding", "chunked")]).headers;
        Rewrite::default().clean_response(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }

    proptest! {
        #[test]
        fn no_connection_line_removes_what_sidegate_sets(line in "[-a-zA-Z_, ]{0,40}") {
            let rewrite = Rewrite::default();
            let mut head = head(&[("host", "h"), ("connection", line.as_str())]);
            if rewrite.check_connection(&head.headers, &forwarding()).is_ok() {
                let id = HeaderValue::from_static("id");
                rewrite.prepare(&mut head, &peer(false), &id, false);
                for name in ["host", "x-forwarded-for", "forwarded", "x-request-id"] {
                    prop_assert!(head.headers.contains_key(name));
                }
                prop_assert!(!head.headers.contains_key("connection"));
            }
        }
    }
}
