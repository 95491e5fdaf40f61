//! HTTP messages at their edges: what becomes of a body nobody wants, of a connection that ends, of what two protocols say
//! differently.

mod closing;

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
