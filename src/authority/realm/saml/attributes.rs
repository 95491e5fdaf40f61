//! The user that an assertion makes, by the realm's attribute settings.

use regex::Regex;
use serde_json::{Map, Value, json};

use super::assertion::Assertion;
use super::names::PERSISTENT;
use super::refusal::Refusal;
use crate::authority::realm::contract::Proven;
use crate::authority::realm::pattern::{PatternError, compile, first_group};
use crate::config::realm_saml::{SamlAttribute, SamlAttributes};

/// An attribute and what is taken of it.
struct Source {
    name: String,
    pattern: Option<Regex>,
    delimiter: Option<String>,
}

impl Source {
    fn new(attribute: &SamlAttribute) -> Result<Self, PatternError> {
        Ok(Self {
            name: attribute.name.clone(),
            pattern: attribute.pattern.as_deref().map(compile).transpose()?,
            delimiter: attribute.delimiter.clone(),
        })
    }

    fn optional(attribute: Option<&SamlAttribute>) -> Result<Option<Self>, PatternError> {
        attribute.map(Self::new).transpose()
    }

    /// What the attribute gives; values that don't match the pattern are left out.
    fn values(&self, assertion: &Assertion) -> Vec<String> {
        let mut values = raw_values(assertion, &self.name);
        if let (Some(delimiter), [one]) = (&self.delimiter, values.as_slice()) {
            values = one.split(delimiter.as_str()).map(str::trim).collect();
        }
        let taken = values.into_iter().filter_map(|value| match &self.pattern {
            None => Some(value),
            Some(pattern) => first_group(pattern, value),
        });
        taken
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The first value.
    fn value(&self, assertion: &Assertion) -> Option<String> {
        self.values(assertion).into_iter().next()
    }
}

/// By `Name` or `FriendlyName`; two names stand for the subject's own.
fn raw_values<'a>(assertion: &'a Assertion, name: &str) -> Vec<&'a str> {
    let name_id = assertion.name_id.as_ref();
    match name {
        "nameid" => name_id.map(|id| id.value.as_str()).into_iter().collect(),
        "nameid:persistent" => name_id
            .filter(|id| id.format.as_deref() == Some(PERSISTENT))
            .map(|id| id.value.as_str())
            .into_iter()
            .collect(),
        name => assertion
            .attributes
            .iter()
            .filter(|at| at.name == name || at.friendly_name.as_deref() == Some(name))
            .flat_map(|at| at.values.iter().map(String::as_str))
            .collect(),
    }
}

/// The attribute settings of one realm, compiled.
pub struct Mapping {
    principal: Source,
    groups: Option<Source>,
    name: Option<Source>,
    mail: Option<Source>,
    dn: Option<Source>,
    populate_metadata: bool,
}

impl Mapping {
    /// Compiles them.
    ///
    /// # Errors
    /// [`PatternError`]
    pub fn new(settings: &SamlAttributes, populate_metadata: bool) -> Result<Self, PatternError> {
        Ok(Self {
            principal: Source::new(&settings.principal)?,
            groups: Source::optional(settings.groups.as_ref())?,
            name: Source::optional(settings.name.as_ref())?,
            mail: Source::optional(settings.mail.as_ref())?,
            dn: Source::optional(settings.dn.as_ref())?,
            populate_metadata,
        })
    }

    /// The user.
    ///
    /// # Errors
    /// [`Refusal::NoUser`]
    pub fn user(&self, assertion: &Assertion) -> Result<Proven, Refusal> {
        let name = &self.principal.name;
        let username = self
            .principal
            .value(assertion)
            .filter(|name| !name.trim().is_empty())
            .ok_or_else(|| Refusal::NoUser(format!("attribute [{name}] gives no user name")))?;
        if username.contains(char::is_control) {
            let reason = format!("attribute [{name}] holds a control character");
            return Err(Refusal::NoUser(reason));
        }
        let one = |source: &Option<Source>| source.as_ref().and_then(|it| it.value(assertion));
        Ok(Proven {
            username,
            dn: one(&self.dn),
            groups: self
                .groups
                .as_ref()
                .map(|source| source.values(assertion))
                .unwrap_or_default(),
            full_name: one(&self.name),
            email: one(&self.mail),
            metadata: self.metadata(assertion),
        })
    }

    fn metadata(&self, assertion: &Assertion) -> Map<String, Value> {
        let mut metadata = Map::new();
        if self.populate_metadata {
            for attribute in &assertion.attributes {
                metadata.insert(format!("saml({})", attribute.name), json!(attribute.values));
                if let Some(friendly) = &attribute.friendly_name {
                    metadata.insert(format!("saml_{friendly}"), json!(attribute.values));
                }
            }
        }
        if let Some(id) = &assertion.name_id {
            metadata.insert("saml_nameid".to_owned(), json!(id.value));
            metadata.insert("saml_nameid_format".to_owned(), json!(id.format));
        }
        metadata
    }
}
