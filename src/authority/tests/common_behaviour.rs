//! What every endpoint has in common, beyond credentials and routing: the form of answers, compressed bodies, sizes.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Node, PASSWORD, basic, options};
use crate::authority::{Options, compression};
use crate::net::http::{Body, Response};

/// Sends raw bytes; for bodies and answers that are no text.
async fn raw(
    node: &Node,
    method: Method,
    uri: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Response {
    let auth = basic("elastic", PASSWORD);
    let mut request = http::Request::builder()
        .method(method)
        .uri(uri)
        .header("authorization", auth);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::full(body)).unwrap();
    node.authority.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_gzip_body_is_read_and_a_bomb_is_refused() {
    let node = Node::open(Options {
        max_body: 10_000,
        ..options()
    })
    .await;
    let headers = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    let role = json!({"cluster": ["monitor"]}).to_string();
    let body = compression::gzip(role.as_bytes()).unwrap();
    let answer = raw(
        &node,
        Method::PUT,
        "/_security/role/zipped",
        &headers,
        body.into(),
    )
    .await;
    assert_eq!(answer.status(), 200);
    let role = node
        .done("GET", "/_security/role/zipped", Value::Null)
        .await;
    assert_eq!(role["zipped"]["cluster"], json!(["monitor"]));

    let bomb = compression::gzip(&vec![b' '; 1 << 20]).unwrap();
    assert!(bomb.len() < 10_000);
    let answer = raw(
        &node,
        Method::PUT,
        "/_security/role/x",
        &headers,
        bomb.into(),
    )
    .await;
    assert_eq!(answer.status(), 413);
    let answer = raw(
        &node,
        Method::PUT,
        "/_security/role/x",
        &headers,
        Bytes::from_static(b"{}"),
    )
    .await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_ask_where_that_is_safe() {
    for compress in [true, false] {
        let node = Node::open(Options {
            compress,
            ..options()
        })
        .await;
        let headers = [("accept-encoding", "gzip")];
        let answer = raw(&node, Method::GET, "/", &headers, Bytes::new()).await;
        assert_eq!(answer.headers().contains_key("content-encoding"), compress);
        let (head, body) = answer.into_parts();
        let body = body.collect_up_to(1 << 16).await.unwrap();
        let plain = compression::inflate(&http::HeaderMap::new(), body.clone(), 1 << 16).unwrap();
        let plain = if compress {
            let mut encoded = http::HeaderMap::new();
            encoded.insert("content-encoding", head.headers["content-encoding"].clone());
            compression::inflate(&encoded, body, 1 << 16).unwrap()
        } else {
            plain
        };
        let root: Value = serde_json::from_slice(&plain).unwrap();
        assert_eq!(root["tagline"], "You Know, for Search");
    }
}

#[tokio::test]
async fn error_trace_adds_a_trace_and_nothing_else() {
    let node = Node::fresh().await;
    let path = "/_security/role/_x y?refresh=maybe";
    let plain = node
        .elastic("PUT", &path.replace(' ', "%20"), json!({}))
        .await;
    let traced = format!("{}&error_trace", path.replace(' ', "%20"));
    let traced = node.elastic("PUT", &traced, json!({})).await;
    assert_eq!(plain.status, 400);
    assert_eq!(plain.reason(), "Unknown value for refresh: [maybe].");
    let mut json = traced.json();
    let trace = json["error"]["stack_trace"].take();
    assert_eq!(
        trace,
        "illegal_argument_exception: Unknown value for refresh: [maybe]."
    );
    assert_eq!(json["error"]["root_cause"][0]["stack_trace"].take(), trace);
    assert_eq!(json["error"]["reason"], plain.json()["error"]["reason"]);
}

#[tokio::test]
async fn filter_path_shapes_answers_but_never_errors() {
    let node = Node::fresh().await;
    let path = "/_security/_authenticate?filter_path=username,authentication_realm.*,-**.type";
    let answer = node.done("GET", path, Value::Null).await;
    assert_eq!(
        answer,
        json!({"username": "elastic", "authentication_realm": {"name": "reserved"}})
    );
    let answer = node
        .elastic("GET", "/_nope?filter_path=x", Value::Null)
        .await;
    assert!(answer.json()["error"].is_string());
    let long = format!("/?filter_path={}", "a.".repeat(100));
    assert_eq!(node.elastic("GET", &long, Value::Null).await.status, 400);
    // Not found is an answer, not an error: the filter counts.
    let answer = node
        .elastic("GET", "/_security/user/nobody?filter_path=x", Value::Null)
        .await;
    assert_eq!((answer.status, answer.json()), (404, json!({})));
}

#[tokio::test]
async fn pretty_yaml_and_head_are_forms_of_the_same_answer() {
    let node = Node::fresh().await;
    let path = "/_security/_authenticate?filter_path=username,metadata&pretty";
    let answer = node.elastic("GET", path, Value::Null).await;
    assert_eq!(
        answer.text,
        "{\n  \"username\" : \"elastic\",\n  \"metadata\" : {\n    \"_reserved\" : true\n  }\n}\n"
    );
    let answer = node
        .elastic("GET", "/?format=yaml&filter_path=tagline", Value::Null)
        .await;
    assert_eq!(answer.headers["content-type"], "application/yaml");
    assert_eq!(answer.text, "---\ntagline: \"You Know, for Search\"\n");
    let get = node.elastic("GET", "/", Value::Null).await;
    let head = node.elastic("HEAD", "/", Value::Null).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], get.text.len().to_string());
    let head = node
        .elastic("HEAD", "/_security/_authenticate", Value::Null)
        .await;
    assert_eq!(head.status, 405);
}

#[tokio::test]
async fn flags_other_than_true_and_false_are_refused() {
    let node = Node::fresh().await;
    for flag in ["pretty", "human", "error_trace"] {
        let answer = node
            .elastic("GET", &format!("/?{flag}=maybe"), Value::Null)
            .await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (
                400,
                "Failed to parse value [maybe] as only [true] or [false] are allowed."
            )
        );
        let answer = node
            .elastic("GET", &format!("/?{flag}=false&format=json"), Value::Null)
            .await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn the_credential_is_looked_at_before_the_path_and_options_needs_none() {
    let node = Node::fresh().await;
    for (method, path) in [("GET", "/_nope"), ("PATCH", "/_security/role/x")] {
        assert_eq!(node.send(method, path, &[], "").await.status, 401);
    }
    let answer = node.send("OPTIONS", "/_security/role/x?a=b", &[], "").await;
    assert_eq!(answer.headers["allow"], "DELETE,GET,POST,PUT");
    let answer = node.send("OPTIONS", "/_nope", &[], "").await;
    assert_eq!((answer.status, answer.headers.get("allow")), (200, None));
    let answer = node.send("OPTIONS", "/", &[], "{}").await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.reason(),
        "OPTIONS requests with a payload body are not supported"
    );
}

#[tokio::test]
async fn a_method_nobody_knows_is_not_allowed() {
    let node = Node::fresh().await;
    let answer = node
        .elastic("BREW", "/_security/_authenticate", Value::Null)
        .await;
    assert_eq!(answer.status, 405);
    assert_eq!(
        answer.json()["error"],
        "Unexpected http method: BREW, allowed: [GET]"
    );
}

#[tokio::test]
async fn the_nearest_parameters_are_proposed_by_likeness() {
    let node = Node::fresh().await;
    let answer = node
        .elastic("GET", "/_security/api_key?usrname=x", Value::Null)
        .await;
    assert_eq!(
        answer.reason(),
        "request [/_security/api_key] contains unrecognized parameter: [usrname] -> did you mean any of [username, name]?"
    );
}

#[tokio::test]
async fn media_type_headers_that_make_no_sense_are_named() {
    let node = Node::fresh().await;
    let auth = basic("elastic", PASSWORD);
    let vendored = "application/vnd.elasticsearch+json;compatible-with=7";
    let headers = [("authorization", auth.as_str()), ("accept", vendored)];
    let answer = node.send("GET", "/", &headers, "").await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (400, "media_type_header_exception")
    );
    assert_eq!(
        answer.reason(),
        "Invalid media-type value on headers [Content-Type, Accept]"
    );
    let cause = &answer.json()["error"]["caused_by"];
    assert_eq!(cause["type"], "status_exception");
    assert_eq!(
        cause["reason"],
        format!("Accept version must be either version 9 or 8, but found 7. Accept={vendored}")
    );
    let eight = "application/vnd.elasticsearch+json; compatible-with=8";
    let headers = [("authorization", auth.as_str()), ("accept", eight)];
    let answer = node.send("GET", "/_nope", &headers, "").await;
    assert_eq!(
        answer.headers["content-type"],
        "application/vnd.elasticsearch+json;compatible-with=8"
    );
}
