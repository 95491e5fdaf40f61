//! Aggregations: counting documents by their values.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value, json};

use super::buckets::{Ranges, Terms};
use super::budget::Budget;
use super::composite::Composite;
use super::datum::{Datum, Document, values};
use super::fault::Fault;
use super::filter::Filter;
use super::schema::{Field, Kind as FieldKind};

/// One aggregation with those below it.
#[derive(Debug)]
pub struct Aggregation {
    /// Its name in the answer.
    pub name: String,
    /// What it counts.
    pub kind: Kind,
    /// What is counted again inside each of its buckets.
    pub below: Vec<Self>,
    /// Returned as it came.
    pub meta: Option<Value>,
}

/// What an aggregation counts.
#[derive(Debug)]
pub enum Kind {
    /// Documents by value.
    Terms(Terms),
    /// Documents by span of time.
    Ranges(Ranges),
    /// Documents by combination of values, page by page.
    Composite(Composite),
    /// Documents without a value.
    Missing(Source),
    /// Documents that fit.
    Filter(Filter),
    /// Documents by which of several filters they fit.
    Filters(Filters),
    /// Different values.
    Cardinality(Source),
    /// Values.
    ValueCount(Source),
}

/// A field, and what stands in for a value where there is none.
#[derive(Clone, Debug)]
pub struct Source {
    /// The field.
    pub field: Field,
    /// The stand-in.
    pub missing: Option<Datum<'static>>,
}

/// The filters of a `filters` aggregation.
#[derive(Debug)]
pub struct Filters {
    /// The filters, with their names unless they have none.
    pub filters: Vec<(Option<String>, Filter)>,
    /// The name of the bucket for documents that fit none.
    pub other: Option<String>,
    /// Whether named buckets are an object.
    pub keyed: bool,
}

impl Kind {
    /// The type in names of results (`typed_keys`).
    pub fn label(&self) -> &'static str {
        match self {
            Self::Terms(terms) => match terms.source.field.kind {
                FieldKind::Date | FieldKind::Boolean => "lterms",
                _ => "sterms",
            },
            Self::Ranges(ranges) if ranges.of_dates => "date_range",
            Self::Ranges(_) => "range",
            Self::Composite(_) => "composite",
            Self::Missing(_) => "missing",
            Self::Filter(_) => "filter",
            Self::Filters(_) => "filters",
            Self::Cardinality(_) => "cardinality",
            Self::ValueCount(_) => "value_count",
        }
    }
}

/// Runs aggregations over documents.
pub struct Collector<'a, D> {
    documents: &'a [D],
    /// What the whole search may take.
    pub budget: &'a Budget,
    typed_keys: bool,
}

impl<'a, D: Document> Collector<'a, D> {
    /// Over these documents.
    pub fn new(documents: &'a [D], budget: &'a Budget, typed_keys: bool) -> Self {
        Self {
            documents,
            budget,
            typed_keys,
        }
    }

    /// The results of `aggregations` over the documents at `places`.
    ///
    /// # Errors
    /// Too much work, too many buckets.
    pub fn collect(
        &self,
        aggregations: &[Aggregation],
        places: &[usize],
    ) -> Result<Map<String, Value>, Fault> {
        let mut results = Map::new();
        for aggregation in aggregations {
            let mut result = Map::new();
            if let Some(meta) = &aggregation.meta {
                result.insert("meta".to_owned(), meta.clone());
            }
            result.extend(self.collect_one(aggregation, places)?);
            let name = if self.typed_keys {
                format!("{}#{}", aggregation.kind.label(), aggregation.name)
            } else {
                aggregation.name.clone()
            };
            results.insert(name, Value::Object(result));
        }
        Ok(results)
    }

    fn collect_one(
        &self,
        aggregation: &Aggregation,
        places: &[usize],
    ) -> Result<Map<String, Value>, Fault> {
        let below = &aggregation.below;
        match &aggregation.kind {
            Kind::Terms(terms) => terms.collect(self, below, places),
            Kind::Ranges(ranges) => ranges.collect(self, below, places),
            Kind::Composite(composite) => composite.collect(self, below, places),
            Kind::Missing(source) => {
                let without = self.kept(places, |place| self.values(source, place).is_empty())?;
                self.bucket(Map::new(), &without, below)
            }
            Kind::Filter(filter) => {
                let fitting = self.fitting(filter, places)?;
                self.bucket(Map::new(), &fitting, below)
            }
            Kind::Filters(filters) => self.filters(filters, below, places),
            Kind::Cardinality(source) => Ok(count(self.cardinality(source, places)?)),
            Kind::ValueCount(source) => Ok(count(self.value_count(source, places)?)),
        }
    }

    /// The values of the document at `place`, sorted and without doubles.
    pub fn values(&self, source: &Source, place: usize) -> Vec<Datum<'static>> {
        let mut values = self
            .documents
            .get(place)
            .map(|document| values(document, &source.field, self.budget))
            .unwrap_or_default();
        if values.is_empty() {
            values.extend(source.missing.clone());
        }
        values
    }

    /// How many documents there are, whether they fit or not.
    pub fn all_places(&self) -> std::ops::Range<usize> {
        0..self.documents.len()
    }

    /// A bucket: some fields, the count, and what is counted inside.
    ///
    /// # Errors
    /// Too much work, too many buckets.
    pub fn bucket(
        &self,
        mut fields: Map<String, Value>,
        places: &[usize],
        below: &[Aggregation],
    ) -> Result<Map<String, Value>, Fault> {
        self.budget.bucket()?;
        self.budget.check()?;
        fields.insert("doc_count".to_owned(), json!(places.len()));
        fields.extend(self.collect(below, places)?);
        Ok(fields)
    }

    /// How many different values there are.
    ///
    /// # Errors
    /// Too much work.
    pub fn cardinality(&self, source: &Source, places: &[usize]) -> Result<usize, Fault> {
        let mut different = HashSet::new();
        for place in places {
            different.extend(self.values(source, *place));
            self.budget.check()?;
        }
        Ok(different.len())
    }

    /// How many values there are.
    ///
    /// # Errors
    /// Too much work.
    pub fn value_count(&self, source: &Source, places: &[usize]) -> Result<usize, Fault> {
        let mut count = 0;
        for place in places {
            count += self.values(source, *place).len();
            self.budget.check()?;
        }
        Ok(count)
    }

    fn fitting(&self, filter: &Filter, places: &[usize]) -> Result<Vec<usize>, Fault> {
        self.kept(places, |place| {
            let document = self.documents.get(place);
            document.is_some_and(|document| filter.matches(document, self.budget))
        })
    }

    fn kept(&self, places: &[usize], wanted: impl Fn(usize) -> bool) -> Result<Vec<usize>, Fault> {
        let mut kept = Vec::new();
        for place in places {
            if wanted(*place) {
                kept.push(*place);
            }
            self.budget.check()?;
        }
        Ok(kept)
    }

    fn filters(
        &self,
        filters: &Filters,
        below: &[Aggregation],
        places: &[usize],
    ) -> Result<Map<String, Value>, Fault> {
        let mut buckets: Vec<(Option<&String>, Map<String, Value>)> = Vec::new();
        let mut fitted = BTreeSet::new();
        for (name, filter) in &filters.filters {
            let fitting = self.fitting(filter, places)?;
            if filters.other.is_some() {
                fitted.extend(fitting.iter().copied());
            }
            let bucket = self.bucket(Map::new(), &fitting, below)?;
            buckets.push((name.as_ref(), bucket));
        }
        if let Some(other) = &filters.other {
            let rest = self.kept(places, |place| !fitted.contains(&place))?;
            let is_named = filters.filters.iter().any(|(name, _)| name.is_some());
            let bucket = self.bucket(Map::new(), &rest, below)?;
            buckets.push((is_named.then_some(other), bucket));
        }
        let is_object = filters.keyed && buckets.iter().all(|(name, _)| name.is_some());
        let buckets = if is_object && !buckets.is_empty() {
            let named = buckets
                .into_iter()
                .filter_map(|(name, bucket)| Some((name?.clone(), Value::Object(bucket))));
            Value::Object(named.collect())
        } else {
            let listed = buckets.into_iter().map(|(name, bucket)| match name {
                None => Value::Object(bucket),
                Some(name) => {
                    let mut named = Map::from_iter([("key".to_owned(), json!(name))]);
                    named.extend(bucket);
                    Value::Object(named)
                }
            });
            Value::Array(listed.collect())
        };
        Ok(Map::from_iter([("buckets".to_owned(), buckets)]))
    }
}

fn count(value: usize) -> Map<String, Value> {
    Map::from_iter([("value".to_owned(), json!(value))])
}
