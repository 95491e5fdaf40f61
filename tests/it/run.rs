//! `sidegate run`: start, reload, drain.

use std::fs;

use crate::harness::client::basic;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::pki::{Authority, trust};
use crate::harness::plan::Plan;
use crate::harness::process::{end_of, run_to_end, sidegate};
use crate::harness::server::{Answer, Latch, Server};

fn plan(fake: &FakeElasticsearch, app: &Server) -> Plan {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("first", "/first", "allow: everyone")
}

#[test]
fn hangup_swaps_the_config_and_keeps_the_listener() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app).start();
    let mut wire = gate.proxy.connect();
    gate.proxy.get("/first").send_on(&mut wire).expect(200);
    gate.proxy.get("/second").send_on(&mut wire).expect(404);

    let longer = plan(&fake, &app).route("second", "/second", "allow: everyone");
    fs::write(&gate.config, longer.yaml(gate.folder.path())).unwrap();
    gate.process.signal("HUP");
    gate.wait_for_reload("applied");
    gate.proxy.get("/second").send().expect(200);
    gate.proxy.get("/second").send_on(&mut wire).expect(200);
}

#[test]
fn a_changed_file_is_read_without_being_told() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app).start();
    let longer = plan(&fake, &app).route("second", "/second", "allow: everyone");
    // As editors and Kubernetes do it: a new file renamed over the old one.
    let beside = gate.folder.path().join("new.yaml");
    fs::write(&beside, longer.yaml(gate.folder.path())).unwrap();
    fs::rename(&beside, &gate.config).unwrap();
    gate.wait_for_reload("applied");
    gate.proxy.get("/second").send().expect(200);
}

#[test]
fn a_bad_config_is_refused_with_all_its_faults_and_the_old_one_stays() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app).start();
    let bad = plan(&fake, &app)
        .route_yaml("{ name: a, match: { path: \"no-slash\" }, upstream: app, allow: everyone }")
        .route_yaml("{ name: b, match: { path: \"/b\" }, upstream: nowhere, allow: everyone }");
    fs::write(&gate.config, bad.yaml(gate.folder.path())).unwrap();
    gate.process.signal("HUP");
    gate.wait_for_reload("refused");
    gate.proxy.get("/first").send().expect(200);
    for fault in ["no-slash", "nowhere"] {
        assert!(
            gate.process
                .stderr
                .find(|line| line.contains(fault))
                .is_some(),
            "{fault}: {}",
            gate.process.output()
        );
    }
}

#[test]
fn a_reload_keeps_no_answer_that_the_old_config_gave() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("x", "/x", "require: { cluster: [monitor] }")
        .start();
    gate.proxy
        .get("/x")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    let stricter = Plan::with_elasticsearch(&fake).upstream("app", &app).route(
        "x",
        "/x",
        "require: { cluster: [manage] }",
    );
    fs::write(&gate.config, stricter.yaml(gate.folder.path())).unwrap();
    gate.process.signal("HUP");
    gate.wait_for_reload("applied");
    gate.proxy
        .get("/x")
        .basic("alice", "alice-password")
        .send()
        .expect(403);
}

#[test]
fn a_new_certificate_is_served_after_a_reload() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app).tls().start();
    gate.proxy.get("/first").send().expect(200);

    let other = Authority::new();
    let folder = gate.folder.path();
    other.write_leaf(folder, "tls", &["localhost", "127.0.0.1"]);
    let ca = other.write_ca(folder);
    gate.process.signal("HUP");
    gate.wait_for_reload("applied");
    let renewed =
        crate::harness::client::Target::https(&gate.proxy.address.to_string(), trust(&ca));
    renewed.get("/first").send().expect(200);
}

#[test]
fn terminate_finishes_what_is_under_way_and_takes_nothing_new() {
    let fake = FakeElasticsearch::with_people();
    let latch = Latch::default();
    let held = latch.clone();
    let app = Server::start(move |_| {
        held.wait();
        Answer::text("finished")
    });
    let mut gate = plan(&fake, &app).start();
    let mut wire = gate.proxy.connect();
    wire.send(&gate.proxy.get("/first").bytes()).unwrap();
    app.wait_for_requests(1);
    gate.process.signal("TERM");
    gate.process
        .stderr
        .find(|line| line.contains("drain"))
        .expect("it says so");
    let not_ready = gate.admin.get("/readyz").send().expect(503);
    assert!(not_ready.text().contains("drain"), "{}", not_ready.text());
    latch.open();
    assert_eq!(wire.reply().unwrap().expect(200).text(), "finished");
    assert_eq!(gate.process.wait().code(), Some(0));
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let fake = FakeElasticsearch::with_people();
    let latch = Latch::default();
    let held = latch.clone();
    let app = Server::start(move |_| {
        held.wait();
        Answer::HangUp
    });
    let mut gate = plan(&fake, &app).and("drain_timeout: 200ms").start();
    let mut wire = gate.proxy.connect();
    wire.send(&gate.proxy.get("/first").bytes()).unwrap();
    app.wait_for_requests(1);
    gate.process.signal("TERM");
    gate.process.wait();
    latch.open();
}

#[test]
fn a_second_signal_cuts_a_drain_and_tells_how_many_connections_that_were() {
    let latch = Latch::default();
    let held = latch.clone();
    let fake = FakeElasticsearch::with_people();
    let app = Server::start(move |_| {
        held.wait();
        Answer::text("late")
    });
    let mut gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("open", "/open", "allow: everyone")
        .and("drain_timeout: 600s")
        .start();
    let mut wire = gate.proxy.connect();
    wire.send(&gate.proxy.get("/open").bytes()).unwrap();
    app.wait_for_requests(1);
    gate.process.signal("TERM");
    let draining = gate.process.stderr.find(|line| line.contains("draining"));
    assert!(draining.is_some());
    gate.process.signal("TERM");
    gate.process.wait();
    let told = gate.process.stderr.text();
    let line = told.lines().find(|line| line.contains("second signal"));
    let line = line.unwrap_or_else(|| panic!("{told}"));
    assert!(line.contains("cut=1"), "{line}");
    latch.open();
}

#[test]
fn a_bad_config_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    fs::write(&path, "listeners: []\nroutez: []\n").unwrap();
    let ended = run_to_end(&["run", "--config", path.to_str().unwrap()]);
    assert_ne!(ended.code, 0);
    for fault in ["routez", "routes", "authority", "upstreams", "listeners"] {
        assert!(ended.stderr.contains(fault), "{fault}: {}", ended.stderr);
    }
}

#[test]
fn the_embedded_authority_serves_a_gate() {
    let app = Server::echoing();
    let gate = Plan::with_authority(
        "embedded: { address: \"127.0.0.1:0\", superuser_password: secret-1 }",
    )
    .upstream("app", &app)
    .route("all", "/**", "require: { cluster: [monitor] }")
    .start();
    let authority = gate.authority.as_ref().expect("its address is told");
    let body = serde_json::json!({"cluster": ["monitor"]});
    let elastic = basic("elastic", "secret-1");
    authority
        .put_json("/_security/role/watcher", &body)
        .authorization(&elastic)
        .send()
        .expect(200);
    let body = serde_json::json!({"password": "wanda-password", "roles": ["watcher"]});
    authority
        .put_json("/_security/user/wanda", &body)
        .authorization(&elastic)
        .send()
        .expect(200);
    gate.proxy
        .get("/x")
        .basic("wanda", "wanda-password")
        .send()
        .expect(200);
    gate.proxy
        .get("/x")
        .basic("wanda", "wrong")
        .send()
        .expect(401);
}

#[test]
fn a_random_superuser_password_is_printed_once() {
    let app = Server::echoing();
    let gate = Plan::with_authority("embedded: { address: \"127.0.0.1:0\" }")
        .upstream("app", &app)
        .route("all", "/**", "allow: authenticated")
        .start();
    let line = gate
        .process
        .stderr
        .find(|line| line.contains("elastic") && line.contains("password"));
    assert!(line.is_some(), "{}", gate.process.output());
    gate.proxy
        .get("/")
        .basic("elastic", "changeme")
        .send()
        .expect(401);
}

#[test]
fn nodes_fail_over() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_authority(&format!(
        "elasticsearch: {{ nodes: [\"http://127.0.0.1:1\", \"{}\"] }}",
        fake.url()
    ))
    .upstream("app", &app)
    .route("any", "/**", "allow: authenticated")
    .start();
    for (user, password) in [
        ("alice", "alice-password"),
        ("bob", "bob-password"),
        ("root", "root-password"),
    ] {
        gate.proxy.get("/").basic(user, password).send().expect(200);
    }
}

#[test]
fn an_authority_behind_its_own_ca_is_verified() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::echoing();
    let ca = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let pem = ca.write_ca(folder.path());
    let sealed = Server::start_tls(ca.server_config(&[b"http/1.1"]), |_| {
        let body = serde_json::json!({
            "username": "alice", "roles": [], "full_name": null, "email": null, "metadata": {}, "enabled": true,
            "authentication_realm": {"name": "r", "type": "native"}, "lookup_realm": {"name": "r", "type": "native"},
            "authentication_type": "realm",
        });
        let headers = vec![
            ("x-elastic-product", "Elasticsearch".to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        Answer::Reply(200, headers, body.to_string().into_bytes())
    });
    drop(fake);
    let url = format!("https://localhost:{}", sealed.address.port());
    let run = |ca: &str| {
        Plan::with_authority(&format!(
            "elasticsearch: {{ nodes: [\"{url}\"]{ca}, timeout: 5s }}"
        ))
        .upstream("app", &app)
        .route("any", "/**", "allow: authenticated")
        .start()
    };
    let trusting = run(&format!(", ca: {}", pem.display()));
    trusting
        .proxy
        .get("/")
        .basic("alice", "x")
        .send()
        .expect(200);
    let doubting = run("");
    doubting
        .proxy
        .get("/")
        .basic("alice", "x")
        .send()
        .expect_refusal(503, "authority_unavailable");
}

#[test]
fn version_completions_and_help() {
    let version = run_to_end(&["--version"]);
    assert!(
        version.code == 0 && version.stdout.contains(env!("CARGO_PKG_VERSION")),
        "{version:?}"
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = run_to_end(&["completions", shell]);
        assert!(
            script.code == 0 && script.stdout.contains("sidegate"),
            "{script:?}"
        );
    }
    for command in [
        "dev",
        "run",
        "check",
        "explain",
        "schema",
        "completions",
        "health",
    ] {
        let help = end_of(sidegate().args([command, "--help"]));
        assert_eq!(help.code, 0, "{command}: {help:?}");
    }
    assert_eq!(run_to_end(&["no-such-command"]).code, 2);
}
