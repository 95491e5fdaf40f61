//! Service accounts and their tokens.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Node, options};

const FLEET: &str = "/_security/service/elastic/fleet-server";

/// Makes a token and returns it as an `Authorization` header.
async fn token(node: &Node, account: &str, name: &str) -> String {
    let path = format!("/_security/service/{account}/credential/token/{name}");
    let made = node.done("PUT", &path, Value::Null).await;
    assert_eq!(
        (&made["created"], &made["token"]["name"]),
        (&json!(true), &json!(name))
    );
    format!("Bearer {}", made["token"]["value"].as_str().unwrap())
}

#[tokio::test]
async fn accounts_are_listed_by_namespace_and_name() {
    let node = Node::fresh().await;
    let all = node.done("GET", "/_security/service", Value::Null).await;
    let names: Vec<&String> = all.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 4);
    let fleet = &all["elastic/fleet-server"]["role_descriptor"];
    assert_eq!(fleet["cluster"][0], "monitor");
    assert_eq!(fleet["transient_metadata"], json!({"enabled": true}));
    assert_eq!(
        node.done("GET", "/_security/service/elastic", Value::Null)
            .await,
        all
    );
    let one = node.done("GET", FLEET, Value::Null).await;
    assert_eq!(
        one,
        json!({"elastic/fleet-server": all["elastic/fleet-server"]})
    );
    for unknown in [
        "/_security/service/nobody",
        "/_security/service/elastic/nobody",
    ] {
        assert_eq!(node.done("GET", unknown, Value::Null).await, json!({}));
    }
}

#[tokio::test]
async fn a_token_stands_for_its_account() {
    let node = Node::fresh().await;
    let auth = token(&node, "elastic/fleet-server", "t1").await;
    assert!(auth.starts_with("Bearer AAEAAWVsYXN0aWMv"), "{auth}");
    let who = node
        .with(&auth, "GET", "/_security/_authenticate", &Value::Null)
        .await;
    assert_eq!(
        who.json(),
        json!({
            "username": "elastic/fleet-server",
            "roles": [],
            "full_name": "Service account - elastic/fleet-server",
            "email": null,
            "token": {"name": "t1", "type": "_service_account_index"},
            "metadata": {"_elastic_service_account": true},
            "enabled": true,
            "authentication_realm": {"name": "_service_account", "type": "_service_account"},
            "lookup_realm": {"name": "_service_account", "type": "_service_account"},
            "authentication_type": "token",
        })
    );
    assert_eq!(node.with(&auth, "GET", "/", &Value::Null).await.status, 200);
    let question = json!({"cluster": ["monitor", "manage_own_api_key", "manage"], "index": [{"names": ["logs-a"], "privileges": ["write", "read"]}]});
    let may = node
        .with(&auth, "POST", "/_security/user/_has_privileges", &question)
        .await
        .json();
    assert_eq!(
        may["cluster"],
        json!({"manage": false, "manage_own_api_key": true, "monitor": true})
    );
    assert_eq!(
        may["index"]["logs-a"],
        json!({"read": false, "write": true})
    );
    let denied = node
        .with(&auth, "GET", "/_security/user", &Value::Null)
        .await;
    assert_eq!(denied.status, 403);
    assert!(
        denied.reason().starts_with(
            "action [cluster:admin/xpack/security/user/get] is unauthorized for service account [elastic/fleet-server], this action is granted by the cluster privileges ["
        ),
        "{}",
        denied.reason()
    );
}

#[tokio::test]
async fn keys_of_a_service_account_keep_its_privileges() {
    let node = Node::fresh().await;
    let auth = token(&node, "elastic/fleet-server", "t1").await;
    let key = node
        .with(
            &auth,
            "POST",
            "/_security/api_key",
            &json!({"name": "agent"}),
        )
        .await
        .json();
    let with_limits = format!(
        "/_security/api_key?id={}&with_limited_by",
        key["id"].as_str().unwrap()
    );
    let info = node.done("GET", &with_limits, Value::Null).await;
    assert_eq!(info["api_keys"][0]["realm"], "_service_account");
    assert_eq!(
        info["api_keys"][0]["limited_by"][0]["elastic/fleet-server"]["cluster"][0],
        "monitor"
    );
    let auth = format!("ApiKey {}", key["encoded"].as_str().unwrap());
    assert_eq!(node.with(&auth, "GET", "/", &Value::Null).await.status, 200);
}

#[tokio::test]
async fn no_oauth2_token_is_made_for_a_service_account() {
    let node = Node::fresh().await;
    let body = json!({"grant_type": "client_credentials"});
    let kibana = token(&node, "elastic/kibana", "t").await;
    let answer = node
        .with(&kibana, "POST", "/_security/oauth2/token", &body)
        .await;
    assert_eq!((answer.status, answer.kind().as_str()), (500, "exception"));
    assert_eq!(
        answer.reason(),
        "OAuth2 token creation is not supported for service accounts"
    );
    let fleet = token(&node, "elastic/fleet-server", "t").await;
    let answer = node
        .with(&fleet, "POST", "/_security/oauth2/token", &body)
        .await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn refused_tokens_read_the_same_whatever_is_wrong_with_them() {
    use crate::authority::realm::service::ServiceCredential;
    use crate::model::secret::Secret;

    let node = Node::fresh().await;
    token(&node, "elastic/fleet-server", "t1").await;
    for (account, name, secret) in [
        ("elastic/fleet-server", "t1", "wrong-secret-wrong-one"),
        ("elastic/fleet-server", "t1", "short"),
        ("elastic/fleet-server", "t2", "wrong-secret-wrong-one"),
        ("elastic/nobody", "t1", "wrong-secret-wrong-one"),
        ("other/fleet-server", "t1", "wrong-secret-wrong-one"),
    ] {
        let credential = ServiceCredential {
            account: account.to_owned(),
            name: name.to_owned(),
            secret: Secret::from(secret),
        };
        let auth = format!("Bearer {}", credential.bearer().expose_str().unwrap());
        let answer = node.with(&auth, "GET", "/", &Value::Null).await;
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.reason(),
            format!("failed to authenticate service account [{account}] with token name [{name}]")
        );
        assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 3);
    }
}

#[tokio::test]
async fn tokens_are_made_once_listed_and_deleted() {
    let node = Node::fresh().await;
    let auth = token(&node, "elastic/fleet-server", "t1").await;
    let path = format!("{FLEET}/credential/token/t1");
    let again = node.elastic("PUT", &path, Value::Null).await;
    assert_eq!(
        (again.status, again.kind().as_str()),
        (409, "version_conflict_engine_exception")
    );
    assert_eq!(
        again.reason(),
        "[service_account_token-elastic/fleet-server/t1]: version conflict, document already exists (current version [1])"
    );
    let made = node
        .done(
            "POST",
            &format!("{FLEET}/credential/token?refresh=true"),
            Value::Null,
        )
        .await;
    let made_up = made["token"]["name"].as_str().unwrap().to_owned();
    assert!(
        made_up.starts_with("token_") && made_up.len() == 26,
        "{made_up}"
    );
    let mut tokens = json!({"t1": {}});
    tokens[&made_up] = json!({});
    assert_eq!(
        node.done("GET", &format!("{FLEET}/credential"), Value::Null)
            .await,
        json!({
            "service_account": "elastic/fleet-server",
            "count": 2,
            "tokens": tokens,
            "nodes_credentials": {"_nodes": {"total": 1, "successful": 1, "failed": 0}, "file_tokens": {}},
        })
    );
    let other = node
        .done("GET", &format!("{FLEET}-remote/credential"), Value::Null)
        .await;
    assert_eq!(
        other["count"], 0,
        "another account's tokens are not counted"
    );

    assert_eq!(
        node.done("DELETE", &path, Value::Null).await,
        json!({"found": true})
    );
    assert_eq!(node.with(&auth, "GET", "/", &Value::Null).await.status, 401);
    let unknown = "/_security/service/elastic/nobody/credential/token/t1".to_owned();
    for gone in [path, unknown] {
        let answer = node.elastic("DELETE", &gone, Value::Null).await;
        assert_eq!(
            (answer.status, answer.json()),
            (404, json!({"found": false}))
        );
    }
}

#[tokio::test]
async fn bad_names_accounts_and_callers_are_refused_with_their_words() {
    let node = Node::fresh().await;
    let sentence = "invalid service token name [_x]. service account token name must have at least 1 character and at most 256 characters that are alphanumeric (A-Z, a-z, 0-9) or hyphen (-) or underscore (_). It must not begin with an underscore (_).";
    for method in ["PUT", "POST", "DELETE"] {
        let answer = node
            .elastic(method, &format!("{FLEET}/credential/token/_x"), Value::Null)
            .await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (400, "action_request_validation_exception")
        );
        assert_eq!(
            answer.reason(),
            format!("Validation Failed: 1: {sentence};")
        );
    }
    let answer = node
        .elastic(
            "PUT",
            "/_security/service/elastic/nobody/credential/token/x",
            Value::Null,
        )
        .await;
    assert_eq!(
        (
            answer.status,
            answer.kind().as_str(),
            answer.reason().as_str()
        ),
        (
            400,
            "illegal_argument_exception",
            "service account [elastic/nobody] does not exist"
        )
    );
    let clear = |names: &str| format!("{FLEET}/credential/token/{names}/_clear_cache");
    let answer = node.elastic("POST", &clear("a,_x"), Value::Null).await;
    assert_eq!((answer.status, answer.reason().as_str()), (400, sentence));
    for names in ["*", "_all", "a,b", "unknown"] {
        let answer = node.done("POST", &clear(names), Value::Null).await;
        assert_eq!(
            answer["_nodes"],
            json!({"total": 1, "successful": 1, "failed": 0})
        );
    }
    let reader = node
        .user_with("reader", json!({"cluster": ["read_security"]}))
        .await;
    assert_eq!(
        node.with(&reader, "GET", "/_security/service", &Value::Null)
            .await
            .status,
        200
    );
    assert_eq!(
        node.with(&reader, "GET", &format!("{FLEET}/credential"), &Value::Null)
            .await
            .status,
        200
    );
    let answer = node
        .with(
            &reader,
            "PUT",
            &format!("{FLEET}/credential/token/x"),
            &Value::Null,
        )
        .await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.reason(),
        "action [cluster:admin/xpack/security/service_account/token/create] is unauthorized for user [reader] with effective roles [reader], this action is granted by the cluster privileges [manage_service_account,manage_security,all]"
    );
}

#[tokio::test]
async fn tokens_of_the_file_count_as_long_as_they_are_in_it() {
    use crate::authority::password::Passwords;
    use crate::authority::realm::service::ServiceCredential;
    use crate::model::secret::Secret;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("service_tokens");
    let hash = Passwords::new(4).hash_blocking(&Secret::from("secret-of-the-file"));
    std::fs::write(&path, format!("elastic/kibana/from-file:{hash}\n")).unwrap();
    let node = Node::open(crate::authority::Options {
        service_tokens: Some(path.clone()),
        ..options()
    })
    .await;
    let header = |secret: &str| {
        let credential = ServiceCredential {
            account: "elastic/kibana".to_owned(),
            name: "from-file".to_owned(),
            secret: Secret::from(secret),
        };
        format!("Bearer {}", credential.bearer().expose_str().unwrap())
    };
    let good = header("secret-of-the-file");
    for _ in 0..2 {
        let who = node
            .with(&good, "GET", "/_security/_authenticate", &Value::Null)
            .await;
        assert_eq!(
            who.json()["token"],
            json!({"name": "from-file", "type": "_service_account_file"})
        );
    }
    let wrong = node
        .with(&header("another-secret"), "GET", "/", &Value::Null)
        .await;
    assert_eq!(wrong.status, 401);
    let credentials = "/_security/service/elastic/kibana/credential";
    let listed = node.done("GET", credentials, Value::Null).await;
    assert_eq!(listed["count"], 1);
    assert_eq!(
        listed["nodes_credentials"]["file_tokens"],
        json!({"from-file": {"nodes": ["sidegate"]}})
    );

    std::fs::write(&path, "").unwrap();
    node.clock.advance(Duration::from_secs(1));
    assert_eq!(
        node.with(&good, "GET", "/", &Value::Null).await.status,
        401,
        "not even from the cache"
    );
}
