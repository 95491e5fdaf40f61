//! Acting as somebody else: the `es-security-runas-user` header.
//!
//! [`resolve`] looks the target up; whether the caller may act as them is [`super::authorize`]'s matter, which also refuses
//! unknown and empty targets, in the same words. A credential that can't act as others is taken as it is, header or not.

use http::HeaderMap;

use super::failure::Failure;
use super::state::State;
use super::subject::{Means, Subject};

/// Names the user to act as.
pub const HEADER: &str = "es-security-runas-user";

/// Why no subject came out.
#[derive(Debug)]
pub enum RunAsError {
    /// The header came more than once; its name.
    Doubled(&'static str),
    /// The target may not log in; says so about the caller, as Elasticsearch does.
    Disabled,
}

/// The subject of a request after its run-as header: the same one without the header.
///
/// # Errors
/// See [`RunAsError`].
pub fn resolve(
    state: &State,
    headers: &HeaderMap,
    subject: Subject,
) -> Result<Subject, RunAsError> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(subject);
    };
    if values.next().is_some() {
        return Err(RunAsError::Doubled(HEADER));
    }
    if !can_run_as(&subject) {
        return Ok(subject);
    }
    let name = String::from_utf8_lossy(value.as_bytes());
    as_user(state, subject, &name)
}

/// The subject acting as the user called `name`, whether or not there is one.
///
/// # Errors
/// [`RunAsError::Disabled`].
pub fn as_user(state: &State, subject: Subject, name: &str) -> Result<Subject, RunAsError> {
    let account = state.realms.look_up(state.tables(), name);
    if account.as_ref().is_some_and(|account| !account.enabled) {
        return Err(RunAsError::Disabled);
    }
    Ok(subject.run_as(name, account.map(|account| account.principal)))
}

/// Whether a credential may be used to act as others at all: neither nobody in particular nor a
/// token that already stands for somebody else.
pub fn can_run_as(subject: &Subject) -> bool {
    let already = subject.authenticating.is_some();
    match subject.means {
        Means::Realm | Means::ApiKey | Means::Token => !already,
        Means::Anonymous => false,
    }
}

impl RunAsError {
    /// The answer to a request; `refused` is the refusal of a credential that is no good.
    pub fn into_failure(self, refused: impl FnOnce() -> Failure) -> Failure {
        match self {
            Self::Doubled(name) => Failure::dispatch(
                http::StatusCode::BAD_REQUEST,
                format!("multiple values for single-valued header [{name}]."),
            ),
            Self::Disabled => refused(),
        }
    }
}
