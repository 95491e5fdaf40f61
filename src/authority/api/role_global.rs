//! Reading `global`: privileges that hold for requests about certain applications or indices only.

use serde_json::{Map, Value, json};

use crate::authority::access::names::check_index_privilege;
use crate::authority::body::{Field, Grammar, Object};
use crate::authority::failure::Failure;

const HAND: Grammar = Grammar::Hand("role");

/// In answers every category appears, empty ones as `{}`.
const CATEGORIES: [&str; 3] = ["application", "profile", "role"];

/// Reads `global`; `None` when it grants nothing.
///
/// # Errors
/// The first thing that doesn't fit, with its place.
pub fn parse(field: &Field<'_>) -> Result<Option<Value>, Failure> {
    let object = expect(field, "START_OBJECT").and_then(|()| field.object(HAND))?;
    let mut granted = false;
    let mut global = Map::from_iter(CATEGORIES.map(|name| (name.to_owned(), json!({}))));
    for field in object.fields() {
        let parsed = match field.name {
            other if !CATEGORIES.contains(&other) => {
                return Err(refusal(
                    &field,
                    format!("one of [{}] but found [{other}]", CATEGORIES.join(",")),
                ));
            }
            // As answers show it: what was read can be written back.
            _ if is_empty(&field)? => continue,
            "application" => {
                json!({"manage": {"applications": parse_applications(&field, "manage")?}})
            }
            "profile" => json!({"write": {"applications": parse_applications(&field, "write")?}}),
            _ => json!({"manage": {"indices": parse_indices(&field)?}}),
        };
        granted = true;
        global.insert(field.name.to_owned(), parsed);
    }
    Ok(granted.then_some(Value::Object(global)))
}

fn refusal(field: &Field<'_>, expected: impl std::fmt::Display) -> Failure {
    let (line, column) = field.place();
    Failure::x_content(format!(
        "[{line}:{column}] failed to parse privilege. expected {expected} instead"
    ))
}

fn expect(field: &Field<'_>, token: &str) -> Result<(), Failure> {
    if field.token() == token {
        return Ok(());
    }
    Err(refusal(
        field,
        format!("[{token}] but found [{}]", field.token()),
    ))
}

fn is_empty(field: &Field<'_>) -> Result<bool, Failure> {
    expect(field, "START_OBJECT")?;
    Ok(field.object(HAND)?.fields().next().is_none())
}

/// Reads `{operation: {list: [..]}}` and hands the list to `read`.
fn within<T>(
    field: &Field<'_>,
    operation: &str,
    list: &str,
    read: impl FnOnce(&Field<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let outer = only(field, operation)?;
    let outer_field = outer.fields().next();
    let outer_field = outer_field.ok_or_else(|| nothing(field))?;
    let inner = only(&outer_field, list)?;
    let inner_field = inner.fields().next();
    let inner_field = inner_field.ok_or_else(|| nothing(&outer_field))?;
    expect(&inner_field, "START_ARRAY")?;
    read(&inner_field)
}

fn nothing(field: &Field<'_>) -> Failure {
    refusal(field, "[FIELD_NAME] but found [END_OBJECT]")
}

/// An object with one field of this name.
fn only<'a>(field: &Field<'a>, name: &str) -> Result<Object<'a>, Failure> {
    expect(field, "START_OBJECT")?;
    let object = field.object(HAND)?;
    let mut fields = object.fields();
    let first = fields.next().ok_or_else(|| nothing(field))?;
    if first.name != name {
        let found = first.name;
        return Err(refusal(
            &first,
            format!("field name [{name}] but found [{found}]"),
        ));
    }
    if let Some(second) = fields.next() {
        return Err(refusal(&second, "[END_OBJECT] but found [FIELD_NAME]"));
    }
    drop(fields);
    Ok(object)
}

fn parse_applications(field: &Field<'_>, operation: &str) -> Result<Vec<String>, Failure> {
    within(field, operation, "applications", read_strings)
}

fn read_strings(field: &Field<'_>) -> Result<Vec<String>, Failure> {
    super::role_indices::strings(field, false).map_err(Failure::parse)
}

fn parse_indices(field: &Field<'_>) -> Result<Vec<Value>, Failure> {
    within(field, "manage", "indices", |list| {
        let elements = list.elements().unwrap_or_default();
        elements.iter().map(parse_group).collect()
    })
}

/// `{"names": [..], "privileges": [..]}`, both needed.
fn parse_group(field: &Field<'_>) -> Result<Value, Failure> {
    expect(field, "START_OBJECT")?;
    let (mut names, mut privileges) = (Vec::new(), Vec::new());
    for field in field.object(HAND)?.fields() {
        let list = match field.name {
            "names" => &mut names,
            "privileges" => &mut privileges,
            other => {
                return Err(refusal(
                    &field,
                    format!("one of [names, privileges] but found [{other}]"),
                ));
            }
        };
        expect(&field, "START_ARRAY")?;
        *list = read_strings(&field)?;
    }
    if names.is_empty() {
        return Err(Failure::illegal_argument(
            "Indices privileges must refer to at least one index name or index name pattern",
        ));
    }
    if privileges.is_empty() {
        return Err(Failure::illegal_argument(
            "Indices privileges must define at least one privilege",
        ));
    }
    for name in &privileges {
        check_index_privilege(name)
            .map_err(|error| Failure::illegal_argument(error.to_string()))?;
    }
    Ok(json!({"names": names, "privileges": privileges}))
}
