//! How an API key is shown, in `GET /_security/api_key` and in queries. Never its secret, not even hashed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::role_body;
use crate::authority::call::Query;
use crate::authority::failure::Failure;
use crate::authority::profile::identity::profile_uid_of;
use crate::authority::record::{ApiKey, ApiKeyKind, RoleSet};
use crate::authority::store::Tables;
use crate::wire::grants::ApiKeyInfo;
use crate::wire::roles::RoleDescriptor;

/// The name of the one role a cross-cluster key has.
pub const CROSS_CLUSTER_ROLE: &str = "cross_cluster";
/// Index privileges of a cross-cluster key that may search.
pub const SEARCH_PRIVILEGES: [&str; 3] = ["read", "read_cross_cluster", "view_index_metadata"];
/// Index privileges of a cross-cluster key that may replicate.
pub const REPLICATION_PRIVILEGES: [&str; 2] = [
    "cross_cluster_replication",
    "cross_cluster_replication_internal",
];

/// What a call wants to see of keys beside the keys.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The owner's roles; cross-cluster keys have none.
    pub limited_by: bool,
    /// The owner's profile.
    pub profile_uid: bool,
}

impl View {
    /// Reads `with_limited_by` and `with_profile_uid`.
    ///
    /// # Errors
    /// Values that are no flags.
    pub fn of(query: &Query) -> Result<Self, Failure> {
        Ok(Self {
            limited_by: query.flag("with_limited_by")?,
            profile_uid: query.flag("with_profile_uid")?,
        })
    }
}

/// A key as answers show it.
pub fn describe(tables: &Tables, key: &ApiKey, view: View) -> ApiKeyInfo {
    let limited = view.limited_by && key.kind == ApiKeyKind::Rest;
    let creator = &key.creator;
    let profile = || profile_uid_of(tables, &creator.username, &creator.realm);
    ApiKeyInfo {
        id: key.id.clone(),
        name: key.name.clone(),
        kind: key.kind.label().to_owned(),
        creation: key.creation,
        expiration: key.expiration,
        invalidated: key.invalidation.is_some(),
        invalidation: key.invalidation,
        username: key.creator.username.clone(),
        realm: key.creator.realm.name.clone(),
        realm_type: Some(key.creator.realm.kind.clone()),
        metadata: key.metadata.clone(),
        role_descriptors: render(&key.roles),
        limited_by: limited.then(|| vec![render(&key.limited_by)]),
        access: access(key),
        certificate_identity: key.certificate_identity.clone(),
        profile_uid: view.profile_uid.then(profile).flatten(),
        sort: None,
    }
}

fn render(set: &RoleSet) -> BTreeMap<String, RoleDescriptor> {
    set.iter()
        .map(|(name, role)| (name.clone(), role_body::render(role)))
        .collect()
}

/// The role of a cross-cluster key, told as the request told it.
fn access(key: &ApiKey) -> Option<Value> {
    if key.kind != ApiKeyKind::CrossCluster {
        return None;
    }
    let role = key.roles.get(CROSS_CLUSTER_ROLE)?;
    let part = |privileges: &[&str]| -> Vec<Value> {
        let of_part = role
            .indices
            .iter()
            .filter(|item| item.privileges == privileges);
        of_part
            .map(|item| {
                let mut shown = json!(item);
                if let Value::Object(fields) = &mut shown {
                    fields.shift_remove("privileges");
                }
                shown
            })
            .collect()
    };
    let mut access = Map::new();
    for (name, privileges) in [
        ("search", &SEARCH_PRIVILEGES[..]),
        ("replication", &REPLICATION_PRIVILEGES[..]),
    ] {
        let items = part(privileges);
        if !items.is_empty() {
            access.insert(name.to_owned(), Value::Array(items));
        }
    }
    Some(Value::Object(access))
}
