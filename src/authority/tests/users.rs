//! Users and passwords.

use serde_json::{Value, json};

use super::{Node, PASSWORD, basic};

#[tokio::test]
async fn a_user_is_created_updated_shown_and_deleted() {
    let node = Node::fresh().await;
    let path = "/_security/user/joe";
    let body = json!({"password": "joe-password", "roles": ["admin"], "full_name": "Joe", "metadata": {"a": 1}});
    assert_eq!(node.done("PUT", path, body).await, json!({"created": true}));
    assert_eq!(
        node.done("POST", path, json!({"roles": "a,b"})).await,
        json!({"created": false})
    );
    assert_eq!(
        node.done("GET", path, Value::Null).await,
        json!({"joe": {"username": "joe", "roles": ["a", "b"], "full_name": null, "email": null, "metadata": {}, "enabled": true}})
    );
    let who = node
        .with(
            &basic("joe", "joe-password"),
            "GET",
            "/_security/_authenticate",
            &Value::Null,
        )
        .await;
    assert_eq!(who.status, 200, "an update without password keeps it");
    let all = node.done("GET", "/_security/user", Value::Null).await;
    assert!(all["elastic"].is_object() && all["joe"].is_object());
    let two = node
        .done(
            "GET",
            "/_security/user/joe,kibana_system,nobody",
            Value::Null,
        )
        .await;
    assert_eq!(two.as_object().unwrap().len(), 2);

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
    let who = node
        .with(
            &basic("joe", "joe-password"),
            "GET",
            "/_security/_authenticate",
            &Value::Null,
        )
        .await;
    assert_eq!(who.status, 401, "a cached login ends with the user");
}

#[tokio::test]
async fn bad_users_are_refused_with_their_words() {
    let node = Node::fresh().await;
    for (name, body, kind, text) in [
        (
            "joe",
            json!({"roles": []}),
            "validation_exception",
            "Validation Failed: 1: password must be specified unless you are updating an existing user;",
        ),
        (
            "joe",
            json!({"password": "12345", "roles": []}),
            "validation_exception",
            "Validation Failed: 1: passwords must be at least [6] characters long;",
        ),
        (
            "joe",
            json!({"password": "123456"}),
            "action_request_validation_exception",
            "Validation Failed: 1: roles are missing;",
        ),
        (
            "joe",
            json!({"password": "123456", "roles": [], "nope": 1}),
            "parse_exception",
            "failed to parse add user request. unexpected field [nope]",
        ),
        (
            "joe",
            json!({"password": "123456", "roles": [], "enabled": "yes"}),
            "parse_exception",
            "expected field [enabled] to be of type boolean, but found [VALUE_STRING] instead",
        ),
        (
            "joe",
            json!({"username": "ann", "password": "123456", "roles": []}),
            "illegal_argument_exception",
            "[username] in source does not match the username provided [joe]",
        ),
        (
            "joe",
            json!({"password": "123456", "roles": [], "metadata": {"_x": 1}}),
            "action_request_validation_exception",
            "Validation Failed: 1: metadata keys may not start with [_];",
        ),
        (
            "joe",
            json!({"password_hash": "$2a$04$abcdefghijklmnopqrstuuO6llZ6AeyOHktE9bjgVmwDEDoLfJF6m", "password": "123456", "roles": []}),
            "validation_exception",
            "Validation Failed: 1: password_hash has already been set;",
        ),
        (
            "joe",
            json!({"password_hash": "x", "roles": []}),
            "illegal_argument_exception",
            "The provided password hash is not a hash or it could not be resolved to a supported hash algorithm. The supported \
             password hash algorithms are [bcrypt, bcrypt10, bcrypt11, bcrypt12, bcrypt13, bcrypt14, bcrypt4, bcrypt5, bcrypt6, \
             bcrypt7, bcrypt8, bcrypt9, pbkdf2, pbkdf2_1000, pbkdf2_10000, pbkdf2_100000, pbkdf2_1000000, pbkdf2_50000, \
             pbkdf2_500000, pbkdf2_stretch, pbkdf2_stretch_1000, pbkdf2_stretch_10000, pbkdf2_stretch_100000, \
             pbkdf2_stretch_1000000, pbkdf2_stretch_50000, pbkdf2_stretch_500000]",
        ),
        (
            "joe",
            json!({"password": "123456", "roles": null}),
            "parse_exception",
            "could not parse [roles] field. expected a string array but found null value instead",
        ),
        (
            "joe",
            json!({"password": 123456, "roles": []}),
            "parse_exception",
            "expected field [password] to be of type string, but found [VALUE_NUMBER] instead",
        ),
        (
            "elastic",
            json!({"password": "123456", "roles": []}),
            "action_request_validation_exception",
            "Validation Failed: 1: user [elastic] is reserved and only the password can be changed;",
        ),
        (
            "_system",
            json!({"password": "123456", "roles": []}),
            "action_request_validation_exception",
            "Validation Failed: 1: user [_system] is internal;",
        ),
    ] {
        let answer = node
            .elastic("PUT", &format!("/_security/user/{name}"), body.clone())
            .await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (400, kind),
            "{body}"
        );
        assert_eq!(answer.reason(), text);
    }
    let answer = node
        .elastic(
            "PUT",
            "/_security/user/%20joe",
            json!({"password": "123456", "roles": []}),
        )
        .await;
    assert!(
        answer
            .reason()
            .contains("User names must be at least 1 and no more than 507 characters.")
    );
    let answer = node
        .elastic(
            "PUT",
            "/_security/user/joe?refresh=maybe",
            json!({"password": "123456", "roles": []}),
        )
        .await;
    assert_eq!(answer.reason(), "Unknown value for refresh: [maybe].");
}

#[tokio::test]
async fn a_password_hash_is_taken_as_it_is() {
    let node = Node::fresh().await;
    let hash = bcrypt::hash("hashed-password", 4).unwrap();
    node.done(
        "PUT",
        "/_security/user/joe",
        json!({"password_hash": hash, "roles": []}),
    )
    .await;
    let who = node
        .with(
            &basic("joe", "hashed-password"),
            "GET",
            "/_security/_authenticate",
            &Value::Null,
        )
        .await;
    assert_eq!(who.status, 200);
    let answer = node
        .elastic(
            "PUT",
            "/_security/user/ann",
            json!({"password_hash": "plain", "roles": []}),
        )
        .await;
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .reason()
            .starts_with("The provided password hash is not a hash")
    );
}

#[tokio::test]
async fn a_changed_password_ends_the_old_one_at_once() {
    let node = Node::fresh().await;
    let joe = node.user_with("joe", json!({})).await;
    let path = "/_security/_authenticate";
    assert_eq!(node.with(&joe, "GET", path, &Value::Null).await.status, 200);
    let change = json!({"password": "new-password"});
    assert_eq!(
        node.with(&joe, "POST", "/_security/user/_password", &change)
            .await
            .json(),
        json!({})
    );
    assert_eq!(node.with(&joe, "GET", path, &Value::Null).await.status, 401);
    let joe = basic("joe", "new-password");
    assert_eq!(node.with(&joe, "GET", path, &Value::Null).await.status, 200);

    let others = node
        .with(&joe, "PUT", "/_security/user/elastic/_password", &change)
        .await;
    assert_eq!(others.status, 403);
    let answer = node
        .elastic("PUT", "/_security/user/nobody/_password", change)
        .await;
    assert_eq!(
        answer.reason(),
        "Validation Failed: 1: user must exist in order to change password;"
    );
    let answer = node
        .elastic("PUT", "/_security/user/joe/_password", json!({"roles": []}))
        .await;
    assert_eq!(
        answer.reason(),
        "failed to parse change password request. unexpected field [roles]"
    );
}

#[tokio::test]
async fn reserved_users_take_a_password_and_can_be_disabled_by_others_only() {
    let node = Node::fresh().await;
    let change = json!({"password": "kibana-password"});
    node.done("PUT", "/_security/user/kibana_system/_password", change)
        .await;
    let kibana = basic("kibana_system", "kibana-password");
    let who = node
        .with(&kibana, "GET", "/_security/_authenticate", &Value::Null)
        .await;
    assert_eq!(who.json()["authentication_realm"]["type"], "reserved");
    node.done("PUT", "/_security/user/kibana_system/_disable", Value::Null)
        .await;
    assert_eq!(
        node.with(&kibana, "GET", "/_security/_authenticate", &Value::Null)
            .await
            .status,
        401
    );
    node.done("POST", "/_security/user/kibana_system/_enable", Value::Null)
        .await;
    assert_eq!(
        node.with(&kibana, "GET", "/_security/_authenticate", &Value::Null)
            .await
            .status,
        200
    );

    let answer = node
        .elastic("PUT", "/_security/user/elastic/_disable", Value::Null)
        .await;
    assert_eq!(
        answer.reason(),
        "users may not update the enabled status of their own account"
    );
    let answer = node
        .elastic("PUT", "/_security/user/nobody/_enable", Value::Null)
        .await;
    assert_eq!(
        answer.reason(),
        "Validation Failed: 1: only existing users can be enabled;"
    );
    let answer = node
        .elastic("DELETE", "/_security/user/elastic", Value::Null)
        .await;
    assert_eq!(
        answer.reason(),
        "user [elastic] is reserved and cannot be deleted"
    );
}

#[tokio::test]
async fn without_privilege_every_user_endpoint_is_403() {
    let node = Node::fresh().await;
    let joe = node.user_with("joe", json!({"cluster": ["monitor"]})).await;
    for (method, path, body) in [
        ("GET", "/_security/user", Value::Null),
        ("GET", "/_security/user/joe", Value::Null),
        (
            "PUT",
            "/_security/user/ann",
            json!({"password": "123456", "roles": ["superuser"]}),
        ),
        ("DELETE", "/_security/user/elastic", Value::Null),
        ("PUT", "/_security/user/elastic/_disable", Value::Null),
        (
            "PUT",
            "/_security/user/elastic/_password",
            json!({"password": "123456"}),
        ),
    ] {
        let answer = node.with(&joe, method, path, &body).await;
        assert_eq!(answer.status, 403, "{method} {path}");
    }
    assert_eq!(
        node.elastic("GET", "/_security/user/ann", Value::Null)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_token_may_not_change_its_own_password() {
    let node = Node::fresh().await;
    node.user_with("joe", json!({})).await;
    let grant = json!({"grant_type": "password", "username": "joe", "password": "joe-password"});
    let token = node.done("POST", "/_security/oauth2/token", grant).await;
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let answer = node
        .with(
            &bearer,
            "PUT",
            "/_security/user/_password",
            &json!({"password": "123456"}),
        )
        .await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        node.with(&basic("elastic", PASSWORD), "GET", "/", &Value::Null)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn the_anonymous_user_is_nobodys_to_change() {
    let anonymous = crate::config::realms::Anonymous {
        username: "_anonymous".to_owned(),
        roles: vec!["guest".to_owned()],
        authz_exception: true,
    };
    let node = Node::open(super::Options {
        anonymous: Some(anonymous),
        ..super::options()
    })
    .await;
    let path = "/_security/user/_anonymous";
    for (method, path, body, text) in [
        (
            "PUT",
            path.to_owned(),
            json!({"password": "123456", "roles": []}),
            "Validation Failed: 1: user [_anonymous] is anonymous and cannot be modified via the API;",
        ),
        (
            "DELETE",
            path.to_owned(),
            Value::Null,
            "user [_anonymous] is anonymous and cannot be deleted",
        ),
        (
            "PUT",
            format!("{path}/_disable"),
            Value::Null,
            "user [_anonymous] is anonymous and cannot be modified using the api",
        ),
        (
            "PUT",
            format!("{path}/_password"),
            json!({"password": "123456"}),
            "user [_anonymous] is anonymous and cannot be modified via the API",
        ),
    ] {
        let answer = node.elastic(method, &path, body).await;
        assert_eq!((answer.status, answer.reason().as_str()), (400, text));
    }
    let headers = [("es-security-runas-user", "elastic")];
    let who = node
        .send("GET", "/_security/_authenticate", &headers, "")
        .await;
    assert_eq!(
        (who.status, &who.json()["username"]),
        (200, &json!("_anonymous")),
        "nobody in particular acts as nobody else"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_logins_does_not_starve_those_that_need_no_hash() {
    let node = std::sync::Arc::new(
        Node::open(crate::authority::Options {
            bcrypt_cost: 10,
            ..super::options()
        })
        .await,
    );
    // Proven once, so its next login needs no hash.
    node.done("GET", "/_security/_authenticate", Value::Null)
        .await;
    let flood: Vec<_> = (0..100)
        .map(|number| {
            let node = std::sync::Arc::clone(&node);
            tokio::spawn(async move {
                let wrong = basic(&format!("nobody-{number}"), "wrong-password");
                node.with(&wrong, "GET", "/", &Value::Null).await.status
            })
        })
        .collect();
    for _ in 0..5 {
        node.done("GET", "/_security/_authenticate", Value::Null)
            .await;
    }
    let waiting = flood.iter().filter(|login| !login.is_finished()).count();
    assert!(waiting > 50, "{waiting} of the flood still wait");
    for login in flood {
        assert_eq!(login.await.unwrap(), 401);
    }
}
