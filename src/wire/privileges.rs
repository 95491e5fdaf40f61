//! `POST /_security/user/_has_privileges`, request and response.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The privileges asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HasPrivilegesRequest {
    /// Cluster privileges.
    #[serde(default)]
    pub cluster: Vec<String>,
    /// Index privileges.
    #[serde(default)]
    pub index: Vec<IndexQuestion>,
    /// Application privileges.
    #[serde(default)]
    pub application: Vec<ApplicationQuestion>,
}

/// Privileges asked about on index names or patterns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexQuestion {
    /// Names or patterns.
    pub names: Vec<String>,
    /// Privilege names.
    pub privileges: Vec<String>,
    /// Whether restricted indices take part.
    #[serde(default)]
    pub allow_restricted_indices: bool,
}

/// Privileges asked about on an application's resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationQuestion {
    /// Application name.
    pub application: String,
    /// Privilege names or raw actions.
    pub privileges: Vec<String>,
    /// Resource names or patterns.
    pub resources: Vec<String>,
}

/// `name → privilege → granted`
pub type Granted = BTreeMap<String, BTreeMap<String, bool>>;

/// The answer: one boolean per question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HasPrivilegesResponse {
    /// Whose privileges these are.
    pub username: String,
    /// True when every question was answered with true.
    pub has_all_requested: bool,
    /// `privilege → granted`
    #[serde(default)]
    pub cluster: BTreeMap<String, bool>,
    /// `index name → privilege → granted`
    #[serde(default)]
    pub index: Granted,
    /// `application → resource → privilege → granted`
    #[serde(default)]
    pub application: BTreeMap<String, Granted>,
}
