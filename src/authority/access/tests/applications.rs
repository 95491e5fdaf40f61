//! The rules for application privileges.

use super::*;

#[test]
fn an_application_privilege_is_granted_when_its_actions_are() {
    let permissions = compile(&[grant_application(
        "shop",
        &["orders_read"],
        &["space:1", "team:*"],
    )]);
    for (privilege, resource, granted) in [
        ("orders_read", "space:1", true),
        ("orders_read", "team:x", true),
        ("orders_read", "team:*", true),
        ("orders_read", "*", false),
        ("orders_read", "space:2", false),
        ("login", "space:1", true),
        ("orders_write", "space:1", false),
        ("all", "space:1", false),
        ("data:orders/read/1", "space:1", true),
        ("data:orders/*", "space:1", false),
    ] {
        assert_eq!(
            application(&permissions, "shop", privilege, resource),
            granted,
            "{privilege} on {resource}"
        );
    }
    assert!(!application(
        &permissions,
        "shopping",
        "orders_read",
        "space:1"
    ));
}

#[test]
fn a_name_nobody_stored_is_granted_by_itself_or_by_a_grant_of_everything() {
    let permissions = compile(&[grant_application("shop", &["mystery"], &["*"])]);
    assert!(
        application(&permissions, "shop", "mystery", "x")
            && !application(&permissions, "shop", "riddle", "x")
    );
    assert!(!application(&permissions, "shopping", "mystery", "x"));
    assert!(application(
        &compile(&[grant_application("shop", &["*"], &["*"])]),
        "shop",
        "riddle",
        "x"
    ));
    assert!(application(
        &compile(&[grant_application("shop", &["all"], &["*"])]),
        "shop",
        "riddle",
        "x"
    ));
    let two = compile(&[grant_application("shop", &["mystery", "riddle"], &["*"])]);
    assert!(
        !application(&two, "shop", "mystery", "x"),
        "another set of names is another grant"
    );
}

#[test]
fn a_wildcard_application_gives_names_the_meaning_they_have_in_each_application() {
    let permissions = compile(&[grant_application("shop*", &["orders_read"], &["*"])]);
    assert!(
        application(&permissions, "shop", "orders_read", "x")
            && application(&permissions, "shopping", "orders_read", "x")
    );
    assert!(
        !application(&permissions, "shopper", "orders_read", "x"),
        "nothing is stored for it"
    );
    assert!(
        application(&permissions, "shop", "action:login", "x")
            && !application(&permissions, "shopping", "action:login", "x")
    );
    let raw = compile(&[grant_application("shop*", &["data:*"], &["*"])]);
    assert!(
        application(&raw, "shopping", "orders_read", "x")
            && !application(&raw, "shop", "orders_read", "x")
    );
}

#[test]
fn entries_with_the_same_privileges_cover_resources_together() {
    let permissions = compile(&[
        grant_application("shop", &["login"], &["x"]),
        grant_application("shop", &["login"], &["x?*"]),
    ]);
    assert!(application(&permissions, "shop", "login", "x*"));
    let apart = compile(&[
        grant_application("shop", &["login"], &["x"]),
        grant_application("shop", &["orders_read"], &["x?*"]),
    ]);
    assert!(!application(&apart, "shop", "login", "x*"));
}
