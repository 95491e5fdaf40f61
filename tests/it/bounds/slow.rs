//! Clients that stand still in every way there is: each is cut at its own deadline, and all others are served.

use std::net::TcpStream;

use crate::harness::client::Wire;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Answer, Server};

/// A gate with one short deadline and long ones for everything else that could have been it.
fn impatient(app: &Server, tls: bool, short: &str) -> (FakeElasticsearch, Running) {
    let fake = FakeElasticsearch::with_people();
    let long = [
        "handshake_timeout",
        "header_timeout",
        "body_idle_timeout",
        "keep_alive_timeout",
    ];
    // The watch on a connection looks first when a head would be late, and only then at anything else.
    let time = |name: &str| match name {
        _ if name == short => "200ms",
        "header_timeout" => "1s",
        _ => "10m",
    };
    let limits: Vec<String> = long
        .iter()
        .map(|name| format!("{name}: {}", time(name)))
        .collect();
    let plan = Plan::with_elasticsearch(&fake)
        .listener(&format!("limits: {{ {} }}", limits.join(", ")))
        .upstream("app", app)
        .route("open", "/**", "allow: everyone");
    let gate = if tls {
        plan.tls().start()
    } else {
        plan.start()
    };
    (fake, gate)
}

fn timed_out(gate: &Running, wanted: f64) {
    let labels = ["listener=\"main\""];
    gate.wait_for_metric("sidegate_connection_timeouts_total", &labels, |count| {
        count == wanted
    });
}

#[test]
fn a_head_that_never_ends_is_cut() {
    let app = Server::echoing();
    let (_fake, gate) = impatient(&app, false, "header_timeout");
    for bytes in [
        &b""[..],
        b"G",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
    ] {
        let mut wire = gate.proxy.connect();
        wire.send(bytes).unwrap();
        gate.proxy.get("/").send().expect(200);
        wire.read_to_close();
    }
    timed_out(&gate, 4.0);
    assert!(app.requests().iter().all(|request| request.target == "/"));
}

#[test]
fn a_head_that_drips_is_cut_although_it_always_moves() {
    let app = Server::echoing();
    let (_fake, gate) = impatient(&app, false, "header_timeout");
    let mut wire = gate.proxy.connect();
    wire.send(b"GET /drip HTTP/1.1\r\nHost: localhost\r\n")
        .unwrap();
    // One byte after another, for as long as it is let but never so many that the head gets too big.
    for sent in 0..60_000 {
        if wire.send(b"X").is_err() {
            break;
        }
        if sent % 64 == 0 {
            gate.proxy.get("/").send().expect(200);
        }
    }
    wire.read_to_close();
    timed_out(&gate, 1.0);
    assert!(app.requests().iter().all(|request| request.target == "/"));
}

#[test]
fn a_body_that_stops_is_cut_and_answered_408_where_nothing_was_answered_yet() {
    let app = Server::echoing();
    let (_fake, gate) = impatient(&app, false, "body_idle_timeout");
    let mut wire = gate.proxy.connect();
    wire.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
        .unwrap();
    gate.proxy.get("/").send().expect(200);
    let reply = wire.reply().unwrap();
    reply.expect_refusal(408, "request_body_stalled");
    wire.read_to_close();
}

#[test]
fn a_client_that_never_reads_is_cut() {
    // More than every buffer on the way holds.
    let app = Server::start(|request| match request.target.as_str() {
        "/big" => Answer::Reply(200, Vec::new(), vec![b'x'; 32 << 20]),
        _ => Answer::text("upstream"),
    });
    let (_fake, gate) = impatient(&app, false, "body_idle_timeout");
    let mut wire = gate.proxy.connect();
    wire.send(&gate.proxy.get("/big").bytes()).unwrap();
    timed_out(&gate, 1.0);
    gate.proxy.get("/").send().expect(200);
    gate.wait_for_metric("sidegate_requests_in_flight", &[], |now| now == 0.0);
    assert!(wire.read_to_close().len() < 32 << 20, "it was cut short");
}

#[test]
fn a_handshake_that_is_never_finished_is_cut() {
    let app = Server::echoing();
    let (_fake, gate) = impatient(&app, true, "handshake_timeout");
    let address = gate.proxy.address;
    let mut half: Vec<TcpStream> = (0..20)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for stream in half.iter_mut().skip(10) {
        std::io::Write::write_all(stream, &[22, 3, 1, 2, 0, 1, 0, 1, 252]).unwrap();
    }
    gate.proxy.get("/").send().expect(200);
    let labels = ["listener=\"main\"", "result=\"timeout\""];
    gate.wait_for_metric("sidegate_tls_handshakes_total", &labels, |count| {
        count == 20.0
    });
    for stream in &mut half {
        let mut rest = Vec::new();
        // A reset is as good an end as a close.
        let _ = std::io::Read::read_to_end(stream, &mut rest);
    }
}

#[test]
fn a_thousand_idle_connections_are_closed_and_nobody_waits_for_them() {
    let app = Server::echoing();
    let (_fake, gate) = impatient(&app, false, "keep_alive_timeout");
    let mut idle: Vec<Wire> = (0..1_000)
        .map(|_| {
            let mut wire = gate.proxy.connect();
            gate.proxy.get("/").send_on(&mut wire).expect(200);
            wire
        })
        .collect();
    gate.proxy.get("/").send().expect(200);
    for wire in &mut idle {
        assert!(wire.read_to_close().is_empty(), "closed without a word");
    }
    gate.proxy.get("/").send().expect(200);
}
