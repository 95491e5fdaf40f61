//! API keys: create, get, invalidate (`/_security/api_key`).
//!
//! A key never exceeds its owner: it carries a snapshot of the owner's roles, and both must grant.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;

use super::api_key_body::{self, NewKey};
use super::api_key_filter::Filter;
use super::api_key_making::{self, Blank};
use super::api_key_view::{View, describe};
use super::write::write;
use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::record::{ApiKey, ApiKeyKind};
use crate::authority::state::State;
use crate::wire::grants::{ApiKeys, InvalidateApiKeysResponse};

/// `PUT|POST /_security/api_key`
pub async fn create(state: &State, call: Call) -> Result<Reply, Failure> {
    call.check_refresh()?;
    let new = NewKey::parse(&call.object(api_key_body::GRAMMAR)?)?;
    let granted = authorize::for_own_keys(state, &call, true).await?;
    let blank = Blank::of_subject(state, &call.subject, new, call.now)?;
    let answer = api_key_making::store(&granted, state, blank, call.now).await?;
    granted.reply(&answer)
}

/// `GET /_security/api_key`
pub async fn find(state: &State, call: Call) -> Result<Reply, Failure> {
    let filter = Filter::of_query(&call.query)?;
    let view = View::of(&call.query)?;
    let active_only = call.query.flag("active_only")?;
    let subject = &call.subject;
    // What a key is limited by tells more about its owner than the key itself may know.
    let beyond_itself = view.limited_by && subject.acting_key().is_some();
    let granted = if filter.is_acting_key(subject) && !beyond_itself {
        authorize::for_self(state, &call, true).await?
    } else {
        authorize::for_own_keys(state, &call, filter.is_own(subject) && !beyond_itself).await?
    };
    let now = call.now.unix_millis();
    let mut keys = select(state, &filter, |key| {
        filter.accepts(key, subject) && (!active_only || key.is_active(now))
    });
    keys.sort_by(|a, b| (a.creation, &a.id).cmp(&(b.creation, &b.id)));
    let api_keys = keys
        .iter()
        .map(|key| describe(state.tables(), key, view))
        .collect();
    let missed = filter.ids.is_some() && keys.is_empty();
    let status = if missed {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::OK
    };
    granted.reply_with(status, &ApiKeys { api_keys })
}

/// Looks ids up directly; everything else walks the table.
fn select(
    state: &State,
    filter: &Filter,
    mut wanted: impl FnMut(&ApiKey) -> bool,
) -> Vec<Arc<ApiKey>> {
    let table = &state.tables().api_keys;
    match &filter.ids {
        Some(ids) => {
            let mut keys: Vec<_> = ids.iter().filter_map(|id| table.find(id)).collect();
            keys.retain(|key| wanted(key));
            keys
        }
        None => {
            let rows = table.select(|_, key| wanted(key));
            rows.into_iter().map(|(_, key)| key).collect()
        }
    }
}

/// `DELETE /_security/api_key`
pub async fn invalidate(state: &State, call: Call) -> Result<Reply, Failure> {
    let filter = Filter::of_body(&call.object(Filter::GRAMMAR)?)?;
    let granted = authorize::for_own_keys(state, &call, filter.is_own(&call.subject)).await?;
    let may_cross_cluster = granted
        .permissions()
        .allows_cluster_action("cluster:admin/xpack/security/cross_cluster/api_key/create");
    let answer = write(&granted, state, move |drafts| {
        let now = call.now.unix_millis();
        let mut answer = InvalidateApiKeysResponse::default();
        // Keys that are invalid already count as not found, as in Elasticsearch.
        let meant =
            |key: &ApiKey| key.invalidation.is_none() && filter.accepts(key, &call.subject);
        let rows: Vec<(String, Arc<ApiKey>)> = match &filter.ids {
            Some(ids) => ids
                .iter()
                .filter_map(|id| Some((id.clone(), drafts.api_keys.find(id)?)))
                .filter(|(_, key)| meant(key))
                .collect(),
            None => drafts.api_keys.select(|_, key| meant(key)),
        };
        for (id, key) in rows {
            if key.kind == ApiKeyKind::CrossCluster && !may_cross_cluster {
                answer.error_count += 1;
                answer.error_details.push(json!({
                    "type": "illegal_argument_exception",
                    "reason": format!(
                        "Cannot invalidate cross-cluster API key [{id}]. This requires [manage_security] cluster privilege or higher"
                    ),
                }));
                continue;
            }
            let invalid = ApiKey { invalidation: Some(now), ..(*key).clone() };
            drafts.api_keys.put(&id, invalid);
            answer.invalidated_api_keys.push(id);
        }
        Ok(answer)
    })
    .await?;
    granted.reply(&answer)
}
