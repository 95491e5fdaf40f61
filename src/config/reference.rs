//! `docs/configuration.md`, rendered from the JSON Schema and so from the doc comments in `file` and the sentences of every value.
//!
//! A test compares the committed page with this; `sidegate schema --markdown > docs/configuration.md` renews it.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use serde_json::Value;

use super::schema::{Choice, choices, required, resolved, schema, together, type_of};

const INTRODUCTION: &str = "\
# Configuration

<!-- Written by `sidegate schema --markdown > docs/configuration.md`; edit the doc comments in `src/config/file.rs` instead. -->

Sidegate reads one YAML file (`sidegate run --config FILE`). `sidegate check --config FILE` tells every fault in it at once, with
its key path, its line, what is allowed and what was probably meant; `sidegate schema` prints the JSON Schema for editors. A
running Sidegate reads the file again on SIGHUP and when it changes; a file with a fault is refused and the old settings stay.

Unknown and repeated keys are faults. A section left empty is as if it had been left out. Secrets are best kept out of the file:
see [Secret](#secret). `config/sidegate.yaml` shows every key with its default.
";

/// The whole page.
pub fn markdown() -> String {
    let mut page = Page::new(schema());
    page.collect("", schema());
    let mut out = INTRODUCTION.to_owned();
    // Writing to a String never fails.
    let _ = page.write(&mut out);
    out
}

/// What the page holds, in reading order.
struct Page<'s> {
    root: &'s Value,
    sections: Vec<(String, &'s Value)>,
    /// Where each definition is described, by its reference.
    homes: HashMap<&'s str, String>,
    values: Vec<(&'s str, &'s Value)>,
}

impl<'s> Page<'s> {
    fn new(root: &'s Value) -> Self {
        Self {
            root,
            sections: Vec::new(),
            homes: HashMap::new(),
            values: Vec::new(),
        }
    }

    /// Notes the section at `path` and all below it.
    fn collect(&mut self, path: &str, schema: &'s Value) {
        let reference = reference(schema);
        if reference.is_some_and(|reference| self.homes.contains_key(reference)) {
            return;
        }
        let schema = resolved(self.root, schema);
        if type_of(schema) == Some("string") && choices(schema).is_empty() {
            if let Some(reference) = reference {
                self.homes.insert(reference, name_of(reference).to_owned());
                self.values.push((name_of(reference), schema));
            }
            return;
        }
        if let Some(items) = schema.get("items") {
            return self.collect(&format!("{path}[]"), items);
        }
        if let Some(values) = schema
            .get("additionalProperties")
            .filter(|values| values.is_object())
        {
            return self.collect(&joined(path, "NAME"), values);
        }
        let below: Vec<(&str, &'s Value)> = children(schema);
        if below.is_empty() {
            return;
        }
        if let Some(reference) = reference {
            self.homes.insert(reference, path.to_owned());
        }
        self.sections.push((path.to_owned(), schema));
        for (key, property) in below {
            self.collect(&joined(path, key), property);
        }
    }

    fn write(&mut self, out: &mut String) -> fmt::Result {
        for (path, schema) in &self.sections {
            if path.is_empty() {
                writeln!(out, "\n## The file\n")?;
            } else {
                writeln!(out, "\n## `{path}`\n")?;
            }
            writeln!(out, "{}\n", description(schema))?;
            if schema.get("properties").is_some() {
                self.write_keys(out, schema)?;
            } else {
                self.write_choices(out, schema)?;
            }
        }
        self.values.sort_by_key(|(name, _)| *name);
        writeln!(out, "\n# Values")?;
        for (name, schema) in &self.values {
            writeln!(out, "\n## {name}\n")?;
            let examples = schema
                .get("examples")
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let examples: Vec<String> = examples
                .iter()
                .filter_map(Value::as_str)
                .map(|text| format!("`{text}`"))
                .collect();
            writeln!(
                out,
                "{}. For example {}.",
                capital(description(schema)),
                examples.join(", ")
            )?;
        }
        Ok(())
    }

    fn write_keys(&self, out: &mut String, schema: &Value) -> fmt::Result {
        writeln!(
            out,
            "| Key | Value | Default | Meaning |\n|---|---|---|---|"
        )?;
        let required = required(schema);
        for (key, property) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let default = match property.get("default") {
                Some(Value::String(text)) => format!("`{text}`"),
                Some(value) => format!("`{value}`"),
                None if required.contains(&key.as_str()) => "required".to_owned(),
                None => String::new(),
            };
            let mut meaning = description(property).to_owned();
            for choice in choices(resolved(self.root, property)) {
                if let Choice::Word(word, schema) = choice
                    && schema.get("description").is_some()
                {
                    write!(meaning, " `{word}`: {}", description(schema))?;
                }
            }
            writeln!(
                out,
                "| `{key}` | {} | {default} | {} |",
                cell(&self.kind(property)),
                cell(&meaning)
            )?;
        }
        Ok(())
    }

    fn write_choices(&self, out: &mut String, schema: &Value) -> fmt::Result {
        let together = together(schema);
        writeln!(out, "| One of | Value | Meaning |\n|---|---|---|")?;
        for choice in choices(schema) {
            match choice {
                Choice::Word(word, schema) => {
                    writeln!(out, "| `{word}` | | {} |", cell(description(schema)))?
                }
                Choice::Key(key, value, schema) => {
                    // Of keys that may stand together, each tells its own meaning.
                    let schema = if together { value } else { schema };
                    writeln!(
                        out,
                        "| `{key}:` | {} | {} |",
                        cell(&self.kind(value)),
                        cell(description(schema))
                    )?;
                }
            }
        }
        Ok(())
    }

    /// What kind of value a schema takes, as one phrase.
    fn kind(&self, property: &Value) -> String {
        let schema = resolved(self.root, property);
        if let Some(home) = reference(property).and_then(|reference| self.homes.get(reference)) {
            let shown = if type_of(schema) == Some("string") && choices(schema).is_empty() {
                home.clone()
            } else {
                format!("`{home}`")
            };
            return format!("[{shown}](#{})", slug(home));
        }
        let words: Vec<String> = choices(schema)
            .iter()
            .map(|choice| format!("`{}`", choice.name()))
            .collect();
        if !words.is_empty() {
            return words.join(" or ");
        }
        match type_of(schema) {
            Some("array") => format!(
                "list of {}",
                schema
                    .get("items")
                    .map(|items| self.kind(items))
                    .unwrap_or_default()
            ),
            Some("object") => {
                let values = schema
                    .get("additionalProperties")
                    .filter(|values| values.is_object());
                format!(
                    "names, each with {}",
                    values.map(|values| self.kind(values)).unwrap_or_default()
                )
            }
            Some(number @ ("integer" | "number")) => {
                let bound = |key| schema.get(key).and_then(Value::as_f64);
                let whole = if number == "integer" {
                    "whole number"
                } else {
                    "number"
                };
                match (bound("minimum"), bound("maximum")) {
                    (Some(low), Some(high)) => format!("{whole}, {low} to {high}"),
                    _ => whole.to_owned(),
                }
            }
            Some("boolean") => "`true` or `false`".to_owned(),
            Some(other) => other.to_owned(),
            None => String::new(),
        }
    }
}

/// The keys below a section with their schemas: properties, or keyed choices.
fn children(schema: &Value) -> Vec<(&str, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut below: Vec<(&str, &Value)> = properties
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    below.extend(
        choices(schema)
            .into_iter()
            .filter_map(|choice| match choice {
                Choice::Key(key, value, _) => Some((key, value)),
                Choice::Word(..) => None,
            }),
    );
    below
}

/// The reference a property makes, also when it is optional.
fn reference(schema: &Value) -> Option<&str> {
    let direct = |schema: &'_ Value| schema.get("$ref").is_some();
    let schema = match schema.get("anyOf").and_then(Value::as_array) {
        Some(any) => any.iter().find(|schema| direct(schema))?,
        None => schema,
    };
    schema.get("$ref").and_then(Value::as_str)
}

fn name_of(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn description(schema: &Value) -> &str {
    schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Text that fits into a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// The anchor that GitHub and most renderers give a heading.
fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");

    #[test]
    fn the_committed_reference_is_what_the_code_says() {
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        assert!(
            committed == markdown(),
            "docs/configuration.md is stale: `cargo run -- schema --markdown > docs/configuration.md` renews it"
        );
    }

    #[test]
    fn every_link_leads_to_a_heading() {
        let page = markdown();
        let anchors: Vec<String> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(|heading| slug(heading.trim_matches('`')))
            .collect();
        let mut links = 0;
        for link in page.split("](#").skip(1) {
            let target = link.split(')').next().unwrap();
            assert!(anchors.iter().any(|anchor| anchor == target), "{target}");
            links += 1;
        }
        assert!(links > 50, "{links}");
        let mut unique = anchors.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), anchors.len());
    }
}
