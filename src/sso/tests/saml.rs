//! SAML.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::sso::fixture::{Answer, Browser, Stage, encoded, error, tokens};

const PREPARE: &str = "POST /_security/saml/prepare";
const AUTHENTICATE: &str = "POST /_security/saml/authenticate";
const CORP: &str = "{ name: corp, login: { saml: { realm: saml1 } } }";
const DEEP: &str =
    "{ name: corp, login: { saml: { realm: saml1, relay_state_deep_links: true } } }";
const ACS: &str = "saml/corp/acs";

fn stage(providers: &str) -> Stage {
    let stage = Stage::new(providers);
    stage
        .authority
        .answers(AUTHENTICATE, 200, granted("s1", None));
    stage
}

fn granted(access: &str, in_response_to: Option<&str>) -> Value {
    let mut granted = tokens(access);
    granted["username"] = json!("alice");
    granted["realm"] = json!("saml1");
    granted["in_response_to"] = json!(in_response_to);
    granted
}

fn response(text: &str) -> String {
    STANDARD.encode(format!("<Response>{text}</Response>"))
}

/// Begins a login and gives the `RelayState` that comes back.
async fn begin(stage: &Stage, browser: &mut Browser, request: &str, next: &str) -> String {
    let redirect = format!("https://idp.example.com/sso?SAMLRequest={request}");
    let prepared = json!({"realm": "saml1", "id": request, "redirect": redirect});
    stage.authority.answers(PREPARE, 200, prepared);
    let query = encoded(&[("next", next)]);
    let answer = stage.open(browser, &format!("login/corp?{query}")).await;
    assert_eq!(answer.location(), redirect);
    let asked = stage.authority.asked(PREPARE);
    let asked = asked.last().unwrap();
    assert_eq!(
        (&asked["realm"], &asked["acs"]),
        (&json!("saml1"), &Value::Null)
    );
    asked["relay_state"].as_str().unwrap().to_owned()
}

/// As the identity provider's page sends it.
async fn arrive(stage: &Stage, browser: &mut Browser, content: &str, relay_state: &str) -> Answer {
    let form = [("SAMLResponse", content), ("RelayState", relay_state)];
    stage.submit_foreign(browser, ACS, &form).await
}

/// As our own page sends it again.
async fn bounce(stage: &Stage, browser: &mut Browser, page: &Answer) -> Answer {
    let (content, relay_state, again) = (
        page.field("SAMLResponse"),
        page.field("RelayState"),
        page.field("sidegate_again"),
    );
    let form = [
        ("SAMLResponse", content.as_str()),
        ("RelayState", relay_state.as_str()),
        ("sidegate_again", again.as_str()),
    ];
    stage.submit(browser, ACS, &form).await
}

#[tokio::test]
async fn a_response_is_matched_to_its_attempt_and_asked_about_with_that_alone() {
    let (stage, mut browser) = (stage(CORP), Browser::default());
    let one = begin(&stage, &mut browser, "_1", "/one").await;
    let two = begin(&stage, &mut browser, "_2", "/two").await;
    let answer = arrive(&stage, &mut browser, &response("2"), &two).await;
    assert_eq!((answer.status, answer.location()), (302, "/two"));
    assert_eq!(stage.authority.asked(AUTHENTICATE)[0]["ids"], json!(["_2"]));
    assert_eq!(stage.authority.asked(AUTHENTICATE)[0]["realm"], "saml1");
    let answer = arrive(&stage, &mut browser, &response("1"), &one).await;
    assert_eq!(answer.location(), "/one");
    assert_eq!(browser.count("sidegate-login"), 0);
}

#[tokio::test]
async fn parallel_tabs_end_well_where_the_provider_forgets_the_relay_state_pain_1() {
    let (stage, mut browser) = (stage(CORP), Browser::default());
    begin(&stage, &mut browser, "_1", "/one").await;
    stage.clock.advance(Duration::from_secs(1));
    begin(&stage, &mut browser, "_2", "/two").await;
    stage
        .authority
        .answers(AUTHENTICATE, 200, granted("s1", Some("_1")));
    let answer = arrive(&stage, &mut browser, &response("1"), "").await;
    assert_eq!(answer.location(), "/one");
    assert_eq!(
        stage.authority.asked(AUTHENTICATE)[0]["ids"],
        json!(["_2", "_1"])
    );
    // An older authority does not tell which one it was.
    stage
        .authority
        .answers(AUTHENTICATE, 200, granted("s2", None));
    let content = response(" InResponseTo=\"_2\" ");
    let answer = arrive(&stage, &mut browser, &content, "x").await;
    assert_eq!(answer.location(), "/two");
}

#[tokio::test]
async fn a_lost_cookie_is_looked_for_once_more_from_our_own_site_pain_2() {
    let (stage, mut browser) = (stage(CORP), Browser::default());
    let relay_state = begin(&stage, &mut browser, "_1", "/one").await;
    let mut without = Browser::default();
    let page = arrive(&stage, &mut without, &response("1"), &relay_state).await;
    assert_eq!(page.status, 200);
    assert!(stage.authority.asked(AUTHENTICATE).is_empty());
    let answer = bounce(&stage, &mut browser, &page).await;
    assert_eq!(answer.location(), "/one");
    // Another browser has none either way: no session, and no second look.
    let relay_state = begin(&stage, &mut browser, "_2", "/two").await;
    let page = arrive(&stage, &mut without, &response("2"), &relay_state).await;
    let answer = bounce(&stage, &mut without, &page).await;
    answer.tells("attempt_missing");
    assert!(!without.has_session());
    assert_eq!(stage.authority.asked(AUTHENTICATE).len(), 1);
}

#[tokio::test]
async fn what_a_provider_began_leads_to_a_page_of_ours_pain_6() {
    for (providers, relay_state, place) in [
        (DEEP, "/report?x=1", "/report?x=1"),
        (DEEP, "https://app.example.com/report", "/report"),
        (DEEP, "https://evil.example.com/", "/"),
        (DEEP, "//evil.example.com", "/"),
        (DEEP, "/\\evil.example.com", "/"),
        (DEEP, "https://app.example.com.evil.example.com/", "/"),
        (DEEP, "/_sidegate/logout", "/"),
        (DEEP, "", "/"),
        (CORP, "/report", "/"),
    ] {
        let (stage, mut browser) = (stage(providers), Browser::default());
        let page = arrive(&stage, &mut browser, &response("x"), relay_state).await;
        let answer = bounce(&stage, &mut browser, &page).await;
        assert_eq!(
            (answer.status, answer.location()),
            (302, place),
            "{relay_state}"
        );
        assert_eq!(stage.authority.asked(AUTHENTICATE)[0]["ids"], json!([]));
        // The same response once more.
        let mut other = Browser::default();
        bounce(&stage, &mut other, &page).await;
        assert!(!other.has_session());
        assert_eq!(stage.authority.asked(AUTHENTICATE).len(), 1);
    }
}

#[tokio::test]
async fn a_refused_response_ends_without_a_session_and_says_why_pain_11() {
    let (stage, mut browser) = (stage(CORP), Browser::default());
    let relay_state = begin(&stage, &mut browser, "_1", "/one").await;
    stage.authority.answers(
        AUTHENTICATE,
        401,
        error(401, "security_exception", "signature"),
    );
    let answer = arrive(&stage, &mut browser, &response("1"), &relay_state).await;
    assert_eq!(answer.status, 401);
    answer.tells("saml_response_refused");
    assert!(answer.shows("login/corp?next=") && !browser.has_session());
    let mut lost = error(401, "security_exception", "not in [..]");
    lost["error"]["security.saml.unsolicited_in_response_to"] = json!("_7");
    stage.authority.answers(AUTHENTICATE, 401, lost);
    let page = arrive(&stage, &mut browser, &response("7"), "").await;
    bounce(&stage, &mut browser, &page)
        .await
        .tells("attempt_missing");
}

#[tokio::test]
async fn a_response_to_another_request_is_given_back() {
    let (stage, mut browser) = (stage(CORP), Browser::default());
    let relay_state = begin(&stage, &mut browser, "_1", "/one").await;
    stage
        .authority
        .answers(AUTHENTICATE, 200, granted("s1", Some("_other")));
    let answer = arrive(&stage, &mut browser, &response("1"), &relay_state).await;
    answer.tells("saml_request_mismatch");
    assert!(!browser.has_session());
}

#[tokio::test]
async fn what_is_no_response_is_not_asked_about() {
    let (stage, mut browser) = (stage(CORP), Browser::default());
    let long = "A".repeat(256 * 1024 + 4);
    for (form, code) in [
        (vec![("RelayState", "x")], "saml_response_malformed"),
        (vec![("SAMLResponse", "<xml>")], "saml_response_malformed"),
        (
            vec![("SAMLResponse", "QUJD"), ("SAMLResponse", "QUJD")],
            "saml_response_malformed",
        ),
        (vec![("SAMLResponse", long.as_str())], "request_too_large"),
    ] {
        let answer = stage.submit_foreign(&mut browser, ACS, &form).await;
        assert!(answer.status >= 400);
        answer.tells(code);
    }
    stage
        .open(&mut browser, ACS)
        .await
        .tells("method_not_allowed");
    stage
        .submit_foreign(&mut browser, "saml/nobody/acs", &[("SAMLResponse", "QUJD")])
        .await
        .tells("provider_unknown");
    assert!(stage.authority.asked(AUTHENTICATE).is_empty());
}

#[tokio::test]
async fn an_attempt_of_one_provider_is_none_of_another() {
    let stage = stage(
        "{ name: corp, login: { saml: { realm: saml1 } } }, { name: other, login: { saml: { realm: saml2 } } }",
    );
    let mut browser = Browser::default();
    let relay_state = begin(&stage, &mut browser, "_1", "/one").await;
    let content = response("1");
    let form = [
        ("SAMLResponse", content.as_str()),
        ("RelayState", relay_state.as_str()),
    ];
    stage
        .submit_foreign(&mut browser, "saml/other/acs", &form)
        .await
        .tells("attempt_mismatch");
    assert!(stage.authority.asked(AUTHENTICATE).is_empty());
}

#[tokio::test]
async fn a_session_that_was_there_is_seen_and_ended() {
    let (stage, mut browser) = (stage(CORP), Browser::default());
    let relay_state = begin(&stage, &mut browser, "_1", "/one").await;
    arrive(&stage, &mut browser, &response("1"), &relay_state).await;
    let mut former = browser.clone();
    stage
        .authority
        .answers(AUTHENTICATE, 200, granted("s2", None));
    let relay_state = begin(&stage, &mut browser, "_2", "/two").await;
    // The session's cookie does not come along with another site's form.
    let page = arrive(&stage, &mut browser, &response("2"), &relay_state).await;
    assert_eq!(page.status, 200);
    let answer = bounce(&stage, &mut browser, &page).await;
    assert_eq!(answer.location(), "/two");
    assert_eq!(stage.open(&mut former, "session").await.status, 401);
    assert_eq!(stage.open(&mut browser, "session").await.status, 200);
}

#[tokio::test]
async fn metadata_is_served() {
    let (stage, mut browser) = (stage(CORP), Browser::default());
    let metadata = json!({"metadata": "<EntityDescriptor/>"});
    stage
        .authority
        .answers("GET /_security/saml/metadata/saml1", 200, metadata);
    let answer = stage.open(&mut browser, "saml/corp/metadata").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "<EntityDescriptor/>")
    );
    assert_eq!(
        answer.headers["content-type"],
        "application/samlmetadata+xml"
    );
}
