//! The PROXY protocol: who is believed, and what a told address counts for. Attacks here are A-16's on the layer below.

use std::io::Write as _;

use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::Plan;
use crate::harness::server::Server;

/// Version 1, told of 203.0.113.9.
const V1: &[u8] = b"PROXY TCP4 203.0.113.9 127.0.0.1 4660 443\r\n";

/// Version 2 with a command, a family, and what follows.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    let start = [command, family];
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &start, &length, body].concat()
}

/// 203.0.113.9 in version 2, with a TLV behind it.
fn v2_client() -> Vec<u8> {
    let addresses = [203, 0, 113, 9, 127, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb];
    v2(0x21, 0x11, &[&addresses[..], &[0xe0, 0, 2, 1, 2]].concat())
}

fn v2_client_over_ipv6() -> Vec<u8> {
    let source = "2001:db8::9".parse::<std::net::Ipv6Addr>().unwrap();
    let body = [&source.octets()[..], &[0; 16], &[0x12, 0x34, 0x01, 0xbb]].concat();
    v2(0x21, 0x21, &body)
}

fn plan(fake: &FakeElasticsearch, app: &Server, from: &str) -> Plan {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("open", "/open", "allow: everyone")
        .route("any", "/**", "allow: authenticated")
        .listener(&format!("proxy_protocol: {{ from: [{from}] }}"))
}

#[test]
fn the_told_address_is_the_clients_in_both_versions() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app, "127.0.0.0/8").start();
    let cases = [
        (V1.to_vec(), "203.0.113.9"),
        (
            b"PROXY TCP6 2001:db8::9 ::1 4660 443\r\n".to_vec(),
            "2001:db8::9",
        ),
        (v2_client(), "203.0.113.9"),
        (v2_client_over_ipv6(), "2001:db8::9"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x21, 0x31, &[0; 216]), "127.0.0.1"),
        (v2(0x20, 0x00, &[]), "127.0.0.1"),
    ];
    for (at, (header, client)) in cases.iter().enumerate() {
        let balancer = gate.proxy.greeted_with(header);
        let mut wire = balancer.connect();
        // The address is the connection's, so the second request has it as well.
        for _ in 0..2 {
            balancer.get("/open").send_on(&mut wire).expect(200);
        }
        for request in &app.requests()[at * 2..] {
            assert_eq!(
                request.header("x-forwarded-for"),
                Some(*client),
                "{header:?}"
            );
        }
    }
    let logged = gate
        .process
        .stdout
        .find(|line| line.contains("203.0.113.9"));
    assert!(logged.is_some(), "the access log has it");
}

#[test]
fn a_header_may_come_in_pieces() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app, "127.0.0.0/8").start();
    for header in [V1.to_vec(), v2_client()] {
        let mut wire = gate.proxy.connect();
        let request = gate.proxy.get("/open").bytes();
        for byte in [header, request].concat() {
            wire.write_all(&[byte]).unwrap();
        }
        wire.reply().unwrap().expect(200);
    }
    for request in app.requests() {
        assert_eq!(request.header("x-forwarded-for"), Some("203.0.113.9"));
    }
}

#[test]
fn a_listed_peer_without_a_header_is_closed_on() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app, "127.0.0.0/8")
        .listener("limits: { header_timeout: 200ms }")
        .start();
    let request = gate.proxy.get("/open").bytes();
    let long = v2(0x21, 0x11, &[0; 5000]);
    let datagram = v2(0x21, 0x12, &[0; 12]);
    let cases: [&[u8]; 6] = [
        b"",
        b"PROXY TCP4 999.0.113.9 127.0.0.1 4660 443\r\n",
        &[b'P'; 200],
        &long,
        &datagram,
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
    ];
    for header in cases {
        let answer = gate.proxy.raw(&[header, &request].concat());
        assert_eq!(String::from_utf8_lossy(&answer), "", "{header:?}");
    }
    // One that never finishes its header is not waited for.
    assert_eq!(gate.proxy.raw(b"PROXY TCP4 203."), b"");
    assert!(app.requests().is_empty());
    let label = ["listener=\"main\""];
    gate.wait_for_metric("sidegate_proxy_protocol_refused_total", &label, |count| {
        count >= 7.0
    });
}

#[test]
fn a_header_from_anybody_else_is_garbage() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app, "10.0.0.0/8").start();
    gate.proxy.get("/open").send().expect(200);
    let request = gate.proxy.get("/open").bytes();
    for header in [V1.to_vec(), v2_client()] {
        let answer = gate.proxy.raw(&[header, request.clone()].concat());
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    assert_eq!(app.requests().len(), 1, "{:?}", app.requests());
}

#[test]
fn over_tls_the_header_comes_first_and_trust_is_by_the_told_address() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app, "127.0.0.0/8")
        .listener("trusted_proxies: [127.0.0.0/8, \"2001:db8::9\"]")
        .tls()
        .start();
    let forwarded_by = |header: &[u8]| {
        let balancer = gate.proxy.greeted_with(header);
        let call = balancer
            .get("/open")
            .header("X-Forwarded-For", "198.51.100.7");
        call.send().expect(200);
        let last = app.requests().pop().unwrap();
        last.header("x-forwarded-for")
            .unwrap_or_default()
            .to_owned()
    };
    // A client of the load balancer is not the load balancer: its claims are not believed for the balancer's sake.
    assert_eq!(forwarded_by(V1), "203.0.113.9");
    assert_eq!(forwarded_by(b"PROXY UNKNOWN\r\n"), "127.0.0.1");
    assert_eq!(forwarded_by(&v2(0x21, 0x31, &[0; 216])), "127.0.0.1");
    // A listed proxy behind the load balancer is believed, and the load balancer speaking for itself.
    let listed = forwarded_by(&v2_client_over_ipv6());
    assert_eq!(listed, "198.51.100.7, 2001:db8::9");
    assert_eq!(
        forwarded_by(&v2(0x20, 0x00, &[])),
        "198.51.100.7, 127.0.0.1"
    );
    // TLS without the header is no header.
    let count = app.requests().len();
    let mut wire = gate.proxy.connect();
    let _ = wire.send(&gate.proxy.get("/open").bytes());
    assert!(wire.reply().is_err());
    assert_eq!(app.requests().len(), count);
}

#[test]
fn the_login_limit_counts_by_the_told_address() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = plan(&fake, &app, "127.0.0.0/8")
        .and("login_limit: { per_address: 1, per_username: 100, window: 600s }")
        .start();
    let guess = |client: &str, password: &str| {
        let header = format!("PROXY TCP4 {client} 127.0.0.1 4660 443\r\n");
        let balancer = gate.proxy.greeted_with(header.as_bytes());
        balancer.get("/x").basic("alice", password).send().status
    };
    assert_eq!(guess("203.0.113.9", "one"), 401);
    assert_eq!(guess("203.0.113.9", "two"), 429);
    assert_eq!(guess("203.0.113.10", "three"), 401);
}

#[test]
fn a_load_balancer_on_a_unix_socket_is_listed_as_unix() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let gate = plan(&fake, &app, "unix")
        .address(&format!("unix:{}", socket.display()))
        .start();
    let balancer = gate.proxy.greeted_with(V1);
    balancer.get("/open").send().expect(200);
    let seen = app.only_request();
    assert_eq!(seen.header("x-forwarded-for"), Some("203.0.113.9"));
    assert_eq!(gate.proxy.raw(&gate.proxy.get("/open").bytes()), b"");
}
