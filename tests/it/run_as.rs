//! Acting as another user: who is recorded, what ends it, and what the upstream gets.

use serde_json::{Value, json};

use crate::harness::client::{Call, Target, basic};
use crate::harness::elasticsearch::{Account, FakeElasticsearch};
use crate::harness::plan::{Plan, Running};
use crate::harness::process::Dev;
use crate::harness::server::{Recorded, Server};

const HEADER: &str = "es-security-runas-user";

/// Who may act as whom: `boss` as `ann`, by password and by token.
fn authority() -> Dev {
    let dev = Dev::start(&[]);
    let ask = |path: &str, body: Value| {
        let call = dev.authority.put_json(&format!("/_security/{path}"), &body);
        call.basic("elastic", "changeme").send().expect(200);
    };
    ask(
        "role/boss",
        json!({"run_as": ["ann"], "cluster": ["manage_own_api_key"]}),
    );
    ask(
        "role/logs",
        json!({"cluster": ["monitor", "manage_own_api_key"]}),
    );
    ask(
        "user/boss",
        json!({"password": "boss-password", "roles": ["boss"]}),
    );
    ask(
        "user/ann",
        json!({"password": "ann-password", "roles": ["logs"]}),
    );
    dev
}

fn bearer(authority: &Target) -> String {
    let grant = json!({"grant_type": "password", "username": "boss", "password": "boss-password"});
    let call = authority.post_json("/_security/oauth2/token", &grant);
    let told = call.basic("elastic", "changeme").send().expect(200).json();
    format!("Bearer {}", told["access_token"].as_str().unwrap())
}

fn gate(authority: &str, app: &Server, forward: &str) -> Running {
    Plan::with_authority(authority)
        .upstream("app", app)
        .route(
            "all",
            "/**",
            &format!("allow: authenticated, credentials: {{ run_as: true }}, forward: {forward}"),
        )
        .start()
}

fn before(dev: &Dev, app: &Server, forward: &str) -> Running {
    let authority = format!(
        "elasticsearch: {{ nodes: [\"{}\"], timeout: 20s, credential: {{ basic: {{ username: elastic, password: changeme }} }} }}",
        dev.authority.url()
    );
    gate(&authority, app, forward)
}

fn as_ann<'g>(gate: &'g Running, authorization: &str) -> Call<'g> {
    let call = gate.proxy.get("/").authorization(authorization);
    call.header(HEADER, "ann")
}

fn last(app: &Server) -> Recorded {
    app.requests().pop().expect("a request")
}

/// The last line of the access log.
fn record(gate: &mut Running) -> Value {
    gate.process.signal("TERM");
    gate.process.wait();
    let lines = gate.process.stdout.text();
    serde_json::from_str(lines.lines().last().expect("a line")).unwrap()
}

#[test]
fn the_record_tells_who_it_was_and_whom_they_acted_as() {
    let (dev, app) = (authority(), Server::echoing());
    let token = bearer(&dev.authority);
    for authorization in [basic("boss", "boss-password"), token] {
        let mut gate = before(&dev, &app, "{ identity_headers: {} }");
        as_ann(&gate, &authorization).send().expect(200);
        assert_eq!(last(&app).header("x-forwarded-user"), Some("ann"));
        let record = record(&mut gate);
        assert_eq!(
            (&record["user.name"], &record["user.effective.name"]),
            (&json!("boss"), &json!("ann"))
        );
    }
    let mut gate = before(&dev, &app, "none");
    let call = gate.proxy.get("/").basic("ann", "ann-password");
    call.send().expect(200);
    let record = record(&mut gate);
    assert_eq!(record["user.name"], "ann");
    assert_eq!(record.get("user.effective.name"), None);
}

#[test]
fn what_ends_the_one_who_acts_ends_what_they_do_as_another() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let alice = basic("alice", "alice-password");
    let acting = format!("{alice} as ann");
    let nodes = format!(
        "elasticsearch: {{ nodes: [\"{}\"], timeout: 20s }}",
        fake.url()
    );
    let gate = gate(&nodes, &app, "none");
    for purge in [
        json!({"user": "alice"}),
        json!({"user": "ann"}),
        json!({"role": "shopper"}),
    ] {
        fake.know(&acting, Account::new("ann", &["logs"], &[]));
        gate.admin
            .post_json("/cache/purge", &json!({"all": true}))
            .send()
            .expect(200);
        as_ann(&gate, &alice).send().expect(200);
        fake.forget(&acting);
        as_ann(&gate, &alice).send().expect(200);
        gate.admin
            .post_json("/cache/purge", &purge)
            .send()
            .expect(200);
        as_ann(&gate, &alice).send().expect(401);
    }
}

#[test]
fn a_key_is_granted_to_whom_they_act_as_and_a_token_is_not() {
    let (dev, app) = (authority(), Server::echoing());
    let keys = before(&dev, &app, "{ api_key: { role_descriptors: {} } }");
    let tokens = before(&dev, &app, "{ token: {} }");
    let mut made = Vec::new();
    for authorization in [basic("boss", "boss-password"), bearer(&dev.authority)] {
        as_ann(&keys, &authorization).send().expect(200);
        let key = last(&app).header("authorization").unwrap().to_owned();
        let who = dev.authority.get("/_security/_authenticate");
        let who = who.authorization(&key).send().expect(200).json();
        assert_eq!(
            (&who["username"], &who["authentication_type"]),
            (&json!("ann"), &json!("api_key"))
        );
        assert_eq!(last(&app).header(HEADER), None);
        made.push(key);
        let seen = app.requests().len();
        as_ann(&tokens, &authorization)
            .send()
            .expect_refusal(403, "not_exchangeable");
        assert_eq!(app.requests().len(), seen);
        let own = tokens.proxy.get("/").authorization(&authorization);
        own.send().expect(200);
    }
    // Their own key is another one.
    let call = keys.proxy.get("/").basic("ann", "ann-password");
    call.send().expect(200);
    let own = last(&app).header("authorization").unwrap().to_owned();
    assert!(!made.contains(&own));
    // Who may not act as somebody gets nothing.
    let call = keys.proxy.get("/").basic("ann", "ann-password");
    let call = call.header(HEADER, "boss");
    let before = keys.metric("sidegate_es_requests_total", &[]);
    // A good password is no failed login, whomever its owner wants to be.
    for _ in 0..30 {
        call.clone().send().expect_refusal(403, "forbidden");
    }
    let asked = keys.metric("sidegate_es_requests_total", &[]) - before;
    assert!(asked <= 3.0, "asked {asked} times");
    let own = keys.proxy.get("/").basic("ann", "ann-password");
    own.send().expect(200);
}

#[test]
fn towards_elasticsearch_it_travels_with_the_credential_it_belongs_to() {
    let (dev, app) = (authority(), Server::echoing());
    let passing = before(&dev, &app, "{ elasticsearch: {} }");
    let boss = basic("boss", "boss-password");
    as_ann(&passing, &boss).send().expect(200);
    assert_eq!(last(&app).header("authorization"), Some(boss.as_str()));
    assert_eq!(last(&app).header(HEADER), Some("ann"));
    let own = before(&dev, &app, "{ elasticsearch: { run_as: true } }");
    as_ann(&own, &boss).send().expect(200);
    let elastic = basic("elastic", "changeme");
    assert_eq!(last(&app).header("authorization"), Some(elastic.as_str()));
    assert_eq!(last(&app).header(HEADER), Some("ann"));
    // Beside Sidegate's own credential it would make that one act.
    let beside = before(
        &dev,
        &app,
        "{ elasticsearch: { secondary_authorization: true } }",
    );
    let seen = app.requests().len();
    as_ann(&beside, &boss)
        .send()
        .expect_refusal(403, "not_exchangeable");
    assert_eq!(app.requests().len(), seen);
}
