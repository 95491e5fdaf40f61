//! The query language of `_query/api_key`, `_query/user` and `_query/role`: the part of Elasticsearch's search that these
//! endpoints allow, answered by looking at every document in memory.
//!
//! A search goes [`parse`] (JSON to [`filter`], with the `_parse` files and [`simple_string`]) and [`sort`] and [`aggregation_parse`]
//! into a [`search::Plan`], which then runs over documents of one [`schema`].
//!
//! Always true: only fields of the schema are looked at; every list, depth and pattern is bounded, and so is the work of one
//! search ([`budget`]); nothing recurses deeper than the query did. Never: scores, scripts, or anything that reads a clock.
//! One more query type is an arm in [`parse`]; one more field a line in the endpoint's schema; one more aggregation a variant
//! of [`aggregation::Kind`].

pub mod aggregation;
pub mod aggregation_body;
pub mod aggregation_parse;
pub mod analysis;
pub mod buckets;
pub mod budget;
pub mod composite;
pub mod composite_parse;
pub mod date;
pub mod date_format;
pub mod datum;
pub mod fault;
pub mod filter;
pub mod leaf;
pub mod leaf_parse;
pub mod match_parse;
pub mod minimum;
pub mod parse;
pub mod pattern;
pub mod range_parse;
pub mod schema;
pub mod search;
pub mod simple_parameters;
pub mod simple_string;
pub mod sort;

#[cfg(test)]
mod tests;
