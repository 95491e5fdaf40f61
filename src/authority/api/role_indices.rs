//! Reading index privileges, of this cluster and of remote ones, and of questions about them.

use crate::authority::body::{Field, Grammar, Object};
use crate::authority::failure::Failure;
use crate::wire::roles::{FieldSecurity, IndexPrivileges, RemoteIndexPrivileges};

const HAND: Grammar = Grammar::Hand("role");

/// Reads `indices` of the role (or of the question of the user) called `role`.
///
/// # Errors
/// The first thing that doesn't fit the grammar.
pub fn parse(field: &Field<'_>, role: &str) -> Result<Vec<IndexPrivileges>, Failure> {
    let items = items(field, role, "indices privileges")?;
    let parsed = items.iter().map(|item| Ok(parse_one(item, role, false)?.0));
    parsed.collect()
}

/// Reads `remote_indices`.
///
/// # Errors
/// The first thing that doesn't fit the grammar.
pub fn parse_remote(field: &Field<'_>, role: &str) -> Result<Vec<RemoteIndexPrivileges>, Failure> {
    let items = items(field, role, "remote indices privileges")?;
    let parsed = items.iter().map(|item| {
        let (indices, clusters) = parse_one(item, role, true)?;
        let clusters = clusters.ok_or_else(|| {
            Failure::parse(format!(
                "failed to parse remote indices privileges for role [{role}]. missing required [clusters] field"
            ))
        })?;
        if clusters.is_empty() {
            return Err(Failure::illegal_argument(
                "remote indices privileges must refer to at least one cluster alias or cluster alias pattern",
            ));
        }
        Ok(RemoteIndexPrivileges { indices, clusters })
    });
    parsed.collect()
}

/// An array of strings, or null for none.
///
/// # Errors
/// Anything else, with the role's name around it.
pub fn string_array(field: &Field<'_>, role: &str) -> Result<Vec<String>, Failure> {
    wrapped(field, role, true)
}

fn wrapped(field: &Field<'_>, role: &str, allow_null: bool) -> Result<Vec<String>, Failure> {
    strings(field, allow_null).map_err(|why| {
        Failure::parse(format!("failed to parse role [{role}]")).caused_by("parse_exception", why)
    })
}

/// An array of strings, and if `allow_null` null for none.
///
/// # Errors
/// The sentence that says what was found instead.
pub fn strings(field: &Field<'_>, allow_null: bool) -> Result<Vec<String>, String> {
    let expected = format!(
        "could not parse [{}] field. expected a string array but",
        field.name
    );
    if field.is_null() {
        if allow_null {
            return Ok(Vec::new());
        }
        return Err(format!("{expected} found null value instead"));
    }
    let Some(elements) = field.elements() else {
        return Err(format!(
            "{expected} found [{}] value instead",
            field.token()
        ));
    };
    elements
        .iter()
        .map(|element| {
            element.string().map_err(|_| {
                format!(
                    "{expected} one of the value in the array is [{}]",
                    element.token()
                )
            })
        })
        .collect()
}

fn items<'a>(field: &Field<'a>, role: &str, noun: &str) -> Result<Vec<Object<'a>>, Failure> {
    let Some(elements) = field.elements() else {
        return Err(Failure::parse(format!(
            "failed to parse {noun} for role [{role}]. expected field [{}] value to be an array, but found [{}] instead",
            field.name,
            field.token()
        )));
    };
    elements
        .iter()
        .map(|element| {
            if element.token() == "START_OBJECT" {
                return element.object(HAND);
            }
            Err(refusal(
                role,
                format!(
                    "expected field [{}] value to be an array of objects, but found an array element of type [{}]",
                    field.name,
                    element.token()
                ),
            ))
        })
        .collect()
}

fn refusal(role: &str, why: impl std::fmt::Display) -> Failure {
    Failure::parse(format!(
        "failed to parse indices privileges for role [{role}]. {why}"
    ))
}

/// Reads an item, and the `clusters` of a remote one.
fn parse_one(
    object: &Object<'_>,
    role: &str,
    remote: bool,
) -> Result<(IndexPrivileges, Option<Vec<String>>), Failure> {
    let mut item = IndexPrivileges::default();
    let (mut names, mut privileges, mut clusters) = (None, None, None);
    for field in object.fields() {
        match field.name {
            "names" | "name" => names = Some(parse_names(&field, role)?),
            "privileges" if field.is_null() => privileges = None,
            "privileges" => privileges = Some(string_array(&field, role)?),
            "clusters" if remote => clusters = Some(wrapped(&field, role, false)?),
            "query" => item.query = parse_query(&field, role)?,
            "field_security" => item.field_security = Some(parse_field_security(&field, role)?),
            "allow_restricted_indices" => {
                item.allow_restricted_indices = field.boolean().map_err(|_| {
                    let found = field.token();
                    refusal(
                        role,
                        format!(
                            "expected field [{}] value to be a boolean, but found [{found}] instead",
                            field.name
                        ),
                    )
                })?;
            }
            "fields" => {
                return Err(Failure::parse(format!(
                    "[\"fields\": [...]] format has changed for field permissions in role [{role}], use \
                     [\"field_security\": {{\"grant\":[...],\"except\":[...]}}] instead"
                )));
            }
            "transient_metadata" if field.token() == "START_OBJECT" => {}
            other => return Err(refusal(role, format!("unexpected field [{other}]"))),
        }
    }
    let missing = |name: &str| refusal(role, format!("missing required [{name}] field"));
    item.names = names.ok_or_else(|| missing("names"))?;
    item.privileges = privileges.ok_or_else(|| missing("privileges"))?;
    if item.privileges.is_empty() {
        return Err(Failure::illegal_argument(
            "indices privileges must define at least one privilege",
        ));
    }
    Ok((item, clusters))
}

fn parse_names(field: &Field<'_>, role: &str) -> Result<Vec<String>, Failure> {
    let names = match field.token() {
        "VALUE_STRING" => vec![field.string()?],
        "START_ARRAY" => wrapped(field, role, false)?,
        found => {
            return Err(refusal(
                role,
                format!(
                    "expected field [{}] value to be a string or an array of strings, but found [{found}] instead",
                    field.name
                ),
            ));
        }
    };
    if names.is_empty() {
        return Err(refusal(
            role,
            format!("[{}] cannot be an empty array", field.name),
        ));
    }
    Ok(names)
}

/// A query is kept as text: verbatim when it was a string, compacted when it was an object.
fn parse_query(field: &Field<'_>, role: &str) -> Result<Option<String>, Failure> {
    match field.token() {
        "VALUE_NULL" => Ok(None),
        "VALUE_STRING" => Ok(Some(field.string()?).filter(|text| !text.is_empty())),
        "START_OBJECT" => Ok(Some(field.value()?.to_string())),
        found => Err(refusal(
            role,
            format!(
                "expected field [{}] value to be null, a string, an array, or an object, but found [{found}] instead",
                field.name
            ),
        )),
    }
}

fn parse_field_security(field: &Field<'_>, role: &str) -> Result<FieldSecurity, Failure> {
    if field.token() != "START_OBJECT" {
        let found = field.token();
        return Err(refusal(
            role,
            format!("expected START_OBJECT but got {found} in \"field_security\"."),
        ));
    }
    let (mut grant, mut except) = (None, None);
    let object = field.object(HAND)?;
    for field in object.fields() {
        let list = match field.name {
            "grant" => &mut grant,
            "except" => &mut except,
            other => {
                return Err(refusal(
                    role,
                    format!(
                        "\"field_security\" only accepts options grant and except, but got: {other}"
                    ),
                ));
            }
        };
        if field.is_null() {
            return Err(refusal(role, format!("{} must not be null.", field.name)));
        }
        *list = Some(string_array(&field, role)?);
    }
    match (grant, except) {
        (None, None) => Err(refusal(role, "\"field_security\" must not be empty.")),
        (None, Some(_)) => Err(refusal(
            role,
            "field_security requires grant if except is given",
        )),
        (Some(grant), except) => Ok(FieldSecurity {
            grant,
            except: except.unwrap_or_default(),
        }),
    }
}
