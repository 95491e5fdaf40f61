//! The chain that turns what a request shows into a [`Subject`], in Elasticsearch's order: access token, API key, then the realms;
//! the anonymous user when nothing is shown; run-as last.
//!
//! Always true: the first that says yes counts; a failure never says whether the user exists. The next authenticator that is no
//! realm is an arm in `identify`, a realm is [`super::realm`]'s matter.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::mapping::model::MappedUser;
use super::password::HashingError;
use super::realm::account;
use super::realm::chain::{ChainError, Negotiated, OIDC_PRINCIPAL};
use super::realm::contract::{Asking, Presented, Proven, Token};
use super::realm::grants::{self, GrantError};
use super::realm::oidc::Callback;
use super::realm::pki::certificate::Chain;
use super::realm::saml::SamlRealm;
use super::realm::service::{ServiceCredential, ServiceError};
use super::record::Principal;
use super::run_as;
use super::state::State;
use super::subject::Subject;
use crate::config::realms::Anonymous;
use crate::model::clock::Now;
use crate::model::credential::Credential;
use crate::model::secret::Secret;
use crate::wire::principals::RealmRef;

/// Carries what a client of the JWT realm proves itself with.
const CLIENT_AUTHENTICATION: &str = "es-client-authentication";
/// Name and type of the realm of the anonymous user.
const ANONYMOUS_REALM: &str = "__anonymous";

/// What a request wants, for the sentence of a refusal.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// A credential in the headers of a request for this URI.
    Request(&'a str),
    /// A credential in the body, for this action.
    Action(&'a str),
}

/// Everything somebody shows to be let in.
#[derive(Debug, Default)]
pub struct Shown<'a> {
    /// The credential of `Authorization`, or of a body.
    pub credential: Option<Credential>,
    /// What the client of a JSON Web Token proves itself with.
    pub client_secret: Option<Secret>,
    /// The client certificate of the connection, verified by the TLS listener.
    pub certificates: Option<&'a Chain>,
}

/// Authenticates a request by its headers and the certificate of its connection.
///
/// # Errors
/// 401 with challenges, or 400 for a doubled header.
pub async fn request(
    state: &State,
    headers: &HeaderMap,
    certificates: Option<&Chain>,
    uri: &str,
    now: Now,
) -> Result<Subject, Failure> {
    let credential = match single(headers, header::AUTHORIZATION.as_str())? {
        Some(value) => parse_credential(value)?,
        None => None,
    };
    let client_secret = single(headers, CLIENT_AUTHENTICATION)?.and_then(parse_shared_secret);
    let shown = Shown {
        credential,
        client_secret,
        certificates,
    };
    let purpose = Purpose::Request(uri);
    let Some(subject) = identify(state, shown, purpose, now).await? else {
        return anonymous(state).ok_or_else(|| {
            Failure::unauthenticated(format!(
                "missing authentication credentials for REST request [{uri}]"
            ))
        });
    };
    let caller = Arc::clone(&subject.effective);
    let subject = run_as::resolve(state, headers, subject).map_err(|error| {
        error.into_failure(|| Failure::unauthenticated(refusal(&caller.username, purpose)))
    })?;
    Ok(match &state.anonymous {
        Some(anonymous) => subject.with_roles(&anonymous.roles),
        None => subject,
    })
}

/// Checks one credential.
///
/// # Errors
/// 401 with challenges; 429 when too many passwords wait or failed.
pub async fn check(
    state: &State,
    credential: Credential,
    purpose: Purpose<'_>,
    now: Now,
) -> Result<Subject, Failure> {
    check_shown(state, credential, None, purpose, now).await
}

/// Checks one credential, which may be a JSON Web Token whose client proves itself.
///
/// # Errors
/// 401 with challenges; 429 when too many passwords wait or failed.
pub async fn check_shown(
    state: &State,
    credential: Credential,
    client_secret: Option<Secret>,
    purpose: Purpose<'_>,
    now: Now,
) -> Result<Subject, Failure> {
    let shown = Shown {
        credential: Some(credential),
        client_secret,
        certificates: None,
    };
    let subject = identify(state, shown, purpose, now).await?;
    subject.ok_or_else(|| Failure::unauthenticated(NOBODY))
}

const NOBODY: &str = "unable to authenticate with provided credentials and anonymous access is not allowed for this request";

/// Who shows this; `None`: nothing was shown.
async fn identify(
    state: &State,
    shown: Shown<'_>,
    purpose: Purpose<'_>,
    now: Now,
) -> Result<Option<Subject>, Failure> {
    let mut presented = Presented {
        client_secret: shown.client_secret.as_ref(),
        certificates: shown.certificates,
        ..Presented::default()
    };
    let granted = match &shown.credential {
        None => None,
        Some(Credential::Basic { username, password }) => {
            presented.basic = Some((username, password));
            None
        }
        Some(Credential::ApiKey(value)) => Some(grants::check_api_key(state.tables(), value, now)),
        Some(Credential::Bearer(token)) if *token == state.own => {
            Some(Ok(Subject::user(account::own())))
        }
        Some(Credential::Bearer(token)) => {
            // Elasticsearch looks for service tokens in headers only.
            let of_header = matches!(purpose, Purpose::Request(_));
            if let Some(token) = ServiceCredential::parse(token).filter(|_| of_header) {
                return service_login(state, &token, now).await.map(Some);
            }
            presented.bearer = Some(token);
            Some(grants::check_access_token(state.tables(), token, now))
        }
    };
    let unsuccessful = match granted {
        None => None,
        Some(Ok(subject)) => return Ok(Some(subject)),
        Some(Err(GrantError::Refused(why))) => Some(why),
        Some(Err(error)) => return Err(refused_grant(error)),
    };
    // A realm may still take it, or the connection's certificate.
    match (state.realms.token(&presented), unsuccessful) {
        (Some(token), unsuccessful) => {
            let subject = by_realms(state, &token, purpose, now).await;
            subject.map(Some).map_err(|failure| match unsuccessful {
                Some(why) => failure.with_metadata(UNSUCCESSFUL, json!(why)),
                None => failure,
            })
        }
        (None, Some(why)) => Err(refused_bearer(GrantError::Refused(why), purpose)),
        (None, None) => Ok(None),
    }
}

/// Asks the realms about a Kerberos ticket, base64 as sent.
///
/// # Errors
/// 401 with challenges.
pub async fn negotiate(
    state: &State,
    ticket: &Secret,
    purpose: Purpose<'_>,
    now: Now,
) -> Result<Negotiated, Failure> {
    let mapping = mapping_of(state);
    let negotiated = state
        .realms
        .negotiate(ticket, asking(state, &mapping, now))
        .await;
    negotiated.map_err(|_| Failure::unauthenticated(refusal("<Kerberos Token>", purpose)))
}

/// Asks the OpenID Connect realms who came back from a provider; with them comes what is kept for their logout.
///
/// # Errors
/// 401 with challenges.
pub async fn oidc(
    state: &State,
    realm: Option<&str>,
    callback: Callback<'_>,
    purpose: Purpose<'_>,
    now: Now,
) -> Result<(Subject, Map<String, Value>), Failure> {
    let mapping = mapping_of(state);
    let asking = asking(state, &mapping, now);
    let asked = state
        .realms
        .authenticate_oidc(realm, callback, asking)
        .await;
    asked
        .map(|(principal, kept)| (Subject::user(principal), kept))
        .map_err(|_| Failure::unauthenticated(refusal(OIDC_PRINCIPAL, purpose)))
}

/// Lets in somebody whom a SAML realm proved.
///
/// # Errors
/// 401 with challenges when no realm they are to be looked up in knows them.
pub fn saml(
    state: &State,
    realm: &Arc<SamlRealm>,
    proven: Proven,
    purpose: Purpose<'_>,
    now: Now,
) -> Result<Subject, Failure> {
    let username = proven.username.clone();
    let mapping = mapping_of(state);
    let asking = asking(state, &mapping, now);
    let admitted = state.realms.admit_saml(realm, proven, asking);
    admitted
        .map(Subject::user)
        .map_err(|_| Failure::unauthenticated(refusal(&username, purpose)))
}

/// What realms are asked with.
fn asking<'a>(
    state: &'a State,
    mapping: &'a (dyn Fn(&Proven, &RealmRef) -> Vec<String> + Sync),
    now: Now,
) -> Asking<'a> {
    Asking {
        tables: state.tables(),
        logins: &state.logins,
        mapping,
        now,
    }
}

/// Roles by mapping, of the enabled mappings there are now.
fn mapping_of(state: &State) -> impl Fn(&Proven, &RealmRef) -> Vec<String> + Sync {
    move |proven: &Proven, realm: &RealmRef| {
        let user = MappedUser {
            username: &proven.username,
            dn: proven.dn.as_deref(),
            groups: &proven.groups,
            metadata: &proven.metadata,
            realm: &realm.name,
        };
        state.mappings.roles(&state.tables().role_mappings, &user)
    }
}

const UNSUCCESSFUL: &str = "additional_unsuccessful_credentials";

/// Asks the realms about a token.
///
/// # Errors
/// 401 with challenges; 429 when too many passwords wait or failed.
pub async fn by_realms(
    state: &State,
    token: &Token,
    purpose: Purpose<'_>,
    now: Now,
) -> Result<Subject, Failure> {
    let mapping = mapping_of(state);
    match state
        .realms
        .authenticate(token, asking(state, &mapping, now))
        .await
    {
        Ok(principal) => Ok(Subject::user(principal)),
        Err(ChainError::Refused) => Err(Failure::unauthenticated(refusal(
            token.principal(),
            purpose,
        ))),
        Err(ChainError::Unchecked(error)) => Err(too_many(error.to_string(), 1)),
        Err(ChainError::Throttled { retry_after }) => Err(too_many(
            "too many failed logins".to_owned(),
            retry_after.as_secs().saturating_add(1),
        )),
    }
}

/// The answer to whom nothing can be said now; `seconds` until it can.
fn too_many(text: String, seconds: u64) -> Failure {
    Failure::dispatch(StatusCode::TOO_MANY_REQUESTS, text)
        .with_header("Retry-After", seconds.to_string())
}

/// The anonymous user, if there is one.
fn anonymous(state: &State) -> Option<Subject> {
    let Anonymous {
        username, roles, ..
    } = state.anonymous.as_ref()?;
    Some(Subject::anonymous(Principal {
        username: username.clone(),
        roles: roles.clone(),
        full_name: None,
        email: None,
        metadata: Map::new(),
        realm: account::realm(ANONYMOUS_REALM, ANONYMOUS_REALM),
    }))
}

async fn service_login(
    state: &State,
    token: &ServiceCredential,
    now: Now,
) -> Result<Subject, Failure> {
    let passwords = state.logins.passwords();
    let checked = state
        .service_tokens
        .check(state.tables(), passwords, token, now)
        .await;
    checked.map_err(|error| match error {
        ServiceError::Refused(reason) => Failure::unauthenticated(reason),
        ServiceError::Unchecked(error) => unchecked(error),
    })
}

/// The answer when too many secrets wait to be hashed.
fn unchecked(error: HashingError) -> Failure {
    Failure::dispatch(StatusCode::TOO_MANY_REQUESTS, error.to_string())
        .with_header("Retry-After", "1")
}

/// What a 401 says about somebody whose credential is no good, wherever it was found.
pub fn refusal(username: &str, purpose: Purpose<'_>) -> String {
    match purpose {
        Purpose::Request(uri) => {
            format!("unable to authenticate user [{username}] for REST request [{uri}]")
        }
        Purpose::Action(action) => {
            format!("unable to authenticate user [{username}] for action [{action}]")
        }
    }
}

fn refused_grant(error: GrantError) -> Failure {
    match error {
        GrantError::Refused(why) => {
            Failure::unauthenticated(NOBODY).with_metadata(UNSUCCESSFUL, Value::String(why))
        }
        GrantError::WrongKind(reason) => Failure::unauthenticated(reason),
        GrantError::Expired => Failure::invalid_token("token expired", "The access token expired"),
    }
}

/// A token of a body is shown to the realms as well, which then speak of a user of that name.
fn refused_bearer(error: GrantError, purpose: Purpose<'_>) -> Failure {
    match (error, purpose) {
        (GrantError::Refused(why), Purpose::Action(_)) => {
            Failure::unauthenticated(refusal("_bearer_token", purpose))
                .with_metadata("additional_unsuccessful_credentials", json!(why))
        }
        (error, _) => refused_grant(error),
    }
}

/// The one value of a header; several are refused, or two parties could see two callers.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a [u8]>, Failure> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Failure::dispatch(
            StatusCode::BAD_REQUEST,
            format!("multiple values for single-valued header [{name}]."),
        ));
    }
    Ok(first.map(http::HeaderValue::as_bytes))
}

/// Reads `ES-Client-Authentication: SharedSecret ...`; anything else proves nothing.
fn parse_shared_secret(value: &[u8]) -> Option<Secret> {
    const SCHEME: &[u8] = b"SharedSecret ";
    let value = value.trim_ascii();
    let (scheme, secret) = value.split_at_checked(SCHEME.len())?;
    let secret = secret.trim_ascii();
    (scheme.eq_ignore_ascii_case(SCHEME) && !secret.is_empty()).then(|| Secret::new(secret))
}

/// Reads `Authorization`; a scheme nobody knows is no credential.
fn parse_credential(value: &[u8]) -> Result<Option<Credential>, Failure> {
    let value = value.trim_ascii();
    let split = value.iter().position(|byte| *byte == b' ');
    let (scheme, rest) = value.split_at(split.unwrap_or(value.len()));
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"Basic") {
        return parse_basic(rest).map(Some);
    }
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        return Ok(Some(Credential::Bearer(Secret::new(rest))).filter(|_| !rest.is_empty()));
    }
    if scheme.eq_ignore_ascii_case(b"ApiKey") {
        return Ok(Some(Credential::ApiKey(Secret::new(rest))));
    }
    Ok(None)
}

fn parse_basic(value: &[u8]) -> Result<Credential, Failure> {
    let invalid = || Failure::unauthenticated("invalid basic authentication header value");
    let decoded = Secret::new(STANDARD.decode(value).map_err(|_| invalid())?);
    let bytes = decoded.expose();
    let colon = bytes
        .iter()
        .position(|byte| *byte == b':')
        .ok_or_else(invalid)?;
    let username = std::str::from_utf8(&bytes[..colon]).map_err(|_| invalid())?;
    if username.chars().any(char::is_control) {
        return Err(invalid());
    }
    Ok(Credential::Basic {
        username: username.to_owned(),
        password: Secret::new(&bytes[colon + 1..]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_case_blind_and_unknown_ones_are_no_credential() {
        for value in ["bAsIc YTpi", "Basic  YTpi"] {
            let parsed = parse_credential(value.as_bytes()).unwrap();
            assert!(matches!(parsed, Some(Credential::Basic { .. })), "{value}");
        }
        for value in ["Digest x", "", "Basically YTpi", "Bearer"] {
            assert!(
                parse_credential(value.as_bytes()).unwrap().is_none(),
                "{value}"
            );
        }
    }

    #[test]
    fn the_first_colon_splits_and_the_rest_is_the_password() {
        let value = format!("Basic {}", STANDARD.encode("joe:a:b"));
        let Some(Credential::Basic { username, password }) =
            parse_credential(value.as_bytes()).unwrap()
        else {
            panic!("basic");
        };
        assert_eq!((username.as_str(), password.expose()), ("joe", &b"a:b"[..]));
    }

    #[test]
    fn broken_basic_values_are_refused() {
        for value in [
            "Basic ",
            "Basic !!!",
            "Basic YQ==",
            "Basic YWI",
            "Basic AAA6eA==",
        ] {
            assert!(parse_credential(value.as_bytes()).is_err(), "{value}");
        }
    }
}
