//! The admin door: health, metrics, cache, routes, log level; on a listener of its own.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::elasticsearch::{FakeElasticsearch, Script};
use crate::harness::plan::{Plan, Running};
use crate::harness::process::end_of;
use crate::harness::server::Server;
use crate::harness::tools;

fn gate(fake: &FakeElasticsearch, app: &Server) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("open", "/open/**", "allow: everyone")
        .route("monitor", "/monitor/**", "require: { cluster: [monitor] }")
        .start()
}

/// One request of every kind.
fn use_it(gate: &Running) {
    gate.proxy.get("/open/x").send().expect(200);
    gate.proxy.get("/monitor/x").send().expect(401);
    for _ in 0..3 {
        gate.proxy
            .get("/monitor/x")
            .basic("alice", "alice-password")
            .send()
            .expect(200);
    }
    gate.proxy
        .get("/monitor/x")
        .basic("bob", "bob-password")
        .send()
        .expect(403);
    gate.proxy
        .get("/monitor/x")
        .basic("alice", "wrong")
        .send()
        .expect(401);
    gate.proxy.get("/nowhere").send().expect(404);
    gate.proxy.get("/open/..%2f").send().expect(400);
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics_of_a_busy_gate() {
    let Some(promtool) = tools::find("promtool", "the metrics check") else {
        return;
    };
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    use_it(&gate);
    fake.behave(Script::Status(500));
    gate.proxy
        .get("/monitor/x")
        .basic("root", "root-password")
        .send()
        .expect(503);
    let metrics = gate.metrics();

    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(metrics.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn metrics_count_what_happened_under_closed_labels() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    use_it(&gate);
    for (route, count) in [("monitor", 6.0), ("open", 1.0)] {
        let label = format!("route=\"{route}\"");
        gate.wait_for_metric("sidegate_requests_total", &[&label], |total| total == count);
    }
    let ambiguous = ["reason=\"ambiguous_path\""];
    gate.wait_for_metric("sidegate_rejected_requests_total", &ambiguous, |total| {
        total == 1.0
    });
    for (reason, count) in [
        ("forbidden", 1.0),
        ("no_route", 1.0),
        ("unauthenticated", 1.0),
    ] {
        let label = format!("reason=\"{reason}\"");
        gate.wait_for_metric("sidegate_authz_total", &[&label], |total| total == count);
    }
    let hits = ["cache=\"identity\"", "result=\"hit\""];
    gate.wait_for_metric("sidegate_cache_requests_total", &hits, |total| total >= 2.0);

    // Hundreds of odd requests make no new series.
    let series = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let named = lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()));
        named.collect()
    };
    // A series appears when its labels first come together; the labels themselves are all known.
    gate.proxy.call("ODD", "/open/x").send().expect(200);
    let before = series(&gate.metrics());
    let mut wire = gate.proxy.connect();
    for number in 0..500 {
        let call = gate
            .proxy
            .call(&format!("METHOD{number}"), &format!("/open/{number}"))
            .host(&format!("h{number}.example"));
        call.send_on(&mut wire);
    }
    let after = series(&gate.metrics());
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
}

#[test]
fn health_tells_which_part_is_not_ready() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    gate.admin.get("/livez").send().expect(200);
    gate.wait_until_ready();
    gate.admin.get("/elsewhere").send().expect(404);
}

#[test]
fn a_gate_whose_authority_is_gone_is_alive_but_not_ready() {
    let app = Server::echoing();
    let gate =
        Plan::with_authority("elasticsearch: { nodes: [\"http://127.0.0.1:1\"], timeout: 500ms }")
            .upstream("app", &app)
            .route("open", "/open/**", "allow: everyone")
            .start();
    gate.admin.get("/livez").send().expect(200);
    let not_ready = gate.admin.get("/readyz").send().expect(503);
    assert!(
        not_ready.text().contains("authority"),
        "{}",
        not_ready.text()
    );
    gate.proxy.get("/open/x").send().expect(200);
}

#[test]
fn the_health_command_says_it_with_its_exit_code() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    gate.wait_until_ready();
    let url = format!("{}/readyz", gate.admin.url());
    let healthy = crate::harness::process::run_to_end(&["health", "--url", &url]);
    assert_eq!(healthy.code, 0, "{healthy:?}");
    let sick =
        crate::harness::process::run_to_end(&["health", "--url", "http://127.0.0.1:1/readyz"]);
    assert_eq!(sick.code, 1, "{sick:?}");
}

#[test]
fn the_route_table_is_shown_in_written_order() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    let routes = gate.admin.get("/routes").send().expect(200).text();
    let place = |name: &str| {
        routes
            .find(name)
            .unwrap_or_else(|| panic!("{name} in {routes}"))
    };
    assert!(place("open") < place("monitor"), "{routes}");
}

#[test]
fn cache_statistics_and_purge() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    gate.proxy
        .get("/monitor/x")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    let entries = ["cache=\"identity\""];
    gate.wait_for_metric("sidegate_cache_entries", &entries, |count| count == 1.0);
    assert!(
        gate.admin
            .get("/cache")
            .send()
            .expect(200)
            .json()
            .is_object()
    );
    gate.admin
        .post_json("/cache/purge", &json!({"all": true}))
        .send()
        .expect(200);
    gate.wait_for_metric("sidegate_cache_entries", &entries, |count| count == 0.0);
    for bad in [json!({}), json!({"everything": true}), json!({"user": 5})] {
        gate.admin
            .post_json("/cache/purge", &bad)
            .send()
            .expect(400);
    }
    gate.admin
        .post("/cache/purge", "not json")
        .send()
        .expect(400);
    gate.admin.get("/cache/purge").send().expect(405);
}

#[test]
fn the_log_level_can_be_changed_while_running() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    gate.admin
        .call("PUT", "/log/level")
        .body("sidegate=trace")
        .send()
        .expect(200);
    gate.admin
        .call("PUT", "/log/level")
        .body("{\"level\": 5}")
        .send()
        .expect(400);
}

#[test]
fn promtool_accepts_the_rules_the_scrape_config_and_their_tests() {
    let Some(promtool) = tools::find("promtool", "the alerts") else {
        return;
    };
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    for args in [
        ["check", "rules", "prometheus-rules.yaml"],
        ["test", "rules", "prometheus-rules.test.yaml"],
        ["check", "config", "prometheus.yml"],
    ] {
        let ended = end_of(Command::new(&promtool).current_dir(config).args(args));
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
    }
}

#[test]
fn a_web_page_cannot_use_the_admin_door() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    let rebound = gate.admin.get("/routes").host("evil.example").send().status;
    assert!((400..500).contains(&rebound), "{rebound}");
    let purge = gate.admin.post_json("/cache/purge", &json!({"all": true}));
    let cross_site = purge.header("Origin", "https://evil.example").send().status;
    assert!((400..500).contains(&cross_site), "{cross_site}");
}
