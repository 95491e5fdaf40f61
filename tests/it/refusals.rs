//! What a refused client is told, in the form it understands.

use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Answer, Server};

fn gate(fake: &FakeElasticsearch, app: &Server) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("monitor", "/monitor", "require: { cluster: [monitor] }")
        .route("any", "/any", "allow: authenticated")
        .start()
}

#[test]
fn a_program_gets_problem_json_with_the_request_id() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    let refused = gate
        .proxy
        .get("/monitor")
        .basic("bob", "bob-password")
        .send();
    let refused = refused.expect_refusal(403, "forbidden");
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    let body = refused.json();
    assert_eq!(body["status"], 403);
    let id = refused.header("x-request-id").expect("an id");
    assert!(refused.text().contains(id), "{body}");
    assert!(
        !refused.text().contains("monitor"),
        "the privilege is not the client's business: {body}"
    );
    assert!(
        gate.process.stdout.find(|line| line.contains(id)).is_some(),
        "the log has the same id"
    );
}

#[test]
fn explain_refusals_names_the_missing_privilege() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("monitor", "/monitor", "require: { cluster: [monitor] }")
        .and("explain_refusals: true")
        .start();
    let refused = gate
        .proxy
        .get("/monitor")
        .basic("bob", "bob-password")
        .send()
        .expect(403);
    assert!(refused.text().contains("monitor"), "{}", refused.text());
}

#[test]
fn an_elasticsearch_client_gets_its_own_envelope() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    let vendored = "application/vnd.elasticsearch+json; compatible-with=9";
    let refused = gate
        .proxy
        .get("/monitor")
        .basic("bob", "bob-password")
        .header("Accept", vendored)
        .send();
    let body = refused.expect_refusal(403, "forbidden").json();
    assert_eq!(body["status"], 403);
    assert_eq!(body["error"]["type"], "security_exception");
    assert!(body["error"]["reason"].is_string(), "{body}");
}

#[test]
fn a_browser_gets_a_small_page_that_runs_nothing() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let path = "/nothing/%3Cscript%3Ealert(1)%3C/script%3E";
    for refused in [
        gate.proxy
            .get("/any")
            .header("Accept", accept)
            .header("Sec-Fetch-Mode", "navigate")
            .send()
            .expect(401),
        gate.proxy
            .get(path)
            .header("Accept", accept)
            .header("Sec-Fetch-Mode", "navigate")
            .send(),
    ] {
        assert!(
            refused
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/html")),
            "{:?}",
            refused.headers
        );
        assert!(!refused.text().contains("<script"), "{}", refused.text());
        assert!(refused.text().len() < 16 * 1024);
        assert!(refused.refusal().is_some());
    }
}

#[test]
fn refusals_are_never_stored_by_a_cache() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    for refused in [
        gate.proxy.get("/any").send(),
        gate.proxy.get("/nothing").send(),
    ] {
        assert!(
            refused
                .header("cache-control")
                .is_some_and(|value| value.contains("no-store")),
            "{:?}",
            refused.headers
        );
    }
}

#[test]
fn an_answer_of_the_upstream_is_left_alone_and_unmarked() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::start(|_| {
        Answer::Reply(
            401,
            vec![
                ("www-authenticate", "Own realm=\"app\"".to_owned()),
                ("x-sidegate-refusal", "forged".to_owned()),
            ],
            b"the app says no".to_vec(),
        )
    });
    let gate = gate(&fake, &app);
    let reply = gate
        .proxy
        .get("/any")
        .basic("alice", "alice-password")
        .send()
        .expect(401);
    assert_eq!(reply.text(), "the app says no");
    assert_eq!(reply.header("www-authenticate"), Some("Own realm=\"app\""));
    assert_eq!(reply.refusal(), None, "an upstream can't speak as Sidegate");
    gate.proxy
        .get("/any")
        .basic("alice", "alice-password")
        .send();
    assert_eq!(
        fake.authentications(),
        1,
        "an upstream's 401 logs nobody out"
    );
}

#[test]
fn head_requests_are_refused_without_a_body() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    let mut wire = gate.proxy.connect();
    gate.proxy
        .call("HEAD", "/any")
        .send_on(&mut wire)
        .expect(401);
    gate.proxy.get("/any").send_on(&mut wire).expect(401);
}
