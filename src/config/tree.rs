//! The YAML text as a tree that knows where everything stands.
//!
//! serde stops at the first fault; a tree does not. It is read once, within bounds (bytes, nodes, depth, aliases), and keeps
//! repeated keys so that they can be told as faults. The tree may hold secrets: it has no `Debug`, and errors of the YAML
//! reader are shown without the source line they point at.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

use super::fault::{At, Fault, Place, Step};

/// The longest config file, in bytes.
pub const MAX_BYTES: usize = 4 << 20;
/// The most YAML nodes, aliases expanded.
const MAX_NODES: usize = 400_000;
/// The deepest nesting.
const MAX_DEPTH: usize = 48;

/// A YAML node and its place.
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a [`Node`] is.
pub enum Kind {
    /// Nothing: `~`, `null`, or a key without a value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Any other scalar, or a quoted one.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in written order.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// Its value.
    pub value: Node,
}

/// Reads the text.
///
/// # Errors
/// The one fault that keeps it from being YAML, or from staying within the bounds.
pub fn parse(text: &str) -> Result<Node, Fault> {
    if text.len() > MAX_BYTES {
        let mut fault = Fault::new("", None, format!("the file is {} bytes long", text.len()));
        fault.allowed(format!("at most {MAX_BYTES} bytes"));
        return Err(fault);
    }
    match serde_saphyr::from_str_with_options::<Spanned<Kind>>(text, options()) {
        Ok(root) => Ok(Node::from(root)),
        Err(error) => {
            let place = error.location().map(|location| Place {
                line: location.line(),
                column: location.column(),
            });
            let problem = problem(&error);
            let in_brackets = problem.contains("flow");
            let mut fault = Fault::new(
                "",
                place,
                format!("this is no YAML that can be read: {problem}"),
            );
            if in_brackets {
                // The commonest slip: `{ path: /spaces/{space}/** }`.
                fault.hint("inside `{ .. }` and `[ .. ]`, a text with `{`, `}`, `[`, `]` or `,` needs quotes");
            }
            Err(fault)
        }
    }
}

/// Bounds and strictness of the reader.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: Some(MAX_BYTES),
            max_events: 3 * MAX_NODES,
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 1,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_total_scalar_bytes: MAX_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // `off` is a word of ours, and `yes` as a user name is a text.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        // A snippet would print the line, and with it perhaps a secret.
        with_snippet: false,
    }
}

/// The reader's message without anything it repeats from the file.
fn problem(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    // Its own position is told apart; only the first line is a sentence.
    let line = text.lines().next().unwrap_or_default();
    let line = &line[..line.find(" at line ").unwrap_or(line.len())];
    // What stands in quotes is from the file, and an unquoted password may well begin with `!` or `*`. Syntax is no secret.
    let mut told = String::new();
    for (index, part) in line.split(['`', '"', '\'']).enumerate() {
        let quoted = index % 2 == 1;
        let syntax = part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_punctuation());
        match (quoted, syntax) {
            (true, true) => told.push_str(&format!("`{part}`")),
            (true, false) => break,
            (false, _) => told.push_str(part),
        }
    }
    let shown = told.chars().filter(|letter| !letter.is_control());
    shown.take(200).collect::<String>().trim_end().to_owned()
}

impl Node {
    /// What kind of thing this is, as faults name it.
    pub fn noun(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(list) if list.is_empty() => "an empty list",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The place of the value that the path leads to, or of the last one on the way that exists.
    pub fn place_of(&self, at: &At<'_>) -> Place {
        let mut here = self;
        for step in at.steps() {
            let next = match (step, &here.kind) {
                (Step::Root, _) => Some(here),
                (Step::Key(key), Kind::Map(entries)) => entries
                    .iter()
                    .find(|entry| entry.key == key)
                    .map(|entry| &entry.value),
                (Step::Index(index), Kind::List(list)) => list.get(index),
                (Step::Key(_) | Step::Index(_), _) => None,
            };
            match next {
                Some(next) => here = next,
                None => break,
            }
        }
        here.place
    }

    /// The tree without its places.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::Text(value) => Value::String(value.clone()),
            Kind::List(list) => list.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

impl From<Spanned<Kind>> for Node {
    fn from(spanned: Spanned<Kind>) -> Self {
        Self {
            place: place(&spanned.referenced),
            kind: spanned.value,
        }
    }
}

fn place(location: &serde_saphyr::Location) -> Place {
    Place {
        line: location.line(),
        column: location.column(),
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Number::from_f64(value).map_or_else(|| Kind::Text(value.to_string()), Kind::Number))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element::<Spanned<Kind>>()? {
            list.push(Node::from(value));
        }
        Ok(Kind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let value = access.next_value::<Spanned<Kind>>()?;
            entries.push(Entry {
                place: place(&key.referenced),
                key: key.value,
                value: Node::from(value),
            });
        }
        Ok(Kind::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Node {
        parse(text).unwrap_or_else(|fault| panic!("{fault}"))
    }

    fn refused(text: &str) -> Fault {
        match parse(text) {
            Ok(_) => panic!("was taken"),
            Err(fault) => fault,
        }
    }

    #[test]
    fn every_value_and_key_knows_its_place() {
        let root = read("a: 1\nb:\n  - x\n  - {c: true}\n");
        let b = At::ROOT.key("b");
        let item = b.index(1);
        assert_eq!(root.place_of(&item.key("c")), Place { line: 4, column: 9 });
        assert_eq!(root.place_of(&b.index(0)), Place { line: 3, column: 5 });
        let Kind::Map(entries) = &root.kind else {
            panic!()
        };
        assert_eq!(entries[1].place, Place { line: 2, column: 1 });
    }

    #[test]
    fn repeated_keys_are_kept_for_the_report() {
        let Kind::Map(entries) = read("a: 1\na: 2\n").kind else {
            panic!()
        };
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].place, Place { line: 2, column: 1 });
    }

    #[test]
    fn words_of_ours_and_odd_numbers_stay_text() {
        assert_eq!(
            read("[off, yes, 0123, 1_000, 8443, 0.5, ~, 'x', .inf]").to_json(),
            serde_json::json!(["off", "yes", "0123", "1_000", 8443, 0.5, null, "x", ".inf"])
        );
    }

    #[test]
    fn anchors_and_merge_keys_work() {
        assert_eq!(
            read("a: &x {k: 1}\nb: {<<: *x, l: 2}\nc: *x\n").to_json(),
            serde_json::json!({"a": {"k": 1}, "b": {"l": 2, "k": 1}, "c": {"k": 1}})
        );
    }

    #[test]
    fn bombs_stop_at_the_bounds() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let alias = format!("*a{},", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
        }
        refused(&bomb);
        refused(&"[".repeat(100_000));
        refused(&format!("a: {}", "{b: ".repeat(60)));
        assert_eq!(
            refused(&" ".repeat(MAX_BYTES + 1)).allowed.as_deref(),
            Some("at most 4194304 bytes")
        );
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_place_and_without_the_line() {
        let fault = refused("password: 'hunter2\nx: [");
        assert!(fault.place.is_some(), "{fault}");
        for text in [
            "password: 'hunter2\nx: [",
            "password: \"hunter2\\q\"",
            "password: *hunter2",
            "password: !hunter2 x",
            "a: hunter2: b",
            "hunter2: &x\n\t- a",
        ] {
            let fault = refused(text).to_string();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}
