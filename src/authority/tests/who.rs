//! `_authenticate`, `_has_privileges`.

use serde_json::{Value, json};

use super::{Node, basic};

#[tokio::test]
async fn authenticate_describes_the_caller() {
    let node = Node::fresh().await;
    node.done(
        "PUT",
        "/_security/user/joe",
        json!({"password": "joe-password", "roles": ["b", "a"], "full_name": "Joe", "email": "j@x", "metadata": {"k": 1}}),
    )
    .await;
    let answer = node
        .with(
            &basic("joe", "joe-password"),
            "GET",
            "/_security/_authenticate",
            &Value::Null,
        )
        .await;
    assert_eq!(
        answer.json(),
        json!({
            "username": "joe", "roles": ["b", "a"], "full_name": "Joe", "email": "j@x", "metadata": {"k": 1}, "enabled": true,
            "authentication_realm": {"name": "default_native", "type": "native"},
            "lookup_realm": {"name": "default_native", "type": "native"},
            "authentication_type": "realm",
        })
    );
    let elastic = node
        .done("GET", "/_security/_authenticate", Value::Null)
        .await;
    assert_eq!(
        elastic["authentication_realm"],
        json!({"name": "reserved", "type": "reserved"})
    );
    assert_eq!(elastic["metadata"], json!({"_reserved": true}));
}

#[tokio::test]
async fn has_privileges_answers_each_question() {
    let node = Node::fresh().await;
    node.done(
        "PUT",
        "/_security/privilege",
        json!({"shop": {"orders_read": {"actions": ["data:read/orders"]}}}),
    )
    .await;
    let joe = node
        .user_with(
            "joe",
            json!({
                "cluster": ["monitor"],
                "indices": [{"names": "logs-*", "privileges": ["read"]}],
                "applications": [{"application": "shop", "privileges": ["orders_read"], "resources": ["space:1"]}],
            }),
        )
        .await;
    let question = json!({
        "cluster": ["monitor", "manage"],
        "index": [{"names": ["logs-a", "other"], "privileges": ["read", "write"]}],
        "application": [{"application": "shop", "privileges": ["orders_read", "orders_write"], "resources": ["space:1", "*"]}],
    });
    let answer = node
        .with(&joe, "POST", "/_security/user/_has_privileges", &question)
        .await;
    assert_eq!(
        answer.json(),
        json!({
            "username": "joe", "has_all_requested": false,
            "cluster": {"manage": false, "monitor": true},
            "index": {"logs-a": {"read": true, "write": false}, "other": {"read": false, "write": false}},
            "application": {"shop": {
                "*": {"orders_read": false, "orders_write": false},
                "space:1": {"orders_read": true, "orders_write": false},
            }},
        })
    );
    let own = node
        .with(
            &joe,
            "GET",
            "/_security/user/joe/_has_privileges",
            &json!({"cluster": ["monitor"]}),
        )
        .await;
    assert_eq!(own.json()["has_all_requested"], true);
}

#[tokio::test]
async fn a_changed_role_counts_at_once() {
    let node = Node::fresh().await;
    let joe = node.user_with("joe", json!({"cluster": ["monitor"]})).await;
    let ask = json!({"cluster": ["monitor"]});
    let path = "/_security/user/_has_privileges";
    assert_eq!(
        node.with(&joe, "POST", path, &ask).await.json()["has_all_requested"],
        true
    );
    node.done("PUT", "/_security/role/joe", json!({"cluster": []}))
        .await;
    assert_eq!(
        node.with(&joe, "POST", path, &ask).await.json()["has_all_requested"],
        false
    );
}

#[tokio::test]
async fn bad_questions_are_refused_with_their_words() {
    let node = Node::fresh().await;
    for (body, text) in [
        (
            json!({}),
            "failed to parse privileges check [elastic]. All privilege fields [cluster,index,applications] are missing",
        ),
        (
            json!({"nope": []}),
            "failed to parse privileges check [elastic]. unexpected field [nope]",
        ),
        (
            json!([]),
            "failed to parse privileges check [elastic]. expected an object but found [START_ARRAY] instead",
        ),
        (
            json!({}),
            "failed to parse privileges check [elastic]. All privilege fields [cluster,index,applications] are missing",
        ),
        (
            json!({"index": [{"names": "a"}]}),
            "failed to parse indices privileges for role [elastic]. missing required [privileges] field",
        ),
        (
            json!({"index": [{"names": "a", "privileges": ["read"], "field_security": {"grant": ["a"]}}]}),
            "Field [field_security] is not supported in a has_privileges request",
        ),
        (
            json!({"cluster": [], "index": [], "application": []}),
            "Validation Failed: 1: must specify at least one privilege;",
        ),
        (
            json!({"index": [{"names": "a", "privileges": ["read"], "query": "{}"}]}),
            "Field [query] is not supported in a has_privileges request",
        ),
        (
            json!({"application": [{"application": "a*", "privileges": ["x"], "resources": ["*"]}]}),
            "Application names may not contain '*' (found 'a*')",
        ),
        (
            json!({"cluster": ["nope"]}),
            "unknown cluster privilege [nope]",
        ),
        (
            json!({"index": [{"names": "a", "privileges": ["nope"]}]}),
            "unknown index privilege [nope]",
        ),
        (
            json!({"index": [{"names": "/a", "privileges": ["read"]}]}),
            "invalid pattern [/a]",
        ),
    ] {
        let answer = node
            .elastic("POST", "/_security/user/_has_privileges", body.clone())
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
async fn privileges_of_others_are_not_shown() {
    let node = Node::fresh().await;
    let joe = node.user_with("joe", json!({})).await;
    let path = "/_security/user/elastic/_has_privileges";
    let ask = json!({"cluster": ["monitor"]});
    let answer = node.with(&joe, "POST", path, &ask).await;
    assert_eq!(answer.status, 403);
    assert!(answer.reason().starts_with(
        "action [cluster:admin/xpack/security/user/has_privileges] is unauthorized for user [joe] with effective roles [joe]"
    ));
    let answer = node
        .elastic("POST", "/_security/user/joe/_has_privileges", ask)
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.reason(),
        "users may only check the privileges of their own account"
    );
}

#[tokio::test]
async fn a_denial_names_roles_missing_ones_and_granting_privileges() {
    let node = Node::fresh().await;
    node.user_with("joe", json!({"cluster": ["monitor"]})).await;
    node.done(
        "PUT",
        "/_security/user/joe",
        json!({"roles": ["joe", "gone", "also_gone"]}),
    )
    .await;
    let answer = node
        .with(
            &basic("joe", "joe-password"),
            "DELETE",
            "/_security/user/x",
            &Value::Null,
        )
        .await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.reason(),
        "action [cluster:admin/xpack/security/user/delete] is unauthorized for user [joe] with effective roles [joe] (assigned \
         roles [also_gone,gone] were not found), this action is granted by the cluster privileges [manage_security,all]"
    );
    assert!(answer.headers.get("www-authenticate").is_none());
}
