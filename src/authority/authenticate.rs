//! The chain that turns a request's credential into a [`Subject`], in Elasticsearch's order: access token, API key, then the
//! realms (reserved, native); run-as last.
//!
//! Always true: exactly one credential is looked at; a failure never says whether the user exists. The next authenticator
//! (service tokens, JWT) is an arm in `check`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::failure::Failure;
use super::password::HashingError;
use super::realm::account;
use super::realm::grants::{self, GrantError};
use super::realm::login::LoginError;
use super::realm::service::{ServiceCredential, ServiceError};
use super::state::State;
use super::subject::Subject;
use crate::model::clock::Now;
use crate::model::credential::Credential;
use crate::model::secret::Secret;

/// Names the user to act as.
const RUN_AS: &str = "es-security-runas-user";

/// What a request wants, for the sentence of a refusal.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// A credential in the headers of a request for this URI.
    Request(&'a str),
    /// A credential in the body, for this action.
    Action(&'a str),
}

/// Authenticates a request by its headers.
///
/// # Errors
/// 401 with challenges, or 400 for a doubled header.
pub async fn request(
    state: &State,
    headers: &HeaderMap,
    uri: &str,
    now: Now,
) -> Result<Subject, Failure> {
    let credential = match single(headers, header::AUTHORIZATION.as_str())? {
        Some(value) => parse_credential(value)?,
        None => None,
    };
    let Some(credential) = credential else {
        return Err(Failure::unauthenticated(format!(
            "missing authentication credentials for REST request [{uri}]"
        )));
    };
    let subject = check(state, credential, Purpose::Request(uri), now).await?;
    match single(headers, RUN_AS)? {
        Some(name) => {
            let name = String::from_utf8_lossy(name);
            run_as(state, subject, &name, Purpose::Request(uri))
        }
        None => Ok(subject),
    }
}

/// Checks one credential.
///
/// # Errors
/// 401 with challenges; 429 when too many passwords wait.
pub async fn check(
    state: &State,
    credential: Credential,
    purpose: Purpose<'_>,
    now: Now,
) -> Result<Subject, Failure> {
    match credential {
        Credential::Basic { username, password } => {
            password_login(state, &username, &password, purpose).await
        }
        Credential::ApiKey(value) => {
            grants::check_api_key(state.tables(), &value, now).map_err(refused_grant)
        }
        Credential::Bearer(token) if token == state.own => Ok(Subject::user(account::own())),
        Credential::Bearer(token) => {
            // Elasticsearch looks for service tokens in headers only.
            let of_header = matches!(purpose, Purpose::Request(_));
            if let Some(token) = ServiceCredential::parse(&token).filter(|_| of_header) {
                return service_login(state, &token, now).await;
            }
            grants::check_access_token(state.tables(), &token, now)
                .map_err(|error| refused_bearer(error, purpose))
        }
    }
}

async fn password_login(
    state: &State,
    username: &str,
    password: &Secret,
    purpose: Purpose<'_>,
) -> Result<Subject, Failure> {
    let checked = state.logins.check(state.tables(), username, password).await;
    match checked {
        Ok(principal) => Ok(Subject::user(principal)),
        Err(LoginError::Refused) => Err(Failure::unauthenticated(refusal(username, purpose))),
        Err(LoginError::Unchecked(error)) => Err(unchecked(error)),
    }
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

fn refusal(username: &str, purpose: Purpose<'_>) -> String {
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
        GrantError::Refused(why) => Failure::unauthenticated(
            "unable to authenticate with provided credentials and anonymous access is not allowed for this request",
        )
        .with_metadata("additional_unsuccessful_credentials", json!(why)),
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

/// Looks the user to act as up. Whether that is permitted is [`super::authorize`]'s matter.
///
/// # Errors
/// 401 when that user is disabled.
pub fn run_as(
    state: &State,
    subject: Subject,
    name: &str,
    purpose: Purpose<'_>,
) -> Result<Subject, Failure> {
    // A token that already stands for somebody else can't change again; Elasticsearch ignores the header then.
    if subject.authenticating.is_some() {
        return Ok(subject);
    }
    let account = account::find(state.tables(), name);
    if account.as_ref().is_some_and(|account| !account.enabled) {
        let real = &subject.effective.username;
        return Err(Failure::unauthenticated(refusal(real, purpose)));
    }
    Ok(subject.run_as(name, account.map(|account| account.principal)))
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
