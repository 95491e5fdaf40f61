//! Planted canaries are found nowhere they don't belong, and nobody fills logs or metrics.

use serde_json::json;

use super::fixture::{Scene, of_root};
use crate::harness::client::basic;
use crate::harness::elasticsearch::{Account, FakeElasticsearch, Script};
use crate::harness::plan::Plan;
use crate::harness::process::run_to_end;
use crate::harness::server::Server;

const CANARIES: [&str; 7] = [
    "canary-password",
    "canary-wrong",
    "canary-bearer",
    "canary-query",
    "canary-cookie",
    "canary-own",
    "canary-body",
];

#[test]
fn no_secret_is_in_any_log_metric_answer_or_admin_page() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    fake.know(
        &basic("alice", "canary-password"),
        Account::new("alice", &[], &[]),
    );
    fake.know(
        &basic("own", "canary-own"),
        Account::new("own", &[], &["*"]),
    );
    let gate = Plan::with_authority(&format!(
        "elasticsearch: {{ nodes: [\"{}\"], credential: {{ basic: {{ username: own, password: canary-own }} }} }}",
        fake.url()
    ))
    .upstream("app", &app)
    .route("monitor", "/monitor", "require: { cluster: [monitor] }")
    .route("any", "/**", "allow: authenticated")
    .start();
    gate.admin.call("PUT", "/log/level").body("trace").send();

    let secrets = [
        basic("alice", "canary-password"),
        basic("alice", "canary-wrong"),
        "Bearer canary-bearer".to_owned(),
        "ApiKey Y2FuYXJ5LWtleTpjYW5hcnkta2V5LXNlY3JldA==".to_owned(),
        "Basic canary-bearer".to_owned(),
        "Unknown canary-bearer".to_owned(),
    ];
    let mut seen = String::new();
    for secret in &secrets {
        for path in [
            "/x?token=canary-query",
            "/monitor?token=canary-query",
            "/x%2f?token=canary-query",
        ] {
            let call = gate.proxy.post(path, "canary-body").authorization(secret);
            let reply = call.header("Cookie", "session=canary-cookie").send();
            seen.push_str(&format!("{:?} {}\n", reply.headers, reply.text()));
        }
    }
    fake.behave(Script::Status(500));
    let reply = gate.proxy.get("/x").basic("alice", "canary-wrong-2").send();
    seen.push_str(&reply.text());
    gate.admin
        .post_json("/cache/purge", &json!({"user": "alice"}))
        .send();
    for page in ["/metrics", "/cache", "/routes", "/readyz", "/livez", "/"] {
        seen.push_str(&gate.admin.get(page).send().text());
    }
    let config = gate.config.to_str().unwrap();
    for args in [
        vec!["check", "--config", config],
        vec![
            "explain",
            "--config",
            config,
            "GET",
            "/x",
            "--user",
            "alice:canary-password",
        ],
        vec![
            "explain",
            "--config",
            config,
            "GET",
            "/x",
            "-H",
            "Authorization: Bearer canary-bearer",
        ],
    ] {
        let ended = run_to_end(&args);
        seen.push_str(&format!("{}{}", ended.stdout, ended.stderr));
    }
    let mut gate = gate;
    gate.process.signal("TERM");
    gate.process.wait();
    seen.push_str(&gate.process.output());

    for line in seen.lines() {
        for canary in CANARIES {
            assert!(!line.contains(canary), "{canary} in: {line}");
        }
        for secret in &secrets {
            let encoded = secret.split(' ').nth(1).unwrap_or_default();
            assert!(!line.contains(encoded), "{secret} in: {line}");
        }
    }
}

#[test]
fn odd_names_stay_on_one_escaped_line_of_the_log() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    let odd = "a\"\\{}\u{1b}[31m\u{202e}";
    fake.know("Bearer odd", Account::new(odd, &[], &[]));
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("any", "/**", "allow: authenticated")
        .start();
    gate.proxy
        .get("/x%22%7b")
        .authorization("Bearer odd")
        .send();
    gate.proxy
        .get(&format!("/{}", "l".repeat(30_000)))
        .authorization("Bearer odd")
        .send();
    let mut gate = gate;
    gate.process.signal("TERM");
    gate.process.wait();
    let lines: Vec<String> = gate
        .process
        .stdout
        .text()
        .lines()
        .map(str::to_owned)
        .collect();
    assert!(!lines.is_empty());
    for line in lines {
        assert!(!line.contains('\u{1b}'), "{line:?}");
        assert!(line.len() < 8 * 1024, "{} bytes", line.len());
        let _: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

/// CVE-2024-45808: what a client says became a line of the log.
#[test]
fn names_of_any_length_and_any_letters_stay_on_one_short_line_of_the_log() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    let names = [
        "a\"\n{}".to_owned(),
        "line\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}".to_owned(),
        "\u{1b}[2J\u{1b}]0;title\u{7}".to_owned(),
        "\u{202e}\u{2028}\u{85}\u{0}".to_owned(),
        "x".repeat(100_000),
    ];
    for (at, name) in names.iter().enumerate() {
        let account = Account::new(name, &[], &[]);
        fake.know(&format!("Bearer odd{at}"), account);
    }
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("monitor", "/monitor", "require: { cluster: [monitor] }")
        .route("any", "/**", "allow: authenticated")
        .and("login_limit: { per_address: 1000, per_username: 1000 }")
        .start();
    gate.admin.call("PUT", "/log/level").body("debug").send();
    for (at, name) in names.iter().enumerate() {
        for path in ["/x", "/monitor"] {
            let call = gate.proxy.get(path);
            let status = call.authorization(&format!("Bearer odd{at}")).send().status;
            assert!(matches!(status, 200 | 403 | 503), "{at}: {status}");
        }
        // The same as a name that is typed.
        let typed: String = name.chars().take(5_000).collect();
        let call = gate.proxy.get("/x");
        call.basic(&typed.replace(char::is_control, "?"), "pw")
            .send()
            .expect(401);
    }
    let mut gate = gate;
    gate.process.signal("TERM");
    gate.process.wait();
    let output = gate.process.stdout.text();
    assert!(output.lines().count() > names.len());
    for line in output.lines() {
        assert!(
            !line.contains(['\u{1b}', '\u{202e}', '\u{2028}', '\u{85}']),
            "{line:?}"
        );
        assert!(line.len() < 8 * 1024, "{} bytes", line.len());
        let told: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(told["message"], "forged", "{line}");
    }
}

#[test]
fn no_client_adds_a_series_to_the_metrics() {
    let scene = Scene::new();
    let attack = |from: usize, to: usize| {
        let mut wire = scene.gate.proxy.connect();
        for at in from..to {
            let path = ["public", "app", "nowhere", "p%2f"][at % 4];
            let method = ["GET", "DELETE", "PROPFIND", "MADE-UP"][at / 4 % 4];
            let method = if at % 3 == 0 {
                format!("M{at}")
            } else {
                method.to_owned()
            };
            let call = scene.gate.proxy.call(&method, &format!("/{path}/{at}"));
            let call = call.host(&format!("host-{at}.example"));
            let call = call.header("User-Agent", &format!("agent-{at}"));
            call.authorization(&format!("Bearer guess-{at}"))
                .send_on(&mut wire);
        }
    };
    let series = || {
        let text = scene.gate.metrics();
        assert!(!text.contains("host-") && !text.contains("agent-") && !text.contains("guess-"));
        text.lines().filter(|line| !line.starts_with('#')).count()
    };
    attack(0, 200);
    let before = series();
    attack(200, 3_000);
    assert_eq!(series(), before);
}

#[test]
fn nothing_of_the_admin_door_is_behind_the_public_one() {
    let scene = Scene::new();
    for path in [
        "/",
        "/metrics",
        "/health",
        "/healthz",
        "/livez",
        "/readyz",
        "/ready",
        "/cache",
        "/cache/purge",
        "/routes",
        "/config",
        "/log/level",
        "/sessions",
        "/debug/pprof/",
        "/admin",
        "/.well-known/jwks.json",
        "/_security/_authenticate",
    ] {
        let status = scene.gate.proxy.raw_reply(&of_root(path)).status;
        let expected = if path == "/admin" { 200 } else { 404 };
        assert_eq!(status, expected, "{path}");
    }
    let requests = scene.app.requests();
    assert!(
        requests
            .iter()
            .all(|it| ["/app/bystander", "/admin"].contains(&it.target.as_str()))
    );
}
