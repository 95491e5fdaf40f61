//! The applications behind: how they are reached, and what their trouble looks like.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest as _};

use crate::harness::client::{Duplex, basic};
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::h2::{self, H2cServer};
use crate::harness::pki::Authority;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Answer, Latch, Server};
use crate::harness::tools;

/// Everything for everyone, to an upstream with these keys.
fn open_to(fake: &FakeElasticsearch, upstream: &str) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream_yaml("app", upstream)
        .route("socket", "/ws/**", "allow: authenticated, websocket: true")
        .route("all", "/**", "allow: everyone")
        .start()
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn an_upstream_that_is_down_is_502_and_told() {
    let fake = FakeElasticsearch::with_people();
    let gate = open_to(&fake, &format!("url: \"{}\"", nobody()));
    let reply = gate.proxy.get("/x").send().expect(502);
    assert!(reply.header("x-request-id").is_some());
    assert!(
        !reply.text().contains("127.0.0.1"),
        "addresses behind are not the client's business"
    );
    let text = gate.metrics();
    assert!(text.contains("sidegate_upstream"), "{text}");
    assert!(
        gate.process
            .stdout
            .find(|line| line.contains("502"))
            .is_some()
    );
}

#[test]
fn an_upstream_that_never_answers_is_504() {
    let fake = FakeElasticsearch::with_people();
    let latch = Latch::default();
    let held = latch.clone();
    let app = Server::start(move |_| {
        held.wait();
        Answer::HangUp
    });
    let gate = open_to(
        &fake,
        &format!("url: \"{}\", response_timeout: 200ms", app.url()),
    );
    gate.proxy.get("/x").send().expect(504);
    latch.open();
}

#[test]
fn an_upstream_that_speaks_nonsense_is_502() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::start(|request| match request.target.as_str() {
        "/hangup" => Answer::HangUp,
        "/nonsense" => Answer::RawAndClose(b"hello, this is not HTTP\r\n\r\n".to_vec()),
        _ => Answer::text("fine"),
    });
    let gate = open_to(&fake, &format!("url: \"{}\", retries: 0", app.url()));
    for path in ["/hangup", "/nonsense"] {
        gate.proxy.get(path).send().expect(502);
    }
    gate.proxy.get("/fine").send().expect(200);
}

#[test]
fn what_is_safe_is_tried_again_on_another_address_and_what_is_not_is_not() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::echoing();
    let gate = open_to(
        &fake,
        &format!("urls: [\"{}\", \"{}\"], retries: 1", nobody(), app.url()),
    );
    for _ in 0..4 {
        gate.proxy.get("/x").send().expect(200);
    }

    let (hung, hung_too) = (
        Server::start(|_| Answer::HangUp),
        Server::start(|_| Answer::HangUp),
    );
    let gate = open_to(
        &fake,
        &format!(
            "urls: [\"{}\", \"{}\"], retries: 1",
            hung.url(),
            hung_too.url()
        ),
    );
    gate.proxy.post("/pay", "once").send().expect(502);
    assert_eq!(
        hung.requests().len() + hung_too.requests().len(),
        1,
        "a POST that may have had its effect is not sent twice"
    );
}

#[test]
fn connections_to_an_upstream_are_kept_and_used_again() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::echoing();
    let gate = open_to(&fake, &format!("url: \"{}\"", app.url()));
    let mut wire = gate.proxy.connect();
    for _ in 0..20 {
        gate.proxy.get("/x").send_on(&mut wire).expect(200);
    }
    assert_eq!((app.requests().len(), app.connections()), (20, 1));
}

#[test]
fn a_connection_with_an_unread_answer_is_never_used_again() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::start(|request| {
        // Answers before the body was read to its end would desynchronise a careless pool.
        if request.target == "/early" {
            Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison".to_vec())
        } else {
            Answer::text("clean")
        }
    });
    let gate = open_to(&fake, &format!("url: \"{}\"", app.url()));
    assert_eq!(gate.proxy.get("/early").send().expect(200).text(), "ok");
    let mut answers = (0..5).map(|_| gate.proxy.get("/x").send());
    assert!(answers.all(|answer| answer.text() != "poison"));
}

#[test]
fn an_http2_upstream_is_spoken_to_in_http2() {
    let fake = FakeElasticsearch::with_people();
    let app = H2cServer::start();
    let gate = Plan::with_elasticsearch(&fake)
        .upstream_yaml(
            "app",
            &format!("url: \"http://{}\", protocol: http2", app.address),
        )
        .route("all", "/**", "allow: everyone")
        .start();
    assert_eq!(
        gate.proxy.get("/a").send().expect(200).text(),
        "HTTP/2.0 GET /a 0"
    );
    assert_eq!(
        gate.proxy.post("/b", "12345").send().expect(200).text(),
        "HTTP/2.0 POST /b 5"
    );
    assert_eq!(app.requests.load(Ordering::SeqCst), 2);
}

#[test]
fn an_http2_client_reaches_an_http1_upstream() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::echoing();
    let gate = Plan::with_elasticsearch(&fake)
        .tls()
        .upstream("app", &app)
        .route(
            "all",
            "/**",
            "allow: authenticated, forward: { identity_headers: { username: x-auth-user } }",
        )
        .start();
    h2::block_on(async {
        let mut sender = h2::connect(&gate.proxy).await;
        let response = sender.send_request(h2::get(
            &gate.proxy,
            "/a?b=c",
            &basic("alice", "alice-password"),
        ));
        let (parts, body) = h2::whole(response.await.unwrap()).await;
        assert_eq!(
            (parts.status.as_u16(), body.as_ref()),
            (200, b"upstream".as_slice())
        );
        let refused = sender
            .send_request(h2::get(&gate.proxy, "/a", ""))
            .await
            .unwrap();
        assert_eq!(refused.status(), 401);
        let mut two_hosts = h2::get(&gate.proxy, "/a", &basic("alice", "alice-password"));
        two_hosts
            .headers_mut()
            .insert("host", "other.example".parse().unwrap());
        assert_eq!(
            sender.send_request(two_hosts).await.unwrap().status(),
            400,
            ":authority and Host must agree"
        );
    });
    let seen = app.only_request();
    assert_eq!(
        (seen.target.as_str(), seen.header("x-auth-user")),
        ("/a?b=c", Some("alice"))
    );
    assert_eq!(seen.headers_named("host").count(), 1);
}

#[test]
fn a_tls_upstream_is_verified_by_its_own_ca() {
    let fake = FakeElasticsearch::with_people();
    let ca = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let pem = ca.write_ca(folder.path());
    let app = Server::start_tls(ca.server_config(&[b"http/1.1"]), |_| Answer::text("sealed"));
    let url = format!("https://localhost:{}", app.address.port());

    let trusting = open_to(
        &fake,
        &format!("url: \"{url}\", tls: {{ ca: {} }}", pem.display()),
    );
    assert_eq!(trusting.proxy.get("/x").send().expect(200).text(), "sealed");
    let doubting = open_to(&fake, &format!("url: \"{url}\""));
    doubting.proxy.get("/x").send().expect(502);
    let other =
        "tls: { ca: CA, server_name: other.example }".replace("CA", &pem.display().to_string());
    let elsewhere = open_to(&fake, &format!("url: \"{url}\", {other}"));
    elsewhere.proxy.get("/x").send().expect(502);
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_unix_socket_is_an_upstream() {
    let fake = FakeElasticsearch::with_people();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let app = Server::start_unix(&path, |_| Answer::text("near"));
    let gate = open_to(&fake, &format!("url: \"unix:{}\"", path.display()));
    assert_eq!(gate.proxy.get("/x").send().expect(200).text(), "near");
    assert_eq!(app.only_request().target, "/x");
}

#[test]
fn events_arrive_one_by_one_and_silence_does_not_cut_them() {
    let fake = FakeElasticsearch::with_people();
    let latch = Latch::default();
    let held = latch.clone();
    let app = Server::start(move |_| {
        let held = held.clone();
        Answer::Take(Box::new(move |stream: &mut dyn Duplex| {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(b"d\r\ndata: first\n\n\r\n");
            let _ = stream.flush();
            held.wait();
            let _ = stream.write_all(b"e\r\ndata: second\n\n\r\n0\r\n\r\n");
            let _ = stream.flush();
        }))
    });
    // Silence lasts longer than the time an answer's head may take.
    let gate = open_to(
        &fake,
        &format!("url: \"{}\", response_timeout: 100ms", app.url()),
    );
    let mut wire = gate.proxy.connect();
    wire.send(&gate.proxy.get("/events").bytes()).unwrap();
    wire.read_until(b"data: first\n\n")
        .expect("the first event comes before the second is sent");
    // Other requests go on, and each takes its own time, while the stream is silent.
    for _ in 0..50 {
        drop(gate.admin.get("/livez").send());
    }
    latch.open();
    wire.read_until(b"data: second\n\n")
        .expect("the second event");
}

#[test]
fn a_websocket_is_tunnelled_after_a_101_and_only_where_allowed() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::start(|request| {
        let key = request
            .header("sec-websocket-key")
            .unwrap_or_default()
            .to_owned();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        Answer::Take(Box::new(move |stream: &mut dyn Duplex| {
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            let mut socket = tungstenite::WebSocket::from_raw_socket(
                stream,
                tungstenite::protocol::Role::Server,
                None,
            );
            while let Ok(message) = socket.read() {
                if message.is_text() {
                    socket.send(message).unwrap();
                }
            }
        }))
    });
    let gate = open_to(&fake, &format!("url: \"{}\"", app.url()));
    let mut request = format!("ws://{}/ws/echo", gate.proxy.host())
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert(
        "authorization",
        basic("alice", "alice-password").parse().unwrap(),
    );
    let (mut socket, response) =
        tungstenite::client(request, gate.proxy.connect()).expect("a tunnel");
    assert_eq!(response.status(), 101);
    for text in ["one", "two"] {
        socket.send(Message::text(text)).unwrap();
        assert_eq!(socket.read().unwrap().into_text().unwrap().as_str(), text);
    }

    for (path, expected) in [("/ws/echo", 401), ("/elsewhere", 403)] {
        let request = format!("ws://{}{path}", gate.proxy.host())
            .into_client_request()
            .unwrap();
        let refused = tungstenite::client(request, gate.proxy.connect());
        let Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(reply))) = refused
        else {
            panic!("{path}: no plain refusal");
        };
        assert_eq!(reply.status().as_u16(), expected, "{path}");
    }
    assert_eq!(app.requests().len(), 1);
}

/// The head of an upgrade request of alice's.
fn upgrade(gate: &Running, headers: &str) -> String {
    format!(
        "GET /ws/x HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nConnection: Upgrade\r\n{headers}\r\n",
        gate.proxy.host(),
        basic("alice", "alice-password")
    )
}

const WEBSOCKET: &str = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn an_upgrade_that_was_not_accepted_never_becomes_a_tunnel() {
    let fake = FakeElasticsearch::with_people();
    for answer in [
        // 200 instead of 101.
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        // Refused by the upstream.
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno",
        // 101 with another key's accept value.
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        // 101 to something else.
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ] {
        let app = Server::start(move |_| Answer::Raw(answer.as_bytes().to_vec()));
        let gate = Plan::with_elasticsearch(&fake)
            .upstream("app", &app)
            .route("socket", "/ws/**", "allow: authenticated, websocket: true")
            .start();
        let mut wire = gate.proxy.connect();
        wire.send(upgrade(&gate, WEBSOCKET).as_bytes()).unwrap();
        let reply = wire.reply().unwrap();
        assert_ne!(reply.status, 101, "{answer}");
        // Through a tunnel this would arrive; as a request of its own no route takes it.
        let _ = wire.send(b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if let Ok(next) = wire.reply() {
            assert_eq!(next.status, 404, "{answer}");
        }
        assert!(!app.bytes().contains("smuggled"), "{answer}");
    }
}

#[test]
fn only_websocket_is_upgraded_to() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::echoing();
    let gate = open_to(&fake, &format!("url: \"{}\"", app.url()));
    for headers in [
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
        "Upgrade: TLS/1.0\r\n",
        "Upgrade: websocket, h2c\r\n",
    ] {
        let reply = gate.proxy.raw_reply(upgrade(&gate, headers).as_bytes());
        assert!(
            matches!(reply.status, 200 | 400 | 403),
            "{headers}: {}",
            reply.status
        );
    }
    for request in app.requests() {
        assert_eq!(request.header("upgrade"), None);
        assert_eq!(request.header("http2-settings"), None);
    }
}

/// A child that ends with the test.
struct Foreign(Child);

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_python_file_server_is_protected() {
    let Some(python) = tools::find("python3", "a foreign upstream") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello.txt"), "from python").unwrap();
    // It prints its port on its first line once it listens.
    let mut child = Command::new(python)
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = Vec::new();
    let mut pipe = child.stdout.take().unwrap();
    let child = Foreign(child);
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        pipe.read_exact(&mut byte).expect("a line with the port");
        line.extend(byte);
    }
    let line = String::from_utf8(line).unwrap();
    let port = line
        .split("port ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("a port");
    let fake = FakeElasticsearch::with_people();
    let gate = Plan::with_elasticsearch(&fake)
        .upstream_yaml("app", &format!("url: \"http://127.0.0.1:{port}\""))
        .route("all", "/**", "allow: authenticated")
        .start();
    gate.proxy.get("/hello.txt").send().expect(401);
    let reply = gate
        .proxy
        .get("/hello.txt")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    assert_eq!(reply.text(), "from python");
    drop(child);
}

#[test]
fn nginx_behind_sees_the_identity() {
    let Some(nginx) = tools::find("nginx", "a foreign upstream") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nginx.sock");
    let config = format!(
        "daemon off; master_process off; error_log stderr notice; pid {0}/pid;\nevents {{}}\nhttp {{ access_log off;\n client_body_temp_path {0}/t1; proxy_temp_path {0}/t2; fastcgi_temp_path {0}/t3; uwsgi_temp_path {0}/t4; scgi_temp_path {0}/t5;\n underscores_in_headers on;\n server {{ listen unix:{1}; location / {{ return 200 \"user=$http_x_auth_user\"; }} }} }}\n",
        folder.path().display(),
        socket.display()
    );
    std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let process = crate::harness::process::Process::spawn(
        Command::new(nginx)
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(folder.path().join("nginx.conf")),
    );
    // Its sockets are bound before it tells this.
    process
        .stderr
        .find(|line| line.contains("getrlimit("))
        .expect("nginx is up");
    let fake = FakeElasticsearch::with_people();
    let gate = Plan::with_elasticsearch(&fake)
        .upstream_yaml("app", &format!("url: \"unix:{}\"", socket.display()))
        .route(
            "all",
            "/**",
            "allow: authenticated, forward: { identity_headers: { username: x-auth-user } }",
        )
        .start();
    for spoofed in ["X-Auth-User", "X_Auth_User"] {
        let reply = gate
            .proxy
            .get("/")
            .basic("alice", "alice-password")
            .header(spoofed, "root")
            .send();
        let status = reply.status;
        assert!(
            status == 400 || reply.text() == "user=alice",
            "{spoofed}: {status} {}",
            reply.text()
        );
    }
    assert_eq!(
        gate.proxy
            .get("/")
            .basic("alice", "alice-password")
            .send()
            .text(),
        "user=alice"
    );
    drop(process);
}

/// Two addresses take turns, so that both are used.
#[test]
fn requests_go_round_the_addresses() {
    let fake = FakeElasticsearch::with_people();
    let (one, two) = (Server::echoing(), Server::echoing());
    let gate = open_to(
        &fake,
        &format!("urls: [\"{}\", \"{}\"]", one.url(), two.url()),
    );
    let mut wire = gate.proxy.connect();
    for _ in 0..10 {
        gate.proxy.get("/x").send_on(&mut wire).expect(200);
    }
    assert_eq!(one.requests().len() + two.requests().len(), 10);
    assert!(!one.requests().is_empty() && !two.requests().is_empty());
}

#[test]
fn answers_without_a_body_leave_the_connection_usable() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::start(
        |request| match (request.method.as_str(), request.target.as_str()) {
            ("HEAD", _) => Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_vec()),
            (_, "/204") => Answer::Raw(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            (_, "/304") => {
                Answer::Raw(b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n".to_vec())
            }
            _ => Answer::text("body"),
        },
    );
    let gate = open_to(&fake, &format!("url: \"{}\"", app.url()));
    let mut wire = gate.proxy.connect();
    for _ in 0..2 {
        let head = gate.proxy.call("HEAD", "/x").send_on(&mut wire).expect(200);
        assert_eq!(head.header("content-length"), Some("1000"));
        gate.proxy.get("/204").send_on(&mut wire).expect(204);
        gate.proxy.get("/304").send_on(&mut wire).expect(304);
        assert_eq!(
            gate.proxy.get("/x").send_on(&mut wire).expect(200).text(),
            "body"
        );
    }
}

#[test]
fn a_large_answer_arrives_whole_over_both_protocols() {
    let fake = FakeElasticsearch::with_people();
    let body: Vec<u8> = (0..8_000_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let sent = body.clone();
    let app = Server::start(move |_| Answer::Reply(200, Vec::new(), sent.clone()));
    let gate = Plan::with_elasticsearch(&fake)
        .tls()
        .upstream("app", &app)
        .route("all", "/**", "allow: everyone")
        .start();
    assert!(
        gate.proxy.get("/x").send().expect(200).body == body,
        "HTTP/1.1"
    );
    let arrived = h2::block_on(async {
        let mut sender = h2::connect(&gate.proxy).await;
        let response = sender
            .send_request(h2::get(&gate.proxy, "/x", ""))
            .await
            .unwrap();
        h2::whole(response).await.1
    });
    assert!(arrived == body, "HTTP/2");
}

#[test]
fn a_client_that_hangs_up_ends_the_upstreams_work() {
    let fake = FakeElasticsearch::with_people();
    let (tell, ended) = std::sync::mpsc::channel();
    let app = Server::start(move |_| {
        let tell = tell.clone();
        Answer::Take(Box::new(move |stream: &mut dyn Duplex| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            // Endless, until somebody closes.
            while stream.write_all(b"4\r\nmore\r\n").is_ok() {}
            let _ = tell.send(());
        }))
    });
    let gate = open_to(&fake, &format!("url: \"{}\"", app.url()));
    let mut wire = gate.proxy.connect();
    wire.send(&gate.proxy.get("/endless").bytes()).unwrap();
    wire.read_until(b"more").unwrap();
    drop(wire);
    ended
        .recv_timeout(crate::harness::DEADLINE)
        .expect("the upstream was told");
}

#[test]
fn an_answer_that_breaks_off_is_never_passed_for_a_whole_one() {
    let fake = FakeElasticsearch::with_people();
    let app = Server::start(|request| match request.target.as_str() {
        "/length" => {
            Answer::RawAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec())
        }
        _ => Answer::RawAndClose(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n".to_vec(),
        ),
    });
    let gate = open_to(&fake, &format!("url: \"{}\"", app.url()));
    for path in ["/length", "/chunks"] {
        let mut wire = gate.proxy.connect();
        wire.send(&gate.proxy.get(path).bytes()).unwrap();
        assert!(wire.reply().is_err(), "{path}");
    }
}
