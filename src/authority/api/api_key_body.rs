//! Reading and checking what an API key is made of.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::role_body;
use crate::authority::body::{Grammar, Object};
use crate::authority::failure::Failure;
use crate::authority::record::RoleSet;
use crate::authority::time_value;
use crate::model::clock::{self, Now};
use crate::wire::roles::RoleDescriptor;

/// The strict parser's name.
pub const GRAMMAR: Grammar = Grammar::Strict("api_key_request");

/// The body of `PUT /_security/api_key`.
pub struct NewKey {
    /// Its name.
    pub name: String,
    /// Life from now on; `None`: for ever.
    pub expiration: Option<std::time::Duration>,
    /// Its own roles; empty: the owner's.
    pub roles: RoleSet,
    /// Free metadata.
    pub metadata: Map<String, Value>,
}

/// Reads and checks the body.
///
/// # Errors
/// What doesn't fit the grammar, then everything that is not valid.
pub fn parse(object: &Object<'_>) -> Result<NewKey, Failure> {
    let mut name = None;
    let mut expiration = None;
    let mut roles = RoleSet::new();
    let mut metadata = Map::new();
    for field in object.fields() {
        match field.name {
            "name" => name = field.optional_string()?,
            "expiration" if field.is_null() => {}
            "expiration" => {
                let life = time_value::parse(&field.string()?, "expiration");
                expiration = Some(life.map_err(Failure::illegal_argument)?);
            }
            "role_descriptors" if field.is_null() => {}
            "role_descriptors" => roles = role_body::parse_set(&field)?,
            "metadata" if field.is_null() => {}
            "metadata" => metadata = field.map()?,
            _ => return Err(field.unknown()),
        }
    }
    let Some(name) = name else {
        return Err(Failure::illegal_argument("Required [name]"));
    };
    let key = NewKey {
        name,
        expiration,
        roles,
        metadata,
    };
    let faults = faults(&key);
    if !faults.is_empty() {
        return Err(Failure::request_validation(&faults));
    }
    check_restrictions(&key.roles)?;
    Ok(key)
}

fn faults(key: &NewKey) -> Vec<String> {
    let mut faults = Vec::new();
    let mut say = |fault: &str| faults.push(fault.to_owned());
    let name = &key.name;
    if name.is_empty() {
        say("api key name is required");
    } else {
        if name.chars().count() > 256 {
            say("api key name may not be more than 256 characters long");
        }
        if name.trim() != name {
            say("api key name may not begin or end with whitespace");
        }
        if name.starts_with('_') {
            say("api key name may not begin with an underscore");
        }
    }
    if key.metadata.keys().any(|key| key.starts_with('_')) {
        say("API key metadata keys may not start with [_]");
    }
    faults.extend(key.roles.values().flat_map(role_body::faults));
    faults
}

fn check_restrictions(roles: &RoleSet) -> Result<(), Failure> {
    let restricted = roles
        .values()
        .filter(|role| role.restriction.is_some())
        .count();
    match (restricted, roles.len()) {
        (0, _) | (1, 1) => Ok(()),
        (1, _) => Err(Failure::illegal_argument(
            "combining role descriptors with and without restriction is not supported",
        )),
        _ => Err(Failure::illegal_argument(
            "more than one role descriptor with restriction is not supported",
        )),
    }
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

/// Twenty characters: six bytes of time, nine of chance.
pub fn new_id(now: Now) -> String {
    let mut bytes = [0u8; 15];
    bytes[..6].copy_from_slice(&now.unix_millis().to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&clock::random_bytes::<9>());
    URL_SAFE_NO_PAD.encode(bytes)
}
