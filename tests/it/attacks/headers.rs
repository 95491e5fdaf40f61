//! What the upstream is told about the caller, and what clients can't make it believe (A-12…A-17).

use serde_json::json;

use super::fixture::{Scene, of_alice, request};
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
const SPELLINGS: [&str; 9] = [
    "X-Auth-User",
    "x_auth_user",
    "X-Auth_User",
    "X-AUTH-USER",
    "x-auth_user",
    "X_AUTH-User",
    "X.Auth.User",
    "x.auth-user",
    "X-Auth.User",
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

/// CVE-2025-64484, CVE-2026-39858, GHSA-f59h-q822-g45g: `X_Forwarded_User` survived, and the application behind read it.
/// CVE-2026-30851: the client's copy was kept where the identity had none. CVE-2026-22797: on routes without authentication.
#[test]
fn no_spelling_of_an_identity_header_arrives_alone_repeated_or_empty() {
    let named =
        "forward: { identity_headers: { username: x-forwarded-user, email: x-forwarded-email } }";
    for listed in [false, true] {
        let scene = Scene::with(|plan| {
            let plan = plan.route(
                "named",
                "/named/**",
                &format!("allow: authenticated, {named}"),
            );
            match listed {
                // Whoever is believed about the client's address is not believed about who it is.
                true => plan.listener("trusted_proxies: [\"127.0.0.1/32\"]"),
                false => plan,
            }
        });
        for spelling in [
            "X-Forwarded-User",
            "x_forwarded_user",
            "X-Forwarded_User",
            "X_Forwarded-User",
            "X-FORWARDED-USER",
            "X.Forwarded.User",
            "X-Forwarded-Email",
            "x_forwarded_email",
            "X.Forwarded-Email",
        ] {
            for lines in [
                format!("{spelling}: root\r\n"),
                format!("{spelling}:\r\n"),
                format!("{spelling}: root\r\n{spelling}: root\r\n"),
                format!("{spelling}: alice\r\nX-Between: 1\r\nX_FORWARDED_USER: root\r\n"),
            ] {
                for (path, user) in [("/named/x", Some("alice")), ("/public/x", None)] {
                    let before = scene.app.requests().len();
                    let status = scene.gate.proxy.raw_reply(&of_alice(path, &lines)).status;
                    assert_eq!(status, 200, "{lines}");
                    let seen = &scene.app.requests()[before];
                    let users = folded(seen, "x-forwarded-user");
                    assert_eq!(users, Vec::from_iter(user), "{path} {lines}");
                    assert!(
                        folded(seen, "x-forwarded-email").is_empty(),
                        "{path} {lines}"
                    );
                }
            }
        }
    }
}

/// GHSA-w9mr-28mw-j8hg, CVE-2024-45410, CVE-2025-48865: `Connection` named away what the proxy had set.
#[test]
fn connection_may_not_name_a_protected_header() {
    let scene = Scene::new();
    for value in [
        "Authorization",
        "authorization",
        "close, X-Auth-User",
        "X-AUTH-ROLES",
        "x_auth_user",
        "x.auth.user",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "x-forwarded-user",
        "keep-alive, X-Forwarded-Host, x-mine",
        "Forwarded",
        "X-Real-IP",
        "X-Request-Id",
        "Host",
        "Cookie",
        "Content-Length",
        "Transfer-Encoding",
        " ,,X-Auth-User,,",
        "\tX-Auth-User\t",
        "X-Auth-User;q=1, X-Auth-User",
        "caf\u{e9}",
    ] {
        let lines = format!("Connection: {value}\r\n");
        let refused = scene.refuses(value, &[400], &of_alice("/app/x", &lines));
        assert_eq!(refused.refusal(), Some("ambiguous_connection"), "{value}");
        for lines in [
            format!("Connection: keep-alive\r\nConnection: {value}\r\n"),
            format!("Connection: {value}\r\nX-Between: 1\r\nconnection: close\r\n"),
        ] {
            scene.refuses(&lines, &[400], &of_alice("/app/x", &lines));
            scene.refuses(&lines, &[400], &request("/public/x", &lines));
        }
    }
}

#[test]
fn whatever_else_connection_names_what_sidegate_sets_arrives() {
    let scene = Scene::new();
    for lines in [
        "Connection: close, X-Mine\r\nX-Mine: root\r\n",
        "Connection: X-Mine\r\nConnection: X-Other, keep-alive\r\nX-Mine: 1\r\nX-Other: 2\r\n",
        "Connection: \r\n",
        "Connection: ,,\r\n",
        "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
        "Proxy-Connection: X-Auth-User\r\n",
        "Keep-Alive: X-Auth-User\r\n",
        "Connection: sec-websocket-key\r\n",
    ] {
        let before = scene.app.requests().len();
        let status = scene
            .gate
            .proxy
            .raw_reply(&of_alice("/app/x", lines))
            .status;
        assert_eq!(status, 200, "{lines}");
        let seen = &scene.app.requests()[before];
        for (name, value) in [
            ("x-auth-user", "alice"),
            ("x-auth-roles", "shopper"),
            ("x-forwarded-for", "127.0.0.1"),
            ("host", "localhost"),
        ] {
            assert_eq!(seen.header(name), Some(value), "{lines}");
        }
        assert!(seen.header("x-request-id").is_some(), "{lines}");
        for name in ["x-mine", "x-other", "keep-alive", "proxy-connection"] {
            assert_eq!(seen.header(name), None, "{lines}");
        }
    }
}

/// CVE-2023-27487, CVE-2024-45806: headers of the inner circle, sent from outside.
#[test]
fn headers_elasticsearch_would_obey_never_arrive() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = with_headers(&fake, &app);
    let names = [
        "es-security-runas-user",
        "ES-Security-Runas-User",
        "es_security_runas_user",
        "es-secondary-authorization",
        "es_secondary_authorization",
        "es-client-authentication",
        "ES_Client_Authentication",
        "_xpack_security_authentication",
        "_xpack_security_user",
        "_xpack_audit_request_id",
        "X-Elastic-Internal-Origin",
        "X-Elastic-Product-Origin",
        "x_elastic_internal_origin",
    ];
    for path in ["/public/x", "/bare/x", "/through/x", "/x"] {
        for name in names {
            let call = gate.proxy.get(path).basic("alice", "alice-password");
            call.header(name, "root").send().expect(200);
        }
    }
    assert_eq!(app.requests().len(), 4 * names.len());
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

/// CVE-2026-34457, CVE-2026-40575, CVE-2026-33495, CVE-2026-24513: a header that is no credential picked the way in.
#[test]
fn no_header_but_the_credential_opens_a_route() {
    let scene = Scene::new();
    for header in [
        "User-Agent: GoogleHC/1.0",
        "User-Agent: kube-probe/1.30",
        "User-Agent: ELB-HealthChecker/2.0",
        "Referer: http://localhost/public/",
        "Referer: http://localhost/admin/",
        "X-Requested-With: XMLHttpRequest",
        "X-Original-URL: /public/x",
        "X-Rewrite-URL: /public/x",
        "X-Forwarded-Uri: /public/x",
        "X-Forwarded-Path: /public/x",
        "X-Forwarded-Prefix: /public",
        "X-Forwarded-Method: OPTIONS",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: elsewhere",
        "X-Forwarded-Port: 443",
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=elsewhere;proto=https",
        "X-Real-IP: 127.0.0.1",
        "X-HTTP-Method-Override: OPTIONS",
        "es-security-runas-user: root",
        "X-Auth-User: root",
        "Origin: http://localhost",
        "Sec-Fetch-Site: same-origin",
        "Cookie: session=root",
        "Proxy-Authorization: Basic cm9vdDpyb290LXBhc3N3b3Jk",
        "X-Api-Key: root",
    ] {
        let line = format!("{header}\r\n");
        let refused = scene.refuses(header, &[401], &request("/admin/x", &line));
        assert_eq!(refused.refusal(), Some("no_credential"), "{header}");
        let denied = scene.gate.proxy.raw_reply(&of_alice("/admin/x", &line));
        assert_eq!(denied.status, 403, "{header}");
    }
    let requests = scene.app.requests();
    assert!(requests.iter().all(|it| it.target == "/app/bystander"));
}
