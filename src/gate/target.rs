//! One reading of a request's target: canonical path, host and query, or a refusal (R-16…R-20).
//!
//! Always true: the path that is matched is the path that is forwarded; canonical form is a fixed point; two spellings of
//! one path compare equal segment by segment after decoding; the query is carried as sent and never matched. Nothing is
//! allocated for a target that is canonical as sent.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Uri};
use percent_encoding::percent_decode;

use crate::net::http::Head;

use super::refusal::{Ambiguity, Refusal};

/// Headers that may stand once: a second one would let us judge one value and the upstream use another.
const SINGLETONS: [HeaderName; 3] = [header::HOST, header::AUTHORIZATION, header::CONTENT_LENGTH];

/// A target with exactly one reading.
#[derive(Clone, Debug)]
pub struct Target {
    uri: Uri,
    host: Host,
}

impl Target {
    /// Reads the target of a request.
    ///
    /// # Errors
    /// [`Refusal::MethodNotAllowed`] for `CONNECT` and `TRACE`; [`Refusal::Ambiguous`] for anything with more than one reading.
    pub fn parse(head: &Head) -> Result<Self, Refusal> {
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            return Err(Refusal::MethodNotAllowed);
        }
        Self::read(head).map_err(Refusal::Ambiguous)
    }

    fn read(head: &Head) -> Result<Self, Ambiguity> {
        check_singletons(&head.headers)?;
        let host = host_of(head)?;
        let given = head.uri.path_and_query().ok_or(Ambiguity::Target)?;
        let canonical = canonical_path(given.path())?;
        let path_and_query = match (&canonical, given.query()) {
            (Cow::Borrowed(_), _) => given.clone(),
            (Cow::Owned(path), None) => path_from(path.clone())?,
            (Cow::Owned(path), Some(query)) => path_from(format!("{path}?{query}"))?,
        };
        Ok(Self {
            uri: Uri::from(path_and_query),
            host,
        })
    }

    /// The same path with another query.
    pub(super) fn with_query(self, query: Option<&str>) -> Result<Self, Refusal> {
        let text = match query {
            Some(query) => format!("{}?{query}", self.path()),
            None => self.path().to_owned(),
        };
        let path_and_query = path_from(text).map_err(Refusal::Ambiguous)?;
        Ok(Self {
            uri: Uri::from(path_and_query),
            ..self
        })
    }

    /// Canonical path and query, in origin form.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The canonical path.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Canonical host: lower case, without port and trailing dot.
    pub fn host(&self) -> &str {
        self.host.as_str()
    }

    /// The path's segments, decoded. A trailing slash makes no segment: `/a/` is matched like `/a`, because many upstreams
    /// treat them alike and no looser rule may apply to one of them. What is forwarded keeps it.
    pub fn segments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        segments(self.path())
    }

    /// Takes the target apart, for the permit.
    pub(super) fn into_parts(self) -> (Uri, Host) {
        (self.uri, self.host)
    }
}

/// Decoded segments of a canonical path.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    (!inner.is_empty())
        .then(|| inner.split('/'))
        .into_iter()
        .flatten()
        .map(decoded)
}

/// A canonical path decodes to UTF-8; one that doesn't is kept as it is, which matches nothing it should not.
fn decoded(segment: &str) -> Cow<'_, str> {
    if segment.contains('%') {
        percent_decode(segment.as_bytes())
            .decode_utf8()
            .unwrap_or(Cow::Borrowed(segment))
    } else {
        Cow::Borrowed(segment)
    }
}

fn path_from(path: String) -> Result<PathAndQuery, Ambiguity> {
    PathAndQuery::from_maybe_shared(Bytes::from(path)).map_err(|_| Ambiguity::Path)
}

fn check_singletons(headers: &HeaderMap) -> Result<(), Ambiguity> {
    for name in &SINGLETONS {
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(match *name {
                header::HOST => Ambiguity::Host,
                header::AUTHORIZATION => Ambiguity::Credentials,
                _ => Ambiguity::Framing,
            });
        }
    }
    Ok(())
}

/// A host that is canonical without being copied where the client wrote it canonically.
#[derive(Clone, Debug)]
pub(super) enum Host {
    /// The first bytes of a `Host` line.
    Header(HeaderValue, usize),
    /// The first bytes of `:authority`.
    Authority(Authority, usize),
    /// A canonical copy.
    Owned(String),
}

impl Host {
    pub(super) fn as_str(&self) -> &str {
        match self {
            // Both were checked to be ASCII of that length when they were made.
            Self::Header(value, end) => value
                .as_bytes()
                .get(..*end)
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default(),
            Self::Authority(authority, end) => authority.as_str().get(..*end).unwrap_or_default(),
            Self::Owned(host) => host,
        }
    }
}

/// The one host of a request: from `Host`, from `:authority` or an absolute target, or from both when they agree.
fn host_of(head: &Head) -> Result<Host, Ambiguity> {
    let line = head.headers.get(header::HOST);
    let authority = match (head.uri.scheme_str(), head.uri.authority()) {
        (None, None) => None,
        (Some("http" | "https"), Some(authority)) => Some(authority),
        _ => return Err(Ambiguity::Target),
    };
    match (line, authority) {
        (Some(line), None) => {
            let (host, _) = split_host(text_of(line)?)?;
            Ok(match canonical_host(host)? {
                Cow::Borrowed(host) => Host::Header(line.clone(), host.len()),
                Cow::Owned(host) => Host::Owned(host),
            })
        }
        (line, Some(authority)) => {
            let (host, port) = split_host(authority.as_str())?;
            let canonical = canonical_host(host)?;
            if let Some(line) = line {
                let (other, other_port) = split_host(text_of(line)?)?;
                let default = if head.uri.scheme_str() == Some("https") {
                    443
                } else {
                    80
                };
                if canonical_host(other)? != canonical
                    || port.unwrap_or(default) != other_port.unwrap_or(default)
                {
                    return Err(Ambiguity::Host);
                }
            }
            Ok(match canonical {
                Cow::Borrowed(host) => Host::Authority(authority.clone(), host.len()),
                Cow::Owned(host) => Host::Owned(host),
            })
        }
        (None, None) => Err(Ambiguity::Host),
    }
}

fn text_of(value: &HeaderValue) -> Result<&str, Ambiguity> {
    value.to_str().map_err(|_| Ambiguity::Host)
}

/// `host[:port]`, with brackets kept on IPv6 addresses. User information is refused with every other odd byte later.
fn split_host(text: &str) -> Result<(&str, Option<u16>), Ambiguity> {
    let end = if text.starts_with('[') {
        text.find(']').ok_or(Ambiguity::Host)? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(end);
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok((host, None)),
        Some(port) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port = port.parse().map_err(|_| Ambiguity::Host)?;
            Ok((host, Some(port)))
        }
        _ => Err(Ambiguity::Host),
    }
}

/// Lower case, without one trailing dot; refuses what is neither a name nor an address.
fn canonical_host(host: &str) -> Result<Cow<'_, str>, Ambiguity> {
    let bare = host.strip_suffix('.').unwrap_or(host);
    let sane = match bare.strip_prefix('[') {
        Some(rest) => {
            bare == host
                && rest
                    .strip_suffix(']')
                    .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        }
        None => {
            !bare.is_empty()
                && bare.len() <= 253
                && bare.split('.').all(|label| !label.is_empty())
                && bare
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        }
    };
    if !sane {
        return Err(Ambiguity::Host);
    }
    Ok(if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(bare.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bare)
    })
}

/// Bytes that stand for themselves in a canonical path: RFC 3986's `pchar` and `/`, without `;` and `%`.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let plain = b"-._~!$&'()*+,=:@/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut at = 0;
    while at < plain.len() {
        table[plain[at] as usize] = true;
        at += 1;
    }
    table
};

/// The canonical form of a path: escapes of unreserved characters decoded, all others in upper case, dot segments
/// resolved.
///
/// # Errors
/// [`Ambiguity::Path`] for encoded separators (`%2f %5c %3b %23 %3f`), `\`, `;`, ASCII control characters, `//`, invalid UTF-8
/// after decoding, and for `..` above the root.
pub fn canonical_path(path: &str) -> Result<Cow<'_, str>, Ambiguity> {
    if !path.starts_with('/') {
        return Err(Ambiguity::Target);
    }
    let mut plain = true;
    let mut before = 0;
    for byte in path.bytes() {
        if before == b'/' {
            if byte == b'/' {
                return Err(Ambiguity::Path);
            }
            // Perhaps a dot segment; names like `.well-known` take the longer way and come out unchanged.
            plain &= byte != b'.';
        }
        plain &= PLAIN[byte as usize];
        before = byte;
    }
    if plain {
        return Ok(Cow::Borrowed(path));
    }
    let resolved = resolve_dots(&unify_escapes(path)?)?;
    Ok(if resolved == path {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(resolved)
    })
}

fn unify_escapes(path: &str) -> Result<String, Ambiguity> {
    let bytes = path.as_bytes();
    let mut unified = String::with_capacity(path.len() + 8);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let high = bytes.get(at + 1).and_then(|digit| hex(*digit));
            let low = bytes.get(at + 2).and_then(|digit| hex(*digit));
            let (Some(high), Some(low)) = (high, low) else {
                return Err(Ambiguity::Path);
            };
            push_escaped(&mut unified, high << 4 | low)?;
            at += 3;
            continue;
        }
        if PLAIN[byte as usize] {
            unified.push(char::from(byte));
        } else {
            push_escaped(&mut unified, byte)?;
        }
        at += 1;
    }
    if percent_decode(unified.as_bytes()).decode_utf8().is_err() {
        return Err(Ambiguity::Path);
    }
    Ok(unified)
}

/// Adds a byte that was escaped, or has to be.
fn push_escaped(unified: &mut String, byte: u8) -> Result<(), Ambiguity> {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    match byte {
        0..=0x1f | 0x7f | b'/' | b'\\' | b';' | b'#' | b'?' => return Err(Ambiguity::Path),
        b'-' | b'.' | b'_' | b'~' => unified.push(char::from(byte)),
        _ if byte.is_ascii_alphanumeric() => unified.push(char::from(byte)),
        _ => {
            unified.push('%');
            unified.push(DIGITS[usize::from(byte >> 4)]);
            unified.push(DIGITS[usize::from(byte & 15)]);
        }
    }
    Ok(())
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// RFC 3986 §5.2.4, but `..` above the root is refused instead of dropped: no honest client sends it.
fn resolve_dots(path: &str) -> Result<String, Ambiguity> {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_dots = false;
    for segment in path.split('/').skip(1) {
        ends_in_dots = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop().ok_or(Ambiguity::Path)?;
            }
            segment => kept.push(segment),
        }
    }
    let mut resolved = String::with_capacity(path.len());
    for segment in &kept {
        resolved.push('/');
        resolved.push_str(segment);
    }
    if ends_in_dots || kept.is_empty() {
        resolved.push('/');
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests;
