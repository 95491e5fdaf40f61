//! `sidegate explain`: the real gate, step by step.

use serde_json::Value;

use crate::harness::elasticsearch::FakeElasticsearch;
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
