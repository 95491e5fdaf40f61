//! The door as a client sees it.

use std::sync::Mutex;

use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};

use super::*;
use crate::admin::operations::{EndingSessions, Purging, SessionScope};

#[derive(Default)]
struct Program {
    trouble: Option<String>,
    purged: Mutex<Vec<PurgeScope>>,
    ended: Mutex<Vec<SessionScope>>,
}

impl Operations for Program {
    fn readiness(&self) -> Readiness {
        Readiness::default()
            .with("config", None)
            .with("authority", self.trouble.clone())
    }

    fn cache_statistics(&self) -> Value {
        json!({"entries": 3})
    }

    fn purge<'a>(&'a self, scope: &PurgeScope) -> Purging<'a> {
        self.purged.lock().unwrap().push(scope.clone());
        Box::pin(std::future::ready(1))
    }

    fn end_sessions<'a>(&'a self, scope: &SessionScope) -> Option<EndingSessions<'a>> {
        self.ended.lock().unwrap().push(scope.clone());
        Some(Box::pin(std::future::ready(match &self.trouble {
            None => Ok(2),
            Some(trouble) => Err(trouble.clone()),
        })))
    }

    fn routes(&self) -> Value {
        json!([{"name": "orders"}])
    }
}

fn door(program: Arc<Program>) -> Admin {
    let registry = Registry::new().unwrap();
    registry.build_info(&[("version", "1")]).unwrap();
    Admin::new(program, registry, LogLevel::detached("info").unwrap(), [])
}

struct Answer {
    status: u16,
    kind: String,
    body: String,
    head: http::response::Parts,
}

async fn ask(door: &Admin, method: &str, target: &str, body: &str) -> Answer {
    let request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", "127.0.0.1:9901")
        .body(Body::full(body.to_owned()))
        .unwrap();
    answer(door.respond(request).await).await
}

async fn answer(response: Response) -> Answer {
    let (head, body) = response.into_parts();
    let bytes = body.collect_up_to(1 << 20).await.unwrap();
    Answer {
        status: head.status.as_u16(),
        kind: head.headers[CONTENT_TYPE].to_str().unwrap().to_owned(),
        body: String::from_utf8(bytes.to_vec()).unwrap(),
        head,
    }
}

#[tokio::test]
async fn metrics_are_served_in_the_text_exposition() {
    let answer = ask(&door(Arc::default()), "GET", "/metrics", "").await;
    assert_eq!((answer.status, answer.kind.as_str()), (200, EXPOSITION));
    assert!(
        answer
            .body
            .contains("sidegate_build_info{version=\"1\"} 1\n")
    );
}

#[tokio::test]
async fn sessions_are_ended_by_whose_they_are() {
    let program = Arc::new(Program::default());
    let open = door(Arc::clone(&program) as Arc<_>);
    let answer = ask(&open, "DELETE", "/sessions?user=alice", "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("\"ended\": 2"), "{}", answer.body);
    assert_eq!(ask(&open, "DELETE", "/sessions", "").await.status, 400);
    assert_eq!(ask(&open, "GET", "/sessions", "").await.status, 405);
    {
        let ended = program.ended.lock().unwrap();
        assert_eq!(ended.len(), 1, "{ended:?}");
        assert_eq!(ended[0].user.as_deref(), Some("alice"));
    }
    let troubled = door(Arc::new(Program {
        trouble: Some("connect".into()),
        ..Program::default()
    }));
    let answer = ask(&troubled, "DELETE", "/sessions?all=true", "").await;
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn readiness_says_which_part_is_not_ready() {
    let door_ready = door(Arc::default());
    let answer = ask(&door_ready, "GET", "/readyz", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ready\n"));
    let answer = ask(&door_ready, "GET", "/readyz?verbose", "").await;
    assert_eq!(answer.body, "[+] config\n[+] authority\nready\n");
    let troubled = door(Arc::new(Program {
        trouble: Some("no node answers".into()),
        ..Program::default()
    }));
    let answer = ask(&troubled, "GET", "/readyz", "").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, "[-] authority: no node answers\nnot ready\n")
    );
    assert_eq!(ask(&troubled, "GET", "/livez", "").await.status, 200);
}

#[tokio::test]
async fn readiness_is_json_for_those_who_accept_it() {
    let request = http::Request::get("/readyz")
        .header("host", "localhost")
        .header("accept", "application/json")
        .body(Body::Empty)
        .unwrap();
    let answer = answer(door(Arc::default()).respond(request).await).await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["ready"], true);
    assert_eq!(
        body["parts"][1],
        json!({"name": "authority", "ready": true, "trouble": null})
    );
}

#[tokio::test]
async fn a_purge_reaches_the_program_before_the_answer() {
    let program = Arc::new(Program::default());
    let door = door(Arc::clone(&program));
    let answer = ask(&door, "POST", "/cache/purge", r#"{"user":"alice"}"#).await;
    assert_eq!(answer.status, 200);
    let answer = ask(&door, "POST", "/_security/role/a,b/_clear_cache", "").await;
    assert_eq!(answer.status, 200);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["_nodes"]["successful"], 1);
    let scopes = [
        PurgeScope::User("alice".into()),
        PurgeScope::Role("a".into()),
        PurgeScope::Role("b".into()),
    ];
    assert_eq!(*program.purged.lock().unwrap(), scopes);
}

#[tokio::test]
async fn a_purge_that_can_not_be_read_forgets_nothing_and_is_explained() {
    let program = Arc::new(Program::default());
    let door = door(Arc::clone(&program));
    let answer = ask(&door, "POST", "/cache/purge", r#"{"usr":"alice"}"#).await;
    assert_eq!(
        (answer.status, answer.kind.as_str()),
        (400, "application/problem+json")
    );
    let long = "x".repeat(MOST_BODY + 1);
    assert_eq!(ask(&door, "POST", "/cache/purge", &long).await.status, 413);
    assert!(program.purged.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_web_page_can_not_purge() {
    let program = Arc::new(Program::default());
    let request = http::Request::post("/cache/purge")
        .header("host", "127.0.0.1:9901")
        .header("origin", "https://evil.example")
        .body(Body::full(r#"{"all":true}"#))
        .unwrap();
    let answer = answer(door(Arc::clone(&program)).respond(request).await).await;
    assert_eq!(answer.status, 403);
    assert!(program.purged.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_log_level_is_shown_changed_and_guarded() {
    let door = door(Arc::default());
    for (body, level) in [
        (r#"{"level":"debug"}"#, "debug"),
        ("sidegate::gate=trace\n", "sidegate::gate=trace"),
    ] {
        assert_eq!(ask(&door, "PUT", "/log/level", body).await.status, 200);
        let shown = ask(&door, "GET", "/log/level", "").await.body;
        assert_eq!(
            serde_json::from_str::<Value>(&shown).unwrap()["level"],
            level
        );
    }
    for body in [
        "",
        "{}",
        r#"{"level":7}"#,
        r#"{"level":"sidegate=loud"}"#,
        "[1]",
        r#"{"level"#,
    ] {
        assert_eq!(
            ask(&door, "PUT", "/log/level", body).await.status,
            400,
            "{body}"
        );
    }
    let shown = ask(&door, "GET", "/log/level", "").await.body;
    assert!(shown.contains("sidegate::gate=trace"));
}

#[tokio::test]
async fn what_is_not_there_is_404_and_a_wrong_method_is_405_with_those_allowed() {
    let door = door(Arc::default());
    for path in [
        "/nothing",
        "/metrics/",
        "/_security/user/alice",
        "/cache/purge/all",
    ] {
        let answer = ask(&door, "GET", path, "").await;
        assert_eq!(
            (answer.status, answer.kind.as_str()),
            (404, "application/problem+json")
        );
    }
    for (method, path, allow) in [
        ("POST", "/metrics", "GET, HEAD"),
        ("GET", "/cache/purge", "POST"),
        ("GET", "/_security/realm/x/_clear_cache", "POST"),
        ("DELETE", "/log/level", "GET, HEAD, PUT"),
        ("OPTIONS", "/", "GET, HEAD"),
    ] {
        let answer = ask(&door, method, path, "").await;
        assert_eq!(answer.status, 405);
        assert_eq!(answer.head.headers[ALLOW], allow);
    }
}

#[tokio::test]
async fn head_has_the_length_but_not_the_body() {
    let door = door(Arc::default());
    let answer = ask(&door, "HEAD", "/routes", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let whole = ask(&door, "GET", "/routes", "").await.body.len();
    assert_eq!(answer.head.headers[CONTENT_LENGTH], whole.to_string());
}

#[tokio::test]
async fn the_index_names_every_endpoint() {
    let answer = ask(&door(Arc::default()), "GET", "/", "").await;
    for path in [
        "/metrics",
        "/livez",
        "/readyz",
        "/routes",
        "/cache",
        "/cache/purge",
        "/log/level",
    ] {
        assert!(answer.body.contains(path), "{path}");
        assert_ne!(Endpoint::find(path), None);
    }
}
