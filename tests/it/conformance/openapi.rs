//! The same answers against Elastic's OpenAPI document, where a copy lies beside the repository.
//!
//! Only what the document uses is understood: `$ref`, `type`, `properties`, `required`, `items`, `additionalProperties`,
//! `oneOf`, `anyOf`, `allOf`, `enum`, `nullable`. Fields that the document doesn't name are let through: it describes the newest
//! Elasticsearch, and objects in it are open.

use std::path::Path;

use serde_json::{Map, Value};

/// Where answers of 9.0 differ from the document, which describes a later version: `endpoint` and the fault's place.
const DIFFERENT: &[(&str, &str)] = &[(
    "GET /_security/role_mapping",
    // The document says object; the server has always told the text that it stores.
    "/templates/role_templates/0/template",
)];

/// The document.
pub(super) struct OpenApi(Value);

impl OpenApi {
    /// The document, if there is one in a directory `shared` beside one of those that this repository is in.
    pub(super) fn beside() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let name = "shared/elastic/security-openapi.json";
        let file = folder.ancestors().map(|above| above.join(name));
        let text = file.filter_map(|file| std::fs::read(file).ok()).next()?;
        Some(Self(serde_json::from_slice(&text).unwrap()))
    }

    /// Faults of a 200 of this method at this path template.
    pub(super) fn faults(&self, method: &str, path: &str, answer: &Value) -> Vec<String> {
        let Some(schema) = self.schema(method, path) else {
            return Vec::new();
        };
        let mut faults = Vec::new();
        self.check(schema, answer, "", 0, &mut faults);
        let endpoint = format!("{method} {path}");
        let expected = |fault: &String| {
            let told = |(known, place): &&(&str, &str)| {
                *known == endpoint && fault.starts_with(&format!("{place} "))
            };
            DIFFERENT.iter().any(|line| told(&line))
        };
        faults.retain(|fault| !expected(fault));
        faults
    }

    fn schema(&self, method: &str, path: &str) -> Option<&Value> {
        let shape = |path: &str| -> Vec<String> {
            let part = |part: &str| part.split('{').next().unwrap_or_default().to_owned();
            path.split('/').map(part).collect()
        };
        let paths = self.0["paths"].as_object()?;
        let (_, methods) = paths
            .iter()
            .find(|(known, _)| shape(known) == shape(path))?;
        let response =
            self.follow(methods.get(method.to_ascii_lowercase())?["responses"].get("200")?);
        response["content"].get("application/json")?.get("schema")
    }

    fn follow<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(name) => self.follow(self.0.pointer(&name[1..]).unwrap()),
            None => schema,
        }
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, depth: u8, faults: &mut Vec<String>) {
        let schema = self.follow(schema);
        if depth > 40 || (value.is_null() && schema["nullable"] == true) {
            return;
        }
        for part in list(schema, "allOf") {
            self.check(part, value, at, depth + 1, faults);
        }
        for choice in ["oneOf", "anyOf"] {
            self.check_choice(list(schema, choice), value, at, depth, faults);
        }
        if let Some(kind) = schema["type"].as_str()
            && !is(kind, value)
            && !is_anything(schema)
        {
            return faults.push(format!("{at} is not {kind}: {value}"));
        }
        let values = list(schema, "enum");
        if !values.is_empty() && !values.contains(value) {
            faults.push(format!("{at} is none of {values:?}: {value}"));
        }
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let at = format!("{at}/{index}");
                    self.check(&schema["items"], item, &at, depth + 1, faults);
                }
            }
            Value::Object(members) => self.check_members(schema, members, at, depth, faults),
            _ => {}
        }
    }

    fn check_choice(
        &self,
        choices: &[Value],
        value: &Value,
        at: &str,
        depth: u8,
        faults: &mut Vec<String>,
    ) {
        let mut nearest: Option<Vec<String>> = None;
        for choice in choices {
            let mut own = Vec::new();
            self.check(choice, value, at, depth + 1, &mut own);
            if nearest.as_ref().is_none_or(|known| own.len() < known.len()) {
                nearest = Some(own);
            }
        }
        faults.extend(nearest.unwrap_or_default());
    }

    fn check_members(
        &self,
        schema: &Value,
        members: &Map<String, Value>,
        at: &str,
        depth: u8,
        faults: &mut Vec<String>,
    ) {
        for name in list(schema, "required").iter().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                faults.push(format!("{at}/{name} is missing"));
            }
        }
        for (name, member) in members {
            let named = schema["properties"].get(name);
            if let Some(schema) = named.or_else(|| schema.get("additionalProperties")) {
                self.check(schema, member, &format!("{at}/{name}"), depth + 1, faults);
            }
        }
    }
}

/// A bare `object` is how the document writes a value that users define.
fn is_anything(schema: &Value) -> bool {
    schema["type"] == "object" && schema.get("properties").is_none()
}

fn list<'a>(schema: &'a Value, name: &str) -> &'a [Value] {
    schema[name].as_array().map_or(&[], Vec::as_slice)
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}
