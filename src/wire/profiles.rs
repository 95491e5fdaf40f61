//! User profiles (`/_security/profile`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The user behind a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileUser {
    /// User name.
    pub username: String,
    /// Role names at the last activation.
    pub roles: Vec<String>,
    /// Name of their realm.
    pub realm_name: String,
    /// The realm's security domain, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm_domain: Option<String>,
    /// E-mail, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Full name, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
}

/// A profile with its version, as `_activate` and `GET` answer it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Its id.
    pub uid: String,
    /// Whether it is suggested.
    pub enabled: bool,
    /// Milliseconds since the Unix epoch.
    pub last_synchronized: u64,
    /// The user.
    pub user: ProfileUser,
    /// Searchable, by application name.
    pub labels: Map<String, Value>,
    /// As much of the data as was asked for, by application name.
    pub data: Map<String, Value>,
    /// What `if_seq_no` and `if_primary_term` are compared with.
    #[serde(rename = "_doc")]
    pub version: ProfileVersion,
}

/// The version of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileVersion {
    /// Elasticsearch's primary term.
    #[serde(rename = "_primary_term")]
    pub primary_term: u64,
    /// Goes up with every change.
    #[serde(rename = "_seq_no")]
    pub seq_no: u64,
}

/// The answer of `GET /_security/profile/{uids}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profiles {
    /// Those that were found, in the order asked.
    pub profiles: Vec<Profile>,
    /// Those that were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<ProfileErrors>,
}

/// What went wrong with some of the profiles asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileErrors {
    /// How many.
    pub count: usize,
    /// Why, by uid.
    pub details: BTreeMap<String, ProfileError>,
}

/// What went wrong with one profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileError {
    /// Exception class in snake case.
    #[serde(rename = "type")]
    pub kind: String,
    /// Sentence for people.
    pub reason: String,
}

impl ProfileErrors {
    /// The same for every uid: there is no such profile. `None` when there are no uids.
    pub fn not_found(uids: impl IntoIterator<Item = String>) -> Option<Self> {
        let missing = |uid| {
            let error = ProfileError {
                kind: "resource_not_found_exception".to_owned(),
                reason: "profile document not found".to_owned(),
            };
            (uid, error)
        };
        let details: BTreeMap<String, ProfileError> = uids.into_iter().map(missing).collect();
        let count = details.len();
        (count > 0).then_some(Self { count, details })
    }
}

/// The answer of `_has_privileges`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfilesWithPrivileges {
    /// Profiles whose users have every privilege asked about.
    pub has_privilege_uids: Vec<String>,
    /// Profiles there are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<ProfileErrors>,
}

/// The answer of `_suggest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggestions {
    /// Milliseconds.
    pub took: u64,
    /// How many profiles match.
    pub total: Total,
    /// The best of them.
    pub profiles: Vec<Suggestion>,
}

/// How many documents match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// The number.
    pub value: usize,
    /// `eq`, or `gte` when there are more than were counted.
    pub relation: String,
}

/// A suggested profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// Its id.
    pub uid: String,
    /// The user.
    pub user: ProfileUser,
    /// Searchable, by application name.
    pub labels: Map<String, Value>,
    /// As much of the data as was asked for.
    pub data: Map<String, Value>,
}
