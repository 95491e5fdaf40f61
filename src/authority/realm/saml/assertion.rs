//! What an assertion must say to be believed, and what it says then (SAML profiles §4.1.4.3, core §2).
//!
//! Always true: it is only called with an element that a verified signature covers, and reads nothing outside of it. Whatever
//! the profile demands is demanded: audience, bearer confirmation with recipient and end, one authentication statement.

use std::time::Duration;

use uppsala::{Document, NodeId};

use super::encrypted::Decryption;
use super::login::NameId;
use super::names::{ASSERTION, BEARER, ENTITY};
use super::refusal::{Refusal, shown};
use super::xml;
use crate::config::realm_saml::SamlRealm as Settings;
use crate::model::clock::Now;

/// What an assertion is held against.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The realm's settings.
    pub settings: &'a Settings,
    /// What decrypts; `None`: nothing does.
    pub decryption: Option<&'a Decryption>,
    /// The time.
    pub now: Now,
}

/// What a believed assertion says.
#[derive(Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Its id.
    pub id: String,
    /// The subject's name.
    pub name_id: Option<NameId>,
    /// `SessionIndex`
    pub session: Option<String>,
    /// The attributes, in their order.
    pub attributes: Vec<Attribute>,
    /// The request it answers.
    pub in_response_to: Option<String>,
    /// When it stops to count, skew included, in seconds since the Unix epoch.
    pub until: i64,
}

/// An attribute.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    /// `Name`
    pub name: String,
    /// `FriendlyName`
    pub friendly_name: Option<String>,
    /// Its values, as text.
    pub values: Vec<String>,
}

impl Rules<'_> {
    fn seconds(&self) -> i64 {
        i64::try_from(self.now.unix.as_secs()).unwrap_or(i64::MAX)
    }

    fn skew(&self) -> i64 {
        skew(self.settings.clock_skew)
    }

    /// Refuses what has not begun yet.
    ///
    /// # Errors
    /// [`Refusal::Time`]
    pub fn check_begun(&self, begin: &str, what: &'static str) -> Result<(), Refusal> {
        if self.seconds().saturating_add(self.skew()) < xml::instant(begin)? {
            let limit = shown(begin);
            return Err(Refusal::Time { what, limit });
        }
        Ok(())
    }

    /// Refuses what has ended; otherwise its end, skew included.
    ///
    /// # Errors
    /// [`Refusal::Time`]
    pub fn check_not_ended(&self, end: &str, what: &'static str) -> Result<i64, Refusal> {
        let last = xml::instant(end)?.saturating_add(self.skew());
        if self.seconds() >= last {
            let limit = shown(end);
            return Err(Refusal::Time { what, limit });
        }
        Ok(last)
    }

    /// Refuses whatever the identity provider didn't make.
    ///
    /// # Errors
    /// [`Refusal::Issuer`]
    pub fn check_issuer(&self, document: &Document<'_>, issuer: NodeId) -> Result<(), Refusal> {
        let found = xml::text(document, issuer)?;
        let format = xml::filled(document, issuer, "Format");
        if found != self.settings.idp.entity_id || format.is_some_and(|format| format != ENTITY) {
            return Err(Refusal::Issuer {
                found: shown(&found),
                expected: self.settings.idp.entity_id.clone(),
            });
        }
        Ok(())
    }

    /// Reads an assertion that is signed, or inside something that is.
    ///
    /// # Errors
    /// Whatever keeps it from being believed.
    pub fn read(&self, document: &Document<'_>, node: NodeId) -> Result<Assertion, Refusal> {
        check_version(document, node)?;
        let id = xml::filled(document, node, "ID")
            .ok_or_else(|| Refusal::shape("the assertion has no ID"))?;
        let conditions = xml::one(document, node, ASSERTION, "Conditions")?;
        let end = self.check_conditions(document, conditions)?;
        self.check_issuer(document, xml::one(document, node, ASSERTION, "Issuer")?)?;
        let subject = xml::one(document, node, ASSERTION, "Subject")?;
        let confirmation = bearer_confirmation(document, subject)?;
        let until = self.check_confirmation(document, confirmation)?;
        let session = self.check_statement(document, node)?;
        Ok(Assertion {
            id: id.to_owned(),
            name_id: self.name_id(document, subject)?,
            session,
            attributes: self.attributes(document, node)?,
            in_response_to: xml::filled(document, confirmation, "InResponseTo").map(str::to_owned),
            until: end.map_or(until, |end| end.max(until)),
        })
    }

    /// The end of the conditions, if they have one.
    fn check_conditions(
        &self,
        document: &Document<'_>,
        conditions: NodeId,
    ) -> Result<Option<i64>, Refusal> {
        if let Some(begin) = xml::filled(document, conditions, "NotBefore") {
            self.check_begun(begin, "the assertion does not count before")?;
        }
        let end = xml::filled(document, conditions, "NotOnOrAfter");
        let end = end
            .map(|end| self.check_not_ended(end, "the assertion does not count from"))
            .transpose()?;
        let mut restricted = false;
        for child in document.children_iter(conditions) {
            let Some(element) = document.element(child) else {
                continue;
            };
            let known = element.name.namespace_uri.as_deref() == Some(ASSERTION);
            match element.name.local_name.as_ref() {
                "AudienceRestriction" if known => {
                    self.check_audience(document, child)?;
                    restricted = true;
                }
                // Every assertion is used once here, and none is passed on.
                "OneTimeUse" | "ProxyRestriction" if known => {}
                // Core §2.5.1: a condition that is not understood makes the assertion indeterminate.
                _ => {
                    return Err(Refusal::shape(
                        "there is a condition that is not understood",
                    ));
                }
            }
        }
        if !restricted {
            return Err(Refusal::shape("there is no AudienceRestriction"));
        }
        Ok(end)
    }

    fn check_audience(&self, document: &Document<'_>, restriction: NodeId) -> Result<(), Refusal> {
        let audiences: Result<Vec<String>, Refusal> =
            xml::children(document, restriction, ASSERTION, "Audience")
                .into_iter()
                .map(|node| xml::text(document, node))
                .collect();
        let audiences = audiences?;
        if audiences.contains(&self.settings.sp.entity_id) {
            return Ok(());
        }
        Err(Refusal::Audience {
            found: shown(&audiences.join(", ")),
            expected: self.settings.sp.entity_id.clone(),
        })
    }

    /// Checks the data of the bearer confirmation; its end.
    fn check_confirmation(&self, document: &Document<'_>, data: NodeId) -> Result<i64, Refusal> {
        let recipient = xml::attribute(document, data, "Recipient").unwrap_or_default();
        if recipient != self.settings.sp.acs {
            return Err(Refusal::Address {
                what: "recipient",
                found: shown(recipient),
                expected: self.settings.sp.acs.clone(),
            });
        }
        if let Some(begin) = xml::filled(document, data, "NotBefore") {
            self.check_begun(begin, "the subject is not confirmed before")?;
        }
        let end = xml::filled(document, data, "NotOnOrAfter")
            .ok_or_else(|| Refusal::shape("the confirmation of the subject has no end"))?;
        self.check_not_ended(end, "the subject is not confirmed from")
    }

    /// Checks the one authentication statement; its `SessionIndex`.
    fn check_statement(
        &self,
        document: &Document<'_>,
        assertion: NodeId,
    ) -> Result<Option<String>, Refusal> {
        let statement = xml::one(document, assertion, ASSERTION, "AuthnStatement")?;
        if let Some(end) = xml::filled(document, statement, "SessionNotOnOrAfter") {
            self.check_not_ended(end, "the session at the identity provider ended at")?;
        }
        let wanted = &self.settings.authn_contexts;
        if !wanted.is_empty() {
            let context = xml::one(document, statement, ASSERTION, "AuthnContext")?;
            let class = xml::optional(document, context, ASSERTION, "AuthnContextClassRef")?;
            let class = class.map(|node| xml::text(document, node)).transpose()?;
            let class = class.unwrap_or_default();
            if !wanted.contains(&class) {
                return Err(Refusal::AuthnContext(shown(&class)));
            }
        }
        Ok(xml::filled(document, statement, "SessionIndex").map(str::to_owned))
    }

    /// The subject's name, which may be encrypted. Only for a subject that a signature covers.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn name_id(
        &self,
        document: &Document<'_>,
        subject: NodeId,
    ) -> Result<Option<NameId>, Refusal> {
        let plain = xml::optional(document, subject, ASSERTION, "NameID")?;
        let sealed = xml::optional(document, subject, ASSERTION, "EncryptedID")?;
        match (plain, sealed) {
            (Some(node), None) => name(document, node).map(Some),
            (None, Some(sealed)) => {
                let opened = self.open(document, sealed)?;
                let inner = xml::parse(&opened)?;
                let root = root(&inner, "NameID")?;
                name(&inner, root).map(Some)
            }
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(Refusal::shape("the subject has two names")),
        }
    }

    fn attributes(
        &self,
        document: &Document<'_>,
        assertion: NodeId,
    ) -> Result<Vec<Attribute>, Refusal> {
        let mut attributes = Vec::new();
        for statement in xml::children(document, assertion, ASSERTION, "AttributeStatement") {
            for child in document.children_iter(statement) {
                if xml::is(document, child, ASSERTION, "Attribute") {
                    attributes.push(attribute(document, child));
                } else if xml::is(document, child, ASSERTION, "EncryptedAttribute") {
                    let opened = self.open(document, child)?;
                    let inner = xml::parse(&opened)?;
                    attributes.push(attribute(&inner, root(&inner, "Attribute")?));
                }
            }
        }
        Ok(attributes)
    }

    /// Decrypts something that a signature covers.
    fn open(&self, document: &Document<'_>, sealed: NodeId) -> Result<String, Refusal> {
        let decryption = self.decryption.ok_or(Refusal::Undecryptable)?;
        decryption.open(document, sealed, true)
    }
}

fn skew(skew: Duration) -> i64 {
    i64::try_from(skew.as_secs()).unwrap_or(i64::MAX)
}

/// Core §2.3.3 and §3.2.1: there is no other version.
///
/// # Errors
/// [`Refusal::Shape`]
pub fn check_version(document: &Document<'_>, node: NodeId) -> Result<(), Refusal> {
    match xml::attribute(document, node, "Version") {
        Some("2.0") => Ok(()),
        _ => Err(Refusal::shape("it is not of version 2.0")),
    }
}

fn root(document: &Document<'_>, name: &'static str) -> Result<NodeId, Refusal> {
    let root = document.document_element();
    root.filter(|root| xml::is(document, *root, ASSERTION, name))
        .ok_or(Refusal::NotA(name))
}

/// The data of the one confirmation by bearing.
fn bearer_confirmation(document: &Document<'_>, subject: NodeId) -> Result<NodeId, Refusal> {
    let confirmations = xml::children(document, subject, ASSERTION, "SubjectConfirmation");
    let mut bearer = confirmations
        .into_iter()
        .filter(|node| xml::attribute(document, *node, "Method") == Some(BEARER));
    match (bearer.next(), bearer.next()) {
        (Some(one), None) => xml::one(document, one, ASSERTION, "SubjectConfirmationData"),
        _ => Err(Refusal::shape(
            "there is not exactly one bearer SubjectConfirmation",
        )),
    }
}

fn name(document: &Document<'_>, node: NodeId) -> Result<NameId, Refusal> {
    let value = xml::text(document, node)?;
    if value.is_empty() {
        return Err(Refusal::shape("the NameID is empty"));
    }
    let own = |name| xml::filled(document, node, name).map(str::to_owned);
    Ok(NameId {
        value,
        format: own("Format"),
        name_qualifier: own("NameQualifier"),
        sp_name_qualifier: own("SPNameQualifier"),
        sp_provided_id: own("SPProvidedID"),
    })
}

fn attribute(document: &Document<'_>, node: NodeId) -> Attribute {
    let own = |name| xml::filled(document, node, name).map(str::to_owned);
    let values = xml::children(document, node, ASSERTION, "AttributeValue").into_iter();
    Attribute {
        name: own("Name").unwrap_or_default(),
        friendly_name: own("FriendlyName"),
        values: values
            .map(|value| document.text_content_deep(value).trim().to_owned())
            .collect(),
    }
}
