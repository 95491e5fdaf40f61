//! The rule language of role mappings: `any`, `all`, `field`, `except`.
//!
//! A rule is read once, with Elasticsearch's words for what is wrong, and written back as it was. Reading is bounded by the
//! number of values and by the states of their patterns; depth by the JSON reader.

use serde_json::{Map, Value, json};

use super::model::MappedUser;
use super::value::FieldValue;
use crate::authority::access::budget::Budget;
use crate::authority::failure::Failure;

/// Most rules and values of one mapping.
const MAX_PARTS: usize = 10_000;
/// Most automaton states of one mapping.
const MAX_STATES: usize = 200_000;

/// A compiled rule.
#[derive(Clone, Debug)]
pub enum Rule {
    /// One of them; none at all: no.
    Any(Vec<Self>),
    /// All of them; none at all: yes.
    All(Vec<Self>),
    /// Not this; only inside `all`.
    Except(Box<Self>),
    /// A field has one of these values.
    Field(Field),
}

/// A field and the values it may have.
#[derive(Clone, Debug)]
pub struct Field {
    name: String,
    values: Vec<FieldValue>,
}

impl Rule {
    /// Reads `rules` of the mapping called `mapping`.
    ///
    /// # Errors
    /// The first thing that doesn't fit the language.
    pub fn parse(value: &Value, mapping: &str) -> Result<Self, Failure> {
        let mut bounds = Bounds {
            parts: 0,
            states: 0,
            budget: Budget::for_questions(),
        };
        parse(value, mapping, false, &mut bounds)
    }

    /// The rule as answers show it: a single value bare, several as an array.
    pub fn json(&self) -> Value {
        let list = |rules: &[Self]| -> Value { rules.iter().map(Self::json).collect() };
        match self {
            Self::Any(rules) => json!({"any": list(rules)}),
            Self::All(rules) => json!({"all": list(rules)}),
            Self::Except(rule) => json!({"except": rule.json()}),
            Self::Field(field) => {
                let value = match field.values.as_slice() {
                    [one] => one.json(),
                    several => several.iter().map(FieldValue::json).collect(),
                };
                json!({"field": Map::from_iter([(field.name.clone(), value)])})
            }
        }
    }

    /// Whether the rule holds for a user.
    pub fn matches(&self, user: &MappedUser<'_>) -> bool {
        match self {
            Self::Any(rules) => rules.iter().any(|rule| rule.matches(user)),
            Self::All(rules) => rules.iter().all(|rule| rule.matches(user)),
            Self::Except(rule) => !rule.matches(user),
            Self::Field(field) => field.values.iter().any(|value| field.holds(value, user)),
        }
    }
}

impl Field {
    fn holds(&self, value: &FieldValue, user: &MappedUser<'_>) -> bool {
        match self.name.as_str() {
            "username" => value.matches_text(user.username),
            "realm.name" => value.matches_text(user.realm),
            "dn" => user.dn.map_or(matches!(value, FieldValue::Null), |dn| {
                value.matches_name(dn)
            }),
            "groups" => user.groups.iter().any(|group| value.matches_name(group)),
            name => {
                let known = name
                    .strip_prefix("metadata.")
                    .and_then(|key| user.metadata.get(key));
                value.matches(known.unwrap_or(&Value::Null))
            }
        }
    }
}

/// How much was read.
struct Bounds {
    parts: usize,
    states: usize,
    /// What all patterns of the rules draw from.
    budget: Budget,
}

impl Bounds {
    fn count(&mut self, states: usize) -> Result<(), Failure> {
        self.parts += 1;
        self.states += states;
        if self.parts > MAX_PARTS || self.states > MAX_STATES {
            return Err(refusal(
                "the rules are too long or their patterns too complex",
            ));
        }
        Ok(())
    }
}

fn refusal(why: impl std::fmt::Display) -> Failure {
    Failure::parse(format!("failed to parse rules expression. {why}"))
}

fn token(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "START_OBJECT",
        Value::Array(_) => "START_ARRAY",
        Value::String(_) => "VALUE_STRING",
        Value::Bool(_) => "VALUE_BOOLEAN",
        Value::Null => "VALUE_NULL",
        Value::Number(_) => "VALUE_NUMBER",
    }
}

/// The one field of the object called `name`.
fn only_field<'v>(
    map: &'v Map<String, Value>,
    name: &str,
) -> Result<(&'v str, &'v Value), Failure> {
    let mut fields = map.iter();
    let first = fields
        .next()
        .ok_or_else(|| refusal(format!("object [{name}] does not contain any fields")))?;
    Ok((first.0, first.1))
}

fn check_single(map: &Map<String, Value>, name: &str) -> Result<(), Failure> {
    if map.len() > 1 {
        return Err(refusal(format!("object [{name}] contains multiple fields")));
    }
    Ok(())
}

fn parse(value: &Value, name: &str, in_all: bool, bounds: &mut Bounds) -> Result<Rule, Failure> {
    bounds.count(0)?;
    let Value::Object(map) = value else {
        return Err(refusal(format!(
            "expected [{name}] to be an object but found [{}] instead",
            token(value)
        )));
    };
    let (kind, inner) = only_field(map, name)?;
    let rule = match kind {
        "any" => Rule::Any(parse_list(inner, "any", bounds)?),
        "all" => Rule::All(parse_list(inner, "all", bounds)?),
        "field" => Rule::Field(parse_field(inner, bounds)?),
        "except" if in_all => {
            expect_object(inner)?;
            Rule::Except(Box::new(parse(inner, "except", false, bounds)?))
        }
        "except" => {
            return Err(refusal(format!(
                "field [except] is not allowed within [{name}]"
            )));
        }
        other => {
            return Err(refusal(format!(
                "field [{other}] is not recognised in object [{name}]"
            )));
        }
    };
    // Last, as a parser that reads from left to right finds it.
    check_single(map, name)?;
    Ok(rule)
}

fn expect_object(value: &Value) -> Result<&Map<String, Value>, Failure> {
    value.as_object().ok_or_else(|| {
        refusal(format!(
            "expected an object but found [{}] instead",
            token(value)
        ))
    })
}

fn parse_list(value: &Value, name: &str, bounds: &mut Bounds) -> Result<Vec<Rule>, Failure> {
    let Value::Array(items) = value else {
        return Err(refusal(format!("field [{name}] requires an array")));
    };
    items
        .iter()
        .map(|item| parse(item, name, name == "all", bounds))
        .collect()
}

fn parse_field(value: &Value, bounds: &mut Bounds) -> Result<Field, Failure> {
    let map = expect_object(value)?;
    let (name, value) = only_field(map, "field")?;
    let values = match value {
        Value::Array(items) => items
            .iter()
            .map(|item| parse_value(item, bounds))
            .collect::<Result<Vec<_>, _>>()?,
        single => vec![parse_value(single, bounds)?],
    };
    check_single(map, "field")?;
    if name.is_empty() {
        return Err(Failure::illegal_argument("null or empty field name ()"));
    }
    if values.is_empty() {
        return Err(Failure::illegal_argument("null or empty values ([])"));
    }
    Ok(Field {
        name: name.to_owned(),
        values,
    })
}

fn parse_value(value: &Value, bounds: &mut Bounds) -> Result<FieldValue, Failure> {
    let parsed = match value {
        Value::Null => FieldValue::Null,
        Value::Bool(value) => FieldValue::Boolean(*value),
        Value::Number(number) => FieldValue::Number(whole(number)),
        Value::String(text) => FieldValue::text(text.clone(), &bounds.budget)
            .map_err(|error| Failure::illegal_argument(error.to_string()))?,
        Value::Array(_) | Value::Object(_) => {
            return Err(refusal(format!(
                "expected a field value but found [{}] instead",
                token(value)
            )));
        }
    };
    bounds.count(parsed.states())?;
    Ok(parsed)
}

/// Elasticsearch reads every number of a rule as a whole one.
fn whole(number: &serde_json::Number) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "truncating and saturating is the point"
    )]
    number
        .as_i64()
        .unwrap_or_else(|| number.as_f64().unwrap_or_default() as i64)
}
