//! Fields of an identity as text, for templates.

use serde_json::Value;

use crate::config::settings::IdentityField;
use crate::model::identity::Identity;

/// A field as text; `None` when the identity has none. What a value of the metadata comes to is for `metadata` to say, because
/// not everything that can stand there fits everywhere.
pub fn text(
    field: &IdentityField,
    identity: &Identity,
    metadata: impl FnOnce(&Value) -> Option<String>,
) -> Option<String> {
    match field {
        IdentityField::Username => Some(identity.username.clone()),
        IdentityField::Roles => Some(identity.roles.join(",")),
        IdentityField::FullName => identity.full_name.clone(),
        IdentityField::Email => identity.email.clone(),
        IdentityField::Realm => Some(identity.lookup_realm.name.clone()),
        IdentityField::AuthenticationType => Some(identity.authentication_type.clone()),
        IdentityField::ApiKeyId => identity.api_key.as_ref().map(|key| key.id.clone()),
        IdentityField::ApiKeyName => identity.api_key.as_ref().map(|key| key.name.clone()),
        IdentityField::Metadata(name) => metadata(identity.metadata.get(name)?),
    }
}
