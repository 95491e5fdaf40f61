//! What the authority says about single sign-on, and what is believed of it.

use std::convert::Infallible;

use http::{HeaderValue, Response};

use super::*;
use crate::config::settings::OwnCredential;
use crate::elastic::metrics::ElasticMetrics;
use crate::elastic::transport::Transport;
use crate::model::clock::Clock;
use crate::net::http::{Body, Request};
use crate::telemetry::metrics::Registry;

/// An authority that answers every `POST` with this; its own credential is `good` or not.
fn client(status: u16, body: &Value, good: bool) -> Client {
    let body = body.to_string();
    let service = tower::service_fn(move |request: Request| {
        let (status, body) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/_security/_authenticate") if good => (200, identity()),
            (&Method::GET, "/_security/_authenticate") => (401, refusal("own")),
            _ => (status, body.clone()),
        };
        let mut response = Response::new(Body::full(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let product = HeaderValue::from_static("Elasticsearch");
        response.headers_mut().insert("x-elastic-product", product);
        async move { Ok::<_, Infallible>(response) }
    });
    Client::new(
        Transport::embedded(service),
        Duration::from_secs(5),
        Some(OwnCredential::Bearer(Secret::from("own"))),
        ElasticMetrics::register(&Registry::new().unwrap()).unwrap(),
        Clock::manual(Duration::from_secs(1_000)),
    )
}

fn identity() -> String {
    let realm = json!({"name": "r", "type": "native"});
    json!({
        "username": "sidegate", "roles": [], "full_name": null, "email": null, "metadata": {}, "enabled": true,
        "authentication_realm": realm, "lookup_realm": realm, "authentication_type": "token",
    })
    .to_string()
}

fn refusal(reason: &str) -> String {
    serde_json::to_string(&ErrorEnvelope::new(401, "security_exception", reason)).unwrap()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_login_brings_tokens_and_the_request_it_answered() {
    let told = json!({
        "access_token": "a", "refresh_token": "r", "expires_in": 1200, "username": "alice", "realm": "saml1", "in_response_to": "_1",
    });
    let login = client(200, &told, true)
        .saml_authenticate("saml1", "x", &["_1"])
        .await
        .unwrap();
    assert_eq!(login.access, Secret::from("a"));
    assert_eq!(login.refresh, Some(Secret::from("r")));
    assert_eq!(login.life, Duration::from_secs(1200));
    assert_eq!(login.in_response_to.as_deref(), Some("_1"));
}

#[tokio::test]
async fn a_401_is_blamed_on_the_login_only_when_our_own_credential_is_good() {
    let refused = value(&refusal("unable to authenticate"));
    let of = |good| client(401, &refused, good);
    let error = of(true).saml_authenticate("s", "x", &[]).await.unwrap_err();
    assert!(
        matches!(
            error,
            SsoError::Refused {
                unsolicited: false,
                ..
            }
        ),
        "{error:?}"
    );
    let error = of(false)
        .saml_authenticate("s", "x", &[])
        .await
        .unwrap_err();
    assert!(error.is_trouble(), "{error:?}");
}

#[tokio::test]
async fn a_lost_attempt_is_told_apart_from_a_bad_response() {
    let mut lost = value(&refusal("not in"));
    lost["error"][UNSOLICITED] = json!("_7");
    let error = client(401, &lost, true)
        .saml_authenticate("s", "x", &[])
        .await;
    assert!(matches!(
        error,
        Err(SsoError::Refused {
            unsolicited: true,
            ..
        })
    ));
}

#[tokio::test]
async fn a_missing_realm_is_a_denial_and_no_trouble() {
    let missing = ErrorEnvelope::new(500, "security_exception", "Cannot find any matching realm");
    let missing = serde_json::to_value(missing).unwrap();
    let error = client(500, &missing, true)
        .saml_prepare("s", None)
        .await
        .unwrap_err();
    let SsoError::Denied { status, reason, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (status, reason.as_str()),
        (500, "Cannot find any matching realm")
    );
    let down = client(503, &json!({}), true).saml_prepare("s", None).await;
    assert!(down.unwrap_err().is_trouble());
}

#[tokio::test]
async fn a_place_to_go_to_is_a_plain_url_or_garbage() {
    for place in [
        "javascript:alert(1)",
        "/relative",
        "https://idp/\r\nSet-Cookie: x",
        "https://idp/ x",
        "",
    ] {
        let told = json!({"realm": "s", "id": "_1", "redirect": place});
        let begun = client(200, &told, true).saml_prepare("s", None).await;
        assert!(
            matches!(begun, Err(SsoError::Ask(AskError::Garbage { .. }))),
            "{place}"
        );
    }
    let long = format!("https://idp/{}", "x".repeat(MAX_REDIRECT));
    let told = json!({"realm": "s", "id": "_1", "redirect": long});
    assert!(
        client(200, &told, true)
            .saml_prepare("s", None)
            .await
            .is_err()
    );
    let told = json!({"realm": "s", "id": "_1", "redirect": "https://idp/sso?SAMLRequest=x"});
    assert!(
        client(200, &told, true)
            .saml_prepare("s", None)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_logout_without_a_place_leads_nowhere() {
    for told in [
        json!({}),
        json!({"redirect": null}),
        json!({"redirect": ""}),
    ] {
        let token = Secret::from("a");
        let place = client(200, &told, true).oidc_logout(&token, None).await;
        assert_eq!(place.unwrap(), None);
    }
}

#[tokio::test]
async fn tokens_that_no_header_can_carry_are_garbage() {
    for token in ["", "a b", "a\nb", "ä"] {
        let told = json!({"access_token": token, "expires_in": 1200});
        let login = client(200, &told, true)
            .saml_authenticate("s", "x", &[])
            .await;
        assert!(login.is_err(), "{token:?}");
    }
}
