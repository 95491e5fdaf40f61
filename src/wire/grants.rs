//! Grants: API keys (`/_security/api_key`) and OAuth2 tokens (`/_security/oauth2/token`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::principals::AuthenticateResponse;
use super::roles::RoleDescriptor;

/// The answer of `PUT /_security/api_key`: the only one that ever holds the secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct CreateApiKeyResponse {
    /// Key id.
    pub id: String,
    /// Key name.
    pub name: String,
    /// Milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<u64>,
    /// The secret.
    pub api_key: String,
    /// base64 of `id:secret`, as the `ApiKey` scheme takes it.
    pub encoded: String,
}

/// One key of `GET /_security/api_key`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKeyInfo {
    /// Key id.
    pub id: String,
    /// Key name.
    pub name: String,
    /// `rest` or `cross_cluster`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Milliseconds since the Unix epoch.
    pub creation: u64,
    /// Milliseconds since the Unix epoch; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<u64>,
    /// Whether it was taken back.
    pub invalidated: bool,
    /// When, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalidation: Option<u64>,
    /// Owner.
    pub username: String,
    /// Owner's realm.
    pub realm: String,
    /// Type of the owner's realm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm_type: Option<String>,
    /// Free metadata.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// The key's own roles.
    #[serde(default)]
    pub role_descriptors: BTreeMap<String, RoleDescriptor>,
    /// The owner's roles at creation: a list of one, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<Vec<BTreeMap<String, RoleDescriptor>>>,
    /// Cross-cluster keys: what was asked for, in the words of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Value>,
    /// Cross-cluster keys: pattern for the subject of the remote cluster's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_identity: Option<String>,
    /// Profile of the owner, when asked for and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_uid: Option<String>,
    /// What it was sorted by, when a query sorted.
    #[serde(rename = "_sort", default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<Vec<Value>>,
}

/// The answer of `GET /_security/api_key`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApiKeys {
    /// The keys found.
    pub api_keys: Vec<ApiKeyInfo>,
}

/// The answer of `DELETE /_security/api_key`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InvalidateApiKeysResponse {
    /// Ids invalidated by this call.
    pub invalidated_api_keys: Vec<String>,
    /// Ids that were invalid before.
    pub previously_invalidated_api_keys: Vec<String>,
    /// How many could not be invalidated.
    pub error_count: usize,
    /// Why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_details: Vec<Value>,
}

/// The answer of `POST /_security/api_key/_bulk_update`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BulkUpdateApiKeysResponse {
    /// Ids that changed.
    pub updated: Vec<String>,
    /// Ids that were so already.
    pub noops: Vec<String>,
    /// What went wrong with the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<BulkErrors>,
}

/// Errors of a bulk call, by id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BulkErrors {
    /// How many.
    pub count: usize,
    /// `type` and `reason` by id.
    pub details: Map<String, Value>,
}

/// The answer of `POST /_security/_query/api_key`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueryApiKeysResponse {
    /// How many keys fit.
    pub total: usize,
    /// How many of them are in this answer.
    pub count: usize,
    /// This page.
    pub api_keys: Vec<ApiKeyInfo>,
    /// Results by aggregation, when asked for and anything fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregations: Option<Map<String, Value>>,
}

/// The answer of `POST /_security/oauth2/token` (RFC 6749 §5.1, and who it is about).
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: String,
    /// `Bearer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds.
    pub expires_in: u64,
    /// Only when the request named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Absent for client credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// base64 of a Kerberos realm's answer to the client, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kerberos_authentication_response_token: Option<String>,
    /// Whom the token stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AuthenticateResponse>,
}

/// A refusal of `POST /_security/oauth2/token` (RFC 6749 §5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenError {
    /// Such as `invalid_grant`; `_unauthorized` when a Kerberos negotiation is not finished.
    pub error: String,
    /// For people; for `_unauthorized`, base64 of the token the client is to answer.
    #[serde(default)]
    pub error_description: Option<String>,
}

/// The answer of `DELETE /_security/oauth2/token`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidateTokensResponse {
    /// Tokens invalidated by this call; an access and a refresh token count separately.
    pub invalidated_tokens: usize,
    /// Tokens that were invalid before.
    pub previously_invalidated_tokens: usize,
    /// How many could not be invalidated.
    pub error_count: usize,
}
