//! `GET /_security/user/_privileges`.

use serde_json::{Value, json};

use super::Node;

const PATH: &str = "/_security/user/_privileges";

#[tokio::test]
async fn everything_the_roles_grant_is_listed_and_merged() {
    let node = Node::fresh().await;
    node.done(
        "PUT",
        "/_security/role/one",
        json!({
            "cluster": ["monitor", "manage_own_api_key"],
            "global": {"application": {"manage": {"applications": ["app01"]}}},
            "indices": [
                {"names": ["b", "a"], "privileges": ["read"], "query": "{\"term\":{\"x\":1}}", "field_security": {"grant": ["f*"], "except": ["f1"]}},
                {"names": "free", "privileges": ["read"], "query": "{\"match_all\":{}}"},
            ],
            "applications": [
                {"application": "app01", "privileges": ["read"], "resources": ["object/1"]},
                {"application": "app01", "privileges": ["write"], "resources": ["object/1"]},
                {"application": "app01", "privileges": ["read", "write"], "resources": ["object/2"]},
            ],
            "run_as": ["z", "y"],
            "remote_indices": [{"names": ["r"], "privileges": ["read"], "clusters": ["c2", "c1"]}],
            "remote_cluster": [{"privileges": ["monitor_stats"], "clusters": ["c1"]}],
        }),
    )
    .await;
    node.done(
        "PUT",
        "/_security/role/two",
        json!({
            "cluster": ["all"],
            "indices": [
                {"names": ["a", "b"], "privileges": ["write"], "query": "{\"term\":{\"x\":2}}", "field_security": {"grant": ["g"]}},
                {"names": "free", "privileges": ["index"]},
                {"names": ["a", "b"], "privileges": ["monitor"], "allow_restricted_indices": true},
            ],
        }),
    )
    .await;
    let user = json!({"password": "joe-password", "roles": ["one", "two", "gone"]});
    node.done("PUT", "/_security/user/joe", user).await;
    let joe = super::basic("joe", "joe-password");
    let answer = node.with(&joe, "GET", PATH, &Value::Null).await;
    let expected = json!({
        "cluster": ["all", "manage_own_api_key", "monitor"],
        "global": [{"application": {"manage": {"applications": ["app01"]}}, "profile": {}, "role": {}}],
        "indices": [
            {"names": ["a", "b"], "privileges": ["read", "write"],
                "field_security": [{"grant": ["f*"], "except": ["f1"]}, {"grant": ["g"]}],
                "query": ["{\"term\":{\"x\":1}}", "{\"term\":{\"x\":2}}"], "allow_restricted_indices": false},
            {"names": ["a", "b"], "privileges": ["monitor"], "allow_restricted_indices": true},
            {"names": ["free"], "privileges": ["index", "read"], "allow_restricted_indices": false},
        ],
        "applications": [{"application": "app01", "privileges": ["read", "write"], "resources": ["object/1", "object/2"]}],
        "run_as": ["y", "z"],
        "remote_indices": [{"names": ["r"], "privileges": ["read"], "allow_restricted_indices": false, "clusters": ["c1", "c2"]}],
        "remote_cluster": [{"privileges": ["monitor_stats"], "clusters": ["c1"]}],
    });
    assert_eq!(answer.text, expected.to_string());
    let none = node
        .with(&joe, "GET", &format!("{PATH}?application=x"), &Value::Null)
        .await;
    assert_eq!(none.json()["applications"], json!([]));
    let other = node
        .elastic("GET", &format!("{PATH}?username=joe"), Value::Null)
        .await;
    assert_eq!(
        other.reason(),
        "users may only list the privileges of their own account"
    );
    let other = node
        .with(
            &joe,
            "GET",
            &format!("{PATH}?username=elastic"),
            &Value::Null,
        )
        .await;
    assert_eq!(
        other.status, 400,
        "joe has every cluster privilege, and still"
    );
}

#[tokio::test]
async fn a_key_lists_its_owners_privileges_unless_it_has_its_own() {
    let node = Node::fresh().await;
    let ann = node
        .user_with("ann", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    let key = async |roles: Value| {
        let body = json!({"name": "k", "role_descriptors": roles});
        let key = node
            .with(&ann, "POST", "/_security/api_key", &body)
            .await
            .json();
        format!("ApiKey {}", key["encoded"].as_str().unwrap())
    };
    let plain = key(json!({})).await;
    let answer = node.with(&plain, "GET", PATH, &Value::Null).await;
    assert_eq!(answer.json()["cluster"], json!(["manage_own_api_key"]));
    assert!(answer.json().get("remote_indices").is_none());
    let own = key(json!({"r": {"cluster": ["monitor"]}})).await;
    let answer = node.with(&own, "GET", PATH, &Value::Null).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (400, "illegal_argument_exception")
    );
    assert!(
        answer
            .reason()
            .starts_with("Cannot retrieve privileges for API keys with assigned role descriptors.")
    );
    let nobody = node.user_with("joe", json!({})).await;
    let other = node
        .with(
            &nobody,
            "GET",
            &format!("{PATH}?username=ann"),
            &Value::Null,
        )
        .await;
    assert_eq!(other.status, 403);
}
