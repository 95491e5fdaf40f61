//! The `routes` of the config file as written; the same rules hold as in `file`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::addresses::HostPattern;
use super::default;
use super::file_bounds::{Addresses, Preflight, RateLimit};
use super::file_forwards::Forward;
use super::file_ways::RouteCredentials;
use super::grants;
use super::headers;
use super::patterns::PathPattern;
use super::settings;
use super::values::{Name, Written};

/// Which requests are let in, what is asked of them, and where they go. It has either `allow` or `require`; there is no silent default.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Unique name: the label in metrics and logs.
    #[schemars(with = "Written<Name>")]
    pub name: Option<Written<Name>>,
    /// Which requests it takes.
    #[schemars(with = "Match")]
    pub r#match: Option<Match>,
    /// Lets in without asking for privileges.
    pub allow: Option<Allow>,
    /// Lets in who has all of these privileges.
    pub require: Option<Require>,
    /// The upstream that the requests go to.
    #[schemars(with = "Written<Name>")]
    pub upstream: Option<Written<Name>>,
    /// How the identity travels to the upstream.
    #[schemars(extend("default" = default::FORWARD))]
    pub forward: Option<Forward>,
    /// Names of the listeners that it counts on; a request that came in at another one goes past it. Without it, all of them.
    #[schemars(length(min = 1))]
    pub listeners: Option<Vec<Written<Name>>>,
    /// Whether WebSocket upgrades are tunnelled.
    #[schemars(extend("default" = default::WEBSOCKET))]
    pub websocket: Option<bool>,
    /// How often a WebSocket or a streamed response is looked at again, to be closed when its credential or session is no good any more; `none`: never.
    #[schemars(extend("default" = default::RECHECK))]
    pub recheck: Option<Written<Option<Duration>>>,
    /// Ways in that this route takes beside `Authorization`, client certificates and Kerberos.
    pub credentials: Option<RouteCredentials>,
    /// Client addresses that this route takes requests from. Without it, all.
    pub addresses: Option<Addresses>,
    /// How many requests this route takes from one client. Without it, any number.
    pub rate_limit: Option<RateLimit>,
    /// What becomes of a browser's CORS preflight, which never brings a credential.
    #[schemars(extend("default" = default::PREFLIGHT))]
    pub preflight: Option<Preflight>,
}

/// Which requests a route takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Hosts. Without it, any.
    #[schemars(length(min = 1))]
    pub hosts: Option<Vec<Written<HostPattern>>>,
    /// Path pattern; the query takes no part.
    #[schemars(with = "Written<PathPattern>")]
    pub path: Option<Written<PathPattern>>,
    /// Methods. Without it, any.
    #[schemars(length(min = 1))]
    pub methods: Option<Vec<Written<headers::Method>>>,
}

/// Whom a route lets in without asking for privileges.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allow {
    /// Everyone; a credential is not even looked at.
    Everyone,
    /// Everyone with a valid credential.
    Authenticated,
}

/// What a route requires. Everything listed must hold, except that of several `roles` one is enough.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Require {
    /// Cluster privileges; all of them are needed.
    #[schemars(length(min = 1))]
    pub cluster: Option<Vec<Written<grants::ClusterPrivilege>>>,
    /// Index privileges; all of them are needed.
    #[schemars(length(min = 1))]
    pub index: Option<Vec<IndexRequirement>>,
    /// Application privileges; all of them are needed.
    #[schemars(length(min = 1))]
    pub application: Option<Vec<ApplicationRequirement>>,
    /// Roles; any one of them is enough. To need several, list them one by one below `all_of`.
    #[schemars(length(min = 1))]
    pub roles: Option<Vec<Written<grants::RoleName>>>,
    /// The index and cluster privileges that the request needs as a call of Elasticsearch's REST API, for routes whose upstream is Elasticsearch. A call that Sidegate doesn't know needs `all`.
    #[schemars(extend("default" = default::ELASTICSEARCH_CALL))]
    pub elasticsearch_call: Option<bool>,
    /// Requirements of which at least one must hold.
    #[schemars(length(min = 1))]
    pub any_of: Option<Vec<Self>>,
    /// Requirements that must all hold.
    #[schemars(length(min = 1))]
    pub all_of: Option<Vec<Self>>,
}

/// Index privileges that a route requires: every privilege on every name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexRequirement {
    /// Index names or patterns. A pattern asks for the privilege on everything it could match.
    #[schemars(required, length(min = 1))]
    pub names: Option<Vec<Written<settings::Template>>>,
    /// Privileges.
    #[schemars(required, length(min = 1))]
    pub privileges: Option<Vec<Written<grants::IndexPrivilege>>>,
    /// Whether a pattern also asks about restricted (system) indices.
    #[schemars(extend("default" = default::ALLOW_RESTRICTED_INDICES))]
    pub allow_restricted_indices: Option<bool>,
}

/// Application privileges that a route requires: every privilege on every resource.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationRequirement {
    /// The application's name.
    #[schemars(with = "Written<grants::ApplicationName>")]
    pub application: Option<Written<grants::ApplicationName>>,
    /// Privileges.
    #[schemars(required, length(min = 1))]
    pub privileges: Option<Vec<Written<grants::ApplicationPrivilege>>>,
    /// Resources; `*` asks for all of them.
    #[schemars(required, length(min = 1))]
    pub resources: Option<Vec<Written<settings::Template>>>,
}

/// Headers that carry the identity. A field that the identity lacks sends no header.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityHeaders {
    /// User name.
    #[schemars(extend("default" = default::USERNAME_HEADER))]
    pub username: Option<Written<headers::HeaderChoice>>,
    /// Role names, comma separated.
    #[schemars(extend("default" = default::ROLES_HEADER))]
    pub roles: Option<Written<headers::HeaderChoice>>,
    /// Full name.
    #[schemars(extend("default" = default::FULL_NAME_HEADER))]
    pub full_name: Option<Written<headers::HeaderChoice>>,
    /// E-mail address.
    #[schemars(extend("default" = default::EMAIL_HEADER))]
    pub email: Option<Written<headers::HeaderChoice>>,
    /// Name of the realm.
    #[schemars(extend("default" = default::REALM_HEADER))]
    pub realm: Option<Written<headers::HeaderChoice>>,
    /// How the client authenticated: `realm`, `api_key`, `token` and so on.
    #[schemars(extend("default" = default::AUTHENTICATION_TYPE_HEADER))]
    pub authentication_type: Option<Written<headers::HeaderChoice>>,
    /// Id of the API key.
    #[schemars(extend("default" = default::API_KEY_ID_HEADER))]
    pub api_key_id: Option<Written<headers::HeaderChoice>>,
    /// Name of the API key.
    #[schemars(extend("default" = default::API_KEY_NAME_HEADER))]
    pub api_key_name: Option<Written<headers::HeaderChoice>>,
    /// Top-level fields of the user's metadata, each with its header.
    pub metadata: Option<BTreeMap<String, Written<headers::IdentityHeader>>>,
}
