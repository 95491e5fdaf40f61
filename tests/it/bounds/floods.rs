//! Floods of handshakes, of failing logins and of guesses: whoever is in already doesn't notice, and nothing grows.

use std::net::TcpStream;

use crate::harness::client::{Wire, basic};
use crate::harness::elasticsearch::{FakeElasticsearch, Script};
use crate::harness::eventually;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Latch, Server};

fn alice(gate: &Running) {
    gate.proxy
        .get("/")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
}

#[test]
fn while_logins_hang_at_a_stalled_authority_known_credentials_are_answered() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .upstream("app", &app)
        .route("all", "/**", "require: { cluster: [monitor] }")
        .start();
    alice(&gate);
    let asked = fake.questions();
    let latch = Latch::default();
    fake.behave(Script::Hold(latch.clone()));
    let mut hanging: Vec<Wire> = (0..600).map(|_| gate.proxy.connect()).collect();
    for (guess, wire) in hanging.iter_mut().enumerate() {
        let call = gate.proxy.get("/").basic(&format!("user-{guess}"), "guess");
        wire.send(&call.bytes()).unwrap();
    }
    gate.wait_for_metric("sidegate_requests_in_flight", &[], |now| now == 600.0);
    for _ in 0..50 {
        alice(&gate);
    }
    assert_eq!(
        fake.questions_by(&basic("alice", "alice-password")),
        asked,
        "answered from memory"
    );
    // Not one of the others was answered meanwhile.
    assert_eq!(gate.metric("sidegate_requests_in_flight", &[]), 600.0);
    // The authority isn't flooded either: there are about as many connections to it as questions may be under way.
    let connections = fake.server.connections();
    assert!(connections < 520, "{connections}");
    latch.open();
    for wire in &mut hanging {
        assert_eq!(wire.reply().unwrap().status, 401);
    }
}

#[test]
fn while_the_embedded_authority_is_busy_with_guesses_known_credentials_are_answered() {
    let app = Server::echoing();
    let gate = Plan::with_authority("embedded: { superuser_password: \"elastic-password\" }")
        .upstream("app", &app)
        .route("all", "/**", "allow: authenticated")
        .and("login_limit: { per_address: 100000, per_username: 100000, window: 1s }")
        .start();
    let known = || {
        gate.proxy
            .get("/")
            .basic("elastic", "elastic-password")
            .send()
            .expect(200)
    };
    known();
    // Every one of them costs the authority a hash, on threads that serve nobody.
    let mut guesses: Vec<Wire> = (0..30).map(|_| gate.proxy.connect()).collect();
    for (guess, wire) in guesses.iter_mut().enumerate() {
        let call = gate
            .proxy
            .get("/")
            .basic("elastic", &format!("guess-{guess}"));
        wire.send(&call.bytes()).unwrap();
    }
    gate.wait_for_metric("sidegate_requests_in_flight", &[], |now| now > 10.0);
    for _ in 0..20 {
        known();
    }
    let behind = gate.metric("sidegate_requests_in_flight", &[]);
    assert!(behind > 0.0, "they were answered before the guesses were");
    for wire in &mut guesses {
        let status = wire.reply().unwrap().status;
        assert!(matches!(status, 401 | 429 | 503), "{status}");
    }
    known();
}

#[test]
fn while_two_thousand_handshakes_hang_a_known_client_is_answered() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .tls()
        .listener("limits: { handshake_timeout: 60s }")
        .upstream("app", &app)
        .route("all", "/**", "allow: authenticated")
        .start();
    let mut known = gate.proxy.connect();
    let call = || gate.proxy.get("/").basic("alice", "alice-password");
    call().send_on(&mut known).expect(200);
    let address = gate.proxy.address;
    let half: Vec<TcpStream> = (0..2_000)
        .map(|turn| {
            let mut stream = TcpStream::connect(address).unwrap();
            // Every other one begins a record that never ends.
            if turn % 2 == 0 {
                std::io::Write::write_all(&mut stream, &[22, 3, 1, 2, 0, 1, 0]).unwrap();
            }
            stream
        })
        .collect();
    gate.wait_for_metric(
        "sidegate_connections_open",
        &["listener=\"main\""],
        |open| open >= 2_001.0,
    );
    call().send_on(&mut known).expect(200);
    call().send().expect(200);
    let hanging = gate.metric("sidegate_connections_open", &["listener=\"main\""]);
    assert!(hanging >= 2_001.0, "they hang all the while: {hanging}");
    drop(half);
    gate.wait_for_metric(
        "sidegate_connections_open",
        &["listener=\"main\""],
        |open| open <= 2.0,
    );
}

#[test]
fn a_flood_of_guesses_fills_a_small_cache_of_its_own_and_pushes_nobody_out() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = Plan::with_elasticsearch(&fake)
        .listener("trusted_proxies: [127.0.0.1]")
        .upstream("app", &app)
        .route("all", "/**", "allow: authenticated")
        .and("cache: { ttl: 60s, negative_ttl: 60s, max_entries: 20, max_negative_entries: 50, refresh_ahead: 1 }")
        .and("login_limit: { per_address: 20, per_username: 20, window: 600s }")
        .start();
    let good = ["alice", "bob", "root"];
    let come_in = || {
        for name in good {
            let call = gate.proxy.get("/").basic(name, &format!("{name}-password"));
            call.header("X-Forwarded-For", "192.0.2.200")
                .send()
                .expect(200);
        }
    };
    come_in();
    let asked: Vec<usize> = good
        .iter()
        .map(|name| fake.questions_by(&basic(name, &format!("{name}-password"))))
        .collect();
    let before = fake.authentications();
    let mut limited = 0;
    let mut wire = gate.proxy.connect();
    for guess in 0..2_000u32 {
        let call = match guess % 3 {
            0 => gate.proxy.get("/").basic(
                ["alice", "ALICE", "\u{ff41}lice"][guess as usize / 3 % 3],
                &format!("p{guess}"),
            ),
            1 => gate
                .proxy
                .get("/")
                .authorization(&format!("Bearer guess-{guess}")),
            _ => gate.proxy.get("/").basic(&format!("user-{guess}"), "guess"),
        };
        // From one address, then from a thousand.
        let address = match guess < 1_000 {
            true => "198.51.100.1".to_owned(),
            false => format!("203.0.{}.{}", guess / 250, guess % 250),
        };
        let reply = call.header("X-Forwarded-For", &address).send_on(&mut wire);
        match reply.status {
            401 => {}
            429 => {
                assert!(reply.header("retry-after").is_some());
                limited += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(limited > 800, "most guesses are not even asked: {limited}");
    assert_eq!(
        fake.authentications() - before,
        2_000 - limited,
        "every guess is asked at most once"
    );
    come_in();
    for (name, asked) in good.iter().zip(asked) {
        let now = fake.questions_by(&basic(name, &format!("{name}-password")));
        assert_eq!(now, asked, "{name} was pushed out");
    }
    let bounded = || {
        let held = gate.admin.get("/cache").send().expect(200).json();
        let entries = |cache: &str| held[cache]["entries"].as_u64().unwrap();
        entries("negative") <= 50 && entries("identity") <= 20
    };
    // Evictions come a little after what they make room for.
    assert!(eventually(bounded));
}
