//! May this caller do that? And if not, Elasticsearch's sentence about it.
//!
//! [`Granted`] is the proof, and the only maker of replies. Every way to get one is a function here; a handler picks the one
//! that fits its endpoint's rule and can't answer without.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::access::Permissions;
use super::access::granting::granting_cluster_privileges;
use super::call::{Call, Reply};
use super::failure::Failure;
use super::permissions::{self, CompileError};
use super::record::Principal;
use super::state::State;
use super::subject::{Means, Subject};
use crate::config::realms::Anonymous;
use crate::wire::privileges::IndexQuestion;
use crate::wire::roles::RoleDescriptor;

/// Proof that the caller may do what the call asks.
#[derive(Debug)]
pub struct Granted {
    permissions: Permissions,
}

impl Granted {
    /// The effective user's permissions.
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// 200 with a JSON body.
    ///
    /// # Errors
    /// 500 when the value can't be written as JSON.
    pub fn reply(&self, value: &impl Serialize) -> Result<Reply, Failure> {
        self.reply_with(StatusCode::OK, value)
    }

    /// Any status with a JSON body.
    ///
    /// # Errors
    /// 500 when the value can't be written as JSON.
    pub fn reply_with(&self, status: StatusCode, value: &impl Serialize) -> Result<Reply, Failure> {
        let body = serde_json::to_vec(value)
            .map_err(|_| Failure::server("the answer could not be written"))?;
        Ok(Reply { status, body })
    }

    /// `{"found": …}`, as deletions are answered: 200, or 404 when there was nothing to delete.
    ///
    /// # Errors
    /// As [`Granted::reply_with`].
    pub fn reply_found(&self, found: bool) -> Result<Reply, Failure> {
        let status = match found {
            true => StatusCode::OK,
            false => StatusCode::NOT_FOUND,
        };
        self.reply_with(status, &json!({"found": found}))
    }
}

/// The ordinary rule: the endpoint's action must be among the caller's cluster privileges.
///
/// # Errors
/// 403 with the denial sentence.
pub async fn by_cluster_privilege(state: &State, call: &Call) -> Result<Granted, Failure> {
    decide(state, call, |permissions| {
        permissions.allows_cluster_action(call.action)
    })
    .await
}

/// Everybody who is authenticated and may act as the effective user.
///
/// # Errors
/// 403 when run-as is refused.
pub async fn anybody(state: &State, call: &Call) -> Result<Granted, Failure> {
    decide(state, call, |_| true).await
}

/// The same-user rule: `is_self` makes it free, otherwise the cluster privilege counts.
///
/// # Errors
/// 403 with the denial sentence.
pub async fn for_self(state: &State, call: &Call, is_self: bool) -> Result<Granted, Failure> {
    decide(state, call, |permissions| {
        is_self || permissions.allows_cluster_action(call.action)
    })
    .await
}

/// API-key actions: with `manage_own_api_key` only when the call touches the caller's own keys.
///
/// # Errors
/// 403 with the denial sentence.
pub async fn for_own_keys(state: &State, call: &Call, is_own: bool) -> Result<Granted, Failure> {
    decide(state, call, |permissions| {
        permissions.allows_cluster_action(call.action)
            || (is_own && permissions.allows_own_api_key_action(call.action))
    })
    .await
}

/// Application privileges: the cluster privilege, or `global.application.manage` over every application named.
/// No name at all means all applications.
///
/// # Errors
/// 403 with the denial sentence.
pub async fn for_applications(
    state: &State,
    call: &Call,
    applications: &[String],
) -> Result<Granted, Failure> {
    decide(state, call, |permissions| {
        permissions.allows_cluster_action(call.action)
            || if applications.is_empty() {
                permissions.manages_every_application()
            } else {
                applications
                    .iter()
                    .all(|name| permissions.manages_application(name))
            }
    })
    .await
}

/// What a call does to roles.
#[derive(Clone, Copy, Debug)]
pub enum RoleChange<'a> {
    /// Writes these.
    Put(&'a [RoleDescriptor]),
    /// Deletes those of these names.
    Delete(&'a [String]),
}

/// Changing roles: the cluster privilege, or `global.role.manage` over everything the roles grant, which may be index
/// privileges only. Deleting takes the privilege to delete indices of the role's name.
///
/// # Errors
/// 403 with the denial sentence.
pub async fn for_roles(
    state: &State,
    call: &Call,
    change: RoleChange<'_>,
) -> Result<Granted, Failure> {
    decide(state, call, |permissions| {
        permissions.allows_cluster_action(call.action)
            || permissions.manages_roles()
                && match change {
                    RoleChange::Put(roles) => {
                        roles.iter().all(grants_indices_only)
                            && permissions.manages_roles_for(&granted_by(roles))
                    }
                    RoleChange::Delete(names) => permissions.manages_roles_for(&[IndexQuestion {
                        names: names.to_vec(),
                        privileges: vec!["delete_index".to_owned()],
                        allow_restricted_indices: false,
                    }]),
                }
    })
    .await
}

/// What the roles grant on indices, restricted ones where they say so.
fn granted_by(roles: &[RoleDescriptor]) -> Vec<IndexQuestion> {
    let items = roles.iter().flat_map(|role| &role.indices);
    let parts = items.map(|item| IndexQuestion {
        names: item.names.clone(),
        privileges: item.privileges.clone(),
        allow_restricted_indices: item.allow_restricted_indices,
    });
    parts.collect()
}

fn grants_indices_only(role: &RoleDescriptor) -> bool {
    let has_global = role.global.as_ref().and_then(Value::as_object);
    let has_global = has_global.is_some_and(|categories| {
        categories
            .values()
            .any(|category| category.as_object().is_none_or(|fields| !fields.is_empty()))
    });
    !has_global
        && role.cluster.is_empty()
        && role.applications.is_empty()
        && role.run_as.is_empty()
        && role.remote_indices.is_empty()
        && role.remote_cluster.is_empty()
        && role.restriction.is_none()
}

/// Profile data: the cluster privilege, or `global.profile.write` over every application named.
///
/// # Errors
/// 403 with the denial sentence.
pub async fn for_profile_data(
    state: &State,
    call: &Call,
    applications: &[String],
) -> Result<Granted, Failure> {
    decide(state, call, |permissions| {
        permissions.allows_cluster_action(call.action)
            || !applications.is_empty()
                && applications
                    .iter()
                    .all(|name| permissions.writes_profile_data_of(name))
    })
    .await
}

async fn decide(
    state: &State,
    call: &Call,
    may: impl FnOnce(&Permissions) -> bool,
) -> Result<Granted, Failure> {
    let subject = &call.subject;
    check_workflow(state, call)?;
    check_run_as(state, call).await?;
    let permissions = state
        .compiled
        .of(state.tables(), subject)
        .await
        .map_err(|error| uncompiled(&error))?;
    if may(&permissions) {
        call.trail.granted(call.action, subject);
        return Ok(Granted { permissions });
    }
    call.trail.denied(call.action, subject);
    let asks_for_login = |anonymous: &Anonymous| !anonymous.authz_exception;
    if subject.means == Means::Anonymous && state.anonymous.as_ref().is_some_and(asks_for_login) {
        return Err(Failure::unauthenticated(format!(
            "action [{}] requires authentication",
            call.action
        )));
    }
    let who = describe(state, subject);
    tracing::debug!(action = call.action, user = %subject.effective.username, "denied");
    Err(Failure::forbidden(denial(call.action, &who)))
}

/// A key that is restricted to a workflow may do nothing here, not even what everybody may: no workflow has an endpoint here.
fn check_workflow(state: &State, call: &Call) -> Result<(), Failure> {
    let key = call.subject.api_key.as_ref();
    let is_restricted = key.is_some_and(|key| {
        let mut roles = key.roles.values().chain(key.limited_by.values());
        roles.any(|role| role.restriction.is_some())
    });
    if !is_restricted {
        return Ok(());
    }
    let who = describe(state, &call.subject);
    Err(Failure::forbidden(denial(call.action, &who)).caused_by(
        "role_restriction_exception",
        "access restricted by workflow",
    ))
}

/// Whether whoever authenticated may act as the effective user.
async fn check_run_as(state: &State, call: &Call) -> Result<(), Failure> {
    let subject = &call.subject;
    if subject.authenticating.is_none() {
        return Ok(());
    }
    let real = state
        .compiled
        .of_authenticated(state.tables(), subject)
        .await
        .map_err(|error| uncompiled(&error))?;
    let target = &subject.effective.username;
    if subject.target_exists && real.may_run_as(target) {
        call.trail.run_as_granted(call.action, subject);
        return Ok(());
    }
    call.trail.run_as_denied(call.action, subject);
    let who = describe_authenticated(subject);
    let roles = match &subject.api_key {
        Some(_) => String::new(),
        None if is_service_account(subject.authenticated()) => String::new(),
        None => describe_roles(state, &subject.authenticated().roles),
    };
    tracing::debug!(action = call.action, user = %subject.authenticated().username, "run-as denied");
    Err(Failure::forbidden(format!(
        "action [{}] is unauthorized for {who}{roles}, because {who} is unauthorized to run as [{target}]",
        call.action
    )))
}

/// `action [A] is unauthorized for <who>, this action is granted by the cluster privileges [..]`
fn denial(action: &str, who: &str) -> String {
    let mut text = format!("action [{action}] is unauthorized for {who}");
    let granting = granting_cluster_privileges(action);
    if !granting.is_empty() {
        text.push_str(&format!(
            ", this action is granted by the cluster privileges [{}]",
            granting.join(",")
        ));
    }
    text
}

/// The caller, as denials name them: whoever authenticated, whom they run as, and the roles of whoever acts. An API key has
/// no roles to name.
fn describe(state: &State, subject: &Subject) -> String {
    let mut who = describe_authenticated(subject);
    if subject.authenticating.is_some() {
        who.push_str(&format!(" run as [{}]", subject.effective.username));
    }
    if subject.acting_key().is_none() && !is_service_account(&subject.effective) {
        who.push_str(&describe_roles(state, &subject.effective.roles));
    }
    who
}

fn describe_authenticated(subject: &Subject) -> String {
    let user = &subject.authenticated().username;
    match &subject.api_key {
        Some(key) => format!("API key id [{}] of user [{user}]", key.id),
        None if is_service_account(subject.authenticated()) => format!("service account [{user}]"),
        None => format!("user [{user}]"),
    }
}

/// Service accounts have privileges and no roles.
fn is_service_account(principal: &Principal) -> bool {
    permissions::service_role(principal).is_some()
}

fn describe_roles(state: &State, names: &[String]) -> String {
    let roles = permissions::resolve(state.tables(), names);
    let found: Vec<&str> = roles.found.iter().map(|(name, _)| name.as_str()).collect();
    let mut text = format!(" with effective roles [{}]", found.join(","));
    if !roles.missing.is_empty() {
        text.push_str(&format!(
            " (assigned roles [{}] were not found)",
            roles.missing.join(",")
        ));
    }
    text
}

/// Roles that can't be compiled together grant nothing, and say so.
fn uncompiled(error: &CompileError) -> Failure {
    tracing::warn!(%error, "roles can't be compiled");
    Failure::illegal_argument(error.to_string())
}
