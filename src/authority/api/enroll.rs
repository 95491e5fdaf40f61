//! Enrolment of Kibana and of nodes: refused as by an Elasticsearch whose enrolment mode is off.
//!
//! Both answers hand out key material of a cluster's own CA, and there is neither here: this authority has no transport layer
//! that a node could join, and its listener's certificate is the operator's. Kibana is given the CA by its `ssl` settings and a
//! service account token instead.

use http::StatusCode;

use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;

/// `GET /_security/enroll/kibana`, `GET /_security/enroll/node`
pub async fn refuse(state: &State, call: Call) -> Result<Reply, Failure> {
    // Who may not ask is told so first, as everywhere.
    authorize::by_cluster_privilege(state, &call).await?;
    Err(Failure::security(
        StatusCode::FORBIDDEN,
        "Enrollment mode is not enabled. Set [xpack.security.enrollment.enabled] to true, in order to use this API.",
    ))
}
