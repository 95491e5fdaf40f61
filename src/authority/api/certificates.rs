//! `GET /_ssl/certificates`: the certificates in use.

use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;

/// `GET /_ssl/certificates`
pub async fn find(state: &State, call: Call) -> Result<Reply, Failure> {
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    granted.reply(&*state.certificates.list())
}
