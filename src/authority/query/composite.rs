//! `composite` aggregations: every combination of some fields' values, in order, page by page.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::aggregation::{Aggregation, Collector, Source};
use super::datum::{Datum, Document};
use super::fault::Fault;

/// A `composite` aggregation.
#[derive(Debug)]
pub struct Composite {
    /// What is combined.
    pub parts: Vec<Part>,
    /// How many buckets.
    pub size: usize,
    /// The combination to go on after.
    pub after: Option<Combination>,
}

/// One field of the combinations.
#[derive(Debug)]
pub struct Part {
    /// Its name in keys.
    pub name: String,
    /// Where the values come from.
    pub source: Source,
    /// Largest first.
    pub descending: bool,
    /// Whether documents without a value count, under `null`.
    pub with_missing: bool,
    /// Whether `null` is first; `None`: where the smallest value would be.
    pub missing_first: Option<bool>,
}

/// A value for every part; `None` is `null`.
pub type Combination = Vec<Option<Datum<'static>>>;

impl Composite {
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
        let mut rows: HashMap<Combination, Vec<usize>> = HashMap::new();
        for place in places {
            for combination in self.combinations(collector, *place)? {
                rows.entry(combination).or_default().push(*place);
            }
        }
        let mut rows: Vec<(Combination, Vec<usize>)> = rows.into_iter().collect();
        if let Some(after) = &self.after {
            rows.retain(|(combination, _)| self.compare(combination, after).is_gt());
        }
        rows.sort_unstable_by(|(one, _), (other, _)| self.compare(one, other));
        rows.truncate(self.size);
        let mut result = Map::new();
        if let Some((last, _)) = rows.last() {
            result.insert("after_key".to_owned(), self.show(last));
        }
        let mut buckets = Vec::new();
        for (combination, places) in rows {
            let key = Map::from_iter([("key".to_owned(), self.show(&combination))]);
            buckets.push(Value::Object(collector.bucket(key, &places, below)?));
        }
        result.insert("buckets".to_owned(), Value::Array(buckets));
        Ok(result)
    }

    /// Every combination of the values of one document.
    fn combinations<D: Document>(
        &self,
        collector: &Collector<'_, D>,
        place: usize,
    ) -> Result<Vec<Combination>, Fault> {
        let mut combinations: Vec<Combination> = vec![Vec::new()];
        for part in &self.parts {
            let values = collector.values(&part.source, place);
            let mut values: Vec<_> = values.into_iter().map(Some).collect();
            if values.is_empty() && part.with_missing {
                values.push(None);
            }
            // Paid for before they are made, since they multiply; and dearly, since they stay in memory.
            let count = combinations.len().saturating_mul(values.len());
            collector.budget.spend(count.saturating_mul(32));
            collector.budget.check()?;
            combinations = combinations
                .iter()
                .flat_map(|combination| {
                    values.iter().map(|value| {
                        let mut longer = combination.clone();
                        longer.push(value.clone());
                        longer
                    })
                })
                .collect();
        }
        Ok(combinations)
    }

    fn compare(&self, one: &Combination, other: &Combination) -> Ordering {
        self.parts
            .iter()
            .zip(one.iter().zip(other))
            .map(|(part, (one, other))| part.compare(one.as_ref(), other.as_ref()))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    fn show(&self, combination: &Combination) -> Value {
        let values = combination.iter().map(|value| match value {
            None => Value::Null,
            Some(Datum::Bool(flag)) => json!(flag),
            Some(Datum::Date(millis)) => json!(millis),
            Some(Datum::Text(text)) => json!(text),
        });
        let names = self.parts.iter().map(|part| part.name.clone());
        Value::Object(names.zip(values).collect())
    }
}

impl Part {
    fn compare(&self, one: Option<&Datum<'_>>, other: Option<&Datum<'_>>) -> Ordering {
        let missing_first = self.missing_first.unwrap_or(!self.descending);
        let of_nothing = if missing_first {
            Ordering::Less
        } else {
            Ordering::Greater
        };
        match (one, other) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => of_nothing,
            (Some(_), None) => of_nothing.reverse(),
            (Some(one), Some(other)) if self.descending => other.cmp(one),
            (Some(one), Some(other)) => one.cmp(other),
        }
    }
}
