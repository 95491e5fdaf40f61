//! Searching API keys, users and roles.

use std::time::Duration;

use serde_json::{Value, json};

use super::Node;

const KEYS: &str = "/_security/_query/api_key";

async fn names(node: &Node, uri: &str, list: &str, body: Value) -> Vec<String> {
    let answer = node.done("POST", uri, body).await;
    let items = answer[list].as_array().unwrap();
    assert_eq!(answer["count"], items.len());
    let name = |item: &Value| {
        let name = item.get("name").or_else(|| item.get("username"));
        name.unwrap().as_str().unwrap().to_owned()
    };
    items.iter().map(name).collect()
}

/// Four keys a second apart: three of the superuser's, one of joe's, who may manage his own.
async fn with_keys() -> (Node, String) {
    let node = Node::fresh().await;
    let joe = node
        .user_with("joe", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    for body in [
        json!({"name": "alert-1", "expiration": "10d",
               "metadata": {"tags": ["prod", "east"], "env": {"os": "Cat", "level": 42, "system": false}}}),
        json!({"name": "alert-2", "metadata": {"tags": ["staging", "east"], "env": {"os": "Dog", "level": 11, "system": true}}}),
        json!({"name": "ingest-1", "expiration": "1d", "metadata": {"tags": ["prod"], "env": {"os": "Cat"}}}),
    ] {
        node.done("PUT", "/_security/api_key", body).await;
        node.clock.advance(Duration::from_secs(1));
    }
    node.with(
        &joe,
        "PUT",
        "/_security/api_key",
        &json!({"name": "joes", "metadata": {"tags": ["user"]}}),
    )
    .await;
    node.done("DELETE", "/_security/api_key", json!({"name": "ingest-1"}))
        .await;
    (node, joe)
}

#[tokio::test]
async fn keys_are_found_by_every_query() {
    let (node, _) = with_keys().await;
    for (query, expected) in [
        (
            json!({"match_all": {}}),
            vec!["alert-1", "alert-2", "ingest-1", "joes"],
        ),
        (json!({"term": {"name": "alert-1"}}), vec!["alert-1"]),
        (
            json!({"term": {"name": {"value": "ALERT-1", "case_insensitive": true}}}),
            vec!["alert-1"],
        ),
        (
            json!({"terms": {"metadata.tags": ["east", "user"]}}),
            vec!["alert-1", "alert-2", "joes"],
        ),
        (
            json!({"prefix": {"name": "alert"}}),
            vec!["alert-1", "alert-2"],
        ),
        (
            json!({"wildcard": {"name": "*-?"}}),
            vec!["alert-1", "alert-2", "ingest-1"],
        ),
        (json!({"match": {"metadata": "Dog"}}), vec!["alert-2"]),
        (
            json!({"match": {"metadata.env.level": 42}}),
            vec!["alert-1"],
        ),
        (
            json!({"term": {"metadata.env.system": true}}),
            vec!["alert-2"],
        ),
        (
            json!({"exists": {"field": "expiration"}}),
            vec!["alert-1", "ingest-1"],
        ),
        (json!({"exists": {"field": "metadata.env"}}), vec![]),
        (
            json!({"exists": {"field": "metadata.env.os"}}),
            vec!["alert-1", "alert-2", "ingest-1"],
        ),
        (json!({"term": {"invalidated": true}}), vec!["ingest-1"]),
        (
            json!({"term": {"invalidated": "false"}}),
            vec!["alert-1", "alert-2", "joes"],
        ),
        (
            json!({"term": {"type": "rest"}}),
            vec!["alert-1", "alert-2", "ingest-1", "joes"],
        ),
        (json!({"term": {"username": "joe"}}), vec!["joes"]),
        (
            json!({"term": {"realm_name": "reserved"}}),
            vec!["alert-1", "alert-2", "ingest-1"],
        ),
        (
            json!({"range": {"creation": {"lt": "now-1s"}}}),
            vec!["alert-1", "alert-2"],
        ),
        (
            json!({"range": {"creation": {"gte": "2023-11-14T22:13:21Z", "lte": "2023-11-14T22:13:22Z"}}}),
            vec!["alert-2", "ingest-1"],
        ),
        (
            json!({"range": {"expiration": {"gt": "now+5d/d"}}}),
            vec!["alert-1"],
        ),
        (
            json!({"range": {"name": {"gt": "alert-1", "lt": "j"}}}),
            vec!["alert-2", "ingest-1"],
        ),
        (
            json!({"bool": {"must": {"term": {"invalidated": false}}, "should": [
            {"range": {"expiration": {"gte": "now"}}}, {"bool": {"must_not": {"exists": {"field": "expiration"}}}}
        ], "minimum_should_match": 1}}),
            vec!["alert-1", "alert-2", "joes"],
        ),
        (
            json!({"bool": {"should": [{"term": {"name": "joes"}}]}}),
            vec!["joes"],
        ),
        (
            json!({"bool": {"filter": [{"prefix": {"name": "a"}}], "should": [{"term": {"name": "joes"}}]}}),
            vec!["alert-1", "alert-2"],
        ),
        (
            json!({"simple_query_string": {"query": "joes | ingest-1"}}),
            vec!["ingest-1", "joes"],
        ),
        (
            json!({"simple_query_string": {"query": "alert* + -Dog", "fields": ["na*", "metadata"]}}),
            vec!["alert-1"],
        ),
        (
            json!({"simple_query_string": {"query": "alert*", "fields": ["doc_type"]}}),
            vec![],
        ),
    ] {
        let found = names(&node, KEYS, "api_keys", json!({"query": query})).await;
        assert_eq!(found, expected, "{query}");
    }
    assert_eq!(names(&node, KEYS, "api_keys", Value::Null).await.len(), 4);
    let one = node
        .done("POST", KEYS, json!({"query": {"term": {"name": "joes"}}}))
        .await;
    let by_id = json!({"query": {"ids": {"values": [one["api_keys"][0]["id"], "nope"]}}});
    assert_eq!(names(&node, KEYS, "api_keys", by_id).await, ["joes"]);
    assert!(
        one["api_keys"][0].get("_sort").is_none() && one["api_keys"][0].get("limited_by").is_none()
    );
    let limited = node
        .done(
            "POST",
            &format!("{KEYS}?with_limited_by=true"),
            json!({"query": {"term": {"name": "joes"}}}),
        )
        .await;
    assert_eq!(
        limited["api_keys"][0]["limited_by"][0]["joe"]["cluster"],
        json!(["manage_own_api_key"])
    );
}

#[tokio::test]
async fn pages_follow_each_other_in_order() {
    let (node, _) = with_keys().await;
    for (body, expected) in [
        (
            json!({"sort": [{"creation": {"order": "desc"}}], "size": 2}),
            vec!["joes", "ingest-1"],
        ),
        (json!({"sort": "name", "from": 3}), vec!["joes"]),
        (json!({"sort": {"name": "desc"}, "size": 1}), vec!["joes"]),
        (
            json!({"sort": ["expiration", "username"]}),
            vec!["ingest-1", "alert-1", "alert-2", "joes"],
        ),
        (
            json!({"sort": [{"expiration": {"missing": "_first"}}, {"name": "desc"}], "size": 3}),
            vec!["joes", "alert-2", "ingest-1"],
        ),
        (
            json!({"sort": ["metadata.env.os", "_doc"]}),
            vec!["alert-1", "ingest-1", "alert-2", "joes"],
        ),
        (
            json!({"sort": ["username", "name"], "search_after": ["elastic", "alert-2"]}),
            vec!["ingest-1", "joes"],
        ),
        (json!({"size": 0}), vec![]),
        (json!({"from": 2}), vec!["ingest-1", "joes"]),
    ] {
        let found = names(&node, KEYS, "api_keys", body.clone()).await;
        assert_eq!(found, expected, "{body}");
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let mut body = json!({"sort": [{"expiration": "desc"}, "invalidated", "metadata.tags", "creation"], "size": 1});
        if let Some(after) = &after {
            body["search_after"] = json!(after);
        }
        let page = node.done("POST", KEYS, body).await;
        assert_eq!(page["total"], 4);
        let Some(key) = page["api_keys"].get(0) else {
            break;
        };
        seen.push(key["name"].as_str().unwrap().to_owned());
        after = Some(key["_sort"].clone());
    }
    assert_eq!(seen, ["alert-1", "ingest-1", "alert-2", "joes"]);
    let sorted = node
        .done(
            "POST",
            KEYS,
            json!({"sort": ["creation", "invalidated"], "size": 1}),
        )
        .await;
    assert_eq!(
        sorted["api_keys"][0]["_sort"],
        json!([1_700_000_000_000_u64, false])
    );
    let last = node
        .done("POST", KEYS, json!({"sort": ["expiration"], "from": 3}))
        .await;
    assert_eq!(last["api_keys"][0]["_sort"], json!([i64::MAX]));
}

#[tokio::test]
async fn who_manages_their_own_keys_searches_and_counts_only_these() {
    let (node, joe) = with_keys().await;
    let mine = node.with(&joe, "GET", KEYS, &Value::Null).await.json();
    assert_eq!(
        (&mine["total"], &mine["api_keys"][0]["name"]),
        (&json!(1), &json!("joes"))
    );
    let counted = node
        .with(&joe, "POST", KEYS, &json!({"size": 0, "aggs": {
            "all": {"filter": {"match_all": {}}}, "names": {"terms": {"field": "name", "min_doc_count": 0}}
        }}))
        .await
        .json();
    assert_eq!(counted["aggregations"]["all"]["doc_count"], 1);
    assert_eq!(
        counted["aggregations"]["names"]["buckets"],
        json!([{"key": "joes", "doc_count": 1}])
    );
    let roles = json!({"a": {"cluster": ["manage_own_api_key"]}});
    let key = node
        .with(
            &joe,
            "PUT",
            "/_security/api_key",
            &json!({"name": "limited", "role_descriptors": roles}),
        )
        .await
        .json();
    let auth = format!("ApiKey {}", key["encoded"].as_str().unwrap());
    let itself = node.with(&auth, "GET", KEYS, &Value::Null).await.json();
    assert_eq!(
        (&itself["total"], &itself["api_keys"][0]["name"]),
        (&json!(1), &json!("limited"))
    );
    let answer = node
        .with(
            &auth,
            "GET",
            &format!("{KEYS}?with_limited_by"),
            &Value::Null,
        )
        .await;
    assert_eq!(answer.status, 403);
    let nobody = node.user_with("nobody", json!({})).await;
    assert_eq!(
        node.with(&nobody, "GET", KEYS, &Value::Null).await.status,
        403
    );
    let reader = node
        .user_with("reader", json!({"cluster": ["read_security"]}))
        .await;
    assert_eq!(
        node.with(&reader, "GET", KEYS, &Value::Null).await.json()["total"],
        5
    );
}

#[tokio::test]
async fn keys_are_counted_by_every_aggregation() {
    let (node, _) = with_keys().await;
    let body = json!({"size": 0, "aggs": {
        "users": {"terms": {"field": "username"}, "aggs": {"n": {"value_count": {"field": "metadata.tags"}}}, "meta": {"m": 1}},
        "tags": {"terms": {"field": "metadata.tags", "size": 1, "order": {"_key": "desc"}}},
        "invalid": {"terms": {"field": "invalidated"}},
        "spans": {"date_range": {"field": "creation", "ranges": [{"to": "2023-11-14T22:13:21Z"}, {"from": "2023-11-14T22:13:21Z", "key": "late"}]}},
        "numbers": {"range": {"field": "creation", "keyed": true, "ranges": [{"from": 1_700_000_002_000_u64}]}},
        "endless": {"missing": {"field": "expiration"}},
        "different": {"cardinality": {"field": "metadata.env.os"}},
        "cats": {"filter": {"term": {"metadata.env.os": "Cat"}}, "aggs": {"pairs": {"composite": {"sources": [
            {"os": {"terms": {"field": "metadata.env.os"}}}, {"tag": {"terms": {"field": "metadata.tags", "order": "desc"}}}
        ], "size": 2}}}},
        "by": {"filters": {"other_bucket_key": "rest", "filters": {"b": {"prefix": {"name": "a"}}, "a": {"term": {"name": "joes"}}}}},
        "anonymous": {"filters": {"filters": [{"match_all": {}}]}},
    }});
    let answer = node.done("POST", KEYS, body.clone()).await;
    assert_eq!(
        (&answer["total"], &answer["count"], &answer["api_keys"]),
        (&json!(4), &json!(0), &json!([]))
    );
    let found = &answer["aggregations"];
    assert_eq!(
        found["users"],
        json!({
            "meta": {"m": 1}, "doc_count_error_upper_bound": 0, "sum_other_doc_count": 0,
            "buckets": [{"key": "elastic", "doc_count": 3, "n": {"value": 5}}, {"key": "joe", "doc_count": 1, "n": {"value": 1}}],
        })
    );
    assert_eq!(
        found["tags"]["buckets"],
        json!([{"key": "user", "doc_count": 1}])
    );
    assert_eq!(found["tags"]["sum_other_doc_count"], 5);
    assert_eq!(
        found["invalid"]["buckets"],
        json!([
            {"key": 0, "key_as_string": "false", "doc_count": 3}, {"key": 1, "key_as_string": "true", "doc_count": 1}
        ])
    );
    assert_eq!(
        found["spans"]["buckets"][0],
        json!({
            "key": "*-2023-11-14T22:13:21.000Z", "to": 1_700_000_001_000.0, "to_as_string": "2023-11-14T22:13:21.000Z", "doc_count": 1
        })
    );
    assert_eq!(
        (
            &found["spans"]["buckets"][1]["key"],
            &found["spans"]["buckets"][1]["doc_count"]
        ),
        (&json!("late"), &json!(3))
    );
    assert_eq!(
        found["numbers"]["buckets"]["2023-11-14T22:13:22.000Z-*"]["doc_count"],
        2
    );
    assert_eq!(found["endless"], json!({"doc_count": 2}));
    assert_eq!(found["different"], json!({"value": 2}));
    assert_eq!(found["cats"]["doc_count"], 2);
    assert_eq!(
        found["cats"]["pairs"],
        json!({
            "after_key": {"os": "Cat", "tag": "east"},
            "buckets": [{"key": {"os": "Cat", "tag": "prod"}, "doc_count": 2}, {"key": {"os": "Cat", "tag": "east"}, "doc_count": 1}],
        })
    );
    assert_eq!(
        found["by"]["buckets"],
        json!({"a": {"doc_count": 1}, "b": {"doc_count": 2}, "rest": {"doc_count": 1}})
    );
    assert_eq!(found["anonymous"]["buckets"], json!([{"doc_count": 4}]));

    let typed = node.done("POST", &format!("{KEYS}?typed_keys"), body).await;
    let mut types: Vec<&String> = typed["aggregations"].as_object().unwrap().keys().collect();
    types.sort();
    assert_eq!(
        types,
        [
            "cardinality#different",
            "date_range#spans",
            "filter#cats",
            "filters#anonymous",
            "filters#by",
            "lterms#invalid",
            "missing#endless",
            "range#numbers",
            "sterms#tags",
            "sterms#users",
        ]
    );
    let nothing = node
        .done("POST", KEYS, json!({"query": {"term": {"name": "x"}}, "aggs": {"a": {"missing": {"field": "name"}}}}))
        .await;
    assert_eq!(nothing, json!({"total": 0, "count": 0, "api_keys": []}));
}

#[tokio::test]
async fn composite_pages_follow_each_other() {
    let (node, _) = with_keys().await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let mut pairs = json!({"sources": [
            {"os": {"terms": {"field": "metadata.env.os", "missing_bucket": true}}}, {"made": {"terms": {"field": "creation"}}}
        ], "size": 2});
        if let Some(after) = after.take() {
            pairs["after"] = after;
        }
        let answer = node
            .done(
                "POST",
                KEYS,
                json!({"size": 0, "aggs": {"p": {"composite": pairs}}}),
            )
            .await;
        let page = &answer["aggregations"]["p"];
        seen.extend(
            page["buckets"]
                .as_array()
                .unwrap()
                .iter()
                .map(|bucket| bucket["key"]["os"].clone()),
        );
        match page.get("after_key") {
            Some(key) => after = Some(key.clone()),
            None => break,
        }
    }
    assert_eq!(json!(seen), json!([null, "Cat", "Cat", "Dog"]));
}

#[tokio::test]
async fn searches_that_can_not_be_are_refused_with_their_words() {
    let (node, _) = with_keys().await;
    let deep = (0..40).fold(
        json!({"match_all": {}}),
        |query, _| json!({"bool": {"must": query}}),
    );
    let many: Vec<Value> = (0..5_000).map(|_| json!({"match_all": {}})).collect();
    for (body, text) in [
        (
            json!({"query": {"term": {"api_key_hash": "x"}}}),
            "Field [api_key_hash] is not allowed for querying or aggregation",
        ),
        (
            json!({"query": {"term": {"na*": "x"}}}),
            "Field name pattern [na*] is not allowed for querying or aggregation",
        ),
        (
            json!({"query": {"fuzzy": {"name": "x"}}}),
            "Query type [fuzzy] is not currently supported in this context",
        ),
        (json!({"query": {"nope": {}}}), "unknown query [nope]"),
        (json!({"query": {}}), "query malformed, empty clause found"),
        (
            json!({"query": {"terms": {"name": {"index": "i", "id": "1", "path": "p"}}}}),
            "terms query with terms lookup is not currently supported in this context",
        ),
        (
            json!({"query": {"range": {"creation": {"gte": "now", "relation": "within"}}}}),
            "range query with relation is not currently supported in this context",
        ),
        (
            json!({"query": {"range": {"creation": {"gte": "soon"}}}}),
            "failed to parse date field [soon]",
        ),
        (
            json!({"query": {"term": {"invalidated": "maybe"}}}),
            "Can't parse boolean value [maybe], expected [true] or [false]",
        ),
        (
            json!({"query": {"prefix": {"creation": "2"}}}),
            "Can only use prefix queries on keyword, text and wildcard fields - not on [creation_time] which is of type [date]",
        ),
        (
            json!({"query": {"term": {"name": "a", "username": "b"}}}),
            "[term] query doesn't support multiple fields, found [name] and [username]",
        ),
        (
            json!({"query": {"bool": {"must": {"match_all": {}}, "x": 1}}}),
            "[bool] query does not support [x]",
        ),
        (
            json!({"query": deep}),
            "The nested depth of the query exceeds the maximum nested depth",
        ),
        (
            json!({"query": {"bool": {"should": many}}}),
            "maxClauseCount is set to 4096",
        ),
        (
            json!({"sort": ["metadata_flattened.letter"]}),
            "Field [metadata_flattened.letter] is not allowed",
        ),
        (
            json!({"sort": [{"name": {"nested": {"path": "x"}}}]}),
            "nested sorting is not currently supported in this context",
        ),
        (
            json!({"from": -1, "size": -2}),
            "1: [from] parameter cannot be negative but was [-1];2: [size] parameter cannot be negative but was [-2];",
        ),
        (
            json!({"size": 10_001}),
            "Result window is too large, from + size must be less than or equal to: [10000] but was [10001]",
        ),
        (
            json!({"search_after": [1]}),
            "Sort must contain at least one field.",
        ),
        (
            json!({"sort": ["name"], "search_after": [1, 2]}),
            "search_after has 2 value(s) but sort has 1.",
        ),
        (
            json!({"aggs": {}, "aggregations": {}}),
            "Duplicate 'aggs' or 'aggregations' field",
        ),
        (
            json!({"aggs": {"g": {"global": {}}}}),
            "Unsupported API Keys agg [g] of type [global]",
        ),
        (
            json!({"aggs": {"c": {"cumulative_cardinality": {"buckets_path": "x"}}}}),
            "Unsupported aggregation of type [cumulative_cardinality]",
        ),
        (
            json!({"aggs": {"t": {"terms": {"script": "x"}}}}),
            "Unsupported script value source for [t] agg",
        ),
        (
            json!({"aggs": {"t": {"terms": {"field": "creator"}}}}),
            "Field [creator] is not allowed for querying or aggregation",
        ),
        (
            json!({"aggs": {"k": {"composite": {"sources": [{"h": {"histogram": {"field": "name", "interval": 5}}}]}}}}),
            "Unsupported value source type for [h] of composite agg [k].Only [terms] value sources are allowed.",
        ),
        (
            json!({"aggs": {"r": {"range": {"field": "name", "ranges": [{"to": 1}]}}}}),
            "Field [name] of type [keyword] is not supported for aggregation [range]",
        ),
        (
            json!({"nope": 1}),
            "[1:2] [query_api_key_request_payload] unknown field [nope]",
        ),
    ] {
        let answer = node.elastic("POST", KEYS, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(
            answer.reason().contains(text),
            "{body}: {}",
            answer.reason()
        );
    }
}

#[tokio::test]
async fn users_are_found_without_the_reserved_ones() {
    let node = Node::fresh().await;
    let users = "/_security/_query/user";
    assert_eq!(
        node.done("GET", users, Value::Null).await,
        json!({"total": 0, "count": 0, "users": []})
    );
    for (name, roles, full_name, email, enabled) in [
        (
            "mr-prefix1",
            json!(["master-of-the-universe", "other"]),
            json!("Prefix One"),
            json!("one@something.com"),
            true,
        ),
        (
            "mr-prefix2",
            json!(["master-of-the-world"]),
            json!("Prefix Two"),
            json!(null),
            false,
        ),
        (
            "batman",
            json!(["bat-cave-admin"]),
            json!("Batman"),
            json!("batman@hotmail.com"),
            true,
        ),
    ] {
        node.done("PUT", &format!("/_security/user/{name}"), json!({
            "password": "a-password", "roles": roles, "full_name": full_name, "email": email, "enabled": enabled, "metadata": {"a": 1}
        }))
        .await;
    }
    for (body, expected) in [
        (
            json!({"query": {"prefix": {"roles": "master-of-the"}}, "sort": ["username"]}),
            vec!["mr-prefix1", "mr-prefix2"],
        ),
        (
            json!({"query": {"wildcard": {"username": "mr-*1"}}}),
            vec!["mr-prefix1"],
        ),
        (
            json!({"query": {"term": {"full_name": "batman"}}}),
            vec!["batman"],
        ),
        (
            json!({"query": {"match": {"full_name": "one TWO"}}}),
            vec!["mr-prefix1", "mr-prefix2"],
        ),
        (
            json!({"query": {"match": {"full_name": {"query": "prefix two", "operator": "and"}}}}),
            vec!["mr-prefix2"],
        ),
        (
            json!({"query": {"match": {"full_name": {"query": "batmen", "fuzziness": "AUTO"}}}}),
            vec!["batman"],
        ),
        (
            json!({"query": {"term": {"email": "batman@hotmail.com"}}}),
            vec!["batman"],
        ),
        (
            json!({"query": {"term": {"email": "hotmail.com"}}}),
            vec!["batman"],
        ),
        (
            json!({"query": {"term": {"enabled": true}}, "sort": {"username": "desc"}}),
            vec!["mr-prefix1", "batman"],
        ),
        (
            json!({"query": {"exists": {"field": "email"}}}),
            vec!["batman", "mr-prefix1"],
        ),
        (
            json!({"query": {"ids": {"values": "user-batman"}}}),
            vec!["batman"],
        ),
        (
            json!({"query": {"simple_query_string": {"query": "\"prefix one\""}}}),
            vec!["mr-prefix1"],
        ),
        (json!({"query": {"term": {"username": "elastic"}}}), vec![]),
    ] {
        assert_eq!(
            names(&node, users, "users", body.clone()).await,
            expected,
            "{body}"
        );
    }
    let answer = node
        .done(
            "POST",
            users,
            json!({"query": {"term": {"username": "batman"}}, "sort": ["roles"]}),
        )
        .await;
    assert_eq!(
        answer["users"],
        json!([{
            "username": "batman", "roles": ["bat-cave-admin"], "full_name": "Batman", "email": "batman@hotmail.com",
            "metadata": {"a": 1}, "enabled": true, "_sort": ["bat-cave-admin"],
        }])
    );
    for (body, text) in [
        (
            json!({"sort": ["email"]}),
            "sorting is not supported for field [email]",
        ),
        (
            json!({"sort": ["full_name"]}),
            "sorting is not supported for field [full_name]",
        ),
        (
            json!({"query": {"term": {"password": "x"}}}),
            "Field [password] is not allowed for querying or aggregation",
        ),
        (
            json!({"aggs": {}}),
            "[1:2] [query_user_request_payload] unknown field [aggs]",
        ),
    ] {
        let answer = node.elastic("POST", users, body).await;
        assert_eq!((answer.status, answer.reason().as_str()), (400, text));
    }
    let own = node
        .user_with("own", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    let answer = node.with(&own, "POST", users, &Value::Null).await;
    assert_eq!(answer.status, 403);
    assert!(answer.reason().starts_with(
        "action [cluster:admin/xpack/security/user/query] is unauthorized for user [own]"
    ));
}

#[tokio::test]
async fn roles_are_found_with_the_reserved_ones() {
    let node = Node::fresh().await;
    let roles = "/_security/_query/role";
    node.done("PUT", "/_security/role/shop", json!({
        "description": "Sells things to people", "metadata": {"team": "blue"},
        "applications": [{"application": "shop-eu", "privileges": ["read"], "resources": ["space/1"]}],
    }))
    .await;
    node.done(
        "PUT",
        "/_security/role/stock",
        json!({"cluster": ["monitor"], "metadata": {"team": "red"}}),
    )
    .await;
    let own = json!({"bool": {"must_not": [{"term": {"metadata._reserved": true}}]}});
    for (query, expected) in [
        (own, vec!["shop", "stock"]),
        (json!({"term": {"metadata.team": "blue"}}), vec!["shop"]),
        (
            json!({"wildcard": {"applications.application": "shop*"}}),
            vec!["shop"],
        ),
        (
            json!({"term": {"applications.resources": "space/1"}}),
            vec!["shop"],
        ),
        (json!({"match": {"description": "people"}}), vec!["shop"]),
        (json!({"ids": {"values": ["role-stock"]}}), vec!["stock"]),
        (json!({"term": {"name": "superuser"}}), vec!["superuser"]),
    ] {
        let found = names(
            &node,
            roles,
            "roles",
            json!({"query": query, "sort": ["name"]}),
        )
        .await;
        assert_eq!(found, expected, "{query}");
    }
    let found = node
        .done(
            "POST",
            roles,
            json!({"query": {"term": {"name": "stock"}}, "sort": ["name"]}),
        )
        .await;
    assert_eq!(
        found,
        json!({"total": 1, "count": 1, "roles": [{
            "name": "stock", "cluster": ["monitor"], "indices": [], "applications": [], "run_as": [],
            "metadata": {"team": "red"}, "transient_metadata": {"enabled": true}, "_sort": ["stock"],
        }]})
    );
    let answer = node
        .elastic(
            "POST",
            roles,
            json!({"query": {"term": {"cluster": "all"}}}),
        )
        .await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (
            400,
            "Field [cluster] is not allowed for querying or aggregation"
        )
    );
}

#[tokio::test]
async fn keys_and_users_are_shown_with_their_profiles_when_asked() {
    let (node, joe) = with_keys().await;
    let grant = json!({"grant_type": "password", "username": "joe", "password": "joe-password"});
    let uid = node
        .done("POST", "/_security/profile/_activate", grant)
        .await["uid"]
        .clone();
    let by_name = json!({"query": {"term": {"username": "joe"}}});
    for (uri, list) in [
        (KEYS.to_owned(), "api_keys"),
        ("/_security/_query/user".to_owned(), "users"),
    ] {
        let with = format!("{uri}?with_profile_uid=true");
        let shown = node.done("POST", &with, by_name.clone()).await;
        assert_eq!(shown[list][0]["profile_uid"], uid, "{uri}");
        let shown = node.done("POST", &uri, by_name.clone()).await;
        assert!(shown[list][0].get("profile_uid").is_none(), "{uri}");
    }
    let uri = "/_security/api_key?owner=true&with_profile_uid";
    let shown = node.with(&joe, "GET", uri, &Value::Null).await.json();
    assert_eq!(shown["api_keys"][0]["profile_uid"], uid);
    let all = node
        .done(
            "GET",
            "/_security/api_key?username=elastic&with_profile_uid",
            Value::Null,
        )
        .await;
    assert!(
        all["api_keys"][0].get("profile_uid").is_none(),
        "no profile, no uid"
    );
}
