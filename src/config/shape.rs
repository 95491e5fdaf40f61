//! Fits a YAML tree to the JSON Schema of the file: unknown keys, missing keys, wrong kinds, out of range; all of them, each with its place.
//!
//! What comes out deserialises: a key that looks misspelt is read under its right name, so that what it holds is checked too;
//! anything that can't be kept is dropped (and its fault is in the report). The schema comes from the types in `file`, so a new
//! key needs nothing here.

use serde_json::Value;

use super::fault::{At, Fault, Place};
use super::nearest::{did_you_mean, nearest};
use super::schema::{Choice, choices, homes, required, reserved, resolved, together, type_of};
use super::tree::{Entry, Kind, Node};
use super::values::shown;

/// Fits `root` to the whole schema, adding to `faults`.
pub fn fit(schema: &Value, root: Node, faults: &mut Vec<Fault>) -> Node {
    let mut fitting = Fitting { schema, faults };
    let place = root.place;
    fitting.fit(schema, root, &At::ROOT).unwrap_or(Node {
        place,
        kind: Kind::Map(Vec::new()),
    })
}

struct Fitting<'s, 'f> {
    schema: &'s Value,
    faults: &'f mut Vec<Fault>,
}

impl<'s> Fitting<'s, '_> {
    fn fault(&mut self, at: &At<'_>, place: Place, problem: impl Into<String>) -> &mut Fault {
        self.faults
            .push(Fault::new(at.to_string(), Some(place), problem));
        let last = self.faults.len() - 1;
        &mut self.faults[last]
    }

    /// `None` when nothing of the node can be kept.
    fn fit(&mut self, schema: &'s Value, node: Node, at: &At<'_>) -> Option<Node> {
        let schema = resolved(self.schema, schema);
        let choices = choices(schema);
        if !choices.is_empty() {
            return self.fit_choice(schema, &choices, node, at);
        }
        match type_of(schema) {
            Some("object") => self.fit_object(schema, node, at),
            Some("array") => self.fit_list(schema, node, at),
            Some("string") => self.fit_text(schema, node, at),
            Some("boolean") if matches!(node.kind, Kind::Bool(_)) => Some(node),
            Some("boolean") => self.refuse(node, at, "`true` or `false`"),
            Some("integer" | "number") => self.fit_number(schema, node, at),
            _ => Some(node),
        }
    }

    fn refuse(&mut self, node: Node, at: &At<'_>, allowed: &str) -> Option<Node> {
        let found = format!("found {}", node.noun());
        self.fault(at, node.place, found).allowed(allowed);
        None
    }

    fn fit_text(&mut self, schema: &Value, node: Node, at: &At<'_>) -> Option<Node> {
        if matches!(node.kind, Kind::Text(_)) {
            return Some(node);
        }
        let allowed = schema
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or("a text");
        let scalar = matches!(node.kind, Kind::Number(_) | Kind::Bool(_));
        let found = format!("found {}", node.noun());
        let fault = self.fault(at, node.place, found).allowed(allowed);
        if scalar && let Some(example) = schema.pointer("/examples/0").and_then(Value::as_str) {
            fault.hint(format!(
                "such as {}; a text that looks like a number needs quotes",
                shown(example)
            ));
        }
        None
    }

    fn fit_number(&mut self, schema: &Value, node: Node, at: &At<'_>) -> Option<Node> {
        let whole = type_of(schema) == Some("integer");
        let bound = |key| schema.get(key).and_then(Value::as_f64);
        let (low, high) = (
            bound("minimum").unwrap_or(0.0),
            bound("maximum").unwrap_or(f64::from(u32::MAX)),
        );
        let allowed = format!(
            "a {}number from {low} to {high}",
            if whole { "whole " } else { "" }
        );
        let Kind::Number(number) = &node.kind else {
            let quoted = matches!(&node.kind, Kind::Text(text) if text.parse::<f64>().is_ok());
            let found = format!("found {}", node.noun());
            let fault = self.fault(at, node.place, found).allowed(allowed);
            if quoted {
                fault.hint("write it without quotes");
            }
            return None;
        };
        let value = number.as_f64().unwrap_or(f64::NAN);
        if value >= low && value <= high && (!whole || number.is_u64() || number.is_i64()) {
            return Some(node);
        }
        let found = format!("found {number}");
        self.fault(at, node.place, found).allowed(allowed);
        None
    }

    fn fit_list(&mut self, schema: &'s Value, node: Node, at: &At<'_>) -> Option<Node> {
        const ANYTHING: &Value = &Value::Bool(true);
        let Kind::List(list) = node.kind else {
            let scalar = matches!(node.kind, Kind::Text(_));
            let found = format!("found {}", node.noun());
            let fault = self.fault(at, node.place, found).allowed("a list");
            if scalar {
                fault.hint("put it in `[` and `]`");
            }
            return None;
        };
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        if (list.len() as u64) < least {
            self.fault(at, node.place, "found an empty list")
                .allowed("at least one entry");
        }
        let items = schema.get("items").unwrap_or(ANYTHING);
        let mut kept = Vec::with_capacity(list.len());
        for (index, item) in list.into_iter().enumerate() {
            let place = item.place;
            let fitted = self.fit(items, item, &at.index(index));
            // Something must stay, or the indices of all that follows would no longer be the written ones.
            kept.push(fitted.unwrap_or_else(|| self.blank(items, place)));
        }
        Some(Node {
            place: node.place,
            kind: Kind::List(kept),
        })
    }

    /// What stands for an entry that was dropped: for texts nothing, for mappings an empty one.
    fn blank(&self, schema: &'s Value, place: Place) -> Node {
        let kind = match type_of(resolved(self.schema, schema)) {
            Some("object") => Kind::Map(Vec::new()),
            _ => Kind::Null,
        };
        Node { place, kind }
    }

    fn fit_object(&mut self, schema: &'s Value, node: Node, at: &At<'_>) -> Option<Node> {
        let required = required(schema);
        let entries = match node.kind {
            Kind::Map(entries) => entries,
            // A section whose keys are all commented out.
            Kind::Null if required.is_empty() => Vec::new(),
            _ => {
                let properties = schema.get("properties").and_then(Value::as_object);
                let keys: Vec<&str> = properties
                    .into_iter()
                    .flatten()
                    .map(|(key, _)| key.as_str())
                    .collect();
                let allowed = if keys.is_empty() {
                    "a mapping of names to values".to_owned()
                } else {
                    format!("a mapping with the keys {}", keys.join(", "))
                };
                return self.refuse(node, at, &allowed);
            }
        };
        let entries = self.without_repeats(entries, at);
        let kept = match schema.get("properties").and_then(Value::as_object) {
            Some(properties) => self.fit_properties(schema, properties, entries, at),
            None => self.fit_names(schema, entries, at),
        };
        for key in required {
            if !kept.iter().any(|(name, _)| name == key) {
                let allowed = self.describe(schema, key);
                let fault = self.fault(at, node.place, format!("the key `{key}` is missing"));
                if let Some(allowed) = allowed {
                    fault.allowed(allowed);
                }
            }
        }
        let entries = kept.into_iter().filter_map(|(_, entry)| entry).collect();
        Some(Node {
            place: node.place,
            kind: Kind::Map(entries),
        })
    }

    /// The first sentence about a key.
    fn describe(&self, schema: &'s Value, key: &str) -> Option<String> {
        let property = schema.pointer(&format!("/properties/{key}"))?;
        let text = property.get("description")?.as_str()?;
        let end = text
            .find(". ")
            .or_else(|| text.find(".\n"))
            .unwrap_or(text.len());
        Some(text[..end].trim_end_matches('.').to_owned())
    }

    fn without_repeats(&mut self, entries: Vec<Entry>, at: &At<'_>) -> Vec<Entry> {
        let mut seen = std::collections::HashMap::new();
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(first) = seen.get(&entry.key) {
                let problem = format!("the key {} is repeated", shown(&entry.key));
                let hint = format!("it stands in line {first} already");
                self.fault(at, entry.place, problem).hint(hint);
            } else {
                seen.insert(entry.key.clone(), entry.place.line);
                kept.push(entry);
            }
        }
        kept
    }

    /// Every key that was there (also one whose value was dropped), with what is left of it.
    fn fit_properties(
        &mut self,
        schema: &'s Value,
        properties: &'s serde_json::Map<String, Value>,
        entries: Vec<Entry>,
        at: &At<'_>,
    ) -> Vec<(String, Option<Entry>)> {
        let written: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        let mut kept: Vec<(String, Option<Entry>)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut key = entry.key;
            if !properties.contains_key(&key) {
                let free = properties.keys().map(String::as_str).filter(|name| {
                    !written.iter().any(|other| other == name)
                        && !kept.iter().any(|(other, _)| other == name)
                });
                let meant = nearest(&key, free).map(str::to_owned);
                self.unknown_key(schema, properties, &key, entry.place, meant.as_deref(), at);
                match meant {
                    Some(name) => key = name,
                    None => continue,
                }
            }
            let Some(property) = properties.get(&key) else {
                continue;
            };
            let value = self.fit(property, entry.value, &at.key(&key));
            let place = entry.place;
            let entry = value.map(|value| Entry {
                key: key.clone(),
                place,
                value,
            });
            kept.push((key, entry));
        }
        kept
    }

    fn unknown_key(
        &mut self,
        schema: &Value,
        properties: &serde_json::Map<String, Value>,
        key: &str,
        place: Place,
        meant: Option<&str>,
        at: &At<'_>,
    ) {
        if reserved(schema).contains(&key) {
            self.fault(at, place, format!("`{key}` is not available yet"));
            return;
        }
        let known: Vec<&str> = properties.keys().map(String::as_str).collect();
        let elsewhere = || {
            let homes = homes(self.schema, key);
            (!homes.is_empty()).then(|| format!("{} belongs to {}", shown(key), homes.join(" or ")))
        };
        let hint = meant
            .map(|name| format!("did you mean `{name}`?"))
            .or_else(elsewhere);
        let fault = self.fault(at, place, format!("unknown key {}", shown(key)));
        fault.allowed(known.join(", "));
        if let Some(hint) = hint {
            fault.hint(hint);
        }
    }

    /// A mapping whose keys are names of the operator's choice.
    fn fit_names(
        &mut self,
        schema: &'s Value,
        entries: Vec<Entry>,
        at: &At<'_>,
    ) -> Vec<(String, Option<Entry>)> {
        let Some(values) = schema
            .get("additionalProperties")
            .filter(|values| values.is_object())
        else {
            return Vec::new();
        };
        let mut kept = Vec::with_capacity(entries.len());
        for Entry { key, place, value } in entries {
            let value_place = value.place;
            let fitted = self.fit(values, value, &at.key(&key));
            // A name that was given stays known, or everything that refers to it would be a fault as well.
            let value = fitted.unwrap_or_else(|| self.blank(values, value_place));
            let entry = Entry {
                key: key.clone(),
                place,
                value,
            };
            kept.push((key, Some(entry)));
        }
        kept
    }

    fn fit_choice(
        &mut self,
        schema: &Value,
        choices: &[Choice<'s>],
        node: Node,
        at: &At<'_>,
    ) -> Option<Node> {
        let allowed = || {
            choices
                .iter()
                .map(Choice::shown)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let entries = match node.kind {
            Kind::Text(ref word) => {
                if choices
                    .iter()
                    .any(|choice| matches!(choice, Choice::Word(name, _) if name == word))
                {
                    return Some(node);
                }
                self.unknown_choice(schema, choices, word, node.place, at);
                return None;
            }
            Kind::Map(entries) => entries,
            _ => return self.refuse(node, at, &allowed()),
        };
        let entries = self.without_repeats(entries, at);
        if entries.is_empty() || (entries.len() > 1 && !together(schema)) {
            let wanted = if together(schema) {
                "at least one key is needed"
            } else {
                "exactly one key is needed"
            };
            self.fault(at, node.place, wanted).allowed(allowed());
            return None;
        }
        let written = entries.len();
        let mut kept: Vec<Entry> = Vec::with_capacity(written);
        for entry in entries {
            let fitted = self.fit_choice_key(schema, choices, entry, at);
            // A key that was misspelt may have meant one that is there as well.
            kept.extend(fitted.filter(|entry| kept.iter().all(|other| other.key != entry.key)));
        }
        (kept.len() == written).then_some(Node {
            place: node.place,
            kind: Kind::Map(kept),
        })
    }

    fn fit_choice_key(
        &mut self,
        schema: &Value,
        choices: &[Choice<'s>],
        entry: Entry,
        at: &At<'_>,
    ) -> Option<Entry> {
        let mut key = entry.key;
        let keyed = |key: &str| {
            choices.iter().find_map(|choice| match choice {
                Choice::Key(name, value, _) if *name == key => Some(*value),
                Choice::Key(..) | Choice::Word(..) => None,
            })
        };
        if keyed(&key).is_none() {
            self.unknown_choice(schema, choices, &key, entry.place, at);
            let keys = choices
                .iter()
                .filter(|choice| matches!(choice, Choice::Key(..)));
            key = nearest(&key, keys.map(Choice::name))?.to_owned();
        }
        let value = self.fit(keyed(&key)?, entry.value, &at.key(&key))?;
        Some(Entry {
            key,
            place: entry.place,
            value,
        })
    }

    fn unknown_choice(
        &mut self,
        schema: &Value,
        choices: &[Choice<'_>],
        word: &str,
        place: Place,
        at: &At<'_>,
    ) {
        if reserved(schema).contains(&word) {
            self.fault(at, place, format!("`{word}` is not available yet"));
            return;
        }
        let same = choices.iter().find(|choice| choice.name() == word);
        let hint = match same {
            Some(Choice::Key(name, _, _)) => Some(format!(
                "write `{name}:` with its keys below, or `{name}: {{}}`"
            )),
            Some(Choice::Word(name, _)) => Some(format!("write `{name}` without anything below")),
            None => did_you_mean(word, choices.iter().map(Choice::name)),
        };
        // Where only keys are known, a bare text may be a secret in the wrong place.
        let words = choices
            .iter()
            .any(|choice| matches!(choice, Choice::Word(..)));
        let problem = if words || same.is_some() || hint.is_some() {
            format!("found {}", shown(word))
        } else {
            "found something else".to_owned()
        };
        let allowed = choices
            .iter()
            .map(Choice::shown)
            .collect::<Vec<_>>()
            .join(", ");
        let fault = self.fault(at, place, problem).allowed(allowed);
        if let Some(hint) = hint {
            fault.hint(hint);
        }
    }
}
