//! What all endpoints have in common, tried on every one of them: credentials, methods, parameters, bodies, media types.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sidegate::authority::api::TABLE;
use sidegate::authority::endpoint::Endpoint;

use super::case::PASSWORD;
use super::suite::Suite;
use crate::harness::client::{Call, Reply, Target, basic};

/// Elasticsearch's own JSON, as clients of version 8 ask for it.
const VENDORED: &str = "application/vnd.elasticsearch+json;compatible-with=8";

/// A path of this endpoint, about nothing that is there.
fn path_of(endpoint: &Endpoint) -> String {
    let part = |part: &str| {
        if part.starts_with('{') {
            "nothing"
        } else {
            part
        }
        .to_owned()
    };
    let parts: Vec<String> = endpoint.path.split('/').map(part).collect();
    parts.join("/")
}

fn method_of(endpoint: &Endpoint) -> &'static str {
    endpoint.methods[0].as_str()
}

/// What somebody with every privilege gets.
fn superuser(call: Call<'_>) -> Reply {
    call.authorization(&basic("elastic", PASSWORD)).send()
}

fn error(reply: &Reply) -> (u16, String, String) {
    let body = reply.json();
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    (reply.status, text("type"), text("reason"))
}

fn illegal(reason: String) -> (u16, String, String) {
    (400, "illegal_argument_exception".to_owned(), reason)
}

#[test]
fn every_endpoint_keeps_the_common_manners() {
    let suite = Suite::start();
    for endpoint in TABLE {
        asks_for_a_credential(&suite.api, endpoint);
        names_its_methods(&suite.api, endpoint);
        answers_in_the_form_asked_for(&suite.api, endpoint);
        if endpoint.body {
            wants_json(&suite.api, endpoint);
        } else {
            refuses_what_it_does_not_know(&suite.api, endpoint);
        }
    }
    suite.finish();
}

fn asks_for_a_credential(api: &Target, endpoint: &Endpoint) {
    let path = path_of(endpoint);
    let reply = api.call(method_of(endpoint), &path).send();
    let reason = format!("missing authentication credentials for REST request [{path}]");
    let kind = "security_exception".to_owned();
    assert_eq!(error(&reply), (401, kind, reason));
    let schemes: BTreeSet<&str> = reply
        .headers_named("www-authenticate")
        .filter_map(|challenge| challenge.split(' ').next())
        .collect();
    assert_eq!(schemes, BTreeSet::from(["ApiKey", "Basic", "Bearer"]));
}

fn names_its_methods(api: &Target, endpoint: &Endpoint) {
    let path = path_of(endpoint);
    let reply = superuser(api.call("PATCH", &path)).expect(405);
    let allowed: BTreeSet<&str> = reply.header("allow").unwrap().split(',').collect();
    for method in endpoint.methods {
        assert!(allowed.contains(method.as_str()), "{method} {path}");
    }
    let start = format!("Incorrect HTTP method for uri [{path}] and method [PATCH], allowed: [");
    let body = reply.json();
    assert!(
        body["error"].as_str().unwrap().starts_with(&start),
        "{body}"
    );
    assert_eq!(body["status"], 405);
}

/// Also when the answer is an error.
fn answers_in_the_form_asked_for(api: &Target, endpoint: &Endpoint) {
    let path = path_of(endpoint);
    let call = api
        .call(method_of(endpoint), &path)
        .header("Accept", VENDORED);
    let reply = superuser(call);
    assert_eq!(reply.header("content-type"), Some(VENDORED), "{path}");
    assert_eq!(reply.header("x-elastic-product"), Some("Elasticsearch"));
    serde_json::from_slice::<Value>(&reply.body).unwrap();
    let pretty = superuser(api.call("PATCH", &format!("{path}?pretty")));
    assert!(
        pretty.text().starts_with("{\n  \"error\" : "),
        "{}",
        pretty.text()
    );
}

fn wants_json(api: &Target, endpoint: &Endpoint) {
    let path = path_of(endpoint);
    let call = |kind: Option<&str>, body: &str| {
        let call = api.call(method_of(endpoint), &path).body(body);
        superuser(match kind {
            Some(kind) => call.header("Content-Type", kind),
            None => call,
        })
    };
    let told = |text: &str| json!({"error": text, "status": 406});
    assert_eq!(
        call(None, "{}").json(),
        told("Content-Type header is missing")
    );
    let text = "Content-Type header [text/plain] is not supported";
    assert_eq!(call(Some("text/plain"), "{}").json(), told(text));
    for broken in ["{", "[]", "7", "{\"a\":1}{", "{\"no such field\":{}}"] {
        let reply = call(Some("application/json"), broken);
        assert_eq!(reply.status, 400, "{path} {broken}: {}", reply.text());
        assert_eq!(reply.json()["status"], 400, "{path} {broken}");
    }
}

fn refuses_what_it_does_not_know(api: &Target, endpoint: &Endpoint) {
    let (method, path) = (method_of(endpoint), path_of(endpoint));
    let reply = superuser(api.call(method, &format!("{path}?no_such_parameter=1")));
    let reason = format!("request [{path}] contains unrecognized parameter: [no_such_parameter]");
    assert_eq!(error(&reply), illegal(reason));
    let reply = superuser(api.call(method, &path).json(&json!({})));
    let reason = format!("request [{method} {path}] does not support having a body");
    assert_eq!(error(&reply), illegal(reason));
}
