//! HTTP messages at their edges: what becomes of a body nobody wants, of a connection that ends, of what two protocols say
//! differently.

mod answers;
mod closing;
mod expect;
mod floods;
mod forged;
mod grpc;
mod streams;

use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

/// A gate with an open route below `/public/`; everything else is refused with 404. Over TLS if asked for.
fn gate(fake: &FakeElasticsearch, app: &Server, tls: bool) -> Running {
    let plan = Plan::with_elasticsearch(fake).upstream("app", app).route(
        "public",
        "/public/**",
        "allow: everyone",
    );
    if tls { plan.tls() } else { plan }.start()
}

/// Memory of a process that is in use now, in bytes.
fn resident(gate: &Running) -> u64 {
    memory(gate, "VmRSS:")
}

/// The most memory that a process ever used, in bytes.
fn peak(gate: &Running) -> u64 {
    memory(gate, "VmHWM:")
}

fn memory(gate: &Running, field: &str) -> u64 {
    let status = format!("/proc/{}/status", gate.process.id());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find(|line| line.starts_with(field));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or_else(|| panic!("no {field} in {status}")) * 1024
}
