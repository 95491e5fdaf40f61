//! Which route judges a request, and that what was judged is what is forwarded.

use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

/// `/public/**` for everyone, `/admin/**` for superusers, nothing else.
fn public_and_admin(fake: &FakeElasticsearch, app: &Server) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("public", "/public/**", "allow: everyone")
        .route("admin", "/admin/**", "require: { roles: [superuser] }")
        .start()
}

#[test]
fn no_route_means_no_entry() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = public_and_admin(&fake, &app);
    for path in [
        "/",
        "/publicity",
        "/metrics",
        "/livez",
        "/readyz",
        "/health",
        "/cache",
    ] {
        let refused = gate.proxy.get(path).basic("root", "root-password").send();
        refused.expect_refusal(404, "no_route");
    }
    assert!(app.requests().is_empty());
}

#[test]
fn a_cached_login_never_opens_a_stronger_route() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("weak", "/weak", "allow: authenticated")
        .route("monitor", "/monitor", "require: { cluster: [monitor] }")
        .route("manage", "/manage", "require: { cluster: [manage] }")
        .start();
    for _ in 0..2 {
        gate.proxy
            .get("/weak")
            .basic("alice", "alice-password")
            .send()
            .expect(200);
        gate.proxy
            .get("/monitor")
            .basic("alice", "alice-password")
            .send()
            .expect(200);
        let strong = gate
            .proxy
            .get("/manage")
            .basic("alice", "alice-password")
            .send();
        strong.expect_refusal(403, "forbidden");
    }
    assert_eq!(fake.questions(), 2, "one ask pair");
}

#[test]
fn the_first_route_written_wins_and_methods_and_hosts_take_part() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::echoing();
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route_yaml("{ name: host, match: { path: \"/**\", hosts: [\"api.example.com\"] }, upstream: app, allow: everyone }")
        .route_yaml("{ name: read, match: { path: \"/items/{id}\", methods: [GET] }, upstream: app, allow: everyone }")
        .route("rest", "/items/**", "require: { cluster: [manage] }")
        .start();

    gate.proxy.get("/items/1").send().expect(200);
    gate.proxy.call("DELETE", "/items/1").send().expect(401);
    gate.proxy.get("/items/1/parts").send().expect(401);
    for host in [
        "api.example.com",
        "API.Example.COM",
        "api.example.com.",
        "api.example.com:8443",
    ] {
        gate.proxy
            .get("/items/1/parts")
            .host(host)
            .send()
            .expect(200);
    }
    gate.proxy
        .get("/items/1/parts")
        .host("evil-api.example.com")
        .send()
        .expect(401);
}

#[test]
fn requirements_combine() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route(
            "any",
            "/any",
            "require: { any_of: [{ cluster: [manage] }, { roles: [shopper] }] }",
        )
        .route(
            "all",
            "/all",
            "require: { all_of: [{ cluster: [monitor] }, { roles: [auditor] }] }",
        )
        .route(
            "both",
            "/both",
            "require: { cluster: [monitor], index: [{ names: [metrics-a], privileges: [read] }] }",
        )
        .start();
    let alice = |path: &str| {
        gate.proxy
            .get(path)
            .basic("alice", "alice-password")
            .send()
            .status
    };
    let bob = |path: &str| {
        gate.proxy
            .get(path)
            .basic("bob", "bob-password")
            .send()
            .status
    };
    assert_eq!(
        (alice("/any"), alice("/all"), alice("/both")),
        (200, 403, 200)
    );
    assert_eq!((bob("/any"), bob("/all"), bob("/both")), (403, 403, 403));
}

#[test]
fn a_capture_never_widens_what_is_asked() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route(
            "space",
            "/spaces/{space}/**",
            "require: { application: [{ application: shop, privileges: [orders_read], resources: [\"space:{space}\"] }] }",
        )
        .start();
    // Alice holds the privilege on `*` as a literal only; the fake knows no patterns.
    for path in [
        "/spaces/*/x",
        "/spaces/%2A/x",
        "/spaces/a*/x",
        "/spaces/%3f/x",
        "/spaces/a,b/x",
    ] {
        let status = gate
            .proxy
            .get(path)
            .basic("alice", "alice-password")
            .send()
            .status;
        assert!(matches!(status, 400 | 403), "{path}: {status}");
    }
    for request in fake.server.requests() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        assert!(
            !body.contains("\"space:*\"") && !body.contains("\"space:a*\""),
            "{body}"
        );
    }
    assert!(app.requests().is_empty());
}

#[test]
fn trace_and_connect_are_never_forwarded() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = public_and_admin(&fake, &app);
    gate.proxy
        .call("TRACE", "/public/x")
        .send()
        .expect_refusal(405, "method_not_allowed");
    let connect = gate
        .proxy
        .raw_reply(b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n");
    assert!(matches!(connect.status, 400 | 405), "{}", connect.status);
    assert!(app.requests().is_empty());
}

#[test]
fn an_unknown_method_meets_the_same_requirement() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = public_and_admin(&fake, &app);
    for method in ["TRACK", "get", "PROPFIND"] {
        let status = gate.proxy.call(method, "/admin/x").send().status;
        assert!(matches!(status, 400 | 401 | 405), "{method}: {status}");
    }
    assert!(app.requests().is_empty());
}
