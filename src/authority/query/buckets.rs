//! Buckets by value (`terms`) and by span of time (`range`, `date_range`).

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::aggregation::{Aggregation, Collector, Kind, Source};
use super::date_format::Format;
use super::datum::{Datum, Document};
use super::fault::Fault;
use crate::authority::access::automaton::Automaton;

/// A `terms` aggregation.
#[derive(Debug)]
pub struct Terms {
    /// Where the values come from.
    pub source: Source,
    /// How many buckets.
    pub size: usize,
    /// Documents that a bucket needs.
    pub least: usize,
    /// The order of buckets; what is equal stays in the order of values.
    pub orders: Vec<(Order, bool)>,
    /// Values that count; `None`: all.
    pub include: Option<Choice>,
    /// Values that don't.
    pub exclude: Option<Choice>,
}

/// What buckets are ordered by; with it goes whether the largest is first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Their documents.
    Count,
    /// Their values.
    Key,
    /// The result of an aggregation inside them.
    Below(String),
}

/// Some values.
#[derive(Debug)]
pub enum Choice {
    /// These.
    OneOf(HashSet<String>),
    /// Those that fit a regular expression.
    Fitting(Box<Automaton>),
}

impl Choice {
    fn holds(&self, value: &Datum<'_>) -> bool {
        let text = match value {
            Datum::Text(text) => text.as_ref(),
            Datum::Bool(true) => "true",
            Datum::Bool(false) => "false",
            Datum::Date(millis) => return self.holds_text(&millis.to_string()),
        };
        self.holds_text(text)
    }

    fn holds_text(&self, text: &str) -> bool {
        match self {
            Self::OneOf(texts) => texts.contains(text),
            Self::Fitting(automaton) => automaton.matches(text),
        }
    }
}

type Row = (Datum<'static>, Vec<usize>);

impl Terms {
    /// Buckets of the documents at `places`.
    ///
    /// # Errors
    /// Too much work, too many buckets.
    pub fn collect<D: Document>(
        &self,
        collector: &Collector<'_, D>,
        below: &[Aggregation],
        places: &[usize],
    ) -> Result<Map<String, Value>, Fault> {
        let mut rows: HashMap<Datum<'static>, Vec<usize>> = HashMap::new();
        // Values that only other documents have count when buckets may be empty.
        if self.least == 0 {
            for place in collector.all_places() {
                for value in collector.values(&self.source, place) {
                    rows.entry(value).or_default();
                }
            }
        }
        for place in places {
            for value in collector.values(&self.source, *place) {
                if self.counts(&value) {
                    rows.entry(value).or_default().push(*place);
                }
            }
            collector.budget.check()?;
        }
        let mut rows: Vec<Row> = rows
            .into_iter()
            .filter(|(value, places)| places.len() >= self.least && self.counts(value))
            .collect();
        self.sort(collector, below, &mut rows)?;
        let rest: usize = rows
            .iter()
            .skip(self.size)
            .map(|(_, places)| places.len())
            .sum();
        rows.truncate(self.size);
        let mut buckets = Vec::new();
        for (value, places) in rows {
            let bucket = collector.bucket(key(&value), &places, below)?;
            buckets.push(Value::Object(bucket));
        }
        Ok(Map::from_iter([
            ("doc_count_error_upper_bound".to_owned(), json!(0)),
            ("sum_other_doc_count".to_owned(), json!(rest)),
            ("buckets".to_owned(), Value::Array(buckets)),
        ]))
    }

    fn counts(&self, value: &Datum<'_>) -> bool {
        self.include
            .as_ref()
            .is_none_or(|choice| choice.holds(value))
            && !self
                .exclude
                .as_ref()
                .is_some_and(|choice| choice.holds(value))
    }

    fn sort<D: Document>(
        &self,
        collector: &Collector<'_, D>,
        below: &[Aggregation],
        rows: &mut Vec<Row>,
    ) -> Result<(), Fault> {
        let mut measured: Vec<(Vec<usize>, Row)> = Vec::new();
        for row in rows.drain(..) {
            let mut measures = Vec::new();
            for (order, _) in &self.orders {
                measures.push(measure(collector, below, order, &row.1)?);
            }
            measured.push((measures, row));
        }
        measured.sort_unstable_by(|(measures, one), (others, other)| {
            let mut ordering = Ordering::Equal;
            for (at, (order, descending)) in self.orders.iter().enumerate() {
                let next = match order {
                    Order::Key => one.0.cmp(&other.0),
                    Order::Count | Order::Below(_) => measures[at].cmp(&others[at]),
                };
                ordering = ordering.then(if *descending { next.reverse() } else { next });
            }
            ordering.then_with(|| one.0.cmp(&other.0))
        });
        rows.extend(measured.into_iter().map(|(_, row)| row));
        Ok(())
    }
}

/// What a bucket is ordered by. Parsing made sure that an aggregation of this name is there.
fn measure<D: Document>(
    collector: &Collector<'_, D>,
    below: &[Aggregation],
    order: &Order,
    places: &[usize],
) -> Result<usize, Fault> {
    let Order::Below(name) = order else {
        return Ok(places.len());
    };
    let aggregation = below.iter().find(|aggregation| aggregation.name == *name);
    match aggregation.map(|aggregation| &aggregation.kind) {
        Some(Kind::Cardinality(source)) => collector.cardinality(source, places),
        Some(Kind::ValueCount(source)) => collector.value_count(source, places),
        _ => Ok(0),
    }
}

/// How a bucket shows its value.
fn key(value: &Datum<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    match value {
        Datum::Text(text) => {
            fields.insert("key".to_owned(), json!(text));
        }
        Datum::Bool(flag) => {
            fields.insert("key".to_owned(), json!(i64::from(*flag)));
            fields.insert("key_as_string".to_owned(), json!(flag.to_string()));
        }
        Datum::Date(millis) => {
            fields.insert("key".to_owned(), json!(millis));
            let shown = Format::default().write(*millis, 0);
            fields.insert("key_as_string".to_owned(), json!(shown));
        }
    }
    fields
}

/// A `range` or `date_range` aggregation, over dates.
#[derive(Debug)]
pub struct Ranges {
    /// Where the values come from.
    pub source: Source,
    /// Spans, sorted by their ends.
    pub spans: Vec<Span>,
    /// Whether buckets are an object.
    pub keyed: bool,
    /// How ends are shown.
    pub format: Format,
    /// The zone they are shown in, seconds east of Greenwich.
    pub zone: i64,
    /// `date_range`, not `range`.
    pub of_dates: bool,
}

/// A span of milliseconds; its end is not in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its name; `None`: its ends.
    pub key: Option<String>,
    /// Its start.
    pub from: Option<f64>,
    /// Its end.
    pub to: Option<f64>,
}

impl Span {
    /// The order of buckets: by start, then by end.
    pub fn compare(&self, other: &Self) -> Ordering {
        let start = |span: &Self| span.from.unwrap_or(f64::NEG_INFINITY);
        let end = |span: &Self| span.to.unwrap_or(f64::INFINITY);
        start(self)
            .total_cmp(&start(other))
            .then(end(self).total_cmp(&end(other)))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "dates of ten thousand years fit"
    )]
    fn holds(&self, value: &Datum<'_>) -> bool {
        let Datum::Date(millis) = value else {
            return false;
        };
        let millis = *millis as f64;
        self.from.is_none_or(|from| millis >= from) && self.to.is_none_or(|to| millis < to)
    }
}

impl Ranges {
    /// Buckets of the documents at `places`.
    ///
    /// # Errors
    /// Too much work, too many buckets.
    pub fn collect<D: Document>(
        &self,
        collector: &Collector<'_, D>,
        below: &[Aggregation],
        places: &[usize],
    ) -> Result<Map<String, Value>, Fault> {
        let mut held: Vec<Vec<usize>> = vec![Vec::new(); self.spans.len()];
        for place in places {
            let values = collector.values(&self.source, *place);
            collector.budget.spend(values.len() * self.spans.len());
            for (span, held) in self.spans.iter().zip(&mut held) {
                if values.iter().any(|value| span.holds(value)) {
                    held.push(*place);
                }
            }
            collector.budget.check()?;
        }
        let mut keyed = Map::new();
        let mut listed = Vec::new();
        for (span, places) in self.spans.iter().zip(held) {
            let name = self.name(span);
            let mut fields = Map::new();
            if !self.keyed {
                fields.insert("key".to_owned(), json!(name));
            }
            for (end, at) in [("from", span.from), ("to", span.to)] {
                if let Some(at) = at {
                    fields.insert(end.to_owned(), json!(at));
                    fields.insert(format!("{end}_as_string"), json!(self.show(at)));
                }
            }
            let bucket = Value::Object(collector.bucket(fields, &places, below)?);
            if self.keyed {
                keyed.insert(name, bucket);
            } else {
                listed.push(bucket);
            }
        }
        let buckets = if self.keyed {
            Value::Object(keyed)
        } else {
            Value::Array(listed)
        };
        Ok(Map::from_iter([("buckets".to_owned(), buckets)]))
    }

    fn name(&self, span: &Span) -> String {
        let show = |end: Option<f64>| end.map_or_else(|| "*".to_owned(), |end| self.show(end));
        match &span.key {
            Some(key) => key.clone(),
            None => format!("{}-{}", show(span.from), show(span.to)),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    fn show(&self, millis: f64) -> String {
        self.format.write(millis as i64, self.zone)
    }
}
