//! The identity provider as its metadata describes it (SAML metadata §2.4.3): keys and addresses.
//!
//! The operator vouches for the metadata by naming its file or URL; a signature in it is not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uppsala::{Document, NodeId};

use super::keys::QueryKeys;
use super::names::{DSIG, METADATA, PROTOCOL, REDIRECT};
use super::refusal::Refusal;
use super::xml;
use super::xmlsec::VerifyingKeys;

/// Elements of a metadata document at most: federations have thousands of members.
const MAX_ELEMENTS: usize = 1_000_000;

/// What is known about the identity provider.
#[derive(Clone)]
pub struct Idp {
    /// Its keys, for signatures in XML.
    pub keys: VerifyingKeys,
    /// Its keys, for signatures over queries.
    pub query_keys: QueryKeys,
    /// Where people sign in; `None`: not by redirect.
    pub sign_on: Option<String>,
    /// Where requests to log out go; `None`: not by redirect.
    pub logout: Option<String>,
    /// Where answers to such requests go; `None`: to the same place.
    pub logout_response: Option<String>,
    /// Whether it wants requests to be signed.
    pub wants_signed_requests: bool,
    /// When this ends, in seconds since the Unix epoch.
    pub valid_until: Option<i64>,
}

/// Why metadata can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// It is no XML.
    #[error("{0}")]
    Xml(#[from] Refusal),
    /// It is about others.
    #[error("it doesn't describe an identity provider with the entity id [{0}]")]
    Stranger(String),
    /// There is no key in it.
    #[error("it holds no signing certificate that can be used")]
    Keyless,
}

impl Idp {
    /// Reads the part of a metadata document that is about `entity_id`.
    ///
    /// # Errors
    /// [`MetadataError`]
    pub fn parse(text: &str, entity_id: &str) -> Result<Self, MetadataError> {
        let document = xml::parse_trusted(text, MAX_ELEMENTS)?;
        let stranger = || MetadataError::Stranger(entity_id.to_owned());
        let entities = document.get_elements_by_tag_name_ns(METADATA, "EntityDescriptor");
        let entity = entities
            .into_iter()
            .find(|node| xml::attribute(&document, *node, "entityID") == Some(entity_id))
            .ok_or_else(stranger)?;
        let role = xml::children(&document, entity, METADATA, "IDPSSODescriptor")
            .into_iter()
            .find(|node| speaks_saml_2(&document, *node))
            .ok_or_else(stranger)?;
        let certificates = signing_certificates(&document, role);
        let der = || certificates.iter().map(Vec::as_slice);
        let keys = VerifyingKeys::of_certificates(der());
        if keys.is_empty() {
            return Err(MetadataError::Keyless);
        }
        let logout = endpoint(&document, role, "SingleLogoutService");
        let text = |node, name| xml::filled(&document, node, name).map(str::to_owned);
        let mut valid_until = None;
        for node in [Some(role), Some(entity), document.document_element()] {
            let end = node.and_then(|node| xml::filled(&document, node, "validUntil"));
            let end = end.map(xml::instant).transpose()?;
            valid_until = [valid_until, end].into_iter().flatten().min();
        }
        Ok(Self {
            keys,
            query_keys: QueryKeys::of_certificates(der()),
            sign_on: endpoint(&document, role, "SingleSignOnService")
                .and_then(|node| text(node, "Location")),
            logout: logout.and_then(|node| text(node, "Location")),
            logout_response: logout.and_then(|node| text(node, "ResponseLocation")),
            wants_signed_requests: matches!(
                xml::attribute(&document, role, "WantAuthnRequestsSigned"),
                Some("true" | "1")
            ),
            valid_until,
        })
    }

    /// Where answers about logging out go.
    pub fn logout_answers(&self) -> Option<&str> {
        let place = self.logout_response.as_ref().or(self.logout.as_ref());
        place.map(String::as_str)
    }
}

fn speaks_saml_2(document: &Document<'_>, role: NodeId) -> bool {
    let protocols = xml::attribute(document, role, "protocolSupportEnumeration");
    protocols.is_some_and(|list| list.split_ascii_whitespace().any(|uri| uri == PROTOCOL))
}

/// A key without a `use` is for everything.
fn signing_certificates(document: &Document<'_>, role: NodeId) -> Vec<Vec<u8>> {
    let keys = xml::children(document, role, METADATA, "KeyDescriptor").into_iter();
    let signing = keys.filter(|key| {
        matches!(
            xml::attribute(document, *key, "use"),
            None | Some("signing" | "")
        )
    });
    signing
        .flat_map(|key| xml::children(document, key, DSIG, "KeyInfo"))
        .flat_map(|info| xml::children(document, info, DSIG, "X509Data"))
        .flat_map(|data| xml::children(document, data, DSIG, "X509Certificate"))
        .filter_map(|node| xml::text(document, node).ok())
        .filter_map(|text| {
            let text: String = text.split_ascii_whitespace().collect();
            STANDARD.decode(text).ok()
        })
        .collect()
}

/// The first endpoint of this kind that is reached by redirect.
fn endpoint(document: &Document<'_>, role: NodeId, name: &str) -> Option<NodeId> {
    xml::children(document, role, METADATA, name)
        .into_iter()
        .find(|node| xml::attribute(document, *node, "Binding") == Some(REDIRECT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_somebody_else_or_without_a_key_is_refused() {
        let about = |id: &str, inner: &str| {
            format!(
                "<md:EntityDescriptor xmlns:md='{METADATA}' entityID='{id}'><md:IDPSSODescriptor \
                 protocolSupportEnumeration='{PROTOCOL}'>{inner}</md:IDPSSODescriptor></md:EntityDescriptor>"
            )
        };
        let read = |text: &str| Idp::parse(text, "urn:idp").err();
        let stranger = Some(MetadataError::Stranger("urn:idp".to_owned()));
        assert_eq!(read(&about("urn:other", "")), stranger);
        assert_eq!(read(&about("urn:idp", "")), Some(MetadataError::Keyless));
        let old = about("urn:idp", "").replace(PROTOCOL, "urn:oasis:names:tc:SAML:1.1:protocol");
        assert_eq!(read(&old), stranger);
        assert!(matches!(
            read("<!DOCTYPE x><x/>"),
            Some(MetadataError::Xml(_))
        ));
    }
}
