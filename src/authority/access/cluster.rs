//! The cluster part of permissions: which cluster actions, and which named privileges, the roles grant together.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::actions::{ActionSpace, Realm};
use super::bits::Bits;
use super::budget::Budget;
use super::pattern::PatternError;
use super::question::QuestionError;
use crate::authority::builtin::privileges::{self, MANAGE_OWN_API_KEY};
use crate::wire::roles::RoleDescriptor;

/// Actions on API keys; granting a key to somebody else is never one's own.
const OWN_API_KEY_ACTIONS: &str = "cluster:admin/xpack/security/api_key/";
const GRANT_API_KEY: &str = "cluster:admin/xpack/security/api_key/grant";

/// Cluster privileges of a set of roles.
#[derive(Debug)]
pub(super) struct ClusterPart {
    space: Arc<ActionSpace>,
    granted: Bits,
    /// At least one privilege was given, if only `none`.
    is_given: bool,
    own_api_keys: bool,
}

impl ClusterPart {
    /// Unites the cluster privileges of all roles. Names that are unknown grant nothing.
    ///
    /// # Errors
    /// Raw actions that are too complex together.
    pub(super) fn compile(roles: &[RoleDescriptor]) -> Result<Self, PatternError> {
        let names: BTreeSet<String> = roles
            .iter()
            .flat_map(|role| &role.cluster)
            .map(|name| name.to_lowercase())
            .collect();
        let raw = names
            .iter()
            .filter(|name| privileges::is_cluster_action(name))
            .cloned()
            .collect();
        let space = ActionSpace::with_raw(Realm::Cluster, &raw)?;
        let mut granted = space.nothing();
        let mut is_given = false;
        for name in names.iter().filter(|name| *name != MANAGE_OWN_API_KEY) {
            if let Some(classes) = space.classes_of(name) {
                granted.unite(classes);
                is_given = true;
            }
        }
        let own_api_keys = names.contains(MANAGE_OWN_API_KEY);
        Ok(Self {
            space,
            granted,
            is_given: is_given || own_api_keys,
            own_api_keys,
        })
    }

    /// Whether a named privilege or a raw action is granted.
    ///
    /// # Errors
    /// An unknown name, or a raw action that is too complex to ask about.
    pub(super) fn grants(&self, privilege: &str, budget: &Budget) -> Result<bool, QuestionError> {
        let name = privilege.to_lowercase();
        if privileges::is_cluster_action(&name) {
            return Ok(self.is_given && self.space.grants_raw(&self.granted, &name, budget)?);
        }
        let classes = self
            .space
            .classes_of(&name)
            .ok_or_else(|| QuestionError::unknown_cluster(&name))?;
        // `none` and its like are subsets of everything, but of no privilege at all.
        let is_own = self.own_api_keys && name == MANAGE_OWN_API_KEY;
        Ok(is_own || self.is_given && classes.is_subset_of(&self.granted))
    }

    /// Whether one action is granted without conditions.
    pub(super) fn allows(&self, action: &str) -> bool {
        self.space.grants_action(&self.granted, action)
    }

    /// Whether an action on API keys is granted, at least on the caller's own.
    pub(super) fn allows_own_api_key(&self, action: &str) -> bool {
        let is_own = action.starts_with(OWN_API_KEY_ACTIONS) && !action.starts_with(GRANT_API_KEY);
        self.allows(action) || self.own_api_keys && is_own
    }
}
