//! Credentials as `Authorization` lines towards the authority; every copy made on the way is wiped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::config::settings::OwnCredential;
use crate::model::credential::Credential;

/// The `Authorization` value of a credential, marked sensitive so that no header dump shows it.
pub(super) fn authorization(credential: &Credential) -> HeaderValue {
    match credential {
        Credential::Basic { username, password } => basic(username, password.expose()),
        Credential::Bearer(token) => header_value("Bearer ", token.expose()),
        Credential::ApiKey(key) => header_value("ApiKey ", key.expose()),
    }
}

/// The same of Sidegate's own credential.
pub(super) fn own_authorization(own: &OwnCredential) -> HeaderValue {
    match own {
        OwnCredential::ApiKey(key) => header_value("ApiKey ", key.expose()),
        OwnCredential::Basic { username, password } => basic(username, password.expose()),
        OwnCredential::Bearer(token) => header_value("Bearer ", token.expose()),
    }
}

fn basic(username: &str, password: &[u8]) -> HeaderValue {
    let mut pair = Zeroizing::new(Vec::with_capacity(username.len() + password.len() + 1));
    pair.extend_from_slice(username.as_bytes());
    pair.push(b':');
    pair.extend_from_slice(password);
    let encoded = Zeroizing::new(STANDARD.encode(&*pair));
    header_value("Basic ", encoded.as_bytes())
}

/// Bytes that can't stand in a header make an empty value, which every authority refuses.
fn header_value(scheme: &str, token: &[u8]) -> HeaderValue {
    let mut bytes = Zeroizing::new(Vec::with_capacity(scheme.len() + token.len()));
    bytes.extend_from_slice(scheme.as_bytes());
    bytes.extend_from_slice(token);
    let mut value =
        HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
