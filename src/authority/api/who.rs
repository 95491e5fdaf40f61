//! Who am I and what may I do: `_authenticate`, `_has_privileges`.

use crate::authority::access::names::check_pattern;
use crate::authority::access::question;
use crate::authority::authorize;
use crate::authority::body::{Field, Grammar, Object};
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;
use crate::wire::privileges::{ApplicationQuestion, HasPrivilegesRequest, IndexQuestion};

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
    let question = parse_question(&call, asked)?;
    question::check(&question).map_err(|faults| Failure::request_validation(&faults))?;
    let granted = authorize::for_self(state, &call, asked == own).await?;
    if asked != own {
        return Err(Failure::illegal_argument(
            "users may only check the privileges of their own account",
        ));
    }
    check_size(&question)?;
    let answer = granted
        .permissions()
        .has_privileges(own, &question)
        .map_err(|error| Failure::illegal_argument(error.to_string()))?;
    granted.reply(&answer)
}

/// Refuses questions that would cost too much to answer.
///
/// # Errors
/// More than [`MAX_ATOMS`] privileges.
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

fn parse_question(call: &Call, user: &str) -> Result<HasPrivilegesRequest, Failure> {
    read_question(&call.object(Grammar::Hand("privileges check"))?, user)
}

/// Reads the privileges asked about, on behalf of `user` in messages.
///
/// # Errors
/// What doesn't fit the grammar.
pub fn read_question(object: &Object<'_>, user: &str) -> Result<HasPrivilegesRequest, Failure> {
    let what = format!("privileges check [{user}]");
    let fail = |why: &str| Failure::parse(format!("failed to parse {what}. {why}"));
    let mut question = HasPrivilegesRequest::default();
    let mut given = false;
    for field in object.fields() {
        match field.name {
            "cluster" => question.cluster = field.strings()?,
            "index" | "indices" => question.index = parse_indices(&field, user)?,
            "application" | "applications" => {
                question.application = parse_applications(&field, user)?;
            }
            other => return Err(fail(&format!("unexpected field [{other}]"))),
        }
        given = true;
    }
    if !given {
        return Err(fail(
            "All privilege fields [cluster,index,applications] are missing",
        ));
    }
    Ok(question)
}

fn parse_indices(field: &Field<'_>, user: &str) -> Result<Vec<IndexQuestion>, Failure> {
    let items = field.objects(Grammar::Hand("privileges check"))?;
    items
        .iter()
        .map(|object| parse_index(object, user))
        .collect()
}

fn parse_index(object: &Object<'_>, user: &str) -> Result<IndexQuestion, Failure> {
    let mut names = None;
    let mut privileges = None;
    let mut allow_restricted_indices = false;
    for field in object.fields() {
        match field.name {
            "names" | "name" => names = Some(field.strings()?),
            "privileges" => privileges = Some(field.strings()?),
            "allow_restricted_indices" => allow_restricted_indices = field.boolean()?,
            "field_security" | "query" => {
                return Err(Failure::parse(format!(
                    "Field [{}] is not supported in a has_privileges request",
                    field.name
                )));
            }
            other => {
                return Err(Failure::parse(format!(
                    "failed to parse indices privileges for role [{user}]. unexpected field [{other}]"
                )));
            }
        }
    }
    let missing = |name: &str| {
        Failure::parse(format!(
            "failed to parse indices privileges for role [{user}]. missing required [{name}] field"
        ))
    };
    let names = names.ok_or_else(|| missing("names"))?;
    for name in &names {
        check_pattern(name).map_err(|error| Failure::illegal_argument(error.to_string()))?;
    }
    Ok(IndexQuestion {
        names,
        privileges: privileges.ok_or_else(|| missing("privileges"))?,
        allow_restricted_indices,
    })
}

fn parse_applications(field: &Field<'_>, user: &str) -> Result<Vec<ApplicationQuestion>, Failure> {
    let items = field.objects(Grammar::Hand("privileges check"))?;
    let fail = |why: String| {
        Failure::parse(format!(
            "failed to parse application privileges for role [{user}]. {why}"
        ))
    };
    let mut questions = Vec::new();
    for object in &items {
        let mut question = ApplicationQuestion {
            application: String::new(),
            privileges: Vec::new(),
            resources: Vec::new(),
        };
        let mut missing = vec!["resources", "privileges", "application"];
        for field in object.fields() {
            match field.name {
                "application" => question.application = field.string()?,
                "privileges" => question.privileges = field.strings()?,
                "resources" => question.resources = field.strings()?,
                other => return Err(fail(format!("unexpected field [{other}]"))),
            }
            missing.retain(|name| *name != field.name);
        }
        if let Some(name) = missing.first() {
            return Err(fail(format!("missing required [{name}] field")));
        }
        questions.push(question);
    }
    Ok(questions)
}
