//! Routes that take requests from some addresses alone.

use crate::harness::client::Call;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::Plan;
use crate::harness::process::run_to_end;
use crate::harness::server::Server;

fn plan(fake: &FakeElasticsearch, app: &Server) -> Plan {
    Plan::with_elasticsearch(fake)
        .listener("trusted_proxies: [127.0.0.1]")
        .upstream("app", app)
        .route(
            "office",
            "/office/**",
            "allow: everyone, addresses: { allow: [192.0.2.0/24, \"2001:db8::/32\"], deny: [192.0.2.66] }",
        )
        .route(
            "known",
            "/known/**",
            "allow: authenticated, preflight: pass, addresses: { deny: [203.0.113.0/24] }",
        )
        .route("rest", "/**", "allow: everyone")
}

fn from<'a>(call: Call<'a>, address: &str) -> Call<'a> {
    call.header("X-Forwarded-For", address)
}

#[test]
fn a_route_takes_requests_from_its_addresses_alone_and_deny_wins() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app).start();
    let office = |address: &str| from(gate.proxy.get("/office/x"), address).send();
    for address in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
        office(address).expect(200);
    }
    let seen = app.requests().len();
    for address in [
        "192.0.2.66",
        "198.51.100.1",
        "2001:db9::1",
        "::ffff:192.0.2.66",
    ] {
        office(address).expect_refusal(403, "address_not_allowed");
    }
    // Without a word of a proxy, it is the socket's own address.
    gate.proxy
        .get("/office/x")
        .send()
        .expect_refusal(403, "address_not_allowed");
    assert_eq!(app.requests().len(), seen, "the upstream saw none of it");
    gate.proxy.get("/elsewhere").send().expect(200);
    gate.wait_for_metric(
        "sidegate_authz_total",
        &["route=\"office\"", "reason=\"address_not_allowed\""],
        |count| count == 5.0,
    );
}

#[test]
fn whoever_comes_from_a_denied_address_is_not_even_asked_who_they_are() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app).start();
    let known = |method: &str| from(gate.proxy.call(method, "/known/x"), "203.0.113.9");
    known("GET")
        .basic("alice", "alice-password")
        .send()
        .expect_refusal(403, "address_not_allowed");
    known("GET")
        .authorization("Basic !!")
        .send()
        .expect_refusal(403, "address_not_allowed");
    known("OPTIONS")
        .header("Origin", "https://a")
        .header("Access-Control-Request-Method", "GET")
        .send()
        .expect_refusal(403, "address_not_allowed");
    assert_eq!(fake.questions(), 0);
    assert!(app.requests().is_empty());
    from(gate.proxy.get("/known/x"), "192.0.2.1")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
}

#[test]
fn nobody_talks_themselves_into_another_address() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route(
            "office",
            "/**",
            "allow: everyone, addresses: { allow: [192.0.2.0/24] }",
        )
        .start();
    for (name, value) in [
        ("X-Forwarded-For", "192.0.2.1"),
        ("Forwarded", "for=192.0.2.1"),
        ("X-Real-IP", "192.0.2.1"),
        ("True-Client-IP", "192.0.2.1"),
    ] {
        gate.proxy
            .get("/")
            .header(name, value)
            .send()
            .expect_refusal(403, "address_not_allowed");
    }
    assert!(app.requests().is_empty());
}

#[test]
fn explain_takes_the_address_and_tells_what_it_does() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let config = plan(&fake, &app).write(folder.path());
    let config = config.to_str().unwrap();
    for (client, code) in [("192.0.2.1", 0), ("192.0.2.66", 1)] {
        let ended = run_to_end(&[
            "explain",
            "--config",
            config,
            "--client",
            client,
            "GET",
            "/office/x",
        ]);
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.stdout.contains(client), "{ended:?}");
    }
}
