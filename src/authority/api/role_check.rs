//! The part of checking roles that takes automata: what is excepted of fields was granted, and the role can be evaluated.
//!
//! Always true: it comes after authorisation, off the runtime's threads, and all roles of a request draw from one budget. So a
//! role that is stored can be compiled by itself, and nobody is locked out by one that can't.

use std::sync::Arc;

use crate::authority::access::Permissions;
use crate::authority::access::application::ApplicationCatalogue;
use crate::authority::access::automaton::Automaton;
use crate::authority::access::budget::Budget;
use crate::authority::authorize::Granted;
use crate::authority::failure::Failure;
use crate::authority::record::RoleSet;
use crate::authority::state::State;
use crate::wire::roles::{FieldSecurity, RoleDescriptor};

/// A role under its name.
pub type Named = (String, Arc<RoleDescriptor>);

/// Checks one role.
///
/// # Errors
/// What is wrong with it.
pub async fn one(
    granted: &Granted,
    state: &State,
    name: &str,
    role: &RoleDescriptor,
) -> Result<(), Failure> {
    let role = (name.to_owned(), Arc::new(role.clone()));
    let checked = each(granted, state, vec![role]).await?;
    checked.into_iter().collect()
}

/// Checks the roles of an API key.
///
/// # Errors
/// What is wrong with the first that is not good.
pub async fn set(granted: &Granted, state: &State, roles: &RoleSet) -> Result<(), Failure> {
    if roles.is_empty() {
        return Ok(());
    }
    let roles = roles.iter();
    let roles = roles.map(|(name, role)| (name.clone(), Arc::clone(role)));
    let checked = each(granted, state, roles.collect()).await?;
    checked.into_iter().collect()
}

/// Checks many roles, each for itself.
///
/// # Errors
/// When the process shuts down.
pub async fn each(
    _granted: &Granted,
    state: &State,
    roles: Vec<Named>,
) -> Result<Vec<Result<(), Failure>>, Failure> {
    let work = move || {
        let budget = Budget::for_all_roles();
        let checked = roles.iter().map(|(name, role)| check(name, role, &budget));
        checked.collect()
    };
    let checked = state.compiled.aside(work).await;
    checked.map_err(|error| Failure::server(error.to_string()))
}

/// Checks that the actions of application privileges can be evaluated, each by itself.
///
/// # Errors
/// The first that can't.
pub async fn actions(
    _granted: &Granted,
    state: &State,
    actions: Vec<String>,
) -> Result<(), Failure> {
    // Only regular expressions can cost more than their length.
    if !actions.iter().any(|action| action.starts_with('/')) {
        return Ok(());
    }
    let work = move || {
        let budget = Budget::for_all_roles();
        let mut actions = actions.iter();
        actions.try_for_each(|action| {
            Automaton::of_patterns_within([action.as_str()], &budget).map(|_| ())
        })
    };
    let checked = state.compiled.aside(work).await;
    let checked = checked.map_err(|error| Failure::server(error.to_string()))?;
    checked.map_err(|error| Failure::request_validation(&[error.to_string()]))
}

fn check(name: &str, role: &RoleDescriptor, budget: &Budget) -> Result<(), Failure> {
    let remote = role.remote_indices.iter().map(|item| &item.indices);
    for security in role
        .indices
        .iter()
        .chain(remote)
        .filter_map(|item| item.field_security.as_ref())
    {
        check_except(security, budget).map_err(|why| {
            Failure::parse(format!(
                "failed to parse indices privileges for role [{name}] - {why}"
            ))
        })?;
    }
    // What stored privileges stand for is not this role's doing.
    let catalogue = ApplicationCatalogue::default();
    Permissions::compile_within(std::slice::from_ref(role), &catalogue, budget)
        .map(|_| ())
        .map_err(|error| Failure::request_validation(&[error.to_string()]))
}

/// What is excepted must have been granted.
fn check_except(security: &FieldSecurity, budget: &Budget) -> Result<(), String> {
    if security.except.is_empty() {
        return Ok(());
    }
    let automaton = |patterns: &[String]| {
        Automaton::of_patterns_within(patterns.iter().map(String::as_str), budget)
            .map_err(|error| error.to_string())
    };
    let grant = automaton(&security.grant)?;
    if automaton(&security.except)?.is_subset_within(&grant, budget) {
        return Ok(());
    }
    Err(format!(
        "Exceptions for field permissions must be a subset of the granted fields but {} is not a subset of {}",
        security.except.join(","),
        security.grant.join(",")
    ))
}
