//! `_clear_cache` of realms, roles, application privileges and API keys.
//!
//! Realms forget the users named, or all. The other caches can't serve anything outdated, so clearing drops all of a kind: correct
//! for any list of names.

use serde_json::{Value, json};

use crate::authority::authorize;
use crate::authority::body::split_commas;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;

/// `POST /_security/realm/{realms}/_clear_cache`
pub async fn realms(state: &State, call: Call) -> Result<Reply, Failure> {
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let names = call.path("realms").map(split_commas).unwrap_or_default();
    let usernames = call.query.text("usernames").map(split_commas);
    let forgotten = state.realms.forget(&names, &usernames.unwrap_or_default());
    forgotten.map_err(|realm| {
        Failure::illegal_argument(format!("could not find active realm [{realm}]"))
    })?;
    granted.reply(&nodes(state))
}

/// `POST /_security/{role|privilege|api_key}/{names}/_clear_cache`
pub async fn compiled(state: &State, call: Call) -> Result<Reply, Failure> {
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    state.compiled.clear();
    granted.reply(&nodes(state))
}

/// The answer of every `_clear_cache`: this node, and that it worked.
pub fn nodes(state: &State) -> Value {
    json!({
        "_nodes": {"total": 1, "successful": 1, "failed": 0},
        "cluster_name": state.cluster_name,
        "nodes": {&state.store.identity().node_id: {"name": state.cluster_name}},
    })
}
