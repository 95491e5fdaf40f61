//! Reading `range` queries.

use std::ops::Bound;

use serde_json::Value;

use super::date::Reader;
use super::date_format::{self, Format};
use super::fault::Fault;
use super::leaf::{Leaf, Test};
use super::leaf_parse::{flag, one_field, parse_flag, scalar, unknown};
use super::parse::Context;
use super::schema::Kind;

/// The ends of a range, as written.
struct Range {
    lower: Option<String>,
    upper: Option<String>,
    with_lower: bool,
    with_upper: bool,
    format: Option<Format>,
    zone: i64,
}

/// Reads `{"range": {FIELD: {"gte": .., "lt": .., ..}}}`.
///
/// # Errors
/// A malformed query, a field that is not allowed, an end the field can't hold, a relation.
pub fn range(body: &Value, context: &Context<'_>) -> Result<Leaf, Fault> {
    let (name, body) = one_field("range", body)?;
    let parameters = body
        .as_object()
        .ok_or_else(|| Fault::grammar(format!("[range] query does not support [{name}]")))?;
    let mut range = Range {
        lower: None,
        upper: None,
        with_lower: true,
        with_upper: true,
        format: None,
        zone: 0,
    };
    for (key, value) in parameters {
        range.read(key, value)?;
    }
    let field = context.schema.field(name)?;
    let test = match field.kind {
        Kind::Date => range.moments(context.now)?,
        Kind::Boolean => range.flags()?,
        Kind::Keyword | Kind::Text | Kind::Email | Kind::Flattened => range.texts(),
    };
    Ok(Leaf { field, test })
}

impl Range {
    fn read(&mut self, key: &str, value: &Value) -> Result<(), Fault> {
        let end = || match value {
            Value::Null => Ok(None),
            other => scalar(other).map(Some),
        };
        match key {
            "gt" | "gte" | "from" => {
                self.lower = end()?;
                if key != "from" {
                    self.with_lower = key == "gte";
                }
            }
            "lt" | "lte" | "to" => {
                self.upper = end()?;
                if key != "to" {
                    self.with_upper = key == "lte";
                }
            }
            "include_lower" => self.with_lower = flag("range", key, value)?,
            "include_upper" => self.with_upper = flag("range", key, value)?,
            "format" => self.format = Some(parse_format(&scalar(value)?)?),
            "time_zone" => self.zone = parse_zone(&scalar(value)?)?,
            "relation" => {
                return Err(Fault::refused(
                    "range query with relation is not currently supported in this context",
                ));
            }
            "boost" | "_name" => {}
            _ => return Err(unknown("range", key)),
        }
        Ok(())
    }

    fn moments(self, now: i64) -> Result<Test, Fault> {
        let reader = Reader {
            format: self.format.unwrap_or_default(),
            zone: self.zone,
            now,
        };
        let mut span = (i64::MIN, i64::MAX);
        if let Some(lower) = &self.lower {
            let millis = reader.read(lower, !self.with_lower)?;
            span.0 = if self.with_lower {
                millis
            } else {
                millis.saturating_add(1)
            };
        }
        if let Some(upper) = &self.upper {
            let millis = reader.read(upper, self.with_upper)?;
            span.1 = if self.with_upper {
                millis
            } else {
                millis.saturating_sub(1)
            };
        }
        Ok(Test::Moments(vec![span.0..=span.1]))
    }

    fn flags(self) -> Result<Test, Fault> {
        let lower = self.lower.as_deref().map(parse_flag).transpose()?;
        let upper = self.upper.as_deref().map(parse_flag).transpose()?;
        let (lower, upper) = (lower.map(u8::from), upper.map(u8::from));
        let fits = |value: u8| {
            lower.is_none_or(|lower| value > lower || (self.with_lower && value == lower))
                && upper.is_none_or(|upper| value < upper || (self.with_upper && value == upper))
        };
        Ok(Test::Flags {
            yes: fits(1),
            no: fits(0),
        })
    }

    fn texts(self) -> Test {
        let bound = |end: Option<String>, included: bool| match end {
            None => Bound::Unbounded,
            Some(end) if included => Bound::Included(end),
            Some(end) => Bound::Excluded(end),
        };
        Test::Between(
            bound(self.lower, self.with_lower),
            bound(self.upper, self.with_upper),
        )
    }
}

/// A `format`.
///
/// # Errors
/// One that is not known.
pub fn parse_format(text: &str) -> Result<Format, Fault> {
    Format::parse(text).ok_or_else(|| {
        Fault::refused(format!(
            "Invalid format: [{}]: Unknown pattern letter",
            text.chars().take(64).collect::<String>()
        ))
    })
}

/// A `time_zone`, in seconds east of Greenwich.
///
/// # Errors
/// Anything but an offset; zones by place are not known here.
pub fn parse_zone(text: &str) -> Result<i64, Fault> {
    date_format::parse_zone(text).ok_or_else(|| {
        Fault::refused(format!(
            "Unknown time-zone ID: {}",
            text.chars().take(64).collect::<String>()
        ))
    })
}
