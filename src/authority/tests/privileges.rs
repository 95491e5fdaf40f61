//! Application privileges.

use serde_json::{Value, json};

use super::Node;

#[tokio::test]
async fn privileges_are_created_updated_shown_and_deleted() {
    let node = Node::fresh().await;
    let body = json!({
        "app": {
            "p1": {"application": "app", "name": "p1", "actions": ["data:read/*", "action:login"], "metadata": {"k": "v"}},
            "p2": {"actions": ["data:write/*"]},
        },
        "app2": {"p1": {"actions": ["*"]}},
    });
    assert_eq!(
        node.done("PUT", "/_security/privilege", body).await,
        json!({"app": {"p1": {"created": true}, "p2": {"created": true}}, "app2": {"p1": {"created": true}}})
    );
    let again = node
        .done(
            "POST",
            "/_security/privilege/",
            json!({"app": {"p1": {"actions": ["a:b"]}}}),
        )
        .await;
    assert_eq!(again, json!({"app": {"p1": {"created": false}}}));
    assert_eq!(
        node.done("GET", "/_security/privilege/app/p1", Value::Null)
            .await,
        json!({"app": {"p1": {"application": "app", "name": "p1", "actions": ["a:b"], "metadata": {}}}})
    );
    let two = node
        .done("GET", "/_security/privilege/app/p1,p2", Value::Null)
        .await;
    assert_eq!(two["app"].as_object().unwrap().len(), 2);
    assert_eq!(
        node.done("GET", "/_security/privilege", Value::Null)
            .await
            .as_object()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        node.done("GET", "/_security/privilege/none", Value::Null)
            .await,
        json!({})
    );
    assert_eq!(
        node.elastic("GET", "/_security/privilege/app/none", Value::Null)
            .await
            .status,
        404
    );
    assert_eq!(
        node.done("DELETE", "/_security/privilege/app/p1,p0", Value::Null)
            .await,
        json!({"app": {"p1": {"found": true}, "p0": {"found": false}}})
    );
    let answer = node
        .elastic("DELETE", "/_security/privilege/app/p1", Value::Null)
        .await;
    assert_eq!(
        (answer.status, answer.json()),
        (404, json!({"app": {"p1": {"found": false}}}))
    );
}

#[tokio::test]
async fn bad_privileges_are_refused_with_their_words() {
    let node = Node::fresh().await;
    for (body, text) in [
        (
            json!({}),
            "At least one application privilege must be provided",
        ),
        (
            json!({"app": {"p": {"actions": []}}}),
            "Application privileges must have at least one action",
        ),
        (
            json!({"app": {"p": {"actions": ["read"]}}}),
            "must contain one of",
        ),
        (
            json!({"ap": {"p": {"actions": ["a:b"]}}}),
            "An application name prefix must be at least 3 characters long (found 'ap')",
        ),
        (
            json!({"app*": {"p": {"actions": ["a:b"]}}}),
            "Application names may not contain '*' (found 'app*')",
        ),
        (
            json!({"app": {"P": {"actions": ["a:b"]}}}),
            "Application privilege names must match the pattern ^[a-z][a-zA-Z0-9_.-]*$ (found 'P')",
        ),
        (
            json!({"app": {"p": {"actions": ["a:b"], "metadata": {"_m": 1}}}}),
            "metadata keys may not start with [_] (in privilege app p)",
        ),
        (
            json!({"app": {"p": {"name": "q", "actions": ["a:b"]}}}),
            "privilege name [q] in source does not match the provided name [p]",
        ),
        (
            json!({"app": {"p": {"application": "b", "actions": ["a:b"]}}}),
            "privilege application [b] in source does not match the provided application [app]",
        ),
        (json!([]), "expected object but found START_ARRAY instead"),
        (
            json!({"app": {"p": {"nope": 1, "actions": ["a:b"]}}}),
            "[application_privilege] unknown field [nope]",
        ),
        (
            json!({"app": 1}),
            "expected the value for app to be an object, but found VALUE_NUMBER instead",
        ),
    ] {
        let answer = node
            .elastic("PUT", "/_security/privilege", body.clone())
            .await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(
            answer.reason().contains(text),
            "{body}: {}",
            answer.reason()
        );
    }
}

#[tokio::test]
async fn a_manager_of_one_application_reaches_no_other() {
    let node = Node::fresh().await;
    let role = json!({"global": {"application": {"manage": {"applications": ["shop-*"]}}}});
    let ann = node.user_with("ann", role).await;
    let put = |app: &str| json!({app: {"p": {"actions": ["a:b"]}}});
    let path = "/_security/privilege";
    assert_eq!(
        node.with(&ann, "PUT", path, &put("shop-1")).await.status,
        200
    );
    assert_eq!(
        node.with(&ann, "PUT", path, &put("other")).await.status,
        403
    );
    assert_eq!(
        node.with(&ann, "GET", "/_security/privilege/shop-1", &Value::Null)
            .await
            .status,
        200
    );
    assert_eq!(node.with(&ann, "GET", path, &Value::Null).await.status, 403);
    assert_eq!(
        node.with(&ann, "DELETE", "/_security/privilege/other/p", &Value::Null)
            .await
            .status,
        403
    );
    assert_eq!(
        node.with(
            &ann,
            "DELETE",
            "/_security/privilege/shop-1/p",
            &Value::Null
        )
        .await
        .status,
        200
    );
}

#[tokio::test]
async fn built_in_names_are_listed_in_order() {
    let node = Node::fresh().await;
    let answer = node
        .done("GET", "/_security/privilege/_builtin", Value::Null)
        .await;
    assert_eq!(answer["cluster"].as_array().unwrap().len(), 62);
    assert_eq!(
        answer["remote_cluster"],
        json!(["monitor_enrich", "monitor_stats"])
    );
    let index = answer["index"].as_array().unwrap();
    assert!(index.iter().map(|name| name.as_str()).is_sorted());
    let joe = node.user_with("joe", json!({})).await;
    assert_eq!(
        node.with(&joe, "GET", "/_security/privilege/_builtin", &Value::Null)
            .await
            .status,
        403
    );
}
