//! Whose users have these privileges (`/_security/profile/_has_privileges`).

use std::sync::Arc;

use super::profile_body::{self, Check};
use crate::authority::access::Permissions;
use crate::authority::access::budget::Budget;
use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::record::{Principal, ProfileUser};
use crate::authority::state::State;
use crate::wire::privileges::HasPrivilegesRequest;
use crate::wire::profiles::{ProfileErrors, ProfilesWithPrivileges};

/// `GET|POST /_security/profile/_has_privileges`
pub async fn has_privileges(state: &State, call: Call) -> Result<Reply, Failure> {
    let Check { uids, question } = profile_body::parse_check(&call.object(profile_body::CHECK)?)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let mut holders = Vec::new();
    let mut missing = Vec::new();
    let question = Arc::new(question);
    // Thousands of questions in a row must not hold a runtime thread, nor cost more than one that is hard.
    let mut budget = Budget::for_all_roles();
    for uid in uids {
        match state.tables().profiles.find(&uid) {
            None => missing.push(uid),
            // A disabled profile is left out without a word, as Elasticsearch does.
            Some(profile) if profile.enabled => {
                let permissions = permissions_of(state, &profile.user).await?;
                let (holds, left) = holds_all(state, permissions, &question, budget).await?;
                budget = left;
                if holds {
                    holders.push(uid);
                }
            }
            Some(_) => {}
        }
    }
    granted.reply(&ProfilesWithPrivileges {
        has_privilege_uids: holders,
        errors: ProfileErrors::not_found(missing),
    })
}

/// What the user may do with the roles they had at their last activation.
async fn permissions_of(state: &State, user: &ProfileUser) -> Result<Permissions, Failure> {
    let principal = Principal {
        username: user.username.clone(),
        roles: user.roles.clone(),
        full_name: None,
        email: None,
        metadata: serde_json::Map::new(),
        realm: user.realm.clone(),
    };
    let permissions = state.compiled.of_principal(state.tables(), &principal);
    let permissions = permissions.await;
    permissions.map_err(|error| Failure::illegal_argument(error.to_string()))
}

/// Whether every privilege is there, and what is left of the budget.
async fn holds_all(
    state: &State,
    permissions: Permissions,
    question: &Arc<HasPrivilegesRequest>,
    budget: Budget,
) -> Result<(bool, Budget), Failure> {
    let question = Arc::clone(question);
    let work = move || {
        let answer = permissions.has_privileges_within("", &question, &budget);
        (answer, budget)
    };
    let (answer, budget) = state
        .compiled
        .aside(work)
        .await
        .map_err(|error| Failure::server(error.to_string()))?;
    let answer = answer.map_err(|error| Failure::illegal_argument(error.to_string()))?;
    Ok((answer.has_all_requested, budget))
}
