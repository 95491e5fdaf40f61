//! Logging out, here and at the identity provider.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::sso::fixture::{Answer, Browser, Stage, error, tokens};

const SAML: &str =
    "{ name: corp, login: { saml: { realm: saml1 } } }, { name: local, login: password }";
const SAML_LOGOUT: &str = "POST /_security/saml/logout";
const INVALIDATE: &str = "POST /_security/saml/invalidate";
const COMPLETE: &str = "POST /_security/saml/complete_logout";

async fn with_password(stage: &Stage) -> Browser {
    let mut browser = Browser::default();
    stage
        .authority
        .answers("POST /_security/oauth2/token", 200, tokens("p1"));
    let page = stage.open(&mut browser, "login/local").await;
    let token = page.field("token");
    let form = [
        ("username", "alice"),
        ("password", "x"),
        ("token", token.as_str()),
    ];
    stage.submit(&mut browser, "login/local", &form).await;
    assert!(browser.has_session());
    browser
}

async fn with_saml(stage: &Stage) -> Browser {
    let mut browser = Browser::default();
    stage
        .authority
        .answers("POST /_security/saml/authenticate", 200, tokens("s1"));
    let content = STANDARD.encode("<Response/>");
    let form = [("SAMLResponse", content.as_str()), ("sidegate_again", "1")];
    let answer = stage.submit(&mut browser, "saml/corp/acs", &form).await;
    assert_eq!(answer.status, 302, "{}", answer.body);
    browser
}

async fn settled() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn after_a_logout_stands_a_page_that_waits_for_a_click_pain_12() {
    let stage = Stage::new(SAML);
    let mut browser = with_password(&stage).await;
    let mut replayed = browser.clone();
    let answer = stage.open(&mut browser, "logout").await;
    assert_eq!(
        (answer.status, answer.location()),
        (302, "/_sidegate/logged-out")
    );
    assert!(!browser.has_session());
    let page = stage.open(&mut browser, "logged-out").await;
    assert!(page.shows("/_sidegate/login"), "{}", page.body);
    assert_eq!(stage.open(&mut replayed, "session").await.status, 401);
}

#[tokio::test]
async fn another_sites_link_only_asks_and_its_form_does_nothing() {
    let stage = Stage::new(SAML);
    let mut browser = with_password(&stage).await;
    let headers = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    let page = stage
        .send(
            &mut browser,
            (Method::GET, "/_sidegate/logout"),
            &headers,
            "",
        )
        .await;
    assert_eq!(page.status, 200);
    let answer = stage
        .submit_foreign(&mut browser, "logout", &[("x", "1")])
        .await;
    answer.tells("cross_site");
    assert_eq!(stage.open(&mut browser, "session").await.status, 200);
    let answer = stage.submit(&mut browser, "logout", &[("x", "1")]).await;
    assert_eq!(answer.location(), "/_sidegate/logged-out");
    assert!(!browser.has_session());
}

#[tokio::test]
async fn logging_out_everywhere_ends_every_session_of_the_user() {
    let stage = Stage::new(SAML);
    let (mut one, mut two) = (with_password(&stage).await, with_password(&stage).await);
    stage.clock.advance(std::time::Duration::from_secs(1));
    stage
        .submit(&mut one, "logout", &[("everywhere", "true")])
        .await;
    let told = stage.open(&mut two, "session").await;
    assert_eq!(told.status, 401);
    assert_eq!(told.json()["reason"], "session_logged_out");
}

#[tokio::test]
async fn a_saml_logout_goes_on_at_the_provider_and_its_answer_is_verified_pain_12() {
    let stage = Stage::new(SAML);
    let mut browser = with_saml(&stage).await;
    let told = json!({"id": "_out", "redirect": "https://idp.example.com/slo?SAMLRequest=x"});
    stage.authority.answers(SAML_LOGOUT, 200, told);
    let answer = stage.open(&mut browser, "logout").await;
    assert_eq!(
        answer.location(),
        "https://idp.example.com/slo?SAMLRequest=x"
    );
    assert!(!browser.has_session());
    let asked = stage.authority.asked(SAML_LOGOUT);
    assert_eq!(
        asked,
        [json!({"token": "s1", "refresh_token": "s1-refresh"})]
    );
    stage.authority.answers(COMPLETE, 200, json!({}));
    // By POST, which is a 404 elsewhere.
    let form = [("SAMLResponse", "PHgvPg=="), ("RelayState", "x")];
    let answer = stage
        .submit_foreign(&mut browser, "saml/corp/logout", &form)
        .await;
    assert_eq!(answer.location(), "/_sidegate/logged-out");
    let asked = &stage.authority.asked(COMPLETE)[0];
    assert_eq!(
        asked,
        &json!({"realm": "saml1", "ids": ["_out"], "content": "PHgvPg=="})
    );
    assert_eq!(browser.count("sidegate-login"), 0);
    stage
        .authority
        .answers(COMPLETE, 401, error(401, "security_exception", "no"));
    let answer = stage
        .open(&mut browser, "saml/corp/logout?SAMLResponse=x&Signature=y")
        .await;
    answer.tells("logout_unverified");
    assert_eq!(
        stage.authority.asked(COMPLETE)[1]["query_string"],
        "SAMLResponse=x&Signature=y"
    );
}

#[tokio::test]
async fn a_form_may_lead_to_the_provider_only_by_a_page() {
    let stage = Stage::new(SAML);
    let mut browser = with_saml(&stage).await;
    stage.authority.answers(
        SAML_LOGOUT,
        200,
        json!({"redirect": "https://idp.example.com/slo?x=1"}),
    );
    let page = stage.submit(&mut browser, "logout", &[("x", "1")]).await;
    assert_eq!((page.status, page.location()), (200, ""));
    assert!(
        page.shows("https://idp.example.com/slo?x=1"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn a_provider_that_can_not_be_told_keeps_nobody_in() {
    let stage = Stage::new(SAML);
    let mut browser = with_saml(&stage).await;
    let mut replayed = browser.clone();
    stage.authority.answers(SAML_LOGOUT, 503, json!({}));
    let answer = stage.open(&mut browser, "logout").await;
    answer.tells("logout_incomplete");
    assert!(!browser.has_session());
    assert_eq!(stage.open(&mut replayed, "session").await.status, 401);
    settled().await;
    let given_back = stage.authority.asked("DELETE /_security/oauth2/token");
    assert!(
        given_back.contains(&json!({"token": "s1"})),
        "{given_back:?}"
    );
}

async fn ask_to_end(stage: &Stage, browser: &mut Browser) -> Answer {
    let told = json!({"realm": "saml1", "invalidated": 2, "redirect": "https://idp.example.com/slo?SAMLResponse=y"});
    stage.authority.answers(INVALIDATE, 200, told);
    stage
        .open(
            browser,
            "saml/corp/logout?SAMLRequest=abc&SigAlg=x&Signature=y",
        )
        .await
}

#[tokio::test]
async fn the_provider_ends_a_session_by_redirect_with_or_without_a_cookie() {
    let stage = Stage::new(SAML);
    let answer = ask_to_end(&stage, &mut Browser::default()).await;
    assert_eq!(
        answer.location(),
        "https://idp.example.com/slo?SAMLResponse=y"
    );
    let asked = &stage.authority.asked(INVALIDATE)[0];
    assert_eq!(
        asked,
        &json!({"realm": "saml1", "query_string": "SAMLRequest=abc&SigAlg=x&Signature=y"})
    );
    let mut browser = with_saml(&stage).await;
    // Somebody else's logout message sent to this browser: its own token is still good.
    ask_to_end(&stage, &mut browser).await;
    assert!(browser.has_session());
    stage.authority.answers(
        "GET /_security/_authenticate",
        401,
        error(401, "security_exception", "gone"),
    );
    ask_to_end(&stage, &mut browser).await;
    assert!(!browser.has_session());
}

#[tokio::test]
async fn the_provider_ends_a_session_by_post_too_pain_12() {
    let stage = Stage::new(SAML);
    let told = json!({"realm": "saml1", "invalidated": 1, "redirect": null});
    stage.authority.answers(INVALIDATE, 200, told);
    let content = STANDARD.encode("<LogoutRequest/>");
    let form = [("SAMLRequest", content.as_str()), ("RelayState", "r")];
    let mut browser = Browser::default();
    let answer = stage
        .submit_foreign(&mut browser, "saml/corp/logout", &form)
        .await;
    assert_eq!(answer.location(), "/_sidegate/logged-out");
    let asked = stage.authority.asked(INVALIDATE)[0]["query_string"].clone();
    let asked = asked.as_str().unwrap();
    assert!(
        asked.starts_with("SAMLRequest=") && asked.ends_with("&RelayState=r"),
        "{asked}"
    );
    stage.authority.answers(
        INVALIDATE,
        401,
        error(401, "security_exception", "not signed"),
    );
    let answer = stage
        .submit_foreign(&mut browser, "saml/corp/logout", &form)
        .await;
    answer.tells("saml_logout_refused");
}

#[tokio::test]
async fn an_openid_logout_goes_on_at_the_provider() {
    let stage = Stage::new("{ name: op, login: { oidc: { realm: oidc1 } } }");
    let mut browser = Browser::default();
    let prepared = json!({"realm": "oidc1", "redirect": "https://op.example.com/authorize"});
    stage
        .authority
        .repeats("POST /_security/oidc/prepare", prepared);
    stage
        .authority
        .answers("POST /_security/oidc/authenticate", 200, tokens("o1"));
    stage.open(&mut browser, "login/op").await;
    let state = stage.authority.asked("POST /_security/oidc/prepare")[0]["state"].clone();
    let path = format!("oidc/op/callback?code=c&state={}", state.as_str().unwrap());
    stage.open(&mut browser, &path).await;
    assert!(browser.has_session());
    let told: Value = json!({"redirect": "https://op.example.com/end?id_token_hint=x"});
    stage
        .authority
        .answers("POST /_security/oidc/logout", 200, told);
    let answer = stage.open(&mut browser, "logout").await;
    assert_eq!(
        answer.location(),
        "https://op.example.com/end?id_token_hint=x"
    );
    assert!(!browser.has_session());
}

#[tokio::test]
async fn a_logout_token_nobody_may_send_is_refused_without_a_page() {
    let stage = Stage::new("{ name: op, login: { oidc: { realm: oidc1 } } }");
    let mut provider = Browser::default();
    let form = [("logout_token", "x.y.z")];
    let answer = stage
        .submit_foreign(&mut provider, "oidc/op/backchannel", &form)
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"], "invalid_request");
}
