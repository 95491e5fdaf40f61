//! What the store keeps: one type per table, as JSON.
//!
//! Secrets are never kept as such: passwords are slow hashes, API-key secrets and tokens SHA-256 (both are 128 random bits or
//! more). A new field needs `#[serde(default)]`, or old stores won't open.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::wire::principals::{ApiKeyRef, RealmRef};
use crate::wire::roles::RoleDescriptor;

/// A user of the native realm, under their name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Slow hash of the password.
    pub password: String,
    /// Role names, as given.
    pub roles: Vec<String>,
    /// Full name.
    pub full_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Free metadata.
    pub metadata: Map<String, Value>,
    /// Whether they may log in.
    pub enabled: bool,
}

/// What can be changed about a reserved user, under their name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reserved {
    /// Slow hash of the password; `None`: may not log in until one is set.
    pub password: Option<String>,
    /// Whether they may log in.
    pub enabled: bool,
}

/// Settings of one security index: kept and shown, for there is no index that they could change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexSettings {
    /// By name, such as `index.number_of_replicas`, in the text Elasticsearch shows; the defaults apply where one is absent.
    pub values: BTreeMap<String, String>,
}

/// Role descriptors by name: an API key's own, or the snapshot of its owner's. Shared, because a map keeps room for eleven
/// values, which is kilobytes per key when they stand in it.
pub type RoleSet = BTreeMap<String, Arc<RoleDescriptor>>;

/// Who made an API key or a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Principal {
    /// User name.
    pub username: String,
    /// Role names; empty for API keys.
    pub roles: Vec<String>,
    /// Full name.
    pub full_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Metadata.
    pub metadata: Map<String, Value>,
    /// The realm they came from.
    pub realm: RealmRef,
}

/// The two kinds of API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiKeyKind {
    /// For the REST API.
    Rest,
    /// For another cluster; can't log in here.
    CrossCluster,
}

impl ApiKeyKind {
    /// The name in answers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::CrossCluster => "cross_cluster",
        }
    }
}

/// An API key, under its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// Its name; not unique.
    pub name: String,
    /// Kind of key.
    pub kind: ApiKeyKind,
    /// SHA-256 of the secret, base64url.
    pub secret: String,
    /// Milliseconds since the Unix epoch.
    pub creation: u64,
    /// Milliseconds since the Unix epoch; `None`: never.
    pub expiration: Option<u64>,
    /// When it was invalidated, milliseconds since the Unix epoch.
    pub invalidation: Option<u64>,
    /// Its owner.
    pub creator: Principal,
    /// Its own role descriptors; empty: whatever the owner had.
    pub roles: RoleSet,
    /// The owner's role descriptors when the key was made.
    pub limited_by: RoleSet,
    /// Free metadata.
    pub metadata: Map<String, Value>,
    /// Cross-cluster keys: the pattern the subject of the remote cluster's certificate must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_identity: Option<String>,
    /// Goes up with every update; tells compiled permissions apart.
    #[serde(default)]
    pub version: u64,
}

impl ApiKey {
    /// Whether `username` of `realm` owns it. Realms of one security domain count as one.
    pub fn is_owned_by(&self, username: &str, realm: &RealmRef) -> bool {
        self.creator.username == username && is_same_realm(&self.creator.realm, realm)
    }

    /// Whether it works: neither invalidated nor expired.
    pub fn is_active(&self, now_millis: u64) -> bool {
        self.invalidation.is_none() && !self.is_expired(now_millis)
    }

    /// Whether it is past its expiration.
    pub fn is_expired(&self, now_millis: u64) -> bool {
        self.expiration.is_some_and(|at| at <= now_millis)
    }

    /// Id and name, as `_authenticate` shows them.
    pub fn reference(&self) -> ApiKeyRef {
        ApiKeyRef {
            id: self.id.clone(),
            name: self.name.clone(),
        }
    }
}

/// Everything needed to be somebody again: what a token stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bearer {
    /// Who acts.
    pub effective: Principal,
    /// Who authenticated, when that is somebody else (run-as).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticating: Option<Principal>,
    /// Id of the API key behind it, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// What the single sign-on realm that let them in needs to end their session at the identity provider; in that realm's
    /// own words, and empty for everybody else. Every refreshed token has it as well.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub session: Map<String, Value>,
}

/// An access token, under the base64url SHA-256 of its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessToken {
    /// Milliseconds since the Unix epoch.
    pub creation: u64,
    /// Milliseconds since the Unix epoch.
    pub expiration: u64,
    /// Whether it was taken back.
    pub invalidated: bool,
    /// Whom it stands for.
    pub bearer: Bearer,
    /// Key of the refresh token made with it; older rows don't know theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
}

/// A refresh token, under the base64url SHA-256 of its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefreshToken {
    /// Milliseconds since the Unix epoch.
    pub creation: u64,
    /// Whether it was taken back.
    pub invalidated: bool,
    /// Whom the next access token stands for.
    pub bearer: Bearer,
    /// Only this client may use it: user name and realm.
    pub client: Client,
    /// Set by its first use.
    pub refreshed: Option<Refreshed>,
    /// Key of the access token made with it; older rows don't know theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
}

/// The client that asked for a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// User name.
    pub username: String,
    /// Realm.
    pub realm: RealmRef,
    /// Id of the API key, when the client is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
}

impl Client {
    /// Whether this client may use what `creator` made: an API key only what the same key made, a user what the same user
    /// of the same realm made.
    pub fn may_use_what_was_made_by(&self, creator: &Self) -> bool {
        match (&self.api_key, &creator.api_key) {
            (Some(own), Some(other)) => own == other,
            (Some(_), None) | (None, Some(_)) => false,
            (None, None) => {
                self.username == creator.username && is_same_realm(&self.realm, &creator.realm)
            }
        }
    }
}

/// Whether users of the same name in these realms are the same user: there is one file and one native realm whatever their
/// name, other realms count by name and type, and a security domain joins its realms.
pub fn is_same_realm(one: &RealmRef, other: &RealmRef) -> bool {
    let is_one_realm = match one.kind.as_str() {
        "file" | "native" => one.kind == other.kind,
        _ => one.kind == other.kind && one.name == other.name,
    };
    is_one_realm || (one.domain.is_some() && one.domain == other.domain)
}

/// What the first use of a refresh token left behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refreshed {
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// The new pair, sealed under the old refresh token: a retry gets the same answer, a thief of the store gets nothing.
    pub sealed: String,
}

/// A service account token made by the API, under `namespace/service/name`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceToken {
    /// SHA-256 of the secret, base64url.
    pub secret: String,
    /// Milliseconds since the Unix epoch.
    pub creation: u64,
    /// Who made it.
    pub creator: Principal,
}

/// A user profile, under its uid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Whether it is suggested.
    pub enabled: bool,
    /// When the user was last copied here, in milliseconds since the Unix epoch.
    pub last_synchronized: u64,
    /// The user as they were then.
    pub user: ProfileUser,
    /// What applications can search by, by application name.
    pub labels: Map<String, Value>,
    /// What applications keep, by application name.
    pub data: Map<String, Value>,
    /// Goes up with every change, for `if_seq_no`.
    pub seq_no: u64,
}

/// The user behind a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileUser {
    /// User name.
    pub username: String,
    /// Role names.
    pub roles: Vec<String>,
    /// Realm.
    pub realm: RealmRef,
    /// E-mail address.
    pub email: Option<String>,
    /// Full name.
    pub full_name: Option<String>,
}
