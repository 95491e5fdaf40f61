//! Roles.

use serde_json::{Value, json};

use super::Node;

#[tokio::test]
async fn a_role_is_created_updated_shown_and_deleted() {
    let node = Node::fresh().await;
    let path = "/_security/role/admin_role";
    let body = json!({
        "metadata": {"k": "v"},
        "description": "all of it",
        "indices": [{"names": "*", "privileges": ["all"], "query": {"term": {"a": 1}}, "field_security": {"grant": ["a*"], "except": ["ab"]}}],
        "application": [{"application": "app-*", "privileges": ["read"], "resources": ["*"]}],
        "remote_indices": [{"names": ["x"], "privileges": ["read"], "clusters": ["c"]}],
        "global": {"application": {"manage": {"applications": ["app-*"]}}},
    });
    assert_eq!(
        node.done("PUT", path, body.clone()).await,
        json!({"role": {"created": true}})
    );
    assert_eq!(
        node.done("POST", path, body).await,
        json!({"role": {"created": false}})
    );
    let answer = node.elastic("GET", path, Value::Null).await;
    let expected = json!({"admin_role": {
        "cluster": [],
        "global": {"application": {"manage": {"applications": ["app-*"]}}, "profile": {}, "role": {}},
        "indices": [{"names": ["*"], "privileges": ["all"], "field_security": {"grant": ["a*"], "except": ["ab"]},
            "query": "{\"term\":{\"a\":1}}", "allow_restricted_indices": false}],
        "applications": [{"application": "app-*", "privileges": ["read"], "resources": ["*"]}],
        "run_as": [],
        "metadata": {"k": "v"},
        "transient_metadata": {"enabled": true},
        "remote_indices": [{"names": ["x"], "privileges": ["read"], "allow_restricted_indices": false, "clusters": ["c"]}],
        "description": "all of it",
    }});
    assert_eq!(
        answer.text,
        expected.to_string(),
        "fields in Elasticsearch's order"
    );
    let all = node.done("GET", "/_security/role", Value::Null).await;
    assert!(all["superuser"].is_object() && all["admin_role"].is_object());
    assert_eq!(
        node.done("DELETE", path, Value::Null).await,
        json!({"found": true})
    );
    let answer = node.elastic("DELETE", path, Value::Null).await;
    assert_eq!(
        (answer.status, answer.json()),
        (404, json!({"found": false}))
    );
    let answer = node.elastic("GET", path, Value::Null).await;
    assert_eq!((answer.status, answer.json()), (404, json!({})));
}

#[tokio::test]
async fn bad_roles_are_refused_with_their_words() {
    let node = Node::fresh().await;
    for (body, text) in [
        (
            json!({"nope": 1}),
            "failed to parse role [r]. unexpected field [nope]",
        ),
        (
            json!({"indices": [{"privileges": ["read"]}]}),
            "failed to parse indices privileges for role [r]. missing required [names] field",
        ),
        (
            json!({"indices": [{"names": "a"}]}),
            "failed to parse indices privileges for role [r]. missing required [privileges] field",
        ),
        (
            json!({"indices": [{"names": [], "privileges": ["read"]}]}),
            "failed to parse indices privileges for role [r]. [names] cannot be an empty array",
        ),
        (
            json!({"indices": [{"names": 1, "privileges": ["read"]}]}),
            "expected field [names] value to be a string or an array of strings, but found [VALUE_NUMBER] instead",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["read"], "x": 1}]}),
            "unexpected field [x]",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["read"], "clusters": ["c"]}]}),
            "unexpected field [clusters]",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["read"], "field_security": {"except": ["a"]}}]}),
            "field_security requires grant if except is given",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["read"], "field_security": {"grant": ["a"], "except": ["b"]}}]}),
            "failed to parse indices privileges for role [r] - ",
        ),
        (
            json!({"applications": [{"application": "app", "privileges": ["read"]}]}),
            "failed to parse application privileges for role [r]. missing required [resources] field",
        ),
        (
            json!({"remote_indices": [{"names": "a", "privileges": ["read"]}]}),
            "failed to parse remote indices privileges for role [r]. missing required [clusters] field",
        ),
        (
            json!({"remote_cluster": [{"privileges": ["all"], "clusters": ["c"]}]}),
            "Found [all]",
        ),
        (
            json!({"global": {"x": {}}}),
            "failed to parse privilege. expected one of [application,profile,role] but found [x] instead",
        ),
        (
            json!({"cluster": ["nope"]}),
            "Validation Failed: 1: unknown cluster privilege [nope]",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["nope"]}]}),
            "unknown index privilege [nope]",
        ),
        (
            json!({"metadata": {"_x": 1}}),
            "role descriptor metadata keys may not start with [_]",
        ),
        (
            json!({"description": "x".repeat(1001)}),
            "Role description must be less than 1000 characters.",
        ),
        (
            json!({"restriction": {"workflows": ["x"]}}),
            "unexpected field [restriction]",
        ),
    ] {
        let answer = node.elastic("PUT", "/_security/role/r", body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(
            answer.reason().contains(text),
            "{body}: {}",
            answer.reason()
        );
    }
    let answer = node
        .elastic("PUT", "/_security/role/superuser", json!({}))
        .await;
    assert_eq!(
        answer.reason(),
        "Validation Failed: 1: Role [superuser] is reserved and may not be used.;"
    );
    let answer = node
        .elastic("DELETE", "/_security/role/superuser", Value::Null)
        .await;
    assert_eq!(
        answer.reason(),
        "role [superuser] is reserved and cannot be deleted"
    );
}

#[tokio::test]
async fn roles_need_privileges_to_read_and_to_write() {
    let node = Node::fresh().await;
    let reader = node
        .user_with("reader", json!({"cluster": ["read_security"]}))
        .await;
    assert_eq!(
        node.with(&reader, "GET", "/_security/role", &Value::Null)
            .await
            .status,
        200
    );
    let answer = node
        .with(
            &reader,
            "PUT",
            "/_security/role/x",
            &json!({"cluster": ["all"]}),
        )
        .await;
    assert_eq!(answer.status, 403);
    let answer = node
        .with(&reader, "DELETE", "/_security/role/reader", &Value::Null)
        .await;
    assert_eq!(answer.status, 403);
    let nobody = node.user_with("nobody", json!({})).await;
    let answer = node
        .with(&nobody, "GET", "/_security/role", &Value::Null)
        .await;
    assert_eq!(
        answer.reason(),
        "action [cluster:admin/xpack/security/role/get] is unauthorized for user [nobody] with effective roles [nobody], this \
         action is granted by the cluster privileges [read_security,manage_security,all]"
    );
}
