//! Sorting, and going on after a page (`search_after`).

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::budget::Budget;
use super::date::Reader;
use super::datum::{Datum, Document, values};
use super::fault::Fault;
use super::leaf_parse::{parse_flag, scalar};
use super::schema::{Field, Kind, Schema};

/// Keys that one search may sort by.
const MAX_KEYS: usize = 32;

/// What to sort by.
#[derive(Clone, Debug)]
pub struct Key {
    /// The field; `None`: the order of the documents.
    field: Option<Field>,
    descending: bool,
    missing: Missing,
    /// Of several values the largest counts, not the smallest.
    by_largest: bool,
}

/// Where documents without a value go.
#[derive(Clone, Debug, PartialEq)]
enum Missing {
    First,
    Last,
    /// As if they had this one.
    Value(i64),
}

/// What one document is sorted by.
#[derive(Clone, Debug, PartialEq)]
pub enum SortValue {
    /// A date, a flag as 0 or 1, or a place in order. Documents without one have the largest or smallest there is.
    Number(i64),
    /// A text.
    Text(Option<String>),
}

/// Reads `sort`: a name, an object, or a list of these.
///
/// # Errors
/// A malformed sort, a field that is not allowed or can't be sorted by, too many keys.
pub fn parse(sort: &Value, schema: &Schema, now: i64) -> Result<Vec<Key>, Fault> {
    let one = std::slice::from_ref(sort);
    let items = sort.as_array().map_or(one, Vec::as_slice);
    if items.len() > MAX_KEYS {
        return Err(Fault::refused(format!(
            "[sort] may not have more than [{MAX_KEYS}] fields"
        )));
    }
    items
        .iter()
        .map(|item| parse_key(item, schema, now))
        .collect()
}

fn parse_key(item: &Value, schema: &Schema, now: i64) -> Result<Key, Fault> {
    let (name, options) = match item {
        Value::String(name) => (name.as_str(), &Value::Null),
        Value::Object(fields) if fields.len() == 1 => {
            let field = fields.iter().next();
            field.map_or(("", &Value::Null), |(name, options)| (name, options))
        }
        _ => return Err(Fault::refused("mal-formatted sort object")),
    };
    let options = Options::parse(name, options)?;
    let field = match name {
        "_doc" => None,
        name => Some(schema.sort_field(name)?),
    };
    let missing = options.missing(field.as_ref(), now)?;
    Ok(Key {
        field,
        descending: options.descending,
        missing,
        by_largest: options.by_largest.unwrap_or(options.descending),
    })
}

#[derive(Default)]
struct Options {
    descending: bool,
    by_largest: Option<bool>,
    missing: Option<String>,
}

impl Options {
    fn parse(name: &str, value: &Value) -> Result<Self, Fault> {
        let mut options = Self::default();
        match value {
            Value::Null => {}
            Value::Object(parameters) => {
                for (key, value) in parameters {
                    options.read(name, key, value)?;
                }
            }
            order => options.descending = parse_order(order)?,
        }
        Ok(options)
    }

    fn read(&mut self, name: &str, key: &str, value: &Value) -> Result<(), Fault> {
        match key {
            "order" => self.descending = parse_order(value)?,
            "missing" => self.missing = Some(scalar(value)?),
            "mode" => {
                self.by_largest = Some(match scalar(value)?.to_lowercase().as_str() {
                    "max" => true,
                    "min" => false,
                    other => {
                        return Err(Fault::refused(format!(
                            "we only support [min] and [max] as sort mode here, but got [{other}]"
                        )));
                    }
                });
            }
            "nested" => {
                return Err(Fault::refused(
                    "nested sorting is not currently supported in this context",
                ));
            }
            "unmapped_type" | "numeric_type" | "format" => {}
            _ => {
                return Err(Fault::grammar(format!(
                    "[field_sort] unknown field [{key}] in sort by [{name}]"
                )));
            }
        }
        Ok(())
    }

    fn missing(&self, field: Option<&Field>, now: i64) -> Result<Missing, Fault> {
        match (self.missing.as_deref(), field.map(|field| field.kind)) {
            (None | Some("_last"), _) => Ok(Missing::Last),
            (Some("_first"), _) => Ok(Missing::First),
            (Some(text), Some(Kind::Date)) => {
                Ok(Missing::Value(Reader::at(now).read(text, false)?))
            }
            (Some(text), Some(Kind::Boolean)) => Ok(Missing::Value(i64::from(parse_flag(text)?))),
            (Some(text), _) => Err(Fault::refused(format!(
                "missing value [{text}] must be either _first or _last"
            ))),
        }
    }
}

fn parse_order(value: &Value) -> Result<bool, Fault> {
    let text = scalar(value)?;
    match text.to_lowercase().as_str() {
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err(Fault::refused(format!(
            "No enum constant org.elasticsearch.search.sort.SortOrder.{}",
            text.to_uppercase()
        ))),
    }
}

impl Key {
    /// What a document at this place is sorted by.
    pub fn value(&self, document: &impl Document, place: usize, budget: &Budget) -> SortValue {
        let Some(field) = &self.field else {
            return SortValue::Number(i64::try_from(place).unwrap_or(i64::MAX));
        };
        let mut values = values(document, field, budget);
        let chosen = if self.by_largest {
            values.pop()
        } else {
            values.into_iter().next()
        };
        match chosen {
            Some(Datum::Bool(flag)) => SortValue::Number(i64::from(flag)),
            Some(Datum::Date(millis)) => SortValue::Number(millis),
            Some(Datum::Text(text)) => SortValue::Text(Some(text.into_owned())),
            None => self.absent(),
        }
    }

    fn is_numeric(&self) -> bool {
        let kind = self.field.as_ref().map(|field| field.kind);
        matches!(kind, None | Some(Kind::Date | Kind::Boolean))
    }

    fn absent(&self) -> SortValue {
        if !self.is_numeric() {
            return SortValue::Text(None);
        }
        SortValue::Number(match self.missing {
            Missing::Value(value) => value,
            Missing::First if self.descending => i64::MAX,
            Missing::First => i64::MIN,
            Missing::Last if self.descending => i64::MIN,
            Missing::Last => i64::MAX,
        })
    }

    fn compare(&self, one: &SortValue, other: &SortValue) -> Ordering {
        let turned = |ordering: Ordering| {
            if self.descending {
                ordering.reverse()
            } else {
                ordering
            }
        };
        match (one, other) {
            (SortValue::Text(None), SortValue::Text(None)) => Ordering::Equal,
            (SortValue::Text(None), _) => self.place_of_nothing(),
            (_, SortValue::Text(None)) => self.place_of_nothing().reverse(),
            (SortValue::Text(Some(one)), SortValue::Text(Some(other))) => turned(one.cmp(other)),
            (SortValue::Number(one), SortValue::Number(other)) => turned(one.cmp(other)),
            // One field has values of one kind.
            (SortValue::Number(_), SortValue::Text(_)) => Ordering::Less,
            (SortValue::Text(_), SortValue::Number(_)) => Ordering::Greater,
        }
    }

    fn place_of_nothing(&self) -> Ordering {
        if self.missing == Missing::First {
            Ordering::Less
        } else {
            Ordering::Greater
        }
    }

    /// How `_sort` shows a value.
    fn show(&self, value: &SortValue) -> Value {
        let is_flag = self
            .field
            .as_ref()
            .is_some_and(|field| field.kind == Kind::Boolean);
        match value {
            SortValue::Number(number) if is_flag => json!(*number != 0),
            SortValue::Number(number) => json!(number),
            SortValue::Text(text) => json!(text),
        }
    }

    /// Reads one value of `search_after`.
    fn read(&self, value: &Value, now: i64) -> Result<SortValue, Fault> {
        if value.is_null() {
            return Ok(self.absent());
        }
        let text = scalar(value)?;
        match self.field.as_ref().map(|field| field.kind) {
            None => text.parse().map(SortValue::Number).map_err(|_| {
                Fault::refused(format!(
                    "Failed to parse search_after value for field [_doc]: {text}"
                ))
            }),
            Some(Kind::Date) => {
                let number = value.as_i64().or_else(|| text.parse().ok());
                let millis = number.map_or_else(|| Reader::at(now).read(&text, false), Ok)?;
                Ok(SortValue::Number(millis))
            }
            Some(Kind::Boolean) => {
                let number = value.as_i64().map(|number| number != 0);
                let flag = number.map_or_else(|| parse_flag(&text), Ok)?;
                Ok(SortValue::Number(i64::from(flag)))
            }
            Some(Kind::Keyword | Kind::Flattened | Kind::Text | Kind::Email) => {
                Ok(SortValue::Text(Some(text)))
            }
        }
    }
}

/// Compares two documents by all keys.
pub fn compare(keys: &[Key], one: &[SortValue], other: &[SortValue]) -> Ordering {
    keys.iter()
        .zip(one.iter().zip(other))
        .map(|(key, (one, other))| key.compare(one, other))
        .find(|ordering| ordering.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// What `_sort` shows of a document.
pub fn show(keys: &[Key], values: &[SortValue]) -> Vec<Value> {
    keys.iter()
        .zip(values)
        .map(|(key, value)| key.show(value))
        .collect()
}

/// Reads `search_after`.
///
/// # Errors
/// Another number of values than there are keys, or a value its field can't hold.
pub fn parse_after(values: &[Value], keys: &[Key], now: i64) -> Result<Vec<SortValue>, Fault> {
    if keys.is_empty() {
        return Err(Fault::refused("Sort must contain at least one field."));
    }
    if values.len() != keys.len() {
        return Err(Fault::refused(format!(
            "search_after has {} value(s) but sort has {}.",
            values.len(),
            keys.len()
        )));
    }
    keys.iter()
        .zip(values)
        .map(|(key, value)| key.read(value, now))
        .collect()
}
