//! Suggesting user profiles.

use serde_json::{Value, json};

use super::Node;
use super::profiles::activated;

const PATH: &str = "/_security/profile/_suggest";

async fn people(node: &Node) -> String {
    activated(node, "ann", json!({"full_name": "Ann O'Neill"})).await;
    let juan = json!({"full_name": "Juan Pérez", "email": "juan@bazooka.gum"});
    let juan = activated(node, "juan", juan).await;
    juan["uid"].as_str().unwrap().to_owned()
}

fn names(answer: &Value) -> Vec<&str> {
    let profiles = answer["profiles"].as_array().unwrap();
    profiles
        .iter()
        .map(|profile| profile["user"]["username"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn what_is_typed_finds_profiles_and_hints_only_order_them() {
    let node = Node::fresh().await;
    let juan = people(&node).await;
    let found = node.done("POST", PATH, json!({"name": "jua"})).await;
    assert_eq!(found["total"], json!({"value": 1, "relation": "eq"}));
    assert!(found["took"].is_u64());
    assert_eq!(
        found["profiles"],
        json!([{
            "uid": juan,
            "user": {
                "username": "juan",
                "roles": [],
                "realm_name": "default_native",
                "email": "juan@bazooka.gum",
                "full_name": "Juan Pérez",
            },
            "labels": {},
            "data": {},
        }])
    );
    let all = node.done("GET", PATH, Value::Null).await;
    assert_eq!(all["total"]["value"], 2);
    let hint = json!({"hint": {"uids": [juan]}});
    assert_eq!(names(&node.done("POST", PATH, hint).await), ["juan", "ann"]);
    let hint =
        json!({"name": "juan", "size": 5, "hint": {"labels": {"direction": ["north", "east"]}}});
    assert_eq!(names(&node.done("POST", PATH, hint).await), ["juan"]);
    let few = node.done("POST", PATH, json!({"size": 0})).await;
    assert_eq!((names(&few).len(), &few["total"]["value"]), (0, &json!(2)));

    node.done(
        "PUT",
        &format!("/_security/profile/{juan}/_disable"),
        Value::Null,
    )
    .await;
    assert_eq!(
        names(&node.done("POST", PATH, json!({"name": "juan"})).await),
        Vec::<&str>::new()
    );
}

#[tokio::test]
async fn data_is_shown_when_either_place_asks_for_it() {
    let node = Node::fresh().await;
    let juan = people(&node).await;
    let update = json!({"data": {"a": {"b": 1}, "c": {}}});
    node.done("PUT", &format!("/_security/profile/{juan}/_data"), update)
        .await;
    let by_query = node
        .done("POST", &format!("{PATH}?data=a"), json!({"name": "juan"}))
        .await;
    let by_body = node
        .done("POST", PATH, json!({"name": "juan", "data": "a"}))
        .await;
    assert_eq!(by_query["profiles"][0]["data"], json!({"a": {"b": 1}}));
    assert_eq!(by_query["profiles"], by_body["profiles"]);
    let both = node
        .elastic("POST", &format!("{PATH}?data=a"), json!({"data": "b"}))
        .await;
    assert_eq!(
        (both.status, both.reason().as_str()),
        (
            400,
            "The [data] parameter must be specified in either request body or as query parameter, but not both"
        )
    );
}

#[tokio::test]
async fn bad_searches_are_refused_with_their_words() {
    let node = Node::fresh().await;
    for (body, reason) in [
        (
            json!({"size": -1}),
            "Validation Failed: 1: [size] parameter cannot be negative but was [-1];",
        ),
        (
            json!({"hint": {}}),
            "Validation Failed: 1: [hint] parameter cannot be empty;",
        ),
        (
            json!({"hint": {"uids": []}}),
            "Validation Failed: 1: [uids] hint cannot be empty;",
        ),
        (
            json!({"hint": {"labels": {"a": "x", "b": "y"}}}),
            "Validation Failed: 1: [labels] hint supports a single key, got [a,b];",
        ),
        (
            json!({"size": -5, "hint": {"labels": {"a*": []}}}),
            "Validation Failed: 1: [size] parameter cannot be negative but was [-5];2: [labels] hint key cannot contain wildcard;3: [labels] hint value cannot be empty;",
        ),
        (
            json!({"hint": {"labels": {"a": 1}}}),
            "[labels] hint supports either string or list of strings as its value",
        ),
        (
            json!({"hint": {"labels": {"a": [1]}}}),
            "[labels] hint supports either string value or list of strings",
        ),
        (
            json!({"nope": 1}),
            "[1:2] [suggest_profile_request_payload] unknown field [nope]",
        ),
        (
            json!({"name": 1}),
            "[1:9] [suggest_profile_request_payload] name doesn't support values of type: VALUE_NUMBER",
        ),
    ] {
        let answer = node.elastic("POST", PATH, body.clone()).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (400, reason),
            "{body}"
        );
    }
    let large = node.elastic("POST", PATH, json!({"size": 10_001})).await;
    assert_eq!(large.status, 400);
    assert!(large.reason().starts_with("Result window is too large"));
    let plain = node.user_with("plain", json!({})).await;
    let answer = node.with(&plain, "POST", PATH, &json!({})).await;
    assert_eq!(
        answer.reason(),
        "action [cluster:admin/xpack/security/profile/suggest] is unauthorized for user [plain] with effective roles [plain], this action is granted by the cluster privileges [manage_user_profile,read_security,manage_security,all]"
    );
}
