//! What every endpoint has in common: authentication, routing, media types, envelopes.

use serde_json::{Value, json};

use super::{Node, PASSWORD, basic};
use crate::authority::failure::CHALLENGES;

#[tokio::test]
async fn no_credential_is_401_with_every_challenge() {
    let node = Node::fresh().await;
    let answer = node
        .send("GET", "/_security/_authenticate?pretty", &[], "")
        .await;
    assert_eq!(answer.status, 401);
    let challenges: Vec<&str> = answer
        .headers
        .get_all("www-authenticate")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(challenges, CHALLENGES);
    assert_eq!(
        answer.reason(),
        "missing authentication credentials for REST request [/_security/_authenticate?pretty]"
    );
    assert!(answer.text.contains("\n  \"error\""), "pretty");
}

#[tokio::test]
async fn wrong_password_unknown_user_and_disabled_user_read_the_same() {
    let node = Node::fresh().await;
    node.done(
        "PUT",
        "/_security/user/joe",
        json!({"password": "joe-password", "roles": []}),
    )
    .await;
    node.done("PUT", "/_security/user/joe/_disable", Value::Null)
        .await;
    for (user, password) in [
        ("elastic", "wrong-one"),
        ("nobody", "x"),
        ("joe", "joe-password"),
        ("kibana_system", ""),
    ] {
        let answer = node
            .with(&basic(user, password), "GET", "/", &Value::Null)
            .await;
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.reason(),
            format!("unable to authenticate user [{user}] for REST request [/]")
        );
    }
}

#[tokio::test]
async fn doubled_credentials_are_refused() {
    let node = Node::fresh().await;
    let good = basic("elastic", PASSWORD);
    for headers in [
        [
            ("authorization", good.as_str()),
            ("authorization", "Bearer x"),
            ("x", "y"),
        ],
        [
            ("authorization", good.as_str()),
            ("es-security-runas-user", "a"),
            ("es-security-runas-user", "b"),
        ],
    ] {
        let answer = node.send("GET", "/", &headers, "").await;
        assert_eq!(answer.status, 400);
        assert!(
            answer
                .text
                .contains("multiple values for single-valued header")
        );
    }
}

#[tokio::test]
async fn broken_credentials_never_panic_and_are_401() {
    let node = Node::fresh().await;
    let long = format!("ApiKey {}", "A".repeat(10_000));
    for value in [
        "Basic",
        "Basic ",
        "Basic !!",
        "Basic YQ==",
        "Bearer",
        "Bearer x",
        "ApiKey",
        "ApiKey !",
        "ApiKey Og==",
        "ApiKey YTpi",
        "Digest x",
        "Negotiate x",
        &long,
    ] {
        let answer = node.with(value, "GET", "/", &Value::Null).await;
        assert_eq!(answer.status, 401, "{value}");
        assert_eq!(answer.json()["status"], 401, "{value}");
    }
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_answer_as_elasticsearch_does() {
    let node = Node::fresh().await;
    let answer = node.elastic("GET", "/_nope?x=1", Value::Null).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json(),
        json!({"error": "no handler found for uri [/_nope?x=1] and method [GET]"})
    );

    let answer = node
        .elastic("PATCH", "/_security/role/x?pretty", Value::Null)
        .await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.headers["allow"], "DELETE,GET,POST,PUT");
    assert_eq!(
        answer.json()["error"],
        "Incorrect HTTP method for uri [/_security/role/x?pretty] and method [PATCH], allowed: [DELETE, GET, POST, PUT]"
    );

    let answer = node
        .send("OPTIONS", "/_security/_authenticate", &[], "")
        .await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    assert_eq!(answer.headers["allow"], "GET");
}

#[tokio::test]
async fn unknown_parameters_and_unwanted_bodies_are_refused() {
    let node = Node::fresh().await;
    let answer = node
        .elastic("GET", "/_security/_authenticate?prety", Value::Null)
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.reason(),
        "request [/_security/_authenticate] contains unrecognized parameter: [prety] -> did you mean [pretty]?"
    );
    let answer = node
        .elastic("GET", "/_security/_authenticate", json!({}))
        .await;
    assert_eq!(
        answer.reason(),
        "request [GET /_security/_authenticate] does not support having a body"
    );
}

#[tokio::test]
async fn media_types_are_checked_and_echoed() {
    let node = Node::fresh().await;
    let auth = basic("elastic", PASSWORD);
    let vendored = "application/vnd.elasticsearch+json; compatible-with=9";
    let headers = [
        ("authorization", auth.as_str()),
        ("accept", vendored),
        ("content-type", vendored),
    ];
    let answer = node
        .send(
            "POST",
            "/_security/user/_has_privileges",
            &headers,
            "{\"cluster\":[\"all\"]}",
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        answer.headers["content-type"],
        "application/vnd.elasticsearch+json;compatible-with=9"
    );
    for (headers, text) in [
        (
            &[("authorization", auth.as_str())][..],
            "Content-Type header is missing",
        ),
        (
            &[
                ("authorization", auth.as_str()),
                ("content-type", "text/plain"),
            ][..],
            "Content-Type header [text/plain] is not supported",
        ),
    ] {
        let answer = node.send("PUT", "/_security/role/x", headers, "{}").await;
        assert_eq!(answer.json(), json!({"error": text, "status": 406}));
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let node = Node::open(super::Options {
        max_body: 100,
        ..super::options()
    })
    .await;
    let answer = node
        .elastic(
            "PUT",
            "/_security/role/x",
            json!({"description": "x".repeat(200)}),
        )
        .await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn broken_json_and_missing_bodies_are_400() {
    let node = Node::fresh().await;
    let auth = basic("elastic", PASSWORD);
    let headers = [
        ("authorization", auth.as_str()),
        ("content-type", "application/json"),
    ];
    for (method, path) in [
        ("PUT", "/_security/user/joe"),
        ("PUT", "/_security/role/x"),
        ("PUT", "/_security/privilege"),
        ("PUT", "/_security/api_key"),
        ("DELETE", "/_security/api_key"),
        ("POST", "/_security/oauth2/token"),
        ("DELETE", "/_security/oauth2/token"),
        ("POST", "/_security/user/_has_privileges"),
        ("POST", "/_security/user/_password"),
    ] {
        for body in [
            "",
            "{",
            "[]",
            "1",
            "nul",
            "{\"a\":1}{",
            "{\"nope\":{}}",
            "\u{0}",
            &"[".repeat(500),
        ] {
            let answer = node.send(method, path, &headers, body).await;
            assert_eq!(
                answer.status, 400,
                "{method} {path} {body}: {}",
                answer.text
            );
        }
    }
}

#[tokio::test]
async fn the_root_names_version_nine_and_head_has_no_body() {
    let node = Node::fresh().await;
    let root = node.done("GET", "/", Value::Null).await;
    assert!(
        root["version"]["number"]
            .as_str()
            .unwrap()
            .starts_with("9.0.")
    );
    assert_eq!(root["tagline"], "You Know, for Search");
    let answer = node.elastic("HEAD", "/", Value::Null).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
}

#[tokio::test]
async fn filter_path_and_pretty_shape_the_answer() {
    let node = Node::fresh().await;
    let answer = node
        .elastic("GET", "/?filter_path=version.number,tagline", Value::Null)
        .await;
    assert_eq!(
        answer.json(),
        json!({"version": {"number": "9.0.4"}, "tagline": "You Know, for Search"})
    );
}

#[tokio::test]
async fn caches_can_be_cleared_and_unknown_realms_are_named() {
    let node = Node::fresh().await;
    for path in [
        "/_security/realm/default_native,reserved/_clear_cache?usernames=a",
        "/_security/realm/*/_clear_cache",
        "/_security/role/any/_clear_cache",
        "/_security/privilege/*/_clear_cache",
        "/_security/api_key/x,y/_clear_cache",
    ] {
        let answer = node.done("POST", path, Value::Null).await;
        assert_eq!(
            answer["_nodes"],
            json!({"total": 1, "successful": 1, "failed": 0})
        );
    }
    let answer = node
        .elastic("POST", "/_security/realm/nope/_clear_cache", Value::Null)
        .await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (400, "could not find active realm [nope]")
    );
    let joe = node.user_with("joe", json!({})).await;
    let answer = node
        .with(&joe, "POST", "/_security/role/x/_clear_cache", &Value::Null)
        .await;
    assert_eq!(answer.status, 403);
}
