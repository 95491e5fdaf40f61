//! Reading what a cross-cluster API key gives access to, and turning it into the one role such a key has.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::api_key_body::{self, Change};
use super::api_key_view::{CROSS_CLUSTER_ROLE, REPLICATION_PRIVILEGES, SEARCH_PRIVILEGES};
use super::document_query;
use super::role_body::{self, Purpose};
use crate::authority::body::{Field, Grammar, Object};
use crate::authority::failure::Failure;
use crate::authority::record::RoleSet;
use crate::wire::roles::{IndexPrivileges, RoleDescriptor};

/// The strict parser's name for a new key.
pub const CREATE: Grammar = Grammar::Strict("cross_cluster_api_key_request_payload");
/// The strict parser's name for an update.
pub const UPDATE: Grammar = Grammar::Strict("update_cross_cluster_api_key_request_payload");
const ACCESS: Grammar = Grammar::Strict("cross_cluster_api_key_request_access");

/// Longest pattern for a certificate's subject.
const MAX_IDENTITY: usize = 1_024;
/// Largest compiled pattern for a certificate's subject, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// The body of `POST /_security/cross_cluster/api_key`.
pub struct NewCrossClusterKey {
    /// Name, expiration, metadata, and the one role.
    pub key: api_key_body::NewKey,
    /// Pattern for the subject of the remote cluster's certificate.
    pub certificate_identity: Option<String>,
}

/// Reads and checks the body of `POST /_security/cross_cluster/api_key`.
///
/// # Errors
/// What doesn't fit the grammar, then everything that is not valid.
pub fn parse(object: &Object<'_>) -> Result<NewCrossClusterKey, Failure> {
    let mut key = api_key_body::NewKey::default();
    let (mut name, mut access, mut certificate_identity) = (None, None, None);
    for field in object.fields() {
        match field.name {
            "name" => name = Some(field.string()?),
            "access" => access = Some(parse_access(&field)?),
            "expiration" => key.expiration = api_key_body::parse_expiration(&field)?,
            "metadata" => key.metadata = field.map()?,
            "certificate_identity" => certificate_identity = Some(parse_identity(&field)?),
            _ => return Err(field.unknown()),
        }
    }
    let (Some(name), Some(access)) = (&name, access) else {
        let missing = if name.is_none() { "name" } else { "access" };
        return Err(Failure::illegal_argument(format!("Required [{missing}]")));
    };
    name.clone_into(&mut key.name);
    key.roles = access;
    api_key_body::refuse(&key.faults())?;
    Ok(NewCrossClusterKey {
        key,
        certificate_identity,
    })
}

/// Reads and checks the body of `PUT /_security/cross_cluster/api_key/{id}`.
///
/// # Errors
/// As [`parse`]; and a body that changes nothing.
pub fn parse_change(object: &Object<'_>) -> Result<Change, Failure> {
    let mut change = Change::default();
    for field in object.fields() {
        match field.name {
            "access" => change.roles = Some(parse_access(&field)?),
            "expiration" => change.expiration = api_key_body::parse_expiration(&field)?,
            "metadata" => change.metadata = Some(field.map()?),
            "certificate_identity" => change.certificate_identity = Some(parse_identity(&field)?),
            _ => return Err(field.unknown()),
        }
    }
    let mut faults = change.faults();
    if change.roles.is_none() && change.metadata.is_none() && change.certificate_identity.is_none()
    {
        faults.push(
            "must update either [access] or [metadata] for cross-cluster API keys".to_owned(),
        );
    }
    api_key_body::refuse(&faults)?;
    Ok(change)
}

/// Reads `access` into the role it stands for.
fn parse_access(field: &Field<'_>) -> Result<RoleSet, Failure> {
    let object = field.object(ACCESS)?;
    let (mut search, mut replication) = (Vec::new(), Vec::new());
    for part in object.fields() {
        match part.name {
            "search" => search = parse_part(&part, &SEARCH_PRIVILEGES)?,
            "replication" => replication = parse_part(&part, &REPLICATION_PRIVILEGES)?,
            _ => return Err(part.unknown()),
        }
    }
    if search.is_empty() && replication.is_empty() {
        return Err(Failure::illegal_argument(
            "must specify non-empty access for either [search] or [replication]",
        ));
    }
    if replication.iter().any(limits_documents_or_fields) {
        return Err(Failure::illegal_argument(
            "replication does not support document or field level security",
        ));
    }
    let mut cluster = Vec::new();
    if !search.is_empty() {
        cluster.extend(["cross_cluster_search", "monitor_enrich"].map(str::to_owned));
    }
    if !replication.is_empty() {
        cluster.push("cross_cluster_replication".to_owned());
    }
    search.append(&mut replication);
    let role = RoleDescriptor {
        cluster,
        indices: search,
        ..RoleDescriptor::default()
    };
    Ok(RoleSet::from([(
        CROSS_CLUSTER_ROLE.to_owned(),
        Arc::new(role),
    )]))
}

/// Reads one part of `access`: index privileges whose privileges are given by the part. The role parser does the reading, so
/// both accept the same.
fn parse_part(field: &Field<'_>, privileges: &[&str]) -> Result<Vec<IndexPrivileges>, Failure> {
    let mut items = Vec::new();
    for item in field
        .value()?
        .as_array_mut()
        .ok_or_else(|| field.mistyped("array"))?
    {
        let Value::Object(fields) = item else {
            return Err(field.mistyped("array"));
        };
        items.push(with_privileges(fields, privileges)?);
    }
    let role = json!({"indices": items}).to_string();
    let object = Object::parse(role.as_bytes(), Grammar::Hand("role"))?;
    let role = role_body::parse(&object, CROSS_CLUSTER_ROLE, Purpose::ApiKey)?;
    document_query::check(&role)?;
    Ok(role.indices)
}

fn with_privileges(fields: &Map<String, Value>, privileges: &[&str]) -> Result<Value, Failure> {
    if fields.contains_key("privileges") {
        return Err(Failure::parse(format!(
            "failed to parse indices privileges for role [{CROSS_CLUSTER_ROLE}]. unexpected field [privileges]"
        )));
    }
    let mut fields = fields.clone();
    fields.insert("privileges".to_owned(), json!(privileges));
    Ok(Value::Object(fields))
}

/// Whether an item shows less than whole documents. All fields granted and none excepted is no limit.
fn limits_documents_or_fields(item: &IndexPrivileges) -> bool {
    let limits_fields = item
        .field_security
        .as_ref()
        .is_some_and(|fields| !fields.except.is_empty() || fields.grant != ["*"]);
    item.query.is_some() || limits_fields
}

fn parse_identity(field: &Field<'_>) -> Result<String, Failure> {
    let pattern = field.string()?;
    let compiled = regex::RegexBuilder::new(&pattern)
        .size_limit(MAX_COMPILED)
        .build();
    if pattern.len() > MAX_IDENTITY || compiled.is_err() {
        return Err(Failure::illegal_argument(format!(
            "Invalid certificate_identity format: [{pattern}]. Must be a valid regex."
        )));
    }
    Ok(pattern)
}
