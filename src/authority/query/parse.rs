//! From the JSON of a query to a [`Filter`].

use std::cell::Cell;
use std::collections::HashSet;

use serde_json::Value;

use super::fault::Fault;
use super::filter::{Clauses, Filter};
use super::leaf_parse::{self, flag, object, scalar, unknown};
use super::match_parse;
use super::minimum;
use super::range_parse;
use super::schema::Schema;
use super::simple_string;
use crate::authority::access::budget as automata;

/// Clauses that one search may have; Lucene's `maxClauseCount`.
const MAX_CLAUSES: usize = 4_096;
/// How deep `bool` queries may stand in each other; Elasticsearch's `indices.query.bool.max_nested_depth`.
const MAX_DEPTH: usize = 30;
/// Bytes of patterns in one search.
const MAX_PATTERNS: usize = 32 * 1_024;

/// Queries that Elasticsearch has and these endpoints don't allow.
const ELSEWHERE: [&str; 34] = [
    "boosting",
    "combined_fields",
    "constant_score",
    "dis_max",
    "distance_feature",
    "function_score",
    "fuzzy",
    "geo_bounding_box",
    "geo_distance",
    "geo_shape",
    "has_child",
    "has_parent",
    "intervals",
    "knn",
    "match_bool_prefix",
    "match_none",
    "match_phrase",
    "match_phrase_prefix",
    "more_like_this",
    "multi_match",
    "nested",
    "parent_id",
    "percolate",
    "pinned",
    "query_string",
    "rank_feature",
    "regexp",
    "script",
    "script_score",
    "span_near",
    "span_or",
    "span_term",
    "terms_set",
    "wrapper",
];

/// What every part of a query needs to know.
pub struct Context<'a> {
    /// The fields there are.
    pub schema: &'a Schema,
    /// The present, milliseconds since the Unix epoch.
    pub now: i64,
    clauses: Cell<usize>,
    /// Bytes of patterns that were compiled.
    patterns: Cell<usize>,
    /// What the automata of the search draw from.
    pub automata: automata::Budget,
}

impl<'a> Context<'a> {
    /// For one search.
    pub fn new(schema: &'a Schema, now: i64) -> Self {
        Self {
            schema,
            now,
            clauses: Cell::new(0),
            patterns: Cell::new(0),
            automata: automata::Budget::for_questions(),
        }
    }

    /// Counts a pattern that is to be compiled: a compiled one is hundreds of times its text.
    ///
    /// # Errors
    /// When the search has too much of them.
    pub fn count_pattern(&self, pattern: &str) -> Result<(), Fault> {
        let all = self.patterns.get().saturating_add(pattern.len());
        self.patterns.set(all);
        if all > MAX_PATTERNS {
            return Err(Fault::refused(format!(
                "the patterns of a search may have at most [{MAX_PATTERNS}] bytes in all"
            )));
        }
        Ok(())
    }

    /// Counts clauses.
    ///
    /// # Errors
    /// When the search has too many.
    pub fn count(&self, clauses: usize) -> Result<(), Fault> {
        let all = self.clauses.get().saturating_add(clauses);
        self.clauses.set(all);
        if all > MAX_CLAUSES {
            return Err(Fault::refused(format!(
                "Query contains too many nested clauses; maxClauseCount is set to {MAX_CLAUSES}"
            )));
        }
        Ok(())
    }
}

/// Compiles a query.
///
/// # Errors
/// What doesn't fit the grammar, what is not allowed here, what is too much.
pub fn compile(query: &Value, context: &Context<'_>) -> Result<Filter, Fault> {
    clause(query, context, 0)
}

fn clause(query: &Value, context: &Context<'_>, depth: usize) -> Result<Filter, Fault> {
    context.count(1)?;
    let query = query
        .as_object()
        .ok_or_else(|| Fault::grammar("[_na] query malformed, must start with start_object"))?;
    let mut parts = query.iter();
    let (name, body) = parts
        .next()
        .ok_or_else(|| Fault::refused("query malformed, empty clause found"))?;
    if let Some((other, _)) = parts.next() {
        return Err(Fault::grammar(format!(
            "[{name}] malformed query, expected [END_OBJECT] but found [FIELD_NAME] [{other}]"
        )));
    }
    match name.as_str() {
        "bool" => bool_query(body, context, depth),
        "match_all" => match_all(body),
        "ids" => ids(body),
        "term" => leaf_parse::term(body, context).map(Filter::Leaf),
        "terms" => leaf_parse::terms(body, context).map(Filter::Leaf),
        "exists" => leaf_parse::exists(body, context).map(Filter::Leaf),
        "prefix" => leaf_parse::prefix(body, context).map(Filter::Leaf),
        "wildcard" => leaf_parse::wildcard(body, context).map(Filter::Leaf),
        "match" => match_parse::matches(body, context).map(Filter::Leaf),
        "range" => range_parse::range(body, context).map(Filter::Leaf),
        "simple_query_string" => simple_string::compile(body, context),
        other if ELSEWHERE.contains(&other) => Err(Fault::refused(format!(
            "Query type [{other}] is not currently supported in this context"
        ))),
        other => Err(Fault::grammar(format!("unknown query [{other}]"))),
    }
}

fn match_all(body: &Value) -> Result<Filter, Fault> {
    for key in object("match_all", body)?.keys() {
        if !matches!(key.as_str(), "boost" | "_name") {
            return Err(unknown("match_all", key));
        }
    }
    Ok(Filter::All)
}

fn ids(body: &Value) -> Result<Filter, Fault> {
    let mut ids = HashSet::new();
    for (key, value) in object("ids", body)? {
        match (key.as_str(), value) {
            ("values", Value::Array(values)) => {
                for value in values {
                    ids.insert(scalar(value)?);
                }
            }
            ("values", value) => {
                ids.insert(scalar(value)?);
            }
            ("boost" | "_name", _) => {}
            _ => return Err(unknown("ids", key)),
        }
    }
    Ok(Filter::Ids(ids))
}

fn bool_query(body: &Value, context: &Context<'_>, depth: usize) -> Result<Filter, Fault> {
    if depth >= MAX_DEPTH {
        return Err(Fault::refused(format!(
            "The nested depth of the query exceeds the maximum nested depth for queries set in \
             [indices.query.bool.max_nested_depth] which is [{MAX_DEPTH}]"
        )));
    }
    let mut clauses = Clauses::default();
    let mut minimum = None;
    let mut pure_negative = true;
    for (key, value) in object("bool", body)? {
        let part = match key.as_str() {
            "must" | "filter" => &mut clauses.must,
            "should" => &mut clauses.should,
            "must_not" | "mustNot" => &mut clauses.must_not,
            "minimum_should_match" => {
                minimum = minimum::text(value)?;
                continue;
            }
            "adjust_pure_negative" => {
                pure_negative = flag("bool", key, value)?;
                continue;
            }
            "boost" | "_name" => continue,
            _ => return Err(unknown("bool", key)),
        };
        match value {
            Value::Array(queries) => {
                for query in queries {
                    part.push(clause(query, context, depth + 1)?);
                }
            }
            query => part.push(clause(query, context, depth + 1)?),
        }
    }
    combine(clauses, minimum.as_deref(), pure_negative)
}

fn combine(
    mut clauses: Clauses,
    minimum: Option<&str>,
    pure_negative: bool,
) -> Result<Filter, Fault> {
    let has_should = !clauses.should.is_empty();
    let wanted = match minimum {
        Some(specification) if has_should => minimum::of(specification, clauses.should.len())?,
        _ => 0,
    };
    // Without anything that must match, at least one of the optional clauses has to.
    let least = usize::from(clauses.must.is_empty() && has_should);
    clauses.minimum = wanted.max(least);
    let is_pure_negative = clauses.must.is_empty() && !has_should && !clauses.must_not.is_empty();
    if is_pure_negative && !pure_negative {
        return Ok(Filter::Nothing);
    }
    Ok(Filter::Bool(Box::new(clauses)))
}
