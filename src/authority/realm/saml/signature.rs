//! Which elements of a message the identity provider vouches for.
//!
//! Always true: before any key is tried, every signature of the document must be of the SAML profile (core §5.4): a direct child
//! of the root or of an assertion that is a direct child of it, one reference, to its own parent by id, no transform but
//! taking itself out and exclusive canonicalisation, algorithms of the lists in [`super::names`]. One bad signature spoils
//! the whole message. What is not covered by [`Verified`] may not be read as the identity provider's word.

use uppsala::{Document, NodeId};

use super::names::{ASSERTION, DIGESTS, DSIG, ENVELOPED, EXCLUSIVE, SIGNATURES};
use super::refusal::{Refusal, shown};
use super::xml;
use super::xmlsec::VerifyingKeys;

/// The elements that carry a valid signature of their own.
#[derive(Debug, Default)]
pub struct Verified(Vec<NodeId>);

impl Verified {
    /// Whether this very element is signed.
    pub fn is_signed(&self, node: NodeId) -> bool {
        self.0.contains(&node)
    }
}

/// Checks and verifies every signature of a document.
///
/// # Errors
/// [`Refusal::SignatureProfile`], [`Refusal::SignatureInvalid`]
pub fn verify(document: &Document<'_>, keys: &VerifyingKeys) -> Result<Verified, Refusal> {
    let signatures = document.get_elements_by_tag_name_ns(DSIG, "Signature");
    if signatures.is_empty() {
        return Ok(Verified::default());
    }
    if signatures.len() > 2 {
        return profile("there are more than two");
    }
    let mut parents = Vec::new();
    for signature in signatures {
        parents.push(check_profile(document, signature)?);
    }
    let signed = keys
        .verify(document)
        .map_err(|reason| Refusal::SignatureInvalid(shown(&reason)))?;
    // What the library resolved must be what was looked at here.
    if signed != parents {
        return profile("it covers something else than its parent");
    }
    Ok(Verified(signed))
}

fn profile<T>(reason: &str) -> Result<T, Refusal> {
    Err(Refusal::SignatureProfile(reason.to_owned()))
}

/// The element a signature signs, which is its parent.
fn check_profile(document: &Document<'_>, signature: NodeId) -> Result<NodeId, Refusal> {
    let parent = document
        .parent(signature)
        .filter(|parent| is_place(document, *parent))
        .ok_or_else(|| Refusal::SignatureProfile("it stands in an unexpected place".to_owned()))?;
    let in_parent = xml::children(document, parent, DSIG, "Signature");
    if in_parent.len() != 1 {
        return profile("there are several in one element");
    }
    // Content that the signature brings itself is where wrapped originals are hidden.
    let signature_value = xml::children(document, signature, DSIG, "SignatureValue");
    let objects = xml::children(document, signature, DSIG, "Object");
    if signature_value.len() != 1 || !objects.is_empty() {
        return profile("its form is not that of the profile");
    }
    let info = xml::one(document, signature, DSIG, "SignedInfo")?;
    let canonicalisation = algorithm(document, info, "CanonicalizationMethod")?;
    let method = algorithm(document, info, "SignatureMethod")?;
    let reference = xml::one(document, info, DSIG, "Reference")?;
    let digest = algorithm(document, reference, "DigestMethod")?;
    if !EXCLUSIVE.contains(&canonicalisation) {
        return unlisted(canonicalisation);
    }
    if !SIGNATURES.contains(&method) {
        return unlisted(method);
    }
    if !DIGESTS.contains(&digest) {
        return unlisted(digest);
    }
    check_transforms(document, reference)?;
    let uri = xml::attribute(document, reference, "URI").unwrap_or_default();
    let id = xml::filled(document, parent, "ID");
    match (uri.strip_prefix('#'), id) {
        (Some(referred), Some(id)) if referred == id => Ok(parent),
        _ => profile("its reference is not to its parent"),
    }
}

fn unlisted<T>(algorithm: &str) -> Result<T, Refusal> {
    let reason = format!("the algorithm [{}] is not believed", shown(algorithm));
    Err(Refusal::SignatureProfile(reason))
}

/// The root, or an assertion directly below it.
fn is_place(document: &Document<'_>, node: NodeId) -> bool {
    let root = document.document_element();
    root == Some(node)
        || (xml::is(document, node, ASSERTION, "Assertion") && document.parent(node) == root)
}

fn algorithm<'d>(
    document: &'d Document<'_>,
    parent: NodeId,
    name: &str,
) -> Result<&'d str, Refusal> {
    let node = xml::one(document, parent, DSIG, name)?;
    Ok(xml::attribute(document, node, "Algorithm").unwrap_or_default())
}

fn check_transforms(document: &Document<'_>, reference: NodeId) -> Result<(), Refusal> {
    let transforms = xml::one(document, reference, DSIG, "Transforms")?;
    let steps = xml::children(document, transforms, DSIG, "Transform");
    let names: Vec<&str> = steps
        .iter()
        .map(|step| xml::attribute(document, *step, "Algorithm").unwrap_or_default())
        .collect();
    match names.as_slice() {
        [ENVELOPED, canonical] if EXCLUSIVE.contains(canonical) => Ok(()),
        _ => profile("its transforms are not those of the profile"),
    }
}
