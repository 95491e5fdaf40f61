//! Keys for somebody else (`POST /_security/api_key/grant`): the caller shows that person's password or access token, and may
//! name a user that person runs as.
//!
//! Two are authorised: the caller for granting, the person for running as somebody. The key belongs to the latter, and never
//! exceeds them.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use super::api_key_body::{self, NewKey};
use super::api_key_making::{self, Blank};
use crate::authority::authenticate::{self, Purpose};
use crate::authority::authorize;
use crate::authority::body::{Field, Grammar, Object};
use crate::authority::call::{Call, Query, Reply};
use crate::authority::failure::Failure;
use crate::authority::run_as;
use crate::authority::state::State;
use crate::authority::subject::Subject;
use crate::model::credential::Credential;
use crate::model::secret::Secret;

const GRAMMAR: Grammar = Grammar::Strict("grant_api_key_request");
const CLIENT: Grammar = Grammar::Strict("client_authentication");
/// What a person who runs as somebody must be able to do as them.
const AUTHENTICATE: &str = "cluster:admin/xpack/security/user/authenticate";

/// The body.
#[derive(Default)]
struct Grant {
    kind: Option<String>,
    username: Option<String>,
    password: Option<Secret>,
    access_token: Option<Secret>,
    run_as: Option<String>,
    /// How the client of a JSON Web Token proves itself: scheme and value.
    client: Option<(String, Secret)>,
    key: NewKey,
}

/// `POST|PUT /_security/api_key/grant`
pub async fn grant(state: &State, call: Call) -> Result<Reply, Failure> {
    call.check_refresh()?;
    let grant = Grant::read(&call.object(GRAMMAR)?)?;
    let faults = grant.faults();
    api_key_body::refuse(&faults)?;
    grant.key.check_restrictions()?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let owner = authenticate_owner(state, &call, &grant).await?;
    let blank = Blank::of_subject(state, &owner, grant.key, call.now)?;
    let answer = api_key_making::store(&granted, state, blank, call.now).await?;
    granted.reply(&answer)
}

/// Whom the key is for.
async fn authenticate_owner(state: &State, call: &Call, grant: &Grant) -> Result<Subject, Failure> {
    let purpose = Purpose::Action(call.action);
    let credential = grant.credential()?;
    let client = grant.client.as_ref().map(|(_, value)| value.clone());
    let person = authenticate::check_shown(state, credential, client, purpose, call.now)
        .await
        .map_err(forbidden)?;
    let subject = match &grant.run_as {
        Some(name) if run_as::can_run_as(&person) => {
            let caller = Arc::clone(&person.effective);
            run_as::as_user(state, person, name).map_err(|error| {
                let refused = authenticate::refusal(&caller.username, purpose);
                forbidden(error.into_failure(|| Failure::unauthenticated(refused)))
            })?
        }
        Some(_) | None => person,
    };
    // Whoever can't run as somebody would get a key of their own instead of the one that was asked for.
    let runs_as =
        |name: &String| subject.authenticating.is_some() && subject.effective.username == *name;
    if !grant.run_as.as_ref().is_none_or(runs_as) {
        return Err(Failure::status(
            StatusCode::BAD_REQUEST,
            "the provided grant credentials do not support run-as",
        ));
    }
    if subject.authenticating.is_none() {
        return Ok(subject);
    }
    let probe = Call {
        action: AUTHENTICATE,
        subject,
        uri: call.uri.clone(),
        path: Vec::new(),
        query: Query::default(),
        body: Bytes::new(),
        now: call.now,
        trail: call.trail.clone(),
    };
    authorize::anybody(state, &probe).await?;
    Ok(probe.subject)
}

/// What a grant with a bad credential says.
pub const GRANT_REFUSED: &str = "Failed to authenticate api key grant";

/// The caller is known; it is their request that failed. So a 401 would send the wrong one to log in again.
fn forbidden(failure: Failure) -> Failure {
    if failure.status != StatusCode::UNAUTHORIZED {
        return failure;
    }
    let reason = failure.cause().1.to_owned();
    Failure::forbidden(GRANT_REFUSED).caused_by("security_exception", reason)
}

impl Grant {
    fn read(object: &Object<'_>) -> Result<Self, Failure> {
        let mut grant = Self::default();
        for field in object.fields() {
            match field.name {
                "grant_type" => grant.kind = Some(field.string()?),
                "username" => grant.username = Some(field.string()?),
                "password" => grant.password = Some(Secret::from(field.string()?)),
                "access_token" => grant.access_token = Some(Secret::from(field.string()?)),
                "run_as" => grant.run_as = Some(field.string()?),
                "client_authentication" => grant.client = Some(read_client(&field)?),
                "api_key" => grant.key = read_key(&field)?,
                _ => return Err(field.unknown()),
            }
        }
        Ok(grant)
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = self.key.faults();
        let username = self.username.as_ref().is_some_and(|name| !name.is_empty());
        let is_given = |secret: &Option<Secret>| {
            let secret = secret.as_ref();
            secret.is_some_and(|secret| !secret.expose().is_empty())
        };
        let password = is_given(&self.password);
        let token = is_given(&self.access_token);
        let kind = self.kind.as_deref();
        let (required, unsupported) = match kind {
            Some("password") => (
                vec![("username", username), ("password", password)],
                vec![("access_token", token)],
            ),
            Some("access_token") => (
                vec![("access_token", token)],
                vec![("username", username), ("password", password)],
            ),
            None => {
                faults.push("[grant_type] is required".to_owned());
                return faults;
            }
            Some(other) => {
                faults.push(format!("grant_type [{other}] is not supported"));
                return faults;
            }
        };
        let kind = kind.unwrap_or_default();
        let missing = required.iter().filter(|(_, given)| !given);
        faults.extend(
            missing.map(|(name, _)| format!("[{name}] is required for grant_type [{kind}]")),
        );
        let extra = unsupported.iter().filter(|(_, given)| *given);
        faults.extend(
            extra.map(|(name, _)| format!("[{name}] is not supported for grant_type [{kind}]")),
        );
        if let Some((scheme, _)) = &self.client {
            if kind == "password" {
                faults.push(format!(
                    "[client_authentication] is not supported for grant_type [{kind}]"
                ));
            } else if scheme != "SharedSecret" {
                faults.push(
                    "[client_authentication.scheme] must be set to [SharedSecret]".to_owned(),
                );
            }
        }
        faults
    }

    /// The person's credential.
    fn credential(&self) -> Result<Credential, Failure> {
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            return Ok(Credential::Basic {
                username: username.clone(),
                password: password.clone(),
            });
        }
        let token = self.access_token.clone().unwrap_or_else(|| Secret::new([]));
        if self.client.is_some() && !looks_like_jwt(&token) {
            return Err(Failure::bad_credential(
                "[client_authentication] not supported with the supplied access_token type",
            ));
        }
        Ok(Credential::Bearer(token))
    }
}

/// Three parts between dots (RFC 7519 §3); no access token made here has a dot.
fn looks_like_jwt(token: &Secret) -> bool {
    token.expose().iter().filter(|byte| **byte == b'.').count() == 2
}

fn read_client(field: &Field<'_>) -> Result<(String, Secret), Failure> {
    let object = field.object(CLIENT)?;
    let (mut scheme, mut value) = (None, None);
    for field in object.fields() {
        match field.name {
            "scheme" => scheme = Some(field.string()?),
            "value" => value = Some(Secret::from(field.string()?)),
            _ => return Err(field.unknown()),
        }
    }
    let missing = |name: &str| Failure::illegal_argument(format!("Required [{name}]"));
    let value = value.ok_or_else(|| missing("value"))?;
    let scheme = scheme.ok_or_else(|| missing("scheme"))?;
    Ok((scheme, value))
}

fn read_key(field: &Field<'_>) -> Result<NewKey, Failure> {
    let object = field.object(api_key_body::GRAMMAR)?;
    NewKey::read(&object).map_err(|failure| {
        let reason = failure.cause().1.to_owned();
        field.failed("illegal_argument_exception", reason)
    })
}
