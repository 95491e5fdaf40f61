//! How often the authority is asked in steady state: never for what is known, once for each credential, and once per renewal.

use std::fs;
use std::sync::Arc;

use serde_json::json;

use crate::harness::client::{Call, Target, basic};
use crate::harness::elasticsearch::{Account, FakeElasticsearch, Ticket};
use crate::harness::pki::{Authority, Client};
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

/// What figures in the documentation are told for.
const REQUESTS: usize = 1_000;

/// Requests to the authority, but for its signs of life.
fn asks(fake: &FakeElasticsearch) -> Vec<String> {
    fake.server
        .requests()
        .iter()
        .filter(|request| request.target.starts_with("/_security"))
        .map(|request| format!("{} {}", request.method, request.target))
        .collect()
}

/// Sends a thousand of them on one connection; returns what was asked because of the first, and because of all others.
fn thousand(fake: &FakeElasticsearch, target: &Target, call: &Call<'_>) -> (Vec<String>, usize) {
    let before = asks(fake).len();
    let mut wire = target.connect();
    call.send_on(&mut wire).expect(200);
    let first = asks(fake).split_off(before);
    for _ in 1..REQUESTS {
        call.send_on(&mut wire).expect(200);
    }
    (first.clone(), asks(fake).len() - before - first.len())
}

fn plan(fake: &FakeElasticsearch, app: &Server, keys: &str) -> Plan {
    Plan::with_authority(&fake.yaml_with_own())
        .upstream("app", app)
        .route("all", "/**", keys)
        .and("access_log: { format: off }")
}

const KEY: &str = "aG9vazpob29rLWNhbmFyeQ==";
const PAIR: [&str; 2] = [
    "GET /_security/_authenticate",
    "POST /_security/user/_has_privileges",
];

/// The same, sorted, with what else is asked.
fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all = PAIR.to_vec();
    all.extend(more);
    all.sort_unstable();
    all
}

fn without_query(asked: &[String]) -> Vec<&str> {
    let mut asked: Vec<_> = asked
        .iter()
        .map(|ask| ask.split('?').next().unwrap_or_default())
        .collect();
    asked.sort_unstable();
    asked
}

#[test]
fn each_way_in_costs_its_asks_once_and_none_on_a_warm_cache() {
    let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
    let who = |name: &str| Account::new(name, &[], &["cluster:monitor"]);
    let alice = basic("alice", "alice-password");
    for (authorization, name) in [
        ("Bearer opaque", "tina"),
        ("Bearer a.b.c", "jwt"),
        (&format!("ApiKey {KEY}"), "hook"),
        (&format!("{alice} as bob"), "bob"),
        (&basic("fixed", "pw"), "fixed"),
    ] {
        fake.know(authorization, who(name));
    }
    let keys = "require: { cluster: [monitor] }, credentials: { run_as: true, api_key: { header: X-Key, query_parameter: key }, anonymous: { basic: { username: fixed, password: pw } } }";
    let gate = plan(&fake, &app, keys).start();
    let get = || gate.proxy.get("/");
    let in_query = format!("/?key={KEY}");
    let key_asks = with(&["GET /_security/api_key"]);
    for (name, call, wanted) in [
        ("password", get().authorization(&alice), with(&[])),
        ("token", get().authorization("Bearer opaque"), with(&[])),
        ("jwt", get().authorization("Bearer a.b.c"), with(&[])),
        (
            "api key",
            get().authorization(&format!("ApiKey {KEY}")),
            key_asks,
        ),
        ("key in a header", get().header("X-Key", KEY), Vec::new()),
        ("key in the query", gate.proxy.get(&in_query), Vec::new()),
        (
            "run as",
            get()
                .authorization(&alice)
                .header("es-security-runas-user", "bob"),
            // Who it is that acts as somebody is asked as well.
            with(&[PAIR[0]]),
        ),
        ("anonymous", get(), with(&[])),
    ] {
        let (first, rest) = thousand(&fake, &gate.proxy, &call);
        assert_eq!(without_query(&first), wanted, "{name}");
        assert_eq!(rest, 0, "{name}: asks by 999 requests with a warm cache");
    }
}

#[test]
fn a_certificate_and_a_ticket_cost_one_exchange_more() {
    let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
    let who = |name: &str| Account::new(name, &[], &["cluster:monitor"]);
    let (ca, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let ca_file = ca.write_ca(folder.path());
    let robot = Client::of(&ca, "robot", |_| {});
    fake.know_certificate(&robot.chain[0], who("robot"));
    fake.know_ticket("dGlja2V0", Ticket::Of(who("kerb"), "bXV0dWFs"));
    let gate = plan(&fake, &app, "require: { cluster: [monitor] }")
        .clients(&format!("{{ mode: optional, ca: {} }}", ca_file.display()))
        .and("credentials: { kerberos: {} }")
        .start();
    let (config, _): (Arc<_>, _) = robot.config(&gate.folder.path().join("ca.pem"));
    let target = Target::https(&gate.proxy.address.to_string(), config);
    let (first, rest) = thousand(&fake, &target, &target.get("/"));
    let exchange = with(&["POST /_security/delegate_pki"]);
    assert_eq!((without_query(&first), rest), (exchange, 0));

    let before = asks(&fake).len();
    let reply = gate
        .proxy
        .get("/")
        .authorization("Negotiate dGlja2V0")
        .send()
        .expect(200);
    let first = asks(&fake).split_off(before);
    let exchange = with(&["POST /_security/oauth2/token"]);
    assert_eq!(without_query(&first), exchange);
    let line = reply.header("set-cookie").unwrap();
    let cookie = line.split(';').next().unwrap();
    let call = gate.proxy.get("/").header("Cookie", cookie);
    let (first, rest) = thousand(&fake, &gate.proxy, &call);
    // The cookie is a credential of its own; the ticket's token serves it.
    assert_eq!((without_query(&first), rest), (with(&[]), 0));
}

#[test]
fn each_way_out_costs_its_exchange_once_and_nothing_on_a_warm_cache() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let path = folder.path().join("sign.pem");
    fs::write(&path, key.serialize_pem()).unwrap();
    let alice = basic("alice", "alice-password");
    let token = "POST /_security/oauth2/token";
    let granted = "POST /_security/api_key/grant";
    for (forward, made) in [
        ("none", None),
        ("{ identity_headers: {} }", None),
        ("passthrough", None),
        ("{ assertion: {} }", None),
        ("{ token: {} }", Some(token)),
        ("{ api_key: { role_descriptors: {} } }", Some(granted)),
        ("{ elasticsearch: {} }", None),
        ("{ elasticsearch: { run_as: true } }", None),
        ("{ elasticsearch: { secondary_authorization: true } }", None),
        (
            "{ elasticsearch: {}, token: {}, assertion: {}, identity_headers: {} }",
            Some(token),
        ),
    ] {
        let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
        let keys = format!("require: {{ cluster: [monitor] }}, forward: {forward}");
        let gate = plan(&fake, &app, &keys)
            .and(&format!(
                "assertion: {{ keys: [{{ key: {} }}] }}",
                path.display()
            ))
            .start();
        // The look for keys that an earlier run left comes with the start.
        if made == Some(granted) {
            fake.server
                .wait_until(|requests| requests.iter().any(|one| one.target.contains("_query")));
        }
        let call = gate.proxy.get("/").authorization(&alice);
        let (first, rest) = thousand(&fake, &gate.proxy, &call);
        let more: Vec<_> = made.into_iter().collect();
        assert_eq!(without_query(&first), with(&more), "{forward}");
        assert_eq!(rest, 0, "{forward}: asks by 999 requests with a warm cache");
    }
}

#[test]
fn a_renewal_costs_what_the_first_time_did() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate: Running = plan(&fake, &app, "require: { cluster: [monitor] }")
        .and("cache: { ttl: 1ms, refresh_ahead: 1 }")
        .start();
    let call = gate.proxy.get("/").basic("alice", "alice-password");
    for _ in 0..3 {
        call.clone().send().expect(200);
    }
    assert_eq!(
        (fake.authentications(), fake.privilege_questions()),
        (3, 3),
        "{}",
        json!(asks(&fake))
    );
}
