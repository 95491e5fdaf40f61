//! Who am I and what may I do: `_authenticate`, `_has_privileges`.

use super::{role_body, role_indices};
use crate::authority::access::{Permissions, question};
use crate::authority::authorize;
use crate::authority::body::{Field, Object};
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;
use crate::wire::privileges::{
    ApplicationQuestion, HasPrivilegesRequest, HasPrivilegesResponse, IndexQuestion,
};

/// Atoms one question may hold; each costs an automaton comparison.
const MAX_ATOMS: usize = 10_000;

/// `GET /_security/_authenticate`
pub async fn authenticate(state: &State, call: Call) -> Result<Reply, Failure> {
    let granted = authorize::anybody(state, &call).await?;
    granted.reply(&call.subject.describe())
}

/// `GET|POST /_security/user[/{username}]/_has_privileges`
pub async fn has_privileges(state: &State, call: Call) -> Result<Reply, Failure> {
    let own = &call.subject.effective.username;
    let asked = call.path("username").unwrap_or(own);
    let object = call.object_for(|found| {
        refusal(
            asked,
            &format!("expected an object but found [{found}] instead"),
        )
    })?;
    let question = read_question(&object, asked)?;
    check_size(&question)?;
    question::check(&question).map_err(|faults| Failure::request_validation(&faults))?;
    let granted = authorize::for_self(state, &call, asked == own).await?;
    if asked != own {
        return Err(Failure::illegal_argument(
            "users may only check the privileges of their own account",
        ));
    }
    let answer = answer(state, granted.permissions(), own, question).await?;
    granted.reply(&answer)
}

/// Answers on the spot what takes no automaton, which is nearly everything that is ever asked; the rest elsewhere.
async fn answer(
    state: &State,
    permissions: &Permissions,
    username: &str,
    question: HasPrivilegesRequest,
) -> Result<HasPrivilegesResponse, Failure> {
    let answered = if question::is_quick(&question) {
        permissions.has_privileges(username, &question)
    } else {
        let (permissions, username) = (permissions.clone(), username.to_owned());
        let work = move || permissions.has_privileges(&username, &question);
        let answered = state.compiled.aside(work).await;
        answered.map_err(|error| Failure::server(error.to_string()))?
    };
    answered.map_err(|error| Failure::illegal_argument(error.to_string()))
}

/// Refuses a question that asks for too much at once.
///
/// # Errors
/// More than `MAX_ATOMS` privileges.
pub fn check_size(question: &HasPrivilegesRequest) -> Result<(), Failure> {
    let index = question
        .index
        .iter()
        .map(|item| item.names.len().saturating_mul(item.privileges.len()));
    let application = question
        .application
        .iter()
        .map(|item| item.resources.len().saturating_mul(item.privileges.len()));
    let atoms = index
        .chain(application)
        .fold(question.cluster.len(), usize::saturating_add);
    if atoms > MAX_ATOMS {
        return Err(Failure::illegal_argument(format!(
            "a privilege check may ask for at most [{MAX_ATOMS}] privileges but asks for [{atoms}]"
        )));
    }
    Ok(())
}

/// Reads the privileges a question asks about. `description` stands in messages: the user, or what asks.
///
/// # Errors
/// The first thing that doesn't fit the grammar of roles, or nothing asked at all.
pub fn read_question(
    object: &Object<'_>,
    description: &str,
) -> Result<HasPrivilegesRequest, Failure> {
    let mut question = HasPrivilegesRequest::default();
    let mut given = false;
    for field in object.fields() {
        match field.name {
            "cluster" => {
                question.cluster = role_indices::string_array(&field, description)?;
                given |= !field.is_null();
                continue;
            }
            "index" => question.index = parse_indices(&field, description)?,
            "application" | "applications" => {
                question.application = parse_applications(&field, description)?;
            }
            other => return Err(refusal(description, &format!("unexpected field [{other}]"))),
        }
        given = true;
    }
    if !given {
        return Err(refusal(
            description,
            "All privilege fields [cluster,index,applications] are missing",
        ));
    }
    Ok(question)
}

fn refusal(description: &str, why: &str) -> Failure {
    Failure::parse(format!(
        "failed to parse privileges check [{description}]. {why}"
    ))
}

fn parse_indices(field: &Field<'_>, description: &str) -> Result<Vec<IndexQuestion>, Failure> {
    let items = role_indices::parse(field, description)?;
    let unsupported = |field: &str| {
        Failure::parse(format!(
            "Field [{field}] is not supported in a has_privileges request"
        ))
    };
    if items.iter().any(|item| item.field_security.is_some()) {
        return Err(unsupported("field_security"));
    }
    if items.iter().any(|item| item.query.is_some()) {
        return Err(unsupported("query"));
    }
    let questions = items.into_iter().map(|item| IndexQuestion {
        names: item.names,
        privileges: item.privileges,
        allow_restricted_indices: item.allow_restricted_indices,
    });
    Ok(questions.collect())
}

fn parse_applications(
    field: &Field<'_>,
    description: &str,
) -> Result<Vec<ApplicationQuestion>, Failure> {
    let items = role_body::parse_applications(field, description)?;
    let questions = items.into_iter().map(|item| ApplicationQuestion {
        application: item.application,
        privileges: item.privileges,
        resources: item.resources,
    });
    Ok(questions.collect())
}
