//! User profiles: activate, get, update, enable, privileges.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Node, basic};

const ACTIVATE: &str = "/_security/profile/_activate";

/// Makes a user with these roles and activates their profile; returns it.
pub(super) async fn activated(node: &Node, username: &str, user: Value) -> Value {
    let mut body = json!({"password": "some-password", "roles": []});
    for (key, value) in user.as_object().unwrap() {
        body[key] = value.clone();
    }
    node.done("PUT", &format!("/_security/user/{username}"), body)
        .await;
    let grant =
        json!({"grant_type": "password", "username": username, "password": "some-password"});
    node.done("POST", ACTIVATE, grant).await
}

fn uid(profile: &Value) -> String {
    profile["uid"].as_str().unwrap().to_owned()
}

async fn read(node: &Node, uid: &str, query: &str) -> Value {
    let found = node
        .done(
            "GET",
            &format!("/_security/profile/{uid}{query}"),
            Value::Null,
        )
        .await;
    found["profiles"][0].clone()
}

#[tokio::test]
async fn an_activation_answers_the_whole_profile() {
    let node = Node::fresh().await;
    let user = json!({"roles": ["a"], "full_name": "Jack Nicholson", "email": "j@example.org"});
    let profile = activated(&node, "jacknich", user).await;
    assert_eq!(
        profile,
        json!({
            "uid": "u_79HkWkwmnBH5gqFKwoxggWPjEBOur1zLPXQPEl1VBW0_0",
            "enabled": true,
            "last_synchronized": 1_700_000_000_000_u64,
            "user": {
                "username": "jacknich",
                "roles": ["a"],
                "realm_name": "default_native",
                "email": "j@example.org",
                "full_name": "Jack Nicholson",
            },
            "labels": {},
            "data": {},
            "_doc": {"_primary_term": 1, "_seq_no": 0},
        })
    );
    let bare = activated(&node, "bare", json!({})).await;
    assert!(bare["user"].get("email").is_none() && bare["user"].get("full_name").is_none());
}

#[tokio::test]
async fn activating_again_copies_the_user_and_keeps_labels_and_data() {
    let node = Node::fresh().await;
    let uid = uid(&activated(&node, "joe", json!({})).await);
    let path = format!("/_security/profile/{uid}");
    let update = json!({"labels": {"app": {"x": 1}}, "data": {"app": {"y": 2}}});
    node.done("PUT", &format!("{path}/_data"), update).await;
    node.clock.advance(Duration::from_secs(10));
    let again = activated(&node, "joe", json!({})).await;
    assert_eq!(
        again["last_synchronized"], 1_700_000_000_000_u64,
        "too soon to be written"
    );
    let changed = activated(&node, "joe", json!({"roles": ["b"]})).await;
    assert_eq!(changed["last_synchronized"], 1_700_000_010_000_u64);
    assert_eq!(changed["user"]["roles"], json!(["b"]));
    assert_eq!(changed["labels"], json!({"app": {"x": 1}}));
    node.done("PUT", &format!("{path}/_disable"), Value::Null)
        .await;
    assert_eq!(read(&node, &uid, "").await["enabled"], false);
    assert_eq!(
        activated(&node, "joe", json!({"roles": ["b"]})).await["enabled"],
        true
    );
    assert_eq!(
        read(&node, &uid, "?data=*").await["data"],
        json!({"app": {"y": 2}})
    );
    node.clock.advance(Duration::from_secs(30));
    let later = activated(&node, "joe", json!({"roles": ["b"]})).await;
    assert_eq!(later["last_synchronized"], 1_700_000_040_000_u64);
}

#[tokio::test]
async fn access_tokens_activate_their_user_and_keys_have_no_profile() {
    let node = Node::fresh().await;
    let first = activated(&node, "joe", json!({})).await;
    let grant = json!({"grant_type": "password", "username": "joe", "password": "some-password"});
    let pair = node.done("POST", "/_security/oauth2/token", grant).await;
    let by_token = json!({"grant_type": "access_token", "access_token": pair["access_token"]});
    assert_eq!(
        node.done("POST", ACTIVATE, by_token).await["uid"],
        first["uid"]
    );

    let roles = json!({"r": {"cluster": ["manage_token"]}});
    let key = json!({"name": "k", "role_descriptors": roles});
    let key = node.done("PUT", "/_security/api_key", key).await;
    let auth = format!("ApiKey {}", key["encoded"].as_str().unwrap());
    let ask = json!({"grant_type": "client_credentials"});
    let pair = node
        .with(&auth, "POST", "/_security/oauth2/token", &ask)
        .await
        .json();
    let by_key = json!({"grant_type": "access_token", "access_token": pair["access_token"]});
    let answer = node.elastic("POST", ACTIVATE, by_key).await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (
            400,
            "profile is supported for user only, but subject is a [api_key]"
        )
    );
}

#[tokio::test]
async fn refused_activations_say_why() {
    let node = Node::fresh().await;
    for (body, reason) in [
        (json!({}), "Validation Failed: 1: [grant_type] is required;"),
        (
            json!({"grant_type": "x"}),
            "Validation Failed: 1: grant_type [x] is not supported;",
        ),
        (
            json!({"grant_type": "password", "access_token": "x"}),
            "Validation Failed: 1: [username] is required for grant_type [password];2: [password] is required for grant_type [password];3: [access_token] is not supported for grant_type [password];",
        ),
        (
            json!({"grant_type": "access_token", "username": "x"}),
            "Validation Failed: 1: [access_token] is required for grant_type [access_token];2: [username] is not supported for grant_type [access_token];",
        ),
        (
            json!({"x": 1}),
            "[1:2] [activate_profile_request] unknown field [x]",
        ),
    ] {
        let answer = node.elastic("POST", ACTIVATE, body.clone()).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (400, reason),
            "{body}"
        );
    }
    let wrong = json!({"grant_type": "password", "username": "joe", "password": "wrong-one"});
    let answer = node.elastic("POST", ACTIVATE, wrong).await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (
            401,
            "unable to authenticate user [joe] for action [cluster:admin/xpack/security/profile/activate]"
        )
    );
    let unknown = json!({"grant_type": "access_token", "access_token": "nope"});
    let answer = node.elastic("POST", ACTIVATE, unknown).await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (
            401,
            "unable to authenticate user [_bearer_token] for action [cluster:admin/xpack/security/profile/activate]"
        )
    );
    let reader = node
        .user_with("reader", json!({"cluster": ["read_security"]}))
        .await;
    let own =
        json!({"grant_type": "password", "username": "reader", "password": "reader-password"});
    let answer = node.with(&reader, "POST", ACTIVATE, &own).await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (
            403,
            "action [cluster:admin/xpack/security/profile/activate] is unauthorized for user [reader] with effective roles [reader], this action is granted by the cluster privileges [manage_user_profile,manage_security,all]"
        )
    );
}

#[tokio::test]
async fn profiles_are_read_with_as_much_data_as_is_asked_for() {
    let node = Node::fresh().await;
    let joe = uid(&activated(&node, "joe", json!({})).await);
    let ann = uid(&activated(&node, "ann", json!({})).await);
    let update = json!({"data": {"a": {"b": 1, "c": 2}, "d": {"e": 3}}});
    node.done("PUT", &format!("/_security/profile/{joe}/_data"), update)
        .await;
    for (query, expected) in [
        ("", json!({})),
        ("?data=*", json!({"a": {"b": 1, "c": 2}, "d": {"e": 3}})),
        ("?data=a", json!({"a": {"b": 1, "c": 2}})),
        ("?data=a.b,d", json!({"a": {"b": 1}, "d": {"e": 3}})),
        ("?data=zz", json!({})),
    ] {
        assert_eq!(read(&node, &joe, query).await["data"], expected, "{query}");
    }
    let several = node
        .done(
            "GET",
            &format!("/_security/profile/{joe},nobody,{ann}"),
            Value::Null,
        )
        .await;
    let uids: Vec<&Value> = several["profiles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|profile| &profile["uid"])
        .collect();
    assert_eq!(uids, [&json!(joe), &json!(ann)]);
    let missing = json!({"count": 1, "details": {"nobody": {"type": "resource_not_found_exception", "reason": "profile document not found"}}});
    assert_eq!(several["errors"], missing);
    let none = node
        .elastic("GET", "/_security/profile/nobody", Value::Null)
        .await;
    assert_eq!(
        (none.status, none.json()),
        (200, json!({"profiles": [], "errors": missing}))
    );
    let plain = node.user_with("plain", json!({})).await;
    let answer = node
        .with(
            &plain,
            "GET",
            &format!("/_security/profile/{joe}"),
            &Value::Null,
        )
        .await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn updates_merge_and_mind_the_version_seen() {
    let node = Node::fresh().await;
    let uid = uid(&activated(&node, "joe", json!({})).await);
    let path = format!("/_security/profile/{uid}/_data");
    let acknowledged = json!({"acknowledged": true});
    let labels = json!({"labels": {"app": {"x": 1, "y": [1]}}});
    assert_eq!(node.done("PUT", &path, labels.clone()).await, acknowledged);
    assert_eq!(node.done("POST", &path, labels).await, acknowledged);
    let read_back = read(&node, &uid, "").await;
    assert_eq!(
        read_back["_doc"]["_seq_no"], 1,
        "the second changed nothing"
    );
    let seen = format!("{path}?if_seq_no=1&if_primary_term=1&refresh=false");
    let more = json!({"labels": {"app": {"y": [2]}, "other": {}}, "data": {"app": null}});
    assert_eq!(node.done("PUT", &seen, more.clone()).await, acknowledged);
    let read_back = read(&node, &uid, "?data=*").await;
    assert_eq!(
        read_back["labels"],
        json!({"app": {"x": 1, "y": [2]}, "other": {}})
    );
    assert_eq!(read_back["data"], json!({"app": null}));

    let answer = node.elastic("PUT", &seen, more.clone()).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (409, "version_conflict_engine_exception")
    );
    assert_eq!(
        answer.reason(),
        format!(
            "[profile_{uid}]: version conflict, required seqNo [1], primary term [1]. current document has seqNo [2] and primary term [1]"
        )
    );
    for (query, reason) in [
        (
            "?if_seq_no=2",
            "Validation Failed: 1: ifSeqNo is set, but primary term is [0];",
        ),
        (
            "?if_primary_term=1",
            "Validation Failed: 1: ifSeqNo is unassigned, but primary term is [1];",
        ),
        (
            "?if_seq_no=x",
            "Failed to parse long parameter [if_seq_no] with value [x]",
        ),
    ] {
        let answer = node
            .elastic("PUT", &format!("{path}{query}"), more.clone())
            .await;
        assert_eq!((answer.status, answer.reason().as_str()), (400, reason));
    }
    for verb in ["_data", "_enable", "_disable"] {
        let body = if verb == "_data" {
            more.clone()
        } else {
            Value::Null
        };
        let answer = node
            .elastic("PUT", &format!("/_security/profile/nobody/{verb}"), body)
            .await;
        assert_eq!(
            (
                answer.status,
                answer.kind().as_str(),
                answer.reason().as_str()
            ),
            (
                404,
                "document_missing_exception",
                "[profile_nobody]: document missing"
            )
        );
    }
}

#[tokio::test]
async fn bad_updates_are_refused_with_their_words() {
    let node = Node::fresh().await;
    let uid = uid(&activated(&node, "joe", json!({})).await);
    let path = format!("/_security/profile/{uid}/_data");
    for (body, reason) in [
        (json!({}), "Validation Failed: 1: update request is empty;"),
        (
            json!({"labels": {}}),
            "Validation Failed: 1: update request is empty;",
        ),
        (
            json!({"labels": {"a.b": 1, "_x": 2}, "data": {"c.d": 1}}),
            "Validation Failed: 1: application name must not contain dot, but found [a.b,c.d];2: application name must not start with underscore, but found [_x];",
        ),
        (
            json!({"x": 1}),
            "[1:2] [update_profile_data_request_payload] unknown field [x]",
        ),
        (
            json!({"data": 1}),
            "[1:9] [update_profile_data_request_payload] data doesn't support values of type: VALUE_NUMBER",
        ),
    ] {
        let answer = node.elastic("PUT", &path, body.clone()).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (400, reason),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_role_may_write_the_data_of_its_applications_only() {
    let node = Node::fresh().await;
    let uid = uid(&activated(&node, "joe", json!({})).await);
    let path = format!("/_security/profile/{uid}/_data");
    let global = json!({"profile": {"write": {"applications": ["kibana-*"]}}});
    let writer = node.user_with("writer", json!({"global": global})).await;
    let ok = json!({"data": {"kibana-1": {"x": 1}}});
    assert_eq!(node.with(&writer, "PUT", &path, &ok).await.status, 200);
    let other = json!({"data": {"kibana-1": {"x": 1}}, "labels": {"shop": {}}});
    let answer = node.with(&writer, "PUT", &path, &other).await;
    assert_eq!(answer.status, 403);
    assert!(answer.reason().starts_with(
        "action [cluster:admin/xpack/security/profile/put/data] is unauthorized for user [writer]"
    ));
}

#[tokio::test]
async fn users_of_profiles_are_asked_for_privileges() {
    let node = Node::fresh().await;
    let index = json!([{"names": ["logs-*"], "privileges": ["read"]}]);
    node.done("PUT", "/_security/role/reader", json!({"indices": index}))
        .await;
    let reader = uid(&activated(&node, "ann", json!({"roles": ["reader"]})).await);
    let superuser = uid(&activated(&node, "bob", json!({"roles": ["superuser"]})).await);
    let nothing = uid(&activated(&node, "joe", json!({})).await);
    let disabled = uid(&activated(&node, "zoe", json!({"roles": ["superuser"]})).await);
    node.done(
        "PUT",
        &format!("/_security/profile/{disabled}/_disable"),
        Value::Null,
    )
    .await;
    let path = "/_security/profile/_has_privileges";
    let question = json!({
        "uids": [reader, nothing, "nobody", superuser, disabled],
        "privileges": {"index": [{"names": ["logs-1"], "privileges": ["read"]}]},
    });
    assert_eq!(
        node.done("POST", path, question).await,
        json!({
            "has_privilege_uids": [reader, superuser],
            "errors": {"count": 1, "details": {"nobody": {"type": "resource_not_found_exception", "reason": "profile document not found"}}},
        })
    );
    let all = json!({"uids": [reader, superuser], "privileges": {"cluster": ["monitor"], "index": [{"names": ["logs-1"], "privileges": ["read"]}]}});
    assert_eq!(
        node.done("GET", path, all).await,
        json!({"has_privilege_uids": [superuser]})
    );
    for (body, reason) in [
        (json!({}), "Required [uids, privileges]"),
        (json!({"uids": []}), "Required [privileges]"),
        (
            json!({"uids": [], "privileges": {"cluster": []}}),
            "Validation Failed: 1: profile uids list must not be empty;2: must specify at least one privilege;",
        ),
        (
            json!({"uids": ["x"], "privileges": {"nope": []}}),
            "failed to parse privileges check [profile_has_privileges_request]. unexpected field [nope]",
        ),
    ] {
        let answer = node.elastic("POST", path, body.clone()).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (400, reason),
            "{body}"
        );
    }
}

#[tokio::test]
async fn users_are_shown_with_their_profile_when_asked() {
    let node = Node::fresh().await;
    let uid = uid(&activated(&node, "joe", json!({})).await);
    node.user_with("ann", json!({})).await;
    let users = node
        .done(
            "GET",
            "/_security/user/joe,ann?with_profile_uid=true",
            Value::Null,
        )
        .await;
    assert_eq!(users["joe"]["profile_uid"], json!(uid));
    assert!(users["ann"].get("profile_uid").is_none());
    let users = node.done("GET", "/_security/user/joe", Value::Null).await;
    assert!(users["joe"].get("profile_uid").is_none());
}

#[tokio::test]
async fn a_profile_outlives_its_user_and_comes_back_with_them() {
    let node = Node::fresh().await;
    let uid = uid(&activated(&node, "joe", json!({})).await);
    node.done("DELETE", "/_security/user/joe", Value::Null)
        .await;
    assert_eq!(read(&node, &uid, "").await["user"]["username"], "joe");
    let again = activated(&node, "joe", json!({})).await;
    assert_eq!(again["uid"], json!(uid));
    let answer = node
        .with(
            &basic("joe", "some-password"),
            "GET",
            &format!("/_security/profile/{uid}"),
            &Value::Null,
        )
        .await;
    assert_eq!(
        answer.status, 403,
        "not even their own without the privilege"
    );
}
