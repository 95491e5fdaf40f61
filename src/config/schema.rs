//! The JSON Schema of the config file, made from the types in `file`. `sidegate schema` prints it; `shape` checks by it, and
//! `reference` tells it. What both need to read a schema stands here; it knows only the forms that those types make.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::{AuthorityFile, File};

/// The schema as JSON (draft 2020-12), made once.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let generator = SchemaSettings::draft2020_12().into_generator();
        generator.into_root_schema_for::<File>().to_value()
    });
    &SCHEMA
}

/// The schema of the file of `sidegate authority`, made once.
pub fn authority_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let generator = SchemaSettings::draft2020_12().into_generator();
        generator.into_root_schema_for::<AuthorityFile>().to_value()
    });
    &SCHEMA
}

/// The schema as text, indented, with a line break at the end.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// Follows a reference and leaves out the `null` that an optional key may have.
pub fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let mut schema = schema;
    // References of a schema made from types are never circular without a property between.
    for _ in 0..8 {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let Some(found) = reference
                .strip_prefix('#')
                .and_then(|path| root.pointer(path))
            else {
                return schema;
            };
            schema = found;
        } else if let Some(some) = schema
            .get("anyOf")
            .and_then(Value::as_array)
            .and_then(|any| {
                any.iter()
                    .find(|one| one.get("type").and_then(Value::as_str) != Some("null"))
            })
        {
            schema = some;
        } else {
            return schema;
        }
    }
    schema
}

/// The JSON type a schema asks for, `null` aside.
pub fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .find(|name| *name != "null"),
        _ => None,
    }
}

/// One way out of several: a word, or a key with its value.
pub enum Choice<'s> {
    /// A bare word.
    Word(&'s str, &'s Value),
    /// A mapping with this one key, whose value has the schema.
    Key(&'s str, &'s Value, &'s Value),
}

impl<'s> Choice<'s> {
    /// The word or key.
    pub fn name(&self) -> &'s str {
        match self {
            Self::Word(name, _) | Self::Key(name, _, _) => name,
        }
    }

    /// The choice as it would be written.
    pub fn shown(&self) -> String {
        match self {
            Self::Word(name, _) => format!("`{name}`"),
            Self::Key(name, _, _) => format!("`{name}: ..`"),
        }
    }
}

/// The choices of a schema made from an enum; empty for anything else.
pub fn choices(schema: &Value) -> Vec<Choice<'_>> {
    let mut found = Vec::new();
    let one_of = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    for one in std::iter::once(schema).chain(one_of) {
        if let Some(word) = one.get("const").and_then(Value::as_str) {
            found.push(Choice::Word(word, one));
        }
        let words = one
            .get("enum")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        found.extend(
            words
                .iter()
                .filter_map(Value::as_str)
                .map(|word| Choice::Word(word, one)),
        );
    }
    for one in one_of {
        let properties = one.get("properties").and_then(Value::as_object);
        found.extend(
            properties
                .into_iter()
                .flatten()
                .map(|(key, value)| Choice::Key(key, value, one)),
        );
    }
    found
}

/// Whether the keys of a choice may stand together.
pub fn together(schema: &Value) -> bool {
    schema.get("x-together") == Some(&Value::Bool(true))
}

/// Words that a choice will take one day.
pub fn reserved(schema: &Value) -> Vec<&str> {
    let words = schema
        .get("x-reserved")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    words.iter().filter_map(Value::as_str).collect()
}

/// The required keys of an object.
pub fn required(schema: &Value) -> Vec<&str> {
    let keys = schema
        .get("required")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    keys.iter().filter_map(Value::as_str).collect()
}

/// The sections that know a key, such as `cache` for `ttl`; the ones nearest to the top level, at most three.
pub fn homes(root: &Value, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), root, 0)];
    while let Some((path, schema, depth)) = open.pop() {
        let schema = resolved(root, schema);
        let join = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        for choice in choices(schema) {
            if let Choice::Key(name, value, _) = choice {
                open.push((join(name), value, depth + 1));
            }
        }
        for (name, property) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if name == key {
                let home = if path.is_empty() {
                    "the top level".to_owned()
                } else {
                    format!("`{path}`")
                };
                found.push((depth, home));
            }
            // `any_of` and `all_of` go round in circles; nothing lies deeper than this.
            if depth < 6 && !matches!(name.as_str(), "any_of" | "all_of") {
                open.push((join(name), property, depth + 1));
            }
        }
        if let Some(items) = schema.get("items") {
            open.push((format!("{path}[]"), items, depth + 1));
        }
        if let Some(values) = schema
            .get("additionalProperties")
            .filter(|values| values.is_object())
        {
            open.push((join("NAME"), values, depth + 1));
        }
    }
    found.sort();
    found.dedup();
    let nearest = found.first().map(|(depth, _)| *depth);
    let homes = found
        .into_iter()
        .filter(|(depth, _)| Some(*depth) == nearest);
    homes.map(|(_, home)| home).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented() {
        let defs = schema()["$defs"].as_object().unwrap();
        for (name, def) in defs.iter().chain([(&"File".to_owned(), schema())]) {
            assert!(def["description"].is_string(), "{name}");
            for (key, property) in def["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{name}.{key}");
            }
            if def["properties"].is_object() {
                assert_eq!(def["additionalProperties"], false, "{name}");
            }
        }
    }
}
