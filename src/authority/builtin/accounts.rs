//! Reserved users (`GET /_security/user`) and service accounts (`GET /_security/service`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::wire::roles::RoleDescriptor;

/// A user every cluster has. Only its password and whether it is enabled can change.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReservedUser {
    /// User name.
    pub username: String,
    /// Role names.
    pub roles: Vec<String>,
    /// Full name, if any.
    pub full_name: Option<String>,
    /// E-mail, if any.
    pub email: Option<String>,
    /// Metadata; `_reserved` is always in it.
    pub metadata: Map<String, Value>,
    /// Whether the user may log in unless somebody changed that.
    pub enabled: bool,
}

static USERS: LazyLock<Vec<ReservedUser>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("users.json"))
        .expect("the built-in users are valid, which a test checks")
});

static SERVICES: LazyLock<BTreeMap<String, RoleDescriptor>> = LazyLock::new(|| {
    let accounts = serde_json::from_str(include_str!("service_accounts.json"));
    accounts.expect("the built-in service accounts are valid, which a test checks")
});

/// Names of users that act inside Elasticsearch: they cannot log in and are not shown.
pub const INTERNAL_USERS: [&str; 10] = [
    "_async_search",
    "_cross_cluster_access",
    "_data_stream_lifecycle",
    "_lazy_rollover",
    "_reindex_data_stream",
    "_security_profile",
    "_synonyms",
    "_system",
    "_xpack",
    "_xpack_security",
];

/// The reserved user of this name.
pub fn reserved_user(name: &str) -> Option<&'static ReservedUser> {
    USERS.iter().find(|user| user.username == name)
}

/// All reserved users, in the order Elasticsearch lists them.
pub fn reserved_users() -> &'static [ReservedUser] {
    &USERS
}

/// What a service account may do, by its full name such as `elastic/fleet-server`.
pub fn service_account(name: &str) -> Option<&'static RoleDescriptor> {
    SERVICES.get(name)
}

/// All service accounts, by full name.
pub fn service_accounts() -> impl Iterator<Item = (&'static str, &'static RoleDescriptor)> {
    SERVICES.iter().map(|(name, role)| (name.as_str(), role))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::builtin::roles::reserved_role;

    #[test]
    fn reserved_users_hold_reserved_roles_only() {
        assert_eq!(reserved_users().len(), 7);
        for user in reserved_users() {
            assert!(
                user.roles.iter().all(|role| reserved_role(role).is_some()),
                "{}",
                user.username
            );
        }
        assert_eq!(
            reserved_user("elastic").map(|user| user.roles.as_slice()),
            Some(&["superuser".to_owned()][..])
        );
    }

    #[test]
    fn service_accounts_are_known_by_their_full_names() {
        let names: Vec<&str> = service_accounts().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "elastic/auto-ops",
                "elastic/fleet-server",
                "elastic/fleet-server-remote",
                "elastic/kibana"
            ]
        );
        assert!(
            service_account("elastic/fleet-server").is_some()
                && service_account("fleet-server").is_none()
        );
    }
}
