//! API keys that others ask for, that change, that are copied, and that other clusters show.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Node, basic};

const PATH: &str = "/_security/api_key";
const CROSS: &str = "/_security/cross_cluster/api_key";

fn credential(key: &Value) -> String {
    format!("ApiKey {}", key["encoded"].as_str().unwrap())
}

async fn shown(node: &Node, id: &Value) -> Value {
    let uri = format!("{PATH}?id={}&with_limited_by=true", id.as_str().unwrap());
    node.done("GET", &uri, Value::Null).await["api_keys"][0].clone()
}

async fn refused(node: &Node, auth: &str, method: &str, uri: &str, cases: &[(Value, u16, &str)]) {
    for (body, status, text) in cases {
        let answer = node.with(auth, method, uri, body).await;
        assert_eq!(answer.status, *status, "{body}: {}", answer.text);
        assert!(answer.text.contains(text), "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_key_is_granted_for_a_password_a_token_and_whom_they_run_as() {
    let node = Node::fresh().await;
    let granter = node
        .user_with("granter", json!({"cluster": ["grant_api_key"]}))
        .await;
    node.user_with("ann", json!({"cluster": ["monitor"], "run_as": ["joe"]}))
        .await;
    node.user_with("joe", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    let token = node
        .done(
            "POST",
            "/_security/oauth2/token",
            json!({"grant_type": "password", "username": "ann", "password": "ann-password"}),
        )
        .await["access_token"]
        .clone();
    let by_password =
        json!({"grant_type": "password", "username": "ann", "password": "ann-password"});
    let by_token = json!({"grant_type": "access_token", "access_token": token});
    for grant in [by_password, by_token] {
        for (run_as, owner) in [(None, "ann"), (Some("joe"), "joe")] {
            let mut body = grant.clone();
            body["api_key"] = json!({"name": "k", "expiration": "1d", "metadata": {"a": 1}});
            if let Some(name) = run_as {
                body["run_as"] = json!(name);
            }
            let answer = node
                .with(&granter, "POST", &format!("{PATH}/grant"), &body)
                .await;
            assert_eq!(answer.status, 200, "{body}: {}", answer.text);
            let key = answer.json();
            assert_eq!(key["expiration"], 1_700_086_400_000_u64);
            let who = node
                .with(
                    &credential(&key),
                    "GET",
                    "/_security/_authenticate",
                    &Value::Null,
                )
                .await
                .json();
            assert_eq!(who["username"], owner);
            let shown = shown(&node, &key["id"]).await;
            assert_eq!(shown["realm"], "default_native");
            assert!(shown["limited_by"][0].get(owner).is_some(), "{shown}");
        }
    }
}

#[tokio::test]
async fn grants_that_can_not_be_are_refused_with_their_words() {
    let node = Node::fresh().await;
    let granter = node
        .user_with("granter", json!({"cluster": ["grant_api_key"]}))
        .await;
    let own = node
        .user_with("own", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    let key = json!({"name": "k"});
    let uri = format!("{PATH}/grant");
    let token = node
        .done(
            "POST",
            "/_security/oauth2/token",
            json!({"grant_type": "password", "username": "own", "password": "own-password"}),
        )
        .await["access_token"]
        .clone();
    let password = |password: &str| json!({"grant_type": "password", "username": "own", "password": password, "api_key": key});
    let mut as_other = password("own-password");
    as_other["run_as"] = json!("granter");
    let cases = [
        (json!({"api_key": key}), 400, "1: [grant_type] is required;"),
        (
            json!({"grant_type": "x", "api_key": key}),
            400,
            "grant_type [x] is not supported",
        ),
        (
            json!({"grant_type": "password", "api_key": key}),
            400,
            "1: [username] is required for grant_type [password];2: [password] is required for grant_type [password];",
        ),
        (
            json!({"grant_type": "access_token", "username": "a", "access_token": "t", "api_key": key}),
            400,
            "[username] is not supported for grant_type [access_token]",
        ),
        (
            json!({"grant_type": "password", "username": "own", "password": "own-password"}),
            400,
            "api key name is required",
        ),
        (
            json!({"grant_type": "access_token", "access_token": token, "api_key": key,
                "client_authentication": {"scheme": "SharedSecret", "value": "s"}}),
            400,
            "[client_authentication] not supported with the supplied access_token type",
        ),
        (
            json!({"nope": 1}),
            400,
            "[1:2] [grant_api_key_request] unknown field [nope]",
        ),
        (
            password("wrong"),
            403,
            "Failed to authenticate api key grant",
        ),
        (
            password("wrong"),
            403,
            "unable to authenticate user [own] for action [cluster:admin/xpack/security/api_key/grant]",
        ),
        (
            as_other,
            403,
            "because user [own] is unauthorized to run as [granter]",
        ),
    ];
    refused(&node, &granter, "POST", &uri, &cases).await;
    let denial = "action [cluster:admin/xpack/security/api_key/grant] is unauthorized for user [own] with effective roles [own], \
                  this action is granted by the cluster privileges [grant_api_key,manage_api_key,manage_security,all]";
    refused(
        &node,
        &own,
        "POST",
        &uri,
        &[(password("own-password"), 403, denial)],
    )
    .await;
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_takes_a_new_snapshot() {
    let node = Node::fresh().await;
    let joe = node
        .user_with("joe", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    let key = node
        .with(&joe, "PUT", PATH, &json!({"name": "k", "metadata": {"a": 1}, "role_descriptors": {"r": {"cluster": ["all"]}}}))
        .await
        .json();
    let uri = format!("{PATH}/{}", key["id"].as_str().unwrap());
    let update = async |body: Value| {
        let answer = node.with(&joe, "PUT", &uri, &body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text);
        answer.json()
    };
    assert_eq!(update(Value::Null).await, json!({"updated": false}));
    assert_eq!(
        update(json!({"metadata": {"a": 1}})).await,
        json!({"updated": false})
    );
    assert_eq!(
        update(json!({"metadata": {"b": 2}})).await,
        json!({"updated": true})
    );
    assert_eq!(
        update(json!({"role_descriptors": {}, "expiration": "1h"})).await,
        json!({"updated": true})
    );
    assert_eq!(
        update(json!({"expiration": "1h"})).await,
        json!({"updated": true}),
        "an expiration is never a no-op"
    );
    let after = shown(&node, &key["id"]).await;
    assert_eq!(after["metadata"], json!({"b": 2}));
    assert_eq!(after["role_descriptors"], json!({}));
    assert_eq!(after["expiration"], 1_700_003_600_000_u64);

    let ask = json!({"cluster": ["monitor"]});
    let may = async || {
        let answer = node
            .with(
                &credential(&key),
                "POST",
                "/_security/user/_has_privileges",
                &ask,
            )
            .await;
        answer.json()["cluster"]["monitor"].clone()
    };
    assert_eq!(may().await, false);
    node.done(
        "PUT",
        "/_security/role/joe",
        json!({"cluster": ["manage_own_api_key", "monitor"]}),
    )
    .await;
    assert_eq!(
        may().await,
        false,
        "the snapshot stays until the owner updates"
    );
    assert_eq!(update(json!({})).await, json!({"updated": true}));
    assert_eq!(may().await, true);
    node.done(
        "PUT",
        "/_security/role/joe",
        json!({"cluster": ["manage_own_api_key"]}),
    )
    .await;
    update(json!({})).await;
    assert_eq!(may().await, false);
}

#[tokio::test]
async fn only_the_owner_updates_and_only_a_key_that_works() {
    let node = Node::fresh().await;
    let joe = node
        .user_with("joe", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    let make = async |body: Value| node.with(&joe, "PUT", PATH, &body).await.json();
    let live = make(json!({"name": "live"})).await;
    let gone = make(json!({"name": "gone"})).await;
    let old = make(json!({"name": "old", "expiration": "1s"})).await;
    node.done("DELETE", PATH, json!({"ids": [gone["id"]]}))
        .await;
    node.clock.advance(Duration::from_secs(5));
    let id = |key: &Value| key["id"].as_str().unwrap().to_owned();
    let uri = |key: &Value| format!("{PATH}/{}", id(key));
    for (auth, key, status, text) in [
        (
            basic("elastic", super::PASSWORD),
            &live,
            404,
            format!(
                "no API key owned by requesting user found for ID [{}]",
                id(&live)
            ),
        ),
        (
            credential(&live),
            &live,
            400,
            "authentication via API key not supported: only the owner user can update an API key"
                .to_owned(),
        ),
        (
            joe.clone(),
            &gone,
            400,
            format!("cannot update invalidated API key [{}]", id(&gone)),
        ),
        (
            joe.clone(),
            &old,
            400,
            format!("cannot update expired API key [{}]", id(&old)),
        ),
    ] {
        let answer = node
            .with(&auth, "PUT", &uri(key), &json!({"metadata": {}}))
            .await;
        assert_eq!((answer.status, answer.reason()), (status, text));
    }
    refused(&node, &joe, "PUT", &uri(&live), &[
        (json!({"metadata": {"_x": 1}}), 400, "API key metadata keys may not start with [_]"),
        (json!({"name": "x"}), 400, "[1:2] [update_api_key_request_payload] unknown field [name]"),
        (json!({"role_descriptors": {"r": {"cluster": ["nope"]}}}), 400, "unknown cluster privilege [nope]"),
        (json!({"role_descriptors": {"r": {"restriction": {"workflows": ["nope"]}}}}), 400,
         "Unknown workflow [nope]. A workflow must be one of the predefined workflow names [search_application_query"),
    ]).await;

    let bulk = node
        .with(
            &joe,
            "POST",
            &format!("{PATH}/_bulk_update"),
            &json!({
                "ids": [id(&live), id(&live), id(&gone), "nope"], "metadata": {"n": 1}
            }),
        )
        .await
        .json();
    assert_eq!(bulk["updated"], json!([live["id"]]));
    assert_eq!(bulk["noops"], json!([]));
    assert_eq!(bulk["errors"]["count"], 2);
    assert_eq!(
        bulk["errors"]["details"]["nope"],
        json!({
            "type": "resource_not_found_exception", "reason": "no API key owned by requesting user found for ID [nope]"
        })
    );
    let again = node
        .with(
            &joe,
            "POST",
            &format!("{PATH}/_bulk_update"),
            &json!({"ids": id(&live), "metadata": {"n": 1}}),
        )
        .await
        .json();
    assert_eq!(again, json!({"updated": [], "noops": [live["id"]]}));
    refused(
        &node,
        &joe,
        "POST",
        &format!("{PATH}/_bulk_update"),
        &[
            (json!({}), 400, "Required [ids]"),
            (json!({"ids": []}), 400, "Field [ids] cannot be empty"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_cross_cluster_key_is_told_as_it_was_asked_for_and_logs_nobody_in() {
    let node = Node::fresh().await;
    let made = node
        .done(
            "POST",
            CROSS,
            json!({
                "name": "cc", "expiration": "1d", "metadata": {"answer": 42},
                "access": {
                    "search": [{"names": ["logs*"], "query": {"term": {"category": "shared"}},
                                "field_security": {"grant": ["*"], "except": ["private"]}}],
                    "replication": [{"names": ["archive"], "allow_restricted_indices": false}],
                },
            }),
        )
        .await;
    let answer = node
        .with(
            &credential(&made),
            "GET",
            "/_security/_authenticate",
            &Value::Null,
        )
        .await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.reason(),
        format!(
            "authentication expected API key type of [rest], but API key [{}] has type [cross_cluster]",
            made["id"].as_str().unwrap()
        )
    );
    let seen = shown(&node, &made["id"]).await;
    assert_eq!(seen["type"], "cross_cluster");
    assert!(seen.get("limited_by").is_none());
    assert_eq!(
        seen["role_descriptors"]["cross_cluster"],
        json!({
            "cluster": ["cross_cluster_search", "monitor_enrich", "cross_cluster_replication"],
            "indices": [
                {"names": ["logs*"], "privileges": ["read", "read_cross_cluster", "view_index_metadata"],
                 "field_security": {"grant": ["*"], "except": ["private"]},
                 "query": "{\"term\":{\"category\":\"shared\"}}", "allow_restricted_indices": false},
                {"names": ["archive"], "privileges": ["cross_cluster_replication", "cross_cluster_replication_internal"],
                 "allow_restricted_indices": false},
            ],
            "applications": [], "run_as": [], "metadata": {}, "transient_metadata": {"enabled": true},
        })
    );
    assert_eq!(
        seen["access"],
        json!({
            "search": [{"names": ["logs*"], "field_security": {"grant": ["*"], "except": ["private"]},
                        "query": "{\"term\":{\"category\":\"shared\"}}", "allow_restricted_indices": false}],
            "replication": [{"names": ["archive"], "allow_restricted_indices": false}],
        })
    );

    let uri = format!("{CROSS}/{}", made["id"].as_str().unwrap());
    let change =
        json!({"access": {"replication": [{"names": ["archive"]}]}, "metadata": {"tag": "prod"}});
    assert_eq!(
        node.done("PUT", &uri, change.clone()).await,
        json!({"updated": true})
    );
    assert_eq!(
        node.done("PUT", &uri, change).await,
        json!({"updated": false})
    );
    let seen = shown(&node, &made["id"]).await;
    assert_eq!(
        seen["role_descriptors"]["cross_cluster"]["cluster"],
        json!(["cross_cluster_replication"])
    );
    assert_eq!(
        seen["access"],
        json!({"replication": [{"names": ["archive"], "allow_restricted_indices": false}]})
    );
    assert_eq!(seen["metadata"], json!({"tag": "prod"}));
    let answer = node
        .elastic(
            "PUT",
            &format!("{PATH}/{}", made["id"].as_str().unwrap()),
            json!({}),
        )
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.reason(),
        "cannot update API key of type [cross_cluster] while expected type is [rest]"
    );

    let manager = node
        .user_with("manager", json!({"cluster": ["manage_api_key"]}))
        .await;
    let invalidated = node
        .with(&manager, "DELETE", PATH, &json!({"ids": [made["id"]]}))
        .await
        .json();
    assert_eq!(
        (
            &invalidated["error_count"],
            &invalidated["invalidated_api_keys"]
        ),
        (&json!(1), &json!([]))
    );
}

#[tokio::test]
async fn cross_cluster_keys_are_checked() {
    let node = Node::fresh().await;
    let elastic = basic("elastic", super::PASSWORD);
    let search = json!({"search": [{"names": ["a"]}]});
    refused(&node, &elastic, "POST", CROSS, &[
        (json!({"access": search}), 400, "Required [name]"),
        (json!({"name": "x"}), 400, "Required [access]"),
        (json!({"name": "x", "access": {}}), 400, "must specify non-empty access for either [search] or [replication]"),
        (json!({"name": "x", "access": {"replication": [{"names": ["a"], "query": {"match_all": {}}}]}}), 400,
         "replication does not support document or field level security"),
        (json!({"name": "x", "access": {"search": [{"names": ["a"], "privileges": ["all"]}]}}), 400, "unexpected field [privileges]"),
        (json!({"name": "x", "access": {"search": [{}]}}), 400, "missing required [names] field"),
        (json!({"name": "x", "access": {"nope": []}}), 400, "[cross_cluster_api_key_request_access] unknown field [nope]"),
        (json!({"name": "_x", "access": search}), 400, "api key name may not begin with an underscore"),
        (json!({"name": "x", "access": search, "certificate_identity": "("}), 400,
         "Invalid certificate_identity format: [(]. Must be a valid regex."),
    ]).await;
    let made = node
        .done(
            "POST",
            CROSS,
            json!({"name": "x", "access": search, "certificate_identity": "CN=.*"}),
        )
        .await;
    assert_eq!(
        shown(&node, &made["id"]).await["certificate_identity"],
        "CN=.*"
    );
    let uri = format!("{CROSS}/{}", made["id"].as_str().unwrap());
    let nothing = "must update either [access] or [metadata] for cross-cluster API keys";
    refused(
        &node,
        &elastic,
        "PUT",
        &uri,
        &[
            (json!({}), 400, nothing),
            (json!({"expiration": "1d"}), 400, nothing),
        ],
    )
    .await;
    let key = node.done("PUT", PATH, json!({"name": "k"})).await;
    refused(
        &node,
        &credential(&key),
        "POST",
        CROSS,
        &[(
            json!({"name": "x", "access": search}),
            400,
            "An API key cannot be used to create a cross-cluster API key",
        )],
    )
    .await;
    let joe = node
        .user_with("joe", json!({"cluster": ["manage_api_key"]}))
        .await;
    refused(
        &node,
        &joe,
        "POST",
        CROSS,
        &[(
            json!({"name": "x", "access": search}),
            403,
            "this action is granted by the cluster privileges [manage_security,all]",
        )],
    )
    .await;
}

#[tokio::test]
async fn a_copy_has_the_power_and_the_owner_of_the_first_key() {
    let node = Node::fresh().await;
    let joe = node
        .user_with("joe", json!({"cluster": ["manage_own_api_key", "monitor"]}))
        .await;
    let app = node
        .user_with("app", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    let first = node
        .with(&joe, "PUT", PATH, &json!({"name": "k", "expiration": "1d", "role_descriptors": {"r": {"cluster": ["monitor"]}}}))
        .await
        .json();
    let uri = format!("{PATH}/clone");
    let copy = async |more: Value| {
        let mut body = json!({"api_key": first["encoded"], "name": "copy"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let answer = node.with(&app, "POST", &uri, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    let same = copy(json!({})).await;
    assert_eq!(same["expiration"], first["expiration"]);
    assert_ne!(same["id"], first["id"]);
    assert_eq!(
        copy(json!({"expiration": "1h"})).await["expiration"],
        1_700_003_600_000_u64
    );
    let endless = copy(json!({"expiration": null, "metadata": {"a": 1}})).await;
    assert!(endless.get("expiration").is_none());
    let (one, other) = (
        shown(&node, &first["id"]).await,
        shown(&node, &endless["id"]).await,
    );
    for same in ["username", "realm", "role_descriptors", "limited_by"] {
        assert_eq!(one[same], other[same], "{same}");
    }
    assert_eq!(other["metadata"], json!({"a": 1}));
    node.done("DELETE", PATH, json!({"ids": [first["id"]]}))
        .await;
    refused(
        &node,
        &app,
        "POST",
        &uri,
        &[
            (json!({"name": "x"}), 400, "api key credential is required"),
            (json!({"api_key": "x"}), 400, "api key name is required"),
            (
                json!({"api_key": "!", "name": "x"}),
                400,
                "invalid API key credential",
            ),
            (
                json!({"api_key": first["encoded"], "name": "x"}),
                403,
                "Failed to clone API key",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_key_bound_to_a_workflow_is_good_for_nothing_here() {
    let node = Node::fresh().await;
    let roles = json!({"r": {"cluster": ["all"], "restriction": {"workflows": ["search_application_query"]}}});
    let key = node
        .done("PUT", PATH, json!({"name": "k", "role_descriptors": roles}))
        .await;
    assert_eq!(
        shown(&node, &key["id"]).await["role_descriptors"]["r"]["restriction"],
        json!({"workflows": ["search_application_query"]})
    );
    for (method, uri) in [
        ("GET", "/"),
        ("GET", "/_security/_authenticate"),
        ("GET", "/_security/user"),
    ] {
        let answer = node
            .with(&credential(&key), method, uri, &Value::Null)
            .await;
        assert_eq!(answer.status, 403, "{uri}");
        assert_eq!(
            answer.json()["error"]["caused_by"],
            json!({"type": "role_restriction_exception", "reason": "access restricted by workflow"}),
            "{uri}"
        );
    }
}
