//! The process under test, and running lines against it.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::case::{Case, Kept, PASSWORD};
use super::openapi::OpenApi;
use super::shape::Shapes;
use crate::harness::client::{Reply, Target, Wire};
use crate::harness::pki::Authority;
use crate::harness::process::{Process, sidegate};

/// A running authority with a PKI realm, and everything that lines need.
pub(super) struct Suite {
    _process: Process,
    pub(super) api: Target,
    wire: Wire,
    kept: Kept,
    shapes: Shapes,
    openapi: Option<OpenApi>,
    /// What went wrong so far.
    pub(super) faults: Vec<String>,
}

impl Suite {
    /// A fresh one, with a user who may nothing and one who may have API keys.
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (Authority::new(), Authority::new());
        let config = folder.path().join("authority.yaml");
        std::fs::write(&config, config_trusting(&ours.write_ca(folder.path()))).unwrap();
        let mut command = sidegate();
        let args = ["authority", "--listen", "127.0.0.1:0", "--json", "--config"];
        command.env("ELASTIC_PASSWORD", PASSWORD).args(args);
        let process = Process::spawn(command.arg(&config));
        let line = process.stdout.find(|line| line.starts_with('{')).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        let api = Target::http(told["authority"].as_str().unwrap());
        let mut suite = Self {
            _process: process,
            wire: api.connect(),
            api,
            kept: Kept::new(),
            shapes: Shapes::read(),
            openapi: OpenApi::beside(),
            faults: Vec::new(),
        };
        suite.fill();
        for (name, authority) in [("certificate", ours), ("stranger", theirs)] {
            let leaf = leaf_of(&authority, folder.path());
            suite.kept.insert(name.to_owned(), leaf);
        }
        suite
    }

    fn fill(&mut self) {
        for (path, body) in [
            ("role/nothing", json!({})),
            ("role/owner", json!({"cluster": ["manage_own_api_key"]})),
            (
                "user/nobody",
                json!({"password": PASSWORD, "roles": ["nothing"]}),
            ),
            (
                "user/keeper",
                json!({"password": PASSWORD, "roles": ["owner"]}),
            ),
        ] {
            let case = Case {
                call: format!("PUT /_security/{path}"),
                body: Some(body),
                ..Case::default()
            };
            self.send(&case).expect(200);
        }
    }

    fn send(&mut self, case: &Case) -> Reply {
        case.send(&self.api, &mut self.wire, &self.kept)
    }

    pub(super) fn run_all(&mut self, endpoint: &str, cases: &[Case]) {
        for case in cases {
            self.run(endpoint, case);
        }
    }

    pub(super) fn run(&mut self, endpoint: &str, case: &Case) {
        let reply = self.send(case);
        if reply.header("x-elastic-product") != Some("Elasticsearch") {
            self.faults
                .push(format!("{}: no product header", case.call));
        }
        let fault = case.fault(&reply, &self.kept);
        let right = fault.is_none();
        self.faults.extend(fault);
        if !right || !case.succeeds() || reply.body.is_empty() {
            return;
        }
        let answer = reply.json();
        self.check_shape(endpoint, case, &answer);
        for (name, pointer) in &case.keep {
            let value = answer.pointer(pointer).and_then(Value::as_str).unwrap();
            self.kept.insert(name.clone(), value.to_owned());
        }
    }

    /// Against our own table, and against Elastic's document when it is there.
    fn check_shape(&mut self, endpoint: &str, case: &Case, answer: &Value) {
        let endpoint = case.shape.as_deref().unwrap_or(endpoint);
        let told = |fault: String| format!("{}: {fault}", case.call);
        let mut faults = self.shapes.faults(endpoint, answer);
        if let Some(openapi) = &self.openapi {
            let method = case.call.split(' ').next().unwrap_or_default();
            let path = endpoint.split(' ').next_back().unwrap_or_default();
            faults.extend(openapi.faults(method, path, answer));
        }
        self.faults.extend(faults.into_iter().map(told));
    }

    /// Everything went right.
    pub(super) fn finish(self) {
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
    }
}

fn config_trusting(ca: &Path) -> String {
    let mut text = "authority:\n  embedded:\n    realms:\n      pki:\n".to_owned();
    let realm = "order: 5, delegation: { enabled: true }, certificate_authorities";
    writeln!(text, "        pki1: {{ {realm}: [{}] }}", ca.display()).unwrap();
    text
}

/// A certificate of this CA, as base64 of its DER.
fn leaf_of(authority: &Authority, folder: &Path) -> String {
    let files = authority.write_leaf(folder, "leaf", &["localhost"]);
    STANDARD.encode(CertificateDer::from_pem_file(files.certificate).unwrap())
}
