//! Routes that count on some listeners only.

use crate::harness::client::Target;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::Plan;
use crate::harness::process::{Ended, run_to_end};
use crate::harness::server::Server;

fn plan(fake: &FakeElasticsearch, app: &Server) -> Plan {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .more_listeners("{ name: inside, address: \"127.0.0.1:0\" }")
        .route("inside", "/app/**", "listeners: [inside], allow: everyone")
        .route(
            "outside",
            "/app/**",
            "listeners: [main], require: { cluster: [manage] }",
        )
        .route(
            "maintenance",
            "/maintenance",
            "listeners: [inside], allow: everyone",
        )
        .route("both", "/both", "allow: everyone")
}

fn checked(plan: &Plan, command: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let path = plan.write(folder.path());
    let mut args = vec![command[0], "--config", path.to_str().unwrap()];
    args.extend(&command[1..]);
    run_to_end(&args)
}

#[test]
fn the_same_path_asks_different_things_on_different_listeners() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app).start();
    let inside = Target::http(&gate.listeners[1]);
    inside.get("/app/x").send().expect(200);
    inside.get("/maintenance").send().expect(200);
    for target in [&gate.proxy, &inside] {
        target.get("/both").send().expect(200);
    }
    let before = app.requests().len();
    gate.proxy
        .get("/app/x")
        .send()
        .expect_refusal(401, "no_credential");
    let bob = gate.proxy.get("/app/x").basic("bob", "bob-password");
    bob.send().expect_refusal(403, "forbidden");
    let nowhere = gate.proxy.get("/maintenance").send();
    nowhere.expect_refusal(404, "no_route");
    // What a client calls itself doesn't move it to another listener.
    let host = gate.listeners[1].clone();
    gate.proxy
        .get("/maintenance")
        .host(&host)
        .send()
        .expect(404);
    assert_eq!(app.requests().len(), before);
}

#[test]
fn routes_of_different_listeners_shadow_nothing() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let plan = plan(&fake, &app);
    let fine = checked(&plan, &["check"]);
    assert!(fine.code == 0, "{fine:?}");
    assert!(!format!("{fine:?}").contains("never match"), "{fine:?}");
    let shadowed = plan.route("late", "/app/x", "listeners: [inside], allow: everyone");
    let told = checked(&shadowed, &["check"]);
    let told = format!("{told:?}");
    assert!(
        told.contains("late") && told.contains("never match"),
        "{told}"
    );
}

#[test]
fn a_listener_that_there_is_not_is_a_fault_with_a_hint() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let plan = plan(&fake, &app).route("wrong", "/w", "listeners: [insde], allow: everyone");
    let ended = checked(&plan, &["check"]);
    assert_ne!(ended.code, 0);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains("routes[4].listeners[0]"), "{told}");
    assert!(
        told.contains("insde") && told.contains("`inside`"),
        "{told}"
    );
}

#[test]
fn explain_takes_the_listener_into_account() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let plan = plan(&fake, &app);
    let at = |listener: &[&str]| {
        let command = [["explain"].as_slice(), listener, &["GET", "/app/x"]].concat();
        checked(&plan, &command)
    };
    assert_eq!(at(&["--listener", "inside"]).code, 0);
    let refused = at(&["--listener", "main"]);
    assert!(refused.stdout.contains("outside"), "{refused:?}");
    assert_eq!(at(&[]).stdout, refused.stdout, "the first is the default");
    let unknown = at(&["--listener", "nowhere"]);
    assert!(unknown.stderr.contains("main, inside"), "{unknown:?}");
}
