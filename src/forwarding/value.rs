//! Identity fields as header values an application can read back exactly.
//!
//! Printable ASCII travels as it is. Everything else is percent-encoded UTF-8 (RFC 3986 §2.1): control characters, bytes
//! above 0x7e, `%` itself, and a blank at either end, which HTTP would trim. In lists (roles, arrays in metadata) the items
//! are joined by `,` and a comma inside an item is encoded, so that no role name can add a role. To read a value, split at
//! `,` if it is a list, then percent-decode as UTF-8.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::HeaderValue;
use serde_json::Value;

use crate::config::settings::IdentityField;
use crate::model::identity::Identity;

/// Bytes a value may have. More would not pass the header limits of common servers; cutting would change its meaning.
pub const MAX_VALUE: usize = 8 * 1024;

/// The value of one field, or `None` when the identity has none or an empty one.
///
/// # Errors
/// [`TooLong`] when the encoded value exceeds [`MAX_VALUE`].
pub fn header_value(
    identity: &Identity,
    field: &IdentityField,
) -> Result<Option<HeaderValue>, TooLong> {
    let text = match field {
        IdentityField::Username => encode(&identity.username),
        IdentityField::Roles => join(
            identity
                .roles
                .iter()
                .map(|role| Cow::Borrowed(role.as_str())),
        ),
        IdentityField::FullName => encode(identity.full_name.as_deref().unwrap_or_default()),
        IdentityField::Email => encode(identity.email.as_deref().unwrap_or_default()),
        IdentityField::Realm => encode(&identity.lookup_realm.name),
        IdentityField::AuthenticationType => encode(&identity.authentication_type),
        IdentityField::ApiKeyId => {
            encode(identity.api_key.as_ref().map_or("", |key| key.id.as_str()))
        }
        IdentityField::ApiKeyName => encode(
            identity
                .api_key
                .as_ref()
                .map_or("", |key| key.name.as_str()),
        ),
        IdentityField::Metadata(name) => identity
            .metadata
            .get(name)
            .map(metadata)
            .unwrap_or_default(),
    };
    if text.len() > MAX_VALUE {
        return Err(TooLong);
    }
    // `encode` leaves printable ASCII only, which every header value may hold.
    Ok(HeaderValue::try_from(text)
        .ok()
        .filter(|value| !value.is_empty()))
}

/// The value would be longer than [`MAX_VALUE`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("identity field is too long for a header")]
pub struct TooLong;

fn metadata(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => encode(text),
        Value::Array(items) => join(items.iter().map(|item| match item {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(other.to_string()),
        })),
        other => encode(&other.to_string()),
    }
}

fn join<'t>(items: impl Iterator<Item = Cow<'t, str>>) -> String {
    let mut joined = String::new();
    for (index, item) in items.enumerate() {
        if index > 0 {
            joined.push(',');
        }
        encode_into(&mut joined, &item, true);
    }
    joined
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    encode_into(&mut encoded, text, false);
    encoded
}

fn encode_into(out: &mut String, text: &str, in_list: bool) {
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let plain = match byte {
            b'%' => false,
            b',' => !in_list,
            b' ' => at != 0 && at != last,
            0x21..=0x7e => true,
            _ => false,
        };
        if plain {
            out.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::identity::Realm;

    fn identity() -> Identity {
        let realm = Realm {
            name: "native1".into(),
            kind: "native".into(),
        };
        Identity {
            username: "alice".into(),
            roles: vec!["reader".into(), "a,b".into()],
            full_name: Some("Ålice ".into()),
            email: None,
            metadata: serde_json::json!({"n": 7, "list": ["x", 1], "o": {"k": "ü"}, "no": null})
                .as_object()
                .cloned()
                .unwrap(),
            realm: realm.clone(),
            lookup_realm: realm,
            authentication_type: "realm".into(),
            api_key: None,
        }
    }

    fn value(field: IdentityField) -> Option<String> {
        header_value(&identity(), &field)
            .unwrap()
            .map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn fields_read_as_documented() {
        assert_eq!(value(IdentityField::Username).unwrap(), "alice");
        assert_eq!(value(IdentityField::Roles).unwrap(), "reader,a%2Cb");
        assert_eq!(value(IdentityField::FullName).unwrap(), "%C3%85lice%20");
        assert_eq!(value(IdentityField::Email), None);
        assert_eq!(value(IdentityField::ApiKeyId), None);
        assert_eq!(value(IdentityField::Metadata("n".into())).unwrap(), "7");
        assert_eq!(
            value(IdentityField::Metadata("list".into())).unwrap(),
            "x,1"
        );
        assert_eq!(
            value(IdentityField::Metadata("o".into())).unwrap(),
            "{\"k\":\"%C3%BC\"}"
        );
        assert_eq!(value(IdentityField::Metadata("no".into())), None);
        assert_eq!(value(IdentityField::Metadata("absent".into())), None);
    }

    #[test]
    fn a_value_too_long_is_an_error_and_never_cut() {
        let mut identity = identity();
        identity.username = "ü".repeat(MAX_VALUE);
        assert_eq!(
            header_value(&identity, &IdentityField::Username),
            Err(TooLong)
        );
    }

    proptest! {
        #[test]
        fn any_text_survives_the_way_there_and_back(text in "\\PC{0,40}|[\\x00-\\x20,%\"]{0,10}") {
            let encoded = encode(&text);
            let mut identity = identity();
            identity.username = text.clone();
            let value = header_value(&identity, &IdentityField::Username).unwrap();
            prop_assert!(encoded.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
            prop_assert_eq!(value.map(|value| value.len()).unwrap_or(0), encoded.len());
            let decoded = percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap();
            prop_assert_eq!(decoded, text);
        }
    }
}
