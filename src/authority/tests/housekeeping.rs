//! Settings, statistics, enrolment, certificates, and single sign-on without a realm.

use std::path::Path;

use serde_json::{Value, json};

use super::{Node, options};
use crate::authority::Options;
use crate::authority::certificates::{self, InUse};

const SSO: [(&str, &str); 8] = [
    ("POST", "/_security/saml/prepare"),
    ("POST", "/_security/saml/authenticate"),
    ("POST", "/_security/saml/logout"),
    ("POST", "/_security/saml/invalidate"),
    ("POST", "/_security/saml/complete_logout"),
    ("POST", "/_security/oidc/prepare"),
    ("POST", "/_security/oidc/authenticate"),
    ("POST", "/_security/oidc/logout"),
];

#[tokio::test]
async fn settings_are_shown_changed_and_reset() {
    let node = Node::fresh().await;
    let path = "/_security/settings";
    let before = node.done("GET", path, Value::Null).await;
    for index in ["security", "security-profile", "security-tokens"] {
        assert_eq!(before[index]["index"]["number_of_replicas"], "0");
        assert_eq!(before[index]["index"]["auto_expand_replicas"], "0-1");
    }
    let change = json!({
        "security": {"index.auto_expand_replicas": null, "index.number_of_replicas": 1},
        "security-tokens": {"index": {"number_of_replicas": "2"}},
    });
    let done = node.done("PUT", path, change).await;
    assert_eq!(done, json!({"acknowledged": true}));
    let after = node
        .done("GET", "/_security/settings?master_timeout=5s", Value::Null)
        .await;
    assert_eq!(after["security"]["index"]["number_of_replicas"], "1");
    assert_eq!(after["security-tokens"]["index"]["number_of_replicas"], "2");
    assert_eq!(after["security-profile"], before["security-profile"]);
    let reset = json!({"security": {"index.number_of_replicas": null}});
    node.done("PUT", path, reset).await;
    let after = node.done("GET", path, Value::Null).await;
    assert_eq!(after["security"], before["security"]);
}

#[tokio::test]
async fn settings_that_no_index_has_are_refused() {
    let node = Node::fresh().await;
    let allowed = "Only the following settings may be configured for that index: [index.number_of_replicas, \
                   index.auto_expand_replicas, index.routing.allocation.include._tier_preference]";
    let illegal = format!(
        "Validation Failed: 1: illegal setting for index [security]: [index.codec], this setting may not be configured. {allowed};"
    );
    for (body, kind, reason) in [
        (
            json!({"security": {"index.codec": "x"}}),
            "action_request_validation_exception",
            illegal.as_str(),
        ),
        (
            json!({"security": {"index": {"codec": "x"}}}),
            "action_request_validation_exception",
            illegal.as_str(),
        ),
        (
            json!({}),
            "action_request_validation_exception",
            "Validation Failed: 1: No settings given to update;",
        ),
        (
            json!({"nope": {}}),
            "x_content_parse_exception",
            "[1:2] [update_security_settings_request] unknown field [nope]",
        ),
        (
            json!({"security": 1}),
            "x_content_parse_exception",
            "[1:13] [update_security_settings_request] security doesn't support values of type: VALUE_NUMBER",
        ),
        (
            json!({"security": {"index.number_of_replicas": "many"}}),
            "illegal_argument_exception",
            "Failed to parse value [many] for setting [index.number_of_replicas]",
        ),
        (
            json!({"security": {"index.number_of_replicas": -1}}),
            "illegal_argument_exception",
            "Failed to parse value [-1] for setting [index.number_of_replicas] must be >= 0",
        ),
    ] {
        let answer = node.elastic("PUT", "/_security/settings", body).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert_eq!(
            (answer.kind().as_str(), answer.reason().as_str()),
            (kind, reason)
        );
    }
    let answer = node
        .elastic("PUT", "/_security/settings", Value::Null)
        .await;
    assert_eq!(answer.reason(), "request body is required");
    let reader = node
        .user_with("reader", json!({"cluster": ["read_security"]}))
        .await;
    let change = json!({"security": {"index.number_of_replicas": 1}});
    let answer = node
        .with(&reader, "PUT", "/_security/settings", &change)
        .await;
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .reason()
            .contains("cluster:admin/xpack/security/settings/update")
    );
    let answer = node
        .with(&reader, "GET", "/_security/settings", &Value::Null)
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn statistics_have_the_eight_keys_of_each_node() {
    let node = Node::fresh().await;
    let stats = node.done("GET", "/_security/stats", Value::Null).await;
    let nodes = stats["nodes"].as_object().unwrap();
    assert_eq!(nodes.len(), 1);
    let cache = nodes.values().next().unwrap()["roles"]["dls"]["bit_set_cache"].clone();
    assert_eq!(cache.as_object().unwrap().len(), 8);
    let nobody = node.user_with("nobody", json!({})).await;
    let answer = node
        .with(&nobody, "GET", "/_security/stats", &Value::Null)
        .await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn enrolment_is_off_and_says_so_to_those_who_may_ask() {
    let node = Node::fresh().await;
    let nobody = node.user_with("nobody", json!({})).await;
    for path in ["/_security/enroll/kibana", "/_security/enroll/node"] {
        let answer = node.elastic("GET", path, Value::Null).await;
        assert_eq!(answer.status, 403);
        assert!(
            answer
                .reason()
                .starts_with("Enrollment mode is not enabled.")
        );
        let answer = node.with(&nobody, "GET", path, &Value::Null).await;
        assert!(
            answer
                .reason()
                .contains("is unauthorized for user [nobody]")
        );
    }
}

#[tokio::test]
async fn the_certificates_in_use_are_listed_as_they_change() {
    let in_use = InUse::default();
    let node = Node::open(Options {
        certificates: in_use.clone(),
        ..options()
    })
    .await;
    let list = node.done("GET", "/_ssl/certificates", Value::Null).await;
    assert_eq!(list, json!([]));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    in_use.set(certificates::describe(
        Path::new("/etc/tls.crt"),
        &[made.cert.der().clone()],
        true,
    ));
    let list = node.done("GET", "/_ssl/certificates", Value::Null).await;
    assert_eq!(list[0]["path"], "/etc/tls.crt");
    assert_eq!(list[0]["format"], "PEM");
    assert_eq!(list[0]["alias"], Value::Null);
    assert_eq!(list[0]["has_private_key"], true);
    let keys = list[0].as_object().unwrap().keys();
    assert_eq!(
        keys.collect::<Vec<_>>(),
        [
            "path",
            "alias",
            "format",
            "subject_dn",
            "serial_number",
            "has_private_key",
            "expiry",
            "issuer"
        ]
    );
    let path = "/_ssl/certificates?filter_path=path";
    let list = node.done("GET", path, Value::Null).await;
    assert_eq!(list, json!([{"path": "/etc/tls.crt"}]));
}

#[tokio::test]
async fn a_realm_that_is_not_configured_is_named() {
    let node = Node::fresh().await;
    let grant =
        json!({"grant_type": "password", "username": "elastic", "password": super::PASSWORD});
    let pair = node.done("POST", "/_security/oauth2/token", grant).await;
    let token = &pair["access_token"];
    let saml = "Cannot find any matching realm for [";
    for (path, body, status, reason) in [
        (
            "saml/prepare",
            json!({"realm": "saml1"}),
            500,
            format!("{saml}SamlPrepareAuthenticationRequest{{realmName=saml1, assertionConsumerServiceURL=null, relayState=null}}]"),
        ),
        (
            "saml/authenticate",
            json!({"content": "PHg+", "ids": ["_1"], "realm": null}),
            401,
            "unable to authenticate user [<unauthenticated-saml-user>] for action [cluster:admin/xpack/security/saml/authenticate]".to_owned(),
        ),
        ("saml/logout", json!({"token": token}), 500, "Authenticating realm reserved is not a SAML realm".to_owned()),
        ("saml/logout", json!({"token": "x"}), 401, "token malformed".to_owned()),
        (
            "saml/invalidate",
            json!({"query_string": "SAMLRequest=x", "acs": "https://k"}),
            500,
            format!("{saml}SamlInvalidateSessionRequest{{realmName='null', assertionConsumerServiceURL='https://k', url-query=13 chars}}]"),
        ),
        ("saml/complete_logout", json!({"realm": "saml1", "ids": "_1", "content": "x"}), 500, format!("{saml}saml1]")),
        ("oidc/prepare", json!({"realm": "o1"}), 500, "Cannot find OpenID Connect realm with name [o1]".to_owned()),
        ("oidc/prepare", json!({"iss": "https://op", "login_hint": "joe"}), 500, "Cannot find OpenID Connect realm with issuer [https://op]".to_owned()),
        (
            "oidc/authenticate",
            json!({"redirect_uri": "u", "state": "s", "nonce": "n"}),
            401,
            "unable to authenticate user [<OIDC Token>] for action [cluster:admin/xpack/security/oidc/authenticate]".to_owned(),
        ),
        ("oidc/logout", json!({"token": token}), 400, "Access token is not valid for an OpenID Connect realm".to_owned()),
    ] {
        let answer = node.elastic("POST", &format!("/_security/{path}"), body).await;
        assert_eq!((answer.status, answer.reason()), (status, reason), "{path}");
    }
    let answer = node
        .elastic("GET", "/_security/saml/metadata/saml1", Value::Null)
        .await;
    assert_eq!(
        (answer.status, answer.reason()),
        (500, format!("{saml}saml1]"))
    );
}

#[tokio::test]
async fn single_sign_on_validates_before_it_looks_for_a_realm() {
    let node = Node::fresh().await;
    for (path, body, reason) in [
        (
            "saml/logout",
            json!({}),
            "Validation Failed: 1: token is missing;",
        ),
        (
            "saml/invalidate",
            json!({"realm": "x"}),
            "Validation Failed: 1: query_string is missing;",
        ),
        (
            "saml/complete_logout",
            json!({}),
            "Validation Failed: 1: realm may not be empty;2: query_string and content may not both be empty;",
        ),
        (
            "saml/complete_logout",
            json!({"realm": "x", "content": "a", "query_string": "b"}),
            "Validation Failed: 1: query_string and content may not both present;",
        ),
        (
            "oidc/prepare",
            json!({}),
            "Validation Failed: 1: one of [realm, issuer] must be provided;",
        ),
        (
            "oidc/prepare",
            json!({"realm": "a", "iss": "b"}),
            "Validation Failed: 1: only one of [realm, issuer] can be provided in the same request;",
        ),
        (
            "oidc/authenticate",
            json!({"state": "s"}),
            "Validation Failed: 1: nonce parameter is missing;2: redirect_uri parameter is missing;",
        ),
        (
            "oidc/logout",
            json!({"refresh_token": "r"}),
            "Validation Failed: 1: token is missing;",
        ),
    ] {
        let answer = node
            .elastic("POST", &format!("/_security/{path}"), body)
            .await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (400, reason),
            "{path}"
        );
        assert_eq!(answer.kind(), "action_request_validation_exception");
    }
    for (method, path) in SSO {
        for body in [json!({"nope": 1}), json!({"token": [1]}), json!([])] {
            let answer = node.elastic(method, path, body).await;
            assert_eq!(
                (answer.status, answer.kind().as_str()),
                (400, "x_content_parse_exception"),
                "{path}"
            );
        }
        let answer = node.elastic(method, path, Value::Null).await;
        assert_eq!(answer.reason(), "request body is required");
    }
}

#[tokio::test]
async fn single_sign_on_needs_its_privilege() {
    let node = Node::fresh().await;
    let nobody = node.user_with("nobody", json!({})).await;
    let saml = node
        .user_with("saml", json!({"cluster": ["manage_saml"]}))
        .await;
    let oidc = node
        .user_with("oidc", json!({"cluster": ["manage_oidc"]}))
        .await;
    let prepare = json!({"realm": "x"});
    for (path, may, named) in [
        ("/_security/saml/prepare", &saml, "manage_saml"),
        ("/_security/oidc/prepare", &oidc, "manage_oidc"),
    ] {
        let answer = node.with(&nobody, "POST", path, &prepare).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.reason().contains(named), "{}", answer.reason());
        let answer = node.with(may, "POST", path, &prepare).await;
        assert_eq!(answer.status, 500, "{path}");
    }
}

#[tokio::test]
async fn every_cache_of_a_kind_can_be_cleared() {
    let node = Node::fresh().await;
    for path in [
        "/_security/service/elastic/fleet-server/credential/token/t1,t2/_clear_cache",
        "/_security/service/no/such/credential/token/*/_clear_cache",
        "/_security/api_key/*/_clear_cache",
        "/_security/privilege/a,b/_clear_cache",
    ] {
        let answer = node.done("POST", path, Value::Null).await;
        assert_eq!(
            answer["_nodes"],
            json!({"total": 1, "successful": 1, "failed": 0}),
            "{path}"
        );
        assert_eq!(answer["nodes"].as_object().unwrap().len(), 1);
    }
}
