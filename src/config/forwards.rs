//! Forwardings that are more than headers or the client's own credential, as meant: exchanges, assertions, Elasticsearch itself.
//!
//! A way to convey a credential is a variant of [`Conveyed`]; what one more needs of the config file is a key in
//! `file_forwards`, its meaning in `check::forward`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::settings::{IdentityField, Template};

/// Several ways at once. What travels in `Authorization` is one; headers and an assertion go beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Combined {
    /// Headers: name → field.
    pub headers: Vec<(String, IdentityField)>,
    /// Which credential the upstream gets.
    pub credential: Conveyed,
    /// Whether that credential goes into `es-secondary-authorization`, with Sidegate's own in `Authorization`.
    pub secondary: bool,
    /// A signed assertion.
    pub assertion: Option<Assertion>,
    /// Whether the upstream is Elasticsearch: calls that revoke something are noticed and what is known is purged.
    pub elasticsearch: bool,
}

impl Eq for Combined {}

/// Which credential an upstream gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Conveyed {
    /// None at all.
    Nothing,
    /// The client's own.
    Client,
    /// An access token (`POST /_security/oauth2/token`) for the client's.
    Token,
    /// An API key (`POST /_security/api_key/grant`) for the client's.
    ApiKey(Arc<ApiKeyGrant>),
    /// Sidegate's own, with `es-security-runas-user`.
    RunAs,
}

/// What keys a route has granted.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeyGrant {
    /// The route, for the name and for the key's metadata.
    pub route: String,
    /// The key's own roles: it may what these and its owner's allow. Empty: all that its owner may.
    pub role_descriptors: Map<String, Value>,
    /// How long a key lives.
    pub expiration: Duration,
    /// Metadata beside Sidegate's own.
    pub metadata: Map<String, Value>,
    /// The key's name; `{route}` is the only capture.
    pub name: Template,
}

/// A signed assertion about the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// The route, for the claim `route`.
    pub route: String,
    /// Who it is meant for: the claim `aud`.
    pub audience: String,
    /// How long it is valid.
    pub expiration: Duration,
    /// The header it travels in. In `Authorization`, after `Bearer `.
    pub header: String,
    /// More claims, by name.
    pub claims: Vec<(String, Claim)>,
}

/// What a claim holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// A field of the identity: lists stay lists, and metadata stays what it is. Left out when there is none.
    Field(IdentityField),
    /// Text with holes. Left out when a hole can't be filled.
    Text(Template),
}

/// Who signs assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The claim `iss`.
    pub issuer: String,
    /// Keys: the first signs, all are published.
    pub keys: Vec<SigningKey>,
    /// Path at which listeners serve the public keys as well; `None`: the admin door alone does.
    pub jwks_path: Option<String>,
}

/// A private key that signs assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The claim `kid`; `None`: the key's thumbprint (RFC 7638).
    pub id: Option<String>,
    /// PEM file.
    pub key: PathBuf,
}
