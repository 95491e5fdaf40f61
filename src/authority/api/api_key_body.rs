//! Reading and checking what an API key is made of: the bodies of create, grant, update and bulk update.

use std::time::Duration;

use serde_json::{Map, Value};

use super::role_body;
use crate::authority::access::budget::Budget;
use crate::authority::access::names::MOST_FAULTS;
use crate::authority::body::{Field, Grammar, Object};
use crate::authority::failure::Failure;
use crate::authority::record::RoleSet;
use crate::authority::time_value;
use crate::wire::roles::RoleDescriptor;

/// The strict parser's name for a new key.
pub const GRAMMAR: Grammar = Grammar::Strict("api_key_request");
/// The strict parser's name for the update of one key.
pub const UPDATE: Grammar = Grammar::Strict("update_api_key_request_payload");
/// The strict parser's name for the update of several keys.
pub const BULK_UPDATE: Grammar = Grammar::Strict("bulk_update_api_key_request");

/// Bytes of a key's metadata, as JSON. Every key is kept in memory, and an update of many writes it for each.
const MOST_METADATA: usize = 64 * 1_024;
/// Keys that one bulk update may name.
const MAX_BULK: usize = 10_000;

/// The body of `PUT /_security/api_key`.
#[derive(Debug, Default)]
pub struct NewKey {
    /// Its name.
    pub name: String,
    /// Life from now on; `None`: for ever.
    pub expiration: Option<Duration>,
    /// Its own roles; empty: the owner's.
    pub roles: RoleSet,
    /// Free metadata.
    pub metadata: Map<String, Value>,
}

impl NewKey {
    /// Reads and checks the body.
    ///
    /// # Errors
    /// What doesn't fit the grammar, then everything that is not valid.
    pub fn parse(object: &Object<'_>) -> Result<Self, Failure> {
        let key = Self::read(object)?;
        refuse(&key.faults())?;
        key.check_restrictions()?;
        Ok(key)
    }

    /// Reads the body; [`NewKey::faults`] and [`NewKey::check_restrictions`] are to follow.
    ///
    /// # Errors
    /// What doesn't fit the grammar.
    pub fn read(object: &Object<'_>) -> Result<Self, Failure> {
        let mut name = None;
        let mut key = Self::default();
        for field in object.fields() {
            match field.name {
                "name" => name = field.optional_string()?,
                "expiration" => key.expiration = parse_expiration(&field)?,
                "role_descriptors" if field.is_null() => {}
                "role_descriptors" => key.roles = role_body::parse_set(&field)?,
                "metadata" if field.is_null() => {}
                "metadata" => key.metadata = field.map()?,
                _ => return Err(field.unknown()),
            }
        }
        let name = name.ok_or_else(|| Failure::illegal_argument("Required [name]"))?;
        Ok(Self { name, ..key })
    }

    /// Everything that is not valid.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = name_faults(&self.name);
        faults.extend(metadata_fault(&self.metadata));
        faults.extend(role_faults(&self.roles));
        faults
    }

    /// A restricted role must be the only one.
    ///
    /// # Errors
    /// Several restricted roles, or one among others.
    pub fn check_restrictions(&self) -> Result<(), Failure> {
        check_restrictions(&self.roles)
    }
}

/// What an update changes. `None`: stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// New roles; empty: the owner's.
    pub roles: Option<RoleSet>,
    /// New metadata, whole.
    pub metadata: Option<Map<String, Value>>,
    /// New life, from now on.
    pub expiration: Option<Duration>,
    /// New pattern for the certificate of a remote cluster.
    pub certificate_identity: Option<String>,
}

impl Change {
    /// Reads and checks the body of `PUT /_security/api_key/{id}`.
    ///
    /// # Errors
    /// What doesn't fit the grammar, then everything that is not valid.
    pub fn parse(object: &Object<'_>) -> Result<Self, Failure> {
        let mut change = Self::default();
        for field in object.fields() {
            change.read(&field)?;
        }
        refuse(&change.faults())?;
        change.check_restrictions()?;
        Ok(change)
    }

    /// Reads and checks the body of `POST /_security/api_key/_bulk_update`: ids without doubles, and the change.
    ///
    /// # Errors
    /// As [`Change::parse`].
    pub fn parse_bulk(object: &Object<'_>) -> Result<(Vec<String>, Self), Failure> {
        let mut change = Self::default();
        let mut ids: Option<Vec<String>> = None;
        for field in object.fields() {
            match field.name {
                "ids" => ids = Some(field.strings()?),
                _ => change.read(&field)?,
            }
        }
        let ids = ids.ok_or_else(|| Failure::illegal_argument("Required [ids]"))?;
        let mut faults = change.faults();
        if ids.is_empty() {
            faults.push("Field [ids] cannot be empty".to_owned());
        }
        if ids.len() > MAX_BULK {
            faults.push(format!(
                "Field [ids] cannot contain more than [{MAX_BULK}] ids"
            ));
        }
        refuse(&faults)?;
        change.check_restrictions()?;
        let mut seen = std::collections::HashSet::new();
        let ids = ids
            .into_iter()
            .filter(|id| seen.insert(id.clone()))
            .collect();
        Ok((ids, change))
    }

    fn read(&mut self, field: &Field<'_>) -> Result<(), Failure> {
        match field.name {
            "role_descriptors" => self.roles = Some(role_body::parse_set(field)?),
            "metadata" => self.metadata = Some(field.map()?),
            "expiration" => self.expiration = parse_expiration(field)?,
            _ => return Err(field.unknown()),
        }
        Ok(())
    }

    /// Everything that is not valid.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(metadata) = &self.metadata {
            faults.extend(metadata_fault(metadata));
        }
        if let Some(roles) = &self.roles {
            faults.extend(role_faults(roles));
        }
        faults
    }

    fn check_restrictions(&self) -> Result<(), Failure> {
        self.roles.as_ref().map_or(Ok(()), check_restrictions)
    }
}

/// Reads `expiration`; `null` is no expiration.
///
/// # Errors
/// Something else than a time value.
pub fn parse_expiration(field: &Field<'_>) -> Result<Option<Duration>, Failure> {
    let Some(text) = field.optional_string()? else {
        return Ok(None);
    };
    time_value::parse(&text, "expiration")
        .map(Some)
        .map_err(Failure::illegal_argument)
}

/// What is wrong with the name of a key.
pub fn name_faults(name: &str) -> Vec<String> {
    let broken = [
        (name.is_empty(), "is required"),
        (
            name.chars().count() > 256,
            "may not be more than 256 characters long",
        ),
        (name.trim() != name, "may not begin or end with whitespace"),
        (name.starts_with('_'), "may not begin with an underscore"),
    ];
    let said = broken.into_iter().filter(|(broken, _)| *broken);
    said.map(|(_, why)| format!("api key name {why}")).collect()
}

/// What is wrong with the metadata of a key: a reserved key at the top, or its size.
pub fn metadata_fault(metadata: &Map<String, Value>) -> Option<String> {
    if metadata.keys().any(|key| key.starts_with('_')) {
        return Some("API key metadata keys may not start with [_]".to_owned());
    }
    let size = serde_json::to_vec(metadata).map_or(usize::MAX, |bytes| bytes.len());
    (size > MOST_METADATA).then(|| {
        format!("API key metadata may have at most [{MOST_METADATA}] bytes but has [{size}]")
    })
}

/// What is wrong with the roles of a key; of very much, the first.
fn role_faults(roles: &RoleSet) -> Vec<String> {
    let budget = Budget::for_reading();
    let faults = roles
        .values()
        .flat_map(|role| role_body::faults(role, &budget));
    faults.take(MOST_FAULTS + 1).collect()
}

/// A restricted role must be the only one of its key.
///
/// # Errors
/// Several restricted roles, or one among others.
fn check_restrictions(roles: &RoleSet) -> Result<(), Failure> {
    let restricted = roles.values().filter(|role| role.restriction.is_some());
    match (restricted.count(), roles.len()) {
        (0, _) | (1, 1) => Ok(()),
        (1, _) => Err(Failure::illegal_argument(
            "combining role descriptors with and without restriction is not supported",
        )),
        _ => Err(Failure::illegal_argument(
            "more than one role descriptor with restriction is not supported",
        )),
    }
}

/// Refuses a request with faults.
///
/// # Errors
/// All of them, numbered.
pub fn refuse(faults: &[String]) -> Result<(), Failure> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::request_validation(faults))
}

/// Whether a role grants nothing at all, as every role of a key made by a key must.
pub fn is_powerless(role: &RoleDescriptor) -> bool {
    role.cluster.is_empty()
        && role.global.is_none()
        && role.indices.is_empty()
        && role.applications.is_empty()
        && role.run_as.is_empty()
        && role.remote_indices.is_empty()
        && role.remote_cluster.is_empty()
}
