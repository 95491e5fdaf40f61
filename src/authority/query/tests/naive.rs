//! The naive search: what a query means, said as plainly as possible over plain JSON.

use serde_json::Value;

/// Whether a document fits a query.
pub(super) fn fits(query: &Value, document: &Value) -> bool {
    let (name, body) = query.as_object().unwrap().iter().next().unwrap();
    let only = || body.as_object().unwrap().iter().next().unwrap();
    match name.as_str() {
        "match_all" => true,
        "ids" => body["values"]
            .as_array()
            .unwrap()
            .contains(&document["_id"]),
        "exists" => !values(document, body["field"].as_str().unwrap()).is_empty(),
        "bool" => fits_bool(body, document),
        "terms" => {
            let (field, wanted) = only();
            let wanted = wanted.as_array().unwrap();
            values(document, field)
                .iter()
                .any(|value| wanted.iter().any(|it| it.as_str() == Some(value)))
        }
        "term" => {
            let (field, body) = only();
            let fold = body["case_insensitive"] == true;
            let wanted = text(body.get("value").unwrap_or(body));
            values(document, field).iter().any(|value| {
                *value == wanted || (fold && value.to_lowercase() == wanted.to_lowercase())
            })
        }
        "match" => {
            let (field, wanted) = only();
            values(document, field).contains(&text(wanted))
        }
        "prefix" => {
            let (field, wanted) = only();
            values(document, field)
                .iter()
                .any(|value| value.starts_with(&text(wanted)))
        }
        "wildcard" => {
            let (field, wanted) = only();
            let pattern: Vec<char> = text(wanted).chars().collect();
            values(document, field).iter().any(|value| {
                let value: Vec<char> = value.chars().collect();
                fits_wildcard(&pattern, &value)
            })
        }
        "range" => {
            let (field, ends) = only();
            values(document, field).iter().any(|value| {
                // Moments have the same number of digits here, so they compare as texts.
                let end = |name: &str| ends.get(name).map(text);
                end("gte").is_none_or(|end| *value >= end)
                    && end("gt").is_none_or(|end| *value > end)
                    && end("lte").is_none_or(|end| *value <= end)
                    && end("lt").is_none_or(|end| *value < end)
            })
        }
        other => panic!("the naive search knows no [{other}]"),
    }
}

fn fits_bool(body: &Value, document: &Value) -> bool {
    let list = |name: &str| body[name].as_array().unwrap();
    let count = |name: &str| {
        list(name)
            .iter()
            .filter(|query| fits(query, document))
            .count()
    };
    let required = list("must").len() + list("filter").len();
    let wanted = body["minimum_should_match"].as_u64().unwrap_or(0) as usize;
    let wanted = if list("should").is_empty() {
        0
    } else if required == 0 {
        wanted.max(1)
    } else {
        wanted
    };
    count("must") + count("filter") == required
        && count("must_not") == 0
        && count("should") >= wanted
}

/// The values of a field as texts.
pub(super) fn values(document: &Value, field: &str) -> Vec<String> {
    let mut leaves = Vec::new();
    flatten(String::new(), document, &mut leaves);
    let inside = field == "metadata";
    let fitting = leaves
        .into_iter()
        .filter(|(path, _)| path == field || (inside && path.starts_with("metadata.")));
    fitting.map(|(_, value)| value).collect()
}

fn flatten(path: String, value: &Value, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Array(items) => items
            .iter()
            .for_each(|item| flatten(path.clone(), item, leaves)),
        Value::Object(map) => {
            for (key, value) in map {
                let longer = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flatten(longer, value, leaves);
            }
        }
        leaf => leaves.push((path, text(leaf))),
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn fits_wildcard(pattern: &[char], value: &[char]) -> bool {
    match (pattern, value) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=value.len()).any(|at| fits_wildcard(rest, &value[at..])),
        (['?', rest @ ..], [_, after @ ..]) => fits_wildcard(rest, after),
        ([first, rest @ ..], [next, after @ ..]) => first == next && fits_wildcard(rest, after),
        _ => false,
    }
}
