//! Documents, and the values a field of one has.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::budget::Budget;
use super::schema::Field;

/// One value. All values of a field are of one variant, so comparing is comparing within a variant; texts by their bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum<'a> {
    /// True or false.
    Bool(bool),
    /// Milliseconds since the Unix epoch.
    Date(i64),
    /// Text.
    Text(Cow<'a, str>),
}

impl Datum<'_> {
    /// The same, on its own.
    pub fn into_owned(self) -> Datum<'static> {
        match self {
            Self::Bool(it) => Datum::Bool(it),
            Self::Date(it) => Datum::Date(it),
            Self::Text(it) => Datum::Text(Cow::Owned(it.into_owned())),
        }
    }
}

/// A moment in milliseconds as a value.
pub fn date(millis: u64) -> Datum<'static> {
    Datum::Date(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// A text as a value.
pub fn text(text: &str) -> Datum<'_> {
    Datum::Text(Cow::Borrowed(text))
}

/// What can be searched for.
pub trait Document: Send + Sync + 'static {
    /// Its id in Elasticsearch's security index, for `ids` queries.
    fn id(&self) -> Cow<'_, str>;

    /// Shows every value of a field of its schema. A field without values shows none.
    fn visit(&self, field: &Field, each: &mut dyn FnMut(Datum<'_>));
}

/// The values of a field, sorted and without doubles, as an index would hold them. Pays for the copies.
pub fn values(document: &impl Document, field: &Field, budget: &Budget) -> Vec<Datum<'static>> {
    let mut values = Vec::new();
    document.visit(field, &mut |value| {
        let bytes = match &value {
            Datum::Text(text) => text.len(),
            Datum::Bool(_) | Datum::Date(_) => 0,
        };
        budget.spend(1 + bytes / 8);
        if !budget.is_spent() {
            values.push(value.into_owned());
        }
    });
    values.sort_unstable();
    values.dedup();
    values
}

/// Shows the leaves of free metadata: all of them, or those under one dotted path. Numbers and booleans are shown as text,
/// `null` not at all. The depth is that of the JSON, which its parser bounds.
pub fn visit_metadata(
    metadata: &Map<String, Value>,
    path: Option<&str>,
    each: &mut dyn FnMut(Datum<'_>),
) {
    for (key, value) in metadata {
        match path {
            None => visit_leaves(value, each),
            Some(path) => {
                if let Some(rest) = path.strip_prefix(key.as_str()) {
                    match rest.strip_prefix('.') {
                        Some(rest) => visit_below(value, rest, each),
                        None if rest.is_empty() => visit_own(value, each),
                        None => {}
                    }
                }
            }
        }
    }
}

fn visit_below(value: &Value, path: &str, each: &mut dyn FnMut(Datum<'_>)) {
    match value {
        Value::Object(map) => visit_metadata(map, Some(path), each),
        Value::Array(items) => items.iter().for_each(|item| visit_below(item, path, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The values right here: not those of objects, which have longer paths.
fn visit_own(value: &Value, each: &mut dyn FnMut(Datum<'_>)) {
    match value {
        Value::Object(_) | Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| visit_own(item, each)),
        Value::String(it) => each(text(it)),
        Value::Bool(it) => each(text(if *it { "true" } else { "false" })),
        Value::Number(it) => each(Datum::Text(Cow::Owned(it.to_string()))),
    }
}

fn visit_leaves(value: &Value, each: &mut dyn FnMut(Datum<'_>)) {
    match value {
        Value::Object(map) => map.values().for_each(|value| visit_leaves(value, each)),
        Value::Array(items) => items.iter().for_each(|item| visit_leaves(item, each)),
        leaf => visit_own(leaf, each),
    }
}
