//! API keys: create, get, invalidate (`/_security/api_key`).
//!
//! A key never exceeds its owner: it carries a snapshot of the owner's roles, and both must grant.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::json;

use super::api_key_body::{self, NewKey};
use super::api_key_filter::Filter;
use super::role_body;
use super::write::write;
use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::permissions;
use crate::authority::realm::grants::{digest_text, random_text};
use crate::authority::record::{ApiKey, ApiKeyKind, Principal, RoleSet};
use crate::authority::state::State;
use crate::authority::subject::Subject;
use crate::model::clock::Now;
use crate::wire::grants::{ApiKeyInfo, ApiKeys, CreateApiKeyResponse, InvalidateApiKeysResponse};

/// `PUT|POST /_security/api_key`
pub async fn create(state: &State, call: Call) -> Result<Reply, Failure> {
    call.check_refresh()?;
    let new = api_key_body::parse(&call.object(api_key_body::GRAMMAR)?)?;
    let granted = authorize::for_own_keys(state, &call, true).await?;
    let limited_by = owner_snapshot(state, &call.subject, &new)?;
    let secret = random_text::<16>();
    let key = make(new, limited_by, &call.subject, secret.expose(), call.now);
    let secret = secret.expose_str().unwrap_or_default();
    let answer = CreateApiKeyResponse {
        id: key.id.clone(),
        name: key.name.clone(),
        expiration: key.expiration,
        api_key: secret.to_owned(),
        encoded: STANDARD.encode(format!("{}:{secret}", key.id)),
    };
    let sweep = state.sweep_due(call.now);
    write(&granted, state, move |drafts| {
        if sweep {
            drafts.sweep(call.now);
        }
        drafts.api_keys.put(&key.id.clone(), key);
        Ok(())
    })
    .await?;
    granted.reply(&answer)
}

/// The roles a new key can never exceed.
fn owner_snapshot(state: &State, subject: &Subject, new: &NewKey) -> Result<RoleSet, Failure> {
    let Some(parent) = subject.acting_key() else {
        let snapshot = permissions::snapshot(state.tables(), &subject.effective);
        if snapshot.values().any(|role| role.restriction.is_some()) {
            return Err(Failure::illegal_argument(
                "owner user role descriptors must not include restriction",
            ));
        }
        return Ok(snapshot);
    };
    // A key that leaks must not be able to make others that outlive it.
    if new.roles.is_empty() || !new.roles.values().all(api_key_body::is_powerless) {
        return Err(Failure::illegal_argument(
            "creating derived api keys requires an explicit role descriptor that is empty (has no privileges)",
        ));
    }
    Ok(parent.limited_by.clone())
}

fn make(new: NewKey, limited_by: RoleSet, subject: &Subject, secret: &[u8], now: Now) -> ApiKey {
    let millis = now.unix_millis();
    let life = new
        .expiration
        .map(|life| life.as_secs().saturating_mul(1_000));
    ApiKey {
        id: api_key_body::new_id(now),
        name: new.name,
        kind: ApiKeyKind::Rest,
        secret: digest_text(secret),
        creation: millis,
        expiration: life.map(|life| millis.saturating_add(life)),
        invalidation: None,
        creator: Principal {
            roles: Vec::new(),
            realm: subject.owner_realm().clone(),
            ..(*subject.effective).clone()
        },
        roles: new.roles,
        limited_by,
        metadata: new.metadata,
        version: 0,
    }
}

/// `GET /_security/api_key`
pub async fn find(state: &State, call: Call) -> Result<Reply, Failure> {
    let filter = Filter::of_query(&call.query)?;
    let with_limited_by = call.query.flag("with_limited_by")?;
    let active_only = call.query.flag("active_only")?;
    call.query.flag("with_profile_uid")?;
    let subject = &call.subject;
    // What a key is limited by tells more about its owner than the key itself may know.
    let beyond_itself = with_limited_by && subject.acting_key().is_some();
    let granted = if filter.is_acting_key(subject) && !beyond_itself {
        authorize::for_self(state, &call, true).await?
    } else {
        authorize::for_own_keys(state, &call, filter.is_own(subject) && !beyond_itself).await?
    };
    let now = call.now.unix_millis();
    let is_active = |key: &ApiKey| key.invalidation.is_none() && !key.is_expired(now);
    let mut keys = select(state, &filter, |key| {
        filter.accepts(key, subject) && (!active_only || is_active(key))
    });
    keys.sort_by(|a, b| (a.creation, &a.id).cmp(&(b.creation, &b.id)));
    let api_keys = keys
        .iter()
        .map(|key| describe(key, with_limited_by))
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

fn describe(key: &ApiKey, with_limited_by: bool) -> ApiKeyInfo {
    let render = |set: &RoleSet| -> RoleSet {
        let rendered = set
            .iter()
            .map(|(name, role)| (name.clone(), role_body::render(role)));
        rendered.collect()
    };
    let limited = with_limited_by && key.kind == ApiKeyKind::Rest;
    ApiKeyInfo {
        id: key.id.clone(),
        name: key.name.clone(),
        kind: key.kind.label().to_owned(),
        creation: key.creation,
        expiration: key.expiration,
        invalidated: key.invalidation.is_some(),
        invalidation: key.invalidation,
        username: key.creator.username.clone(),
        realm: key.creator.realm.name.clone(),
        realm_type: Some(key.creator.realm.kind.clone()),
        metadata: key.metadata.clone(),
        role_descriptors: render(&key.roles),
        limited_by: limited.then(|| vec![render(&key.limited_by)]),
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
