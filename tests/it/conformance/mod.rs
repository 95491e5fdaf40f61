//! Conformance: every endpoint of the embedded authority, by the real binary, against a written table.
//!
//! `cases/` has for each endpoint at least one request that succeeds, one that is invalid, one that is denied and one for what
//! isn't there, each with status, error type and reason. Where nothing can succeed (no such realm, enrolment off) the list of
//! successes is empty and named in `NEVER`. Lines run from top to bottom against one process, so a line may use what one
//! above it made. A new endpoint needs lines there and a shape in `answers.json`; the tests say so.

mod case;
mod openapi;
mod shape;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sidegate::authority::api::TABLE;

use self::case::{Case, Denied, Endpoint, Kept, PASSWORD};
use self::openapi::OpenApi;
use self::shape::Shapes;
use crate::harness::client::{Reply, Target, Wire};
use crate::harness::process::{Process, sidegate};

/// Endpoints of which no call can succeed without a realm that the process doesn't have.
const NEVER: [&str; 3] = ["/_security/saml/", "/_security/oidc/", "/_security/enroll/"];

/// Everything the lines need.
struct Suite {
    _process: Process,
    api: Target,
    wire: Wire,
    kept: Kept,
    shapes: Shapes,
    openapi: Option<OpenApi>,
    faults: Vec<String>,
}

/// Every endpoint's lines, in the order they run.
fn endpoints() -> Vec<Endpoint> {
    let files = [
        include_str!("cases/users.json"),
        include_str!("cases/roles.json"),
        include_str!("cases/keys.json"),
        include_str!("cases/tokens.json"),
        include_str!("cases/others.json"),
    ];
    let read = |text: &str| serde_json::from_str::<Vec<Endpoint>>(text).unwrap();
    files.into_iter().flat_map(read).collect()
}

/// The program's own endpoints with their actions, in the suite's manner.
fn served() -> Vec<(String, &'static str)> {
    let line = |endpoint: &sidegate::authority::endpoint::Endpoint| {
        let methods: Vec<&str> = endpoint.methods.iter().map(http::Method::as_str).collect();
        let name = format!("{} {}", methods.join("|"), endpoint.path);
        (name, endpoint.action)
    };
    TABLE.iter().map(line).collect()
}

#[test]
fn the_suite_has_lines_of_every_sort_for_every_endpoint_served_and_no_other() {
    let written: BTreeSet<String> = endpoints().into_iter().map(|line| line.endpoint).collect();
    let served: BTreeSet<String> = served().into_iter().map(|(name, _)| name).collect();
    assert_eq!(written, served);
    for line in endpoints() {
        let name = &line.endpoint;
        let never = NEVER.iter().any(|part| name.contains(part)) || name.contains("delegate_pki");
        assert_eq!(line.success.is_empty(), never, "{name}");
        assert!(
            !line.invalid.is_empty() && !line.missing.is_empty(),
            "{name}"
        );
        assert!(
            !matches!(&line.denied, Denied::Cases(cases) if cases.is_empty()),
            "{name}"
        );
    }
}

#[test]
fn every_endpoint_answers_as_written() {
    let mut suite = Suite::start();
    let actions = served();
    for line in endpoints() {
        let name = &line.endpoint;
        let (_, action) = actions.iter().find(|(known, _)| known == name).unwrap();
        suite.run_all(name, &line.success);
        suite.run_all(name, &line.invalid);
        match &line.denied {
            Denied::Cases(cases) => suite.run_all(name, cases),
            Denied::Privileges(privileges) => {
                let call = line.denied_call.as_ref().or(line.success.first()).unwrap();
                suite.run(name, &denial(call, action, privileges));
            }
        }
        suite.run_all(name, &line.missing);
    }
    assert!(suite.faults.is_empty(), "{}", suite.faults.join("\n"));
}

/// The same call by somebody who may nothing.
fn denial(call: &Case, action: &str, privileges: &str) -> Case {
    Case {
        call: call.call.clone(),
        body: call.body.clone(),
        caller: Some("nobody".to_owned()),
        is: Some(format!(
            "403 security_exception: action [{action}] is unauthorized for user [nobody] with effective roles [nothing], \
             this action is granted by the cluster privileges [{privileges}]"
        )),
        ..Case::default()
    }
}

impl Suite {
    /// A fresh authority with a user who may nothing, and one who may have API keys.
    fn start() -> Self {
        let mut command = sidegate();
        let args = ["authority", "--listen", "127.0.0.1:0", "--json"];
        command.env("ELASTIC_PASSWORD", PASSWORD).args(args);
        let process = Process::spawn(&mut command);
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
            suite.send(&case).expect(200);
        }
        let own = rcgen_certificate();
        suite.kept.insert("certificate".to_owned(), own);
        suite
    }

    fn send(&mut self, case: &Case) -> Reply {
        case.send(&self.api, &mut self.wire, &self.kept)
    }

    fn run_all(&mut self, endpoint: &str, cases: &[Case]) {
        for case in cases {
            self.run(endpoint, case);
        }
    }

    fn run(&mut self, endpoint: &str, case: &Case) {
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
}

/// A certificate of nobody's authority, as base64 of its DER.
fn rcgen_certificate() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let mut name = rcgen::DistinguishedName::new();
    name.push(rcgen::DnType::CommonName, "somebody");
    parameters.distinguished_name = name;
    STANDARD.encode(parameters.self_signed(&key).unwrap().der())
}
