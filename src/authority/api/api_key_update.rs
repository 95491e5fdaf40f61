//! Updates of API keys: one (`PUT /_security/api_key/{id}`), several (`POST /_security/api_key/_bulk_update`), and one
//! cross-cluster key (`PUT /_security/cross_cluster/api_key/{id}`).
//!
//! Only the owner updates, whatever privileges others have. Every update takes a new snapshot of the owner, so a key follows
//! its owner's roles down, and up.

use std::sync::Arc;

use serde_json::{Map, json};

use super::api_key_body::{BULK_UPDATE, Change, UPDATE};
use super::api_key_making::{expires_at, owner, owner_snapshot};
use super::cross_cluster_body;
use super::role_check;
use super::write::write;
use crate::authority::authorize::{self, Granted};
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::record::{ApiKey, ApiKeyKind, Principal, RoleSet};
use crate::authority::state::State;
use crate::authority::store::Drafts;
use crate::authority::subject::Subject;
use crate::model::clock::Now;
use crate::wire::grants::{BulkErrors, BulkUpdateApiKeysResponse};

/// Bytes that one bulk update may write.
const MOST_WRITTEN: usize = 64 * 1_024 * 1_024;

/// `PUT /_security/api_key/{id}`
pub async fn update(state: &State, call: Call) -> Result<Reply, Failure> {
    let change = if call.body.is_empty() {
        Change::default()
    } else {
        Change::parse(&call.object(UPDATE)?)?
    };
    let granted = authorize::for_own_keys(state, &call, true).await?;
    update_one(granted, state, &call, change, ApiKeyKind::Rest).await
}

/// `PUT /_security/cross_cluster/api_key/{id}`
pub async fn update_cross_cluster(state: &State, call: Call) -> Result<Reply, Failure> {
    let change = cross_cluster_body::parse_change(&call.object(cross_cluster_body::UPDATE)?)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    update_one(granted, state, &call, change, ApiKeyKind::CrossCluster).await
}

async fn update_one(
    granted: Granted,
    state: &State,
    call: &Call,
    change: Change,
    kind: ApiKeyKind,
) -> Result<Reply, Failure> {
    let id = call.path("id").unwrap_or_default().to_owned();
    if let Some(roles) = &change.roles {
        role_check::set(&granted, state, roles).await?;
    }
    let update = Update::by(state, &call.subject, change, kind, call.now)?;
    let updated = write(&granted, state, move |drafts| update.apply(drafts, &id)).await?;
    granted.reply(&json!({"updated": updated}))
}

/// `POST /_security/api_key/_bulk_update`
pub async fn bulk_update(state: &State, call: Call) -> Result<Reply, Failure> {
    let (ids, change) = Change::parse_bulk(&call.object(BULK_UPDATE)?)?;
    let granted = authorize::for_own_keys(state, &call, true).await?;
    if let Some(roles) = &change.roles {
        role_check::set(&granted, state, roles).await?;
    }
    let update = Update::by(state, &call.subject, change, ApiKeyKind::Rest, call.now)?;
    update.check_size(ids.len())?;
    let answer = write(&granted, state, move |drafts| {
        let mut answer = BulkUpdateApiKeysResponse::default();
        let mut details = Map::new();
        for id in ids {
            match update.apply(drafts, &id) {
                Ok(true) => answer.updated.push(id),
                Ok(false) => answer.noops.push(id),
                Err(failure) => {
                    let (kind, reason) = failure.cause();
                    details.insert(id, json!({"type": kind, "reason": reason}));
                }
            }
        }
        answer.errors = (!details.is_empty()).then(|| BulkErrors {
            count: details.len(),
            details,
        });
        Ok(answer)
    })
    .await?;
    granted.reply(&answer)
}

/// A change, and whose keys it may touch.
struct Update {
    change: Change,
    kind: ApiKeyKind,
    owner: Principal,
    limited_by: RoleSet,
    now: Now,
}

impl Update {
    fn by(
        state: &State,
        subject: &Subject,
        change: Change,
        kind: ApiKeyKind,
        now: Now,
    ) -> Result<Self, Failure> {
        if subject.acting_key().is_some() {
            return Err(Failure::illegal_argument(
                "authentication via API key not supported: only the owner user can update an API key",
            ));
        }
        let limited_by = match kind {
            ApiKeyKind::Rest => owner_snapshot(state, subject)?,
            ApiKeyKind::CrossCluster => RoleSet::new(),
        };
        Ok(Self {
            owner: owner(subject),
            change,
            kind,
            limited_by,
            now,
        })
    }

    /// Refuses an update that would write too much: all of it for each key, while other writes wait.
    fn check_size(&self, keys: usize) -> Result<(), Failure> {
        let each = (&self.change.roles, &self.change.metadata, &self.limited_by);
        let each = serde_json::to_vec(&each).map_or(usize::MAX, |bytes| bytes.len());
        if each.saturating_mul(keys) <= MOST_WRITTEN {
            return Ok(());
        }
        Err(Failure::illegal_argument(format!(
            "the update would write more than [{MOST_WRITTEN}] bytes: [{each}] for each of [{keys}] keys"
        )))
    }

    /// Updates one key; false when it was so already.
    fn apply(&self, drafts: &mut Drafts<'_>, id: &str) -> Result<bool, Failure> {
        let before = drafts.api_keys.find(id);
        let before = before.filter(|key| key.is_owned_by(&self.owner.username, &self.owner.realm));
        let before = before.ok_or_else(|| {
            Failure::resource_not_found(format!(
                "no API key owned by requesting user found for ID [{id}]"
            ))
        })?;
        self.check(&before)?;
        let after = self.changed(&before);
        if after == *before && self.change.expiration.is_none() {
            return Ok(false);
        }
        let version = before.version + 1;
        drafts.api_keys.put(id, ApiKey { version, ..after });
        Ok(true)
    }

    fn check(&self, key: &Arc<ApiKey>) -> Result<(), Failure> {
        let id = &key.id;
        let refusal = if key.invalidation.is_some() {
            format!("cannot update invalidated API key [{id}]")
        } else if key.is_expired(self.now.unix_millis()) {
            format!("cannot update expired API key [{id}]")
        } else if key.kind != self.kind {
            format!(
                "cannot update API key of type [{}] while expected type is [{}]",
                key.kind.label(),
                self.kind.label()
            )
        } else {
            return Ok(());
        };
        Err(Failure::illegal_argument(refusal))
    }

    fn changed(&self, before: &ApiKey) -> ApiKey {
        let change = self.change.clone();
        let life = change.expiration.map(|life| expires_at(life, self.now));
        let identity = change.certificate_identity;
        ApiKey {
            roles: change.roles.unwrap_or_else(|| before.roles.clone()),
            metadata: change.metadata.unwrap_or_else(|| before.metadata.clone()),
            expiration: life.or(before.expiration),
            certificate_identity: identity.or_else(|| before.certificate_identity.clone()),
            creator: self.owner.clone(),
            limited_by: self.limited_by.clone(),
            ..before.clone()
        }
    }
}
