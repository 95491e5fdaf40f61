//! Reloads and restarts under load: zero failed requests.

use super::load::Load;
use crate::harness::client::Target;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};
use crate::harness::ports::free_port;
use crate::harness::server::{Answer, Latch, Server};

fn plan(fake: &FakeElasticsearch, app: &Server) -> Plan {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("open", "/open", "allow: everyone")
}

/// Starts a second process on the same address and ends the first.
fn replace(old: &mut Running, plan: &Plan, load: &Load) -> Running {
    let new = plan.start();
    load.wait_for(200);
    old.process.signal("TERM");
    assert_eq!(old.process.wait().code(), Some(0));
    let told = old.process.stderr.text();
    assert!(!told.contains("connections cut"), "{told}");
    load.wait_for(200);
    new
}

#[test]
fn twenty_reloads_lose_no_request() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app).tls().start();
    let load = Load::start(&gate.proxy, 4, 1, 2);
    for round in 1..=20 {
        load.wait_for(20);
        gate.process.signal("HUP");
        let applied = ["result=\"applied\""];
        gate.wait_for_metric("sidegate_config_reloads_total", &applied, |count| {
            count >= f64::from(round)
        });
    }
    load.wait_for(20);
    assert_eq!(load.closes(), 0, "a reload closes nothing");
    load.stop();
}

#[test]
fn a_restart_with_a_shared_port_loses_no_request() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let plan = plan(&fake, &app)
        .port(free_port())
        .listener("reuse_port: true");
    let mut gate = plan.start();
    let load = Load::start(&gate.proxy, 8, 3, 0);
    for _ in 0..3 {
        gate = replace(&mut gate, &plan, &load);
    }
    assert!(load.closes() > 0, "a drain tells its clients");
    load.stop();
}

#[test]
fn a_restart_with_a_shared_port_loses_no_request_over_tls_and_http2() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let keys = tempfile::tempdir().unwrap();
    let authority = crate::harness::pki::Authority::new();
    let ca = authority.write_ca(keys.path());
    authority.write_leaf(keys.path(), "tls", &["localhost", "127.0.0.1"]);
    let port = free_port();
    let tls = format!(
        "tls: {{ certificates: [{{ certificate: {0}/tls.crt, key: {0}/tls.key }}] }}",
        keys.path().display()
    );
    let plan = plan(&fake, &app)
        .port(port)
        .listener(&tls)
        .listener("reuse_port: true");
    let mut gate = plan.start();
    let trust = crate::harness::pki::trust(&ca);
    let target = Target::https(&format!("127.0.0.1:{port}"), trust);
    let load = Load::start(&target, 3, 1, 3);
    for _ in 0..2 {
        gate = replace(&mut gate, &plan, &load);
    }
    load.stop();
}

#[test]
fn a_restart_with_a_shared_unix_socket_loses_no_request() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let plan = plan(&fake, &app)
        .address(&format!("unix:{}", socket.display()))
        .listener("reuse_port: true");
    let mut gate = plan.start();
    let load = Load::start(&gate.proxy, 4, 2, 0);
    for _ in 0..3 {
        gate = replace(&mut gate, &plan, &load);
    }
    load.stop();
    assert!(socket.exists());
}

#[test]
fn two_processes_share_an_admin_door_that_says_so() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let admin = format!(
        "{{ address: \"127.0.0.1:{}\", reuse_port: true }}",
        free_port()
    );
    let plan = plan(&fake, &app).admin(&admin);
    let (mut old, new) = (plan.start(), plan.start());
    assert_eq!(old.admin.address, new.admin.address);
    old.process.signal("TERM");
    assert_eq!(old.process.wait().code(), Some(0));
    new.admin.get("/readyz").send().expect(200);
}

#[test]
fn the_delay_keeps_everything_served_while_readiness_is_off() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let mut gate = plan(&fake, &app).and("drain_delay: 600s").start();
    gate.wait_until_ready();
    let mut wire = gate.proxy.connect();
    gate.proxy.get("/open").send_on(&mut wire).expect(200);
    gate.process.signal("TERM");
    assert!(
        gate.process
            .stderr
            .find(|line| line.contains("draining"))
            .is_some()
    );
    let not_ready = gate.admin.get("/readyz").send().expect(503);
    assert!(not_ready.text().contains("draining"));
    gate.proxy.get("/open").send().expect(200);
    let kept = gate.proxy.get("/open").send_on(&mut wire).expect(200);
    assert_eq!(kept.header("connection"), None);
    gate.process.signal("TERM");
    gate.process.wait();
}

#[test]
fn a_drain_answers_what_was_begun_says_close_and_closes_what_is_idle() {
    let fake = FakeElasticsearch::with_people();
    let latch = Latch::default();
    let held = latch.clone();
    let app = Server::start(move |request| {
        if request.target == "/open?held" {
            held.wait();
        }
        Answer::text("upstream")
    });
    let mut gate = plan(&fake, &app).start();
    let (mut idle, mut begun, mut busy) = (
        gate.proxy.connect(),
        gate.proxy.connect(),
        gate.proxy.connect(),
    );
    gate.proxy.get("/open").send_on(&mut idle).expect(200);
    gate.proxy.get("/open").send_on(&mut begun).expect(200);
    let request = gate.proxy.get("/open").bytes();
    let (start, rest) = request.split_at(20);
    begun.send(start).unwrap();
    busy.send(&gate.proxy.get("/open?held").bytes()).unwrap();
    app.wait_until(|requests| {
        requests
            .iter()
            .any(|request| request.target == "/open?held")
    });
    gate.process.signal("TERM");
    assert!(
        gate.process
            .stderr
            .find(|line| line.contains("draining"))
            .is_some()
    );
    // Whoever says nothing is closed on after a moment, in order.
    assert_eq!(idle.read_to_close(), b"");
    begun.send(rest).unwrap();
    let told = begun.reply().unwrap().expect(200);
    assert_eq!(told.header("connection"), Some("close"));
    assert_eq!(begun.read_to_close(), b"");
    latch.open();
    let told = busy.reply().unwrap().expect(200);
    assert_eq!(told.header("connection"), Some("close"));
    assert_eq!(gate.process.wait().code(), Some(0));
}
