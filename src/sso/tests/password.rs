//! User name and password.

use http::Method;
use serde_json::json;

use crate::sso::fixture::{Answer, Browser, Stage, error, tokens};

const TOKEN: &str = "POST /_security/oauth2/token";
const LOCAL: &str = "{ name: local, login: password }";

async fn log_in(stage: &Stage, browser: &mut Browser, next: &str) -> Answer {
    let query: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let page = stage.open(browser, &format!("login?next={query}")).await;
    let (token, next) = (page.field("token"), page.field("next"));
    let form = [
        ("username", "alice"),
        ("password", "secret"),
        ("token", token.as_str()),
        ("next", next.as_str()),
    ];
    stage.submit(browser, "login/local", &form).await
}

#[tokio::test]
async fn a_password_becomes_a_session_and_the_browser_goes_where_it_wanted() {
    let (stage, mut browser) = (Stage::new(LOCAL), Browser::default());
    stage.authority.answers(TOKEN, 200, tokens("a1"));
    let answer = log_in(&stage, &mut browser, "/orders?page=2").await;
    assert_eq!((answer.status, answer.location()), (302, "/orders?page=2"));
    assert!(browser.has_session());
    let asked = stage.authority.asked(TOKEN);
    assert_eq!(
        asked,
        [json!({"grant_type": "password", "username": "alice", "password": "secret"})]
    );
    let told = stage.open(&mut browser, "session").await.json();
    assert_eq!(told["username"], "alice");
    assert_eq!(told["provider"]["name"], "local");
    assert_eq!(told["roles"], json!(["clerk"]));
}

#[tokio::test]
async fn the_return_target_is_never_off_site() {
    for next in [
        "//evil.example.com",
        "/\\evil.example.com",
        "/\t/evil",
        "/%09/evil",
        "/%5cevil",
        "https:evil",
        "https://evil.example.com/",
        "javascript:alert(1)",
        "//a@evil",
        "/./\\evil",
        "/a\r\nSet-Cookie: x=1",
        "https://app.example.com.evil/",
        "/%2f/evil",
        "evil",
        "/_sidegate/logout",
        "/_sidegate/login?next=/",
    ] {
        let (stage, mut browser) = (Stage::new(LOCAL), Browser::default());
        stage.authority.answers(TOKEN, 200, tokens("a1"));
        let answer = log_in(&stage, &mut browser, next).await;
        assert_eq!(answer.status, 302, "{next}");
        assert!(
            answer.location().starts_with('/') && !answer.location().contains("evil.example.com"),
            "{next}: {}",
            answer.location()
        );
        assert!(
            !answer.location().starts_with("//") && !answer.location().contains('\\'),
            "{next}: {}",
            answer.location()
        );
        assert!(!answer.location().starts_with("/_sidegate/"), "{next}");
    }
}

#[tokio::test]
async fn a_form_of_another_site_or_without_its_token_logs_nobody_in() {
    let (stage, mut browser) = (Stage::new(LOCAL), Browser::default());
    stage.authority.answers(TOKEN, 200, tokens("a1"));
    let page = stage.open(&mut browser, "login").await;
    let token = page.field("token");
    let form = [
        ("username", "mallory"),
        ("password", "x"),
        ("token", token.as_str()),
    ];
    let foreign = stage
        .submit_foreign(&mut browser, "login/local", &form)
        .await;
    assert_eq!(foreign.status, 403);
    foreign.tells("cross_site");
    let mut other = Browser::default();
    stage.open(&mut other, "login").await;
    stage
        .submit(&mut other, "login/local", &form)
        .await
        .tells("form_expired");
    stage
        .submit(&mut Browser::default(), "login/local", &form)
        .await
        .tells("cookies_blocked");
    assert!(stage.authority.asked(TOKEN).is_empty());
    assert!(!browser.has_session() && !other.has_session());
}

#[tokio::test]
async fn a_wrong_password_shows_the_form_again_and_counts() {
    let (stage, mut browser) = (Stage::new(LOCAL), Browser::default());
    let refused = error(
        401,
        "security_exception",
        "unable to authenticate user [alice]",
    );
    stage.authority.answers(TOKEN, 401, refused);
    for _ in 0..3 {
        let answer = log_in(&stage, &mut browser, "/x").await;
        assert_eq!(answer.status, 401);
        answer.tells("password_wrong");
        assert_eq!(answer.field("next"), "/x");
        assert!(answer.body.contains("value=\"alice\"") && !answer.body.contains("secret"));
    }
    let answer = log_in(&stage, &mut browser, "/x").await;
    assert_eq!(answer.status, 429);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(stage.authority.asked(TOKEN).len(), 3);
}

#[tokio::test]
async fn an_authority_that_is_down_logs_nobody_out_and_says_when_to_come_back() {
    let (stage, mut browser) = (Stage::new(LOCAL), Browser::default());
    stage.authority.answers(TOKEN, 200, tokens("a1"));
    log_in(&stage, &mut browser, "/").await;
    stage
        .authority
        .answers("GET /_security/_authenticate", 503, json!({}));
    let told = stage.open(&mut browser, "session").await;
    assert_eq!(told.status, 200);
    assert_eq!(told.json()["username"], "alice");
    stage.authority.answers(TOKEN, 503, json!({}));
    let mut other = Browser::default();
    let answer = log_in(&stage, &mut other, "/").await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    answer.tells("authority_unavailable");
}

#[tokio::test]
async fn tokens_that_lead_to_no_session_are_given_back() {
    let (stage, mut browser) = (Stage::new(LOCAL), Browser::default());
    stage.authority.answers(TOKEN, 200, tokens("a1"));
    stage
        .authority
        .answers("GET /_security/_authenticate", 503, json!({}));
    let answer = log_in(&stage, &mut browser, "/").await;
    assert_eq!(answer.status, 503);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let given_back = stage.authority.asked("DELETE /_security/oauth2/token");
    assert!(
        given_back.contains(&json!({"token": "a1"})),
        "{given_back:?}"
    );
    assert!(given_back.contains(&json!({"refresh_token": "a1-refresh"})));
    assert!(!browser.has_session());
}

#[tokio::test]
async fn logging_in_over_somebody_elses_session_ends_it_and_says_so() {
    let (stage, mut browser) = (Stage::new(LOCAL), Browser::default());
    stage.authority.answers(TOKEN, 200, tokens("a1"));
    log_in(&stage, &mut browser, "/").await;
    let former = browser.clone();
    stage.authority.knows("bob", "realm1", json!({}));
    stage.authority.answers(TOKEN, 200, tokens("b1"));
    let page = stage.open(&mut browser, "login/local?next=/x").await;
    let token = page.field("token");
    let form = [
        ("username", "bob"),
        ("password", "p"),
        ("token", token.as_str()),
        ("next", "/x"),
    ];
    let answer = stage.submit(&mut browser, "login/local", &form).await;
    assert!(
        answer.location().starts_with("/_sidegate/overwritten?"),
        "{}",
        answer.location()
    );
    let path = answer
        .location()
        .trim_start_matches("/_sidegate/")
        .to_owned();
    let page = stage.open(&mut browser, &path).await;
    assert!(
        page.body.contains("alice") && page.body.contains("bob"),
        "{}",
        page.body
    );
    let replayed = stage.open(&mut former.clone(), "session").await;
    assert_eq!(replayed.status, 401);
}

#[tokio::test]
async fn a_session_lets_in_only_after_the_agreement() {
    let stage = Stage::new("{ name: local, login: password, access_agreement: 'Be good.' }");
    let mut browser = Browser::default();
    stage.authority.answers(TOKEN, 200, tokens("a1"));
    let answer = log_in(&stage, &mut browser, "/x").await;
    assert_eq!(answer.location(), "/_sidegate/agreement?next=%2Fx");
    let page = stage.open(&mut browser, "agreement?next=%2Fx").await;
    assert!(page.body.contains("Be good."), "{}", page.body);
    let token = page.field("token");
    assert_eq!(
        stage.open(&mut browser, "session").await.json()["agreed"],
        false
    );
    let foreign = [("token", token.as_str()), ("answer", "accept")];
    assert_eq!(
        stage
            .submit_foreign(&mut browser, "agreement", &foreign)
            .await
            .status,
        302
    );
    assert_eq!(
        stage.open(&mut browser, "session").await.json()["agreed"],
        false
    );
    let form = [
        ("token", token.as_str()),
        ("next", "/x"),
        ("answer", "accept"),
    ];
    let answer = stage.submit(&mut browser, "agreement", &form).await;
    assert_eq!((answer.status, answer.location()), (302, "/x"));
    assert_eq!(
        stage.open(&mut browser, "session").await.json()["agreed"],
        true
    );
}

#[tokio::test]
async fn asking_about_a_session_does_not_keep_it_alive_pain_8() {
    let stage = Stage::new("{ name: local, login: password, idle_timeout: 10m }");
    let mut browser = Browser::default();
    stage.authority.answers(TOKEN, 200, tokens("a1"));
    log_in(&stage, &mut browser, "/").await;
    for _ in 0..3 {
        stage.clock.advance(std::time::Duration::from_secs(180));
        assert_eq!(stage.open(&mut browser, "session").await.status, 200);
    }
    let mut kept = browser.clone();
    let extended = stage.submit(&mut kept, "session", &[]).await;
    assert_eq!(extended.json()["idle_expires_in"], 600);
    stage.clock.advance(std::time::Duration::from_secs(601));
    let told = stage.open(&mut kept, "session").await;
    assert_eq!(told.status, 401);
    assert_eq!(told.json()["reason"], "session_idle");
    assert_eq!(told.json()["login"], "/_sidegate/login");
}

#[tokio::test]
async fn guests_get_a_session_without_a_token() {
    let stage = Stage::new(
        "{ name: guest, login: { anonymous: { basic: { username: 'g', password: 'p' } } } }",
    );
    let mut browser = Browser::default();
    stage.authority.knows("guest", "realm1", json!({}));
    let answer = stage.open(&mut browser, "login/guest?next=/x").await;
    assert_eq!((answer.status, answer.location()), (302, "/x"));
    assert_eq!(
        stage.open(&mut browser, "session").await.json()["username"],
        "guest"
    );
    assert!(stage.authority.asked(TOKEN).is_empty());
}

#[tokio::test]
async fn a_ticket_becomes_a_session_and_a_browser_without_one_gets_a_way_on() {
    let stage = Stage::new("{ name: kerb, login: kerberos }");
    let mut browser = Browser::default();
    let page = stage.open(&mut browser, "login/kerb").await;
    assert_eq!(page.status, 401);
    assert_eq!(page.headers["www-authenticate"], "Negotiate");
    page.tells("kerberos_no_ticket");
    let send = |ticket: &'static str| (Method::GET, ticket);
    let (method, ntlm) = send("Negotiate TlRMTVNTUAABAAAA");
    let answer = stage
        .send(
            &mut browser,
            (method, "/_sidegate/login/kerb"),
            &[("authorization", ntlm)],
            "",
        )
        .await;
    answer.tells("kerberos_ntlm");
    let mut granted = tokens("k1");
    granted["kerberos_authentication_response_token"] = json!("cmVwbHk=");
    granted["authentication"] = json!({
        "username": "alice", "roles": [], "full_name": null, "email": null, "metadata": {}, "enabled": true,
        "authentication_realm": {"name": "kerb1", "type": "kerberos"}, "lookup_realm": {"name": "kerb1", "type": "kerberos"},
        "authentication_type": "realm",
    });
    stage.authority.answers(TOKEN, 200, granted);
    let headers = [("authorization", "Negotiate dGlja2V0")];
    let answer = stage
        .send(
            &mut browser,
            (Method::GET, "/_sidegate/login/kerb?next=/x"),
            &headers,
            "",
        )
        .await;
    assert_eq!((answer.status, answer.location()), (302, "/x"));
    assert_eq!(answer.headers["www-authenticate"], "Negotiate cmVwbHk=");
    assert!(browser.has_session());
}
