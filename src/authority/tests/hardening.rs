//! What somebody with little power, or none, could do to everybody else.

use serde_json::{Value, json};

use super::{Node, basic};

#[tokio::test]
async fn one_question_costs_one_budget_whatever_it_asks() {
    let node = Node::fresh().await;
    let path = "/_security/user/_has_privileges";
    let ask = |names: Vec<String>| json!({"index": [{"names": names, "privileges": ["read"]}]});
    let fine = ask(vec!["/(a{2000})*/".to_owned()]);
    assert_eq!(node.elastic("POST", path, fine).await.status, 200);
    let names = (0..9_000).map(|number| format!("/(a{{{}}})*/", 1_000 + number));
    let answer = node.elastic("POST", path, ask(names.collect())).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.reason().contains("too complex"), "{}", answer.text);
    let many = ask((0..20_000).map(|_| "/(a{2000})*/".to_owned()).collect());
    let answer = node.elastic("POST", path, many).await;
    assert!(
        answer.reason().contains("at most [10000]"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn of_thousands_of_faults_a_hundred_are_told() {
    let node = Node::fresh().await;
    let names: Vec<String> = (0..9_000).map(|number| format!("x{number}")).collect();
    let role = json!({"cluster": names, "metadata": {"_a": 1}});
    let answer = node.elastic("PUT", "/_security/role/r", role.clone()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.len() < 600_000, "{} bytes", answer.text.len());
    assert!(
        answer.reason().contains("101: and more"),
        "{}",
        answer.reason().len()
    );
    let many: Vec<String> = (0..20_000).map(|number| format!("x{number}")).collect();
    let answer = node
        .elastic("PUT", "/_security/role/r", json!({"cluster": many}))
        .await;
    assert!(
        answer
            .reason()
            .contains("at most [10000] names and privileges"),
        "{}",
        answer.text
    );
    let bad = json!({"cluster": ["x"]});
    let roles: serde_json::Map<String, Value> = (0..300)
        .map(|number| (format!("r{number}"), bad.clone()))
        .collect();
    let answer = node
        .elastic("POST", "/_security/role", json!({"roles": roles}))
        .await;
    let details = answer.json()["errors"]["details"]
        .as_object()
        .unwrap()
        .clone();
    assert_eq!(details.len(), 300);
    assert!(answer.text.len() < 800_000, "{} bytes", answer.text.len());
}

#[tokio::test]
async fn a_role_that_can_not_be_evaluated_is_not_stored() {
    let node = Node::fresh().await;
    let heavy = format!("*a{}", "?".repeat(40));
    for role in [
        json!({"indices": [{"names": [heavy], "privileges": ["read"]}]}),
        json!({"run_as": [heavy]}),
        json!({"global": {"application": {"manage": {"applications": [heavy]}}}}),
        json!({"global": {"role": {"manage": {"indices": [{"names": ["/("], "privileges": ["read"]}]}}}}),
    ] {
        let answer = node.elastic("PUT", "/_security/role/r", role.clone()).await;
        assert_eq!(answer.status, 400, "{role}: {}", answer.text);
        let key = json!({"name": "k", "role_descriptors": {"r": role}});
        let answer = node.elastic("PUT", "/_security/api_key", key).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    let action = json!({"shop": {"p": {"actions": ["/(.*a.{30}){3}/"]}}});
    assert_eq!(
        node.elastic("PUT", "/_security/privilege", action)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn keys_are_named_once_and_not_without_end() {
    let node = Node::fresh().await;
    let key = node
        .done("PUT", "/_security/api_key", json!({"name": "k"}))
        .await;
    let id = key["id"].as_str().unwrap();
    let many: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    let answer = node
        .elastic("DELETE", "/_security/api_key", json!({"ids": many}))
        .await;
    assert!(
        answer.reason().contains("more than [10000] ids"),
        "{}",
        answer.text
    );
    let twice = node
        .done(
            "DELETE",
            "/_security/api_key",
            json!({"ids": [id, id, "x"]}),
        )
        .await;
    assert_eq!(twice["invalidated_api_keys"], json!([id]));
    let large = json!({"name": "l", "metadata": {"a": "x".repeat(64 * 1024)}});
    let answer = node.elastic("PUT", "/_security/api_key", large).await;
    assert!(
        answer.reason().contains("at most [65536] bytes"),
        "{}",
        answer.text
    );
    let metadata = json!({"a": "x".repeat(60_000)});
    let ids: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
    let update = json!({"ids": ids, "metadata": metadata});
    let answer = node
        .elastic("POST", "/_security/api_key/_bulk_update", update)
        .await;
    assert!(
        answer.reason().contains("would write more than"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn nobody_makes_their_own_login_long() {
    let node = Node::fresh().await;
    let joe = node.user_with("joe", json!({})).await;
    let hash = |cost: u32| json!({"password_hash": format!("$2b${cost:02}$abcdefghijklmnopqrstuuO6llZ6AeyOHktE9bjgVmwDEDoLfJF6m")});
    let own = "/_security/user/_password";
    let answer = node.with(&joe, "PUT", own, &hash(12)).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.reason().contains("costlier"), "{}", answer.text);
    for cost in [15, 18] {
        let path = "/_security/user/joe/_password";
        assert_eq!(node.elastic("PUT", path, hash(cost)).await.status, 400);
    }
    assert_eq!(node.with(&joe, "PUT", own, &hash(4)).await.status, 200);
    let joe = basic("joe", "s3krit-password");
    let who = node
        .with(&joe, "GET", "/_security/_authenticate", &Value::Null)
        .await;
    assert_eq!(who.status, 200);
}

#[tokio::test]
async fn a_key_that_acts_clones_no_power() {
    let node = Node::fresh().await;
    let joe = node
        .user_with("joe", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    let key = json!({"name": "k", "expiration": "1h"});
    let key = node
        .with(&joe, "PUT", "/_security/api_key", &key)
        .await
        .json();
    let encoded = key["encoded"].as_str().unwrap();
    let acting = format!("ApiKey {encoded}");
    let clone = json!({"api_key": encoded, "name": "c", "expiration": null});
    let answer = node
        .with(&acting, "POST", "/_security/api_key/clone", &clone)
        .await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(
        answer.reason(),
        "creating derived api keys requires an explicit role descriptor that is empty (has no privileges)"
    );
    let answer = node
        .with(&joe, "POST", "/_security/api_key/clone", &clone)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_delegate_for_roles_makes_none_over_restricted_indices() {
    let node = Node::fresh().await;
    let may = json!({"global": {"role": {"manage": {"indices": [{"names": ["*"], "privileges": ["all"]}]}}}});
    let joe = node.user_with("joe", may).await;
    for (restricted, status) in [(false, 200), (true, 403)] {
        let role = json!({"indices": [{"names": ["*"], "privileges": ["read"], "allow_restricted_indices": restricted}]});
        let answer = node.with(&joe, "PUT", "/_security/role/made", &role).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
}

#[tokio::test]
async fn tokens_end_with_the_account_they_stand_for() {
    let node = Node::fresh().await;
    let joe = node
        .user_with("joe", json!({"cluster": ["manage_token"]}))
        .await;
    let grant = json!({"grant_type": "password", "username": "joe", "password": "joe-password"});
    let pair = node
        .with(&joe, "POST", "/_security/oauth2/token", &grant)
        .await
        .json();
    let bearer = format!("Bearer {}", pair["access_token"].as_str().unwrap());
    let who = async || {
        node.with(&bearer, "GET", "/_security/_authenticate", &Value::Null)
            .await
            .status
    };
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]});
    let elastic = json!({"grant_type": "password", "username": "joe", "password": "joe-password"});
    let by_elastic = node.done("POST", "/_security/oauth2/token", elastic).await;
    assert_eq!(who().await, 200);
    node.done("PUT", "/_security/user/joe/_disable", Value::Null)
        .await;
    assert_eq!(who().await, 401);
    let again =
        json!({"grant_type": "refresh_token", "refresh_token": by_elastic["refresh_token"]});
    let refused = node
        .elastic("POST", "/_security/oauth2/token", again.clone())
        .await;
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (400, Some("invalid_grant"))
    );
    node.done("PUT", "/_security/user/joe/_enable", Value::Null)
        .await;
    assert_eq!(who().await, 200);
    assert_eq!(
        node.elastic("POST", "/_security/oauth2/token", again)
            .await
            .status,
        200
    );
    node.done("DELETE", "/_security/user/joe", Value::Null)
        .await;
    assert_eq!(who().await, 401);
    assert_ne!(
        node.with(&joe, "POST", "/_security/oauth2/token", &refresh)
            .await
            .status,
        200
    );
}
