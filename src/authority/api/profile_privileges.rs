//! Whose users have these privileges (`/_security/profile/_has_privileges`).

use super::profile_body::{self, Check};
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
    for uid in uids {
        match state.tables().profiles.find(&uid) {
            None => missing.push(uid),
            // A disabled profile is left out without a word, as Elasticsearch does.
            Some(profile) if profile.enabled => {
                if holds_all(state, &profile.user, &question).await? {
                    holders.push(uid);
                }
                // Thousands of questions in a row must not hold a runtime thread.
                tokio::task::yield_now().await;
            }
            Some(_) => {}
        }
    }
    granted.reply(&ProfilesWithPrivileges {
        has_privilege_uids: holders,
        errors: ProfileErrors::not_found(missing),
    })
}

/// Whether the user, with the roles they had at their last activation, has every privilege.
async fn holds_all(
    state: &State,
    user: &ProfileUser,
    question: &HasPrivilegesRequest,
) -> Result<bool, Failure> {
    let principal = Principal {
        username: user.username.clone(),
        roles: user.roles.clone(),
        full_name: None,
        email: None,
        metadata: serde_json::Map::new(),
        realm: user.realm.clone(),
    };
    let refused = |error: String| Failure::illegal_argument(error);
    let permissions = state
        .compiled
        .of_principal(state.tables(), &principal)
        .await
        .map_err(|error| refused(error.to_string()))?;
    let answer = permissions
        .has_privileges(&user.username, question)
        .map_err(|error| refused(error.to_string()))?;
    Ok(answer.has_all_requested)
}
