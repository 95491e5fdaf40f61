//! What was true once: passwords, roles, keys and tokens that end while an answer about them is remembered.
//!
//! GHSA-x883-2vmg-xwf7: a group that was taken away lived on. heimdall #711: reading kept stale answers alive.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::harness::client::basic;
use crate::harness::elasticsearch::{Account, FakeElasticsearch, Script};
use crate::harness::eventually;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Latch, Server};

const KEY: &str = "ApiKey a2V5LTE6c2VjcmV0";

fn gate(fake: &FakeElasticsearch, app: &Server, cache: &str) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("monitor", "/**", "require: { cluster: [monitor] }")
        .and(&format!("cache: {cache}"))
        .and("login_limit: { per_address: 100000, per_username: 100000 }")
        .start()
}

fn alice() -> Account {
    Account::new("alice", &["shopper"], &["cluster:monitor"])
}

fn key() -> Account {
    alice()
        .with("authentication_type", json!("api_key"))
        .with("api_key", json!({"id": "key-1", "name": "ci"}))
}

/// What changes, for whom, what purge names it, and how the change is told.
struct Change {
    what: &'static str,
    credential: String,
    purge: serde_json::Value,
    make: fn(&FakeElasticsearch, &str),
    refused: u16,
}

fn changes() -> Vec<Change> {
    let old = basic("alice", "old-password");
    vec![
        Change {
            what: "the password was changed",
            credential: old.clone(),
            purge: json!({"user": "alice"}),
            make: |fake, old| {
                fake.forget(old);
                fake.know(&basic("alice", "new-password"), alice());
            },
            refused: 401,
        },
        Change {
            what: "the user was disabled",
            credential: old.clone(),
            purge: json!({"user": "alice"}),
            make: |fake, credential| fake.forget(credential),
            refused: 401,
        },
        Change {
            what: "the role was taken away",
            credential: old,
            purge: json!({"role": "shopper"}),
            make: |fake, credential| fake.know(credential, Account::new("alice", &[], &[])),
            refused: 403,
        },
        Change {
            what: "the API key was invalidated",
            credential: KEY.to_owned(),
            purge: json!({"api_key_id": "key-1"}),
            make: |fake, credential| fake.forget(credential),
            refused: 401,
        },
        Change {
            what: "the token was invalidated",
            credential: "Bearer opaque".to_owned(),
            purge: json!({"realm": "native1"}),
            make: |fake, credential| fake.forget(credential),
            refused: 401,
        },
    ]
}

#[test]
fn what_ended_is_refused_after_the_ttl_or_a_purge_whichever_comes_first() {
    let app = Server::echoing();
    for change in changes() {
        for (cache, purged) in [
            ("{ ttl: 1ms, negative_ttl: 1ms, refresh_ahead: 1.0 }", false),
            ("{ ttl: 600s, negative_ttl: 600s }", true),
        ] {
            let fake = FakeElasticsearch::start();
            let account = if change.credential == KEY {
                key()
            } else {
                alice()
            };
            fake.know(&change.credential, account);
            let gate = gate(&fake, &app, cache);
            let ask = |value: &str| gate.proxy.get("/").authorization(value).send().status;
            assert_eq!(ask(&change.credential), 200, "{}", change.what);
            (change.make)(&fake, &change.credential);
            if purged {
                assert_eq!(ask(&change.credential), 200, "{}: remembered", change.what);
                let done = gate.admin.post_json("/cache/purge", &change.purge).send();
                done.expect(200);
            }
            let before = app.requests().len();
            for _ in 0..3 {
                assert_eq!(ask(&change.credential), change.refused, "{}", change.what);
            }
            assert_eq!(app.requests().len(), before, "{}", change.what);
        }
    }
}

#[test]
fn a_new_password_works_at_once_beside_the_old_entry() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    let (old, new) = (
        basic("alice", "old-password"),
        basic("alice", "new-password"),
    );
    fake.know(&old, alice());
    let gate = gate(&fake, &app, "{ ttl: 600s, negative_ttl: 600s }");
    let ask = |value: &str| gate.proxy.get("/").authorization(value).send().status;
    assert_eq!(ask(&old), 200);
    fake.forget(&old);
    fake.know(&new, alice());
    assert_eq!(ask(&new), 200);
    let purge = gate
        .admin
        .post_json("/cache/purge", &json!({"user": "alice"}));
    purge.send().expect(200);
    assert_eq!((ask(&old), ask(&new)), (401, 200));
}

/// A token that says when it ends is remembered no longer than that, whatever the ttl.
#[test]
fn a_token_is_asked_about_again_when_it_has_expired() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    let now = sidegate::model::clock::Clock::system().now().unix.as_secs();
    let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{}}}", now + 2));
    let token = format!("Bearer e30.{claims}.c2ln");
    fake.know(&token, alice());
    let gate = gate(
        &fake,
        &app,
        "{ ttl: 600s, negative_ttl: 600s, refresh_ahead: 1.0 }",
    );
    let ask = || gate.proxy.get("/").authorization(&token).send().status;
    assert_eq!(ask(), 200);
    fake.forget(&token);
    assert!(eventually(|| ask() == 401), "it outlived its expiry");
    assert_eq!(ask(), 401);
}

#[test]
fn an_answer_that_arrives_after_a_reload_is_not_remembered() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app, "{ ttl: 600s }");
    let latch = Latch::default();
    fake.behave(Script::Hold(latch.clone()));
    let call = gate.proxy.get("/").basic("alice", "alice-password");
    let mut wire = gate.proxy.connect();
    wire.send(&call.bytes()).unwrap();
    fake.wait_for_questions(2);
    gate.process.signal("HUP");
    gate.wait_for_reload("applied");
    fake.behave(Script::Honest);
    latch.open();
    wire.reply().unwrap().expect(200);
    let asked = fake.authentications();
    call.clone().send().expect(200);
    assert_eq!(fake.authentications(), asked + 1, "asked again");
    call.send().expect(200);
    assert_eq!(
        fake.authentications(),
        asked + 1,
        "and remembered from then on"
    );
}
