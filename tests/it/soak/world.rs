//! The parts: an authority in a process of its own, two nodes of it behind fault proxies, the gate, and an application that
//! answers, echoes and streams.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite;

use super::model::{Model, Toggle, Truth};
use crate::harness::client::{Duplex, Target, basic};
use crate::harness::eventually;
use crate::harness::fault_proxy::FaultProxy;
use crate::harness::plan::{Plan, Running};
use crate::harness::process::{Process, sidegate};
use crate::harness::server::{Answer, Recorded, Server};

const SUPERUSER: &str = "elastic-password";
/// What the application answers.
pub(super) const ANSWER: &str = "soaked";
/// What the caches keep, in seconds.
pub(super) const TTL: u64 = 2;
/// How long tokens live, in seconds.
pub(super) const TOKEN_LIFE: u64 = 3;

/// All of them.
pub(super) struct World {
    pub(super) gate: Running,
    pub(super) nodes: [FaultProxy; 2],
    pub(super) authority: Target,
    app: Server,
    _authority: Process,
    _folder: TempDir,
}

impl World {
    pub(super) fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (process, authority) = authority(&folder);
        let nodes = [(); 2].map(|()| FaultProxy::to(authority.address));
        let app = app();
        let gate = plan(&nodes, &app, Toggle::Everybody, 0).start();
        Self {
            gate,
            nodes,
            authority,
            app,
            _authority: process,
            _folder: folder,
        }
    }

    /// Those who stay for the whole run, and the users whose passwords change.
    pub(super) fn populate(&self, model: &Model) {
        self.put("/_security/role/monitor", &json!({"cluster": ["monitor"]}));
        for (name, roles) in [("alice", json!(["monitor"])), ("bob", json!([]))] {
            let body = json!({"password": format!("{name}-password"), "roles": roles});
            self.put(&format!("/_security/user/{name}"), &body);
        }
        for name in CHANGING {
            let body = json!({"password": first_password(name), "roles": ["monitor"]});
            self.put(&format!("/_security/user/{name}"), &body);
        }
        model.add(basic("alice", "alice-password"), Truth::Good, None);
        model.add(basic("bob", "bob-password"), Truth::Denied, None);
        model.add("ApiKey bm9ib2R5Om5vdGhpbmc=".to_owned(), Truth::Dead, None);
        for _ in 0..7 {
            model.add(basic("alice", "alice-password"), Truth::Good, None);
        }
    }

    pub(super) fn put(&self, path: &str, body: &Value) -> Value {
        self.ask("PUT", path, body)
    }

    /// Asks the authority itself, as its superuser, past the fault proxies.
    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let call = self.authority.call(method, path).json(body);
        let call = call.basic("elastic", SUPERUSER);
        call.send().expect(200).json()
    }

    /// Makes the gate forget what it knows of somebody.
    pub(super) fn purge(&self, whom: &Value) {
        let call = self.gate.admin.post_json("/cache/purge", whom);
        call.send().expect(200);
    }

    /// Writes the configuration anew and waits until it is in force.
    pub(super) fn reload(&self, toggle: Toggle, number: usize) {
        let plan = plan(&self.nodes, &self.app, toggle, number);
        let folder = self.gate.folder.path();
        // As editors do it: half a file is never read.
        let new = folder.join("new.yaml");
        fs::write(&new, plan.yaml(folder)).unwrap();
        fs::rename(&new, &self.gate.config).unwrap();
        self.gate.process.signal("HUP");
        let marker = marker(number);
        let is_there = || {
            let routes = self.gate.admin.get("/routes").send().expect(200);
            routes.text().contains(&marker)
        };
        assert!(eventually(is_there), "never reloaded");
    }
}

/// Users whose passwords change in turns.
pub(super) const CHANGING: [&str; 3] = ["carla", "dora", "emil"];

pub(super) fn first_password(name: &str) -> String {
    format!("{name}-password-0")
}

fn marker(number: usize) -> String {
    format!("marker-{number}-")
}

fn plan(nodes: &[FaultProxy; 2], app: &Server, toggle: Toggle, number: usize) -> Plan {
    let toggled = match toggle {
        Toggle::Nobody => "manage",
        _ => "monitor",
    };
    let require = "require: { cluster: [monitor] }";
    let marker = marker(number);
    Plan::with_authority(&format!(
        "elasticsearch: {{ nodes: [\"{}\", \"{}\"], timeout: 12s, connect_timeout: 1s }}",
        nodes[0].url(),
        nodes[1].url()
    ))
    .tls()
    .upstream("app", app)
    .route(&marker, &format!("/{marker}"), "allow: everyone")
    .route(
        "toggled",
        "/toggled/**",
        &format!("require: {{ cluster: [{toggled}] }}"),
    )
    .route(
        "socket",
        "/socket/**",
        &format!("{require}, websocket: true"),
    )
    .route("all", "/**", require)
    .and(&format!("cache: {{ ttl: {TTL}s, negative_ttl: {TTL}s }}"))
    .and("login_limit: { per_address: 1000000, per_username: 1000000 }")
}

fn authority(folder: &TempDir) -> (Process, Target) {
    let config = folder.path().join("authority.yaml");
    let text = format!(
        "authority: {{ embedded: {{ token_timeout: {TOKEN_LIFE}s, failed_logins: {{ per_username: 1000000 }} }} }}\n"
    );
    fs::write(&config, text).unwrap();
    let mut command: Command = sidegate();
    command
        .env("ELASTIC_PASSWORD", SUPERUSER)
        .args(["authority", "--listen", "127.0.0.1:0", "--json", "--config"])
        .arg(config)
        .arg("--data")
        .arg(folder.path().join("data"));
    let process = Process::spawn(&mut command);
    let line = process.stdout.find(|line| line.starts_with('{'));
    let told: Value = serde_json::from_str(&line.expect("an address")).unwrap();
    let target = Target::http(told["authority"].as_str().unwrap());
    (process, target)
}

fn app() -> Server {
    Server::start(|request: &Recorded| {
        if request.target.starts_with("/events") {
            return Answer::Raw(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nd\r\ndata: first\n\n\r\ne\r\ndata: second\n\n\r\n0\r\n\r\n"
                    .to_vec(),
            );
        }
        if request.target.starts_with("/socket") {
            return echo(request);
        }
        Answer::text(ANSWER)
    })
}

/// A WebSocket that sends back every text.
fn echo(request: &Recorded) -> Answer {
    let key = request.header("sec-websocket-key").unwrap_or_default();
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    Answer::Take(Box::new(move |stream: &mut dyn Duplex| {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
        let role = tungstenite::protocol::Role::Server;
        let mut socket = tungstenite::WebSocket::from_raw_socket(stream, role, None);
        while let Ok(message) = socket.read() {
            if message.is_text() && socket.send(message).is_err() {
                return;
            }
        }
    }))
}
