//! Shapes of answers: which fields an answer has, and of what kind, by the table `answers.json`.
//!
//! A kind is a name (`text`, `whole`, `truth`, `null`, `object`, `any`, or one of the table's own), several names with `|`
//! between them, a list of one kind in brackets, or an object. A field whose name ends in `?` may be missing; `*` stands for
//! every field that isn't named. A field that nobody named is a fault, since clients with strict types trip over it.

use serde_json::{Map, Value};

/// The table, read once.
pub(super) struct Shapes {
    kinds: Map<String, Value>,
    answers: Map<String, Value>,
}

impl Shapes {
    pub(super) fn read() -> Self {
        let table: Value = serde_json::from_str(include_str!("answers.json")).unwrap();
        let part = |name: &str| table[name].as_object().unwrap().clone();
        Self {
            kinds: part("kinds"),
            answers: part("answers"),
        }
    }

    /// Every fault of a successful answer of this endpoint.
    pub(super) fn faults(&self, endpoint: &str, answer: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        match self.answers.get(endpoint) {
            Some(shape) => self.check(shape, answer, "", &mut faults),
            None => faults.push("its answers have no shape".to_owned()),
        }
        faults
    }

    fn check(&self, shape: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        match shape {
            Value::String(names) => self.check_names(names, value, at, faults),
            Value::Array(items) => {
                let Some(values) = value.as_array() else {
                    return faults.push(format!("{at} is no list: {value}"));
                };
                for (index, item) in values.iter().enumerate() {
                    self.check(&items[0], item, &format!("{at}/{index}"), faults);
                }
            }
            Value::Object(fields) => self.check_fields(fields, value, at, faults),
            other => panic!("{other} is no kind"),
        }
    }

    fn check_names(&self, names: &str, value: &Value, at: &str, faults: &mut Vec<String>) {
        if let Some(kind) = self.kinds.get(names) {
            return self.check(kind, value, at, faults);
        }
        let fits = names.split('|').any(|name| match name {
            "any" => true,
            "text" => value.is_string(),
            "whole" => value.is_i64() || value.is_u64(),
            "truth" => value.is_boolean(),
            "null" => value.is_null(),
            "object" => value.is_object(),
            other => panic!("there is no kind {other}"),
        });
        if !fits {
            faults.push(format!("{at} is not {names}: {value}"));
        }
    }

    fn check_fields(
        &self,
        fields: &Map<String, Value>,
        value: &Value,
        at: &str,
        faults: &mut Vec<String>,
    ) {
        let Some(members) = value.as_object() else {
            return faults.push(format!("{at} is no object: {value}"));
        };
        for (name, member) in members {
            let optional = fields.get(&format!("{name}?"));
            let shape = fields.get(name).or(optional).or_else(|| fields.get("*"));
            match shape {
                Some(shape) => self.check(shape, member, &format!("{at}/{name}"), faults),
                None => faults.push(format!("{at}/{name} is unknown: {member}")),
            }
        }
        let needed = |name: &&String| name.as_str() != "*" && !name.ends_with('?');
        for name in fields.keys().filter(needed) {
            if !members.contains_key(name) {
                faults.push(format!("{at}/{name} is missing"));
            }
        }
    }
}

#[test]
fn a_shape_finds_what_is_missing_unknown_or_of_another_kind() {
    let shapes = Shapes::read();
    let faults = |answer: Value| shapes.faults("DELETE /_security/user/{username}", &answer);
    assert_eq!(faults(serde_json::json!({"found": true})), [""; 0]);
    assert_eq!(faults(serde_json::json!({})), ["/found is missing"]);
    assert_eq!(
        faults(serde_json::json!({"found": 1})),
        ["/found is not truth: 1"]
    );
    assert_eq!(
        faults(serde_json::json!({"found": true, "x": 1})),
        ["/x is unknown: 1"]
    );
}
