//! Whom role mappings are about.

use serde_json::{Map, Value};

/// Somebody a realm authenticated, as rules and templates see them.
#[derive(Clone, Copy, Debug)]
pub struct MappedUser<'a> {
    /// User name; compared with its case.
    pub username: &'a str,
    /// Distinguished name, if the realm knows one.
    pub dn: Option<&'a str>,
    /// Groups; compared as distinguished names where they are such, and without their case.
    pub groups: &'a [String],
    /// Metadata; a rule's `metadata.KEY` takes the whole rest of its name as the key.
    pub metadata: &'a Map<String, Value>,
    /// Name of the realm.
    pub realm: &'a str,
}

impl MappedUser<'_> {
    /// The variables of templates: a flat object.
    pub(super) fn variables(&self) -> Value {
        let mut model = Map::new();
        model.insert("username".to_owned(), self.username.into());
        if let Some(dn) = self.dn {
            model.insert("dn".to_owned(), dn.into());
        }
        model.insert("groups".to_owned(), self.groups.into());
        for (key, value) in self.metadata {
            model.insert(format!("metadata.{key}"), value.clone());
        }
        model.insert("realm.name".to_owned(), self.realm.into());
        Value::Object(model)
    }
}
