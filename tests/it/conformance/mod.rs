//! Conformance: every endpoint of the embedded authority, by the real binary, against a written table.
//!
//! `cases/` has for each endpoint at least one request that succeeds, one that is invalid, one that is denied and one for what
//! isn't there, each with status, error type and reason. Where nothing can succeed (no such realm, enrolment off) the list of
//! successes is empty, and the path stands in `NEVER`. Lines run from top to bottom against one process, so a line may use
//! what one above it made. A new endpoint needs lines there and a shape in `answers.json`; the tests say so.

mod case;
mod manners;
mod openapi;
mod shape;
mod suite;

use std::collections::BTreeSet;

use sidegate::authority::api::TABLE;

use self::case::{Case, Denied, Endpoint};
use self::suite::Suite;

/// Endpoints of which no call can succeed: there is no such realm yet, and enrolment is off.
const NEVER: [&str; 3] = ["/_security/saml/", "/_security/oidc/", "/_security/enroll/"];

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

/// The program's own endpoints with their actions, named as in `cases/`.
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
        let never = NEVER.iter().any(|part| name.contains(part));
        assert_eq!(line.success.is_empty(), never, "{name}");
        assert!(!line.invalid.is_empty(), "{name}");
        assert!(!line.missing.is_empty(), "{name}");
        let nothing = matches!(&line.denied, Denied::Cases(cases) if cases.is_empty());
        assert!(!nothing, "{name}");
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
    suite.finish();
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
