//! What a set of roles permits: roles compiled to automata, and `_has_privileges` answered from them.
//!
//! [`Permissions`] never change once compiled; whoever keeps them compiles anew when a role or a stored application
//! privilege changes. One check costs the same for three roles and for three hundred: all cluster privileges are one
//! set of action classes, all index patterns one automaton labelled with groups, and so for applications.
//!
//! Always true: what is not granted is denied; unknown names grant nothing; an answer is exact, never an estimate (a
//! pattern too complex to be exact about is an error); nothing here reads documents or fields, so document and field
//! level security don't matter. A new part of a role gets a file beside `cluster` and a field in `Parts`. The listing
//! of `GET /_security/user/_privileges` reads descriptors, not automata, and will be a file of its own here.

pub mod application;
pub mod automaton;
pub mod granting;
pub mod names;
pub mod pattern;
pub mod question;

mod actions;
mod bits;
mod budget;
mod charset;
mod cluster;
mod cover;
mod determinise;
mod dfa;
mod index;
mod interval;
mod nfa;
mod regex;
mod shard;

use std::sync::Arc;

use application::{ApplicationCatalogue, ApplicationPart};
use automaton::Automaton;
use budget::Budget;
use cluster::ClusterPart;
use index::IndexPart;
use pattern::PatternError;
use question::QuestionError;

use crate::wire::privileges::{HasPrivilegesRequest, HasPrivilegesResponse};
use crate::wire::roles::RoleDescriptor;

/// What a caller may do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Permissions {
    own: Arc<Parts>,
    /// The owner's permissions at an API key's creation: both must grant, each judged on its own.
    owner: Option<Arc<Self>>,
}

#[derive(Debug)]
struct Parts {
    cluster: ClusterPart,
    index: IndexPart,
    application: ApplicationPart,
    run_as: Automaton,
    managed_applications: Automaton,
    /// Applications whose profile data may be written.
    profile_applications: Automaton,
}

impl Permissions {
    /// Compiles the union of some roles. `catalogue` gives meaning to application privilege names.
    ///
    /// # Errors
    /// A role with a malformed pattern, or with one that is too complex. Roles that passed
    /// [`names::check_role`] have no malformed ones.
    pub fn compile(
        roles: &[RoleDescriptor],
        catalogue: &ApplicationCatalogue,
    ) -> Result<Self, PatternError> {
        let run_as = roles
            .iter()
            .flat_map(|role| &role.run_as)
            .map(String::as_str);
        let of_global = |pointer: &str| {
            let patterns: Vec<String> = roles
                .iter()
                .flat_map(|role| global_patterns(role, pointer))
                .collect();
            Automaton::of_patterns(patterns.iter().map(String::as_str))
        };
        let parts = Parts {
            cluster: ClusterPart::compile(roles)?,
            index: IndexPart::compile(roles)?,
            application: ApplicationPart::compile(roles, catalogue)?,
            run_as: Automaton::of_patterns(run_as)?,
            managed_applications: of_global("/application/manage/applications")?,
            profile_applications: of_global("/profile/write/applications")?,
        };
        Ok(Self {
            own: Arc::new(parts),
            owner: None,
        })
    }

    /// The same permissions, and never more than `owner` has: an API key's.
    #[must_use]
    pub fn limited_by(self, owner: Arc<Self>) -> Self {
        let owner = match self.owner {
            Some(nearer) => Arc::new(Self::clone(&nearer).limited_by(owner)),
            None => owner,
        };
        Self {
            owner: Some(owner),
            ..self
        }
    }

    /// Answers `POST /_security/user/_has_privileges` for the user these permissions belong to.
    ///
    /// # Errors
    /// A privilege nobody knows, or a pattern that is malformed or too complex. [`question::check`] finds what
    /// Elasticsearch validates before.
    pub fn has_privileges(
        &self,
        username: &str,
        question: &HasPrivilegesRequest,
    ) -> Result<HasPrivilegesResponse, QuestionError> {
        let mut answer = HasPrivilegesResponse {
            username: username.to_owned(),
            has_all_requested: true,
            ..HasPrivilegesResponse::default()
        };
        let mut permissions = Some(self);
        while let Some(current) = permissions {
            current.own.answer(question, &mut answer)?;
            permissions = current.owner.as_deref();
        }
        Ok(answer)
    }

    /// Whether a cluster action is permitted without conditions.
    pub fn allows_cluster_action(&self, action: &str) -> bool {
        self.every(|parts| parts.cluster.allows(action))
    }

    /// Whether an action on API keys is permitted at least on the caller's own keys (`manage_own_api_key`). True does
    /// not say on whose keys: unless [`Permissions::allows_cluster_action`] is true as well, the endpoint must see to
    /// it that only keys of the caller are shown or touched, and that `with_limited_by` is refused to API keys.
    pub fn allows_own_api_key_action(&self, action: &str) -> bool {
        self.every(|parts| parts.cluster.allows_own_api_key(action))
    }

    /// Whether the caller may act as another user (`es-security-runas-user`).
    pub fn may_run_as(&self, user: &str) -> bool {
        self.every(|parts| parts.run_as.matches(user))
    }

    /// Whether the stored privileges of an application may be managed (`global.application.manage`).
    pub fn manages_application(&self, application: &str) -> bool {
        self.every(|parts| parts.managed_applications.matches(application))
    }

    /// Whether the stored privileges of all applications, also those to come, may be managed.
    pub fn manages_every_application(&self) -> bool {
        self.every(|parts| parts.managed_applications.is_total())
    }

    /// Whether the profile data of an application may be written (`global.profile.write`).
    pub fn writes_profile_data_of(&self, application: &str) -> bool {
        self.every(|parts| parts.profile_applications.matches(application))
    }

    fn every(&self, permits: impl Fn(&Parts) -> bool) -> bool {
        let mut permissions = Some(self);
        while let Some(current) = permissions {
            if !permits(&current.own) {
                return false;
            }
            permissions = current.owner.as_deref();
        }
        true
    }
}

impl Parts {
    /// Merges this part's answers into what was answered before: what is asked twice must be granted twice.
    fn answer(
        &self,
        question: &HasPrivilegesRequest,
        answer: &mut HasPrivilegesResponse,
    ) -> Result<(), QuestionError> {
        let HasPrivilegesResponse {
            has_all_requested,
            cluster,
            index,
            application,
            ..
        } = answer;
        let budget = Budget::for_questions();
        let mut merge = |of: &mut std::collections::BTreeMap<String, bool>,
                         privilege: &str,
                         is_granted: bool| {
            *has_all_requested &= is_granted;
            match of.get_mut(privilege) {
                Some(before) => *before &= is_granted,
                None => {
                    of.insert(privilege.to_owned(), is_granted);
                }
            }
        };
        for privilege in &question.cluster {
            merge(cluster, privilege, self.cluster.grants(privilege, &budget)?);
        }
        for item in &question.index {
            self.index
                .answer(item, &budget, |name, privilege, is_granted| {
                    merge(entry(index, name), privilege, is_granted);
                })?;
        }
        for item in &question.application {
            let of_application = entry(application, &item.application);
            self.application
                .answer(item, &budget, |resource, privilege, is_granted| {
                    merge(entry(of_application, resource), privilege, is_granted);
                })?;
        }
        Ok(())
    }
}

/// The entry of a key, made when missing; an existing one costs no allocation.
fn entry<'m, V: Default>(
    map: &'m mut std::collections::BTreeMap<String, V>,
    key: &str,
) -> &'m mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.get_mut(key).expect("inserted above")
}

/// The patterns at this place of a role's `global`.
fn global_patterns(role: &RoleDescriptor, pointer: &str) -> Vec<String> {
    let patterns = role
        .global
        .as_ref()
        .and_then(|global| global.pointer(pointer));
    let patterns = patterns
        .and_then(|patterns| patterns.as_array())
        .map_or(&[][..], Vec::as_slice);
    patterns
        .iter()
        .filter_map(|pattern| pattern.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests;
