//! A whole search: filter, order, page, aggregations; first as it was written, then as a plan, then run.

use serde_json::{Map, Value};

use super::aggregation::{Aggregation, Collector};
use super::aggregation_parse;
use super::budget::Budget;
use super::datum::Document;
use super::fault::Fault;
use super::filter::Filter;
use super::parse::{self, Context};
use super::schema::Schema;
use super::sort::{self, Key, SortValue};

/// Elasticsearch's `index.max_result_window`.
const MAX_WINDOW: usize = 10_000;
/// Hits on a page unless the search says otherwise.
const PAGE: usize = 10;

/// A search as it was written.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `query`.
    pub query: Option<Value>,
    /// `aggs` or `aggregations`.
    pub aggregations: Option<Value>,
    /// `from`.
    pub from: Option<usize>,
    /// `size`.
    pub size: Option<usize>,
    /// `sort`.
    pub sort: Option<Value>,
    /// `search_after`.
    pub search_after: Option<Vec<Value>>,
}

/// A search that can be run.
#[derive(Debug)]
pub struct Plan {
    filter: Filter,
    keys: Vec<Key>,
    after: Option<Vec<SortValue>>,
    from: usize,
    size: usize,
    aggregations: Vec<Aggregation>,
    typed_keys: bool,
}

/// What a search found.
#[derive(Debug)]
pub struct Found<D> {
    /// How many documents fit.
    pub total: usize,
    /// This page: documents, and what they were sorted by.
    pub hits: Vec<(D, Vec<Value>)>,
    /// Results by aggregation; `None` without any, or when nothing fits.
    pub aggregations: Option<Map<String, Value>>,
}

impl Plan {
    /// Makes a plan of a request. With `typed_keys` the names of results tell their types.
    ///
    /// # Errors
    /// Everything that is malformed, not allowed, or too much.
    pub fn new(
        request: &Request,
        schema: &Schema,
        typed_keys: bool,
        now_millis: u64,
    ) -> Result<Self, Fault> {
        let now = i64::try_from(now_millis).unwrap_or(i64::MAX);
        let context = Context::new(schema, now);
        let filter = match &request.query {
            Some(query) => parse::compile(query, &context)?,
            None => Filter::All,
        };
        let keys = match &request.sort {
            Some(sort) => sort::parse(sort, schema, now)?,
            None => Vec::new(),
        };
        let aggregations = match &request.aggregations {
            Some(aggregations) => aggregation_parse::parse(aggregations, &context)?,
            None => Vec::new(),
        };
        let after = match &request.search_after {
            Some(values) => Some(sort::parse_after(values, &keys, now)?),
            None => None,
        };
        let (from, size) = (request.from.unwrap_or(0), request.size.unwrap_or(PAGE));
        let window = from.saturating_add(size);
        if window > MAX_WINDOW {
            return Err(Fault::refused(format!(
                "Result window is too large, from + size must be less than or equal to: [{MAX_WINDOW}] but was [{window}]. See \
                 the scroll api for a more efficient way to request large data sets. This limit can be set by changing the \
                 [index.max_result_window] index level setting."
            )));
        }
        Ok(Self {
            filter,
            keys,
            after,
            from,
            size,
            aggregations,
            typed_keys,
        })
    }

    /// Runs over documents. Their order here is the order of hits that are not sorted otherwise. Blocks for as long as the
    /// budget of a search allows.
    ///
    /// # Errors
    /// When it takes too much work, or makes too many buckets.
    pub fn run<D: Document>(&self, documents: Vec<D>) -> Result<Found<D>, Fault> {
        let budget = Budget::default();
        let mut fitting = Vec::new();
        for (place, document) in documents.iter().enumerate() {
            if self.filter.matches(document, &budget) {
                fitting.push(place);
            }
            budget.check()?;
        }
        let aggregations = if self.aggregations.is_empty() || fitting.is_empty() {
            None
        } else {
            let collector = Collector::new(&documents, &budget, self.typed_keys);
            Some(collector.collect(&self.aggregations, &fitting)?)
        };
        let total = fitting.len();
        let page = self.page(&documents, fitting, &budget);
        budget.check()?;
        let mut documents: Vec<Option<D>> = documents.into_iter().map(Some).collect();
        let hits = page.into_iter().filter_map(|(place, values)| {
            let document = documents.get_mut(place)?.take()?;
            Some((document, sort::show(&self.keys, &values)))
        });
        Ok(Found {
            total,
            hits: hits.collect(),
            aggregations,
        })
    }

    fn page<D: Document>(
        &self,
        documents: &[D],
        fitting: Vec<usize>,
        budget: &Budget,
    ) -> Vec<(usize, Vec<SortValue>)> {
        if self.keys.is_empty() || self.size == 0 {
            let page = fitting.into_iter().skip(self.from).take(self.size);
            return page.map(|place| (place, Vec::new())).collect();
        }
        let sorted_by = |place: usize| -> Vec<SortValue> {
            let keys = self.keys.iter();
            keys.map(|key| key.value(&documents[place], place, budget))
                .collect()
        };
        let mut rows: Vec<(usize, Vec<SortValue>)> = fitting
            .into_iter()
            .map(|place| (place, sorted_by(place)))
            .collect();
        if let Some(after) = &self.after {
            rows.retain(|(_, values)| sort::compare(&self.keys, values, after).is_gt());
        }
        let order = |one: &(usize, Vec<SortValue>), other: &(usize, Vec<SortValue>)| {
            sort::compare(&self.keys, &one.1, &other.1).then(one.0.cmp(&other.0))
        };
        // Only what is shown needs to be in order.
        let window = self.from.saturating_add(self.size);
        if window < rows.len() {
            rows.select_nth_unstable_by(window, order);
            rows.truncate(window);
        }
        rows.sort_unstable_by(order);
        rows.drain(..self.from.min(rows.len()));
        rows
    }
}
