//! Reading and checking token requests (RFC 6749 §4 and §6, as Elasticsearch words it).

use crate::authority::body::{Grammar, Object};
use crate::authority::failure::{Failure, validation_text};
use crate::model::secret::Secret;

/// The strict parser of `POST`.
pub const CREATE: Grammar = Grammar::Strict("token_request");
/// The strict parser of `DELETE`.
pub const INVALIDATE: Grammar = Grammar::Strict("invalidate_token");

/// What a token is asked on the ground of.
pub enum Ground {
    /// A user's password.
    Password {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// A refresh token.
    Refresh(Secret),
    /// The caller's own credential.
    ClientCredentials,
    /// A Kerberos ticket, base64.
    Kerberos(Secret),
}

/// The body of `POST /_security/oauth2/token`.
pub struct TokenRequest {
    /// On the ground of what.
    pub ground: Ground,
    /// Whether a scope was sent.
    pub scoped: bool,
}

#[derive(Default)]
struct Fields {
    grant_type: Option<String>,
    username: Option<String>,
    password: Option<Secret>,
    kerberos_ticket: Option<Secret>,
    refresh_token: Option<Secret>,
    scope: Option<String>,
}

/// Reads and checks the body.
///
/// # Errors
/// What doesn't fit the grammar (envelope), then what is not valid (OAuth shape).
pub fn parse(object: &Object<'_>) -> Result<TokenRequest, Failure> {
    let mut fields = Fields::default();
    for field in object.fields() {
        let secret = || Ok(Some(Secret::from(field.string()?)));
        match field.name {
            "grant_type" => fields.grant_type = Some(field.string()?),
            "username" => fields.username = Some(field.string()?),
            "password" => fields.password = secret()?,
            "kerberos_ticket" => fields.kerberos_ticket = secret()?,
            "refresh_token" => fields.refresh_token = secret()?,
            "scope" => fields.scope = Some(field.string()?),
            _ => return Err(field.unknown()),
        }
    }
    let scoped = fields.scope.is_some();
    let ground = fields.ground().map_err(|faults| {
        let text = validation_text(&faults);
        let code = if text.contains("grant_type") {
            "unsupported_grant_type"
        } else {
            "invalid_request"
        };
        Failure::oauth(code, text)
    })?;
    Ok(TokenRequest { ground, scoped })
}

impl Fields {
    fn ground(self) -> Result<Ground, Vec<String>> {
        let grant = self.grant_type.as_deref().unwrap_or_default().to_owned();
        // What each grant needs; everything else it refuses.
        let needs: &[&str] = match grant.as_str() {
            "password" => &["username", "password"],
            "_kerberos" => &["kerberos_ticket"],
            "refresh_token" => &["refresh_token"],
            "client_credentials" => &[],
            _ => {
                return Err(vec![
                    "grant_type only supports the values: [password, _kerberos, refresh_token, client_credentials]"
                        .to_owned(),
                ]);
            }
        };
        let empty = |secret: &Option<Secret>| secret.as_ref().is_none_or(Secret::is_empty);
        let given = [
            (
                "username",
                self.username.is_some(),
                self.username.as_ref().is_none_or(String::is_empty),
            ),
            ("password", self.password.is_some(), empty(&self.password)),
            (
                "kerberos_ticket",
                self.kerberos_ticket.is_some(),
                empty(&self.kerberos_ticket),
            ),
            (
                "refresh_token",
                self.refresh_token.is_some(),
                empty(&self.refresh_token),
            ),
        ];
        let refused = given
            .iter()
            .filter(|(name, present, _)| !needs.contains(name) && *present)
            .map(|(name, ..)| format!("{name} is not supported with the {grant} grant_type"));
        let missing = given
            .iter()
            .filter(|(name, _, empty)| needs.contains(name) && *empty)
            .map(|(name, ..)| format!("{name} is missing"));
        let faults: Vec<String> = refused.chain(missing).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(match (self.username, self.password, self.refresh_token) {
            (Some(username), Some(password), _) => Ground::Password { username, password },
            (_, _, Some(token)) => Ground::Refresh(token),
            _ => match self.kerberos_ticket {
                Some(ticket) => Ground::Kerberos(ticket),
                None => Ground::ClientCredentials,
            },
        })
    }
}

/// What `DELETE /_security/oauth2/token` takes back.
pub enum Target {
    /// One access token.
    Access(Secret),
    /// One refresh token.
    Refresh(Secret),
    /// All of a user, of a realm, or of a user of a realm.
    Owner {
        /// User name.
        username: Option<String>,
        /// Realm name.
        realm: Option<String>,
    },
}

/// Reads and checks the body of `DELETE`.
///
/// # Errors
/// What doesn't fit the grammar or is not valid.
pub fn parse_target(object: &Object<'_>) -> Result<Target, Failure> {
    let (mut access, mut refresh, mut username, mut realm) = (None, None, None, None);
    for field in object.fields() {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        match field.name {
            "token" => access = given(field.string()?),
            "refresh_token" => refresh = given(field.string()?),
            "username" => username = given(field.string()?),
            "realm_name" => realm = given(field.string()?),
            _ => return Err(field.unknown()),
        }
    }
    let token = match (access, refresh) {
        (Some(_), Some(_)) => {
            return Err(Failure::x_content(
                "Failed to build [invalidate_token] after last required field arrived",
            )
            .caused_by(
                "illegal_argument_exception",
                "only one of [token, refresh_token] may be sent per request",
            ));
        }
        (Some(token), None) => Some(Target::Access(Secret::from(token))),
        (None, Some(token)) => Some(Target::Refresh(Secret::from(token))),
        (None, None) => None,
    };
    let has_text =
        |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
    match (token, has_text(&username) || has_text(&realm)) {
        (Some(_), true) => Err(Failure::request_validation(&[
            "token string must not be provided when realm name or username is specified",
            "token type must not be provided when realm name or username is specified",
        ])),
        (None, false) => Err(Failure::request_validation(&[
            "token string must be provided when not specifying a realm name or a username",
        ])),
        (Some(target), false) => Ok(target),
        (None, true) => Ok(Target::Owner { username, realm }),
    }
}
