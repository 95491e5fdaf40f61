//! Who somebody is: `GET /_security/_authenticate`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The answer of `_authenticate`, also embedded in token responses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthenticateResponse {
    /// User name.
    pub username: String,
    /// Role names; empty for API keys.
    pub roles: Vec<String>,
    /// Full name or null.
    pub full_name: Option<String>,
    /// E-mail or null.
    pub email: Option<String>,
    /// The token the caller used, when it is a service account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenRef>,
    /// User metadata.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Whether the user is enabled.
    pub enabled: bool,
    /// Realm that checked the credential.
    pub authentication_realm: RealmRef,
    /// Realm the effective user comes from.
    pub lookup_realm: RealmRef,
    /// `realm`, `api_key`, `token`, `anonymous` or `internal`.
    pub authentication_type: String,
    /// The API key, when that was the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeyRef>,
}

/// A user, as `GET /_security/user` shows them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// User name.
    pub username: String,
    /// Role names.
    pub roles: Vec<String>,
    /// Full name or null.
    pub full_name: Option<String>,
    /// E-mail or null.
    pub email: Option<String>,
    /// User metadata.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Whether they may log in.
    pub enabled: bool,
    /// Profile, when asked for and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_uid: Option<String>,
}

/// A realm by name and type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealmRef {
    /// Realm name.
    pub name: String,
    /// Realm type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Security domain, if the realm belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// An API key by id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyRef {
    /// Key id.
    pub id: String,
    /// Key name.
    #[serde(default)]
    pub name: String,
}

/// A service account token by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRef {
    /// Token name.
    pub name: String,
    /// `_service_account_index` or `_service_account_file`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}
