//! The embedded authority from outside: durable, and taken for Elasticsearch by Elastic's own client.

use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::harness::client::{Reply, Target, basic};
use crate::harness::plan::{Plan, Running};
use crate::harness::process::{Dev, end_of};
use crate::harness::server::Server;
use crate::harness::tools;

/// A gate in front of a `dev` authority, which is at once the upstream: what protecting Elasticsearch itself looks like.
fn gate_before(dev: &Dev) -> Running {
    let url = dev.authority.url();
    Plan::with_authority(&format!("elasticsearch: {{ nodes: [\"{url}\"] }}"))
        .tls()
        .upstream_yaml("app", &format!("url: \"{url}\""))
        .route("all", "/**", "allow: authenticated, forward: passthrough")
        .start()
}

fn superuser() -> String {
    basic("elastic", "changeme")
}

fn create_api_key(authority: &Target, body: &Value) -> Value {
    authority
        .post_json("/_security/api_key", body)
        .authorization(&superuser())
        .send()
        .expect(200)
        .json()
}

#[test]
fn nothing_acknowledged_is_lost_when_it_is_killed_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = ["--data", data.to_str().unwrap()];
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..3 {
        let dev = Dev::start(&args);
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let authority = dev.authority.clone();
                thread::spawn(move || {
                    let mut wire = authority.connect();
                    let mut done = Vec::new();
                    for number in 0.. {
                        let name = format!("role-{round}-{writer}-{number}");
                        let body = json!({"cluster": ["monitor"], "metadata": {"n": number}});
                        let call = authority.put_json(&format!("/_security/role/{name}"), &body);
                        // From the kill on, writes and reads fail; only what was answered counts.
                        let sent = wire.send(&call.authorization(&superuser()).bytes());
                        match sent.and_then(|()| wire.reply()) {
                            Ok(reply) if reply.status == 200 => done.push(name),
                            _ => return done,
                        }
                    }
                    done
                })
            })
            .collect();
        // Kill it while all writers are writing: after this many answers seen from a fifth client.
        let mut wire = dev.authority.connect();
        for number in 0..20 {
            let name = format!("own-{round}-{number}");
            let call = dev
                .authority
                .put_json(&format!("/_security/role/{name}"), &json!({}))
                .authorization(&superuser());
            call.send_on(&mut wire).expect(200);
            acknowledged.push(name);
        }
        dev.process.signal("KILL");
        for writer in writers {
            acknowledged.extend(writer.join().unwrap());
        }
    }
    assert!(acknowledged.len() > 60, "{}", acknowledged.len());
    let dev = Dev::start(&args);
    let roles = dev
        .authority
        .get("/_security/role")
        .authorization(&superuser())
        .send()
        .expect(200)
        .json();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|name| roles.get(name.as_str()).is_none())
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn an_api_key_opens_the_gate_until_it_is_invalidated() {
    let dev = Dev::start(&[]);
    let key = create_api_key(&dev.authority, &json!({"name": "ci"}));
    let value = format!("ApiKey {}", key["encoded"].as_str().expect("encoded"));
    dev.proxy
        .get("/orders")
        .authorization(&value)
        .send()
        .expect(200);

    let ids = json!({"ids": [key["id"]]});
    let invalidate = dev
        .authority
        .call("DELETE", "/_security/api_key")
        .json(&ids);
    invalidate.authorization(&superuser()).send().expect(200);
    dev.admin
        .post_json("/cache/purge", &json!({"api_key_id": key["id"]}))
        .send()
        .expect(200);
    dev.proxy
        .get("/orders")
        .authorization(&value)
        .send()
        .expect_refusal(401, "unauthenticated");
}

#[test]
fn an_api_key_can_do_less_than_its_owner() {
    let dev = Dev::start(&[]);
    let narrow =
        json!({"name": "narrow", "role_descriptors": {"little": {"cluster": ["monitor"]}}});
    let key = create_api_key(&dev.authority, &narrow);
    let value = format!("ApiKey {}", key["encoded"].as_str().expect("encoded"));
    dev.proxy
        .get("/orders")
        .authorization(&value)
        .send()
        .expect_refusal(403, "forbidden");
}

#[test]
fn a_token_opens_the_gate_and_an_expired_or_unknown_one_does_not() {
    let dev = Dev::start(&[]);
    let body = json!({"grant_type": "password", "username": "alice", "password": "alice-password"});
    let grant = dev
        .authority
        .post_json("/_security/oauth2/token", &body)
        .authorization(&superuser())
        .send()
        .expect(200)
        .json();
    let token = grant["access_token"].as_str().expect("access_token");
    dev.proxy
        .get("/orders")
        .authorization(&format!("Bearer {token}"))
        .send()
        .expect(200);
    dev.proxy
        .get("/orders")
        .authorization("Bearer AAAAAAAA")
        .send()
        .expect(401);

    let refresh = json!({"grant_type": "refresh_token", "refresh_token": grant["refresh_token"]});
    let fresh = dev
        .authority
        .post_json("/_security/oauth2/token", &refresh)
        .authorization(&superuser())
        .send()
        .expect(200)
        .json();
    let again = dev
        .authority
        .post_json("/_security/oauth2/token", &refresh)
        .authorization(&superuser())
        .send();
    assert!(again.status >= 400 || again.json()["access_token"].is_string());
    let invalidate = dev
        .authority
        .call("DELETE", "/_security/oauth2/token")
        .json(&json!({"token": fresh["access_token"]}));
    invalidate.authorization(&superuser()).send().expect(200);
    let dead = format!(
        "Bearer {}",
        fresh["access_token"].as_str().expect("access_token")
    );
    dev.proxy
        .get("/orders")
        .authorization(&dead)
        .send()
        .expect(401);
}

#[test]
fn a_changed_password_works_at_once_and_the_old_one_dies_with_a_purge() {
    let dev = Dev::start(&[]);
    let alice =
        |password: &str| -> Reply { dev.proxy.get("/orders").basic("alice", password).send() };
    alice("alice-password").expect(200);
    let change = dev.authority.post_json(
        "/_security/user/alice/_password",
        &json!({"password": "new-password"}),
    );
    change.authorization(&superuser()).send().expect(200);
    alice("new-password").expect(200);
    dev.admin
        .post_json("/cache/purge", &json!({"user": "alice"}))
        .send()
        .expect(200);
    alice("alice-password").expect(401);
    alice("new-password").expect(200);
}

#[test]
fn privileges_are_judged_as_elasticsearch_does() {
    let dev = Dev::start(&[]);
    let role = json!({
        "cluster": ["monitor"],
        "indices": [{"names": ["logs-*"], "privileges": ["read"]}],
        "applications": [{"application": "shop", "privileges": ["data:read/*"], "resources": ["space:*"]}],
    });
    dev.authority
        .put_json("/_security/role/reader", &role)
        .authorization(&superuser())
        .send()
        .expect(200);
    let user = json!({"password": "rita-password", "roles": ["reader"]});
    dev.authority
        .put_json("/_security/user/rita", &user)
        .authorization(&superuser())
        .send()
        .expect(200);
    let question = json!({
        "cluster": ["monitor", "manage"],
        "index": [{"names": ["logs-a", "metrics-a"], "privileges": ["read", "write"]}],
        "application": [{"application": "shop", "privileges": ["data:read/orders", "data:write/orders"], "resources": ["space:1"]}],
    });
    let call = dev
        .authority
        .post_json("/_security/user/_has_privileges", &question)
        .basic("rita", "rita-password");
    let answer = call.send().expect(200).json();
    assert_eq!(answer["username"], "rita");
    assert_eq!(answer["has_all_requested"], false);
    assert_eq!(answer["cluster"], json!({"monitor": true, "manage": false}));
    assert_eq!(
        answer["index"]["logs-a"],
        json!({"read": true, "write": false})
    );
    assert_eq!(
        answer["index"]["metrics-a"],
        json!({"read": false, "write": false})
    );
    assert_eq!(
        answer["application"]["shop"]["space:1"],
        json!({"data:read/orders": true, "data:write/orders": false})
    );
}

#[test]
fn it_is_never_open_to_the_unauthenticated() {
    let dev = Dev::start(&[]);
    for (method, path) in [
        ("GET", "/_security/_authenticate"),
        ("GET", "/_security/user"),
        ("GET", "/_security/role"),
        ("PUT", "/_security/user/eve"),
        ("POST", "/_security/api_key"),
        ("POST", "/_security/oauth2/token"),
        ("POST", "/_security/user/_has_privileges"),
    ] {
        let refused = dev
            .authority
            .call(method, path)
            .json(&json!({}))
            .send()
            .expect(401);
        assert_eq!(
            refused.json()["error"]["type"],
            "security_exception",
            "{method} {path}"
        );
        assert_eq!(refused.header("x-elastic-product"), Some("Elasticsearch"));
        assert!(refused.headers_named("www-authenticate").count() > 0);
    }
    let bob = dev
        .authority
        .put_json("/_security/role/own", &json!({"cluster": ["all"]}))
        .basic("bob", "bob-password");
    bob.send().expect(403);
}

#[test]
fn the_official_python_client_works_directly_and_through_the_gate() {
    let Some(python) = tools::python_with_elasticsearch() else {
        return;
    };
    let dev = Dev::start(&[]);
    let gate = gate_before(&dev);
    let ca = gate.folder.path().join("ca.pem");
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/python/official_client.py"
    );
    for (url, ca) in [
        (dev.authority.url(), "-".to_owned()),
        (gate.proxy.url(), ca.display().to_string()),
    ] {
        let ended = end_of(Command::new(&python).args([script, &url, &ca]));
        assert_eq!(ended.code, 0, "{url}: {}\n{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn a_user_made_through_the_gate_is_known_to_the_gate() {
    let dev = Dev::start(&[]);
    let gate = gate_before(&dev);
    let user = json!({"password": "uma-password", "roles": []});
    gate.proxy
        .get("/_security/_authenticate")
        .basic("uma", "uma-password")
        .send()
        .expect(401);
    gate.proxy
        .put_json("/_security/user/uma", &user)
        .authorization(&superuser())
        .send()
        .expect(200);
    gate.admin
        .post_json("/cache/purge", &json!({"all": true}))
        .send()
        .expect(200);
    gate.proxy
        .get("/_security/_authenticate")
        .basic("uma", "uma-password")
        .send()
        .expect(200);
}

#[test]
fn a_store_in_use_is_not_opened_twice() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let app = Server::echoing();
    let plan = Plan::with_authority(&format!("embedded: {{ data: {} }}", data.display()))
        .upstream("app", &app)
        .route("all", "/**", "allow: authenticated");
    let _first = plan.start();
    let config = plan.write(folder.path());
    let second =
        crate::harness::process::run_to_end(&["run", "--config", config.to_str().unwrap()]);
    assert_ne!(second.code, 0, "{second:?}");
}
