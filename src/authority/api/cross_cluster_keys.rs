//! Making cross-cluster API keys (`POST /_security/cross_cluster/api_key`). Such a key can't log in here; it is for the remote
//! cluster that shows it.

use super::api_key_making::{self, Blank, expires_at, owner};
use super::cross_cluster_body::{self, NewCrossClusterKey};
use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::record::{ApiKeyKind, RoleSet};
use crate::authority::state::State;

/// `POST /_security/cross_cluster/api_key`
pub async fn create(state: &State, call: Call) -> Result<Reply, Failure> {
    let NewCrossClusterKey {
        key,
        certificate_identity,
    } = cross_cluster_body::parse(&call.object(cross_cluster_body::CREATE)?)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    if call.subject.acting_key().is_some() {
        return Err(Failure::illegal_argument(
            "authentication via API key not supported: An API key cannot be used to create a cross-cluster API key",
        ));
    }
    let blank = Blank {
        name: key.name,
        kind: ApiKeyKind::CrossCluster,
        expiration: key.expiration.map(|life| expires_at(life, call.now)),
        creator: owner(&call.subject),
        roles: key.roles,
        // What it may do is said in full by its role, and checked by the cluster that serves it.
        limited_by: RoleSet::new(),
        metadata: key.metadata,
        certificate_identity,
    };
    let answer = api_key_making::store(&granted, state, blank, call.now).await?;
    granted.reply(&answer)
}
