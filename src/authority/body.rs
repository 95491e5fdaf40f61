//! Reading request bodies the two ways Elasticsearch does, with its words for what is wrong.
//!
//! *Strict* parsers name themselves and the position (`[1:9] [parser] unknown field [x]`); *hand-written* ones say what they
//! failed to parse. Both refuse unknown and doubled fields. Nesting is bounded over the whole body by `DEEPEST`.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::failure::Failure;

/// Deepest nesting of a body. Thirty `bool` queries in each other, which Elasticsearch allows, take ninety; serde_json reads 127,
/// and what is kept or answered stands a few levels deeper than it was sent.
const DEEPEST: usize = 100;

/// Which parser's words to use.
#[derive(Clone, Copy, Debug)]
pub enum Grammar {
    /// A strict object parser, by name.
    Strict(&'static str),
    /// A hand-written parser, by what it reads: `failed to parse {what}. unexpected field [x]`.
    Hand(&'static str),
}

/// A JSON object whose fields are not read yet.
pub struct Object<'a> {
    /// The whole body, for positions.
    whole: &'a [u8],
    grammar: Grammar,
    fields: Vec<(String, &'a RawValue)>,
}

/// One field of an [`Object`].
pub struct Field<'a> {
    whole: &'a [u8],
    grammar: Grammar,
    /// Its name.
    pub name: &'a str,
    raw: &'a RawValue,
}

/// The kind of token a value starts with, by Elasticsearch's name.
pub fn token(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "START_OBJECT",
        Some(b'[') => "START_ARRAY",
        Some(b'"') => "VALUE_STRING",
        Some(b't' | b'f') => "VALUE_BOOLEAN",
        Some(b'n') => "VALUE_NULL",
        _ => "VALUE_NUMBER",
    }
}

impl<'a> Object<'a> {
    /// Reads the whole body as an object.
    ///
    /// # Errors
    /// Broken JSON, JSON nested too deeply, something else than an object, a doubled field.
    pub fn parse(body: &'a [u8], grammar: Grammar) -> Result<Self, Failure> {
        let raw: &RawValue = serde_json::from_slice(body).map_err(|error| broken(&error))?;
        if let Some(at) = too_deep(body) {
            return Err(Failure::x_content(format!(
                "{} Document nesting depth ({}) exceeds the maximum allowed ({DEEPEST})",
                at_offset(body, at),
                DEEPEST + 1
            )));
        }
        Self::from_raw(body, raw, grammar)
    }

    fn from_raw(whole: &'a [u8], raw: &'a RawValue, grammar: Grammar) -> Result<Self, Failure> {
        if token(raw) != "START_OBJECT" {
            return Err(match grammar {
                Grammar::Strict(parser) => Failure::x_content(format!(
                    "{} [{parser}] Expected START_OBJECT but was: {}",
                    position(whole, raw.get()),
                    token(raw)
                )),
                Grammar::Hand(what) => Failure::parse(format!(
                    "failed to parse {what}. expected an object but found [{}]",
                    token(raw)
                )),
            });
        }
        let Fields(fields) = serde_json::from_str(raw.get()).map_err(|error| broken(&error))?;
        let mut seen = BTreeSet::new();
        if let Some((name, raw)) = fields.iter().find(|(name, _)| !seen.insert(name.as_str())) {
            let at = position(whole, raw.get());
            return Err(Failure::x_content(format!("{at} Duplicate field '{name}'")));
        }
        Ok(Self {
            whole,
            grammar,
            fields,
        })
    }

    /// The fields in the order they were written.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().map(|(name, raw)| Field {
            whole: self.whole,
            grammar: self.grammar,
            name,
            raw,
        })
    }
}

impl<'a> Field<'a> {
    /// The refusal of a field nobody expects.
    pub fn unknown(&self) -> Failure {
        match self.grammar {
            Grammar::Strict(parser) => Failure::x_content(format!(
                "{} [{parser}] unknown field [{}]",
                field_position(self.whole, self.raw.get()),
                self.name
            )),
            Grammar::Hand(what) => Failure::parse(format!(
                "failed to parse {what}. unexpected field [{}]",
                self.name
            )),
        }
    }

    /// The refusal of a value of the wrong type.
    pub fn mistyped(&self, expected: &str) -> Failure {
        match self.grammar {
            Grammar::Strict(parser) => Failure::x_content(format!(
                "{} [{parser}] {} doesn't support values of type: {}",
                position(self.whole, self.raw.get()),
                self.name,
                token(self.raw)
            )),
            Grammar::Hand(_) => Failure::parse(format!(
                "expected field [{}] to be of type {expected}, but found [{}] instead",
                self.name,
                token(self.raw)
            )),
        }
    }

    /// Line and column of its value, both counted from one.
    pub fn place(&self) -> (usize, usize) {
        place(self.whole, offset(self.whole, self.raw.get()))
    }

    /// The refusal of a value whose own parser refused it: `[1:9] [parser] failed to parse field [x]`, with the cause inside.
    pub fn failed(&self, kind: &'static str, cause: impl Into<String>) -> Failure {
        let reason = match self.grammar {
            Grammar::Strict(parser) => format!(
                "{} [{parser}] failed to parse field [{}]",
                position(self.whole, self.raw.get()),
                self.name
            ),
            Grammar::Hand(what) => format!(
                "failed to parse {what}. failed to parse field [{}]",
                self.name
            ),
        };
        Failure::x_content(reason).caused_by(kind, cause)
    }

    /// Its token.
    pub fn token(&self) -> &'static str {
        token(self.raw)
    }

    /// The value as JSON text, as written.
    pub fn text(&self) -> &'a str {
        self.raw.get()
    }

    /// True for `null`.
    pub fn is_null(&self) -> bool {
        self.token() == "VALUE_NULL"
    }

    /// A string.
    ///
    /// # Errors
    /// Any other type.
    pub fn string(&self) -> Result<String, Failure> {
        serde_json::from_str(self.raw.get()).map_err(|_| self.mistyped("string"))
    }

    /// A string, or `null`.
    ///
    /// # Errors
    /// Any other type.
    pub fn optional_string(&self) -> Result<Option<String>, Failure> {
        if self.is_null() {
            Ok(None)
        } else {
            self.string().map(Some)
        }
    }

    /// A boolean; strict parsers take `"true"` and `"false"` as well.
    ///
    /// # Errors
    /// Any other type.
    pub fn boolean(&self) -> Result<bool, Failure> {
        let lenient = matches!(self.grammar, Grammar::Strict(_));
        match self.raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            "\"true\"" if lenient => Ok(true),
            "\"false\"" if lenient => Ok(false),
            _ => Err(self.mistyped("boolean")),
        }
    }

    /// A string, or an array of strings.
    ///
    /// # Errors
    /// Any other type.
    pub fn strings(&self) -> Result<Vec<String>, Failure> {
        if self.token() == "VALUE_STRING" {
            return Ok(vec![self.string()?]);
        }
        serde_json::from_str(self.raw.get()).map_err(|_| self.mistyped("string array"))
    }

    /// An array of strings or one string with commas.
    ///
    /// # Errors
    /// Any other type.
    pub fn comma_strings(&self) -> Result<Vec<String>, Failure> {
        if self.token() == "VALUE_STRING" {
            return Ok(split_commas(&self.string()?));
        }
        self.strings()
    }

    /// An object of anything, in the order written.
    ///
    /// # Errors
    /// Any other type.
    pub fn map(&self) -> Result<Map<String, Value>, Failure> {
        serde_json::from_str(self.raw.get()).map_err(|_| self.mistyped("object"))
    }

    /// Anything.
    ///
    /// # Errors
    /// JSON nested too deeply.
    pub fn value(&self) -> Result<Value, Failure> {
        serde_json::from_str(self.raw.get()).map_err(|error| broken(&error))
    }

    /// An object, to be read field by field.
    ///
    /// # Errors
    /// Any other type.
    pub fn object(&self, grammar: Grammar) -> Result<Object<'a>, Failure> {
        if self.token() != "START_OBJECT" {
            return Err(self.mistyped("object"));
        }
        Object::from_raw(self.whole, self.raw, grammar)
    }

    /// The elements of an array, each under this field's name; `None` for anything else.
    pub fn elements(&self) -> Option<Vec<Self>>
    where
        Self: 'a,
    {
        if self.token() != "START_ARRAY" {
            return None;
        }
        let items: Vec<&'a RawValue> = serde_json::from_str(self.raw.get()).ok()?;
        let items = items.into_iter().map(|raw| Self { raw, ..*self });
        Some(items.collect())
    }

    /// An array of objects, to be read field by field.
    ///
    /// # Errors
    /// Any other type.
    pub fn objects(&self, grammar: Grammar) -> Result<Vec<Object<'a>>, Failure> {
        let items: Vec<&'a RawValue> =
            serde_json::from_str(self.raw.get()).map_err(|_| self.mistyped("array"))?;
        items
            .into_iter()
            .map(|raw| Object::from_raw(self.whole, raw, grammar))
            .collect()
    }
}

/// `a, b,c` → three names; empty parts are dropped.
pub fn split_commas(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The refusal of something that isn't JSON.
pub fn broken(error: &serde_json::Error) -> Failure {
    // serde_json appends the position; Elasticsearch puts it in front.
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    Failure::x_content(format!("[{}:{}] {text}", error.line(), error.column()))
}

/// Where well-formed JSON is nested deeper than `DEEPEST`, if it is. Needs no stack.
fn too_deep(json: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in json.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > DEEPEST {
                    return Some(at);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// `[line:column]` of a value, both counted from one. `part` must be a slice of `whole`; otherwise the start is named.
fn position(whole: &[u8], part: &str) -> String {
    let at = offset(whole, part);
    at_offset(whole, at)
}

/// `[line:column]` of the name in front of a value.
fn field_position(whole: &[u8], value: &str) -> String {
    let before = &whole[..offset(whole, value)];
    let close = before.iter().rposition(|byte| *byte == b'"').unwrap_or(0);
    let open = before[..close]
        .iter()
        .rposition(|byte| *byte == b'"')
        .unwrap_or(0);
    at_offset(whole, open)
}

fn offset(whole: &[u8], part: &str) -> usize {
    (part.as_ptr() as usize)
        .checked_sub(whole.as_ptr() as usize)
        .filter(|at| *at <= whole.len())
        .unwrap_or(0)
}

fn at_offset(whole: &[u8], at: usize) -> String {
    let (line, column) = place(whole, at);
    format!("[{line}:{column}]")
}

/// Line and column of an offset, both counted from one.
pub fn place(whole: &[u8], at: usize) -> (usize, usize) {
    let before = &whole[..at.min(whole.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before
        .iter()
        .rev()
        .take_while(|byte| **byte != b'\n')
        .count()
        + 1;
    (line, column)
}

struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Grammar = Grammar::Strict("p");

    fn reason(failure: &Failure) -> String {
        failure.cause().1.to_owned()
    }

    #[test]
    fn a_strict_parser_names_the_place_of_an_unknown_field() {
        let object = Object::parse(b"{\"a\": 1,\n  \"bc\": 2}", STRICT).unwrap();
        let field = object.fields().nth(1).unwrap();
        assert_eq!(reason(&field.unknown()), "[2:3] [p] unknown field [bc]");
    }

    #[test]
    fn a_strict_parser_names_the_place_of_a_wrong_type() {
        let object = Object::parse(b"{\"name\":5}", STRICT).unwrap();
        let failure = object.fields().next().unwrap().string().unwrap_err();
        assert_eq!(
            reason(&failure),
            "[1:9] [p] name doesn't support values of type: VALUE_NUMBER"
        );
    }

    #[test]
    fn a_doubled_field_is_refused() {
        let failure = Object::parse(b"{\"a\":1,\"a\":2}", STRICT).err().unwrap();
        assert!(reason(&failure).contains("Duplicate field 'a'"));
    }

    #[test]
    fn nesting_is_bounded_whatever_stands_in_strings() {
        let nested = |depth: usize| {
            let inner = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            format!("{{\"a\":\"[{{\\\"[\",\"b\":{inner}}}")
        };
        assert!(Object::parse(nested(DEEPEST - 1).as_bytes(), STRICT).is_ok());
        for depth in [DEEPEST, 127, 128, 100_000] {
            let body = nested(depth);
            let failure = Object::parse(body.as_bytes(), STRICT).err().unwrap();
            assert!(
                reason(&failure).contains("nesting depth"),
                "{depth}: {failure:?}"
            );
        }
    }

    #[test]
    fn broken_json_is_refused_with_its_place() {
        for body in [&b"{\"a\":"[..], b"", b"{", b"[1", b"{}x", b"\xff"] {
            let failure = Object::parse(body, STRICT).err().unwrap();
            assert!(reason(&failure).starts_with('['), "{failure:?}");
        }
    }
}
