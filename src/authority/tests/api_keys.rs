//! API keys.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Node, basic};

const PATH: &str = "/_security/api_key";

fn credential(key: &Value) -> String {
    format!("ApiKey {}", key["encoded"].as_str().unwrap())
}

#[tokio::test]
async fn a_key_authenticates_as_its_owner_without_roles() {
    let node = Node::fresh().await;
    let joe = node
        .user_with("joe", json!({"cluster": ["manage_own_api_key", "monitor"]}))
        .await;
    let key = node
        .with(
            &joe,
            "PUT",
            PATH,
            &json!({"name": "k", "expiration": "1d", "metadata": {"a": 1}}),
        )
        .await
        .json();
    assert_eq!(key["expiration"], 1_700_000_000_000_u64 + 86_400_000);
    let pair = format!(
        "{}:{}",
        key["id"].as_str().unwrap(),
        key["api_key"].as_str().unwrap()
    );
    assert_eq!(key["encoded"], STANDARD.encode(pair));
    assert_eq!(key["id"].as_str().unwrap().len(), 20);
    assert_eq!(key["api_key"].as_str().unwrap().len(), 22);

    let who = node
        .with(
            &credential(&key),
            "GET",
            "/_security/_authenticate",
            &Value::Null,
        )
        .await
        .json();
    assert_eq!(who["username"], "joe");
    assert_eq!(who["roles"], json!([]));
    assert_eq!(who["authentication_type"], "api_key");
    assert_eq!(
        who["authentication_realm"],
        json!({"name": "_es_api_key", "type": "_es_api_key"})
    );
    assert_eq!(who["api_key"], json!({"id": key["id"], "name": "k"}));
}

#[tokio::test]
async fn a_key_never_exceeds_its_owner_nor_its_own_roles() {
    let node = Node::fresh().await;
    let joe = node
        .user_with("joe", json!({"cluster": ["manage_own_api_key", "monitor"]}))
        .await;
    let ask = json!({"cluster": ["monitor", "manage_security"]});
    for (roles, monitor) in [
        (json!({}), true),
        (json!({"all": {"cluster": ["all"]}}), true),
        (json!({"none": {"cluster": []}}), false),
    ] {
        let key = node
            .with(
                &joe,
                "POST",
                PATH,
                &json!({"name": "k", "role_descriptors": roles}),
            )
            .await
            .json();
        let answer = node
            .with(
                &credential(&key),
                "POST",
                "/_security/user/_has_privileges",
                &ask,
            )
            .await
            .json();
        assert_eq!(
            answer["cluster"],
            json!({"monitor": monitor, "manage_security": false}),
            "{roles}"
        );
    }
    let key = node
        .with(&joe, "POST", PATH, &json!({"name": "k"}))
        .await
        .json();
    node.done("PUT", "/_security/role/joe", json!({"cluster": ["all"]}))
        .await;
    let answer = node
        .with(
            &credential(&key),
            "POST",
            "/_security/user/_has_privileges",
            &ask,
        )
        .await
        .json();
    assert_eq!(
        answer["cluster"]["manage_security"], false,
        "the snapshot stays"
    );
}

#[tokio::test]
async fn wrong_expired_and_invalidated_keys_say_why_in_metadata() {
    let node = Node::fresh().await;
    let key = node
        .done("PUT", PATH, json!({"name": "k", "expiration": "10s"}))
        .await;
    let id = key["id"].as_str().unwrap();
    let why =
        async |value: &str| {
            let value = format!("ApiKey {}", STANDARD.encode(value));
            let answer = node.with(&value, "GET", "/", &Value::Null).await;
            assert_eq!(answer.status, 401);
            assert!(answer.reason().starts_with(
                "unable to authenticate with provided credentials and anonymous access"
            ));
            answer.json()["error"]["additional_unsuccessful_credentials"]
                .as_str()
                .unwrap()
                .to_owned()
        };
    assert_eq!(
        why(&format!("{id}:wrong")).await,
        format!("API key: invalid credentials for API key [{id}]")
    );
    assert_eq!(
        why("nope:wrong").await,
        "API key: unable to find apikey with id nope"
    );
    assert_eq!(why("nocolon").await, "API key: invalid ApiKey value");
    let right = format!("{id}:{}", key["api_key"].as_str().unwrap());
    node.clock.advance(Duration::from_secs(11));
    assert_eq!(why(&right).await, "API key: api key is expired");
    node.done("DELETE", PATH, json!({"ids": [id]})).await;
    assert_eq!(
        why(&right).await,
        format!("API key: api key [{id}] has been invalidated")
    );
}

#[tokio::test]
async fn keys_are_found_by_every_filter() {
    let node = Node::fresh().await;
    let joe = node
        .user_with("joe", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    let mine = node
        .with(
            &joe,
            "PUT",
            PATH,
            &json!({"name": "joe-1", "role_descriptors": {"r": {"cluster": ["monitor"]}}}),
        )
        .await
        .json();
    node.done("PUT", PATH, json!({"name": "other"})).await;
    let names = |answer: &Value| -> Vec<String> {
        answer["api_keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let id = mine["id"].as_str().unwrap();
    for (query, expected) in [
        (String::new(), vec!["joe-1", "other"]),
        (format!("?id={id}"), vec!["joe-1"]),
        ("?name=joe*".to_owned(), vec!["joe-1"]),
        ("?name=*".to_owned(), vec!["joe-1", "other"]),
        ("?username=joe".to_owned(), vec!["joe-1"]),
        ("?realm_name=reserved".to_owned(), vec!["other"]),
        ("?owner=true".to_owned(), vec!["other"]),
        ("?name=none".to_owned(), vec![]),
    ] {
        let mut found = names(
            &node
                .done("GET", &format!("{PATH}{query}"), Value::Null)
                .await,
        );
        found.sort();
        assert_eq!(found, expected, "{query}");
    }
    let shown = node
        .done(
            "GET",
            &format!("{PATH}?id={id}&with_limited_by"),
            Value::Null,
        )
        .await;
    let shown = &shown["api_keys"][0];
    assert_eq!(shown["type"], "rest");
    assert_eq!(shown["invalidated"], false);
    assert_eq!(
        (&shown["realm"], &shown["realm_type"]),
        (&json!("default_native"), &json!("native"))
    );
    assert_eq!(
        shown["role_descriptors"]["r"]["cluster"],
        json!(["monitor"])
    );
    assert_eq!(
        shown["limited_by"][0]["joe"]["cluster"],
        json!(["manage_own_api_key"])
    );
    let answer = node
        .elastic("GET", &format!("{PATH}?id=nope"), Value::Null)
        .await;
    assert_eq!(
        (answer.status, answer.json()),
        (404, json!({"api_keys": []}))
    );
    node.done("DELETE", PATH, json!({"ids": [id]})).await;
    assert_eq!(
        names(
            &node
                .done("GET", &format!("{PATH}?active_only=true"), Value::Null)
                .await
        ),
        ["other"]
    );
    assert_eq!(
        node.elastic("GET", &format!("{PATH}?id=a&name=b"), Value::Null)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn own_keys_are_all_that_manage_own_api_key_reaches() {
    let node = Node::fresh().await;
    let joe = node
        .user_with("joe", json!({"cluster": ["manage_own_api_key"]}))
        .await;
    let other = node.done("PUT", PATH, json!({"name": "other"})).await;
    let mine = node
        .with(&joe, "PUT", PATH, &json!({"name": "mine"}))
        .await
        .json();
    let id = other["id"].as_str().unwrap();
    for (method, path, body, status) in [
        ("GET", PATH.to_owned(), Value::Null, 403),
        ("GET", format!("{PATH}?id={id}"), Value::Null, 403),
        (
            "GET",
            format!("{PATH}?username=elastic&realm_name=reserved"),
            Value::Null,
            403,
        ),
        ("GET", format!("{PATH}?owner=true"), Value::Null, 200),
        (
            "GET",
            format!("{PATH}?username=joe&realm_name=default_native"),
            Value::Null,
            200,
        ),
        ("DELETE", PATH.to_owned(), json!({"ids": [id]}), 403),
        (
            "DELETE",
            PATH.to_owned(),
            json!({"ids": [id], "owner": true}),
            200,
        ),
    ] {
        let answer = node.with(&joe, method, &path, &body).await;
        assert_eq!(
            answer.status, status,
            "{method} {path} {body}: {}",
            answer.text
        );
    }
    let who = node
        .with(
            &credential(&other),
            "GET",
            "/_security/_authenticate",
            &Value::Null,
        )
        .await;
    assert_eq!(who.status, 200, "owner=true reached nobody else's key");

    let key = credential(&mine);
    let own_id = mine["id"].as_str().unwrap();
    assert_eq!(
        node.with(&key, "GET", &format!("{PATH}?id={own_id}"), &Value::Null)
            .await
            .status,
        200
    );
    let limited = format!("{PATH}?id={own_id}&with_limited_by=true");
    assert_eq!(
        node.with(&key, "GET", &limited, &Value::Null).await.status,
        403
    );
    let nobody = node.user_with("nobody", json!({})).await;
    let answer = node.with(&nobody, "PUT", PATH, &json!({"name": "x"})).await;
    assert_eq!(answer.status, 403);
    assert!(answer.reason().ends_with("this action is granted by the cluster privileges [manage_own_api_key,manage_api_key,manage_security,all]"));
}

#[tokio::test]
async fn invalidation_counts_a_key_once() {
    let node = Node::fresh().await;
    let key = node.done("PUT", PATH, json!({"name": "k"})).await;
    let body = json!({"name": "k"});
    assert_eq!(
        node.done("DELETE", PATH, body.clone()).await,
        json!({"invalidated_api_keys": [key["id"]], "previously_invalidated_api_keys": [], "error_count": 0})
    );
    assert_eq!(
        node.done("DELETE", PATH, body).await["invalidated_api_keys"],
        json!([])
    );
    for (body, text) in [
        (
            json!({}),
            "One of [api key id(s), api key name, username, realm name] must be specified if [owner] flag is false",
        ),
        (json!({"ids": []}), "Field [ids] cannot be an empty array"),
        (
            json!({"ids": ["a", " "]}),
            "Field [ids] must not contain blank id, but got blank id at index position: [1]",
        ),
        (
            json!({"owner": true, "username": "x"}),
            "neither username nor realm-name may be specified when invalidating owned API keys",
        ),
        (
            json!({"name": "x", "ids": ["y"]}),
            "only one of [api key id(s), api key name] can be specified",
        ),
        (
            json!({"nope": 1}),
            "[1:2] [invalidate_api_key] unknown field [nope]",
        ),
    ] {
        let answer = node.elastic("DELETE", PATH, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(
            answer.reason().contains(text),
            "{body}: {}",
            answer.reason()
        );
    }
}

#[tokio::test]
async fn bad_keys_are_refused_with_their_words() {
    let node = Node::fresh().await;
    for (body, text) in [
        (json!({}), "Required [name]"),
        (
            json!({"name": ""}),
            "Validation Failed: 1: api key name is required;",
        ),
        (
            json!({"name": "_x"}),
            "api key name may not begin with an underscore",
        ),
        (
            json!({"name": " x"}),
            "api key name may not begin or end with whitespace",
        ),
        (
            json!({"name": "x".repeat(257)}),
            "api key name may not be more than 256 characters long",
        ),
        (
            json!({"name": "x", "metadata": {"_a": 1}}),
            "API key metadata keys may not start with [_]",
        ),
        (
            json!({"name": "x", "expiration": "soon"}),
            "failed to parse setting [expiration] with value [soon] as a time value",
        ),
        (
            json!({"name": "x", "role_descriptors": {"r": {"cluster": ["nope"]}}}),
            "unknown cluster privilege [nope]",
        ),
        (
            json!({"name": "x", "role_descriptors": {"r": {"description": "d"}}}),
            "unexpected field [description]",
        ),
        (
            json!({"name": 5}),
            "[1:9] [api_key_request] name doesn't support values of type: VALUE_NUMBER",
        ),
        (
            json!({"name": "x", "role_descriptors": {"a": {"restriction": {"workflows": ["search_application_query"]}}, "b": {}}}),
            "combining role descriptors with and without restriction is not supported",
        ),
    ] {
        let answer = node.elastic("PUT", PATH, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(
            answer.reason().contains(text),
            "{body}: {}",
            answer.reason()
        );
    }
}

#[tokio::test]
async fn a_key_made_by_a_key_has_no_privileges() {
    let node = Node::fresh().await;
    let key = node.done("PUT", PATH, json!({"name": "parent"})).await;
    let auth = credential(&key);
    for roles in [json!({}), json!({"r": {"cluster": ["monitor"]}})] {
        let answer = node
            .with(
                &auth,
                "PUT",
                PATH,
                &json!({"name": "child", "role_descriptors": roles}),
            )
            .await;
        assert_eq!(answer.status, 400);
        assert!(answer.reason().starts_with(
            "creating derived api keys requires an explicit role descriptor that is empty"
        ));
    }
    let child = node
        .with(
            &auth,
            "PUT",
            PATH,
            &json!({"name": "child", "role_descriptors": {"r": {}}}),
        )
        .await
        .json();
    let answer = node
        .with(&credential(&child), "GET", "/", &Value::Null)
        .await;
    assert_eq!(answer.status, 403);
    assert!(answer.reason().contains(&format!(
        "is unauthorized for API key id [{}] of user [elastic]",
        child["id"].as_str().unwrap()
    )));
}

#[tokio::test]
async fn a_key_runs_as_others_only_when_it_may() {
    let node = Node::fresh().await;
    node.user_with("joe", json!({})).await;
    let may = node
        .done(
            "PUT",
            PATH,
            json!({"name": "a", "role_descriptors": {"r": {"run_as": ["joe"]}}}),
        )
        .await;
    let may_not = node
        .done(
            "PUT",
            PATH,
            json!({"name": "b", "role_descriptors": {"r": {"run_as": ["ann"]}}}),
        )
        .await;
    for (key, status) in [(may, 200), (may_not, 403)] {
        let auth = credential(&key);
        let headers = [
            ("authorization", auth.as_str()),
            ("es-security-runas-user", "joe"),
        ];
        let answer = node
            .send("GET", "/_security/_authenticate", &headers, "")
            .await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    assert_eq!(
        node.with(
            &basic("joe", "joe-password"),
            "GET",
            "/_security/_authenticate",
            &Value::Null
        )
        .await
        .status,
        200
    );
}
