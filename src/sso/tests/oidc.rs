//! OpenID Connect.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::sso::fixture::{Answer, Browser, Stage, error, tokens};

const PREPARE: &str = "POST /_security/oidc/prepare";
const AUTHENTICATE: &str = "POST /_security/oidc/authenticate";
const CORP: &str = "{ name: corp, login: { oidc: { realm: oidc1 } } }";

/// Begins a login and gives the `state` that the identity provider would give back.
async fn begin(stage: &Stage, browser: &mut Browser, provider: &str, next: &str) -> String {
    let query: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let before = stage.authority.asked(PREPARE).len();
    let answer = stage
        .open(browser, &format!("login/{provider}?next={query}"))
        .await;
    assert_eq!(answer.location(), "https://op.example.com/authorize?x=1");
    let asked = stage.authority.asked(PREPARE)[before].clone();
    asked["state"].as_str().unwrap().to_owned()
}

/// As the identity provider sends the browser back.
async fn back(stage: &Stage, browser: &mut Browser, provider: &str, query: &str) -> Answer {
    let target = format!("/_sidegate/oidc/{provider}/callback?{query}");
    let headers = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    stage
        .send(browser, (Method::GET, &target), &headers, "")
        .await
}

/// An authority that repeats state and nonce.
fn repeating(providers: &str) -> Stage {
    let stage = Stage::new(providers);
    stage.authority.repeats(
        PREPARE,
        json!({"realm": "oidc1", "redirect": "https://op.example.com/authorize?x=1"}),
    );
    stage.authority.answers(AUTHENTICATE, 200, tokens("o1"));
    stage
}

#[tokio::test]
async fn a_login_ends_where_it_was_begun_for() {
    let (stage, mut browser) = (repeating(CORP), Browser::default());
    let state = begin(&stage, &mut browser, "corp", "/orders?x=1#top").await;
    let answer = back(
        &stage,
        &mut browser,
        "corp",
        &format!("code=abc&state={state}"),
    )
    .await;
    assert_eq!((answer.status, answer.location()), (302, "/orders?x=1#top"));
    assert!(browser.has_session());
    assert_eq!(browser.count("sidegate-login"), 0);
    let asked = &stage.authority.asked(AUTHENTICATE)[0];
    assert_eq!(asked["realm"], "oidc1");
    assert_eq!(asked["state"], state);
    assert_eq!(
        asked["redirect_uri"],
        format!("/_sidegate/oidc/corp/callback?code=abc&state={state}")
    );
    assert_eq!(asked["nonce"], stage.authority.asked(PREPARE)[0]["nonce"]);
}

#[tokio::test]
async fn parallel_tabs_each_end_where_they_began_pain_1() {
    let (stage, mut browser) = (repeating(CORP), Browser::default());
    let mut states = Vec::new();
    for tab in 0..5 {
        states.push(begin(&stage, &mut browser, "corp", &format!("/tab/{tab}")).await);
    }
    for (tab, state) in states.iter().enumerate().rev() {
        let answer = back(
            &stage,
            &mut browser,
            "corp",
            &format!("code=c{tab}&state={state}"),
        )
        .await;
        assert_eq!(answer.location(), format!("/tab/{tab}"));
    }
}

#[tokio::test]
async fn a_hundred_begun_logins_leave_few_cookies() {
    let (stage, mut browser) = (repeating(CORP), Browser::default());
    let mut last = String::new();
    for tab in 0..100 {
        stage.clock.advance(Duration::from_secs(1));
        last = begin(
            &stage,
            &mut browser,
            "corp",
            &format!("/{tab}/{}", "x".repeat(1_000)),
        )
        .await;
    }
    assert!(
        browser.count("sidegate-login") <= 8,
        "{}",
        browser.count("sidegate-login")
    );
    assert!(browser.bytes() < 16 * 1024, "{}", browser.bytes());
    let answer = back(
        &stage,
        &mut browser,
        "corp",
        &format!("code=c&state={last}"),
    )
    .await;
    assert!(answer.location().starts_with("/99/"));
}

#[tokio::test]
async fn a_slow_login_still_ends_well_and_one_of_yesterday_does_not_pain_2() {
    let (stage, mut browser) = (repeating(CORP), Browser::default());
    let slow = begin(&stage, &mut browser, "corp", "/slow").await;
    stage.clock.advance(Duration::from_secs(45 * 60));
    let answer = back(
        &stage,
        &mut browser,
        "corp",
        &format!("code=c&state={slow}"),
    )
    .await;
    assert_eq!(answer.location(), "/slow");
    let old = begin(&stage, &mut browser, "corp", "/old").await;
    stage.clock.advance(Duration::from_secs(24 * 3_600));
    let answer = back(&stage, &mut browser, "corp", &format!("code=c&state={old}")).await;
    answer.tells("attempt_expired");
}

#[tokio::test]
async fn another_browsers_callback_makes_no_session() {
    let (stage, mut attacker) = (repeating(CORP), Browser::default());
    let state = begin(&stage, &mut attacker, "corp", "/").await;
    let mut victim = Browser::default();
    let answer = back(
        &stage,
        &mut victim,
        "corp",
        &format!("code=evil&state={state}"),
    )
    .await;
    answer.tells("oidc_state_unknown");
    assert!(!victim.has_session());
    for odd in [
        "code=x",
        "code=x&state=",
        "code=x&state=abc",
        "code=x&state=a&state=b",
        "state=x",
    ] {
        let answer = back(&stage, &mut victim, "corp", odd).await;
        assert!(answer.status >= 400 && !victim.has_session(), "{odd}");
    }
    assert!(stage.authority.asked(AUTHENTICATE).is_empty());
}

#[tokio::test]
async fn an_attempt_is_bound_to_its_provider() {
    let stage = repeating(
        "{ name: corp, login: { oidc: { realm: oidc1 } } }, { name: evil, login: { oidc: { realm: oidc2 } } }",
    );
    let mut browser = Browser::default();
    let state = begin(&stage, &mut browser, "corp", "/").await;
    let answer = back(
        &stage,
        &mut browser,
        "evil",
        &format!("code=c&state={state}"),
    )
    .await;
    answer.tells("attempt_mismatch");
    let (id, _) = state.split_once('.').unwrap();
    let forged = format!("{id}.{}", "A".repeat(43));
    let answer = back(
        &stage,
        &mut browser,
        "corp",
        &format!("code=c&state={forged}"),
    )
    .await;
    answer.tells("oidc_state_unknown");
    assert!(stage.authority.asked(AUTHENTICATE).is_empty());
}

#[tokio::test]
async fn the_back_button_leads_to_the_application_and_no_code_counts_twice() {
    let (stage, mut browser) = (repeating(CORP), Browser::default());
    let state = begin(&stage, &mut browser, "corp", "/x").await;
    let mut double = browser.clone();
    let query = format!("code=c&state={state}");
    back(&stage, &mut browser, "corp", &query).await;
    let reload = back(&stage, &mut browser, "corp", &query).await;
    assert_eq!((reload.status, reload.location()), (302, "/"));
    let second = back(&stage, &mut double, "corp", &query).await;
    assert_eq!((second.status, second.location()), (302, "/x"));
    assert!(!double.has_session());
    assert_eq!(stage.authority.asked(AUTHENTICATE).len(), 1);
}

#[tokio::test]
async fn what_the_provider_says_is_told_with_ways_on_pain_11() {
    let (stage, mut browser) = (repeating(CORP), Browser::default());
    let state = begin(&stage, &mut browser, "corp", "/x").await;
    let query = format!("error=access_denied&error_description=%3Cscript%3E&state={state}");
    let answer = back(&stage, &mut browser, "corp", &query).await;
    answer.tells("oidc_access_denied");
    assert_eq!(answer.status, 403);
    assert!(!answer.body.contains("<script>"), "{}", answer.body);
    assert!(answer.shows("login/corp?next="), "{}", answer.body);
    assert_eq!(browser.count("sidegate-login"), 0);
    stage.authority.answers(
        AUTHENTICATE,
        401,
        error(401, "security_exception", "bad nonce"),
    );
    let state = begin(&stage, &mut browser, "corp", "/x").await;
    let answer = back(
        &stage,
        &mut browser,
        "corp",
        &format!("code=c&state={state}"),
    )
    .await;
    assert_eq!(answer.status, 401);
    answer.tells("oidc_response_refused");
    assert!(!answer.body.contains("bad nonce"));
}

#[tokio::test]
async fn an_authority_that_is_down_uses_no_attempt_up() {
    let (stage, mut browser) = (repeating(CORP), Browser::default());
    let state = begin(&stage, &mut browser, "corp", "/x").await;
    stage.authority.answers(AUTHENTICATE, 503, json!({}));
    let query = format!("code=c&state={state}");
    let answer = back(&stage, &mut browser, "corp", &query).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    stage.authority.answers(AUTHENTICATE, 200, tokens("o1"));
    let answer = back(&stage, &mut browser, "corp", &query).await;
    assert_eq!(answer.location(), "/x");
}

#[tokio::test]
async fn state_and_nonce_are_ours() {
    let (stage, mut browser) = (Stage::new(CORP), Browser::default());
    let other =
        json!({"realm": "oidc1", "redirect": "https://op/", "state": "theirs", "nonce": "theirs"});
    stage.authority.answers(PREPARE, 200, other);
    stage
        .open(&mut browser, "login/corp")
        .await
        .tells("authority_answer");
    let odd =
        json!({"realm": "oidc1", "redirect": "javascript:alert(1)", "state": "x", "nonce": "x"});
    stage.authority.answers(PREPARE, 200, odd);
    let answer = stage.open(&mut browser, "login/corp").await;
    assert_eq!(answer.location(), "");
    stage.authority.answers(
        PREPARE,
        500,
        error(
            500,
            "security_exception",
            "Cannot find OpenID Connect realm with name [oidc1]",
        ),
    );
    stage
        .open(&mut browser, "login/corp")
        .await
        .tells("realm_unknown");
    assert_eq!(browser.count("sidegate-login"), 0);
}

#[tokio::test]
async fn somebody_elses_page_may_begin_a_login_at_its_own_issuer_only() {
    let (stage, mut browser) = (repeating(CORP), Browser::default());
    let target = "oidc/corp/initiate?iss=https%3A%2F%2Fop.example.com&login_hint=alice&target_link_uri=https%3A%2F%2Fapp.example.com%2Freport";
    let answer = stage.open(&mut browser, target).await;
    assert_eq!(answer.location(), "https://op.example.com/authorize?x=1");
    let asked = &stage.authority.asked(PREPARE)[0];
    assert_eq!(
        (&asked["iss"], &asked["login_hint"]),
        (&json!("https://op.example.com"), &json!("alice"))
    );
    let state = asked["state"].as_str().unwrap().to_owned();
    let answer = back(
        &stage,
        &mut browser,
        "corp",
        &format!("code=c&state={state}"),
    )
    .await;
    assert_eq!(answer.location(), "/report");
    stage.authority.repeats(
        PREPARE,
        json!({"realm": "oidc9", "redirect": "https://other.example.com/"}),
    );
    let answer = stage.open(&mut browser, target).await;
    answer.tells("oidc_issuer_unknown");
    let off_site = "oidc/corp/initiate?iss=x&target_link_uri=https%3A%2F%2Fevil.example.com%2F";
    stage.authority.repeats(
        PREPARE,
        json!({"realm": "oidc1", "redirect": "https://op.example.com/"}),
    );
    stage.open(&mut browser, off_site).await;
    let state = stage.authority.asked(PREPARE)[2]["state"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = back(
        &stage,
        &mut browser,
        "corp",
        &format!("code=c&state={state}"),
    )
    .await;
    assert_eq!(answer.location(), "/");
}

#[tokio::test]
async fn a_response_in_the_fragment_is_sent_on_by_our_own_page_alone() {
    let (stage, mut browser) = (repeating(CORP), Browser::default());
    let state = begin(&stage, &mut browser, "corp", "/x").await;
    let page = stage.open(&mut browser, "oidc/corp/callback").await;
    assert_eq!(page.status, 200);
    let response = format!("id_token=ey.J.x&state={state}");
    let form = [("response", response.as_str())];
    let foreign = stage
        .submit_foreign(&mut browser, "oidc/corp/callback", &form)
        .await;
    foreign.tells("cross_site");
    let answer = stage
        .submit(&mut browser, "oidc/corp/callback", &form)
        .await;
    assert_eq!(answer.location(), "/x");
    let asked = &stage.authority.asked(AUTHENTICATE)[0];
    assert_eq!(
        asked["redirect_uri"],
        format!("/_sidegate/oidc/corp/callback#{response}")
    );
}

#[tokio::test]
async fn a_posted_response_is_sent_again_from_our_own_site() {
    let (stage, mut browser) = (repeating(CORP), Browser::default());
    let state = begin(&stage, &mut browser, "corp", "/x").await;
    let form = [("code", "c"), ("state", state.as_str())];
    let page = stage
        .submit_foreign(&mut browser, "oidc/corp/callback", &form)
        .await;
    assert_eq!((page.status, page.field("code").as_str()), (200, "c"));
    let again = [
        ("code", "c"),
        ("state", state.as_str()),
        ("sidegate_again", "1"),
    ];
    let answer = stage
        .submit(&mut browser, "oidc/corp/callback", &again)
        .await;
    assert_eq!(answer.location(), "/x");
}

#[tokio::test]
async fn the_session_knows_what_the_provider_calls_it() {
    let (stage, mut browser) = (repeating(CORP), Browser::default());
    stage.authority.knows(
        "alice",
        "oidc1",
        json!({"oidc(sub)": "s-1", "oidc(sid)": "sid-1"}),
    );
    let state = begin(&stage, &mut browser, "corp", "/x").await;
    back(
        &stage,
        &mut browser,
        "corp",
        &format!("code=c&state={state}"),
    )
    .await;
    let now = stage.clock.now();
    let later = now.unix + Duration::from_secs(1);
    let whose =
        crate::session::whose::Whose::of_subject("corp", None, Some("sid-1"), later).unwrap();
    let reason = crate::session::ended::EndReason::LoggedOut;
    assert_eq!(
        stage.sessions.end_all(&whose, reason, now).await.unwrap(),
        1
    );
    assert_eq!(stage.open(&mut browser, "session").await.status, 401);
}
