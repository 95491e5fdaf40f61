//! Credentials as header lines towards the authority; every copy made on the way is wiped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

use crate::config::settings::OwnCredential;
use crate::model::credential::Credential;
use crate::model::secret::Secret;

/// Acts as another user.
pub const RUN_AS: HeaderName = HeaderName::from_static("es-security-runas-user");
/// The JWT realm's proof that the request came through somebody it knows.
pub const CLIENT_AUTHENTICATION: HeaderName = HeaderName::from_static("es-client-authentication");

/// As whom a question is asked: header lines, ready to be sent. Prints nothing secret, for its values are marked sensitive.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    lines: Vec<(HeaderName, HeaderValue)>,
    anonymous: bool,
}

impl Asker {
    /// Somebody with a credential.
    pub fn of(credential: &Credential) -> Self {
        Self::with(authorization(credential))
    }

    /// Sidegate itself.
    pub fn own(own: &OwnCredential) -> Self {
        Self::with(own_authorization(own))
    }

    /// Whoever shows nothing, where the authority gives such a one a name.
    pub fn anonymous() -> Self {
        Self {
            lines: Vec::new(),
            anonymous: true,
        }
    }

    fn with(authorization: HeaderValue) -> Self {
        Self {
            lines: vec![(header::AUTHORIZATION, authorization)],
            anonymous: false,
        }
    }

    /// The same, acting as `username`.
    pub fn running_as(mut self, username: &str) -> Self {
        self.lines
            .push((RUN_AS, header_value("", username.as_bytes())));
        self
    }

    /// The same, with the shared secret of the authority's JWT realm.
    pub fn with_client_authentication(mut self, secret: &Secret) -> Self {
        let value = header_value("SharedSecret ", secret.expose());
        self.lines.push((CLIENT_AUTHENTICATION, value));
        self
    }

    /// Whether it shows nothing.
    pub(super) fn is_anonymous(&self) -> bool {
        self.anonymous
    }

    /// The lines.
    pub(super) fn lines(&self) -> &[(HeaderName, HeaderValue)] {
        &self.lines
    }
}

/// The `Authorization` value of a credential, marked sensitive so that no header dump shows it.
pub fn authorization(credential: &Credential) -> HeaderValue {
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
