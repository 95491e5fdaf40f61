//! `GET /_security/stats`: usage of the node, in the shape of Elasticsearch 9.2.
//!
//! There are no documents, so no document-level queries and nothing in their cache: every number is truly zero.

use serde_json::json;

use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;

/// `GET /_security/stats`
pub async fn find(state: &State, call: Call) -> Result<Reply, Failure> {
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let cache = json!({
        "count": 0,
        "memory": "0b",
        "memory_in_bytes": 0,
        "hits": 0,
        "misses": 0,
        "evictions": 0,
        "hits_time_in_millis": 0,
        "misses_time_in_millis": 0,
    });
    granted.reply(&json!({
        "_nodes": {"total": 1, "successful": 1, "failed": 0},
        "cluster_name": state.cluster_name,
        "nodes": {&state.store.identity().node_id: {"roles": {"dls": {"bit_set_cache": cache}}}},
    }))
}
