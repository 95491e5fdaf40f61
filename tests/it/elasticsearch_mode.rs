//! Elasticsearch behind Sidegate: every credential through Elastic's own client, and revocations whose answer gets lost.

use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::harness::client::basic;
use crate::harness::elasticsearch::{Account, FakeElasticsearch};
use crate::harness::pki::{Authority, Client};
use crate::harness::plan::{Plan, Running};
use crate::harness::process::end_of;
use crate::harness::server::{Answer, Server};
use crate::harness::tools;

/// An authority that stands for a cluster, with a PKI realm that believes `ca`.
fn cluster(ca: &str, app: &Server) -> Running {
    let cluster = Plan::with_authority(&format!(
        "embedded: {{ address: \"127.0.0.1:0\", superuser_password: changeme, realms: {{ pki: {{ pki1: {{ order: 5, certificate_authorities: [{ca}], delegation: {{ enabled: true }} }} }} }} }}"
    ))
    .upstream("app", app)
    .route("none", "/none", "allow: authenticated")
    .start();
    let authority = cluster.authority.as_ref().expect("it is served");
    for (path, body) in [
        (
            "role/logs",
            json!({"cluster": ["monitor", "manage_own_api_key"], "indices": [{"names": ["logs-*"], "privileges": ["read"]}]}),
        ),
        ("role/boss", json!({"run_as": ["pia"]})),
        (
            "user/pia",
            json!({"password": "pia-password", "roles": ["logs"]}),
        ),
        (
            "user/boss",
            json!({"password": "boss-password", "roles": ["boss"]}),
        ),
        (
            "role_mapping/machines",
            json!({"enabled": true, "roles": ["logs"], "rules": {"field": {"dn": "CN=robot"}}}),
        ),
    ] {
        let call = authority.put_json(&format!("/_security/{path}"), &body);
        call.basic("elastic", "changeme").send().expect(200);
    }
    cluster
}

#[test]
fn the_official_client_comes_through_with_every_credential_there_is() {
    let Some(python) = tools::python_with_elasticsearch() else {
        return;
    };
    let (folder, app) = (tempfile::tempdir().unwrap(), Server::echoing());
    let ca = Authority::new();
    let ca_file = ca.write_ca(folder.path()).display().to_string();
    let robot = Client::of(&ca, "robot", |_| {});
    let (certificate, key) = robot.write(folder.path(), "robot");
    let cluster = cluster(&ca_file, &app);
    let url = cluster.authority.as_ref().unwrap().url();
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/python/every_credential.py"
    );
    for access in [
        "allow: authenticated",
        "require: { elasticsearch_call: true }",
    ] {
        let gate = Plan::with_authority(&format!(
            "elasticsearch: {{ nodes: [\"{url}\"], credential: {{ basic: {{ username: elastic, password: changeme }} }} }}"
        ))
        .clients(&format!("{{ mode: optional, ca: {ca_file} }}"))
        .upstream_yaml("app", &format!("url: \"{url}\""))
        .route(
            "all",
            "/**",
            &format!("{access}, forward: {{ elasticsearch: {{}} }}, credentials: {{ run_as: true }}"),
        )
        .start();
        let server_ca = gate.folder.path().join("ca.pem");
        let address = format!("https://localhost:{}", gate.proxy.address.port());
        let mut command = Command::new(&python);
        command
            .arg(script)
            .arg(address)
            .args([&server_ca, &certificate, &key]);
        let ended = end_of(&mut command);
        assert_eq!(ended.code, 0, "{access}: {}{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn a_revocation_whose_answer_gets_lost_counts_as_one_that_took_effect() {
    let alice = basic("alice", "alice-password");
    for way in ["500", "hang up", "400"] {
        let fake = Arc::new(FakeElasticsearch::with_people());
        let (behind, doomed) = (Arc::clone(&fake), alice.clone());
        let app = Server::start(move |request| {
            if request.method != "PUT" {
                return Answer::text("fine");
            }
            match way {
                // Refused: nothing has changed there.
                "400" => return Answer::Reply(400, Vec::new(), Vec::new()),
                "500" => behind.forget(&doomed),
                _ => {
                    behind.forget(&doomed);
                    return Answer::HangUp;
                }
            }
            Answer::Reply(500, Vec::new(), Vec::new())
        });
        let gate = Plan::with_elasticsearch(&fake)
            .upstream("app", &app)
            .route(
                "all",
                "/**",
                "allow: authenticated, forward: { elasticsearch: {} }",
            )
            .start();
        let get = || gate.proxy.get("/").authorization(&alice).send().status;
        assert_eq!(get(), 200);
        let asked = fake.authentications();
        let change = gate.proxy.put_json(
            "/_security/user/alice/_password",
            &json!({"password": "another"}),
        );
        let told = change.basic("root", "root-password").send();
        assert!(told.status >= 400, "{way}");
        assert_eq!(get(), if way == "400" { 200 } else { 401 }, "{way}");
        // Whoever changed it was asked about once.
        let again = usize::from(way != "400");
        assert_eq!(fake.authentications(), asked + 1 + again, "{way}");
    }
}

#[test]
fn a_dead_token_is_replaced_once_and_the_second_credential_stays() {
    let fake = FakeElasticsearch::with_own();
    let dead: Arc<Mutex<Vec<String>>> = Arc::default();
    let refused = Arc::clone(&dead);
    let app = Server::start(move |request| {
        let given = request.header("authorization").unwrap_or_default();
        match refused.lock().unwrap().iter().any(|dead| given == dead) {
            true => Answer::Reply(401, Vec::new(), Vec::new()),
            false => Answer::text("welcome"),
        }
    });
    let gate = Plan::with_authority(&fake.yaml_with_own())
        .upstream("app", &app)
        .route(
            "all",
            "/**",
            "allow: authenticated, forward: { token: {} }, credentials: { secondary_authorization: true }",
        )
        .start();
    let call = |method: &str| {
        let call = gate
            .proxy
            .call(method, "/")
            .basic("alice", "alice-password");
        call.header("es-secondary-authorization", "Basic c2Vjb25k")
    };
    call("GET").send().expect(200);
    let token = |number: usize| format!("Bearer token-canary-{number}");
    fake.forget(&token(1));
    dead.lock().unwrap().push(token(1));

    call("POST").body("x").send().expect(401);
    assert_eq!(app.requests().len(), 2, "what can't be repeated is not");
    assert_eq!(call("GET").send().expect(200).text(), "welcome");
    let seen = app.requests();
    let given: Vec<_> = seen[2..]
        .iter()
        .map(|request| {
            assert_eq!(
                request
                    .headers_named("es-secondary-authorization")
                    .collect::<Vec<_>>(),
                ["Basic c2Vjb25k"]
            );
            request.header("authorization").unwrap().to_owned()
        })
        .collect();
    assert_eq!(given, [token(1), token(2)]);

    // One that is refused again is not tried a third time.
    for number in [2, 3] {
        fake.forget(&token(number));
        dead.lock().unwrap().push(token(number));
    }
    call("GET").send().expect(401);
    assert_eq!(app.requests().len(), 6);
}

#[test]
fn an_account_that_only_a_token_stands_for_reaches_elasticsearch_by_it() {
    let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
    let robot = Client::of(&Authority::new(), "robot", |_| {});
    fake.know_certificate(&robot.chain[0], Account::new("robot", &[], &[]));
    let gate = Plan::with_authority(&fake.yaml_with_own())
        .listener("trusted_proxies: [127.0.0.0/8]")
        .listener("forwarded_client_certificates: client_cert")
        .upstream("app", &app)
        .route(
            "all",
            "/**",
            "allow: authenticated, forward: { elasticsearch: {} }",
        )
        .start();
    let leaf = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &robot.chain[0]);
    let call = gate
        .proxy
        .get("/")
        .header("Client-Cert", &format!(":{leaf}:"));
    call.send().expect(200);
    let seen = app.only_request();
    assert_eq!(seen.header("authorization"), Some("Bearer token-canary-1"));
}
