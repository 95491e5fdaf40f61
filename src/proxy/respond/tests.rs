//! What clients are told, by what they can read.

use super::*;
use crate::gate::refusal::Ambiguity;
use crate::model::credential::Scheme;
use crate::session::ended::EndReason;

fn wants(accept: &str) -> Wants {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, accept.parse().unwrap());
    Wants::of(&headers)
}

async fn told(denial: Denial, wants: Wants, explain: bool) -> (http::response::Parts, String) {
    let id = HeaderValue::from_static("id-1");
    let manner = Manner {
        explain,
        ..Manner::default()
    };
    let (parts, body) = respond(&denial, wants, &id, manner).into_parts();
    let body = body.collect_up_to(10_000).await.unwrap();
    (parts, String::from_utf8(body.to_vec()).unwrap())
}

fn forbidden() -> Denial {
    Denial::Refused(Refusal::Forbidden {
        username: "bob".into(),
        missing: vec!["application:shop:<read>@*".into()],
    })
}

#[test]
fn accept_chooses_the_form() {
    assert_eq!(wants("*/*"), Wants::Problem);
    assert_eq!(wants("application/json, text/html"), Wants::Problem);
    assert_eq!(
        wants("text/html,application/xhtml+xml,*/*;q=0.8"),
        Wants::Page
    );
    assert_eq!(
        wants("application/vnd.elasticsearch+json;compatible-with=9"),
        Wants::Elasticsearch(Some(9))
    );
    assert_eq!(
        wants("application/vnd.elasticsearch+json; compatible-with=8"),
        Wants::Elasticsearch(Some(8))
    );
    assert_eq!(Wants::of(&HeaderMap::new()), Wants::Problem);
}

#[tokio::test]
async fn a_401_lists_every_challenge_and_says_sidegate_answered() {
    let (parts, body) = told(Refusal::NoCredential.into(), Wants::Problem, false).await;
    assert_eq!(parts.status, 401);
    let challenges: Vec<_> = parts.headers.get_all(WWW_AUTHENTICATE).iter().collect();
    assert_eq!(challenges, CHALLENGES);
    assert_eq!(parts.headers["x-sidegate-refusal"], "no_credential");
    assert_eq!(parts.headers["cache-control"], "no-store");
    assert_eq!(parts.headers["x-request-id"], "id-1");
    assert_eq!(
        body,
        r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"A credential is required.","reason":"no_credential","request_id":"id-1"}"#
    );
}

#[tokio::test]
async fn missing_privileges_are_named_only_when_asked_to() {
    for wants in [Wants::Problem, Wants::Elasticsearch(None), Wants::Page] {
        let (parts, body) = told(forbidden(), wants, false).await;
        assert_eq!(parts.status, 403);
        assert!(!body.contains("shop") && !body.contains("bob"), "{body}");
        let (_, body) = told(forbidden(), wants, true).await;
        assert!(body.contains("shop") && !body.contains("bob"), "{body}");
        if wants == Wants::Page {
            assert!(body.contains("&lt;read&gt;"), "{body}");
        }
    }
}

#[tokio::test]
async fn a_page_carries_its_style_and_lets_nothing_else_in() {
    let (parts, body) = told(Refusal::NoRoute.into(), Wants::Page, false).await;
    let policy = parts.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe-inline"), "{policy}");
    assert_eq!(parts.headers["cache-control"], "no-store");
    assert!(
        body.contains(&format!("<style>{STYLE}</style>")),
        "the hash is of what stands inside"
    );
    assert!(!body.contains("<script") && !body.contains("://"), "{body}");
}

#[tokio::test]
async fn elasticsearchs_clients_get_their_envelope() {
    let denial = Denial::Refused(Refusal::Unauthenticated {
        scheme: Scheme::Basic,
    });
    let (parts, body) = told(denial, Wants::Elasticsearch(Some(9)), false).await;
    assert_eq!(
        parts.headers[CONTENT_TYPE],
        "application/vnd.elasticsearch+json;compatible-with=9"
    );
    let envelope: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(envelope["error"]["type"], "security_exception");
    assert_eq!(envelope["status"], 401);
}

#[tokio::test]
async fn trouble_says_when_to_come_back() {
    let trouble = Denial::Refused(Refusal::AuthorityUnavailable {
        cause: "timeout",
        retry_after: Duration::from_millis(1500),
    });
    let (parts, _) = told(trouble, Wants::Problem, false).await;
    assert_eq!(
        (parts.status, &parts.headers[RETRY_AFTER]),
        (503_u16.try_into().unwrap(), &HeaderValue::from(2))
    );
    let flood = Denial::Refused(Refusal::TooManyFailures {
        by: "address",
        retry_after: Duration::ZERO,
    });
    let (parts, _) = told(flood, Wants::Problem, false).await;
    assert_eq!(parts.status, 429);
    assert_eq!(parts.headers[RETRY_AFTER], "1");
}

#[tokio::test]
async fn a_session_that_ended_says_why() {
    let denial = Denial::Refused(Refusal::SessionEnded(EndReason::Idle));
    let (parts, body) = told(denial, Wants::Problem, false).await;
    assert_eq!(parts.status, 401);
    assert_eq!(parts.headers["x-sidegate-session"], "session_idle");
    assert!(body.contains("\"reason\":\"session_idle\""), "{body}");
}

#[tokio::test]
async fn failures_of_the_upstream_are_502_or_504() {
    let timeout = Failure::ResponseTimeout(Duration::from_secs(1));
    let (parts, _) = told(timeout.into(), Wants::Problem, false).await;
    assert_eq!(parts.status, 504);
    assert_eq!(
        parts.headers["x-sidegate-refusal"],
        "upstream_response_timeout"
    );
    let refused = ConnectError::Io(std::io::ErrorKind::ConnectionRefused.into());
    let (parts, body) = told(Failure::Connect(refused).into(), Wants::Problem, false).await;
    assert_eq!(parts.status, 502);
    assert!(!body.contains("refused"), "{body}");
}

#[tokio::test]
async fn a_method_not_allowed_says_which_are() {
    let (parts, _) = told(Refusal::MethodNotAllowed.into(), Wants::Problem, false).await;
    assert_eq!(parts.status, 405);
    assert!(parts.headers.contains_key(ALLOW));
    let ambiguous = Refusal::Ambiguous(Ambiguity::Path).into();
    assert_eq!(told(ambiguous, Wants::Problem, false).await.0.status, 400);
}
