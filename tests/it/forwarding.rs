//! What the upstream is told about the caller, and what clients can't make it believe (R-11… ).

use serde_json::json;

use crate::harness::client::basic;
use crate::harness::elasticsearch::{Account, FakeElasticsearch};
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Recorded, Server};

const HEADERS: &str = "forward: { identity_headers: { username: x-auth-user, roles: x-auth-roles, email: x-auth-email } }";

/// `/public` for everyone, everything else for the authenticated, in three ways of forwarding.
fn with_headers(fake: &FakeElasticsearch, app: &Server) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("public", "/public/**", "allow: everyone")
        .route("bare", "/bare/**", "allow: authenticated, forward: none")
        .route(
            "through",
            "/through/**",
            "allow: authenticated, forward: passthrough",
        )
        .route("all", "/**", &format!("allow: authenticated, {HEADERS}"))
        .start()
}

/// Every spelling a server behind might fold to `x-auth-user`.
const SPELLINGS: [&str; 6] = [
    "X-Auth-User",
    "x_auth_user",
    "X-Auth_User",
    "X-AUTH-USER",
    "x-auth_user",
    "X_AUTH-User",
];

fn folded(request: &Recorded, name: &str) -> Vec<String> {
    let fold = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
    let wanted = fold(name);
    let headers = request
        .headers
        .iter()
        .filter(|(known, _)| fold(known) == wanted);
    headers.map(|(_, value)| value.clone()).collect()
}

#[test]
fn the_upstream_learns_who_it_is_and_nothing_else() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let alice = Account::new("alice", &["shopper", "reader"], &[])
        .with("email", json!("alice@example.com"));
    fake.know(&basic("alice", "alice-password"), alice);
    let gate = with_headers(&fake, &app);
    gate.proxy
        .get("/x")
        .basic("alice", "alice-password")
        .header("Cookie", "a=b")
        .send()
        .expect(200);

    let seen = app.only_request();
    assert_eq!(seen.header("x-auth-user"), Some("alice"));
    assert_eq!(seen.header("x-auth-roles"), Some("shopper,reader"));
    assert_eq!(seen.header("x-auth-email"), Some("alice@example.com"));
    assert_eq!(seen.header("cookie"), Some("a=b"));
    assert_eq!(
        seen.header("authorization"),
        None,
        "the client's credential stays here"
    );
    assert!(!app.bytes().contains("alice-password"));
}

#[test]
fn identity_headers_of_a_client_never_arrive_in_any_spelling_on_any_route() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = with_headers(&fake, &app);
    for path in ["/public/x", "/bare/x", "/through/x", "/x"] {
        let mut sent = gate.proxy.get(path).basic("alice", "alice-password");
        for spelling in SPELLINGS {
            sent = sent.header(spelling, "root");
        }
        for name in [
            "x-auth-roles",
            "X_Auth_Roles",
            "x-auth-email",
            "X-AUTH_EMAIL",
        ] {
            sent = sent.header(name, "superuser");
        }
        let status = sent.send().status;
        assert!(matches!(status, 200 | 400), "{path}: {status}");
    }
    for request in app.requests() {
        let users = folded(&request, "x-auth-user");
        let expected: &[&str] = if request.target == "/x" {
            &["alice"]
        } else {
            &[]
        };
        assert_eq!(users, expected, "{}", request.target);
        assert!(
            !folded(&request, "x-auth-roles").contains(&"superuser".to_owned()),
            "{}",
            request.target
        );
        assert!(
            folded(&request, "x-auth-email").is_empty(),
            "an absent field leaves no header: {}",
            request.target
        );
    }
}

#[test]
fn method_path_query_and_body_arrive_as_sent() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = with_headers(&fake, &app);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        gate.proxy
            .call(method, "/public/x?a=b&a=%20")
            .body("body")
            .send()
            .expect(200);
    }
    let requests = app.requests();
    let methods: Vec<&str> = requests
        .iter()
        .map(|request| request.method.as_str())
        .collect();
    assert_eq!(
        methods,
        ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"]
    );
    for request in &requests {
        assert_eq!(request.target, "/public/x?a=b&a=%20");
        assert_eq!(request.body, b"body");
    }
}

#[test]
fn a_header_name_with_a_dot_never_passes_for_an_identity() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = with_headers(&fake, &app);
    let status = gate
        .proxy
        .get("/public/x")
        .header("X.Auth.User", "root")
        .send()
        .status;
    assert!(matches!(status, 200 | 400), "{status}");
    for request in app.requests() {
        assert!(folded(&request, "x-auth-user").is_empty());
    }
}

#[test]
fn passthrough_hands_on_the_clients_own_credential() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = with_headers(&fake, &app);
    gate.proxy
        .get("/through/x")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    gate.proxy
        .get("/bare/x")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    let requests = app.requests();
    assert_eq!(
        requests[0].header("authorization"),
        Some(basic("alice", "alice-password").as_str())
    );
    assert_eq!(requests[1].header("authorization"), None);
}

#[test]
fn connection_may_not_name_a_protected_header() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = with_headers(&fake, &app);
    for value in [
        "Authorization",
        "close, X-Auth-User",
        "x_auth_user",
        "X-Forwarded-For",
        "Host",
    ] {
        let refused = gate
            .proxy
            .get("/x")
            .basic("alice", "alice-password")
            .header("Connection", value)
            .send();
        refused.expect_refusal(400, "ambiguous_connection");
    }
    let two_lines = gate
        .proxy
        .get("/x")
        .basic("alice", "alice-password")
        .header("Connection", "keep-alive");
    two_lines
        .header("Connection", "X-Auth-User")
        .send()
        .expect_refusal(400, "ambiguous_connection");
    assert!(app.requests().is_empty());
}

#[test]
fn hop_by_hop_headers_end_here_and_ours_still_arrive() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = with_headers(&fake, &app);
    let call = gate.proxy.get("/x").basic("alice", "alice-password");
    let call = call
        .header("Connection", "X-Private, keep-alive")
        .header("X-Private", "1");
    let call = call
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("TE", "gzip");
    call.header("Proxy-Authorization", "Basic eA==")
        .send()
        .expect(200);
    let seen = app.only_request();
    for gone in [
        "x-private",
        "keep-alive",
        "proxy-connection",
        "te",
        "proxy-authorization",
    ] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
    assert_eq!(seen.header("x-auth-user"), Some("alice"));
}

#[test]
fn headers_elasticsearch_would_obey_never_arrive() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = with_headers(&fake, &app);
    let names = [
        "es-security-runas-user",
        "es-secondary-authorization",
        "es-client-authentication",
        "_xpack_security_authentication",
        "X-Elastic-Internal-Origin",
    ];
    for path in ["/public/x", "/x"] {
        let mut call = gate.proxy.get(path).basic("alice", "alice-password");
        for name in names {
            call = call.header(name, "root");
        }
        call.send().expect(200);
    }
    for request in app.requests().iter().chain(&fake.server.requests()) {
        for name in names {
            assert!(
                folded(request, name).is_empty(),
                "{name} in {}",
                request.target
            );
        }
    }
}

#[test]
fn forwarded_headers_of_a_stranger_are_replaced() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = with_headers(&fake, &app);
    let mut call = gate.proxy.get("/public/x").host("app.example.com");
    let spoofed = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Real-IP",
        "X-Original-URL",
        "Forwarded",
    ];
    for name in spoofed {
        call = call.header(name, "evil.example");
    }
    call.send().expect(200);
    let seen = app.only_request();
    assert!(!app.bytes().contains("evil.example"), "{seen:#?}");
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("app.example.com"));
}

#[test]
fn a_listed_proxy_is_believed_about_the_client() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .listener("trusted_proxies: [\"127.0.0.1/32\"]")
        .upstream("app", &app)
        .route("all", "/**", "allow: everyone")
        .start();
    gate.proxy
        .get("/x")
        .header("X-Forwarded-For", "6.6.6.6, 203.0.113.9")
        .header("X-Forwarded-Proto", "https")
        .send()
        .expect(200);
    let seen = app.only_request();
    let chain = seen.header("x-forwarded-for").expect("a chain");
    assert!(chain.contains("203.0.113.9"), "{chain}");
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
}

#[test]
fn header_values_that_cannot_be_sent_are_never_an_injection() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    let odd = Account::new("eve\r\nx-auth-roles: superuser", &["a,b"], &[]);
    fake.know(&basic("eve", "pw"), odd);
    let gate = with_headers(&fake, &app);
    let status = gate.proxy.get("/x").basic("eve", "pw").send().status;
    assert!(matches!(status, 200 | 403 | 500 | 503), "{status}");
    for request in app.requests() {
        assert_ne!(request.header("x-auth-roles"), Some("superuser"));
    }
}

#[test]
fn one_request_id_is_in_the_reply_the_log_and_the_upstream() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = with_headers(&fake, &app);
    let reply = gate.proxy.get("/public/x").send().expect(200);
    let id = reply.header("x-request-id").expect("an id").to_owned();
    assert_eq!(app.only_request().header("x-request-id"), Some(id.as_str()));
    assert!(
        gate.process
            .stdout
            .find(|line| line.contains(&id))
            .is_some(),
        "{}",
        gate.process.output()
    );
}
