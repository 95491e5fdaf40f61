//! What is remembered, for how long, and what is never remembered (R-02, R-05, R-07…R-10).

use std::thread;

use serde_json::json;

use crate::harness::client::basic;
use crate::harness::elasticsearch::{Account, FakeElasticsearch, Script};
use crate::harness::eventually;
use crate::harness::h2;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Latch, Server};

/// One route for holders of `cluster:monitor`.
fn for_monitors(fake: &FakeElasticsearch, app: &Server, cache: &str) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("monitor", "/**", "require: { cluster: [monitor] }")
        .and(&format!("cache: {cache}"))
        .and("login_limit: { per_address: 10000, per_username: 10000 }")
        .start()
}

#[test]
fn fifty_routes_and_two_hundred_credentials_cost_two_hundred_ask_pairs() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    let mut plan = Plan::with_elasticsearch(&fake).upstream("app", &app);
    for route in 0..50 {
        let require = format!(
            "require: {{ application: [{{ application: shop, privileges: [\"use_{route}\"], resources: [\"*\"] }}] }}"
        );
        plan = plan.route(&format!("r{route}"), &format!("/r{route}"), &require);
    }
    let gate = plan.start();
    let users: Vec<(String, String)> = (0..200)
        .map(|user| (format!("user-{user}"), format!("password-{user}")))
        .collect();
    for (number, (user, password)) in users.iter().enumerate() {
        let own = format!("application:shop:use_{}:*", number % 50);
        fake.know(&basic(user, password), Account::new(user, &[], &[&own]));
    }

    thread::scope(|scope| {
        for part in users.chunks(50) {
            let proxy = &gate.proxy;
            scope.spawn(move || {
                for (user, password) in part {
                    let number: usize = user.trim_start_matches("user-").parse().unwrap();
                    let mut wire = proxy.connect();
                    for route in 0..50 {
                        let call = proxy.get(&format!("/r{route}")).basic(user, password);
                        let expected = if route == number % 50 { 200 } else { 403 };
                        call.send_on(&mut wire).expect(expected);
                    }
                }
            });
        }
    });

    assert_eq!(
        (fake.authentications(), fake.privilege_questions()),
        (200, 200)
    );
    assert_eq!(app.requests().len(), 200);
}

#[test]
fn a_thousand_clients_with_one_credential_cost_one_ask_pair() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let latch = Latch::default();
    fake.behave(Script::Hold(latch.clone()));
    let gate = Plan::with_elasticsearch(&fake)
        .tls()
        .upstream("app", &app)
        .route("monitor", "/**", "require: { cluster: [monitor] }")
        .start();

    h2::block_on(async {
        let alice = basic("alice", "alice-password");
        let mut answers = Vec::new();
        for _ in 0..10 {
            let mut sender = h2::connect(&gate.proxy).await;
            for _ in 0..100 {
                let response = sender.send_request(h2::get(&gate.proxy, "/", &alice));
                answers.push(tokio::spawn(response));
            }
        }
        fake.wait_for_questions(2);
        // The first caller hangs up while its ask is in flight: nobody else is hurt.
        answers.remove(0).abort();
        latch.open();
        for answer in answers {
            assert_eq!(answer.await.unwrap().unwrap().status(), 200);
        }
    });
    assert_eq!((fake.authentications(), fake.privilege_questions()), (1, 1));
}

#[test]
fn authority_trouble_is_503_and_never_remembered() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_monitors(&fake, &app, "{ ttl: 60s, negative_ttl: 60s }");
    for (what, script) in [
        ("500", Script::Status(500)),
        ("502", Script::Status(502)),
        ("503", Script::Status(503)),
        ("429", Script::Status(429)),
        ("garbage", Script::Body("<html>hello</html>")),
        (
            "truncated",
            Script::Body("{\"username\":\"alice\",\"roles\":["),
        ),
        ("empty object", Script::Body("{}")),
        ("redirect", Script::Redirect(app.url())),
        ("not Elasticsearch", Script::Foreign),
        ("hang up", Script::HangUp),
        ("privileges 500", Script::PrivilegesStatus(500)),
        (
            "a shorter list",
            Script::PrivilegesBody(
                "{\"username\":\"alice\",\"has_all_requested\":true,\"cluster\":{},\"index\":{},\"application\":{}}",
            ),
        ),
        ("somebody else's answer", Script::PrivilegesBody("[]")),
    ] {
        fake.behave(script);
        let refused = gate.proxy.get("/").basic("alice", "alice-password").send();
        let refused = refused.expect_refusal(503, "authority_unavailable");
        let after: u64 = refused
            .header("retry-after")
            .expect(what)
            .parse()
            .expect(what);
        assert!((1..=120).contains(&after), "{what}: {after}");
        assert!(refused.header("www-authenticate").is_none(), "{what}");
    }
    assert!(app.requests().is_empty());

    fake.behave(Script::Honest);
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
}

#[test]
fn an_authority_that_is_gone_is_503() {
    let app = Server::echoing();
    // A port that nobody listens on: bound and released again.
    let gone = FakeElasticsearch::with_people();
    let plan = Plan::with_elasticsearch(&gone).upstream("app", &app).route(
        "monitor",
        "/**",
        "require: { cluster: [monitor] }",
    );
    let gate = plan.start();
    drop(gone);
    let refused = gate.proxy.get("/").basic("alice", "alice-password").send();
    refused.expect_refusal(503, "authority_unavailable");
}

#[test]
fn a_slow_authority_is_503_after_its_deadline() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let latch = Latch::default();
    let gate = Plan::with_authority(&format!(
        "elasticsearch: {{ nodes: [\"{}\"], timeout: 300ms }}",
        fake.url()
    ))
    .upstream("app", &app)
    .route("monitor", "/**", "require: { cluster: [monitor] }")
    .start();
    fake.behave(Script::Hold(latch.clone()));
    let refused = gate.proxy.get("/").basic("alice", "alice-password").send();
    refused.expect_refusal(503, "authority_unavailable");
    latch.open();
    fake.behave(Script::Honest);
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
}

#[test]
fn a_refused_login_is_remembered_apart_and_for_a_short_time() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_monitors(
        &fake,
        &app,
        "{ ttl: 60s, negative_ttl: 60s, max_entries: 10, max_negative_entries: 10 }",
    );
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    for _ in 0..5 {
        gate.proxy
            .get("/")
            .basic("alice", "wrong")
            .send()
            .expect_refusal(401, "unauthenticated");
    }
    // One question's no may make the other one superfluous.
    let wrong = fake.questions_by(&basic("alice", "wrong"));
    assert!(wrong <= 2, "the wrong password was asked {wrong} times");

    for guess in 0..100 {
        gate.proxy
            .get("/")
            .basic("alice", &format!("guess-{guess}"))
            .send()
            .expect(401);
    }
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    assert_eq!(
        fake.questions_by(&basic("alice", "alice-password")),
        2,
        "a flood of guesses evicts no good entry"
    );
}

#[test]
fn an_answer_dies_with_its_ttl() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_monitors(
        &fake,
        &app,
        "{ ttl: 1ms, negative_ttl: 1ms, refresh_ahead: 1.0 }",
    );
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    fake.forget(&basic("alice", "alice-password"));
    // A millisecond has passed by the time a new connection is judged.
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(401);
}

#[test]
fn a_purge_is_complete_when_it_is_answered() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_monitors(&fake, &app, "{ ttl: 600s, negative_ttl: 600s }");
    let alice = basic("alice", "alice-password");
    for body in [
        json!({"all": true}),
        json!({"user": "alice"}),
        json!({"realm": "native1"}),
        json!({"role": "shopper"}),
    ] {
        fake.know(
            &alice,
            Account::new("alice", &["shopper"], &["cluster:monitor"]),
        );
        gate.admin
            .post_json("/cache/purge", &json!({"all": true}))
            .send()
            .expect(200);
        gate.proxy.get("/").authorization(&alice).send().expect(200);
        fake.forget(&alice);
        gate.proxy.get("/").authorization(&alice).send().expect(200);
        gate.admin
            .post_json("/cache/purge", &body)
            .send()
            .expect(200);
        gate.proxy.get("/").authorization(&alice).send().expect(401);
    }
}

#[test]
fn a_purge_of_one_leaves_the_others() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_monitors(&fake, &app, "{ ttl: 600s }");
    for (user, password) in [("alice", "alice-password"), ("root", "root-password")] {
        gate.proxy.get("/").basic(user, password).send().expect(200);
    }
    gate.admin
        .post_json("/cache/purge", &json!({"user": "alice"}))
        .send()
        .expect(200);
    gate.proxy
        .get("/")
        .basic("root", "root-password")
        .send()
        .expect(200);
    assert_eq!(fake.authentications(), 2);
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    assert_eq!(fake.authentications(), 3);
}

#[test]
fn a_purge_by_api_key_id_finds_its_entry() {
    let (fake, app) = (FakeElasticsearch::start(), Server::echoing());
    let value = "ApiKey a2V5LTE6c2VjcmV0";
    let key = Account::new("alice", &[], &["cluster:monitor"])
        .with("authentication_type", json!("api_key"))
        .with("api_key", json!({"id": "key-1", "name": "ci"}));
    fake.know(value, key);
    let gate = for_monitors(&fake, &app, "{ ttl: 600s }");
    gate.proxy.get("/").authorization(value).send().expect(200);
    fake.forget(value);
    gate.admin
        .post_json("/cache/purge", &json!({"api_key_id": "key-1"}))
        .send()
        .expect(200);
    gate.proxy.get("/").authorization(value).send().expect(401);
}

#[test]
fn a_purge_wins_against_an_ask_in_flight() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let latch = Latch::default();
    fake.behave(Script::Hold(latch.clone()));
    let gate = for_monitors(&fake, &app, "{ ttl: 600s }");
    let mut wire = gate.proxy.connect();
    wire.send(&gate.proxy.get("/").basic("alice", "alice-password").bytes())
        .unwrap();
    fake.wait_for_questions(2);
    gate.admin
        .post_json("/cache/purge", &json!({"all": true}))
        .send()
        .expect(200);
    fake.behave(Script::Honest);
    latch.open();
    wire.reply().unwrap().expect(200);
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    assert_eq!(
        fake.authentications(),
        2,
        "the late answer is used for nobody, not even for who waited for it"
    );
}

#[test]
fn stale_permits_serve_only_when_asked_to_and_only_in_trouble() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let alice = basic("alice", "alice-password");

    let strict = for_monitors(&fake, &app, "{ ttl: 1ms, refresh_ahead: 1.0 }");
    strict
        .proxy
        .get("/")
        .authorization(&alice)
        .send()
        .expect(200);
    fake.behave(Script::Status(500));
    strict
        .proxy
        .get("/")
        .authorization(&alice)
        .send()
        .expect(503);

    fake.behave(Script::Honest);
    let lenient = for_monitors(
        &fake,
        &app,
        "{ ttl: 1ms, refresh_ahead: 1.0, max_stale: 600s, negative_ttl: 1ms }",
    );
    lenient
        .proxy
        .get("/")
        .authorization(&alice)
        .send()
        .expect(200);
    fake.behave(Script::Status(500));
    lenient
        .proxy
        .get("/")
        .authorization(&alice)
        .send()
        .expect(200);
    let bob = lenient.proxy.get("/").basic("bob", "bob-password").send();
    bob.expect_refusal(503, "authority_unavailable");
    fake.behave(Script::Honest);
    fake.forget(&alice);
    // After trouble the authority is left alone for a moment; then it says no, and that counts at once.
    let status = || lenient.proxy.get("/").authorization(&alice).send().status;
    assert!(eventually(|| status() == 401), "still served");
    fake.behave(Script::Status(500));
    lenient
        .proxy
        .get("/")
        .authorization(&alice)
        .send()
        .expect(503);
}

#[test]
fn an_entry_in_use_is_asked_again_behind_the_scenes() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = for_monitors(
        &fake,
        &app,
        "{ ttl: 600s, negative_ttl: 600s, refresh_ahead: 0.0 }",
    );
    let alice = basic("alice", "alice-password");
    gate.proxy.get("/").authorization(&alice).send().expect(200);
    gate.proxy.get("/").authorization(&alice).send().expect(200);
    // The second use was a hit, and made the gate ask again.
    fake.wait_for_questions(3);

    // A refusal to such a question takes the entry away at once, long before its ttl.
    fake.forget(&alice);
    let refused = eventually(|| gate.proxy.get("/").authorization(&alice).send().status == 401);
    assert!(refused, "the refreshed refusal never arrived");
}
