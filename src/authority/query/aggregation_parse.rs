//! From the JSON of `aggs` to [`Aggregation`]s: those that API keys can be counted by.

use serde_json::Value;

use super::aggregation::{Aggregation, Kind};
use super::aggregation_body::Body;
use super::buckets::Order;
use super::fault::Fault;
use super::parse::{self, Context};

/// Aggregations that one search may have.
const MAX_AGGREGATIONS: usize = 256;
/// How deep they may stand in each other.
const MAX_DEPTH: usize = 16;

/// Those that work on the results of others.
const PIPELINES: [&str; 18] = [
    "avg_bucket",
    "bucket_correlation",
    "bucket_count_ks_test",
    "bucket_script",
    "bucket_selector",
    "bucket_sort",
    "change_point",
    "cumulative_cardinality",
    "cumulative_sum",
    "derivative",
    "extended_stats_bucket",
    "max_bucket",
    "min_bucket",
    "moving_fn",
    "normalize",
    "percentiles_bucket",
    "serial_diff",
    "stats_bucket",
];

/// Those that Elasticsearch has and API keys can't be counted by.
const ELSEWHERE: [&str; 35] = [
    "adjacency_matrix",
    "auto_date_histogram",
    "avg",
    "boxplot",
    "categorize_text",
    "children",
    "date_histogram",
    "diversified_sampler",
    "extended_stats",
    "frequent_item_sets",
    "geo_bounds",
    "geo_centroid",
    "geo_distance",
    "geohash_grid",
    "geotile_grid",
    "global",
    "histogram",
    "ip_prefix",
    "ip_range",
    "matrix_stats",
    "max",
    "median_absolute_deviation",
    "min",
    "multi_terms",
    "nested",
    "percentile_ranks",
    "percentiles",
    "rare_terms",
    "sampler",
    "scripted_metric",
    "significant_terms",
    "stats",
    "sum",
    "top_hits",
    "weighted_avg",
];

/// Reads the aggregations of a search.
///
/// # Errors
/// What is malformed, not allowed, or too much.
pub fn parse(value: &Value, context: &Context<'_>) -> Result<Vec<Aggregation>, Fault> {
    let mut left = MAX_AGGREGATIONS;
    parse_level(
        value,
        context,
        &mut left,
        &Level {
            depth: 0,
            under_buckets: None,
        },
    )
}

/// Where aggregations stand.
struct Level<'a> {
    depth: usize,
    /// The type of the aggregation above, if it is one that `composite` can't stand under.
    under_buckets: Option<&'a str>,
}

fn parse_level(
    value: &Value,
    context: &Context<'_>,
    left: &mut usize,
    level: &Level<'_>,
) -> Result<Vec<Aggregation>, Fault> {
    let map = value
        .as_object()
        .ok_or_else(|| Fault::grammar("Expected [START_OBJECT] under [aggs]"))?;
    if level.depth >= MAX_DEPTH {
        return Err(Fault::refused(format!(
            "aggregations may not be nested deeper than [{MAX_DEPTH}]"
        )));
    }
    let mut aggregations = Vec::new();
    for (name, definition) in map {
        *left = left.checked_sub(1).ok_or_else(|| {
            Fault::refused(format!(
                "a search may not have more than [{MAX_AGGREGATIONS}] aggregations"
            ))
        })?;
        aggregations.push(parse_one(name, definition, context, left, level)?);
    }
    Ok(aggregations)
}

fn parse_one(
    name: &str,
    definition: &Value,
    context: &Context<'_>,
    left: &mut usize,
    level: &Level<'_>,
) -> Result<Aggregation, Fault> {
    if name.is_empty() || name.contains(['[', ']', '>']) {
        return Err(Fault::grammar(format!(
            "Invalid aggregation name [{name}]. Aggregation names can contain any character except '[', ']', and '>'"
        )));
    }
    let parts = definition.as_object().ok_or_else(|| {
        Fault::grammar(format!(
            "Aggregation definition for [{name}] must start with [START_OBJECT]"
        ))
    })?;
    let mut body: Option<(&str, &Value)> = None;
    let (mut below, mut meta) = (None, None);
    for (key, value) in parts {
        match key.as_str() {
            "meta" => meta = Some(value.clone()),
            "aggs" | "aggregations" if below.is_some() => {
                return Err(Fault::grammar(format!(
                    "Found two sub aggregation definitions under [{name}]"
                )));
            }
            "aggs" | "aggregations" => below = Some(value),
            kind => {
                if let Some((first, _)) = body {
                    return Err(Fault::grammar(format!(
                        "Found two aggregation type definitions in [{name}]: [{first}] and [{kind}]"
                    )));
                }
                body = Some((kind, value));
            }
        }
    }
    let (label, body) =
        body.ok_or_else(|| Fault::grammar(format!("Missing definition for aggregation [{name}]")))?;
    let kind = parse_kind(name, label, body, context)?;
    if let (Kind::Composite(_), Some(above)) = (&kind, level.under_buckets) {
        return Err(Fault::refused(format!(
            "[composite] aggregation cannot be used with a parentAggregation of type: [{above}]"
        )));
    }
    let below = match below {
        None => Vec::new(),
        Some(_) if matches!(kind, Kind::Cardinality(_) | Kind::ValueCount(_)) => {
            return Err(Fault::refused(format!(
                "Aggregator [{name}] of type [{label}] cannot accept sub-aggregations"
            )));
        }
        Some(below) => {
            let under_buckets = match kind {
                Kind::Filter(_) => level.under_buckets,
                _ => Some(label),
            };
            let level = Level {
                depth: level.depth + 1,
                under_buckets,
            };
            parse_level(below, context, left, &level)?
        }
    };
    check_orders(&kind, &below)?;
    Ok(Aggregation {
        name: name.to_owned(),
        kind,
        below,
        meta,
    })
}

/// An order by an aggregation needs that aggregation, and one with a single number.
fn check_orders(kind: &Kind, below: &[Aggregation]) -> Result<(), Fault> {
    let Kind::Terms(terms) = kind else {
        return Ok(());
    };
    for (order, _) in &terms.orders {
        let Order::Below(name) = order else {
            continue;
        };
        let found = below.iter().find(|aggregation| aggregation.name == *name);
        let is_number =
            |found: &Aggregation| matches!(found.kind, Kind::Cardinality(_) | Kind::ValueCount(_));
        if !found.is_some_and(is_number) {
            return Err(Fault::refused(format!(
                "Invalid aggregation order path [{name}]. The provided aggregation [{name}] either does not exist, or is a \
                 pipeline aggregation and cannot be used to sort the buckets."
            )));
        }
    }
    Ok(())
}

fn parse_kind(name: &str, label: &str, body: &Value, context: &Context<'_>) -> Result<Kind, Fault> {
    if PIPELINES.contains(&label) {
        return Err(Fault::refused(format!(
            "Unsupported aggregation of type [{label}]"
        )));
    }
    if ELSEWHERE.contains(&label) {
        return Err(Fault::refused(format!(
            "Unsupported API Keys agg [{name}] of type [{label}]"
        )));
    }
    let parse = Body {
        name,
        label,
        context,
    };
    match label {
        "terms" => parse.terms(body).map(Kind::Terms),
        "range" => parse.ranges(body, false).map(Kind::Ranges),
        "date_range" => parse.ranges(body, true).map(Kind::Ranges),
        "missing" => parse.source_only(body).map(Kind::Missing),
        "cardinality" => parse.source_only(body).map(Kind::Cardinality),
        "value_count" => parse.source_only(body).map(Kind::ValueCount),
        "filter" => parse::compile(body, context).map(Kind::Filter),
        "filters" => parse.filters(body).map(Kind::Filters),
        "composite" => parse.composite(body).map(Kind::Composite),
        other => Err(Fault::grammar(format!(
            "Unknown aggregation type [{other}]"
        ))),
    }
}
