//! Many roles at once: bulk put and bulk delete (`/_security/role`). Each role succeeds or fails for itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::role_body::{self, Purpose};
use super::write::write;
use super::{role_check, roles};
use crate::authority::access::budget::Budget;
use crate::authority::authorize::{self, Granted, RoleChange};
use crate::authority::body::{Field, Grammar};
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;
use crate::wire::roles::RoleDescriptor;

const PUT: Grammar = Grammar::Strict("bulk_update_roles_request_payload");
const DELETE: Grammar = Grammar::Strict("bulk_delete_roles_request");

/// Roles of one call whose failures are explained.
const MOST_EXPLAINED: usize = 100;
/// Roles that one call may write.
const MOST_ROLES: usize = 10_000;

/// What became of the roles of a call. Only groups that have members are shown.
#[derive(Default)]
struct Outcome {
    groups: Vec<(&'static str, Vec<String>)>,
    errors: Map<String, Value>,
}

impl Outcome {
    /// Groups in the order they are shown.
    fn new(groups: &[&'static str]) -> Self {
        Self {
            groups: groups.iter().map(|&group| (group, Vec::new())).collect(),
            errors: Map::new(),
        }
    }

    fn add(&mut self, group: &str, name: String) {
        if let Some((_, names)) = self.groups.iter_mut().find(|(known, _)| *known == group) {
            names.push(name);
        }
    }

    fn fail(&mut self, name: &str, failure: &Failure) {
        self.errors.insert(name.to_owned(), failure.cause_object());
    }

    fn reply(self, granted: &Granted) -> Result<Reply, Failure> {
        let mut answer = Map::new();
        for (group, names) in self.groups {
            if !names.is_empty() {
                answer.insert(group.to_owned(), json!(names));
            }
        }
        if !self.errors.is_empty() {
            let errors = json!({"count": self.errors.len(), "details": self.errors});
            answer.insert("errors".to_owned(), errors);
        }
        granted.reply(&answer)
    }
}

/// `POST /_security/role`
pub async fn put(state: &State, call: Call) -> Result<Reply, Failure> {
    call.check_refresh()?;
    let roles = parse_roles(&call)?;
    let descriptors: Vec<RoleDescriptor> = roles.iter().map(|(_, role)| role.clone()).collect();
    let change = RoleChange::Put(&descriptors);
    let granted = authorize::for_roles(state, &call, change).await?;
    let mut outcome = Outcome::new(&["created", "updated", "noop"]);
    let good = check(&granted, state, roles, &mut outcome).await?;
    let done = write(&granted, state, move |drafts| {
        let mut done = Vec::with_capacity(good.len());
        for (name, role) in good {
            let group = match drafts.roles.find(&name) {
                Some(before) if before == role => "noop",
                Some(_) => "updated",
                None => "created",
            };
            if group != "noop" {
                drafts.roles.put(&name, RoleDescriptor::clone(&role));
            }
            done.push((group, name));
        }
        Ok(done)
    })
    .await?;
    for (group, name) in done {
        outcome.add(group, name);
    }
    outcome.reply(&granted)
}

/// The roles that are good; the others are failures. Of these only so many are explained: one may take kilobytes.
async fn check(
    granted: &Granted,
    state: &State,
    roles: Vec<(String, RoleDescriptor)>,
    outcome: &mut Outcome,
) -> Result<Vec<role_check::Named>, Failure> {
    let budget = Budget::for_reading();
    let mut good = Vec::new();
    for (name, role) in roles {
        if outcome.errors.len() >= MOST_EXPLAINED {
            outcome.fail(&name, &unexplained());
            continue;
        }
        match roles::check(&name, &role, &budget) {
            Ok(()) => good.push((name, Arc::new(role))),
            Err(failure) => outcome.fail(&name, &failure),
        }
    }
    let checked = role_check::each(granted, state, good.clone()).await?;
    let mut kept = Vec::with_capacity(good.len());
    for (named, checked) in good.into_iter().zip(checked) {
        match checked {
            Ok(()) => kept.push(named),
            Err(failure) => outcome.fail(&named.0, &failure),
        }
    }
    Ok(kept)
}

fn unexplained() -> Failure {
    Failure::illegal_argument(format!(
        "not looked at because [{MOST_EXPLAINED}] other roles of the request are not valid"
    ))
}

fn parse_roles(call: &Call) -> Result<Vec<(String, RoleDescriptor)>, Failure> {
    let mut roles = None;
    for field in call.object(PUT)?.fields() {
        if field.name != "roles" {
            return Err(field.unknown());
        }
        if field.token() != "START_OBJECT" {
            return Err(field.mistyped("object"));
        }
        let mut parsed = Vec::new();
        let items = field.object(PUT)?;
        if items.fields().count() > MOST_ROLES {
            return Err(Failure::illegal_argument(format!(
                "a request may write at most [{MOST_ROLES}] roles"
            )));
        }
        for item in items.fields() {
            let role = role_body::expect_role(&item)
                .and_then(|object| role_body::parse(&object, item.name, Purpose::Role))
                .map_err(|failure| inside(&field, &item, &failure))?;
            parsed.push((item.name.to_owned(), role));
        }
        roles = Some(parsed);
    }
    roles.ok_or_else(|| Failure::illegal_argument("Required [roles]"))
}

/// What is wrong with one role, inside what is wrong with the body.
fn inside(roles: &Field<'_>, item: &Field<'_>, failure: &Failure) -> Failure {
    let (line, column) = item.place();
    let outer = Failure::x_content(format!(
        "[{line}:{column}] [bulk_update_roles_request_payload] failed to parse field [{}]",
        roles.name
    ))
    .caused_by(
        "x_content_parse_exception",
        format!("[{line}:{column}] [{}] failed to parse object", roles.name),
    );
    failure.inside(outer)
}

/// `DELETE /_security/role`
pub async fn delete(state: &State, call: Call) -> Result<Reply, Failure> {
    call.check_refresh()?;
    let names = parse_names(&call)?;
    let change = RoleChange::Delete(&names);
    let granted = authorize::for_roles(state, &call, change).await?;
    let mut outcome = Outcome::new(&["deleted", "not_found"]);
    let mut good = Vec::new();
    let mut seen = BTreeSet::new();
    for name in names {
        match roles::undeletable(&name) {
            Some(failure) => outcome.fail(&name, &failure),
            None if seen.insert(name.clone()) => good.push(name),
            None => {}
        }
    }
    let done = write(&granted, state, move |drafts| {
        let done = good.into_iter().map(|name| {
            let group = if drafts.roles.remove(&name) {
                "deleted"
            } else {
                "not_found"
            };
            (group, name)
        });
        Ok(done.collect::<Vec<_>>())
    })
    .await?;
    for (group, name) in done {
        outcome.add(group, name);
    }
    outcome.reply(&granted)
}

fn parse_names(call: &Call) -> Result<Vec<String>, Failure> {
    let mut names = None;
    for field in call.object(DELETE)?.fields() {
        if field.name != "names" {
            return Err(field.unknown());
        }
        names = Some(field.strings()?);
    }
    names.ok_or_else(|| Failure::illegal_argument("Required [names]"))
}
