//! One credential as it stands in a request, not yet decoded.
//!
//! Always true: nothing is decoded or copied before it is needed, so a cache hit only looks at bytes; what can't be read is
//! refused without asking anybody; no part of a credential is ever dropped, trimmed or cut.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::gate::claim::{Claim, Proof};
use crate::gate::refusal::{Ambiguity, Refusal};
use crate::model::certificate::CertificateChain;
use crate::model::credential::{Credential, Fingerprint, FingerprintKey, Scheme};
use crate::model::secret::Secret;

/// Bytes of a credential at most; the largest JWTs stay below.
const MAX_CREDENTIAL: usize = 16 * 1024;
/// Bytes of a Kerberos ticket at most: base64 of Windows' `MaxTokenSize`.
const MAX_TICKET: usize = 64 * 1024;

/// Whether `Negotiate` is a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Negotiate {
    /// It is.
    Understood,
    /// It is as unknown as any other.
    Unknown,
}

/// A credential where it was found.
#[derive(Clone)]
pub struct Presented<'a> {
    scheme: Scheme,
    what: What<'a>,
    /// The user to act as.
    run_as: Option<&'a str>,
}

#[derive(Clone)]
enum What<'a> {
    /// Bytes of the scheme, as sent.
    Token(&'a [u8]),
    /// The same, in `Authorization`.
    InLine(&'a [u8], &'a HeaderValue),
    /// The same, decoded out of a query.
    Decoded(Arc<Zeroizing<Vec<u8>>>),
    /// A ticket; each is good once.
    Ticket(&'a [u8]),
    /// What stands for a ticket that was exchanged before.
    Handle(&'a [u8]),
    /// A verified certificate.
    Certificate(&'a Arc<CertificateChain>),
    /// The route's own credential for those who bring none, with the bytes it is known by.
    Fixed(&'a Credential, Scheme, &'a Secret),
    /// Nothing, which the authority has a name for.
    Nobody,
}

impl<'a> Presented<'a> {
    /// Reads the one `Authorization` line (RFC 9110 §11.6.2); `None` when there is none.
    ///
    /// # Errors
    /// [`Refusal::Ambiguous`] for more than one credential, [`Refusal::MalformedCredential`] for what can't be read.
    pub fn find(headers: &'a HeaderMap, negotiate: Negotiate) -> Result<Option<Self>, Refusal> {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        if lines.next().is_some() {
            return Err(Refusal::Ambiguous(Ambiguity::Credentials));
        }
        Self::parse(line, negotiate).map(Some)
    }

    fn parse(line: &'a HeaderValue, negotiate: Negotiate) -> Result<Self, Refusal> {
        let (name, token) = split(line.as_bytes());
        let Some(scheme) = scheme_named(name, negotiate) else {
            return Err(Refusal::MalformedCredential { scheme: None });
        };
        // `Basic x, Bearer y`: two credentials in one line. No token holds a comma.
        if token.contains(&b',') {
            return Err(Refusal::Ambiguous(Ambiguity::Credentials));
        }
        if !is_readable(scheme, token) {
            return Err(malformed(scheme));
        }
        let what = match scheme {
            Scheme::Kerberos => What::Ticket(token),
            _ => What::InLine(token, line),
        };
        Ok(Self::new(scheme, what))
    }

    const fn new(scheme: Scheme, what: What<'a>) -> Self {
        Self {
            scheme,
            what,
            run_as: None,
        }
    }

    /// An API key that stands in a header of its own.
    ///
    /// # Errors
    /// [`Refusal::MalformedCredential`] for what can't be one.
    pub fn api_key(token: &'a [u8]) -> Result<Self, Refusal> {
        if !is_readable(Scheme::ApiKey, token) {
            return Err(malformed(Scheme::ApiKey));
        }
        Ok(Self::new(Scheme::ApiKey, What::Token(token)))
    }

    /// An API key out of a query, percent-decoded.
    ///
    /// # Errors
    /// [`Refusal::MalformedCredential`] for what can't be one.
    pub fn decoded_api_key(token: Cow<'a, [u8]>) -> Result<Self, Refusal> {
        match token {
            Cow::Borrowed(token) => Self::api_key(token),
            Cow::Owned(token) => {
                let token = Zeroizing::new(token);
                if !is_readable(Scheme::ApiKey, &token) {
                    return Err(malformed(Scheme::ApiKey));
                }
                Ok(Self::new(Scheme::ApiKey, What::Decoded(Arc::new(token))))
            }
        }
    }

    /// The access token of a session.
    pub const fn session(token: &'a [u8]) -> Self {
        Self::new(Scheme::Session, What::Token(token))
    }

    /// A verified certificate.
    pub const fn certificate(chain: &'a Arc<CertificateChain>) -> Self {
        Self::new(Scheme::Certificate, What::Certificate(chain))
    }

    /// What stands for a ticket exchanged before.
    pub const fn handle(handle: &'a [u8]) -> Self {
        Self::new(Scheme::Kerberos, What::Handle(handle))
    }

    /// A route's own credential, and what it is known by.
    pub const fn fixed(credential: &'a Credential, scheme: Scheme, known_by: &'a Secret) -> Self {
        Self::new(Scheme::Anonymous, What::Fixed(credential, scheme, known_by))
    }

    /// Nothing, on a route where the authority's anonymous user will do.
    pub const fn nobody() -> Self {
        Self::new(Scheme::Anonymous, What::Nobody)
    }

    /// The same, acting as another user.
    pub const fn running_as(mut self, username: Option<&'a str>) -> Self {
        self.run_as = username;
        self
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user to act as.
    pub fn run_as(&self) -> Option<&'a str> {
        self.run_as
    }

    /// The line of `Authorization` that it is, unless it can only be used once.
    pub(in crate::gate) fn line(&self) -> Option<&'a HeaderValue> {
        match self.what {
            What::InLine(_, line) => Some(line),
            _ => None,
        }
    }

    /// The ticket to exchange, if that is what it is.
    pub fn ticket(&self) -> Option<&'a [u8]> {
        match self.what {
            What::Ticket(ticket) => Some(ticket),
            _ => None,
        }
    }

    /// What the credential is cached under: its scheme, however spelled, every byte of it, and the user to act as. The key is
    /// random per gate, so neither another process nor another generation of the configuration shares a fingerprint.
    pub fn fingerprint(&self, key: &FingerprintKey) -> Fingerprint {
        let label = self.scheme.label().as_bytes();
        match (&self.what, self.run_as) {
            // The common case, without a list on the heap.
            (What::Token(token) | What::InLine(token, _), None) => key.fingerprint(&[label, token]),
            (_, None) => key.fingerprint(&self.parts()),
            (_, Some(username)) => {
                let mut parts = self.parts().to_vec();
                parts.extend([&b"run_as"[..], username.as_bytes()]);
                key.fingerprint(&parts)
            }
        }
    }

    /// What the token that it is exchanged for is kept under: whomever it acts as, it is the same token.
    pub fn token_fingerprint(&self, key: &FingerprintKey) -> Fingerprint {
        key.fingerprint(&self.parts())
    }

    fn parts(&self) -> Vec<&[u8]> {
        let label = self.scheme.label().as_bytes();
        match &self.what {
            What::Token(token) | What::InLine(token, _) => vec![label, token],
            What::Decoded(token) => vec![label, token],
            What::Ticket(ticket) => vec![label, b"ticket", ticket],
            What::Handle(handle) => vec![label, b"handle", handle],
            What::Certificate(chain) => vec![label, chain.sha256()],
            What::Fixed(_, scheme, known_by) => {
                vec![label, scheme.label().as_bytes(), known_by.expose()]
            }
            What::Nobody => vec![label],
        }
    }

    /// Decodes the credential into what can be asked about.
    ///
    /// # Errors
    /// [`Refusal::MalformedCredential`] when the authority could not read it either.
    pub(in crate::gate) fn claim(&self, key: &FingerprintKey) -> Result<Claim, Refusal> {
        let proof = match &self.what {
            What::Token(token) | What::InLine(token, _) => Proof::Direct(self.decoded(token)?),
            What::Decoded(token) => Proof::Direct(self.decoded(token)?),
            What::Certificate(chain) => Proof::Certificate {
                chain: Arc::clone(chain),
                held: self.token_fingerprint(key),
            },
            What::Handle(_) => Proof::Exchanged {
                held: self.token_fingerprint(key),
            },
            What::Fixed(credential, ..) => Proof::Direct(Credential::clone(credential)),
            What::Nobody => Proof::Nobody,
            // Exchanged where it is found, and never looked up.
            What::Ticket(_) => return Err(malformed(self.scheme)),
        };
        Ok(Claim {
            scheme: self.scheme,
            proof,
            run_as: self.run_as.map(str::to_owned),
        })
    }

    fn decoded(&self, token: &[u8]) -> Result<Credential, Refusal> {
        decode(self.scheme, token).ok_or_else(|| malformed(self.scheme))
    }
}

/// Name of the scheme and token of an `Authorization` line.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| *byte == b' ');
    match end.and_then(|end| line.split_at_checked(end)) {
        Some((name, rest)) => (name, rest.get(1..).unwrap_or_default()),
        None => (line, &[][..]),
    }
}

/// Decodes a line of `Authorization` that was found to be of this scheme.
pub(in crate::gate) fn decode_line(scheme: Scheme, line: &[u8]) -> Option<Credential> {
    decode(scheme, split(line).1)
}

/// What a bearer token is cached under.
pub(in crate::gate) fn bearer_fingerprint(token: &[u8], key: &FingerprintKey) -> Fingerprint {
    Presented::new(Scheme::Bearer, What::Token(token)).fingerprint(key)
}

/// Decodes the token of a scheme; `None` when it can't be read.
pub fn decode(scheme: Scheme, token: &[u8]) -> Option<Credential> {
    match scheme {
        Scheme::Bearer | Scheme::Session => Some(Credential::Bearer(Secret::new(token))),
        Scheme::ApiKey => api_key_id(token).map(|_| Credential::ApiKey(Secret::new(token))),
        Scheme::Basic => basic(token),
        Scheme::Certificate | Scheme::Kerberos | Scheme::Anonymous => None,
    }
}

fn is_readable(scheme: Scheme, token: &[u8]) -> bool {
    let most = match scheme {
        Scheme::Kerberos => MAX_TICKET,
        _ => MAX_CREDENTIAL,
    };
    !token.is_empty()
        && token.len() <= most
        && token.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
        })
}

/// The id of an API key credential: what stands before the colon of `base64(id:secret)`.
pub fn api_key_id(encoded: &[u8]) -> Option<String> {
    let decoded = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let text = std::str::from_utf8(&decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    let sane = !id.is_empty() && !secret.is_empty() && !text.contains(|c: char| c.is_control());
    sane.then(|| id.to_owned())
}

/// When a bearer token that looks like a JWT says it expires, in time since the Unix epoch. Nothing is verified: the value may
/// only be used to shorten how long an answer is remembered.
pub fn unverified_expiry(token: &[u8]) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    // Out of range or negative is no expiry we could use; the ttl bounds it all the same.
    Duration::try_from_secs_f64(claims.exp).ok()
}

fn scheme_named(name: &[u8], negotiate: Negotiate) -> Option<Scheme> {
    if name.eq_ignore_ascii_case(b"basic") {
        Some(Scheme::Basic)
    } else if name.eq_ignore_ascii_case(b"bearer") {
        Some(Scheme::Bearer)
    } else if name.eq_ignore_ascii_case(b"apikey") {
        Some(Scheme::ApiKey)
    } else if negotiate == Negotiate::Understood && name.eq_ignore_ascii_case(b"negotiate") {
        Some(Scheme::Kerberos)
    } else {
        None
    }
}

const fn malformed(scheme: Scheme) -> Refusal {
    Refusal::MalformedCredential {
        scheme: Some(scheme),
    }
}

/// RFC 7617 §2: the first colon splits, control characters are not allowed, the charset is UTF-8.
fn basic(token: &[u8]) -> Option<Credential> {
    let decoded = Zeroizing::new(STANDARD.decode(token).ok()?);
    let text = std::str::from_utf8(&decoded).ok()?;
    if text.contains(|c: char| c.is_ascii_control()) {
        return None;
    }
    let (username, password) = text.split_once(':')?;
    (!username.is_empty()).then(|| Credential::Basic {
        username: username.to_owned(),
        password: Secret::new(password),
    })
}

#[cfg(test)]
mod tests;
