//! Reading role descriptors, for stored roles and for API keys, with the words of Elasticsearch's hand-written role parser.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::authority::access::automaton::Automaton;
use crate::authority::access::names;
use crate::authority::body::{Field, Grammar, Object};
use crate::authority::failure::Failure;
use crate::wire::roles::{
    ApplicationPrivileges, FieldSecurity, IndexPrivileges, RemoteClusterPrivileges,
    RemoteIndexPrivileges, RoleDescriptor,
};

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
const HAND: Grammar = Grammar::Hand("role");

/// Reads one descriptor called `name`.
///
/// # Errors
/// The first thing that doesn't fit the grammar.
pub fn parse(object: &Object<'_>, name: &str, purpose: Purpose) -> Result<RoleDescriptor, Failure> {
    let mut role = RoleDescriptor::default();
    for field in object.fields() {
        match field.name {
            "cluster" => role.cluster = strings(&field)?,
            "run_as" => role.run_as = strings(&field)?,
            "index" | "indices" => {
                role.indices = items(&field, name)?
                    .iter()
                    .map(|item| parse_local_indices(item, name))
                    .collect::<Result<_, _>>()?;
            }
            "remote_indices" => role.remote_indices = parse_remote_indices(&field, name)?,
            "remote_cluster" => role.remote_cluster = parse_remote_cluster(&field, name)?,
            "application" | "applications" => {
                role.applications = items(&field, name)?
                    .iter()
                    .map(|item| parse_application(item, name))
                    .collect::<Result<_, _>>()?;
            }
            "global" => role.global = Some(parse_global(&field)?),
            "metadata" => role.metadata = metadata(&field)?,
            // Always `{"enabled": true}` in answers, whatever was sent.
            "transient_metadata" => drop(metadata(&field)?),
            "type" => {}
            "description" if purpose == Purpose::Role => {
                role.description = Some(field.string()?);
            }
            "restriction" if purpose == Purpose::ApiKey => {
                role.restriction = Some(parse_restriction(&field, name)?);
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
/// As [`parse`].
pub fn parse_set(field: &Field<'_>) -> Result<BTreeMap<String, RoleDescriptor>, Failure> {
    let object = field.object(HAND)?;
    object
        .fields()
        .map(|field| {
            let role = parse(&field.object(HAND)?, field.name, Purpose::ApiKey)?;
            Ok((field.name.to_owned(), role))
        })
        .collect()
}

/// What is wrong with a descriptor that was read: unknown privileges, bad names, reserved metadata keys.
pub fn faults(role: &RoleDescriptor) -> Vec<String> {
    let mut faults: Vec<String> = match names::check_role(role) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    };
    if let Some(description) = &role.description
        && description.chars().count() > MAX_DESCRIPTION
    {
        faults.push(format!(
            "Role description must be less than {MAX_DESCRIPTION} characters."
        ));
    }
    faults
}

/// A descriptor as answers show it.
pub fn render(role: &RoleDescriptor) -> RoleDescriptor {
    let mut role = role.clone();
    role.transient_metadata = Map::from_iter([("enabled".to_owned(), json!(true))]);
    role
}

fn strings(field: &Field<'_>) -> Result<Vec<String>, Failure> {
    field.strings().map_err(|_| {
        Failure::parse(format!(
            "could not parse [{}] field. expected a string array but found [{}]",
            field.name,
            field.token()
        ))
    })
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

fn items<'a>(field: &Field<'a>, role: &str) -> Result<Vec<Object<'a>>, Failure> {
    field.objects(HAND).map_err(|_| {
        Failure::parse(format!(
            "failed to parse {} for role [{role}]. expected field [{}] value to be an array of objects, but found [{}] instead",
            noun(field.name),
            field.name,
            field.token()
        ))
    })
}

fn noun(field: &str) -> &'static str {
    match field {
        "application" | "applications" => "application privileges",
        "remote_indices" => "remote indices privileges",
        _ => "indices privileges",
    }
}

/// Reads an item of `indices`, which has no `clusters`.
fn parse_local_indices(object: &Object<'_>, role: &str) -> Result<IndexPrivileges, Failure> {
    match parse_indices(object, role)? {
        (indices, None) => Ok(indices),
        (_, Some(_)) => Err(Failure::parse(format!(
            "failed to parse indices privileges for role [{role}]. unexpected field [clusters]"
        ))),
    }
}

/// Reads an item of `indices`, and the `clusters` of one of `remote_indices`.
fn parse_indices(
    object: &Object<'_>,
    role: &str,
) -> Result<(IndexPrivileges, Option<Vec<String>>), Failure> {
    let fail = |why: String| {
        Failure::parse(format!(
            "failed to parse indices privileges for role [{role}]. {why}"
        ))
    };
    let list = |field: &Field<'_>| {
        let list = field.strings().map_err(|_| {
            fail(format!(
                "expected field [{}] value to be a string or an array of strings, but found [{}] instead",
                field.name,
                field.token()
            ))
        })?;
        if list.is_empty() && field.name == "names" {
            return Err(fail("[names] cannot be an empty array".to_owned()));
        }
        Ok(list)
    };
    let mut item = IndexPrivileges::default();
    let (mut names, mut privileges, mut clusters) = (None, None, None);
    for field in object.fields() {
        match field.name {
            "names" | "name" => names = Some(list(&field)?),
            "privileges" => privileges = Some(list(&field)?),
            "clusters" => clusters = Some(list(&field)?),
            "query" => item.query = parse_query(&field, role)?,
            "field_security" => item.field_security = parse_field_security(&field, role)?,
            "allow_restricted_indices" => item.allow_restricted_indices = field.boolean()?,
            "fields" => {
                return Err(Failure::parse(format!(
                    "[\"fields\": [...]] format has changed for field permissions in role [{role}], use \
                     [\"field_security\": {{\"grant\":[...],\"except\":[...]}}] instead"
                )));
            }
            other => return Err(fail(format!("unexpected field [{other}]"))),
        }
    }
    item.names = names.ok_or_else(|| fail("missing required [names] field".to_owned()))?;
    item.privileges =
        privileges.ok_or_else(|| fail("missing required [privileges] field".to_owned()))?;
    Ok((item, clusters))
}

/// A query is kept as text: verbatim when it was a string, compacted when it was an object.
fn parse_query(field: &Field<'_>, role: &str) -> Result<Option<String>, Failure> {
    match field.token() {
        "VALUE_NULL" => Ok(None),
        "VALUE_STRING" => {
            let text = field.string()?;
            match serde_json::from_str::<Map<String, Value>>(&text) {
                Ok(_) => Ok(Some(text)),
                Err(error) => Err(Failure::parse(format!(
                    "failed to parse field 'query' for indices at role descriptor [{role}]"
                ))
                .caused_by("x_content_parse_exception", error.to_string())),
            }
        }
        "START_OBJECT" => Ok(Some(field.value()?.to_string())),
        found => Err(Failure::parse(format!(
            "failed to parse indices privileges for role [{role}]. expected field [query] value to be null, a string, an \
             array, or an object, but found [{found}] instead"
        ))),
    }
}

fn parse_field_security(field: &Field<'_>, role: &str) -> Result<Option<FieldSecurity>, Failure> {
    let fail = |why: &str| {
        Failure::parse(format!(
            "failed to parse indices privileges for role [{role}]. {why}"
        ))
    };
    let object = field.object(HAND)?;
    let mut grant = None;
    let mut except = None;
    for field in object.fields() {
        match field.name {
            "grant" => grant = Some(strings(&field)?),
            "except" => except = Some(strings(&field)?),
            other => {
                return Err(fail(&format!(
                    "\"field_security\" only accepts options grant and except, but got: {other}"
                )));
            }
        }
    }
    let security = match (grant, except) {
        (None, None) => return Err(fail("\"field_security\" must not be empty.")),
        (None, Some(_)) => return Err(fail("field_security requires grant if except is given")),
        (Some(grant), except) => FieldSecurity {
            grant,
            except: except.unwrap_or_default(),
        },
    };
    check_except(&security).map_err(|why| {
        Failure::parse(format!(
            "failed to parse indices privileges for role [{role}] - {why}"
        ))
    })?;
    Ok(Some(security))
}

/// What is excepted must have been granted.
fn check_except(security: &FieldSecurity) -> Result<(), String> {
    let automaton = |patterns: &[String]| {
        Automaton::of_patterns(patterns.iter().map(String::as_str))
            .map_err(|error| error.to_string())
    };
    let grant = automaton(&security.grant)?;
    if automaton(&security.except)?.is_subset_of(&grant) {
        return Ok(());
    }
    Err(format!(
        "Exceptions for field permissions must be a subset of the granted fields but [{}] is not a subset of [{}]",
        security.except.join(", "),
        security.grant.join(", ")
    ))
}

fn parse_remote_indices(
    field: &Field<'_>,
    role: &str,
) -> Result<Vec<RemoteIndexPrivileges>, Failure> {
    items(field, role)?
        .iter()
        .map(|item| {
            let (indices, clusters) = parse_indices(item, role)?;
            let clusters = clusters.filter(|clusters| !clusters.is_empty()).ok_or_else(|| {
                Failure::parse(format!(
                    "failed to parse remote indices privileges for role [{role}]. missing required [clusters] field"
                ))
            })?;
            Ok(RemoteIndexPrivileges { indices, clusters })
        })
        .collect()
}

fn parse_remote_cluster(
    field: &Field<'_>,
    role: &str,
) -> Result<Vec<RemoteClusterPrivileges>, Failure> {
    let fail = |why: String| {
        Failure::parse(format!(
            "failed to parse remote_cluster for role [{role}]. {why}"
        ))
    };
    if field.token() != "START_ARRAY" {
        return Err(fail(
            "expected field [remote_cluster] value to be an array".to_owned(),
        ));
    }
    let mut parsed = Vec::new();
    for item in items(field, role)? {
        let mut remote = RemoteClusterPrivileges::default();
        for field in item.fields() {
            match field.name {
                "privileges" => remote.privileges = strings(&field)?,
                "clusters" => remote.clusters = strings(&field)?,
                other => return Err(fail(format!("unexpected field [{other}]"))),
            }
        }
        let unknown = |name: &&String| !matches!(name.as_str(), "monitor_enrich" | "monitor_stats");
        if let Some(name) = remote.privileges.iter().find(unknown) {
            return Err(fail(format!(
                "[monitor_enrich, monitor_stats] are the only values allowed for [privileges] within [remote_cluster]. \
                 Found [{name}]"
            )));
        }
        match (remote.privileges.is_empty(), remote.clusters.is_empty()) {
            (true, false) => {
                let why = "[privileges] must be defined when [clusters] are defined";
                return Err(fail(why.to_owned()));
            }
            (false, true) => {
                let why = "[clusters] must be defined when [privileges] are defined";
                return Err(fail(why.to_owned()));
            }
            (true, true) | (false, false) => parsed.push(remote),
        }
    }
    Ok(parsed)
}

fn parse_application(object: &Object<'_>, role: &str) -> Result<ApplicationPrivileges, Failure> {
    let fail = |why: String| {
        Failure::parse(format!(
            "failed to parse application privileges for role [{role}]. {why}"
        ))
    };
    let (mut application, mut privileges, mut resources) = (None, None, None);
    for field in object.fields() {
        match field.name {
            "application" => application = Some(field.string()?),
            "privileges" => privileges = Some(strings(&field)?),
            "resources" => resources = Some(strings(&field)?),
            other => return Err(fail(format!("unexpected field [{other}]"))),
        }
    }
    let missing = |name: &str| fail(format!("missing required [{name}] field"));
    let filled = |list: Option<Vec<String>>, name: &str| {
        list.filter(|list| !list.is_empty())
            .ok_or_else(|| missing(name))
    };
    Ok(ApplicationPrivileges {
        resources: filled(resources, "resources")?,
        privileges: filled(privileges, "privileges")?,
        application: application.ok_or_else(|| missing("application"))?,
    })
}

/// Request-conditional privileges. In answers every category appears, empty ones as `{}`.
fn parse_global(field: &Field<'_>) -> Result<Value, Failure> {
    const CATEGORIES: [&str; 3] = ["application", "profile", "role"];
    let object = field.object(HAND)?;
    let mut global = Map::from_iter(CATEGORIES.map(|name| (name.to_owned(), json!({}))));
    for field in object.fields() {
        if !CATEGORIES.contains(&field.name) {
            return Err(Failure::x_content(format!(
                "failed to parse privilege. expected one of [{}] but found [{}] instead",
                CATEGORIES.join(","),
                field.name
            )));
        }
        let (operation, list) = match field.name {
            "application" => ("manage", "applications"),
            "profile" => ("write", "applications"),
            _ => ("manage", "indices"),
        };
        let value = Value::Object(metadata(&field)?);
        let listed = value.get(operation).and_then(|inner| inner.get(list));
        if !listed.is_some_and(Value::is_array) {
            return Err(Failure::x_content(format!(
                "failed to parse privilege [{}]. expected [{operation}] to be an object with an array [{list}]",
                field.name
            )));
        }
        global.insert(field.name.to_owned(), value);
    }
    Ok(Value::Object(global))
}

fn parse_restriction(field: &Field<'_>, role: &str) -> Result<Value, Failure> {
    let object = field.object(HAND)?;
    let mut workflows = None;
    for field in object.fields() {
        match field.name {
            "workflows" => workflows = Some(strings(&field)?),
            other => {
                return Err(Failure::parse(format!(
                    "failed to parse restriction for role [{role}]. unexpected field [{other}]"
                )));
            }
        }
    }
    match workflows {
        Some(workflows) if !workflows.is_empty() => Ok(json!({"workflows": workflows})),
        Some(_) | None => Err(Failure::parse(format!(
            "failed to parse restriction for role [{role}]. [workflows] cannot be an empty array"
        ))),
    }
}
