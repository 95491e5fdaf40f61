//! Role mappings.

use serde_json::{Value, json};

use super::Node;

const PATH: &str = "/_security/role_mapping/everyone";

fn mapping() -> Value {
    json!({"enabled": true, "roles": ["kibana_user"], "rules": {"field": {"username": "*"}}, "metadata": {"uuid": "b9"}})
}

#[tokio::test]
async fn a_mapping_is_created_updated_shown_and_deleted() {
    let node = Node::fresh().await;
    let created = |created: bool| json!({"role_mapping": {"created": created}});
    assert_eq!(node.done("PUT", PATH, mapping()).await, created(true));
    assert_eq!(node.done("POST", PATH, mapping()).await, created(false));
    let answer = node.elastic("GET", PATH, Value::Null).await;
    assert_eq!(answer.text, json!({"everyone": mapping()}).to_string());
    let templates = json!({
        "enabled": false,
        "role_templates": [
            {"template": {"source": "_user_{{username}}"}},
            {"template": "{\"source\":\"{{#tojson}}groups{{/tojson}}\"}", "format": "json"},
        ],
        "rules": {"all": [{"any": [{"field": {"dn": ["*,dc=x", null]}}]}, {"except": {"field": {"metadata.n": [5]}}}]},
    });
    node.done("PUT", "/_security/role_mapping/two", templates)
        .await;
    let all = node
        .done("GET", "/_security/role_mapping", Value::Null)
        .await;
    assert_eq!(
        all["two"].to_string(),
        json!({
            "enabled": false,
            "role_templates": [
                {"template": "{\"source\":\"_user_{{username}}\"}", "format": "string"},
                {"template": "{\"source\":\"{{#tojson}}groups{{/tojson}}\"}", "format": "json"},
            ],
            "rules": {"all": [{"any": [{"field": {"dn": ["*,dc=x", null]}}]}, {"except": {"field": {"metadata.n": 5}}}]},
            "metadata": {},
        })
        .to_string()
    );
    let some = node
        .done("GET", "/_security/role_mapping/two,none", Value::Null)
        .await;
    assert_eq!(some.as_object().unwrap().len(), 1);
    assert_eq!(
        node.done("DELETE", PATH, Value::Null).await,
        json!({"found": true})
    );
    let answer = node.elastic("DELETE", PATH, Value::Null).await;
    assert_eq!(
        (answer.status, answer.json()),
        (404, json!({"found": false}))
    );
    let answer = node.elastic("GET", PATH, Value::Null).await;
    assert_eq!((answer.status, answer.json()), (404, json!({})));
}

#[tokio::test]
async fn bad_mappings_are_refused_with_their_words() {
    let node = Node::fresh().await;
    let without = |name: &str| {
        let mut body = mapping();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let with = |name: &str, value: Value| {
        let mut body = mapping();
        body[name] = value;
        body
    };
    let parsing = "parsing_exception";
    let validation = "action_request_validation_exception";
    for (body, kind, text) in [
        (
            without("enabled"),
            parsing,
            "failed to parse role-mapping [everyone]. missing field [enabled]",
        ),
        (
            without("roles"),
            parsing,
            "failed to parse role-mapping [everyone]. missing field [roles]",
        ),
        (
            without("rules"),
            parsing,
            "failed to parse role-mapping [everyone]. missing field [rules]",
        ),
        (
            with("nope", json!(1)),
            parsing,
            "[role-mapping] unknown field [nope]",
        ),
        (
            with("rules", json!("x")),
            parsing,
            "[role-mapping] rules doesn't support values of type: VALUE_STRING",
        ),
        (
            with("rules", json!({"some": 1})),
            parsing,
            "failed to parse rules expression. field [some] is not recognised in object [everyone]",
        ),
        (
            with("rules", json!({"field": {"username": "/(/"}})),
            parsing,
            "[role-mapping] failed to parse field [rules]",
        ),
        (
            with("role_templates", json!([{"template": "x", "format": "y"}])),
            parsing,
            "Invalid format [y] expected one of [json,string]",
        ),
        (
            with("role_templates", json!([{"format": "json"}])),
            parsing,
            "Required [template]",
        ),
        (
            with("roles", json!([])),
            validation,
            "Validation Failed: 1: role-mapping roles or role-templates are missing;",
        ),
        (
            with("role_templates", json!([{"template": {"source": "x"}}])),
            validation,
            "Validation Failed: 1: role-mapping cannot have both roles and role-templates;",
        ),
        (
            with("metadata", json!({"_x": 1})),
            validation,
            "Validation Failed: 1: metadata keys may not start with [_];",
        ),
    ] {
        let answer = node.elastic("PUT", PATH, body.clone()).await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (400, kind),
            "{body}"
        );
        assert!(answer.text.contains(text), "{body}: {}", answer.text);
    }
    let template = json!({"enabled": true, "role_templates": [{"template": {"source": "{{#a}}"}}], "rules": {"all": []}});
    let answer = node.elastic("PUT", PATH, template).await;
    assert!(
        answer.reason().contains("Failed to close 'a' tag"),
        "{}",
        answer.text
    );
    let answer = node.elastic("PUT", PATH, Value::Null).await;
    assert_eq!(
        (answer.kind().as_str(), answer.reason().as_str()),
        ("parse_exception", "request body is required")
    );
    let answer = node
        .elastic(
            "PUT",
            "/_security/role_mapping/x%20(read%20only)",
            mapping(),
        )
        .await;
    assert_eq!(
        answer.reason(),
        "Invalid mapping name [x (read only)]. [ (read only)] is not an allowed suffix"
    );
}

#[tokio::test]
async fn the_cause_of_a_bad_rule_is_nested_inside() {
    let node = Node::fresh().await;
    let body = r#"{"rules":{"any":{}},"roles":["a"],"enabled":true}"#;
    let body: Value = serde_json::from_str(body).unwrap();
    let error = node.elastic("PUT", PATH, body).await.json()["error"].clone();
    let outer = "[1:10] [role-mapping] failed to parse field [rules]";
    assert_eq!(error["reason"], outer);
    assert_eq!((&error["line"], &error["col"]), (&json!(1), &json!(10)));
    let inner = &error["caused_by"];
    assert_eq!(
        (&inner["type"], &inner["reason"]),
        (&json!("x_content_parse_exception"), &json!(outer))
    );
    assert_eq!(
        inner["caused_by"],
        json!({"type": "parse_exception", "reason": "failed to parse rules expression. field [any] requires an array"})
    );
}

#[tokio::test]
async fn mappings_need_privileges_to_read_and_to_write() {
    let node = Node::fresh().await;
    let reader = node
        .user_with("reader", json!({"cluster": ["read_security"]}))
        .await;
    assert_eq!(
        node.with(&reader, "GET", "/_security/role_mapping", &Value::Null)
            .await
            .status,
        200
    );
    for (method, body) in [("PUT", mapping()), ("DELETE", Value::Null)] {
        let answer = node.with(&reader, method, PATH, &body).await;
        assert_eq!(answer.status, 403, "{method}");
        assert!(
            answer.reason().ends_with(
                "this action is granted by the cluster privileges [manage_security,all]"
            )
        );
    }
}
