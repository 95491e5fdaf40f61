//! The section `sso.session` of the config file as written; the same rules hold as in `file`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::default;
use super::headers::IdentityHeader;
use super::patterns::PathPattern;
use super::references::SecretRef;
use super::session_values::{CookieName, KeyPrefix, StoreAddress};
use super::values::Written;

/// What a login leaves behind.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Where sessions are kept. Without it, in the browser.
    pub store: Option<Store>,
    /// What seals cookies and records, each at least 32 characters (`openssl rand -base64 32`): the first one seals, all of them open. Every replica has the same. Without it, a random one that a restart forgets, and everybody logs in again.
    #[schemars(length(min = 1))]
    pub keys: Option<Vec<Written<SecretRef>>>,
    /// Name of the cookie. Without it, one made of `public_url` and `prefix`.
    pub cookie_name: Option<Written<CookieName>>,
    /// Whether the cookie outlives the browser, to the end of the session's life.
    #[schemars(extend("default" = default::SESSION_PERSISTENT))]
    pub persistent: Option<bool>,
    /// Whether the cookie is for frames in pages of other sites, too (`SameSite=None; Partitioned`).
    #[schemars(extend("default" = default::SESSION_PARTITIONED))]
    pub partitioned: Option<bool>,
    /// Longest time without activity: navigations, and requests that change something.
    #[schemars(extend("default" = default::SESSION_IDLE_TIMEOUT))]
    pub idle_timeout: Option<Written<Duration>>,
    /// Longest life, whatever the activity.
    #[schemars(extend("default" = default::SESSION_LIFESPAN))]
    pub lifespan: Option<Written<Duration>>,
    /// Sessions that one user may have at one provider; a login beyond ends the oldest. Without it, any number.
    #[schemars(range(min = 1))]
    pub max_sessions: Option<u32>,
    /// Requests that are no activity although they look like it.
    pub background: Option<Background>,
    /// Whether sessions in cookies end, and their tokens are invalidated, when the program goes down.
    #[schemars(extend("default" = default::SESSION_END_ON_DRAIN))]
    pub end_on_drain: Option<bool>,
}

/// Where sessions are kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// In the browser, sealed. What must be known at once everywhere (ended sessions, their number) is known per replica.
    Cookie,
    /// In Redis, shared by replicas; the browser has a sealed id.
    Redis(Redis),
}

/// A Redis server (6.2 or later, no cluster).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Where it listens.
    #[schemars(with = "Written<StoreAddress>")]
    pub address: Option<Written<StoreAddress>>,
    /// Whether TLS is spoken.
    #[schemars(extend("default" = default::REDIS_TLS))]
    pub tls: Option<bool>,
    /// PEM file of the CA behind its certificate. Without it, the system's roots.
    pub ca: Option<Written<PathBuf>>,
    /// User of its ACL. Without it, the default one.
    pub username: Option<Written<super::realm_values::Text>>,
    /// The user's password.
    pub password: Option<Written<SecretRef>>,
    /// Number of the database.
    #[schemars(extend("default" = default::REDIS_DATABASE))]
    pub database: Option<u8>,
    /// What its keys begin with; another one for each deployment that shares the server.
    #[schemars(extend("default" = default::REDIS_KEY_PREFIX))]
    pub key_prefix: Option<Written<KeyPrefix>>,
    /// How long a command may take.
    #[schemars(extend("default" = default::REDIS_TIMEOUT))]
    pub timeout: Option<Written<Duration>>,
}

/// Requests that don't keep a session alive.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Background {
    /// Their paths, as patterns of routes.
    #[schemars(length(min = 1))]
    pub paths: Option<Vec<Written<PathPattern>>>,
    /// A header that marks them, whatever its value.
    pub header: Option<Written<IdentityHeader>>,
}
