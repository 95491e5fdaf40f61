//! Roles: put, get, delete (`/_security/role`). Reserved roles are shown and can't be changed.

use http::StatusCode;
use serde_json::{Map, json};

use super::role_body::{self, Purpose};
use super::write::write;
use crate::authority::authorize;
use crate::authority::body::Grammar;
use crate::authority::builtin::roles as reserved;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::names;
use crate::authority::state::State;

/// `PUT|POST /_security/role/{name}`
pub async fn put(state: &State, call: Call) -> Result<Reply, Failure> {
    let name = call.path("name").unwrap_or_default().to_owned();
    call.check_refresh()?;
    let role = role_body::parse(&call.object(Grammar::Hand("role"))?, &name, Purpose::Role)?;
    let mut faults = Vec::new();
    if reserved::reserved_role(&name).is_some() {
        faults.push(format!("Role [{name}] is reserved and may not be used."));
    }
    faults.extend(names::check_role(&name).err());
    faults.extend(role_body::faults(&role));
    if !faults.is_empty() {
        return Err(Failure::request_validation(&faults));
    }
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let created = write(&granted, state, move |drafts| {
        Ok(drafts.roles.put(&name, role))
    })
    .await?;
    granted.reply(&json!({"role": {"created": created}}))
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
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    if reserved::reserved_role(&name).is_some() {
        return Err(Failure::illegal_argument(format!(
            "role [{name}] is reserved and cannot be deleted"
        )));
    }
    let found = write(&granted, state, move |drafts| {
        Ok(drafts.roles.remove(&name))
    })
    .await?;
    let status = if found {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    granted.reply_with(status, &json!({"found": found}))
}
