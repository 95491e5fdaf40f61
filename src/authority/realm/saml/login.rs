//! What is kept of a login for as long as its tokens live, in the words of the tokens' record: what logging out needs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A login by a SAML realm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Name of the realm.
    #[serde(rename = "saml_realm")]
    pub realm: String,
    /// The subject's name at the identity provider; `None`: it gave none.
    #[serde(rename = "saml_nameid")]
    pub name_id: Option<NameId>,
    /// `SessionIndex`, by which the identity provider calls the session.
    #[serde(rename = "saml_session")]
    pub session: Option<String>,
}

/// The name of a subject (SAML core §2.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameId {
    /// The name itself.
    pub value: String,
    /// What kind of name.
    pub format: Option<String>,
    /// In the name space of which identity provider.
    pub name_qualifier: Option<String>,
    /// In the name space of which service provider.
    pub sp_name_qualifier: Option<String>,
    /// What the service provider calls it.
    pub sp_provided_id: Option<String>,
}

impl Login {
    /// As it is kept.
    pub fn kept(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(kept)) => kept,
            _ => Map::new(),
        }
    }

    /// Out of what is kept; `None`: no SAML realm kept it.
    pub fn of(kept: &Map<String, Value>) -> Option<Self> {
        if !kept.contains_key("saml_realm") {
            return None;
        }
        serde_json::from_value(Value::Object(kept.clone())).ok()
    }
}
