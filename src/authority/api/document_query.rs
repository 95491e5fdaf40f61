//! Which queries a role may carry for document level security.
//!
//! A query is kept for whoever runs searches; here it must be one Elasticsearch would take: known, and of no kind that reads
//! other documents. Templates are only known when a user is, so they pass.

use serde_json::{Map, Value};

use crate::authority::failure::Failure;
use crate::wire::roles::RoleDescriptor;

/// Every query of Elasticsearch 9.0, sorted.
const KNOWN: [&str; 65] = [
    "bool",
    "boosting",
    "combined_fields",
    "constant_score",
    "dis_max",
    "distance_feature",
    "exists",
    "function_score",
    "fuzzy",
    "geo_bounding_box",
    "geo_distance",
    "geo_grid",
    "geo_polygon",
    "geo_shape",
    "has_child",
    "has_parent",
    "ids",
    "interval",
    "intervals",
    "knn",
    "kql",
    "match",
    "match_all",
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
    "prefix",
    "query_string",
    "random_sampler",
    "range",
    "rank_feature",
    "regexp",
    "rule",
    "script",
    "script_score",
    "semantic",
    "shape",
    "simple_query_string",
    "span_containing",
    "span_field_masking",
    "span_first",
    "span_gap",
    "span_multi",
    "span_near",
    "span_not",
    "span_or",
    "span_term",
    "span_within",
    "sparse_vector",
    "template",
    "term",
    "terms",
    "terms_set",
    "text_expansion",
    "weighted_tokens",
    "wildcard",
    "wrapper",
    "xy_shape",
];

/// Clauses that hold queries, by query.
const CLAUSES: [(&str, &[&str]); 9] = [
    ("bool", &["must", "should", "filter", "must_not"]),
    ("boosting", &["positive", "negative"]),
    ("constant_score", &["filter"]),
    ("dis_max", &["queries"]),
    ("function_score", &["query"]),
    ("nested", &["query"]),
    ("pinned", &["organic"]),
    ("rule", &["organic"]),
    ("script_score", &["query"]),
];

/// Why a query is refused: type and text of the cause.
type Why = (&'static str, String);

/// Checks the queries of a role's own indices.
///
/// # Errors
/// `failed to parse field 'query' for indices [..] at index privilege [n] of role descriptor`, with its cause.
pub fn check(role: &RoleDescriptor) -> Result<(), Failure> {
    for (number, item) in role.indices.iter().enumerate() {
        let Some(query) = &item.query else { continue };
        check_text(query).map_err(|(kind, why)| {
            Failure::parse(format!(
                "failed to parse field 'query' for indices [{}] at index privilege [{number}] of role descriptor",
                item.names.join(",")
            ))
            .caused_by(kind, why)
        })?;
    }
    Ok(())
}

fn check_text(query: &str) -> Result<(), Why> {
    let value: Value = serde_json::from_str(query).map_err(|error| {
        let (_, text) = crate::authority::body::broken(&error).cause_owned();
        ("x_content_parse_exception", text)
    })?;
    let Value::Object(query) = value else {
        let text = "[1:1] expected [START_OBJECT] but found another value instead";
        return Err(("x_content_parse_exception", text.to_owned()));
    };
    match query.keys().next() {
        None => Err((
            "x_content_parse_exception",
            "[1:2] expected [FIELD_NAME] with value a query name or 'template' but found [END_OBJECT] instead".to_owned(),
        )),
        Some(name) if name == "template" => Ok(()),
        Some(_) => check_query(&query),
    }
}

fn check_query(query: &Map<String, Value>) -> Result<(), Why> {
    let mut fields = query.iter();
    let Some((name, body)) = fields.next() else {
        return Err((
            "illegal_argument_exception",
            "query malformed, empty clause found at [1:2]".to_owned(),
        ));
    };
    if fields.next().is_some() {
        return Err((
            "parsing_exception",
            format!("[{name}] malformed query, expected [END_OBJECT] but found [FIELD_NAME]"),
        ));
    }
    let refused = |what: &str| {
        let text = format!("{what} isn't supported as part of a role query");
        Err(("illegal_argument_exception", text))
    };
    match name.as_str() {
        "percolate" | "has_child" | "has_parent" => return refused(&format!("{name} query")),
        "terms" if has_inside(body, |_, value| value.is_object()) => {
            return refused("terms query with terms lookup");
        }
        "geo_shape" | "shape"
            if has_inside(body, |_, value| value.get("indexed_shape").is_some()) =>
        {
            return refused("geoshape query referring to indexed shapes");
        }
        known if KNOWN.contains(&known) => {}
        unknown => return Err(("parsing_exception", format!("unknown query [{unknown}]"))),
    }
    check_clauses(name, body)
}

fn has_inside(body: &Value, wanted: impl Fn(&str, &Value) -> bool) -> bool {
    body.as_object()
        .is_some_and(|fields| fields.iter().any(|(name, value)| wanted(name, value)))
}

fn check_clauses(name: &str, body: &Value) -> Result<(), Why> {
    let Value::Object(fields) = body else {
        return Err((
            "parsing_exception",
            format!("[{name}] query malformed, no start_object after query name"),
        ));
    };
    if name == "function_score" {
        let functions = fields.get("functions").and_then(Value::as_array);
        for function in functions.into_iter().flatten() {
            if let Some(Value::Object(filter)) = function.get("filter") {
                check_query(filter)?;
            }
        }
    }
    let clauses = CLAUSES.iter().find(|(query, _)| *query == name);
    for clause in clauses.map_or(&[][..], |(_, clauses)| clauses) {
        match fields.get(*clause) {
            Some(Value::Object(query)) => check_query(query)?,
            Some(Value::Array(queries)) => {
                for query in queries.iter().filter_map(Value::as_object) {
                    check_query(query)?;
                }
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn why(query: &Value) -> Option<String> {
        check_text(&query.to_string()).err().map(|(_, why)| why)
    }

    #[test]
    fn queries_that_read_other_documents_are_refused_at_any_depth() {
        let lookup = json!({"terms": {"user": {"index": "i", "id": "1", "path": "p"}}});
        let shape = json!({"geo_shape": {"place": {"indexed_shape": {"id": "1"}}}});
        let child = json!({"has_child": {"type": "c", "query": {"match_all": {}}}});
        let percolate = json!({"percolate": {"field": "q"}});
        for (inner, text) in [
            (
                &lookup,
                "terms query with terms lookup isn't supported as part of a role query",
            ),
            (
                &shape,
                "geoshape query referring to indexed shapes isn't supported as part of a role query",
            ),
            (
                &child,
                "has_child query isn't supported as part of a role query",
            ),
            (
                &percolate,
                "percolate query isn't supported as part of a role query",
            ),
        ] {
            for query in [
                inner.clone(),
                json!({"bool": {"must": {"match_all": {}}, "should": [{"term": {"a": 1}}, inner]}}),
                json!({"constant_score": {"filter": {"boosting": {"positive": {"match_all": {}}, "negative": inner}}}}),
                json!({"function_score": {"query": {"match_all": {}}, "functions": [{"filter": inner}]}}),
            ] {
                assert_eq!(why(&query).as_deref(), Some(text), "{query}");
            }
        }
    }

    #[test]
    fn ordinary_queries_and_templates_pass_and_unknown_ones_do_not() {
        for query in [
            json!({"term": {"a": 1}}),
            json!({"terms": {"a": ["x"], "boost": 1}}),
            json!({"template": {"source": {"terms": {"a": "{{_user.username}}"}}}}),
            json!({"geo_shape": {"place": {"shape": {"type": "point"}}}}),
        ] {
            assert_eq!(why(&query), None, "{query}");
        }
        assert_eq!(
            why(&json!({"nope": {}})).as_deref(),
            Some("unknown query [nope]")
        );
        assert!(check_text("{").is_err() && check_text("[]").is_err() && check_text("{}").is_err());
    }
}
