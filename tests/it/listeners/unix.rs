//! Listening at a Unix socket.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::h2;
use crate::harness::plan::Plan;
use crate::harness::process::{Ended, run_to_end};
use crate::harness::server::Server;

fn plan(fake: &FakeElasticsearch, app: &Server, socket: &Path) -> Plan {
    Plan::with_elasticsearch(fake)
        .address(&format!("unix:{}", socket.display()))
        .upstream("app", app)
        .route("open", "/open", "allow: everyone")
        .route("any", "/**", "allow: authenticated")
}

/// `sidegate run` where it can't start.
fn refused(plan: &Plan) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let config = plan.write(folder.path());
    let ended = run_to_end(&["run", "--config", config.to_str().unwrap()]);
    assert_ne!(ended.code, 0, "{ended:?}");
    ended
}

#[test]
fn requests_come_in_from_the_machine_itself_and_the_file_goes_with_the_process() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let mut gate = plan(&fake, &app, &socket).start();
    let mode = fs::symlink_metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let call = gate.proxy.get("/x").basic("alice", "alice-password");
    let mut wire = gate.proxy.connect();
    call.header("X-Forwarded-For", "203.0.113.9")
        .send_on(&mut wire)
        .expect(200);
    gate.proxy.get("/open").send_on(&mut wire).expect(200);
    let seen = app.requests();
    assert_eq!(seen[0].header("x-forwarded-for"), Some("127.0.0.1"));
    let logged = gate.process.stdout.find(|line| line.contains("\"any\""));
    assert!(logged.is_some_and(|line| line.contains("127.0.0.1")));
    gate.process.signal("TERM");
    assert_eq!(gate.process.wait().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_proxy_on_the_socket_is_believed_when_unix_is_listed() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let limit = "login_limit: { per_address: 1, per_username: 100, window: 600s }";
    let gate = plan(&fake, &app, &socket)
        .listener("trusted_proxies: [unix]")
        .listener("socket_mode: \"0600\"")
        .and(limit)
        .start();
    let mode = fs::symlink_metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A password that was refused before is not asked about again, so every guess is another one.
    let from = |client: &str, path: &str, guess: &str| {
        let call = gate.proxy.get(path).header("X-Forwarded-For", client);
        call.basic("alice", guess).send()
    };
    from("203.0.113.9", "/open", "any").expect(200);
    let told = app.only_request();
    let told = told.header("x-forwarded-for");
    assert_eq!(told, Some("203.0.113.9, 127.0.0.1"));
    // One client that guesses doesn't keep another out.
    from("203.0.113.9", "/x", "one").expect(401);
    from("203.0.113.9", "/x", "two").expect(429);
    from("203.0.113.10", "/x", "three").expect(401);
}

#[test]
fn without_a_trusted_proxy_all_peers_of_the_socket_share_the_login_limit() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    // Listed for its address, which a peer of a Unix socket has none of its own.
    let gate = plan(&fake, &app, &socket)
        .listener("trusted_proxies: [127.0.0.0/8]")
        .and("login_limit: { per_address: 1, per_username: 100, window: 600s }")
        .start();
    let from = |client: &str, guess: &str| {
        let call = gate.proxy.get("/x").header("X-Forwarded-For", client);
        call.basic("alice", guess).send()
    };
    from("203.0.113.9", "one").expect(401);
    from("203.0.113.10", "two").expect(429);
}

#[test]
fn tls_and_http2_with_prior_knowledge_work_as_over_tcp() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let (sealed, plain) = (
        folder.path().join("tls.sock"),
        folder.path().join("h2.sock"),
    );
    let gate = plan(&fake, &app, &sealed)
        .tls()
        .more_listeners(&format!(
            "{{ name: h2, address: \"unix:{}\" }}",
            plain.display()
        ))
        .start();
    gate.proxy.get("/open").send().expect(200);
    h2::block_on(async {
        let stream = tokio::net::UnixStream::connect(&plain).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(async move { drop(connection.await) });
        for _ in 0..2 {
            let request = http::Request::get("http://localhost/open");
            let request = request.body(Full::<Bytes>::default()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            let (head, body) = h2::whole(response).await;
            assert_eq!(
                (head.status.as_u16(), &body[..]),
                (200, b"upstream".as_slice())
            );
        }
    });
}

#[test]
fn a_socket_that_a_crash_left_is_replaced_and_a_live_one_is_not() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let mut crashed = plan(&fake, &app, &socket).start();
    crashed.process.signal("KILL");
    crashed.process.wait();
    assert!(socket.exists());
    let gate = plan(&fake, &app, &socket).start();
    gate.proxy.get("/open").send().expect(200);
    let second = refused(&plan(&fake, &app, &socket));
    assert!(
        second.stderr.contains("another process listens"),
        "{second:?}"
    );
    gate.proxy.get("/open").send().expect(200);
}

#[test]
fn a_file_that_is_no_socket_is_never_replaced() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    fs::write(&socket, "precious").unwrap();
    let plan = plan(&fake, &app, &socket).listener("reuse_port: true");
    let ended = refused(&plan);
    assert!(ended.stderr.contains("no socket"), "{ended:?}");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
    // Somebody else's live socket is left alone as well, unless a hand-over is what was asked for.
    fs::remove_file(&socket).unwrap();
    let _other = UnixListener::bind(&socket).unwrap();
    plan.start().proxy.get("/open").send().expect(200);
}
