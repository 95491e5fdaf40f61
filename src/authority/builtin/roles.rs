//! Reserved roles, as `GET /_security/role` lists them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::wire::roles::RoleDescriptor;

static ROLES: LazyLock<BTreeMap<String, RoleDescriptor>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("roles.json"))
        .expect("the built-in roles are valid, which a test checks")
});

/// The role that may do nearly everything.
pub const SUPERUSER: &str = "superuser";

/// The reserved role of this name.
pub fn reserved_role(name: &str) -> Option<&'static RoleDescriptor> {
    ROLES.get(name)
}

/// All reserved roles, by name.
pub fn reserved_roles() -> impl Iterator<Item = (&'static str, &'static RoleDescriptor)> {
    ROLES.iter().map(|(name, role)| (name.as_str(), role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reserved_role_is_marked_as_such() {
        assert_eq!(reserved_roles().count(), 31);
        for (name, role) in reserved_roles() {
            assert_eq!(role.metadata.get("_reserved"), Some(&true.into()), "{name}");
        }
        assert_eq!(
            reserved_role(SUPERUSER).map(|role| role.cluster.as_slice()),
            Some(&["all".to_owned()][..])
        );
    }
}
