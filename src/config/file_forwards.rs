//! `forward` and `assertion` of the config file as written; the same rules hold as in `file`.
//!
//! `forward` is a word, or a mapping of ways that combine. To serde it is either; to the schema it is one choice, whose keys
//! may stand side by side.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use super::default;
use super::headers;
use super::patterns::PathPattern;
use super::realm_values::Text;
use super::settings;
use super::values::{Name, Written};

/// How the identity travels to the upstream.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Forward {
    /// One word.
    Word(ForwardWord),
    /// Ways that combine.
    Ways(Box<Ways>),
}

/// The words.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardWord {
    /// Not at all.
    None,
    /// The client's own `Authorization`, untouched.
    Passthrough,
}

impl JsonSchema for Forward {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Forward")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How the identity travels to the upstream: a word, or any of these keys together. At most one of `passthrough`, `token` and `api_key` chooses the credential that the upstream gets. Identity headers that a client sends never reach it, whatever is chosen.",
            "x-together": true,
            "oneOf": [
                {"const": "none", "description": "Not at all."},
                {"const": "passthrough", "description": "The client's own `Authorization`, untouched."},
                Ways::json_schema(generator),
            ],
        })
    }
}

/// Ways for the identity to travel, together.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ways {
    /// In headers of the names given; `identity_headers: {}` takes the defaults.
    pub identity_headers: Option<Box<super::file_routes::IdentityHeaders>>,
    /// In the client's own `Authorization`, untouched, beside what else is chosen.
    pub passthrough: Option<bool>,
    /// In an access token that the authority gives for the client's password. A client that brought an access token keeps it.
    pub token: Option<Token>,
    /// In an API key that the authority grants for the client's credential, with no more rights than the route names.
    pub api_key: Option<ApiKey>,
    /// In a short-lived JWT that Sidegate signs; needs the top-level `assertion`.
    pub assertion: Option<Assertion>,
    /// The upstream is Elasticsearch itself: it gets the client's credential unless another is chosen, and calls that revoke something are noticed.
    pub elasticsearch: Option<Elasticsearch>,
}

/// An access token for the upstream. Nothing about it can be chosen.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {}

/// An API key for the upstream: one for each identity, renewed ahead of its end and invalidated when the identity leaves the cache.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The key's roles, as the create API key API takes them. The key may do what both these and its owner's roles allow; `{}` lets it do all that its owner may.
    #[schemars(required)]
    pub role_descriptors: Option<Value>,
    /// How long a key lives, at least `2m`.
    #[schemars(extend("default" = default::API_KEY_EXPIRATION))]
    pub expiration: Option<Written<Duration>>,
    /// Metadata of the key, beside what Sidegate needs to find it again.
    pub metadata: Option<Value>,
    /// The key's name. `{route}` and the identity's fields can stand in it.
    #[schemars(extend("default" = default::API_KEY_NAME))]
    pub name: Option<Written<settings::Template>>,
}

/// A JWT about the caller with the claims `iss`, `sub`, `aud`, `iat`, `nbf`, `exp`, `roles`, `realm` and `route`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Who it is meant for. Without it, the upstream's name.
    pub audience: Option<Written<Text>>,
    /// How long it is valid, from `1m` to `24h`. It is made anew half a minute before.
    #[schemars(extend("default" = default::ASSERTION_EXPIRATION))]
    pub expiration: Option<Written<Duration>>,
    /// The header that it travels in; in `Authorization` it follows `Bearer`.
    #[schemars(extend("default" = default::ASSERTION_HEADER))]
    pub header: Option<Written<headers::AssertionHeader>>,
    /// More claims: names, each with text that may hold fields of the identity. A single field keeps its type.
    pub claims: Option<BTreeMap<String, Written<settings::Template>>>,
}

/// Elasticsearch as the upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Elasticsearch {
    /// Whether it gets Sidegate's own credential and `es-security-runas-user`, so that no client's credential travels at all. Sidegate's user needs `run_as` for them.
    #[schemars(extend("default" = default::RUN_AS))]
    pub run_as: Option<bool>,
    /// Whether the credential goes into `es-secondary-authorization`, with Sidegate's own in `Authorization`.
    #[schemars(extend("default" = default::SECONDARY_AUTHORIZATION))]
    pub secondary_authorization: Option<bool>,
}

/// Who signs assertions, and where their public keys are served. The admin door serves them at `/.well-known/jwks.json`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// The claim `iss`: who upstreams believe.
    #[schemars(extend("default" = default::ASSERTION_ISSUER))]
    pub issuer: Option<Written<Text>>,
    /// Private keys. The first signs; all are published, so that a new one can be known before it signs, and an old one after.
    #[schemars(required, length(min = 1))]
    pub keys: Option<Vec<SigningKey>>,
    /// Path at which every listener serves the public keys, without asking for a credential. Without it, the admin door alone does.
    pub jwks_path: Option<Written<PathPattern>>,
}

/// A key that signs assertions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// Its `kid`. Without it, the key's thumbprint (RFC 7638).
    pub id: Option<Written<Name>>,
    /// PEM file of a private key on the curve P-256 (signs ES256) or an Ed25519 key (signs EdDSA), not encrypted. Read again when it changes.
    #[schemars(with = "Written<PathBuf>")]
    pub key: Option<Written<PathBuf>>,
}
