//! Roles.

use serde_json::{Value, json};

use super::Node;

#[tokio::test]
async fn a_role_that_was_read_can_be_written_back() {
    let node = Node::fresh().await;
    let global = json!({"application": {"manage": {"applications": ["app-*"]}}});
    for (body, shown) in [
        (json!({"global": global}), true),
        (json!({"global": {}}), false),
        (json!({"global": {"role": {}}}), false),
    ] {
        node.done("PUT", "/_security/role/x", body).await;
        let read = node.done("GET", "/_security/role/x", Value::Null).await;
        assert_eq!(read["x"].get("global").is_some(), shown, "{read}");
        node.done("PUT", "/_security/role/x", read["x"].clone())
            .await;
        let again = node.done("GET", "/_security/role/x", Value::Null).await;
        assert_eq!(read, again);
    }
}

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
            json!({"indices": [{"names": "a", "privileges": ["read"], "field_security": {"grant": ["a", "b"], "except": ["b", "c"]}}]}),
            "failed to parse indices privileges for role [r] - Exceptions for field permissions must be a subset of the granted fields but b,c is not a subset of a,b",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["read"], "field_security": {}}]}),
            "failed to parse indices privileges for role [r]. \"field_security\" must not be empty.",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["read"], "field_security": {"x": []}}]}),
            "\"field_security\" only accepts options grant and except, but got: x",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["read"], "field_security": {"grant": null}}]}),
            "failed to parse indices privileges for role [r]. grant must not be null.",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["read"], "field_security": []}]}),
            "failed to parse indices privileges for role [r]. expected START_OBJECT but got START_ARRAY in \"field_security\".",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["read"], "fields": ["b"]}]}),
            "[\"fields\": [...]] format has changed for field permissions in role [r], use [\"field_security\": {\"grant\":[...],\"except\":[...]}] instead",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": []}]}),
            "indices privileges must define at least one privilege",
        ),
        (
            json!({"indices": {"names": "a", "privileges": []}}),
            "failed to parse indices privileges for role [r]. expected field [indices] value to be an array, but found [START_OBJECT] instead",
        ),
        (
            json!({"indices": ["a"]}),
            "expected field [indices] value to be an array of objects, but found an array element of type [VALUE_STRING]",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["read"], "query": 1}]}),
            "expected field [query] value to be null, a string, an array, or an object, but found [VALUE_NUMBER] instead",
        ),
        (
            json!({"indices": [{"names": "a", "privileges": ["read"], "allow_restricted_indices": "yes"}]}),
            "expected field [allow_restricted_indices] value to be a boolean, but found [VALUE_STRING] instead",
        ),
        (json!({"cluster": "monitor"}), "failed to parse role [r]"),
        (
            json!({"metadata": 1}),
            "expected field [metadata] to be of type object, but found [VALUE_NUMBER] instead",
        ),
        (
            json!([]),
            "failed to parse role [r]. expected an object but found [START_ARRAY] instead",
        ),
        (
            json!({"applications": [{"application": "app", "privileges": ["read"], "resources": []}]}),
            "application privileges must refer to at least one resource",
        ),
        (
            json!({"applications": [{"application": "app", "x": 1}]}),
            "[application] unknown field [x]",
        ),
        (
            json!({"remote_indices": [{"names": "a", "privileges": ["read"], "clusters": []}]}),
            "remote indices privileges must refer to at least one cluster alias or cluster alias pattern",
        ),
        (
            json!({"remote_indices": [{"names": "a", "privileges": ["read"], "clusters": [""]}]}),
            "remote index cluster alias cannot be an empty string",
        ),
        (
            json!({"remote_cluster": 1}),
            "failed to parse remote_cluster for role [r]. expected field [remote_cluster] value to be an array",
        ),
        (
            json!({"remote_cluster": [{"privileges": ["monitor_stats"]}]}),
            "[clusters] must be defined when [privileges] are defined",
        ),
        (
            json!({"remote_cluster": [{"clusters": ["c"]}]}),
            "[privileges] must be defined when [clusters] are defined",
        ),
        (
            json!({"global": {"application": {"manage": []}}}),
            "failed to parse privilege. expected [START_OBJECT] but found [START_ARRAY] instead",
        ),
        (
            json!({"global": {"profile": {"manage": {}}}}),
            "failed to parse privilege. expected field name [write] but found [manage] instead",
        ),
        (
            json!({"global": {"role": {"manage": {"indices": [{"names": [], "privileges": ["read"]}]}}}}),
            "Indices privileges must refer to at least one index name or index name pattern",
        ),
        (
            json!({"global": {"role": {"manage": {"indices": [{"names": ["a"], "privileges": ["nope"]}]}}}}),
            "unknown index privilege [nope]",
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

#[tokio::test]
async fn the_cause_of_a_bad_list_is_the_root_of_the_refusal() {
    let node = Node::fresh().await;
    let answer = node
        .elastic("PUT", "/_security/role/r", json!({"run_as": [1]}))
        .await;
    let inner = json!({
        "type": "parse_exception",
        "reason": "could not parse [run_as] field. expected a string array but one of the value in the array is [VALUE_NUMBER]",
    });
    let error = &answer.json()["error"];
    assert_eq!(error["reason"], "failed to parse role [r]");
    assert_eq!(
        (&error["caused_by"], &error["root_cause"]),
        (&inner, &json!([inner]))
    );
}

#[tokio::test]
async fn a_query_no_role_may_have_is_refused_with_its_cause() {
    let node = Node::fresh().await;
    let role = |query: Value| json!({"indices": [{"names": ["a", "b"], "privileges": ["read"], "query": query}]});
    let lookup =
        json!({"bool": {"filter": {"terms": {"u": {"index": "i", "id": "1", "path": "p"}}}}});
    for query in [lookup.clone(), Value::from(lookup.to_string())] {
        let answer = node.elastic("PUT", "/_security/role/r", role(query)).await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (400, "parse_exception")
        );
        assert_eq!(
            answer.reason(),
            "failed to parse field 'query' for indices [a,b] at index privilege [0] of role descriptor"
        );
        assert_eq!(
            answer.json()["error"]["caused_by"],
            json!({"type": "illegal_argument_exception", "reason": "terms query with terms lookup isn't supported as part of a role query"})
        );
    }
    let broken = node
        .elastic("PUT", "/_security/role/r", role(json!("{\"term\":")))
        .await;
    assert_eq!(broken.status, 400);
    let verbatim = "{ \"template\": {\"source\": {\"term\": {\"u\": \"{{_user.username}}\"}}}}";
    node.done("PUT", "/_security/role/r", role(json!(verbatim)))
        .await;
    let shown = node.done("GET", "/_security/role/r", Value::Null).await;
    assert_eq!(shown["r"]["indices"][0]["query"], verbatim);
}

#[tokio::test]
async fn many_roles_are_put_and_deleted_at_once_each_for_itself() {
    let node = Node::fresh().await;
    let path = "/_security/role";
    let monitor = json!({"cluster": ["monitor"], "description": "d"});
    let roles =
        json!({"roles": {"b": monitor, "a": {}, "superuser": {}, "bad": {"cluster": ["nope"]}}});
    let answer = node.done("POST", path, roles).await;
    assert_eq!(answer["created"], json!(["b", "a"]));
    assert_eq!(answer["errors"]["count"], 2);
    assert_eq!(
        answer["errors"]["details"]["superuser"],
        json!({"type": "action_request_validation_exception", "reason": "Validation Failed: 1: Role [superuser] is reserved and may not be used.;"})
    );
    assert!(answer.get("updated").is_none() && answer.get("noop").is_none());
    let again = json!({"roles": {"b": monitor, "a": {"cluster": ["all"]}}});
    assert_eq!(
        node.done("POST", path, again).await,
        json!({"updated": ["a"], "noop": ["b"]})
    );
    let answer = node
        .done("DELETE", path, json!({"names": ["a", "none", "superuser"]}))
        .await;
    assert_eq!(
        answer.to_string(),
        json!({
            "deleted": ["a"], "not_found": ["none"],
            "errors": {"count": 1, "details": {"superuser": {"type": "illegal_argument_exception", "reason": "role [superuser] is reserved and cannot be deleted"}}},
        })
        .to_string()
    );
    assert_eq!(
        node.done("DELETE", path, json!({"names": []})).await,
        json!({})
    );
}

#[tokio::test]
async fn bad_bulk_requests_are_refused_whole() {
    let node = Node::fresh().await;
    for (method, body, text) in [
        ("POST", json!({}), "Required [roles]"),
        (
            "POST",
            json!({"x": 1}),
            "[1:2] [bulk_update_roles_request_payload] unknown field [x]",
        ),
        (
            "POST",
            json!({"roles": {"r": {"x": 1}}}),
            "failed to parse role [r]. unexpected field [x]",
        ),
        (
            "POST",
            json!({"roles": {" r": {}}}),
            "Role names must be at least 1",
        ),
        (
            "POST",
            json!({"roles": {"r": 1}}),
            "failed to parse role [r]. expected an object but found [VALUE_NUMBER] instead",
        ),
        ("DELETE", json!({}), "Required [names]"),
        (
            "DELETE",
            json!({"names": [1]}),
            "[bulk_delete_roles_request] names doesn't support values of type",
        ),
    ] {
        let answer = node.elastic(method, "/_security/role", body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text.contains(text), "{body}: {}", answer.text);
    }
    let joe = node.user_with("joe", json!({"cluster": ["monitor"]})).await;
    for (method, body) in [
        ("POST", json!({"roles": {"r": {}}})),
        ("DELETE", json!({"names": ["r"]})),
    ] {
        assert_eq!(
            node.with(&joe, method, "/_security/role", &body)
                .await
                .status,
            403,
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_manager_of_some_roles_grants_no_more_than_they_may() {
    let node = Node::fresh().await;
    let global = json!({"role": {"manage": {"indices": [{"names": ["logs-*"], "privileges": ["read", "delete_index"]}]}}});
    let ann = node.user_with("ann", json!({"global": global})).await;
    let role = |names: &str, privilege: &str| json!({"indices": [{"names": names, "privileges": [privilege]}]});
    let put = async |name: &str, role: Value| {
        let path = format!("/_security/role/{name}");
        node.with(&ann, "PUT", &path, &role).await.status
    };
    assert_eq!(put("logs-a", role("logs-a", "read")).await, 200);
    assert_eq!(put("logs-b", role("logs-b*", "delete_index")).await, 200);
    assert_eq!(put("logs-c", role("logs-*", "write")).await, 403);
    assert_eq!(put("logs-c", role("*", "read")).await, 403);
    assert_eq!(put("logs-c", json!({"cluster": ["monitor"]})).await, 403);
    assert_eq!(put("logs-c", json!({"run_as": ["elastic"]})).await, 403);
    let delete = async |name: &str| {
        let path = format!("/_security/role/{name}");
        node.with(&ann, "DELETE", &path, &Value::Null).await.status
    };
    assert_eq!(delete("logs-a").await, 200);
    assert_eq!(delete("ann").await, 403);
    let bulk = json!({"roles": {"logs-d": role("logs-d", "read"), "logs-e": role("x", "read")}});
    assert_eq!(
        node.with(&ann, "POST", "/_security/role", &bulk)
            .await
            .status,
        403
    );
}
