//! Roles: put, get, delete (`/_security/role`). Reserved roles are shown and can't be changed.

use http::StatusCode;
use serde_json::{Map, json};

use super::document_query;
use super::role_body::{self, Purpose};
use super::role_check;
use super::write::write;
use crate::authority::access::budget::Budget;
use crate::authority::authorize::{self, RoleChange};
use crate::authority::builtin::roles as reserved;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;
use crate::wire::roles::RoleDescriptor;

/// `PUT|POST /_security/role/{name}`
pub async fn put(state: &State, call: Call) -> Result<Reply, Failure> {
    let name = call.path("name").unwrap_or_default().to_owned();
    call.check_refresh()?;
    let object = call.object_for(|found| {
        Failure::parse(format!(
            "failed to parse role [{name}]. expected an object but found [{found}] instead"
        ))
    })?;
    let role = role_body::parse(&object, &name, Purpose::Role)?;
    let change = RoleChange::Put(std::slice::from_ref(&role));
    let granted = authorize::for_roles(state, &call, change).await?;
    check(&name, &role, &Budget::for_reading())?;
    role_check::one(&granted, state, &name, &role).await?;
    let created = write(&granted, state, move |drafts| {
        Ok(drafts.roles.put(&name, role))
    })
    .await?;
    granted.reply(&json!({"role": {"created": created}}))
}

/// Checks what a role means: names it uses, its own name, its queries. Patterns draw from the budget of the request.
///
/// # Errors
/// Everything that is wrong with the names, or the first query no role may have.
pub fn check(name: &str, role: &RoleDescriptor, budget: &Budget) -> Result<(), Failure> {
    let mut faults = role_body::faults(role, budget);
    if reserved::reserved_role(name).is_some() {
        faults.push(format!("Role [{name}] is reserved and may not be used."));
        return Err(Failure::request_validation(&faults));
    }
    document_query::check(role)?;
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::request_validation(&faults))
}

/// Why a role can't be deleted, if it can't.
pub fn undeletable(name: &str) -> Option<Failure> {
    reserved::reserved_role(name).map(|_| {
        Failure::illegal_argument(format!("role [{name}] is reserved and cannot be deleted"))
    })
}

/// `GET /_security/role[/{names}]`
pub async fn find(state: &State, call: Call) -> Result<Reply, Failure> {
    call.query.flag("include_implicit")?;
    let wanted = call.path_list("name");
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let tables = state.tables();
    let mut roles = Map::new();
    if wanted.is_empty() {
        for (name, role) in reserved::reserved_roles() {
            roles.insert(name.to_owned(), json!(role_body::render(role)));
        }
        for (name, role) in tables.roles.select(|_, _| true) {
            roles.insert(name, json!(role_body::render(&role)));
        }
    }
    for name in &wanted {
        if let Some(role) = reserved::reserved_role(name) {
            roles.insert(name.clone(), json!(role_body::render(role)));
        } else if let Some(role) = tables.roles.find(name) {
            roles.insert(name.clone(), json!(role_body::render(&role)));
        }
    }
    let status = if roles.is_empty() && !wanted.is_empty() {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::OK
    };
    granted.reply_with(status, &roles)
}

/// `DELETE /_security/role/{name}`
pub async fn delete(state: &State, call: Call) -> Result<Reply, Failure> {
    let name = call.path("name").unwrap_or_default().to_owned();
    call.check_refresh()?;
    let change = RoleChange::Delete(std::slice::from_ref(&name));
    let granted = authorize::for_roles(state, &call, change).await?;
    if let Some(failure) = undeletable(&name) {
        return Err(failure);
    }
    let found = write(&granted, state, move |drafts| {
        Ok(drafts.roles.remove(&name))
    })
    .await?;
    granted.reply_found(found)
}
