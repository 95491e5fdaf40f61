//! `GET /` and `GET /_cluster/health`: what official clients ask first.

use serde_json::json;

use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;

/// The version of the API that is spoken.
const VERSION: &str = "9.0.4";

/// `GET /`, `HEAD /`.
pub async fn root(state: &State, call: Call) -> Result<Reply, Failure> {
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    granted.reply(&json!({
        "name": state.cluster_name,
        "cluster_name": state.cluster_name,
        "cluster_uuid": state.store.identity().cluster_uuid,
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "docker",
            "build_hash": "0000000000000000000000000000000000000000",
            "build_date": "2025-07-16T22:09:39.363509010Z",
            "build_snapshot": false,
            "lucene_version": "10.1.0",
            "minimum_wire_compatibility_version": "8.18.0",
            "minimum_index_compatibility_version": "8.0.0",
        },
        "tagline": "You Know, for Search",
    }))
}

/// `GET /_cluster/health`: one node that is up, since it answers; red while its store accepts no writes.
pub async fn health(state: &State, call: Call) -> Result<Reply, Failure> {
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    granted.reply(&json!({
        "cluster_name": state.cluster_name,
        "status": if state.store.is_writable() { "green" } else { "red" },
        "timed_out": false,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": 0,
        "active_shards": 0,
        "relocating_shards": 0,
        "initializing_shards": 0,
        "unassigned_shards": 0,
        "unassigned_primary_shards": 0,
        "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0,
        "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0,
        "active_shards_percent_as_number": 100.0,
    }))
}
