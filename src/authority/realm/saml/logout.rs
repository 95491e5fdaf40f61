//! Messages about logging out that come in (SAML core §3.7, profiles §4.4).
//!
//! Always true: signed, by the query they came in or inside; from this realm's identity provider, for this side's address.

use uppsala::{Document, NodeId};

use super::assertion::{Rules, check_version};
use super::idp::Idp;
use super::login::{Login, NameId};
use super::names::{ASSERTION, PROTOCOL};
use super::refusal::{Refusal, shown};
use super::response::check_status;
use super::signature;
use super::xml;

/// Whom the identity provider logs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutRequest {
    /// Its id, for the answer.
    pub id: String,
    /// The subject's name.
    pub name_id: Option<NameId>,
    /// Their sessions; empty: all of them.
    pub sessions: Vec<String>,
}

impl LogoutRequest {
    /// Whether a login of `realm` is meant. Qualifiers that are not written are the two parties themselves (core §8.3.7).
    pub fn means(&self, login: &Login, realm: &str, idp: &str, sp: &str) -> bool {
        let (Some(asked), Some(known)) = (&self.name_id, &login.name_id) else {
            return false;
        };
        let same = |one: &Option<String>, other: &Option<String>, default: &str| {
            one.as_deref().unwrap_or(default) == other.as_deref().unwrap_or(default)
        };
        let in_session = login
            .session
            .as_ref()
            .is_some_and(|it| self.sessions.contains(it));
        login.realm == realm
            && asked.value == known.value
            && same(&asked.format, &known.format, UNSPECIFIED)
            && same(&asked.name_qualifier, &known.name_qualifier, idp)
            && same(&asked.sp_name_qualifier, &known.sp_name_qualifier, sp)
            && (self.sessions.is_empty() || in_session)
    }
}

const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";

/// Reads a request to log somebody out. `signed` tells whether the query it came in was.
///
/// # Errors
/// Whatever keeps it from being believed.
pub fn request(
    text: &str,
    signed: bool,
    rules: &Rules<'_>,
    idp: &Idp,
) -> Result<LogoutRequest, Refusal> {
    let document = xml::parse(text)?;
    let root = checked(&document, "LogoutRequest", signed, rules, idp)?;
    if let Some(end) = xml::filled(&document, root, "NotOnOrAfter") {
        rules.check_not_ended(end, "the request to log out does not count from")?;
    }
    let id = xml::filled(&document, root, "ID")
        .ok_or_else(|| Refusal::shape("the request has no ID"))?;
    let sessions: Result<Vec<String>, Refusal> =
        xml::children(&document, root, PROTOCOL, "SessionIndex")
            .into_iter()
            .map(|node| xml::text(&document, node))
            .collect();
    Ok(LogoutRequest {
        id: id.to_owned(),
        name_id: rules.name_id(&document, root)?,
        sessions: sessions?,
    })
}

/// Checks an answer to one of the requests `ids` to log somebody out.
///
/// # Errors
/// Whatever keeps it from being believed.
pub fn response(
    text: &str,
    signed: bool,
    rules: &Rules<'_>,
    idp: &Idp,
    ids: &[String],
) -> Result<(), Refusal> {
    let document = xml::parse(text)?;
    let root = checked(&document, "LogoutResponse", signed, rules, idp)?;
    let answered = xml::attribute(&document, root, "InResponseTo").unwrap_or_default();
    if !ids.iter().any(|id| id == answered) {
        return Err(Refusal::Unsolicited {
            in_response_to: shown(answered),
        });
    }
    check_status(&document, root)
}

/// The root of a message that is what it should be, signed, and for this side.
fn checked(
    document: &Document<'_>,
    name: &'static str,
    signed: bool,
    rules: &Rules<'_>,
    idp: &Idp,
) -> Result<NodeId, Refusal> {
    let root = document
        .document_element()
        .filter(|root| xml::is(document, *root, PROTOCOL, name))
        .ok_or(Refusal::NotA(name))?;
    let verified = signature::verify(document, &idp.keys)?;
    if !signed && !verified.is_signed(root) {
        return Err(Refusal::NotSigned("the message"));
    }
    check_version(document, root)?;
    rules.check_issuer(document, xml::one(document, root, ASSERTION, "Issuer")?)?;
    let destination = xml::attribute(document, root, "Destination").unwrap_or_default();
    let logout = rules.settings.sp.logout.as_deref();
    if logout != Some(destination) {
        return Err(Refusal::Address {
            what: "destination",
            found: shown(destination),
            expected: logout.unwrap_or_default().to_owned(),
        });
    }
    Ok(root)
}
