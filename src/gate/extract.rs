//! Exactly one credential from a request's headers, or a refusal.
//!
//! Always true: nothing is decoded or copied before it is needed, so a cache hit only looks at bytes; what can't be read is
//! refused without asking anybody; no part of a credential is ever dropped, trimmed or cut. A new scheme is a new arm here and
//! in [`Scheme`].

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::model::credential::{Credential, Fingerprint, FingerprintKey, Scheme};
use crate::model::secret::Secret;

use super::refusal::{Ambiguity, Refusal};

/// Bytes of a credential at most; the largest JWTs and Kerberos tickets stay below.
const MAX_CREDENTIAL: usize = 16 * 1024;

/// A credential as it stands in the header, not yet decoded.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    scheme: Scheme,
    token: &'a [u8],
}

impl<'a> Presented<'a> {
    /// Reads the one `Authorization` line (RFC 9110 §11.6.2); `None` when there is none.
    ///
    /// # Errors
    /// [`Refusal::Ambiguous`] for more than one credential, [`Refusal::MalformedCredential`] for what can't be read.
    pub fn find(headers: &'a HeaderMap) -> Result<Option<Self>, Refusal> {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        if lines.next().is_some() {
            return Err(Refusal::Ambiguous(Ambiguity::Credentials));
        }
        Self::parse(line.as_bytes()).map(Some)
    }

    fn parse(line: &'a [u8]) -> Result<Self, Refusal> {
        let end = line.iter().position(|byte| *byte == b' ');
        let (name, token) = match end.and_then(|end| line.split_at_checked(end)) {
            Some((name, rest)) => (name, rest.get(1..).unwrap_or_default()),
            None => (line, &[][..]),
        };
        let Some(scheme) = scheme_named(name) else {
            return Err(Refusal::MalformedCredential { scheme: None });
        };
        // `Basic x, Bearer y`: two credentials in one line. No token holds a comma.
        if token.contains(&b',') {
            return Err(Refusal::Ambiguous(Ambiguity::Credentials));
        }
        let readable = !token.is_empty()
            && token.len() <= MAX_CREDENTIAL
            && token.iter().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
            });
        if !readable {
            return Err(malformed(scheme));
        }
        Ok(Self { scheme, token })
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What the credential is cached under: its scheme, however spelled, and every byte of it. The key is random per gate,
    /// so neither another process nor another generation of the configuration shares a fingerprint.
    pub fn fingerprint(&self, key: &FingerprintKey) -> Fingerprint {
        key.fingerprint(&[self.scheme.label().as_bytes(), self.token])
    }

    /// Decodes the credential.
    ///
    /// # Errors
    /// [`Refusal::MalformedCredential`] when the authority could not read it either.
    pub fn credential(&self) -> Result<Credential, Refusal> {
        let fault = || malformed(self.scheme);
        match self.scheme {
            Scheme::Bearer => Ok(Credential::Bearer(Secret::new(self.token))),
            Scheme::ApiKey => match api_key_id(self.token) {
                Some(_) => Ok(Credential::ApiKey(Secret::new(self.token))),
                None => Err(fault()),
            },
            Scheme::Basic => basic(self.token).ok_or_else(fault),
        }
    }
}

/// What a bearer token is cached under.
pub(super) fn bearer_fingerprint(token: &[u8], key: &FingerprintKey) -> Fingerprint {
    Presented {
        scheme: Scheme::Bearer,
        token,
    }
    .fingerprint(key)
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

fn scheme_named(name: &[u8]) -> Option<Scheme> {
    if name.eq_ignore_ascii_case(b"basic") {
        Some(Scheme::Basic)
    } else if name.eq_ignore_ascii_case(b"bearer") {
        Some(Scheme::Bearer)
    } else if name.eq_ignore_ascii_case(b"apikey") {
        Some(Scheme::ApiKey)
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
mod tests {
    use super::*;

    fn find(lines: &[&[u8]]) -> Result<Option<(Scheme, Fingerprint)>, Refusal> {
        thread_local!(static KEY: FingerprintKey = FingerprintKey::random());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                "authorization",
                http::HeaderValue::from_bytes(line).unwrap(),
            );
        }
        let found = Presented::find(&headers)?;
        found
            .map(|presented| {
                presented.credential()?;
                Ok((
                    presented.scheme(),
                    KEY.with(|key| presented.fingerprint(key)),
                ))
            })
            .transpose()
    }

    fn basic_of(pair: &[u8]) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(pair)).into_bytes()
    }

    #[test]
    fn no_header_is_no_credential() {
        assert!(find(&[]).unwrap().is_none());
    }

    #[test]
    fn undecodable_credentials_are_malformed() {
        let huge = format!("Basic {}", "A".repeat(1_000_000));
        for line in [
            &b""[..],
            b"Basic",
            b"Basic ",
            b"Basic  YTpi",
            b"Basic\tYTpi",
            b"Basic !!!!",
            b"Basic YTpi=",
            b"Basic YTp",
            b"Basic YWI=",
            b"Basic YTpi YTpi",
            b"Bearer ",
            b"Bearer a b",
            b"ApiKey abc",
            b"ApiKey YWI=",
            b"ApiKey OmI=",
            b"Digest x",
            b"Negotiate YTpi",
            b"Basic \xff",
            huge.as_bytes(),
        ] {
            let refused = find(&[line]).unwrap_err();
            assert!(
                matches!(refused, Refusal::MalformedCredential { .. }),
                "{line:?} {refused:?}"
            );
        }
    }

    #[test]
    fn control_characters_and_invalid_utf8_are_refused() {
        for pair in [
            &b"a\0:b"[..],
            b"a:b\0",
            b"a:b\r\n",
            b"a\x7f:b",
            b"\xff:b",
            b"a:\xff",
            b":b",
        ] {
            assert!(find(&[&basic_of(pair)]).is_err(), "{pair:?}");
        }
    }

    #[test]
    fn the_first_colon_splits_and_every_byte_is_kept() {
        let line = basic_of("bøb:a:b c€ ".as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(
            "authorization",
            http::HeaderValue::from_bytes(&line).unwrap(),
        );
        match Presented::find(&headers)
            .unwrap()
            .unwrap()
            .credential()
            .unwrap()
        {
            Credential::Basic { username, password } => {
                assert_eq!(username, "bøb");
                assert_eq!(password, Secret::from("a:b c€ "));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn more_than_one_credential_is_ambiguous() {
        for lines in [
            &[&b"Basic YTpi"[..], b"Basic YTpi"][..],
            &[b"Basic YTpi", b"Bearer x"],
            &[b"Basic YTpi, Bearer y"],
        ] {
            assert_eq!(find(lines), Err(Refusal::Ambiguous(Ambiguity::Credentials)));
        }
    }

    #[test]
    fn spellings_of_a_scheme_share_a_fingerprint_and_schemes_do_not() {
        let of = |line: &[u8]| find(&[line]).unwrap().unwrap();
        assert_eq!(of(b"bAsIc YTpi"), of(b"Basic YTpi"));
        assert_eq!(of(b"APIKEY YTpi"), of(b"ApiKey YTpi"));
        assert_ne!(of(b"ApiKey YTpi").1, of(b"Basic YTpi").1);
        assert_ne!(of(b"Bearer YTpi").1, of(b"Basic YTpi").1);
    }

    #[test]
    fn long_credentials_that_differ_late_do_not_share_a_fingerprint() {
        let of = |pair: &str| find(&[&basic_of(pair.as_bytes())]).unwrap().unwrap().1;
        let user = "u".repeat(60);
        assert_ne!(of(&format!("{user}:a")), of(&format!("{user}:b")));
        let password = "p".repeat(90);
        assert_ne!(
            of(&format!("a:{password}x{password}")),
            of(&format!("a:{password}y{password}"))
        );
        assert_ne!(of("ab:c"), of("a:bc"));
    }

    #[test]
    fn a_jwts_expiry_is_read_and_anything_else_has_none() {
        let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(
            unverified_expiry(jwt(r#"{"exp":1000}"#).as_bytes()),
            Some(Duration::from_secs(1_000))
        );
        for token in [
            jwt("{}"),
            jwt(r#"{"exp":-1}"#),
            jwt(r#"{"exp":1e300}"#),
            jwt("x"),
            "a.b".into(),
            "a.b.c.d".into(),
            "opaque".into(),
        ] {
            assert_eq!(unverified_expiry(token.as_bytes()), None, "{token}");
        }
    }
}
