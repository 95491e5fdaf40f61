//! Searches, held to a naive one that reads the same JSON and knows nothing of fields, budgets or automata.

mod naive;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::search::{Found, Plan, Request};
use crate::authority::api::api_key_query::{KeyDocument, SCHEMA};
use crate::authority::realm::account;
use crate::authority::record::{ApiKey, ApiKeyKind, Principal, RoleSet};

const NOW: u64 = 1_700_000_000_000;

fn key(document: &Value) -> KeyDocument {
    let text = |name: &str| document[name].as_str().unwrap().to_owned();
    KeyDocument(Arc::new(ApiKey {
        id: text("_id"),
        name: text("name"),
        kind: ApiKeyKind::Rest,
        secret: String::new(),
        creation: document["creation"].as_u64().unwrap(),
        expiration: document["expiration"].as_u64(),
        invalidation: document["invalidated"].as_bool().unwrap().then_some(NOW),
        creator: Principal {
            username: text("username"),
            roles: Vec::new(),
            full_name: None,
            email: None,
            metadata: Map::new(),
            realm: account::realm("r", "r"),
        },
        roles: RoleSet::new(),
        limited_by: RoleSet::new(),
        metadata: document["metadata"].as_object().unwrap().clone(),
        certificate_identity: None,
        version: 0,
    }))
}

fn run(documents: &[Value], request: &Request) -> Result<Found<KeyDocument>, Fault> {
    let plan = Plan::new(request, &SCHEMA, false, NOW)?;
    plan.run(documents.iter().map(key).collect())
}

fn ids(found: &Found<KeyDocument>) -> Vec<String> {
    let ids = found.hits.iter().map(|(document, _)| document.0.id.clone());
    ids.collect()
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", "ba", "aab", "B", "1", "true"])
        .prop_map(str::to_owned)
}

fn moment() -> impl Strategy<Value = u64> {
    (0..6_u64).prop_map(|step| NOW + step * 1_000)
}

fn metadata() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        word().prop_map(Value::String),
        Just(json!(1)),
        Just(json!(true)),
        Just(json!(null)),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map(path_part(), inner, 0..3).prop_map(|map| json!(map)),
        ]
    });
    prop::collection::btree_map(path_part(), value, 0..3).prop_map(|map| json!(map))
}

fn path_part() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["x", "y", "x.y"]).prop_map(str::to_owned)
}

fn documents() -> impl Strategy<Value = Vec<Value>> {
    let one = (
        word(),
        word(),
        moment(),
        prop::option::of(moment()),
        any::<bool>(),
        metadata(),
    );
    let many = prop::collection::vec(one, 1..12);
    many.prop_map(|many| {
        let numbered = many.into_iter().enumerate();
        numbered
            .map(|(at, (name, username, creation, expiration, invalidated, metadata))| {
                json!({"_id": format!("id{at}"), "name": name, "username": username, "creation": creation,
                       "expiration": expiration, "invalidated": invalidated, "metadata": metadata})
            })
            .collect()
    })
}

fn text_field() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "name",
        "username",
        "metadata",
        "metadata.x",
        "metadata.x.y",
    ])
}

fn leaf() -> impl Strategy<Value = Value> {
    let wildcard = "[ab*?]{0,4}";
    let any_field = prop::sample::select(vec![
        "name",
        "expiration",
        "invalidated",
        "metadata",
        "metadata.x",
        "metadata.x.y",
    ]);
    prop_oneof![
        Just(json!({"match_all": {}})),
        (text_field(), word(), any::<bool>())
            .prop_map(|(field, word, fold)| json!({"term": {field: {"value": word, "case_insensitive": fold}}})),
        (text_field(), prop::collection::vec(word(), 0..3)).prop_map(|(field, words)| json!({"terms": {field: words}})),
        (text_field(), word()).prop_map(|(field, word)| json!({"match": {field: word}})),
        (text_field(), word()).prop_map(|(field, word)| json!({"prefix": {field: word}})),
        (text_field(), wildcard).prop_map(|(field, pattern)| json!({"wildcard": {field: pattern}})),
        (text_field(), word(), word()).prop_map(|(field, from, to)| json!({"range": {field: {"gte": from, "lt": to}}})),
        (prop::sample::select(vec!["creation", "expiration"]), moment(), moment())
            .prop_map(|(field, from, to)| json!({"range": {field: {"gt": from, "lte": to}}})),
        any_field.prop_map(|field| json!({"exists": {"field": field}})),
        any::<bool>().prop_map(|flag| json!({"term": {"invalidated": flag}})),
        (0..4_usize).prop_map(|at| json!({"ids": {"values": [format!("id{at}"), "id7"]}})),
    ]
}

fn query() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..3);
        (list(), list(), list(), list(), prop::option::of(0..3_i64)).prop_map(
            |(must, filter, should, must_not, minimum)| {
                let mut body =
                    json!({"must": must, "filter": filter, "should": should, "must_not": must_not});
                if let Some(minimum) = minimum {
                    body["minimum_should_match"] = json!(minimum);
                }
                json!({"bool": body})
            },
        )
    })
}

fn sort() -> impl Strategy<Value = Value> {
    let field = prop::sample::select(vec![
        "name",
        "username",
        "creation",
        "expiration",
        "invalidated",
        "metadata.x",
    ]);
    let place = prop::sample::select(vec!["_first", "_last"]);
    let order = prop::sample::select(vec!["asc", "desc"]);
    let key = (field, order, place)
        .prop_map(|(field, order, place)| json!({field: {"order": order, "missing": place}}));
    // Ends in the order of documents, so that no two are alike.
    prop::collection::vec(key, 1..3).prop_map(|mut keys| {
        keys.push(json!("_doc"));
        Value::Array(keys)
    })
}

proptest! {
    #[test]
    fn a_search_finds_what_a_naive_one_finds(documents in documents(), query in query()) {
        let request = Request { query: Some(query.clone()), size: Some(100), ..Request::default() };
        let found = run(&documents, &request).unwrap();
        let expected: Vec<String> = documents
            .iter()
            .filter(|document| naive::fits(&query, document))
            .map(|document| document["_id"].as_str().unwrap().to_owned())
            .collect();
        prop_assert_eq!(found.total, expected.len());
        prop_assert_eq!(ids(&found), expected, "{}", query);
    }

    #[test]
    fn pages_one_after_the_other_are_the_whole(documents in documents(), sort in sort(), size in 1..4_usize) {
        let whole = Request { sort: Some(sort.clone()), size: Some(100), ..Request::default() };
        let whole = ids(&run(&documents, &whole).unwrap());
        let (mut by_after, mut by_from, mut after) = (Vec::new(), Vec::new(), None);
        for round in 0..=documents.len() {
            let page = Request { sort: Some(sort.clone()), size: Some(size), search_after: after.clone(), ..Request::default() };
            let page = run(&documents, &page).unwrap();
            by_after.extend(ids(&page));
            after = page.hits.last().map(|(_, values)| values.clone()).or(after);
            let page = Request { sort: Some(sort.clone()), size: Some(size), from: Some(round * size), ..Request::default() };
            by_from.extend(ids(&run(&documents, &page).unwrap()));
        }
        prop_assert_eq!(&by_after, &whole);
        prop_assert_eq!(&by_from, &whole);
    }

    #[test]
    fn counts_are_those_of_a_naive_count(documents in documents(), field in text_field()) {
        let aggregations = json!({
            "terms": {"terms": {"field": field, "size": 100}},
            "pairs": {"composite": {"size": 100, "sources": [{"v": {"terms": {"field": field}}}]}},
            "different": {"cardinality": {"field": field}},
            "without": {"missing": {"field": field}},
        });
        let request = Request { aggregations: Some(aggregations), size: Some(0), ..Request::default() };
        let found = run(&documents, &request).unwrap().aggregations.unwrap();
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        let mut without = 0;
        for document in &documents {
            let mut values = naive::values(document, field);
            values.sort();
            values.dedup();
            without += u64::from(values.is_empty());
            values.into_iter().for_each(|value| *expected.entry(value).or_default() += 1);
        }
        let counted = |name: &str, key: &str| -> BTreeMap<String, u64> {
            let buckets = found[name]["buckets"].as_array().unwrap();
            let count = |bucket: &Value| (bucket.pointer(key).unwrap().as_str().unwrap().to_owned(), bucket["doc_count"].as_u64().unwrap());
            buckets.iter().map(count).collect()
        };
        prop_assert_eq!(&counted("terms", "/key"), &expected);
        prop_assert_eq!(&counted("pairs", "/key/v"), &expected);
        prop_assert_eq!(&found["different"]["value"], &json!(expected.len()));
        prop_assert_eq!(&found["without"]["doc_count"], &json!(without));
    }

    #[test]
    fn no_typed_query_makes_it_panic(documents in documents(), text in "[ab+|\\-\"*()~\\\\ 1]{0,24}") {
        let query = json!({"simple_query_string": {"query": text}});
        let request = Request { query: Some(query), ..Request::default() };
        prop_assert!(run(&documents, &request).is_ok());
    }

    #[test]
    fn no_json_makes_it_panic(query in metadata(), sort in metadata(), aggregations in metadata()) {
        let request = Request {
            query: Some(query),
            sort: Some(sort),
            aggregations: Some(aggregations),
            ..Request::default()
        };
        let _ = run(&[], &request);
    }
}

#[test]
fn thousands_of_open_parentheses_are_read_in_one_pass() {
    let asked = |text: String| {
        let query = json!({"simple_query_string": {"query": text}});
        let request = Request {
            query: Some(query),
            ..Request::default()
        };
        run(&[], &request).is_ok()
    };
    assert!(asked("(".repeat(10_000)));
    assert!(asked("(".repeat(5_000) + &")".repeat(5_000)));
}

#[test]
fn patterns_of_one_search_are_bounded_together() {
    let should: Vec<Value> = (0..40)
        .map(|number| json!({"wildcard": {"name": format!("{number}*{}", "a".repeat(1_000))}}))
        .collect();
    let request = Request {
        query: Some(json!({"bool": {"should": should}})),
        ..Request::default()
    };
    assert!(run(&[], &request).is_err());
}

#[test]
fn a_typed_query_means_what_its_signs_say() {
    let document = |name: &str| {
        json!({"_id": name, "name": name, "username": "u", "creation": NOW, "expiration": null, "invalidated": false,
               "metadata": {"words": [name, "every"]}})
    };
    let documents: Vec<Value> = ["ab", "ac", "b c", "d"].into_iter().map(document).collect();
    for (text, operator, expected) in [
        ("ab", "or", vec!["ab"]),
        ("ab ac", "or", vec!["ab", "ac"]),
        ("ab ac", "and", vec![]),
        ("a* every", "and", vec!["ab", "ac"]),
        ("a* + -ab", "or", vec!["ac"]),
        ("\"b c\"", "or", vec!["b c"]),
        ("b c", "or", vec![]),
        ("b\\ c", "or", vec!["b c"]),
        ("(ab | d) + every", "or", vec!["ab", "d"]),
        ("ab | (ac + d)", "or", vec!["ab"]),
        ("ax~1", "or", vec!["ab", "ac"]),
        ("\"ab", "or", vec!["ab"]),
        ("", "or", vec![]),
    ] {
        let query = json!({"simple_query_string": {"query": text, "default_operator": operator}});
        let request = Request {
            query: Some(query),
            ..Request::default()
        };
        assert_eq!(ids(&run(&documents, &request).unwrap()), expected, "{text}");
    }
}

#[test]
fn a_search_that_would_take_too_long_is_refused() {
    let tags: Vec<String> = (0..2_000).map(|at| format!("t{at}")).collect();
    let document = json!({"_id": "a", "name": "a", "username": "u", "creation": NOW, "expiration": null, "invalidated": false,
                          "metadata": {"tags": tags}});
    let source = |name: &str| json!({name: {"terms": {"field": "metadata.tags"}}});
    let aggregations =
        json!({"c": {"composite": {"sources": [source("a"), source("b"), source("c")]}}});
    let request = Request {
        aggregations: Some(aggregations),
        ..Request::default()
    };
    let fault = run(&[document], &request).err().unwrap();
    assert!(
        fault.to_string().starts_with("the query is too expensive"),
        "{fault}"
    );
}
