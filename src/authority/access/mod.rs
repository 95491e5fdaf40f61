//! What a set of roles permits: roles compiled to automata, and `_has_privileges` answered from them.
//!
//! [`Permissions`] never change once compiled; whoever keeps them compiles anew when a role or a stored application
//! privilege changes. One check costs the same for three roles and for three hundred: all cluster privileges are one
//! set of action classes, all index patterns one automaton labelled with groups, and so for applications.
//!
//! Always true: what is not granted is denied; unknown names grant nothing; an answer is exact, never an estimate (a
//! pattern too complex to be exact about is an error); nothing here reads documents or fields, so document and field
//! level security don't matter. A new part of a role gets a file beside `cluster` and a field in `Parts`. The listing
//! of `GET /_security/user/_privileges` reads descriptors, not automata, and is an endpoint's own business.

pub mod application;
pub mod automaton;
pub mod budget;
pub mod granting;
pub mod names;
pub mod pattern;
pub mod question;

mod actions;
mod bits;
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

use serde::Deserialize as _;
use serde_json::Value;

use crate::wire::privileges::{HasPrivilegesRequest, HasPrivilegesResponse, IndexQuestion};
use crate::wire::roles::{IndexPrivileges, RoleDescriptor};

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
    managed_roles: IndexPart,
    manages_roles: bool,
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
        Self::compile_within(roles, catalogue, &Budget::for_all_roles())
    }

    /// The same, drawing from a budget that others draw from, too.
    ///
    /// # Errors
    /// As [`Permissions::compile`].
    pub fn compile_within(
        roles: &[RoleDescriptor],
        catalogue: &ApplicationCatalogue,
        budget: &Budget,
    ) -> Result<Self, PatternError> {
        let run_as = roles
            .iter()
            .flat_map(|role| &role.run_as)
            .map(String::as_str);
        let applications = listed(roles, "/application/manage/applications");
        let managed = managed_roles(roles);
        let written = listed(roles, "/profile/write/applications");
        let parts = Parts {
            cluster: ClusterPart::compile(roles)?,
            index: IndexPart::compile(roles, budget)?,
            application: ApplicationPart::compile(roles, catalogue, budget)?,
            run_as: Automaton::of_patterns_within(run_as, budget)?,
            managed_applications: Automaton::of_patterns_within(
                applications.iter().copied(),
                budget,
            )?,
            profile_applications: Automaton::of_patterns_within(written.iter().copied(), budget)?,
            managed_roles: IndexPart::compile(&managed, budget)?,
            manages_roles: !managed.is_empty(),
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
        self.has_privileges_within(username, question, &Budget::for_questions())
    }

    /// The same, drawing from a budget that others draw from, too.
    ///
    /// # Errors
    /// As [`Permissions::has_privileges`].
    pub fn has_privileges_within(
        &self,
        username: &str,
        question: &HasPrivilegesRequest,
        budget: &Budget,
    ) -> Result<HasPrivilegesResponse, QuestionError> {
        let mut answer = HasPrivilegesResponse {
            username: username.to_owned(),
            has_all_requested: true,
            ..HasPrivilegesResponse::default()
        };
        let mut permissions = Some(self);
        while let Some(current) = permissions {
            current.own.answer(question, &mut answer, budget)?;
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

    /// Whether profile data of an application may be written (`global.profile.write`).
    pub fn writes_profile_data_of(&self, application: &str) -> bool {
        self.every(|parts| parts.profile_applications.matches(application))
    }

    /// Whether roles of some kind may be managed (`global.role.manage`), if only empty ones.
    pub fn manages_roles(&self) -> bool {
        self.every(|parts| parts.manages_roles)
    }

    /// Whether roles may be managed that grant all this (`global.role.manage`): privileges on names, restricted names
    /// among them where a part says so. All parts together draw from one budget.
    pub fn manages_roles_for(&self, parts: &[IndexQuestion]) -> bool {
        let budget = Budget::for_questions();
        self.every(|own| {
            parts.iter().all(|part| {
                let mut all = true;
                let answered = own.managed_roles.answer(part, &budget, |_, _, granted| {
                    all &= granted;
                });
                answered.is_ok() && all
            })
        })
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
        budget: &Budget,
    ) -> Result<(), QuestionError> {
        let HasPrivilegesResponse {
            has_all_requested,
            cluster,
            index,
            application,
            ..
        } = answer;
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
            merge(cluster, privilege, self.cluster.grants(privilege, budget)?);
        }
        for item in &question.index {
            self.index
                .answer(item, budget, |name, privilege, is_granted| {
                    merge(entry(index, name), privilege, is_granted);
                })?;
        }
        for item in &question.application {
            let of_application = entry(application, &item.application);
            self.application
                .answer(item, budget, |resource, privilege, is_granted| {
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

/// The patterns under a path of `global`, of all roles.
fn listed<'r>(roles: &'r [RoleDescriptor], path: &str) -> Vec<&'r str> {
    roles
        .iter()
        .filter_map(|role| role.global.as_ref()?.pointer(path)?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// What `global.role.manage.indices` lists, as index privileges.
fn managed_roles(roles: &[RoleDescriptor]) -> Vec<RoleDescriptor> {
    let listed = roles.iter().filter_map(|role| {
        let listed = role.global.as_ref()?.pointer("/role/manage/indices")?;
        let indices = Vec::<IndexPrivileges>::deserialize(listed).ok()?;
        Some(RoleDescriptor {
            indices,
            ..RoleDescriptor::default()
        })
    });
    listed.collect()
}

#[cfg(test)]
mod tests;
