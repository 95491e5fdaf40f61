//! CORS preflights (A-24): only real ones skip the credential, only where the route says so.

use std::convert::Infallible;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;

use crate::harness::client::{Call, Reply};
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::h2;
use crate::harness::plan::{Plan, Running};
use crate::harness::process::run_to_end;
use crate::harness::server::{Answer, Server};

const ORIGIN: &str = "https://app.example.com";

const ANSWER: &str = "preflight: { answer: { origins: [\"https://app.example.com\"], methods: [GET, PUT], \
     headers: [X-Token, Content-Type], max_age: 10m, credentials: true } }";

fn plan(fake: &FakeElasticsearch, app: &Server) -> Plan {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route(
            "passed",
            "/passed/**",
            "allow: authenticated, forward: { identity_headers: {} }, preflight: pass",
        )
        .route(
            "answered",
            "/answered/**",
            &format!("allow: authenticated, {ANSWER}"),
        )
        .route(
            "open",
            "/open/**",
            "allow: everyone, preflight: { answer: { origins: [\"*\"], headers: [\"*\"] } }",
        )
        .route("admin", "/admin/**", "require: { roles: [superuser] }")
}

fn cors_app() -> Server {
    Server::start(|_| {
        let lines = vec![(
            "access-control-allow-origin",
            "https://by.the.app".to_owned(),
        )];
        Answer::Reply(204, lines, Vec::new())
    })
}

fn preflight<'a>(gate: &'a Running, path: &str, method: &str) -> Call<'a> {
    gate.proxy
        .call("OPTIONS", path)
        .header("Origin", ORIGIN)
        .header("Access-Control-Request-Method", method)
}

fn allowed(reply: &Reply) -> Option<&str> {
    reply.header("access-control-allow-origin")
}

#[test]
fn a_preflight_passes_only_where_the_route_says_so_and_carries_nobody() {
    let (fake, app) = (FakeElasticsearch::with_people(), cors_app());
    let gate = plan(&fake, &app).start();
    preflight(&gate, "/admin/x", "GET")
        .send()
        .expect_refusal(401, "no_credential");
    assert!(app.requests().is_empty());

    let passed = preflight(&gate, "/passed/x", "DELETE")
        .header("X-Forwarded-User", "root")
        .send()
        .expect(204);
    assert_eq!(
        allowed(&passed),
        Some("https://by.the.app"),
        "the upstream's own answer"
    );
    let seen = app.only_request();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("OPTIONS", "/passed/x")
    );
    assert_eq!(seen.header("origin"), Some(ORIGIN));
    assert_eq!(seen.header("x-forwarded-user"), None);
    assert_eq!(fake.questions(), 0);
}

#[test]
fn what_is_not_quite_a_preflight_is_judged_like_anything_else() {
    let (fake, app) = (FakeElasticsearch::with_people(), cors_app());
    let gate = plan(&fake, &app).start();
    for path in ["/passed/x", "/answered/x"] {
        let real = || preflight(&gate, path, "GET");
        let bare = || gate.proxy.call("OPTIONS", path);
        for refused in [
            gate.proxy.get(path).header("Origin", ORIGIN),
            bare().header("Origin", ORIGIN),
            bare().header("Access-Control-Request-Method", "GET"),
            real().header("Origin", "https://other.example.com"),
            real().header("Access-Control-Request-Method", "PUT"),
            real().header("Access-Control-Request-Headers", "a b"),
            real().header("Cookie", "session=1"),
            real().body("{}"),
            gate.proxy
                .call("PUT", path)
                .header("Origin", ORIGIN)
                .header("Access-Control-Request-Method", "GET"),
            gate.proxy
                .get(path)
                .header("Origin", ORIGIN)
                .header("Access-Control-Request-Method", "GET")
                .header("X-HTTP-Method-Override", "OPTIONS"),
        ] {
            refused.send().expect_refusal(401, "no_credential");
        }
        let chunked = format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {ORIGIN}\r\nAccess-Control-Request-Method: GET\r\n\
             Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        );
        assert_eq!(gate.proxy.raw_reply(chunked.as_bytes()).status, 401);
        // A credential beside it makes it a request like any other: refused when it is bad, judged when it is good.
        real()
            .basic("alice", "guess")
            .send()
            .expect_refusal(401, "unauthenticated");
    }
    assert!(app.requests().is_empty(), "{:#?}", app.requests());
    preflight(&gate, "/answered/x", "GET")
        .basic("alice", "alice-password")
        .send()
        .expect(204);
    assert_eq!(app.requests().len(), 1, "judged, permitted and forwarded");
}

#[test]
fn a_body_that_no_header_tells_of_makes_it_no_preflight() {
    let (fake, app) = (FakeElasticsearch::with_people(), cors_app());
    let gate = plan(&fake, &app).tls().start();
    let ask = || {
        let mut request = h2::get(&gate.proxy, "/passed/x", "");
        *request.method_mut() = http::Method::OPTIONS;
        let headers = request.headers_mut();
        headers.insert("origin", ORIGIN.parse().unwrap());
        headers.insert("access-control-request-method", "GET".parse().unwrap());
        request
    };
    h2::block_on(async {
        let mut sender = h2::connect(&gate.proxy).await;
        let real = sender.send_request(ask()).await.unwrap();
        assert_eq!(real.status(), 204);
        let mut sender = h2::connect_with(&gate.proxy).await;
        let frame = Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"{}")));
        let body = StreamBody::new(futures_util::stream::iter([frame]));
        let judged = sender.send_request(ask().map(|_| body)).await.unwrap();
        assert_eq!(judged.status(), 401);
    });
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn sidegate_answers_with_what_the_route_allows_and_nothing_else() {
    let (fake, app) = (FakeElasticsearch::with_people(), cors_app());
    let gate = plan(&fake, &app).start();
    let answer = preflight(&gate, "/answered/x", "PUT")
        .header("Access-Control-Request-Headers", "x-token, content-type")
        .send()
        .expect(204);
    for (name, value) in [
        ("access-control-allow-origin", ORIGIN),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-token, content-type"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert!(
        answer
            .header("vary")
            .is_some_and(|vary| vary.contains("Origin"))
    );
    assert_eq!(answer.refusal(), None);

    let refused = |call: Call<'_>| {
        let refused = call.send().expect_refusal(403, "preflight_not_allowed");
        assert_eq!(allowed(&refused), None);
    };
    refused(preflight(&gate, "/answered/x", "DELETE"));
    refused(
        preflight(&gate, "/answered/x", "GET")
            .header("Access-Control-Request-Headers", "x-token, x-other"),
    );
    for origin in [
        "null",
        "http://app.example.com",
        "https://app.example.com.evil",
    ] {
        refused(
            gate.proxy
                .call("OPTIONS", "/answered/x")
                .header("Origin", origin)
                .header("Access-Control-Request-Method", "GET"),
        );
    }
    let anybody = preflight(&gate, "/open/x", "PATCH")
        .header("Access-Control-Request-Headers", "x-whatever")
        .send()
        .expect(204);
    assert_eq!(allowed(&anybody), Some("*"));
    assert_eq!(
        anybody.header("access-control-allow-headers"),
        Some("x-whatever")
    );
    assert_eq!(anybody.header("access-control-allow-credentials"), None);
    assert!(app.requests().is_empty(), "the upstream sees none of it");
    gate.wait_for_metric(
        "sidegate_authz_total",
        &["route=\"answered\"", "reason=\"preflight_not_allowed\""],
        |count| count == 5.0,
    );
}

#[test]
fn explain_tells_what_becomes_of_a_preflight() {
    let (fake, app) = (FakeElasticsearch::with_people(), cors_app());
    let folder = tempfile::tempdir().unwrap();
    let config = plan(&fake, &app).write(folder.path());
    let config = config.to_str().unwrap();
    for (origin, code, part) in [
        (ORIGIN, 0, "rule=answer"),
        ("https://evil.example", 1, "preflight_not_allowed"),
    ] {
        let origin = format!("Origin: {origin}");
        let ended = run_to_end(&[
            "explain",
            "--config",
            config,
            "OPTIONS",
            "/answered/x",
            "-H",
            &origin,
            "-H",
            "Access-Control-Request-Method: GET",
        ]);
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
}

#[test]
fn a_preflight_rule_that_can_not_work_or_opens_too_much_is_a_fault() {
    let (fake, app) = (FakeElasticsearch::with_people(), cors_app());
    for (keys, told) in [
        (
            "preflight: { answer: { origins: [\"*\"], credentials: true } }",
            "every page in the world",
        ),
        (
            "preflight: { answer: { origins: [\"https://a/\"] } }",
            "an origin has no path",
        ),
        ("preflight: { answer: {} }", "the key `origins` is missing"),
        ("preflight: allow", "`pass`"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::with_elasticsearch(&fake).upstream("app", &app).route(
            "r",
            "/**",
            &format!("allow: authenticated, {keys}"),
        );
        let config = plan.write(folder.path());
        let ended = run_to_end(&["check", "--config", config.to_str().unwrap()]);
        assert_ne!(ended.code, 0, "{keys}");
        assert!(ended.stderr.contains(told), "{keys}: {}", ended.stderr);
    }
    let folder = tempfile::tempdir().unwrap();
    let route = "{ name: r, match: { path: \"/**\", methods: [GET] }, upstream: app, allow: authenticated, preflight: pass }";
    let plan = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route_yaml(route);
    let config = plan.write(folder.path());
    let ended = run_to_end(&["check", "--config", config.to_str().unwrap()]);
    assert!(ended.stderr.contains("OPTIONS"), "{}", ended.stderr);
}
