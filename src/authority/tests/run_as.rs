//! Acting as another user.

use serde_json::{Value, json};

use super::{Answer, Node, PASSWORD, basic};

const AUTHENTICATE: &str = "cluster:admin/xpack/security/user/authenticate";

impl Node {
    async fn run_as(&self, auth: &str, user: &str, method: &str, path: &str) -> Answer {
        let headers = [("authorization", auth), ("es-security-runas-user", user)];
        self.send(method, path, &headers, "").await
    }

    async fn who_as(&self, auth: &str, user: &str) -> Answer {
        self.run_as(auth, user, "GET", "/_security/_authenticate")
            .await
    }

    async fn key_of(&self, auth: &str, body: Value) -> (String, String) {
        let answer = self.with(auth, "POST", "/_security/api_key", &body).await;
        let key = answer.json();
        let encoded = key["encoded"].as_str().expect("a key");
        (
            key["id"].as_str().unwrap().to_owned(),
            format!("ApiKey {encoded}"),
        )
    }
}

#[tokio::test]
async fn whoever_may_act_as_somebody_is_described_as_them_with_both_realms() {
    let node = Node::fresh().await;
    let ann = node.user_with("ann", json!({"run_as": ["jo*"]})).await;
    node.user_with("joe", json!({"cluster": ["monitor"]})).await;
    let answer = node.who_as(&ann, "joe").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        (&answer.json()["username"], &answer.json()["roles"]),
        (&json!("joe"), &json!(["joe"]))
    );
    assert_eq!(answer.json()["authentication_type"], "realm");
    let answer = node.who_as(&basic("elastic", PASSWORD), "joe").await;
    assert_eq!(answer.json()["authentication_realm"]["name"], "reserved");
    assert_eq!(answer.json()["lookup_realm"]["name"], "default_native");
    let denied = node.run_as(&ann, "joe", "GET", "/_security/role").await;
    assert_eq!(
        denied.reason(),
        "action [cluster:admin/xpack/security/role/get] is unauthorized for user [ann] run as [joe] with effective roles [joe], \
         this action is granted by the cluster privileges [read_security,manage_security,all]"
    );
}

#[tokio::test]
async fn a_refused_a_missing_and_an_empty_target_read_the_same() {
    let node = Node::fresh().await;
    let ann = node
        .user_with("ann", json!({"run_as": ["joe", "ghost"]}))
        .await;
    for target in ["elastic", "nobody", "ghost", ""] {
        let answer = node.who_as(&ann, target).await;
        assert_eq!(answer.status, 403, "{target}");
        assert_eq!(
            answer.reason(),
            format!(
                "action [{AUTHENTICATE}] is unauthorized for user [ann] with effective roles [ann], because user [ann] is \
                 unauthorized to run as [{target}]"
            )
        );
    }
    let answer = node.who_as(&basic("elastic", PASSWORD), "nobody").await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_disabled_target_is_a_failed_login() {
    let node = Node::fresh().await;
    let ann = node.user_with("ann", json!({"run_as": ["*"]})).await;
    node.user_with("joe", json!({})).await;
    node.done("PUT", "/_security/user/joe/_disable", Value::Null)
        .await;
    let answer = node.who_as(&ann, "joe").await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.reason(),
        "unable to authenticate user [ann] for REST request [/_security/_authenticate]"
    );
}

#[tokio::test]
async fn an_api_key_acts_as_whom_its_own_and_its_owners_privileges_allow() {
    let node = Node::fresh().await;
    let role = json!({"cluster": ["manage_own_api_key"], "run_as": ["joe", "bob"]});
    let ann = node.user_with("ann", role).await;
    node.user_with("joe", json!({})).await;
    node.user_with("bob", json!({})).await;
    let descriptors = json!({"r": {"run_as": ["joe", "elastic"]}});
    let (id, key) = node
        .key_of(&ann, json!({"name": "k", "role_descriptors": descriptors}))
        .await;
    let answer = node.who_as(&key, "joe").await;
    assert_eq!(
        (answer.status, &answer.json()["username"]),
        (200, &json!("joe"))
    );
    for target in ["bob", "elastic"] {
        assert_eq!(
            node.who_as(&key, target).await.reason(),
            format!(
                "action [{AUTHENTICATE}] is unauthorized for API key id [{id}] of user [ann], because API key id [{id}] of user \
                 [ann] is unauthorized to run as [{target}]"
            )
        );
    }
    let denied = node
        .run_as(&key, "joe", "DELETE", "/_security/user/x")
        .await;
    assert_eq!(
        denied.reason(),
        format!(
            "action [cluster:admin/xpack/security/user/delete] is unauthorized for API key id [{id}] of user [ann] run as [joe] \
             with effective roles [joe], this action is granted by the cluster privileges [manage_security,all]"
        )
    );
}

#[tokio::test]
async fn a_token_that_stands_for_another_user_ignores_the_header() {
    let node = Node::fresh().await;
    let headers = [
        ("authorization", &*basic("elastic", PASSWORD)),
        ("es-security-runas-user", "ann"),
        ("content-type", "application/json"),
    ];
    node.user_with("ann", json!({"cluster": ["manage_token"]}))
        .await;
    node.user_with("joe", json!({})).await;
    let grant = json!({"grant_type": "client_credentials"}).to_string();
    let answer = node
        .send("POST", "/_security/oauth2/token", &headers, &grant)
        .await;
    let bearer = format!("Bearer {}", answer.json()["access_token"].as_str().unwrap());
    let answer = node.who_as(&bearer, "joe").await;
    assert_eq!(
        (answer.status, &answer.json()["username"]),
        (200, &json!("ann"))
    );
}

#[tokio::test]
async fn a_key_restricted_to_a_workflow_may_not_even_do_what_everybody_may() {
    let node = Node::fresh().await;
    let ann = node
        .user_with("ann", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    let descriptors = json!({"r": {"cluster": ["all"], "restriction": {"workflows": ["search_application_query"]}}});
    let (id, key) = node
        .key_of(&ann, json!({"name": "k", "role_descriptors": descriptors}))
        .await;
    let answer = node
        .with(&key, "GET", "/_security/_authenticate", &Value::Null)
        .await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.reason(),
        format!(
            "action [{AUTHENTICATE}] is unauthorized for API key id [{id}] of user [ann], this action is granted by the cluster \
             privileges [manage_security,all]"
        )
    );
    let cause =
        json!({"type": "role_restriction_exception", "reason": "access restricted by workflow"});
    let error = &answer.json()["error"];
    assert_eq!(
        (&error["caused_by"], &error["root_cause"]),
        (&cause, &json!([cause]))
    );
    let unknown =
        json!({"name": "k", "role_descriptors": {"r": {"restriction": {"workflows": ["x"]}}}});
    let answer = node
        .with(&ann, "POST", "/_security/api_key", &unknown)
        .await;
    assert!(
        answer
            .reason()
            .contains("Unknown workflow [x]. A workflow must be one of"),
        "{}",
        answer.text
    );
}
