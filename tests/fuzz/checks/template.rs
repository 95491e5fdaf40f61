//! Mustache role templates, raw and as role mappings hold them: reading and rendering end, in their bounds.

use serde_json::{Value, json};
use sidegate::authority::mapping::template::RoleNames;
use sidegate::authority::mustache::{Escape, Template};
use sidegate::wire::roles::RoleTemplate;

/// Any bytes that are text.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let model = json!({
        "username": "alice\"\\\u{1}", "dn": null, "groups": ["a", "b", {"c": [1, 2, 3]}],
        "metadata": {"x": true, "y": {"z": 1.5}}, "realm": {"name": "native"},
    });
    for escape in [Escape::Json, Escape::Nothing, Escape::Form] {
        if let Ok(template) = Template::compile(text, escape) {
            let _ = template.render(&model);
        }
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return;
    };
    if let Ok(stored) = serde_json::from_value::<RoleTemplate>(value)
        && let Ok(template) = RoleNames::compile(&stored)
    {
        let _ = template.names(&model);
    }
}
