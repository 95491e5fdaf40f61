//! How messages travel: in a posted form, or in the query of a redirect (SAML bindings §3.4 and §3.5).
//!
//! Always true: what comes in is bounded before and after it is inflated; a signature over a query is verified over its very
//! bytes, whatever they decode to, and a parameter that is there twice is there for two readers and refused.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::idp::Idp;
use super::keys::Signer;
use super::names::SIGNATURES;
use super::refusal::{Refusal, shown};
use super::xml::MAX_MESSAGE;

/// Bytes of a query at most: a message that deflates badly, in base64, percent-encoded.
const MAX_QUERY: usize = 2 * MAX_MESSAGE;
/// What RFC 3986 §2.3 leaves as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Which of the two a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// `SAMLRequest`
    Request,
    /// `SAMLResponse`
    Response,
}

impl Parameter {
    const fn name(self) -> &'static str {
        match self {
            Self::Request => "SAMLRequest",
            Self::Response => "SAMLResponse",
        }
    }
}

/// A message that came by redirect.
#[derive(Debug)]
pub struct FromQuery {
    /// Its XML.
    pub text: String,
    /// `RelayState`
    pub relay_state: Option<String>,
    /// Whether the query has a signature, which was verified.
    pub signed: bool,
}

/// Takes a message out of a posted form: base64 of its XML.
///
/// # Errors
/// [`Refusal::Malformed`]
pub fn from_form(content: &str) -> Result<String, Refusal> {
    if content.len() > 2 * MAX_MESSAGE {
        return Err(Refusal::Malformed("it is too long"));
    }
    let bytes = unbase64(content)?;
    if bytes.len() > MAX_MESSAGE {
        return Err(Refusal::Malformed("it is too long"));
    }
    String::from_utf8(bytes).map_err(|_| Refusal::Malformed("it is no UTF-8"))
}

fn unbase64(text: &str) -> Result<Vec<u8>, Refusal> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD
        .decode(text)
        .map_err(|_| Refusal::Malformed("it is no base64"))
}

/// Takes a message out of a query, and verifies the query's signature where there is one.
///
/// # Errors
/// [`Refusal`]
pub fn from_query(query: &str, parameter: Parameter, idp: &Idp) -> Result<FromQuery, Refusal> {
    if query.len() > MAX_QUERY {
        return Err(Refusal::Malformed("it is too long"));
    }
    let raw = |name| raw_value(query, name);
    let message = raw(parameter.name())?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::shape(format!("there is no {}", parameter.name())))?;
    let relay_state = raw("RelayState")?;
    let signed = match (raw("SigAlg")?, raw("Signature")?) {
        (None, None) => false,
        (Some(algorithm), Some(signature)) => {
            let mut input = format!("{}={message}", parameter.name());
            if let Some(state) = relay_state {
                input.push_str(&format!("&RelayState={state}"));
            }
            input.push_str(&format!("&SigAlg={algorithm}"));
            verify(&input, &unquoted(algorithm)?, &unquoted(signature)?, idp)?;
            true
        }
        _ => return Err(Refusal::shape("SigAlg and Signature are not both there")),
    };
    Ok(FromQuery {
        text: inflated(&unbase64(&unquoted(message)?)?)?,
        relay_state: relay_state.map(unquoted).transpose()?,
        signed,
    })
}

fn verify(input: &str, algorithm: &str, signature: &str, idp: &Idp) -> Result<(), Refusal> {
    if !SIGNATURES.contains(&algorithm) {
        let reason = format!("the algorithm [{}] is not believed", shown(algorithm));
        return Err(Refusal::SignatureProfile(reason));
    }
    let signature = unbase64(signature)?;
    let valid = idp
        .query_keys
        .verifies(algorithm, input.as_bytes(), &signature);
    if valid {
        return Ok(());
    }
    let reason = "no key of the identity provider made the query's".to_owned();
    Err(Refusal::SignatureInvalid(reason))
}

/// The value of a parameter as it stands in the query.
fn raw_value<'q>(query: &'q str, name: &str) -> Result<Option<&'q str>, Refusal> {
    let mut values = query.split('&').filter_map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        // A name in another spelling must not slip past those who count.
        let same = percent_decode_str(key).eq(name.bytes());
        same.then_some(value)
    });
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        _ => Err(Refusal::shape(format!("there are several {name}"))),
    }
}

fn unquoted(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Refusal::Malformed("it is no UTF-8"))
}

fn inflated(bytes: &[u8]) -> Result<String, Refusal> {
    let mut out = Vec::new();
    let limit = MAX_MESSAGE as u64 + 1;
    DeflateDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut out)
        .map_err(|_| Refusal::Malformed("it can't be inflated"))?;
    if out.len() > MAX_MESSAGE {
        return Err(Refusal::Malformed("it is too long"));
    }
    String::from_utf8(out).map_err(|_| Refusal::Malformed("it is no UTF-8"))
}

/// The URL that brings a message of ours to `destination`; with a signer, its query is signed. `None` only when nothing can be
/// signed any more.
pub fn redirect(
    destination: &str,
    parameter: Parameter,
    message: &str,
    relay_state: Option<&str>,
    signer: Option<&Signer>,
) -> Option<String> {
    let quoted = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(message.as_bytes()).ok()?;
    let message = STANDARD.encode(deflate.finish().ok()?);
    let mut query = format!("{}={}", parameter.name(), quoted(&message));
    if let Some(state) = relay_state {
        query.push_str(&format!("&RelayState={}", quoted(state)));
    }
    if let Some(signer) = signer {
        query.push_str(&format!("&SigAlg={}", quoted(signer.algorithm())));
        let signature = STANDARD.encode(signer.sign(query.as_bytes())?);
        query.push_str(&format!("&Signature={}", quoted(&signature)));
    }
    let joint = match destination {
        there if there.ends_with('?') => "",
        there if there.contains('?') => "&",
        _ => "?",
    };
    Some(format!("{destination}{joint}{query}"))
}
