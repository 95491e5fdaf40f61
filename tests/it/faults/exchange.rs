//! Faults of the authority while it is to make a credential for the upstream: the caller's identity is known and cached.

use super::row::{Row, Sees, rows};
use super::way::Way;
use crate::harness::elasticsearch::{FakeElasticsearch, OWN};
use crate::harness::eventually;
use crate::harness::plan::Plan;
use crate::harness::server::Server;

const TOKEN: &str = "The authority, when a token has to be made (`forward: token`)";
const API_KEY: &str = "The authority, when an API key has to be made (`forward: api_key`)";

const EXCHANGES: &str = "sidegate_exchanges_total";
const UNAVAILABLE: Sees = Sees::Refusal(503, "authority_unavailable");
const TOKENS: &[&str] = &["kind=\"token\"", "outcome=\"trouble\""];
const KEYS: &[&str] = &["kind=\"api_key\"", "outcome=\"trouble\""];
const NO_TOKEN: &[&str] = &["no exchange", "kind=\"token\"", "outcome=\"trouble\""];
const NO_KEY: &[&str] = &["no exchange", "kind=\"api_key\"", "outcome=\"trouble\""];

rows! { play;
    refuses_a_token: Refuses in TOKEN => UNAVAILABLE, NO_TOKEN, EXCHANGES, TOKENS;
    resets_instead_of_a_token: Resets in TOKEN => UNAVAILABLE, NO_TOKEN, EXCHANGES, TOKENS;
    is_silent_instead_of_a_token: Silent in TOKEN => UNAVAILABLE, NO_TOKEN, EXCHANGES, TOKENS;
    is_reset_in_the_body_of_a_token: ResetInBody in TOKEN => UNAVAILABLE, NO_TOKEN, EXCHANGES, TOKENS;
    talks_no_http_instead_of_a_token: Garbage in TOKEN => UNAVAILABLE, NO_TOKEN, EXCHANGES, TOKENS;
    cuts_the_length_of_a_token: LengthCut in TOKEN => UNAVAILABLE, NO_TOKEN, EXCHANGES, TOKENS;
    answers_503_instead_of_a_token: Status503 in TOKEN => UNAVAILABLE, NO_TOKEN, EXCHANGES, TOKENS;
    is_somebody_else_asked_for_a_token: Foreign200 in TOKEN => UNAVAILABLE, NO_TOKEN, EXCHANGES, TOKENS;
    is_somebody_else_who_refuses_a_token: Foreign401 in TOKEN => UNAVAILABLE, NO_TOKEN, EXCHANGES, TOKENS;

    refuses_a_key: Refuses in API_KEY => UNAVAILABLE, NO_KEY, EXCHANGES, KEYS;
    is_silent_instead_of_a_key: Silent in API_KEY => UNAVAILABLE, NO_KEY, EXCHANGES, KEYS;
    cuts_the_length_of_a_key: LengthCut in API_KEY => UNAVAILABLE, NO_KEY, EXCHANGES, KEYS;
    answers_503_instead_of_a_key: Status503 in API_KEY => UNAVAILABLE, NO_KEY, EXCHANGES, KEYS;
    is_somebody_else_who_refuses_a_key: Foreign401 in API_KEY => UNAVAILABLE, NO_KEY, EXCHANGES, KEYS;
}

fn play(row: &Row) {
    let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
    let way = Way::to(fake.server.address, row.trouble);
    let (forward, scheme) = match row.place {
        TOKEN => ("token: {}", "Bearer token-canary-"),
        _ => (
            "api_key: { role_descriptors: { r: { cluster: [monitor] } } }",
            "ApiKey ",
        ),
    };
    let key = OWN.strip_prefix("ApiKey ").unwrap();
    let plan = Plan::with_authority(&format!(
        "elasticsearch: {{ nodes: [\"{}\"], timeout: 2s, connect_timeout: 1s, credential: {{ api_key: \"{key}\" }} }}",
        way.url()
    ))
    .upstream("app", &app)
    .route("plain", "/plain", "allow: authenticated")
    .route(
        "changed",
        "/**",
        &format!("allow: authenticated, forward: {{ {forward} }}"),
    )
    .and("cache: { ttl: 600s, refresh_ahead: 1.0 }");
    let gate = plan.start();
    let alice = |path| gate.proxy.get(path).basic("alice", "alice-password").send();
    alice("/plain").expect(200);
    way.suffer();
    let before = row.counted(&gate);
    row.is_seen(&gate, &alice("/x"));
    row.is_told(&gate, before);
    // Where nothing has to be made, she comes through.
    alice("/plain").expect(200);
    assert_eq!(app.requests().len(), 2, "the refused request is nobody's");
    way.heal(&gate, &plan);
    // Trouble is told for a second, and then asked about again.
    let made = eventually(|| alice("/x").status == 200);
    assert!(made, "{}", gate.process.output());
    let seen = app.requests();
    let given = seen
        .last()
        .and_then(|request| request.header("authorization"));
    assert!(
        given.is_some_and(|given| given.starts_with(scheme)),
        "{given:?}"
    );
}
