//! The realms as callers see them: their order, tokens, certificates, the anonymous user, failed logins.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;
use crate::config::realms::{
    Anonymous, FailedLogins, FileRealm, JwtAlgorithm, JwtClaim, JwtClaims, JwtRealm, JwtTokenType,
    Realm, RealmCache, RealmFiles, RealmKind, SecretKeys,
};

pub(super) const WHO: &str = "/_security/_authenticate";
const KEY: &str = "0123456789abcdef0123456789abcdef";

pub(super) fn realm(name: &str, kind: RealmKind) -> Realm {
    Realm {
        name: name.to_owned(),
        kind,
    }
}

pub(super) fn native() -> Realm {
    realm("default_native", RealmKind::Native(RealmCache::default()))
}

fn jwt_realm(issuer: &str, links: &[&str]) -> RealmKind {
    let principal = JwtClaim {
        name: "sub".to_owned(),
        pattern: None,
    };
    let groups = JwtClaim {
        name: "groups".to_owned(),
        pattern: None,
    };
    RealmKind::Jwt(Box::new(JwtRealm {
        token_type: JwtTokenType::IdToken,
        issuer: issuer.to_owned(),
        audiences: vec!["shop".to_owned()],
        subjects: Vec::new(),
        subject_patterns: Vec::new(),
        algorithms: vec![JwtAlgorithm::HS256],
        clock_skew: Duration::from_secs(60),
        public_keys: None,
        secret_keys: Some(SecretKeys::Key(Secret::from(KEY))),
        claims: JwtClaims {
            principal,
            groups: Some(groups),
            name: None,
            mail: None,
            dn: None,
        },
        fallback_sub: None,
        fallback_aud: None,
        required_claims: BTreeMap::new(),
        client_secret: Some(Secret::from("client-secret")),
        populate_user_metadata: false,
        authorization_realms: links.iter().map(|link| (*link).to_owned()).collect(),
        cache: RealmCache::default(),
    }))
}

fn jwt(issuer: &str, subject: &str, key: &str) -> String {
    let claims = json!({
        "iss": issuer, "aud": ["z", "shop"], "sub": subject, "iat": 1_700_000_000, "exp": 1_700_000_300, "groups": ["shop"],
    });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "HS256"})), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    format!("Bearer {signed}.{signature}")
}

pub(super) async fn with_realms(realms: Vec<Realm>) -> Node {
    Node::open(Options {
        realms,
        ..options()
    })
    .await
}

async fn who(node: &Node, headers: &[(&str, &str)]) -> Answer {
    node.send("GET", WHO, headers, "").await
}

pub(super) async fn map(node: &Node, realm: &str, role: &str) {
    let rules = json!({"field": {"realm.name": realm}});
    let body = json!({"enabled": true, "roles": [role], "rules": rules});
    node.done("PUT", &format!("/_security/role_mapping/{role}"), body)
        .await;
}

#[tokio::test]
async fn a_json_web_token_gets_its_roles_from_mappings() {
    let node = with_realms(vec![native(), realm("jwt1", jwt_realm("https://a", &[]))]).await;
    let token = jwt("https://a", "joe", KEY);
    let client = ("es-client-authentication", "sharedsecret client-secret");
    let headers = [("authorization", token.as_str()), client];
    assert_eq!(who(&node, &headers).await.json()["roles"], json!([]));
    map(&node, "jwt1", "shopper").await;
    let answer = who(&node, &headers).await.json();
    let expected = json!({
        "username": "joe", "roles": ["shopper"], "full_name": null, "email": null,
        "metadata": {"jwt_token_type": "id_token"}, "enabled": true,
        "authentication_realm": {"name": "jwt1", "type": "jwt"}, "lookup_realm": {"name": "jwt1", "type": "jwt"},
        "authentication_type": "realm",
    });
    assert_eq!(answer, expected);
    node.clock.advance(Duration::from_secs(360));
    assert_eq!(who(&node, &headers).await.status, 401);
}

#[tokio::test]
async fn a_refused_token_is_named_by_issuer_audiences_and_subject() {
    let node = with_realms(vec![native(), realm("jwt1", jwt_realm("https://a", &[]))]).await;
    let client = ("es-client-authentication", "SharedSecret client-secret");
    for (token, client, name) in [
        (
            jwt("https://a", "joe", "another key, also 32 bytes long."),
            client,
            "https://a/shop,z/joe/joe",
        ),
        (
            jwt("https://a", "joe", KEY),
            ("x", "y"),
            "https://a/shop,z/joe/joe",
        ),
        (
            jwt("https://a", "joe", KEY),
            ("es-client-authentication", "SharedSecret no"),
            "https://a/shop,z/joe/joe",
        ),
        (
            jwt("https://a", "", KEY),
            client,
            "<unrecognized-jwt> by https://a",
        ),
        (jwt("", "joe", KEY), client, "<unrecognized-jwt>"),
    ] {
        let answer = who(&node, &[("authorization", &token), client]).await;
        assert_eq!(answer.status, 401);
        let expected = format!("unable to authenticate user [{name}] for REST request [{WHO}]");
        assert_eq!(answer.reason(), expected);
        let unsuccessful = &answer.json()["error"]["additional_unsuccessful_credentials"];
        assert_eq!(unsuccessful, "oauth2 token: invalid token");
    }
}

#[tokio::test]
async fn the_next_realm_is_asked_when_one_refuses() {
    let chain = vec![
        native(),
        realm("jwt1", jwt_realm("https://a", &[])),
        realm("jwt2", jwt_realm("https://b", &[])),
    ];
    let node = with_realms(chain).await;
    let token = jwt("https://b", "joe", KEY);
    let client = ("es-client-authentication", "SharedSecret client-secret");
    let answer = who(&node, &[("authorization", &token), client])
        .await
        .json();
    assert_eq!(answer["authentication_realm"]["name"], "jwt2");
}

#[tokio::test]
async fn authorization_realms_give_the_roles_of_the_user_they_know() {
    let node = with_realms(vec![
        native(),
        realm("jwt1", jwt_realm("https://a", &["default_native"])),
    ])
    .await;
    let user = json!({"password": "joe-password", "roles": ["viewer"], "full_name": "Joe"});
    node.done("PUT", "/_security/user/joe", user).await;
    let client = ("es-client-authentication", "SharedSecret client-secret");
    let joe = jwt("https://a", "joe", KEY);
    let answer = who(&node, &[("authorization", &joe), client]).await.json();
    assert_eq!(
        (&answer["roles"], &answer["full_name"]),
        (&json!(["viewer"]), &json!("Joe"))
    );
    assert_eq!(answer["authentication_realm"]["name"], "jwt1");
    let eve = jwt("https://a", "eve", KEY);
    assert_eq!(
        who(&node, &[("authorization", &eve), client]).await.status,
        401
    );
    node.done("PUT", "/_security/user/joe/_disable", Value::Null)
        .await;
    assert_eq!(
        who(&node, &[("authorization", &joe), client]).await.status,
        401
    );
}

fn write_users(directory: &Path, users: &str, roles: &str) {
    // As editors and Kubernetes do: a new file under the old name.
    for (name, text) in [("users", users), ("users_roles", roles)] {
        let fresh = directory.join(format!("{name}.new"));
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(&fresh, directory.join(name)).unwrap();
    }
}

fn file_realm(directory: &Path) -> Realm {
    let files = RealmFiles {
        users: directory.join("users"),
        users_roles: directory.join("users_roles"),
    };
    let file = FileRealm {
        files: Some(files),
        cache: RealmCache::default(),
    };
    realm("default_file", RealmKind::File(file))
}

fn line(name: &str, password: &str) -> String {
    let hash = bcrypt::hash(password, 4).unwrap();
    format!("{name}:{hash}\n")
}

#[tokio::test]
async fn users_of_files_log_in_before_native_ones_and_can_be_run_as() {
    let directory = tempfile::tempdir().unwrap();
    write_users(
        directory.path(),
        &format!(
            "{}{}",
            line("joe", "file-password"),
            line("elastic", "evil")
        ),
        "superuser:joe,elastic\nviewer:joe\n",
    );
    let node = with_realms(vec![file_realm(directory.path()), native()]).await;
    let user = json!({"password": "native-password", "roles": ["editor"]});
    node.done("PUT", "/_security/user/joe", user).await;
    let as_file = node
        .with(&basic("joe", "file-password"), "GET", WHO, &Value::Null)
        .await
        .json();
    assert_eq!(
        as_file["authentication_realm"],
        json!({"name": "default_file", "type": "file"})
    );
    assert_eq!(as_file["roles"], json!(["superuser", "viewer"]));
    let as_native = node
        .with(&basic("joe", "native-password"), "GET", WHO, &Value::Null)
        .await
        .json();
    assert_eq!(as_native["authentication_realm"]["name"], "default_native");
    // The reserved realm ends the search: a file can't take its users over.
    assert_eq!(
        node.with(&basic("elastic", "evil"), "GET", WHO, &Value::Null)
            .await
            .status,
        401
    );
    let elastic = basic("elastic", PASSWORD);
    let run_as = [
        ("authorization", elastic.as_str()),
        ("es-security-runas-user", "joe"),
    ];
    assert_eq!(
        who(&node, &run_as).await.json()["lookup_realm"]["name"],
        "default_file"
    );
}

#[tokio::test]
async fn files_of_users_are_read_again_when_they_change() {
    let directory = tempfile::tempdir().unwrap();
    write_users(directory.path(), &line("joe", "first-password"), "");
    let node = with_realms(vec![file_realm(directory.path()), native()]).await;
    let status = async |password: &str| {
        node.with(&basic("joe", password), "GET", WHO, &Value::Null)
            .await
            .status
    };
    assert_eq!(status("first-password").await, 200);
    write_users(
        directory.path(),
        &line("joe", "second-password"),
        "viewer:joe",
    );
    let waiting = async {
        // A right password costs none of the allowance for wrong ones.
        while status("first-password").await == 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap();
    assert_eq!(status("second-password").await, 200);
}

#[tokio::test]
async fn caches_are_cleared_by_realm_and_user_and_unknown_realms_are_named() {
    let node = Node::fresh().await;
    for path in [
        "*",
        "_all",
        "default_native",
        "default_file,reserved",
        "default_native?usernames=joe,ann",
    ] {
        let (realms, query) = path.split_once('?').unwrap_or((path, ""));
        let uri = format!("/_security/realm/{realms}/_clear_cache?{query}");
        let answer = node.done("POST", &uri, Value::Null).await;
        assert_eq!(answer["_nodes"]["successful"], 1, "{path}");
    }
    let answer = node
        .elastic(
            "POST",
            "/_security/realm/default_native,nope/_clear_cache",
            Value::Null,
        )
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        (answer.kind().as_str(), answer.reason().as_str()),
        (
            "illegal_argument_exception",
            "could not find active realm [nope]"
        )
    );
}

#[tokio::test]
async fn a_realm_that_is_off_lets_nobody_in() {
    let node = with_realms(Vec::new()).await;
    node.done(
        "PUT",
        "/_security/user/joe",
        json!({"password": "joe-password", "roles": []}),
    )
    .await;
    assert_eq!(
        node.with(&basic("joe", "joe-password"), "GET", WHO, &Value::Null)
            .await
            .status,
        401
    );
    let elastic = basic("elastic", PASSWORD);
    let run_as = [
        ("authorization", elastic.as_str()),
        ("es-security-runas-user", "joe"),
    ];
    assert_eq!(who(&node, &run_as).await.status, 403, "nor be run as");
}

async fn with_anonymous(authz_exception: bool) -> Node {
    Node::open(Options {
        anonymous: Some(Anonymous {
            username: "_anonymous".to_owned(),
            roles: vec!["viewer".to_owned(), "monitoring_user".to_owned()],
            authz_exception,
        }),
        ..options()
    })
    .await
}

#[tokio::test]
async fn the_anonymous_user_is_whoever_shows_no_credential() {
    let node = with_anonymous(true).await;
    let answer = who(&node, &[("es-security-runas-user", "elastic")])
        .await
        .json();
    let none = json!({"name": "__anonymous", "type": "__anonymous"});
    assert_eq!(answer["username"], "_anonymous", "and runs as nobody");
    assert_eq!(
        (
            &answer["authentication_realm"],
            &answer["authentication_type"]
        ),
        (&none, &json!("anonymous"))
    );
    assert_eq!(answer["roles"], json!(["viewer", "monitoring_user"]));
    for wrong in ["Bearer x", "ApiKey YTpi", &basic("joe", "x"), "Basic !"] {
        assert_eq!(
            node.with(wrong, "GET", WHO, &Value::Null).await.status,
            401,
            "{wrong}"
        );
    }
    let denied = node.send("GET", "/_security/user", &[], "").await;
    assert_eq!(denied.status, 403);
    assert!(denied.reason().starts_with(
        "action [cluster:admin/xpack/security/user/get] is unauthorized for user [_anonymous]"
    ));
    // Everybody who logs in has these roles as well.
    let joe = node.user_with("joe", json!({})).await;
    let roles = node.with(&joe, "GET", WHO, &Value::Null).await.json()["roles"].clone();
    assert_eq!(roles, json!(["joe", "viewer", "monitoring_user"]));
}

#[tokio::test]
async fn the_anonymous_user_can_be_asked_to_log_in_instead_of_being_denied() {
    let node = with_anonymous(false).await;
    let denied = node.send("GET", "/_security/user", &[], "").await;
    assert_eq!(denied.status, 401);
    assert_eq!(
        denied.reason(),
        "action [cluster:admin/xpack/security/user/get] requires authentication"
    );
    assert_eq!(denied.headers.get_all("www-authenticate").iter().count(), 3);
}

#[tokio::test]
async fn failed_logins_are_limited_alike_for_known_and_unknown_names() {
    let node = Node::open(Options {
        failed_logins: FailedLogins {
            per_username: 3,
            window: Duration::from_secs(60),
        },
        ..options()
    })
    .await;
    let statuses = async |name: &str| {
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(
                node.with(&basic(name, "wrong-password"), "GET", WHO, &Value::Null)
                    .await
                    .status,
            );
        }
        statuses
    };
    node.done(
        "PUT",
        "/_security/user/joe",
        json!({"password": "joe-password", "roles": []}),
    )
    .await;
    let joe = basic("joe", "joe-password");
    assert_eq!(node.with(&joe, "GET", WHO, &Value::Null).await.status, 200);
    assert_eq!(statuses("joe").await, statuses("nobody").await);
    let answer = node
        .with(&basic("joe", "x"), "GET", WHO, &Value::Null)
        .await;
    assert_eq!(
        (answer.status, &answer.headers["retry-after"]),
        (429, &"21".parse().unwrap())
    );
    assert_eq!(
        node.with(&joe, "GET", WHO, &Value::Null).await.status,
        200,
        "proven lately"
    );
    node.clock.advance(Duration::from_secs(20));
    assert_eq!(
        node.with(&basic("joe", "x"), "GET", WHO, &Value::Null)
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn many_at_once_with_the_right_password_are_all_let_in() {
    let node = Node::open(Options {
        failed_logins: FailedLogins {
            per_username: 1,
            window: Duration::from_secs(60),
        },
        ..options()
    })
    .await;
    let elastic = basic("elastic", PASSWORD);
    let asked = (0..50).map(|_| node.with(&elastic, "GET", WHO, &Value::Null));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}
