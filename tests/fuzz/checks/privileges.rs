//! Roles (the first line, a JSON array) and a question about privileges (the second): checking, compiling and answering end in
//! their budgets, and answers keep the laws.

use serde_json::Value;
use sidegate::authority::access::application::ApplicationCatalogue;
use sidegate::authority::access::budget::Budget;
use sidegate::authority::access::names::check_role;
use sidegate::authority::access::{Permissions, question};
use sidegate::wire::privileges::{HasPrivilegesRequest, HasPrivilegesResponse};
use sidegate::wire::roles::RoleDescriptor;
use std::sync::Arc;

/// Any bytes.
pub(crate) fn check(data: &[u8]) {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let roles = lines.next().unwrap_or_default();
    let Ok(roles) = serde_json::from_slice::<Vec<RoleDescriptor>>(roles) else {
        return;
    };
    if roles
        .iter()
        .any(|role| check_role(role, &Budget::for_all_roles()).is_err())
    {
        return;
    }
    let mut catalogue = ApplicationCatalogue::default();
    catalogue.insert("shop", "read", vec!["data:read/*".into(), "login".into()]);
    catalogue.insert("shop", "write", vec!["data:*".into()]);
    let Ok(permissions) = Permissions::compile(&roles, &catalogue) else {
        return;
    };
    let asked = lines.next().unwrap_or_default();
    let Ok(asked) = serde_json::from_slice::<HasPrivilegesRequest>(asked) else {
        return;
    };
    if question::check(&asked).is_err() {
        return;
    }
    let Ok(answer) = permissions.has_privileges("u", &asked) else {
        return;
    };
    assert_eq!(answer.has_all_requested, holds_all(&answer), "{answer:?}");
    // Limited by itself it is the same, and limited by no role it is nothing.
    let same = permissions
        .clone()
        .limited_by(Arc::new(permissions.clone()));
    if let Ok(limited) = same.has_privileges("u", &asked) {
        assert_eq!(limited, answer);
    }
    // What asks for nothing (`none`, a pattern that nothing matches) is granted to everybody.
    let text = serde_json::to_string(&asked).expect("JSON");
    if text.contains(['/', '?']) || text.contains("none") || !asked.application.is_empty() {
        return;
    }
    let nothing = Permissions::compile(&[], &catalogue).expect("no pattern");
    let limited = permissions.limited_by(Arc::new(nothing));
    if let Ok(limited) = limited.has_privileges("u", &asked) {
        assert!(!leaves(&limited).contains(&true), "{limited:?}");
    }
}

fn leaves(answer: &HasPrivilegesResponse) -> Vec<bool> {
    fn walk(value: &Value, into: &mut Vec<bool>) {
        match value {
            Value::Bool(leaf) => into.push(*leaf),
            Value::Object(map) => map.values().for_each(|value| walk(value, into)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for part in [
        serde_json::to_value(&answer.cluster),
        serde_json::to_value(&answer.index),
        serde_json::to_value(&answer.application),
    ] {
        walk(&part.expect("JSON"), &mut found);
    }
    found
}

fn holds_all(answer: &HasPrivilegesResponse) -> bool {
    leaves(answer).into_iter().all(|leaf| leaf)
}
