//! Reading role descriptors, for stored roles and for API keys, with the words of Elasticsearch's hand-written role parser.
//!
//! Index privileges are in [`super::role_indices`], global ones in [`super::role_global`], queries in [`super::document_query`].

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::role_indices::{self, string_array};
use super::{document_query, role_global};
use crate::authority::access::budget::Budget;
use crate::authority::access::names;
use crate::authority::body::{Field, Grammar, Object};
use crate::authority::failure::Failure;
use crate::authority::names::check_role;
use crate::authority::record::RoleSet;
use crate::wire::roles::{ApplicationPrivileges, RemoteClusterPrivileges, RoleDescriptor};

/// What a descriptor is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A stored role: may have a description.
    Role,
    /// An API key: may be restricted to a workflow.
    ApiKey,
}

/// Longest description of a role, in characters.
const MAX_DESCRIPTION: usize = 1_000;
/// Words of the parser for what is not told apart more finely.
pub const HAND: Grammar = Grammar::Hand("role");
/// The parser of one application's privileges.
const APPLICATION: Grammar = Grammar::Strict("application");

/// The workflows an API key may be restricted to. None of them has an endpoint here.
const WORKFLOWS: [&str; 2] = ["search_application_query", "search_application_analytics"];

/// Reads one descriptor called `name`.
///
/// # Errors
/// A bad name, or the first thing that doesn't fit the grammar.
pub fn parse(object: &Object<'_>, name: &str, purpose: Purpose) -> Result<RoleDescriptor, Failure> {
    check_role(name).map_err(|fault| Failure::validation(&fault))?;
    let mut role = RoleDescriptor::default();
    for field in object.fields() {
        match field.name {
            "cluster" => role.cluster = string_array(&field, name)?,
            "run_as" => role.run_as = string_array(&field, name)?,
            "index" | "indices" => role.indices = role_indices::parse(&field, name)?,
            "remote_indices" => role.remote_indices = role_indices::parse_remote(&field, name)?,
            "remote_cluster" => role.remote_cluster = parse_remote_cluster(&field, name)?,
            "application" | "applications" => role.applications = parse_applications(&field, name)?,
            "global" => role.global = role_global::parse(&field)?,
            "metadata" => role.metadata = metadata(&field)?,
            // Always `{"enabled": true}` in answers, whatever was sent.
            "transient_metadata" if field.token() == "START_OBJECT" => {}
            "type" => {}
            "description" if purpose == Purpose::Role => role.description = Some(field.string()?),
            "restriction" if purpose == Purpose::ApiKey => {
                role.restriction = parse_restriction(&field, name)?;
            }
            other => {
                return Err(Failure::parse(format!(
                    "failed to parse role [{name}]. unexpected field [{other}]"
                )));
            }
        }
    }
    Ok(role)
}

/// Reads `role_descriptors`: descriptors by name.
///
/// # Errors
/// As [`parse`], and a query that no role may have.
pub fn parse_set(field: &Field<'_>) -> Result<RoleSet, Failure> {
    let object = field.object(HAND)?;
    object
        .fields()
        .map(|field| {
            let role = parse(&expect_role(&field)?, field.name, Purpose::ApiKey)?;
            document_query::check(&role)?;
            Ok((field.name.to_owned(), Arc::new(role)))
        })
        .collect()
}

/// The object of a role among several.
///
/// # Errors
/// Anything else.
pub fn expect_role<'a>(field: &Field<'a>) -> Result<Object<'a>, Failure> {
    if field.token() == "START_OBJECT" {
        return field.object(HAND);
    }
    Err(Failure::parse(format!(
        "failed to parse role [{}]. expected an object but found [{}] instead",
        field.name,
        field.token()
    )))
}

/// What is wrong with a descriptor that was read: unknown privileges, bad names, reserved metadata keys. Patterns draw from
/// the budget of the request; what it takes automata to see is [`super::role_check`]'s.
pub fn faults(role: &RoleDescriptor, budget: &Budget) -> Vec<String> {
    let mut faults: Vec<String> = match names::check_role(role, budget) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    };
    let unknown = workflows(role)
        .filter(|name| !WORKFLOWS.contains(&name.to_lowercase().trim()))
        .take(names::MOST_FAULTS);
    faults.extend(unknown.map(|name| {
        format!(
            "Unknown workflow [{name}]. A workflow must be one of the predefined workflow names [{}].",
            WORKFLOWS.join(",")
        )
    }));
    if let Some(description) = &role.description
        && description.chars().count() > MAX_DESCRIPTION
    {
        faults.push(format!(
            "Role description must be less than {MAX_DESCRIPTION} characters."
        ));
    }
    faults
}

/// The workflows a descriptor is restricted to.
fn workflows(role: &RoleDescriptor) -> impl Iterator<Item = &str> {
    let listed = role
        .restriction
        .as_ref()
        .and_then(|restriction| restriction.get("workflows"))
        .and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_str)
}

/// A descriptor as answers show it.
pub fn render(role: &RoleDescriptor) -> RoleDescriptor {
    let mut role = role.clone();
    role.transient_metadata = Map::from_iter([("enabled".to_owned(), json!(true))]);
    role
}

fn metadata(field: &Field<'_>) -> Result<Map<String, Value>, Failure> {
    field.map().map_err(|_| {
        Failure::parse(format!(
            "expected field [{}] to be of type object, but found [{}] instead",
            field.name,
            field.token()
        ))
    })
}

fn parse_remote_cluster(
    field: &Field<'_>,
    role: &str,
) -> Result<Vec<RemoteClusterPrivileges>, Failure> {
    let fail = |why: &str| {
        Failure::parse(format!(
            "failed to parse remote_cluster for role [{role}]. {why}"
        ))
    };
    let Some(elements) = field.elements() else {
        return Err(fail(&format!(
            "expected field [remote_cluster] value to be an array, but found [{}] instead",
            field.token()
        )));
    };
    let mut parsed = Vec::new();
    for element in elements {
        if element.token() != "START_OBJECT" {
            return Err(fail(&format!(
                "expected field [remote_cluster] value to be an array of objects, but found an array element of type [{}]",
                element.token()
            )));
        }
        let mut remote = RemoteClusterPrivileges::default();
        for field in element.object(HAND)?.fields() {
            match field.name {
                "privileges" => remote.privileges = string_array(&field, role)?,
                "clusters" => remote.clusters = string_array(&field, role)?,
                other => return Err(fail(&format!("unexpected field [{other}]"))),
            }
        }
        let unknown = |name: &&String| !matches!(name.as_str(), "monitor_enrich" | "monitor_stats");
        if let Some(name) = remote.privileges.iter().find(unknown) {
            return Err(fail(&format!(
                "[monitor_enrich, monitor_stats] are the only values allowed for [privileges] within [remote_cluster]. \
                 Found [{name}]"
            )));
        }
        match (remote.privileges.is_empty(), remote.clusters.is_empty()) {
            (true, false) => {
                return Err(fail(
                    "[privileges] must be defined when [clusters] are defined",
                ));
            }
            (false, true) => {
                return Err(fail(
                    "[clusters] must be defined when [privileges] are defined",
                ));
            }
            (true, true) | (false, false) => parsed.push(remote),
        }
    }
    Ok(parsed)
}

/// Reads `applications` of a role, or of a question about privileges.
///
/// # Errors
/// Anything else than an array of objects with `application`, `privileges` and `resources`.
pub fn parse_applications(
    field: &Field<'_>,
    role: &str,
) -> Result<Vec<ApplicationPrivileges>, Failure> {
    let fail = |why: String| {
        Failure::parse(format!(
            "failed to parse application privileges for role [{role}]. {why}"
        ))
    };
    let Some(elements) = field.elements() else {
        return Err(fail(format!(
            "expected field [{}] value to be an array, but found [{}] instead",
            field.name,
            field.token()
        )));
    };
    let mut parsed = Vec::new();
    for element in elements {
        if element.token() != "START_OBJECT" {
            return Err(fail(format!(
                "expected field [{}] value to be an array of objects, but found an array element of type [{}]",
                field.name,
                element.token()
            )));
        }
        let (mut application, mut privileges, mut resources) = (None, None, None);
        for field in element.object(APPLICATION)?.fields() {
            match field.name {
                "application" => application = Some(field.string()?),
                "privileges" => privileges = Some(field.strings()?),
                "resources" => resources = Some(field.strings()?),
                _ => return Err(field.unknown()),
            }
        }
        let missing = |name: &str| fail(format!("missing required [{name}] field"));
        let item = ApplicationPrivileges {
            resources: resources.ok_or_else(|| missing("resources"))?,
            privileges: privileges.ok_or_else(|| missing("privileges"))?,
            application: application.ok_or_else(|| missing("application"))?,
        };
        let empty = if item.application.is_empty() {
            Some("application privileges must have an application name")
        } else if item.privileges.is_empty() {
            Some("application privileges must define at least one privilege")
        } else if item.resources.is_empty() {
            Some("application privileges must refer to at least one resource")
        } else {
            None
        };
        if let Some(why) = empty {
            return Err(Failure::illegal_argument(why));
        }
        parsed.push(item);
    }
    Ok(parsed)
}

/// Reads `restriction`; an empty one restricts nothing.
fn parse_restriction(field: &Field<'_>, role: &str) -> Result<Option<Value>, Failure> {
    let fail = |why: String| {
        Failure::parse(format!(
            "failed to parse restriction for role [{role}]. {why}"
        ))
    };
    if field.token() != "START_OBJECT" {
        return Err(fail(format!(
            "expected field [restriction] value to be an object, but found [{}] instead",
            field.token()
        )));
    }
    let mut restriction = None;
    for field in field.object(HAND)?.fields() {
        if field.name != "workflows" {
            return Err(fail(format!("unexpected field [{}]", field.name)));
        }
        let workflows = role_indices::strings(&field, false).map_err(fail)?;
        if workflows.is_empty() {
            return Err(fail("[workflows] cannot be an empty array".to_owned()));
        }
        restriction = Some(json!({"workflows": workflows}));
    }
    Ok(restriction)
}
