//! The login page, and what lies around it.

use http::Method;
use serde_json::json;

use crate::net::http::{Body, Request};
use crate::sso::fixture::{Browser, Stage, tokens};

const SEVERAL: &str = "{ name: corp, login: { saml: { realm: s } }, description: Company }, \
    { name: op, login: { oidc: { realm: o } }, description: Partner, hosts: [other.example.com] }, \
    { name: hidden, login: { oidc: { realm: h } }, in_selector: false }, { name: local, login: password }";

#[tokio::test]
async fn the_page_shows_what_is_offered_on_this_host_pain_14() {
    let (stage, mut browser) = (Stage::new(SEVERAL), Browser::default());
    let page = stage.open(&mut browser, "login?next=/x").await;
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("Company") && page.body.contains("password"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("Partner") && !page.shows("login/hidden"));
    stage
        .open(&mut browser, "login/op")
        .await
        .tells("provider_not_here");
    stage
        .open(&mut browser, "login/nobody")
        .await
        .tells("provider_unknown");
}

#[tokio::test]
async fn the_last_choice_is_remembered_pain_14() {
    let (stage, mut browser) = (Stage::new(SEVERAL), Browser::default());
    let content = "PHgvPg==";
    stage
        .authority
        .answers("POST /_security/saml/authenticate", 200, tokens("s1"));
    let form = [("SAMLResponse", content), ("sidegate_again", "1")];
    stage.submit(&mut browser, "saml/corp/acs", &form).await;
    browser.lose("sidegate-session");
    let page = stage.open(&mut browser, "login").await;
    assert!(page.body.contains("entry last"), "{}", page.body);
}

#[tokio::test]
async fn the_only_way_begins_by_itself_and_takes_the_fragment_along_pain_5() {
    let stage = Stage::new("{ name: corp, login: { saml: { realm: s } } }");
    let mut browser = Browser::default();
    let page = stage
        .open(&mut browser, "login?next=%2Freport%3Fx%3D1")
        .await;
    assert_eq!(page.status, 200);
    assert!(page.shows("login/corp?next="), "{}", page.body);
    let prepared = json!({"realm": "s", "id": "_1", "redirect": "https://idp.example.com/"});
    stage
        .authority
        .answers("POST /_security/saml/prepare", 200, prepared);
    stage
        .open(
            &mut browser,
            "login/corp?next=%2Freport%3Fx%3D1&fragment=chart%3D2",
        )
        .await;
    stage
        .authority
        .answers("POST /_security/saml/authenticate", 200, tokens("s1"));
    let relay_state =
        stage.authority.asked("POST /_security/saml/prepare")[0]["relay_state"].clone();
    let form = [
        ("SAMLResponse", "PHgvPg=="),
        ("RelayState", relay_state.as_str().unwrap()),
    ];
    let answer = stage
        .submit_foreign(&mut browser, "saml/corp/acs", &form)
        .await;
    assert_eq!(answer.location(), "/report?x=1#chart=2");
}

#[tokio::test]
async fn whoever_goes_in_circles_gets_a_page_with_a_way_out_pain_3() {
    let (stage, mut browser) = (Stage::new(SEVERAL), Browser::default());
    stage
        .authority
        .answers("POST /_security/saml/authenticate", 200, tokens("s1"));
    let mut rounds = 0;
    let page = loop {
        let page = stage.open(&mut browser, "login?next=/x").await;
        if page.status >= 400 {
            break page;
        }
        rounds += 1;
        assert!(rounds < 20, "it goes on for ever");
        let content = format!("PHgv{}", "A".repeat(4 * rounds));
        let form = [("SAMLResponse", content.as_str()), ("sidegate_again", "1")];
        stage.submit(&mut browser, "saml/corp/acs", &form).await;
        // The browser keeps no session.
        browser.lose("sidegate-session");
    };
    page.tells("redirect_loop");
    assert!(page.shows("again=1"), "{}", page.body);
    let page = stage.open(&mut browser, "login?choose=1&again=1").await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn with_a_session_the_login_page_leads_on() {
    let (stage, mut browser) = (Stage::new(SEVERAL), Browser::default());
    stage
        .authority
        .answers("POST /_security/saml/authenticate", 200, tokens("s1"));
    let form = [("SAMLResponse", "PHgvPg=="), ("sidegate_again", "1")];
    stage.submit(&mut browser, "saml/corp/acs", &form).await;
    let answer = stage.open(&mut browser, "login?next=/x").await;
    assert_eq!((answer.status, answer.location()), (302, "/x"));
    assert_eq!(stage.open(&mut browser, "login?choose=1").await.status, 200);
}

#[tokio::test]
async fn pages_are_neither_stored_nor_framed() {
    let (stage, mut browser) = (Stage::new(SEVERAL), Browser::default());
    for path in ["login", "logged-out", "nothing", "login/nobody", "done"] {
        let page = stage.open(&mut browser, path).await;
        assert_eq!(page.headers["cache-control"], "no-store", "{path}");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{path}"
        );
        assert!(page.headers.contains_key("x-request-id"), "{path}");
    }
}

#[tokio::test]
async fn no_spelling_of_the_prefix_gets_past_the_door() {
    let stage = Stage::new(SEVERAL);
    let takes = |target: &str| {
        let mut request = Request::new(Body::Empty);
        *request.uri_mut() = target.parse().unwrap();
        stage.door.takes(&request)
    };
    for below in [
        "/_sidegate",
        "/_sidegate/",
        "/_sidegate/login",
        "/_sidegate/x/y",
        "/%5Fsidegate/login",
        "/_sidegate%2Flogin",
        "//_sidegate/login",
        "/x/../_sidegate/login",
        "/./_sidegate/",
        "/x/%2e%2e/_sidegate/x",
    ] {
        assert!(takes(below), "{below}");
    }
    for beside in [
        "/",
        "/x",
        "/x/_sidegate/",
        "/_sidegatex",
        "/a%20b",
        "/_sidegate/../x",
    ] {
        assert!(
            !takes(beside) || beside.starts_with("/_sidegate/"),
            "{beside}"
        );
    }
    let mut browser = Browser::default();
    let answer = stage
        .send(&mut browser, (Method::GET, "/%5Fsidegate/login"), &[], "")
        .await;
    answer.tells("page_unknown");
}
