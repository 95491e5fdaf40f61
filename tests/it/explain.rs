//! `sidegate explain`: the real gate, step by step.

use serde_json::Value;

use crate::harness::elasticsearch::{Account, FakeElasticsearch};
use crate::harness::pki::{Authority, Client};
use crate::harness::plan::Plan;
use crate::harness::process::{Ended, run_to_end};
use crate::harness::server::Server;

fn explain(fake: &FakeElasticsearch, more: &[&str]) -> Ended {
    let app = Server::echoing();
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::with_elasticsearch(fake)
        .upstream("app", &app)
        .route("open", "/open/**", "allow: everyone")
        .route("monitor", "/monitor/**", "require: { cluster: [monitor] }");
    let path = plan.write(folder.path());
    let mut args = vec!["explain", "--config", path.to_str().unwrap()];
    args.extend(more);
    let ended = run_to_end(&args);
    assert!(app.requests().is_empty(), "explain forwards nothing");
    ended
}

#[test]
fn it_tells_route_identity_and_what_is_missing() {
    let fake = FakeElasticsearch::with_people();
    let refused = explain(&fake, &["GET", "/monitor/x", "--user", "bob:bob-password"]);
    for part in ["monitor", "bob", "forbidden"] {
        assert!(refused.stdout.contains(part), "{part}: {refused:?}");
    }
    let passed = explain(
        &fake,
        &["GET", "/monitor/x", "--user", "alice:alice-password"],
    );
    assert_eq!(passed.code, 0, "{passed:?}");
    assert!(
        !format!("{refused:?}{passed:?}").contains("-password"),
        "no secret is shown"
    );
}

#[test]
fn it_tells_its_verdict_once() {
    let fake = FakeElasticsearch::with_people();
    for more in [&[][..], &["--json"]] {
        let mut args = vec!["GET", "/monitor/x", "--user", "bob:bob-password"];
        args.extend(more);
        let told = explain(&fake, &args).stdout;
        assert_eq!(told.matches("verdict").count(), 1, "{told}");
    }
}

#[test]
fn a_certificate_can_be_tried_and_what_the_upstream_would_get_is_told() {
    let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let client = Client::of(&Authority::new(), "robot", |_| {});
    let account = Account::new("robot", &["machine"], &["cluster:monitor"]);
    fake.know_certificate(&client.chain[0], account);
    let (pem, _) = client.write(folder.path(), "robot");
    let plan = Plan::with_authority(&fake.yaml_with_own())
        .upstream("app", &app)
        .route(
            "all",
            "/**",
            "require: { cluster: [monitor] }, forward: { token: {} }",
        );
    let config = plan.write(folder.path());
    let (config, pem) = (config.to_str().unwrap(), pem.to_str().unwrap());
    let args = [
        "explain",
        "--config",
        config,
        "GET",
        "/",
        "--certificate",
        pem,
    ];
    let ended = run_to_end(&args);
    assert_eq!(ended.code, 0, "{ended:?}");
    for part in ["certificate", "robot", "an access token", "permitted"] {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
    // It leaves nothing behind.
    assert_eq!(fake.taken_back(), ["token-canary-1"]);
    assert!(app.requests().is_empty());
    let missing = [
        "explain",
        "--config",
        config,
        "GET",
        "/",
        "--certificate",
        "/nonexistent",
    ];
    let ended = run_to_end(&missing);
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.contains("/nonexistent"), "{ended:?}");
}

#[test]
fn it_speaks_json() {
    let fake = FakeElasticsearch::with_people();
    let ended = explain(
        &fake,
        &[
            "--json",
            "GET",
            "/monitor/x",
            "--user",
            "alice:alice-password",
        ],
    );
    let told: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let text = told.to_string();
    for step in ["route", "credential", "verdict"] {
        assert!(text.contains(step), "{step}: {text}");
    }
}

#[test]
fn it_judges_like_the_gate() {
    let fake = FakeElasticsearch::with_people();
    for (args, expected) in [
        (vec!["GET", "/open/x"], None),
        (vec!["GET", "/monitor/x"], Some("no_credential")),
        (vec!["GET", "/nowhere"], Some("no_route")),
        (vec!["GET", "/open/..%2fmonitor"], Some("ambiguous_path")),
        (
            vec!["GET", "/monitor/x", "-H", "Authorization: Basic !!"],
            Some("malformed_credential"),
        ),
        (
            vec!["GET", "/monitor/x", "--user", "alice:wrong"],
            Some("unauthenticated"),
        ),
    ] {
        let ended = explain(&fake, &args);
        match expected {
            None => assert_eq!(ended.code, 0, "{args:?}: {ended:?}"),
            Some(reason) => assert!(ended.stdout.contains(reason), "{args:?}: {ended:?}"),
        }
    }
}
