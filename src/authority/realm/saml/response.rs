//! A response, from its bytes to the one assertion in it that is believed (SAML profiles §4.1.4).
//!
//! The order is what makes it safe: bounds, parse, every signature on the text as it came, what the response says about
//! itself, then the assertion (decrypted only now, parsed as a document of its own, and its own signature verified there), and
//! last the question whether it answers a request that is under way.

use uppsala::{Document, NodeId};

use super::assertion::{Assertion, Rules, check_version};
use super::idp::Idp;
use super::names::{ASSERTION, PROTOCOL, SUCCESS};
use super::refusal::{Refusal, shown};
use super::signature::{self, Verified};
use super::xml;

/// Judges a response. `ids` are the requests that are under way. As in Elasticsearch, a response to none is taken whatever is under
/// way: the identity provider may begin a login while a person is in the middle of one.
///
/// # Errors
/// Whatever keeps it from being believed.
pub fn judge(
    text: &str,
    rules: &Rules<'_>,
    idp: &Idp,
    ids: &[String],
) -> Result<Assertion, Refusal> {
    let document = xml::parse(text)?;
    let response = document
        .document_element()
        .filter(|root| xml::is(&document, *root, PROTOCOL, "Response"))
        .ok_or(Refusal::NotA("SAML response"))?;
    let verified = signature::verify(&document, &idp.keys)?;
    let signed = verified.is_signed(response);
    check_response(&document, response, signed, rules)?;
    let mut assertion = read_assertion(&document, response, &verified, rules, idp)?;
    let stated = xml::filled(&document, response, "InResponseTo");
    assertion.in_response_to = answered(stated, &assertion, signed, ids)?;
    Ok(assertion)
}

fn check_response(
    document: &Document<'_>,
    response: NodeId,
    signed: bool,
    rules: &Rules<'_>,
) -> Result<(), Refusal> {
    check_version(document, response)?;
    check_status(document, response)?;
    match xml::optional(document, response, ASSERTION, "Issuer")? {
        Some(issuer) => rules.check_issuer(document, issuer)?,
        // Profiles §4.1.4.2
        None if signed => return Err(Refusal::shape("the signed response has no Issuer")),
        None => {}
    }
    let acs = &rules.settings.sp.acs;
    let destination = xml::filled(document, response, "Destination");
    // Bindings §3.5.5.2: a signed message by POST says where it was sent.
    if destination.map_or(signed, |destination| destination != acs) {
        return Err(Refusal::Address {
            what: "destination",
            found: shown(destination.unwrap_or_default()),
            expected: acs.clone(),
        });
    }
    Ok(())
}

/// Refuses any status but success.
///
/// # Errors
/// [`Refusal::Status`]
pub fn check_status(document: &Document<'_>, message: NodeId) -> Result<(), Refusal> {
    let status = xml::one(document, message, PROTOCOL, "Status")?;
    let code = xml::one(document, status, PROTOCOL, "StatusCode")?;
    let value = |node| xml::attribute(document, node, "Value").unwrap_or_default();
    if value(code) == SUCCESS {
        return Ok(());
    }
    let inner = xml::optional(document, code, PROTOCOL, "StatusCode")?;
    let said = xml::optional(document, status, PROTOCOL, "StatusMessage")?;
    let said = said.map(|node| document.text_content_deep(node));
    let parts = [
        Some(value(code)),
        inner.map(value),
        said.as_deref().map(str::trim),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    Err(Refusal::Status(shown(&parts.join(" "))))
}

/// Finds the one assertion, plain or encrypted, and reads it if a signature covers it.
fn read_assertion(
    document: &Document<'_>,
    response: NodeId,
    verified: &Verified,
    rules: &Rules<'_>,
    idp: &Idp,
) -> Result<Assertion, Refusal> {
    let plain = xml::children(document, response, ASSERTION, "Assertion");
    let sealed = xml::children(document, response, ASSERTION, "EncryptedAssertion");
    let signed = verified.is_signed(response);
    match (plain.as_slice(), sealed.as_slice()) {
        ([assertion], []) if signed || verified.is_signed(*assertion) => {
            rules.read(document, *assertion)
        }
        ([_], []) => Err(Refusal::NotSigned("the assertion")),
        ([], [sealed]) => {
            let decryption = rules.decryption.ok_or(Refusal::Undecryptable)?;
            let opened = decryption.open(document, *sealed, signed)?;
            read_opened(&opened, signed, rules, idp)
        }
        ([], []) => Err(Refusal::shape("there is no assertion")),
        _ => Err(Refusal::shape("there are several assertions")),
    }
}

/// Reads a decrypted assertion. `covered` tells whether the response around it was signed.
fn read_opened(
    opened: &str,
    covered: bool,
    rules: &Rules<'_>,
    idp: &Idp,
) -> Result<Assertion, Refusal> {
    // Bytes that CBC lets through may be anything: what is wrong with them is nobody's business.
    let inner = xml::parse(opened).map_err(|_| Refusal::Undecryptable)?;
    let assertion = inner
        .document_element()
        .filter(|root| xml::is(&inner, *root, ASSERTION, "Assertion"))
        .ok_or(Refusal::Undecryptable)?;
    let verified = signature::verify(&inner, &idp.keys)?;
    if !covered && !verified.is_signed(assertion) {
        return Err(Refusal::NotSigned("the encrypted assertion"));
    }
    rules.read(&inner, assertion)
}

/// The request that is answered, which must be under way; `None`: none is answered, the identity provider began.
fn answered(
    stated: Option<&str>,
    assertion: &Assertion,
    signed: bool,
    ids: &[String],
) -> Result<Option<String>, Refusal> {
    let confirmed = assertion.in_response_to.as_deref();
    for request in [stated, confirmed].into_iter().flatten() {
        if !ids.iter().any(|id| id == request) {
            return Err(Refusal::Unsolicited {
                in_response_to: shown(request),
            });
        }
    }
    match (stated, confirmed) {
        (Some(stated), Some(confirmed)) if stated != confirmed => Err(Refusal::MixedResponse {
            response: shown(stated),
            assertion: shown(confirmed),
        }),
        // What stands outside of the signature can't make a stray assertion an answer.
        (Some(stated), None) if !signed => Err(Refusal::MixedResponse {
            response: shown(stated),
            assertion: String::new(),
        }),
        (stated, confirmed) => Ok(confirmed.or(stated).map(str::to_owned)),
    }
}
