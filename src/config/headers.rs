//! Methods that routes match, and header names that carry an identity.
//!
//! A header that already means something to HTTP, to browsers, to Elasticsearch or to Sidegate never carries an identity.

use super::values::{Value, ValueError};

/// An HTTP method, upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method(pub String);

/// A header name that can carry an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeader(pub String);

/// Methods of RFC 9110, RFC 5789 and WebDAV that a route can sensibly take.
pub const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
];

impl Value for Method {
    const NAME: &'static str = "Method";
    const ALLOWED: &'static str = "an HTTP method in upper case, other than `CONNECT` and `TRACE`";
    const EXAMPLES: &'static [&'static str] = &["GET", "HEAD", "POST"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty()
            || text.len() > 32
            || !text
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
        {
            return Err(ValueError::new("it is no method"));
        }
        let upper = text.to_ascii_uppercase();
        if matches!(upper.as_str(), "CONNECT" | "TRACE" | "TRACK") {
            return Err(ValueError::new("this method is always refused"));
        }
        if upper != text {
            return Err(
                ValueError::new("methods are case-sensitive").with_hint(format!("`{upper}`"))
            );
        }
        Ok(Self(upper))
    }
}

impl Value for IdentityHeader {
    const NAME: &'static str = "IdentityHeader";
    const ALLOWED: &'static str =
        "a header name of letters, digits and `-`, at most 64, that nothing else uses";
    const EXAMPLES: &'static [&'static str] = &["X-Forwarded-User", "X-Department"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(inside) {
            return Err(ValueError::new("it is no header name"));
        }
        if text.contains('_') {
            // CGI-like servers fold `_` and `-` together, many proxies drop names with `_`: only one spelling is safe.
            return Err(
                ValueError::new("it holds `_`").with_hint(format!("`{}`", text.replace('_', "-")))
            );
        }
        if !text.starts_with(|letter: char| letter.is_ascii_alphabetic()) || text.ends_with('-') {
            return Err(ValueError::new(
                "it does not begin with a letter, or ends with `-`",
            ));
        }
        if is_protected(&text.to_ascii_lowercase()) {
            return Err(ValueError::new("HTTP or Sidegate itself uses this header"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A choice of header, or `none` to leave the field out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderChoice(pub Option<IdentityHeader>);

impl Value for HeaderChoice {
    const NAME: &'static str = "IdentityHeaderOrNone";
    const ALLOWED: &'static str = "a header name of letters, digits and `-`, at most 64, that nothing else uses; or `none` to leave this field out";
    const EXAMPLES: &'static [&'static str] = &["X-Forwarded-User", "none"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "none" {
            return Ok(Self(None));
        }
        IdentityHeader::parse(text).map(|header| Self(Some(header)))
    }
}

/// A header that a signed assertion can travel in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionHeader(pub String);

impl Value for AssertionHeader {
    const NAME: &'static str = "AssertionHeader";
    const ALLOWED: &'static str = "`Authorization`, `X-Sidegate-Assertion`, or a header name of letters, digits and `-`, at most 64, that nothing else uses";
    const EXAMPLES: &'static [&'static str] = &["X-Sidegate-Assertion", "Authorization"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        let own = ["authorization", "x-sidegate-assertion"];
        if own.iter().any(|name| text.eq_ignore_ascii_case(name)) {
            return Ok(Self(text.to_owned()));
        }
        IdentityHeader::parse(text).map(|header| Self(header.0))
    }
}

/// Headers that mean something to HTTP, to browsers, to Elasticsearch or to Sidegate, in lower case.
fn is_protected(name: &str) -> bool {
    const EXACT: &[&str] = &[
        "accept",
        "age",
        "allow",
        "alt-svc",
        "authorization",
        "cache-control",
        "connection",
        "cookie",
        "date",
        "etag",
        "expect",
        "expires",
        "forwarded",
        "from",
        "host",
        "http2-settings",
        "keep-alive",
        "last-modified",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "range",
        "referer",
        "server",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "upgrade-insecure-requests",
        "user-agent",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-method",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-forwarded-uri",
        "x-real-ip",
        "x-request-id",
        "x-http-method-override",
        "x-method-override",
        "x-http-method",
        "traceparent",
        "tracestate",
    ];
    const PREFIXES: &[&str] = &[
        "accept-",
        "access-control-",
        "content-",
        "es-",
        "if-",
        "proxy-",
        "sec-",
        "sidegate-",
        "x-sidegate-",
        "x-elastic-",
        "x-original-",
        "x-rewrite-",
    ];
    EXACT.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_upper_case_and_harmless() {
        assert!(Method::parse("PROPFIND").is_ok());
        assert_eq!(
            Method::parse("get").unwrap_err().hint.as_deref(),
            Some("`GET`")
        );
        for wrong in ["", "CONNECT", "TRACE", "trace", "GET ", "G T"] {
            assert!(Method::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn identity_headers_are_never_headers_with_another_meaning() {
        for right in ["X-Forwarded-User", "Remote-User", "X-Dept2"] {
            assert!(IdentityHeader::parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "Host",
            "AUTHORIZATION",
            "Content-Length",
            "x-forwarded-for",
            "X_User",
            "X.User",
            "X User",
            "es-security-runas-user",
            "Sec-Fetch-Mode",
            "-x",
            "x-",
            "1x",
            "Bücher",
        ] {
            assert!(IdentityHeader::parse(wrong).is_err(), "{wrong}");
        }
    }
}
