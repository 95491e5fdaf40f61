//! Planted canaries are found nowhere they don't belong.

use serde_json::json;

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
