//! `sidegate authority` from outside: addresses, passwords, TLS, signals, audit log, backup, and what a kill leaves.

use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use crate::harness::client::{Target, basic};
use crate::harness::pki::{Authority, trust};
use crate::harness::process::{Ended, Process, run_to_end, sidegate};

const PASSWORD: &str = "first-password";

/// The command, running.
struct Alone {
    process: Process,
    api: Target,
}

impl Alone {
    fn start(data: &Path, args: &[&str]) -> Self {
        Self::start_trusting(None, data, args)
    }

    fn start_trusting(ca: Option<&Path>, data: &Path, args: &[&str]) -> Self {
        let mut command = sidegate();
        command
            .env("ELASTIC_PASSWORD", PASSWORD)
            .args(["authority", "--listen", "127.0.0.1:0", "--json", "--data"])
            .arg(data)
            .args(args);
        let process = Process::spawn(&mut command);
        let line = process.stdout.find(|line| line.starts_with('{'));
        let told: Value = serde_json::from_str(&line.expect("an address")).unwrap();
        let url = told["authority"].as_str().unwrap().to_owned();
        let api = match ca {
            Some(ca) => Target::https(&url, trust(ca)),
            None => Target::http(&url),
        };
        Self { process, api }
    }

    fn put(&self, path: &str, body: &Value) -> Value {
        let call = self.api.put_json(path, body).authorization(&superuser());
        call.send().expect(200).json()
    }

    fn find(&self, path: &str) -> Value {
        let call = self.api.get(path).authorization(&superuser());
        call.send().expect(200).json()
    }
}

fn superuser() -> String {
    basic("elastic", PASSWORD)
}

fn command(args: &[&str], paths: &[&Path]) -> Ended {
    let mut all: Vec<&str> = args.to_vec();
    all.extend(paths.iter().map(|path| path.to_str().unwrap()));
    run_to_end(&all)
}

#[test]
fn it_serves_at_the_address_it_prints_and_drains_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut alone = Alone::start(folder.path(), &[]);
    let who = alone.find("/_security/_authenticate");
    assert_eq!(who["username"], "elastic");
    alone.api.get("/").send().expect(401);
    alone.process.signal("TERM");
    assert_eq!(alone.process.wait().code(), Some(0));
    // The store is closed: the next one opens it, and another first password changes nothing.
    let again = Alone::start(folder.path(), &[]);
    again.find("/_security/_authenticate");
}

#[test]
fn without_a_password_a_random_one_is_printed_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let args = [
        "authority",
        "--listen",
        "127.0.0.1:0",
        "--json",
        "--data",
        data,
    ];
    let first = Process::spawn(sidegate().args(args));
    let line = first.stdout.find(|line| line.starts_with('{')).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let line = first
        .stderr
        .find(|line| line.contains("shown once"))
        .unwrap();
    let password = line.rsplit(' ').next().unwrap();
    let api = Target::http(told["authority"].as_str().unwrap());
    api.get("/").basic("elastic", password).send().expect(200);
    drop(first);
    let second = Process::spawn(sidegate().args(args));
    second.stdout.find(|line| line.starts_with('{')).unwrap();
    assert!(!second.stderr.text().contains("shown once"));
}

#[test]
fn the_first_password_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "from-a-file\n").unwrap();
    let mut command = sidegate();
    command.env("ELASTIC_PASSWORD_FILE", &file).args([
        "authority",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]);
    let process = Process::spawn(&mut command);
    let line = process.stdout.find(|line| line.starts_with('{')).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let api = Target::http(told["authority"].as_str().unwrap());
    api.get("/")
        .basic("elastic", "from-a-file")
        .send()
        .expect(200);
}

#[test]
fn over_tls_it_tells_its_certificate_and_writes_its_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Authority::new();
    let files = pki.write_leaf(folder.path(), "tls", &["localhost", "127.0.0.1"]);
    let ca = pki.write_ca(folder.path());
    let config = folder.path().join("authority.yaml");
    let (certificate, key) = (&files.certificate, &files.key);
    let audit = folder.path().join("audit.json");
    let text = format!(
        "authority:\n  embedded:\n    tls: {{ certificates: [{{ certificate: {}, key: {} }}] }}\n    audit: {{ target: {{ file: {} }}, events: [access_denied, security_config_change] }}\n",
        certificate.display(),
        key.display(),
        audit.display()
    );
    std::fs::write(&config, text).unwrap();
    let data = folder.path().join("data");
    let args = ["--config", config.to_str().unwrap()];
    let mut alone = Alone::start_trusting(Some(&ca), &data, &args);
    let list = alone.find("/_ssl/certificates");
    assert_eq!(list[0]["format"], "PEM");
    assert_eq!(list[0]["path"], certificate.to_str().unwrap());
    alone.put(
        "/_security/user/joe",
        &json!({"password": "joe-password", "roles": []}),
    );
    alone
        .api
        .get("/")
        .basic("joe", "joe-password")
        .send()
        .expect(403);
    alone.process.signal("TERM");
    alone.process.wait();
    let mut lines: Vec<Value> = std::fs::read_to_string(&audit)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Threads write down what they saw in batches of their own.
    lines.sort_by_key(|line| line["timestamp"].as_str().unwrap().to_owned());
    let actions: Vec<&str> = lines
        .iter()
        .map(|line| line["event.action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["put_user", "access_denied"]);
    assert_eq!(lines[1]["origin.type"], "rest");
    assert!(
        lines[1]["origin.address"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
}

#[test]
fn a_config_with_faults_is_refused_with_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("authority.yaml");
    std::fs::write(
        &config,
        "authority: { embedded: { address: \"0.0.0.0:9200\" } }\nroutes: []\n",
    )
    .unwrap();
    let ended = command(&["authority", "--config"], &[&config]);
    assert_ne!(ended.code, 0);
    for fault in ["routes", "authority.embedded.address"] {
        assert!(ended.stderr.contains(fault), "{}", ended.stderr);
    }
}

#[test]
fn a_backup_of_a_running_store_is_restored_into_another_directory() {
    let folder = tempfile::tempdir().unwrap();
    let [data, other] = ["data", "other"].map(|name| folder.path().join(name));
    let file = folder.path().join("copy.redb");
    let mut alone = Alone::start(&data, &[]);
    alone.put("/_security/role/kept", &json!({"cluster": ["monitor"]}));
    let ended = command(
        &["authority", "--data"],
        &[&data, Path::new("backup"), &file],
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    alone.put("/_security/role/later", &json!({}));
    // Also without the process.
    alone.process.signal("TERM");
    alone.process.wait();
    let cold = folder.path().join("cold.redb");
    let ended = command(
        &["authority", "--data"],
        &[&data, Path::new("backup"), &cold],
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    let ended = command(
        &["authority", "--data"],
        &[&other, Path::new("restore"), &file],
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let ended = command(
        &["authority", "--data"],
        &[&other, Path::new("restore"), &file],
    );
    assert_ne!(ended.code, 0, "a store is never replaced");
    let restored = Alone::start(&other, &[]);
    let roles = restored.find("/_security/role");
    assert_eq!(roles["kept"]["cluster"], json!(["monitor"]));
    assert_eq!(roles.get("later"), None);
}

#[test]
fn what_is_no_backup_is_not_restored_and_no_store_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("junk"));
    std::fs::write(&file, vec![7; 10_000]).unwrap();
    let ended = command(
        &["authority", "--data"],
        &[&data, Path::new("restore"), &file],
    );
    assert_ne!(ended.code, 0);
    assert!(!data.join("authority.redb").exists());
    let ended = command(
        &["authority", "--data"],
        &[&data, Path::new("backup"), &file],
    );
    assert_ne!(ended.code, 0);
    assert_eq!(std::fs::read(&file).unwrap(), vec![7; 10_000]);
}

/// What one writer was told is done: path to read, and the field that must be there.
fn write_until_killed(api: &Target, round: usize, writer: usize) -> Vec<String> {
    let mut wire = api.connect();
    let mut done = Vec::new();
    for number in 0.. {
        let name = format!("w{round}-{writer}-{number}");
        let (path, body) = match number % 3 {
            0 => (
                format!("/_security/role/{name}"),
                json!({"cluster": ["monitor"]}),
            ),
            1 => (
                format!("/_security/user/{name}"),
                // A hash of another's making, so that the disk is the bottleneck and not bcrypt.
                json!({"roles": [], "password_hash": "$2a$04$pEj6sA1Ej5BdZYVwDjZhsuBGYZ1ZWkXPZQ3N9PqNhWLRPvQwgD1Bi"}),
            ),
            _ => (
                "/_security/privilege".to_owned(),
                json!({"app": {name.clone(): {"actions": ["a:b"]}}}),
            ),
        };
        let call = api.put_json(&path, &body).authorization(&superuser());
        // From the kill on, writes and reads fail; only what was answered counts.
        match wire.send(&call.bytes()).and_then(|()| wire.reply()) {
            Ok(reply) if reply.status == 200 => done.push(match number % 3 {
                2 => format!("/_security/privilege/app/{name}"),
                _ => path,
            }),
            _ => return done,
        }
    }
    done
}

#[test]
fn nothing_acknowledged_is_lost_however_often_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..6 {
        let alone = Alone::start(folder.path(), &[]);
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let api = alone.api.clone();
                thread::spawn(move || write_until_killed(&api, round, writer))
            })
            .collect();
        // A different moment each time: after so many answers to a client of our own.
        for number in 0..=(round * 3) {
            alone.put(&format!("/_security/role/own-{round}-{number}"), &json!({}));
            acknowledged.push(format!("/_security/role/own-{round}-{number}"));
        }
        alone.process.signal("KILL");
        for writer in writers {
            acknowledged.extend(writer.join().unwrap());
        }
    }
    assert!(acknowledged.len() > 60, "{}", acknowledged.len());
    let alone = Alone::start(folder.path(), &[]);
    let mut wire = alone.api.connect();
    for path in &acknowledged {
        let call = alone.api.get(path).authorization(&superuser());
        let reply = call.send_on(&mut wire);
        assert_eq!(reply.status, 200, "{path} is lost");
    }
}
