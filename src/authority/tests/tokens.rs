//! OAuth2 tokens.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Node, basic};

pub(super) const PATH: &str = "/_security/oauth2/token";

pub(super) fn bearer(pair: &Value) -> String {
    format!("Bearer {}", pair["access_token"].as_str().unwrap())
}

pub(super) async fn log_in(node: &Node) -> Value {
    node.done(
        "PUT",
        "/_security/user/joe",
        json!({"password": "joe-password", "roles": []}),
    )
    .await;
    let body = json!({"grant_type": "password", "username": "joe", "password": "joe-password"});
    node.done("POST", PATH, body).await
}

pub(super) async fn refresh(node: &Node, pair: &Value) -> Answer {
    let body = json!({"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]});
    node.elastic("POST", PATH, body).await
}

#[tokio::test]
async fn a_password_buys_a_token_that_stands_for_the_user() {
    let node = Node::fresh().await;
    let pair = log_in(&node).await;
    assert_eq!(
        (&pair["type"], &pair["expires_in"]),
        (&json!("Bearer"), &json!(1200))
    );
    assert!(pair.get("scope").is_none());
    assert_eq!(pair["authentication"]["username"], "joe");
    assert_eq!(pair["authentication"]["authentication_type"], "realm");
    let who = node
        .with(
            &bearer(&pair),
            "GET",
            "/_security/_authenticate",
            &Value::Null,
        )
        .await
        .json();
    assert_eq!(who["username"], "joe");
    assert_eq!(who["authentication_type"], "token");
    assert_eq!(who["authentication_realm"]["name"], "default_native");
}

#[tokio::test]
async fn client_credentials_give_no_refresh_token() {
    let node = Node::fresh().await;
    let body = json!({"grant_type": "client_credentials", "scope": "any"});
    let pair = node.done("POST", PATH, body).await;
    assert!(pair.get("refresh_token").is_none());
    assert_eq!(pair["scope"], "full");
    let who = node
        .with(
            &bearer(&pair),
            "GET",
            "/_security/_authenticate",
            &Value::Null,
        )
        .await;
    assert_eq!(who.json()["username"], "elastic");
}

#[tokio::test]
async fn an_access_token_ends_after_its_time() {
    let node = Node::fresh().await;
    let pair = log_in(&node).await;
    node.clock.advance(Duration::from_secs(1_199));
    assert_eq!(
        node.with(
            &bearer(&pair),
            "GET",
            "/_security/_authenticate",
            &Value::Null
        )
        .await
        .status,
        200
    );
    node.clock.advance(Duration::from_secs(1));
    let answer = node
        .with(
            &bearer(&pair),
            "GET",
            "/_security/_authenticate",
            &Value::Null,
        )
        .await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (401, "token expired")
    );
    assert_eq!(
        answer.headers["www-authenticate"],
        "Bearer realm=\"security\", error=\"invalid_token\", error_description=\"The access token expired\""
    );
}

#[tokio::test]
async fn an_unknown_token_is_an_unsuccessful_credential() {
    let node = Node::fresh().await;
    let answer = node.with("Bearer nope", "GET", "/", &Value::Null).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.json()["error"]["additional_unsuccessful_credentials"],
        "oauth2 token: invalid token"
    );
}

#[tokio::test]
async fn a_refresh_token_works_once_and_answers_retries_for_thirty_seconds() {
    let node = Node::fresh().await;
    let first = log_in(&node).await;
    let second = refresh(&node, &first).await.json();
    assert_ne!(first["access_token"], second["access_token"]);
    assert_eq!(second["authentication"]["authentication_type"], "token");
    node.clock.advance(Duration::from_secs(30));
    let again = refresh(&node, &first).await.json();
    assert_eq!(again["access_token"], second["access_token"]);
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    node.clock.advance(Duration::from_secs(1));
    let late = refresh(&node, &first).await;
    assert_eq!(late.status, 400);
    assert_eq!(
        late.json(),
        json!({"error": "invalid_grant", "error_description": "token has already been refreshed more than 30 seconds in the past"})
    );
    assert_eq!(refresh(&node, &second).await.status, 200);
}

#[tokio::test]
async fn a_refresh_token_outlives_its_access_token_by_a_day_at_most() {
    let node = Node::fresh().await;
    let pair = log_in(&node).await;
    node.clock.advance(Duration::from_secs(24 * 3_600));
    let next = refresh(&node, &pair).await;
    assert_eq!(next.status, 200);
    node.clock.advance(Duration::from_secs(24 * 3_600 + 1));
    let late = refresh(&node, &next.json()).await;
    assert_eq!(
        late.json()["error_description"],
        "token document has expired"
    );
}

#[tokio::test]
async fn only_the_client_that_asked_may_refresh() {
    let node = Node::fresh().await;
    let ann = node
        .user_with("ann", json!({"cluster": ["manage_token"]}))
        .await;
    let pair = log_in(&node).await;
    let body = json!({"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]});
    let answer = node.with(&ann, "POST", PATH, &body).await;
    assert_eq!(
        answer.json()["error_description"],
        "tokens must be refreshed by the creating client"
    );
    let body = json!({"grant_type": "refresh_token", "refresh_token": "nope"});
    let answer = node.elastic("POST", PATH, body).await;
    assert_eq!(
        answer.json()["error_description"],
        "could not refresh the requested token"
    );
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_oauth_shape() {
    let node = Node::fresh().await;
    for (body, code, text) in [
        (
            json!({}),
            "unsupported_grant_type",
            "Validation Failed: 1: grant_type only supports the values: [password, _kerberos, refresh_token, client_credentials];",
        ),
        (
            json!({"grant_type": "x"}),
            "unsupported_grant_type",
            "Validation Failed: 1: grant_type only supports the values: [password, _kerberos, refresh_token, client_credentials];",
        ),
        (
            json!({"grant_type": "password", "password": "x"}),
            "invalid_request",
            "Validation Failed: 1: username is missing;",
        ),
        (
            json!({"grant_type": "client_credentials", "password": "x"}),
            "unsupported_grant_type",
            "Validation Failed: 1: password is not supported with the client_credentials grant_type;",
        ),
        (
            json!({"grant_type": "password", "refresh_token": "x", "kerberos_ticket": "y"}),
            "unsupported_grant_type",
            "Validation Failed: 1: kerberos_ticket is not supported with the password grant_type;2: refresh_token is not supported with the password grant_type;3: username is missing;4: password is missing;",
        ),
        (
            json!({"grant_type": "_kerberos"}),
            "invalid_request",
            "Validation Failed: 1: kerberos_ticket is missing;",
        ),
        (
            json!({"grant_type": "refresh_token"}),
            "invalid_request",
            "Validation Failed: 1: refresh_token is missing;",
        ),
    ] {
        let answer = node.elastic("POST", PATH, body.clone()).await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.json(),
            json!({"error": code, "error_description": text}),
            "{body}"
        );
    }
    let body = json!({"grant_type": "password", "username": "joe", "password": "wrong-one"});
    let answer = node.elastic("POST", PATH, body).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.reason(),
        "unable to authenticate user [joe] for action [cluster:admin/xpack/security/token/create]"
    );
    let joe = node.user_with("joe", json!({})).await;
    let answer = node
        .with(
            &joe,
            "POST",
            PATH,
            &json!({"grant_type": "client_credentials"}),
        )
        .await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_token_of_an_api_key_has_the_keys_privileges_and_dies_with_it() {
    let node = Node::fresh().await;
    let roles = json!({"r": {"cluster": ["manage_token"]}});
    let key = node
        .done(
            "PUT",
            "/_security/api_key",
            json!({"name": "k", "role_descriptors": roles}),
        )
        .await;
    let auth = format!("ApiKey {}", key["encoded"].as_str().unwrap());
    let pair = node
        .with(
            &auth,
            "POST",
            PATH,
            &json!({"grant_type": "client_credentials"}),
        )
        .await
        .json();
    assert_eq!(
        node.with(&bearer(&pair), "GET", "/", &Value::Null)
            .await
            .status,
        403
    );
    node.done("DELETE", "/_security/api_key", json!({"ids": [key["id"]]}))
        .await;
    assert_eq!(
        node.with(&bearer(&pair), "GET", "/", &Value::Null)
            .await
            .status,
        401
    );
    assert_eq!(
        node.with(&basic("elastic", super::PASSWORD), "GET", "/", &Value::Null)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn only_the_same_key_may_refresh_what_an_api_key_asked_for() {
    let node = Node::fresh().await;
    log_in(&node).await;
    let mut keys = Vec::new();
    for name in ["a", "b"] {
        let roles = json!({"r": {"cluster": ["manage_token"]}});
        let body = json!({"name": name, "role_descriptors": roles});
        let key = node.done("PUT", "/_security/api_key", body).await;
        keys.push(format!("ApiKey {}", key["encoded"].as_str().unwrap()));
    }
    let body = json!({"grant_type": "password", "username": "joe", "password": "joe-password"});
    let pair = node.with(&keys[0], "POST", PATH, &body).await.json();
    let body = json!({"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]});
    for (stranger, why) in [
        (keys[1].as_str(), "another key of the same owner"),
        (&basic("elastic", super::PASSWORD), "the owner"),
    ] {
        let answer = node.with(stranger, "POST", PATH, &body).await;
        assert_eq!(
            answer.json()["error_description"],
            "tokens must be refreshed by the creating client",
            "{why}"
        );
    }
    assert_eq!(node.with(&keys[0], "POST", PATH, &body).await.status, 200);
}

#[tokio::test]
async fn a_token_that_is_over_says_so_whatever_else_is_wrong() {
    let node = Node::fresh().await;
    let ann = node
        .user_with("ann", json!({"cluster": ["manage_token"]}))
        .await;
    let pair = log_in(&node).await;
    let body = json!({"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]});
    let why = async || {
        let answer = node.with(&ann, "POST", PATH, &body).await;
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (400, Some("invalid_grant"))
        );
        answer.json()["error_description"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    refresh(&node, &pair).await;
    assert_eq!(
        why().await,
        "tokens must be refreshed by the creating client"
    );
    let taken = json!({"refresh_token": pair["refresh_token"]});
    node.done("DELETE", PATH, taken).await;
    assert_eq!(why().await, "token has been invalidated");
    node.clock.advance(Duration::from_secs(24 * 3_600 + 1));
    assert_eq!(why().await, "token document has expired");
}

#[tokio::test]
async fn a_kerberos_ticket_finds_no_realm() {
    let node = Node::fresh().await;
    let ask = |ticket: &str| json!({"grant_type": "_kerberos", "kerberos_ticket": ticket});
    let answer = node.elastic("POST", PATH, ask("YIIChg==")).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.reason(),
        "unable to authenticate user [<Kerberos Token>] for action [cluster:admin/xpack/security/token/create]"
    );
    let answer = node.elastic("POST", PATH, ask("not base64")).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (500, "unsupported_operation_exception")
    );
    assert!(
        !answer.text.contains("not base64"),
        "the ticket is not repeated"
    );
}

#[tokio::test]
async fn mistyped_and_unknown_fields_are_refused_by_the_parser() {
    let node = Node::fresh().await;
    for (body, reason) in [
        (
            r#"{"grant_type":null}"#,
            "[1:15] [token_request] grant_type doesn't support values of type: VALUE_NULL",
        ),
        (
            r#"{"grant_type":"password","user":"x"}"#,
            "[1:26] [token_request] unknown field [user]",
        ),
    ] {
        let auth = basic("elastic", super::PASSWORD);
        let headers = [
            ("authorization", auth.as_str()),
            ("content-type", "application/json"),
        ];
        let answer = node.send("POST", PATH, &headers, body).await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (400, "x_content_parse_exception")
        );
        assert_eq!(answer.reason(), reason);
    }
    let answer = node.elastic("POST", PATH, Value::Null).await;
    assert_eq!(answer.reason(), "request body is required");
}

#[tokio::test]
async fn old_keys_and_tokens_leave_the_store_a_slice_at_a_time() {
    let node = Node::fresh().await;
    log_in(&node).await;
    node.done(
        "PUT",
        "/_security/api_key",
        json!({"name": "old", "expiration": "1s"}),
    )
    .await;
    let state = &node.authority.state;
    let row = state.tables().access_tokens.select(|_, _| true)[0]
        .1
        .clone();
    let many = state.store.write(move |drafts| {
        for number in 0..2_500 {
            drafts
                .access_tokens
                .put(&format!("t{number}"), (*row).clone());
        }
        Ok::<(), std::convert::Infallible>(())
    });
    many.await.unwrap();
    let weak = std::sync::Arc::downgrade(state);
    node.clock.advance(Duration::from_secs(86_400));
    assert!(crate::authority::sweep::pass(&weak).await);
    assert_eq!(state.tables().access_tokens.count(), 2_501);
    assert_eq!(state.tables().refresh_tokens.count(), 1);
    node.clock.advance(Duration::from_secs(8 * 86_400));
    assert!(crate::authority::sweep::pass(&weak).await);
    assert_eq!(state.tables().api_keys.count(), 0);
    assert_eq!(state.tables().access_tokens.count(), 0);
    assert_eq!(state.tables().refresh_tokens.count(), 0);
    drop(node);
    assert!(
        !crate::authority::sweep::pass(&weak).await,
        "ends with the authority"
    );
}
