//! Many roles at once: bulk put and bulk delete (`/_security/role`). Each role succeeds or fails for itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::role_body::{self, Purpose};
use super::roles;
use super::write::write;
use crate::authority::authorize::{self, Granted, RoleChange};
use crate::authority::body::{Field, Grammar};
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::state::State;
use crate::wire::roles::RoleDescriptor;

const PUT: Grammar = Grammar::Strict("bulk_update_roles_request_payload");
const DELETE: Grammar = Grammar::Strict("bulk_delete_roles_request");

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
    let mut good = Vec::new();
    for (name, role) in roles {
        match roles::check(&name, &role) {
            Ok(()) => good.push((name, role)),
            Err(failure) => outcome.fail(&name, &failure),
        }
    }
    let done = write(&granted, state, move |drafts| {
        let mut done = Vec::with_capacity(good.len());
        for (name, role) in good {
            let group = match drafts.roles.find(&name) {
                Some(before) if *before == role => "noop",
                Some(_) => "updated",
                None => "created",
            };
            if group != "noop" {
                drafts.roles.put(&name, role);
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
        for item in field.object(PUT)?.fields() {
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
