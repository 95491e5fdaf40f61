//! Reading the bodies of aggregations: fields, sizes, orders, spans, filters.

use serde_json::{Map, Value};

use super::aggregation::{Filters, Source};
use super::buckets::{Choice, Order, Ranges, Span, Terms};
use super::budget::MAX_BUCKETS;
use super::date::Reader;
use super::date_format::Format;
use super::datum::Datum;
use super::fault::Fault;
use super::leaf_parse::{flag, parse_flag, scalar};
use super::parse::{self, Context};
use super::range_parse::{parse_format, parse_zone};
use super::schema::{Field, Kind as FieldKind};
use crate::authority::access::automaton::Automaton;

/// Spans, filters or parts that an aggregation may have.
const MAX_ITEMS: usize = 1_024;
/// Orders of buckets that one aggregation may have.
const MAX_ORDERS: usize = 16;

/// Reads the body of one aggregation.
pub struct Body<'a> {
    /// The aggregation's name.
    pub name: &'a str,
    /// Its type.
    pub label: &'a str,
    /// What queries need to know.
    pub context: &'a Context<'a>,
}

impl Body<'_> {
    /// The body as an object.
    ///
    /// # Errors
    /// Anything else.
    pub fn object<'v>(&self, body: &'v Value) -> Result<&'v Map<String, Value>, Fault> {
        body.as_object().ok_or_else(|| {
            Fault::grammar(format!(
                "Expected [START_OBJECT] under [{}] in [{}]",
                self.label, self.name
            ))
        })
    }

    /// The refusal of a parameter nobody knows.
    pub fn unknown(&self, key: &str) -> Fault {
        Fault::grammar(format!("[{}] unknown field [{key}]", self.label))
    }

    /// The field and its stand-in.
    ///
    /// # Errors
    /// A script, no field, or one that is not allowed.
    pub fn source(&self, body: &Map<String, Value>) -> Result<Source, Fault> {
        if body.contains_key("script") {
            return Err(Fault::refused(format!(
                "Unsupported script value source for [{}] agg",
                self.name
            )));
        }
        let name = body.get("field").map(scalar).transpose()?;
        let name = name.ok_or_else(|| {
            Fault::refused(format!(
                "Required one of fields [field, script], but none were specified. [{}]",
                self.name
            ))
        })?;
        let field = self.context.schema.field(&name)?;
        if field.kind.is_analyzed() {
            return Err(Fault::refused(format!(
                "Field [{}] of type [text] is not supported for aggregation [{}]",
                field.index_name, self.label
            )));
        }
        let missing = match body.get("missing") {
            None | Some(Value::Null) => None,
            Some(value) => Some(self.datum(&field, value)?),
        };
        Ok(Source { field, missing })
    }

    /// Reads an aggregation that has a field and little else.
    ///
    /// # Errors
    /// A malformed body, a field that is not allowed.
    pub fn source_only(&self, body: &Value) -> Result<Source, Fault> {
        let body = self.object(body)?;
        for key in body.keys() {
            match key.as_str() {
                "field" | "missing" | "script" | "format" | "value_type" => {}
                "precision_threshold" | "execution_hint" | "rehash"
                    if self.label == "cardinality" => {}
                other => return Err(self.unknown(other)),
            }
        }
        self.source(body)
    }

    /// A value of a field.
    ///
    /// # Errors
    /// One the field can't hold.
    pub fn datum(&self, field: &Field, value: &Value) -> Result<Datum<'static>, Fault> {
        let text = scalar(value)?;
        match field.kind {
            FieldKind::Date => {
                let reader = Reader::at(self.context.now);
                let millis = value
                    .as_i64()
                    .map_or_else(|| reader.read(&text, false), Ok)?;
                Ok(Datum::Date(millis))
            }
            FieldKind::Boolean => {
                let number = value.as_i64().map(|number| number != 0);
                Ok(Datum::Bool(number.map_or_else(|| parse_flag(&text), Ok)?))
            }
            _ => Ok(Datum::Text(text.into())),
        }
    }

    /// A `size`.
    ///
    /// # Errors
    /// None, and more than there can be.
    pub fn size(&self, value: &Value) -> Result<usize, Fault> {
        let size = value
            .as_i64()
            .or_else(|| value.as_str()?.parse().ok())
            .unwrap_or(-1);
        match usize::try_from(size) {
            Ok(size) if (1..=MAX_BUCKETS).contains(&size) => Ok(size),
            Ok(size) if size > MAX_BUCKETS => Err(Fault::Buckets(MAX_BUCKETS)),
            _ => Err(Fault::refused(format!(
                "[size] must be greater than 0. Found [{size}] in [{}]",
                self.name
            ))),
        }
    }

    /// Reads `terms`.
    ///
    /// # Errors
    /// A malformed body, a field that is not allowed.
    pub fn terms(&self, body: &Value) -> Result<Terms, Fault> {
        let body = self.object(body)?;
        let mut terms = Terms {
            source: self.source(body)?,
            size: 10,
            least: 1,
            orders: vec![(Order::Count, true)],
            include: None,
            exclude: None,
        };
        for (key, value) in body {
            match key.as_str() {
                "size" => terms.size = self.size(value)?,
                "min_doc_count" => {
                    let least = value.as_u64().and_then(|least| usize::try_from(least).ok());
                    terms.least = least.ok_or_else(|| {
                        Fault::refused(format!(
                            "[min_doc_count] must be greater than or equal to 0. Found [{value}] in [{}]",
                            self.name
                        ))
                    })?;
                }
                "order" => terms.orders = parse_orders(value)?,
                "include" => terms.include = Some(parse_choice(value, self.context)?),
                "exclude" => terms.exclude = Some(parse_choice(value, self.context)?),
                "field"
                | "missing"
                | "shard_size"
                | "shard_min_doc_count"
                | "execution_hint"
                | "collect_mode"
                | "show_term_doc_count_error"
                | "format"
                | "value_type"
                | "script" => {}
                other => return Err(self.unknown(other)),
            }
        }
        Ok(terms)
    }

    /// Reads `range`, or `date_range` (`of_dates`).
    ///
    /// # Errors
    /// A malformed body, a field that is not allowed or holds no dates.
    pub fn ranges(&self, body: &Value, of_dates: bool) -> Result<Ranges, Fault> {
        let body = self.object(body)?;
        let source = self.source(body)?;
        if source.field.kind != FieldKind::Date {
            return Err(Fault::refused(format!(
                "Field [{}] of type [{}] is not supported for aggregation [{}]",
                source.field.index_name,
                source.field.kind.label(),
                self.label
            )));
        }
        let mut ranges = Ranges {
            source,
            spans: Vec::new(),
            keyed: false,
            format: Format::default(),
            zone: 0,
            of_dates,
        };
        let mut items = None;
        for (key, value) in body {
            match key.as_str() {
                "ranges" => items = value.as_array(),
                "keyed" => ranges.keyed = flag(self.label, key, value)?,
                "format" => ranges.format = parse_format(&scalar(value)?)?,
                "time_zone" if of_dates => ranges.zone = parse_zone(&scalar(value)?)?,
                "field" | "missing" | "script" | "value_type" => {}
                other => return Err(self.unknown(other)),
            }
        }
        let items = items.filter(|items| !items.is_empty()).ok_or_else(|| {
            Fault::refused(format!(
                "No [ranges] specified for the [{}] aggregation",
                self.name
            ))
        })?;
        self.check_count(items.len())?;
        let reader = Reader {
            format: ranges.format.clone(),
            zone: ranges.zone,
            now: self.context.now,
        };
        for item in items {
            ranges.spans.push(self.span(item, &reader)?);
        }
        ranges.spans.sort_by(Span::compare);
        Ok(ranges)
    }

    fn span(&self, item: &Value, reader: &Reader) -> Result<Span, Fault> {
        let mut span = Span {
            key: None,
            from: None,
            to: None,
        };
        for (key, value) in self.object(item)? {
            match key.as_str() {
                "key" => span.key = Some(scalar(value)?),
                "from" => span.from = end(value, reader)?,
                "to" => span.to = end(value, reader)?,
                other => return Err(self.unknown(other)),
            }
        }
        Ok(span)
    }

    /// Reads `filters`.
    ///
    /// # Errors
    /// A malformed body, a query that is not allowed.
    pub fn filters(&self, body: &Value) -> Result<Filters, Fault> {
        let mut filters = Filters {
            filters: Vec::new(),
            other: None,
            keyed: true,
        };
        let (mut with_other, mut other_name) = (None, None);
        for (key, value) in self.object(body)? {
            match (key.as_str(), value) {
                ("filters", Value::Object(named)) => {
                    self.check_count(named.len())?;
                    for (name, query) in named {
                        let filter = parse::compile(query, self.context)?;
                        filters.filters.push((Some(name.clone()), filter));
                    }
                    // Elasticsearch orders named filters by name, whatever the request's order.
                    filters
                        .filters
                        .sort_by(|(one, _), (other, _)| one.cmp(other));
                }
                ("filters", Value::Array(queries)) => {
                    self.check_count(queries.len())?;
                    for query in queries {
                        filters
                            .filters
                            .push((None, parse::compile(query, self.context)?));
                    }
                }
                ("other_bucket", value) => with_other = Some(flag(self.label, key, value)?),
                ("other_bucket_key", value) => other_name = Some(scalar(value)?),
                ("keyed", value) => filters.keyed = flag(self.label, key, value)?,
                (other, _) => return Err(self.unknown(other)),
            }
        }
        if filters.filters.is_empty() {
            return Err(Fault::refused(format!(
                "[filters] cannot be empty in [{}]",
                self.name
            )));
        }
        if with_other.unwrap_or(other_name.is_some()) {
            filters.other = Some(other_name.unwrap_or_else(|| "_other_".to_owned()));
        }
        Ok(filters)
    }

    /// Bounds a list.
    ///
    /// # Errors
    /// More items than an aggregation may have.
    pub fn check_count(&self, count: usize) -> Result<(), Fault> {
        if count > MAX_ITEMS {
            return Err(Fault::refused(format!(
                "[{}] may not have more than [{MAX_ITEMS}] items",
                self.name
            )));
        }
        Ok(())
    }
}

/// An end of a span: a number of milliseconds, or a date.
fn end(value: &Value, reader: &Reader) -> Result<Option<f64>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64()),
        other => {
            #[expect(
                clippy::cast_precision_loss,
                reason = "dates of ten thousand years fit"
            )]
            let millis = reader.read(&scalar(other)?, false)? as f64;
            Ok(Some(millis))
        }
    }
}

fn parse_orders(value: &Value) -> Result<Vec<(Order, bool)>, Fault> {
    let one = std::slice::from_ref(value);
    let items = value.as_array().map_or(one, Vec::as_slice);
    let mut orders = Vec::new();
    for item in items.iter().take(MAX_ORDERS) {
        let map = item.as_object().filter(|map| map.len() == 1);
        let (key, direction) = map
            .and_then(|map| map.iter().next())
            .ok_or_else(|| Fault::grammar("Must specify at least one field for [order]"))?;
        let descending = match scalar(direction)?.to_lowercase().as_str() {
            "asc" => false,
            "desc" => true,
            other => {
                return Err(Fault::grammar(format!("Unknown order direction [{other}]")));
            }
        };
        let order = match key.as_str() {
            "_count" => Order::Count,
            "_key" => Order::Key,
            path => Order::Below(path.strip_suffix(".value").unwrap_or(path).to_owned()),
        };
        orders.push((order, descending));
    }
    Ok(orders)
}

/// `include` or `exclude`: a list of values, or a regular expression.
fn parse_choice(value: &Value, context: &Context<'_>) -> Result<Choice, Fault> {
    match value {
        Value::Array(values) => {
            let texts = values.iter().map(scalar).collect::<Result<_, _>>()?;
            Ok(Choice::OneOf(texts))
        }
        Value::String(expression) => {
            let pattern = format!("/{expression}/");
            Automaton::of_patterns_within([pattern.as_str()], &context.automata)
                .map(|automaton| Choice::Fitting(Box::new(automaton)))
                .map_err(|error| Fault::refused(error.to_string()))
        }
        _ => Err(Fault::refused(
            "[include] and [exclude] must be a list of values or a regular expression",
        )),
    }
}
