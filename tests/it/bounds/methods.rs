//! Methods that are none of a route's business.

use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

/// Reading is for everyone, everything else for superusers.
fn gate(fake: &FakeElasticsearch, app: &Server) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route_yaml("{ name: read, match: { path: \"/x\", methods: [GET, HEAD] }, upstream: app, allow: everyone }")
        .route("write", "/x", "require: { roles: [superuser] }")
        .start()
}

#[test]
fn trace_track_and_connect_are_refused_whoever_asks() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    for method in ["TRACE", "CONNECT"] {
        let refused = gate.proxy.call(method, "/x").basic("root", "root-password");
        let status = refused.send().status;
        assert!(matches!(status, 400 | 405), "{method}: {status}");
    }
    // Not known to HTTP any more: a method like any other, under the strictest rule there is.
    gate.proxy.call("TRACK", "/x").send().expect(401);
    assert!(app.requests().is_empty());
}

#[test]
fn an_odd_spelling_of_a_method_is_another_method() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    let long = "A".repeat(300);
    for method in [
        "get",
        "Get",
        "GETX",
        "G",
        long.as_str(),
        "PROPFIND",
        "DEBUG",
        "PURGE",
    ] {
        let status = gate.proxy.call(method, "/x").send().status;
        assert!(matches!(status, 400 | 401 | 405), "{method}: {status}");
        let bob = gate.proxy.call(method, "/x").basic("bob", "bob-password");
        let status = bob.send().status;
        assert!(matches!(status, 400 | 403 | 405), "{method}: {status}");
    }
    for bytes in [
        &b"GE\tT /x HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b" GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET\0 /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"G(T /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        // Some of it is not even worth an answer.
        let answer = gate.proxy.raw(bytes);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"));
    }
    assert!(app.requests().is_empty(), "{:#?}", app.requests());
}

#[test]
fn nothing_turns_the_method_that_was_judged_into_another() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "x_http_method_override",
    ] {
        gate.proxy.get("/x").header(name, "DELETE").send();
    }
    gate.proxy.get("/x?_method=DELETE").send().expect(200);
    gate.proxy
        .call("POST", "/x")
        .header("X-HTTP-Method-Override", "GET")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("_method=GET")
        .send()
        .expect_refusal(401, "no_credential");
    for request in app.requests() {
        assert_eq!(request.method, "GET");
        for (name, _) in &request.headers {
            let folded = name.to_ascii_lowercase().replace('_', "-");
            assert!(!folded.contains("method"), "{name} reached the upstream");
        }
    }
}
