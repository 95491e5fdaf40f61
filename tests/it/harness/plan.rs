//! A configuration in the making, and `sidegate run` on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use notify::{RecursiveMode, Watcher as _};
use serde_json::Value;
use tempfile::TempDir;

use super::DEADLINE;
use super::client::Target;
use super::elasticsearch::FakeElasticsearch;
use super::eventually;
use super::pki::{Authority, trust};
use super::process::{Process, sidegate};
use super::server::Server;

/// A config file told in pieces: one listener, one admin door, and what the test adds.
#[derive(Clone)]
pub(crate) struct Plan {
    address: String,
    more_listeners: String,
    admin: String,
    tls: bool,
    clients: String,
    listener: String,
    authority: String,
    upstreams: Vec<String>,
    routes: Vec<String>,
    rest: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Plan {
    /// Plain HTTP in, the fake Elasticsearch as authority.
    pub(crate) fn with_elasticsearch(fake: &FakeElasticsearch) -> Self {
        Self::with_authority(&format!(
            "elasticsearch: {{ nodes: [\"{}\"], timeout: 20s }}",
            fake.url()
        ))
    }

    /// Plain HTTP in, and this under `authority:`.
    pub(crate) fn with_authority(yaml: &str) -> Self {
        Self {
            address: "127.0.0.1:0".to_owned(),
            more_listeners: String::new(),
            admin: "{ address: 127.0.0.1:0 }".to_owned(),
            tls: false,
            clients: String::new(),
            listener: String::new(),
            authority: yaml.to_owned(),
            upstreams: Vec::new(),
            routes: Vec::new(),
            rest: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// A port that others have to know before it starts.
    pub(crate) fn port(self, port: u16) -> Self {
        self.address(&format!("127.0.0.1:{port}"))
    }

    /// Where the listener listens.
    pub(crate) fn address(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }

    /// One more listener, in flow form.
    pub(crate) fn more_listeners(mut self, yaml: &str) -> Self {
        self.more_listeners.push_str(&format!("  - {yaml}\n"));
        self
    }

    /// The admin door, in flow form.
    pub(crate) fn admin(mut self, yaml: &str) -> Self {
        yaml.clone_into(&mut self.admin);
        self
    }

    /// HTTPS in, with a throwaway certificate.
    pub(crate) fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Client certificates on the HTTPS listener, in flow form.
    pub(crate) fn clients(mut self, yaml: &str) -> Self {
        self.tls = true;
        self.clients = format!(", client_certificates: {yaml}");
        self
    }

    /// One more key of the listener, as `key: value`.
    pub(crate) fn listener(mut self, yaml: &str) -> Self {
        self.listener.push_str(&format!("    {yaml}\n"));
        self
    }

    /// An upstream with one address.
    pub(crate) fn upstream(self, name: &str, server: &Server) -> Self {
        let url = server.url();
        self.upstream_yaml(name, &format!("url: \"{url}\""))
    }

    /// An upstream with these keys, in flow form.
    pub(crate) fn upstream_yaml(mut self, name: &str, keys: &str) -> Self {
        self.upstreams.push(format!("  {name}: {{ {keys} }}\n"));
        self
    }

    /// A route to the upstream `app`: its name, path pattern, and the rest of its keys in flow form.
    pub(crate) fn route(self, name: &str, path: &str, keys: &str) -> Self {
        self.route_yaml(&format!(
            "{{ name: {name}, match: {{ path: \"{path}\" }}, upstream: app, {keys} }}"
        ))
    }

    /// A route as written.
    pub(crate) fn route_yaml(mut self, yaml: &str) -> Self {
        self.routes.push(format!("  - {yaml}\n"));
        self
    }

    /// A variable of the process's environment.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// More top-level keys.
    pub(crate) fn and(mut self, yaml: &str) -> Self {
        self.rest.push(format!("{yaml}\n"));
        self
    }

    /// The file's text.
    pub(crate) fn yaml(&self, folder: &Path) -> String {
        let tls = if self.tls {
            format!(
                "    tls: {{ certificates: [{{ certificate: {0}/tls.crt, key: {0}/tls.key }}]{1} }}\n",
                folder.display(),
                self.clients
            )
        } else {
            String::new()
        };
        format!(
            "listeners:\n  - name: main\n    address: \"{}\"\n{tls}{}{}admin: {}\nauthority:\n  {}\nupstreams:\n{}routes:\n{}{}",
            self.address,
            self.listener,
            self.more_listeners,
            self.admin,
            self.authority,
            self.upstreams.concat(),
            self.routes.concat(),
            self.rest.concat(),
        )
    }

    /// Writes the file and what it names into a folder.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        if self.tls {
            let ca = Authority::new();
            ca.write_ca(folder);
            ca.write_leaf(folder, "tls", &["localhost", "127.0.0.1"]);
        }
        let path = folder.join("sidegate.yaml");
        fs::write(&path, self.yaml(folder)).unwrap();
        path
    }

    /// Writes the file alone again, with the keys as they lie there.
    pub(crate) fn write_without_keys(&self, folder: &Path) {
        fs::write(folder.join("sidegate.yaml"), self.yaml(folder)).unwrap();
    }

    /// Runs it and waits until everything is bound.
    pub(crate) fn start(&self) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let config = self.write(folder.path());
        let ready = folder.path().join("ready.json");
        let process = Process::spawn(
            sidegate()
                .arg("run")
                .arg("--config")
                .arg(&config)
                .arg("--ready-file")
                .arg(&ready)
                .envs(self.environment.iter().cloned()),
        );
        let told = wait_for_json(&ready, &process);
        let address = told["listeners"][0]["address"]
            .as_str()
            .expect("a listener's address");
        let listeners = told["listeners"].as_array().expect("listeners");
        let listeners = listeners
            .iter()
            .map(|listener| listener["address"].as_str().unwrap_or_default().to_owned())
            .collect();
        let proxy = if self.tls {
            Target::https(address, trust(&folder.path().join("ca.pem")))
        } else {
            Target::http(address)
        };
        let admin = Target::http(told["admin"].as_str().expect("the admin door's address"));
        let authority = told["authority"].as_str().map(Target::http);
        Running {
            process,
            proxy,
            admin,
            authority,
            listeners,
            config,
            folder,
        }
    }
}

/// `sidegate run`, bound.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) proxy: Target,
    pub(crate) admin: Target,
    /// The embedded authority's own listener, if it has one.
    pub(crate) authority: Option<Target>,
    /// The addresses of all listeners, in written order.
    pub(crate) listeners: Vec<String>,
    pub(crate) config: PathBuf,
    pub(crate) folder: TempDir,
}

impl Running {
    /// The text of `/metrics`.
    pub(crate) fn metrics(&self) -> String {
        metrics(&self.admin)
    }

    /// Waits until the metrics say so, asking again and again. What is counted at the end of a response may come after it.
    pub(crate) fn wait_for_metric(
        &self,
        name: &str,
        labels: &[&str],
        wanted: impl Fn(f64) -> bool,
    ) {
        let mut last = f64::NAN;
        let came = eventually(|| {
            last = self.metric(name, labels);
            wanted(last)
        });
        assert!(
            came,
            "{name} {labels:?} stays at {last}\n{}",
            self.process.output()
        );
    }

    /// Waits until the authority has answered once: what is bound may not be ready yet.
    pub(crate) fn wait_until_ready(&self) {
        let ready = || self.admin.get("/readyz").send().status == 200;
        assert!(
            eventually(ready),
            "it never gets ready\n{}",
            self.process.output()
        );
    }

    /// Waits until a reload has ended as `applied` or `refused`.
    pub(crate) fn wait_for_reload(&self, result: &str) {
        let label = format!("result=\"{result}\"");
        self.wait_for_metric("sidegate_config_reloads_total", &[&label], |count| {
            count >= 1.0
        });
    }

    /// The sum of all series of a metric whose labels include all of these (`name="value"`).
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum(&self.metrics(), name, labels)
    }
}

fn metrics(admin: &Target) -> String {
    admin.get("/metrics").send().expect(200).text()
}

/// Sums the series of one metric that carry all these labels.
fn sum(exposition: &str, name: &str, labels: &[&str]) -> f64 {
    let mut found = false;
    let total = exposition
        .lines()
        .filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
                && labels.iter().all(|label| line.contains(label))
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .inspect(|_| found = true)
        .sum();
    assert!(found, "no series {name} with {labels:?} in\n{exposition}");
    total
}

/// Waits for a file with one whole line of JSON, woken by the file system.
fn wait_for_json(path: &Path, process: &Process) -> Value {
    let (tell, told) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |_| {
        let _ = tell.send(());
    })
    .unwrap();
    watcher
        .watch(path.parent().unwrap(), RecursiveMode::NonRecursive)
        .unwrap();
    let mut patience = 60;
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if let Ok(value) = serde_json::from_str(&text) {
            return value;
        }
        // A program that refuses to start ends; then its pipes are closed and nothing more will come.
        let ended = process.stdout.is_closed();
        if told.recv_timeout(DEADLINE / 60).is_err() {
            patience -= 1;
        }
        assert!(
            !ended && patience > 0,
            "it never got ready\n{}",
            process.output()
        );
    }
}
