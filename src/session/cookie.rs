//! The cookies of a session: their names, how a long value is split over several, and how they are found again.
//!
//! Always true: names belong to this public URL and prefix, so that two instances on one host don't overwrite each other; a
//! cookie that stands twice is none, because another host may have planted one of them; a value is read whole or not at
//! all, and its pieces are bounded.

use aws_lc_rs::digest;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::config::sso::{PublicUrl, Sso};

/// Bytes of one cookie's value at most: browsers keep 4096 bytes of name, value and attributes together.
const PIECE: usize = 3_600;
/// Cookies that one value is split over at most.
pub const MAX_PIECES: usize = 5;
/// Bytes of a value at most.
pub const MAX_VALUE: usize = PIECE * MAX_PIECES - 2;
/// Between the number of pieces and the first of them.
const COUNT: u8 = b'~';

/// Header lines for a response.
pub type Lines = Vec<(HeaderName, HeaderValue)>;

/// The cookies of one purpose: their names and attributes.
#[derive(Clone, Debug)]
pub struct CookieJar {
    /// Of the first piece, then of the others.
    names: Vec<String>,
    attributes: &'static str,
}

/// A value as it was found, in pieces.
#[derive(Clone, Debug, Default)]
pub struct Pieces<'h> {
    pieces: [&'h [u8]; MAX_PIECES],
    count: usize,
}

/// What was found under the names of a jar.
#[derive(Clone, Debug)]
pub enum Found<'h> {
    /// Nothing.
    Nothing,
    /// One value, whole.
    Value(Pieces<'h>),
    /// Something that counts for nothing.
    Unusable(Unusable),
}

/// Why a cookie counts for nothing, as a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It stands twice.
    Doubled,
    /// A piece is missing or too long.
    Incomplete,
    /// No key opens it.
    Unsealable,
}

impl Unusable {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Doubled, Self::Incomplete, Self::Unsealable];

    /// The label in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Doubled => "doubled",
            Self::Incomplete => "incomplete",
            Self::Unsealable => "unsealable",
        }
    }
}

impl CookieJar {
    /// The jar of the sessions of this instance.
    pub fn of_sessions(sso: &Sso) -> Self {
        let base = match &sso.session.cookie_name {
            Some(name) => name.clone(),
            None => format!("sidegate-session-{}", tag(&sso.public_url, &sso.prefix)),
        };
        Self::new(&base, &sso.public_url, SameSite::of(sso))
    }

    /// A jar of cookies with this name. Behind `https` it gets the prefix `__Host-`, for which browsers accept it only over TLS,
    /// from this very host and for all of it (RFC 6265bis §4.1.3.2).
    pub fn new(base: &str, public_url: &PublicUrl, same_site: SameSite) -> Self {
        let host = if public_url.secure { "__Host-" } else { "" };
        let name = |index: usize| match index {
            0 => format!("{host}{base}"),
            _ => format!("{host}{base}.{index}"),
        };
        Self {
            names: (0..MAX_PIECES).map(name).collect(),
            attributes: same_site.attributes(public_url.secure),
        }
    }

    /// Name of the first cookie.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// Whether a cookie of this name is one of the jar's.
    pub fn owns(&self, name: &[u8]) -> bool {
        self.index_of(name).is_some()
    }

    fn index_of(&self, name: &[u8]) -> Option<usize> {
        let first = self.names.first()?.as_bytes();
        // Most cookies of a request are not ours, and this tells it by one comparison.
        if !name.starts_with(first) {
            return None;
        }
        self.names.iter().position(|ours| ours.as_bytes() == name)
    }

    /// The value in a request.
    pub fn find<'h>(&self, headers: &'h HeaderMap) -> Found<'h> {
        let mut pieces: [Option<&'h [u8]>; MAX_PIECES] = [None; MAX_PIECES];
        for (name, value) in cookies(headers) {
            let Some(index) = self.index_of(name) else {
                continue;
            };
            if pieces[index].replace(value).is_some() {
                return Found::Unusable(Unusable::Doubled);
            }
        }
        let Some(first) = pieces[0] else {
            return Found::Nothing;
        };
        if first.is_empty() {
            return Found::Nothing;
        }
        let mut found = Pieces::default();
        let count = match first {
            [count @ b'2'..=b'9', COUNT, rest @ ..] => {
                pieces[0] = Some(rest);
                usize::from(count - b'0')
            }
            _ => 1,
        };
        for (index, slot) in found.pieces.iter_mut().enumerate().take(count) {
            match pieces.get(index).copied().flatten() {
                Some(piece) if piece.len() <= PIECE => *slot = piece,
                _ => return Found::Unusable(Unusable::Incomplete),
            }
        }
        if count > MAX_PIECES {
            return Found::Unusable(Unusable::Incomplete);
        }
        found.count = count;
        Found::Value(found)
    }

    /// The lines that give a browser this value, and that take the pieces of a longer one before it away, as far as `former`
    /// (a request's headers) shows any. `None` when it is too long, or holds what no cookie can.
    pub fn set(
        &self,
        value: &str,
        max_age: Option<u64>,
        former: Option<&HeaderMap>,
    ) -> Option<Lines> {
        if value.is_empty() || value.len() > MAX_VALUE || !value.is_ascii() {
            return None;
        }
        let mut lines = Lines::new();
        let mut rest = value;
        let count = match value.len() {
            0..=PIECE => 1,
            length => (length + 2).div_ceil(PIECE),
        };
        for (index, name) in self.names.iter().enumerate().take(count) {
            let counted = index == 0 && count > 1;
            let room = if counted { PIECE - 2 } else { PIECE };
            let (piece, left) = rest.split_at_checked(room).unwrap_or((rest, ""));
            rest = left;
            let mut line = Zeroizing::new(String::with_capacity(PIECE + 256));
            line.push_str(name);
            line.push('=');
            if counted {
                line.push_str(&format!("{count}~"));
            }
            line.push_str(piece);
            line.push_str(self.attributes);
            if let Some(max_age) = max_age {
                line.push_str(&format!("; Max-Age={max_age}"));
            }
            lines.push(sensitive(&line)?);
        }
        if let Some(headers) = former {
            lines.extend(self.clear_from(headers, count));
        }
        Some(lines)
    }

    /// The lines that take every cookie of the jar away that `headers` (a request's) hold, and the first one in any case.
    pub fn clear(&self, headers: &HeaderMap) -> Lines {
        let mut lines: Lines = self.expired(0).into_iter().collect();
        lines.extend(self.clear_from(headers, 1));
        lines
    }

    fn clear_from(&self, headers: &HeaderMap, from: usize) -> Lines {
        let mut present = [false; MAX_PIECES];
        for (name, _) in cookies(headers) {
            if let Some(index) = self.index_of(name) {
                present[index] = true;
            }
        }
        let gone = (from..MAX_PIECES).filter(|index| present[*index]);
        gone.filter_map(|index| self.expired(index)).collect()
    }

    fn expired(&self, index: usize) -> Option<(HeaderName, HeaderValue)> {
        let name = self.names.get(index)?;
        sensitive(&format!("{name}={}; Max-Age=0", self.attributes))
    }
}

/// When a browser sends a cookie along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// With requests of this site, and when somebody comes here from another.
    Lax,
    /// With requests of this site alone.
    Strict,
    /// With every request, but apart for every site that frames this one.
    Partitioned,
    /// With every request, a form posted by another site included.
    Everywhere,
}

impl SameSite {
    fn of(sso: &Sso) -> Self {
        if sso.session.partitioned && sso.public_url.secure {
            Self::Partitioned
        } else {
            Self::Lax
        }
    }

    const fn attributes(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Lax, true) => "; Path=/; HttpOnly; Secure; SameSite=Lax",
            (Self::Strict, true) => "; Path=/; HttpOnly; Secure; SameSite=Strict",
            (Self::Partitioned, true) => "; Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
            (Self::Everywhere, true) => "; Path=/; HttpOnly; Secure; SameSite=None",
            // Browsers take `None` over TLS only.
            (Self::Lax | Self::Partitioned | Self::Everywhere, false) => {
                "; Path=/; HttpOnly; SameSite=Lax"
            }
            (Self::Strict, false) => "; Path=/; HttpOnly; SameSite=Strict",
        }
    }
}

impl<'h> Pieces<'h> {
    /// The pieces in order.
    pub fn parts(&self) -> &[&'h [u8]] {
        self.pieces.get(..self.count).unwrap_or_default()
    }

    /// The value in one piece.
    pub fn joined(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.parts().concat())
    }
}

/// What the cookies around a login are for; after `sidegate-`, and before the tag of the instance.
pub const OF_A_LOGIN: [&str; 4] = ["login", "form", "last", "rounds"];

/// Whether a cookie of this name is one of those around a login, whichever instance set it.
pub fn is_of_a_login(name: &[u8]) -> bool {
    let name = name.strip_prefix(b"__Host-").unwrap_or(name);
    let Some(rest) = name.strip_prefix(b"sidegate-") else {
        return false;
    };
    OF_A_LOGIN.iter().any(|what| {
        rest.strip_prefix(what.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"-"))
    })
}

/// Eight hexadecimal digits that tell this instance from others on the same host.
pub fn tag(public_url: &PublicUrl, prefix: &str) -> String {
    let whole = format!("{} {prefix}", public_url.origin());
    let hash = digest::digest(&digest::SHA256, whole.as_bytes());
    hash.as_ref()
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Every pair of every `Cookie` line (RFC 6265 §4.2.1).
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(split)
}

fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    let pair = pair.trim_ascii();
    match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &[]),
    }
}

/// Removes cookies that `is_ours` knows by name from what travels on; others stay as they are.
pub fn strip(headers: &mut HeaderMap, is_ours: impl Fn(&[u8]) -> bool) {
    if !cookies(headers).any(|(name, _)| is_ours(name)) {
        return;
    }
    let lines: Vec<HeaderValue> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| {
            let rest: Vec<&[u8]> = line
                .as_bytes()
                .split(|byte| *byte == b';')
                .filter(|pair| !is_ours(split(pair).0))
                .map(<[u8]>::trim_ascii)
                .filter(|pair| !pair.is_empty())
                .collect();
            HeaderValue::from_bytes(&rest.join(&b"; "[..]))
                .ok()
                .filter(|value| !value.is_empty())
        })
        .collect();
    headers.remove(COOKIE);
    for line in lines {
        headers.append(COOKIE, line);
    }
}

fn sensitive(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(line).ok()?;
    value.set_sensitive(true);
    Some((SET_COOKIE, value))
}

/// What a request's cookie says of its session.
#[derive(Clone, Copy, Debug)]
pub(super) struct InCookie {
    pub(super) generation: u64,
    pub(super) active: u64,
    pub(super) aged: bool,
}

impl InCookie {
    /// A cookie with an id says nothing that could be out of date but its key.
    pub(super) fn id(aged: bool) -> Option<Self> {
        Some(Self {
            generation: u64::MAX,
            active: u64::MAX,
            aged,
        })
    }
}

#[cfg(test)]
mod tests;
