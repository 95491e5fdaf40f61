use proptest::prelude::*;
use serde_json::{Value, json};

use super::error::TemplateError;
use super::{Escape, Template};

fn model() -> Value {
    json!({
        "username": "joe \"x\" smith", "groups": ["a", "b c"], "empty": [], "no": false, "n": 3,
        "realm.name": "saml1", "metadata.cost center": 7, "deep": {"er": {"x": "found"}},
    })
}

fn rendered(text: &str) -> String {
    let template = Template::compile(text, Escape::Json).unwrap();
    template.render(&model()).unwrap()
}

#[test]
fn variables_are_escaped_for_json_unless_told_otherwise() {
    assert_eq!(rendered("_user_{{ n }}"), "_user_3");
    assert_eq!(rendered("{{username}}"), "joe \\\"x\\\" smith");
    assert_eq!(rendered("{{{username}}}{{&n}}"), "joe \"x\" smith3");
    assert_eq!(rendered("{{realm.name}} {{deep.er.x}}"), "saml1 found");
    assert_eq!(rendered("{{metadata.cost center}}"), "7");
    assert_eq!(rendered("[{{nothing}}]{{! a comment }}"), "[]");
    assert_eq!(rendered("{{groups.1}} {{groups}}"), "b c [a, b c]");
}

#[test]
fn sections_repeat_and_inverted_ones_stand_in() {
    assert_eq!(rendered("{{#groups}}<{{.}}>{{/groups}}"), "<a><b c>");
    assert_eq!(rendered("{{^groups}}none{{/groups}}"), "");
    assert_eq!(rendered("{{^empty}}none{{/empty}}{{^no}}!{{/no}}"), "none!");
    assert_eq!(rendered("{{#no}}x{{/no}}{{#empty}}x{{/empty}}"), "");
    assert_eq!(rendered("{{#deep}}{{er.x}}{{n}}{{/deep}}"), "found3");
    assert_eq!(rendered("{{=<% %>=}}<%n%>{{n}}"), "3{{n}}");
}

#[test]
fn functions_write_json_lists_and_addresses() {
    assert_eq!(rendered("{{#toJson}}groups{{/toJson}}"), "[\"a\",\"b c\"]");
    assert_eq!(
        rendered("{{#tojson}}deep.er{{/tojson}}"),
        "{\"x\":\"found\"}"
    );
    assert_eq!(rendered("{{#join}}groups{{/join}}"), "a,b c");
    assert_eq!(
        rendered("{{#join delimiter='||'}}groups{{/join delimiter='||'}}"),
        "a||b c"
    );
    assert_eq!(rendered("{{#url}}{{groups.1}}/{{/url}}"), "b+c%2F");
}

#[test]
fn what_cannot_be_read_is_refused() {
    let refused = |text: &str| Template::compile(text, Escape::Json).unwrap_err();
    assert_eq!(refused("{{a"), TemplateError::Unclosed);
    assert_eq!(refused("{{#a}}"), TemplateError::OpenSection("a".into()));
    assert!(matches!(
        refused("{{#a}}{{/b}}"),
        TemplateError::Mismatched { .. }
    ));
    assert!(matches!(
        refused("{{/b}}"),
        TemplateError::Mismatched { .. }
    ));
    assert_eq!(
        refused("{{#toJson}}{{a}}{{/toJson}}").to_string(),
        "Mustache function [toJson] must contain one and only one identifier"
    );
    assert_eq!(
        refused("{{> other}}"),
        TemplateError::Unsupported("partial")
    );
    assert_eq!(refused(&"{{#a}}".repeat(100)), TemplateError::TooLong);
    assert_eq!(refused(&"x".repeat(70_000)), TemplateError::TooLong);
}

#[test]
fn sections_that_multiply_are_stopped() {
    let items: Vec<u32> = (0..100).collect();
    let text = "{{#i}}{{#i}}{{#i}}{{#i}}x{{/i}}{{/i}}{{/i}}{{/i}}";
    let template = Template::compile(text, Escape::Nothing).unwrap();
    assert_eq!(
        template.render(&json!({"i": items})),
        Err(TemplateError::TooLong)
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_and_rendering_ends(text in "[{}#/^a.n!=& ]{0,40}|.{0,40}") {
        if let Ok(template) = Template::compile(&text, Escape::Json) {
            let _ = template.render(&model());
        }
    }

    #[test]
    fn text_without_tags_is_left_alone(text in "[^{]{0,40}") {
        let template = Template::compile(&text, Escape::Json).unwrap();
        prop_assert_eq!(template.render(&model()).unwrap(), text);
    }
}
