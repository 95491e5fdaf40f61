//! Role descriptors (`PUT /_security/role/{name}`), application privileges (`PUT /_security/privilege`) and role mappings
//! (`PUT /_security/role_mapping/{name}`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a role grants. Fields are in the order Elasticsearch renders them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoleDescriptor {
    /// Cluster privileges: names or raw actions.
    #[serde(default)]
    pub cluster: Vec<String>,
    /// Request-conditional cluster privileges, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global: Option<Value>,
    /// Index privileges.
    #[serde(default)]
    pub indices: Vec<IndexPrivileges>,
    /// Application privileges.
    #[serde(default)]
    pub applications: Vec<ApplicationPrivileges>,
    /// User name patterns this role may act as.
    #[serde(default)]
    pub run_as: Vec<String>,
    /// Free metadata.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Always `{"enabled": true}` in answers.
    #[serde(default)]
    pub transient_metadata: Map<String, Value>,
    /// Index privileges on remote clusters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remote_indices: Vec<RemoteIndexPrivileges>,
    /// Cluster privileges on remote clusters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remote_cluster: Vec<RemoteClusterPrivileges>,
    /// Workflow restriction, API keys only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<Value>,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Privileges on index name patterns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexPrivileges {
    /// Names, wildcards or `/regular expressions/`.
    pub names: Vec<String>,
    /// Privilege names or raw actions.
    pub privileges: Vec<String>,
    /// Field level security.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_security: Option<FieldSecurity>,
    /// Document level security: a query as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Whether the patterns cover restricted indices too.
    #[serde(default)]
    pub allow_restricted_indices: bool,
}

/// Fields granted and excepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldSecurity {
    /// Granted field patterns.
    #[serde(default)]
    pub grant: Vec<String>,
    /// Patterns taken out of `grant`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

/// Privileges on an application's resources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApplicationPrivileges {
    /// Application name; a trailing wildcard is allowed.
    pub application: String,
    /// Privilege names or raw actions.
    pub privileges: Vec<String>,
    /// Resource patterns.
    pub resources: Vec<String>,
}

/// [`IndexPrivileges`] on remote clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RemoteIndexPrivileges {
    /// The privileges.
    #[serde(flatten)]
    pub indices: IndexPrivileges,
    /// Cluster alias patterns.
    pub clusters: Vec<String>,
}

/// Cluster privileges on remote clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RemoteClusterPrivileges {
    /// Privilege names.
    pub privileges: Vec<String>,
    /// Cluster alias patterns.
    pub clusters: Vec<String>,
}

/// A stored application privilege.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApplicationPrivilege {
    /// Application name.
    pub application: String,
    /// Privilege name.
    pub name: String,
    /// Action patterns it stands for.
    pub actions: Vec<String>,
    /// Free metadata.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

/// A role mapping. Fields are in the order Elasticsearch renders them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoleMapping {
    /// Whether it applies.
    pub enabled: bool,
    /// Names of roles it gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Templates of names of roles it gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub role_templates: Vec<RoleTemplate>,
    /// The rule, in the expression language of role mappings.
    pub rules: Value,
    /// Free metadata.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

/// A template of role names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleTemplate {
    /// The mustache script, as JSON text.
    pub template: String,
    /// How its output is read.
    pub format: TemplateFormat,
}

/// How the output of a [`RoleTemplate`] is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TemplateFormat {
    /// A JSON string, or an array of them.
    Json,
    /// One role name.
    #[default]
    String,
}
