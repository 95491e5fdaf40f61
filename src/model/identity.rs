//! What an authority answered about a credential.

use serde_json::{Map, Value};

/// A realm as `_authenticate` names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Realm {
    /// Realm name, such as `default_native`.
    pub name: String,
    /// Realm type, such as `native`.
    pub kind: String,
}

/// The API key behind an identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiKeyRef {
    /// Key id.
    pub id: String,
    /// Key name.
    pub name: String,
}

/// Who a credential belongs to (`GET /_security/_authenticate`).
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// User name.
    pub username: String,
    /// Role names; empty for API keys.
    pub roles: Vec<String>,
    /// Full name, if the realm knows one.
    pub full_name: Option<String>,
    /// E-mail address, if the realm knows one.
    pub email: Option<String>,
    /// The user's metadata.
    pub metadata: Map<String, Value>,
    /// The realm that authenticated.
    pub realm: Realm,
    /// The realm the effective user was looked up in; differs from `realm` with run-as.
    pub lookup_realm: Realm,
    /// `realm`, `api_key`, `token`, `anonymous` or `internal`.
    pub authentication_type: String,
    /// The API key, when that was the credential.
    pub api_key: Option<ApiKeyRef>,
}
