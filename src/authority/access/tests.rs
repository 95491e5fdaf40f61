//! The rules of `_has_privileges`, one test each.

mod applications;
mod laws;

use serde_json::{Value, json};

use super::*;
use crate::authority::builtin::roles::reserved_role;

fn role(value: Value) -> RoleDescriptor {
    serde_json::from_value(value).unwrap()
}

fn catalogue() -> ApplicationCatalogue {
    let mut catalogue = ApplicationCatalogue::default();
    catalogue.insert(
        "shop",
        "orders_read",
        vec!["data:orders/read/*".into(), "action:login".into()],
    );
    catalogue.insert(
        "shop",
        "orders_write",
        vec!["data:orders/write/*".into(), "action:login".into()],
    );
    catalogue.insert("shop", "login", vec!["action:login".into()]);
    catalogue.insert("shop", "all", vec!["*".into()]);
    catalogue.insert("shopping", "orders_read", vec!["data:orders/read/*".into()]);
    catalogue
}

fn compile(roles: &[Value]) -> Permissions {
    let roles: Vec<RoleDescriptor> = roles.iter().cloned().map(role).collect();
    Permissions::compile(&roles, &catalogue()).unwrap()
}

fn superuser() -> Permissions {
    Permissions::compile(&[reserved_role("superuser").unwrap().clone()], &catalogue()).unwrap()
}

fn ask(permissions: &Permissions, question: Value) -> HasPrivilegesResponse {
    permissions
        .has_privileges("joe", &serde_json::from_value(question).unwrap())
        .unwrap()
}

fn cluster(permissions: &Permissions, privilege: &str) -> bool {
    ask(permissions, json!({"cluster": [privilege]})).cluster[privilege]
}

fn index(permissions: &Permissions, name: &str, privilege: &str) -> bool {
    ask(
        permissions,
        json!({"index": [{"names": [name], "privileges": [privilege]}]}),
    )
    .index[name][privilege]
}

fn index_restricted(permissions: &Permissions, name: &str, privilege: &str) -> bool {
    let item =
        json!({"names": [name], "privileges": [privilege], "allow_restricted_indices": true});
    ask(permissions, json!({"index": [item]})).index[name][privilege]
}

fn application(
    permissions: &Permissions,
    application: &str,
    privilege: &str,
    resource: &str,
) -> bool {
    let item =
        json!({"application": application, "privileges": [privilege], "resources": [resource]});
    ask(permissions, json!({"application": [item]})).application[application][resource][privilege]
}

fn grant_index(names: &[&str], privileges: &[&str]) -> Value {
    json!({"indices": [{"names": names, "privileges": privileges}]})
}

fn grant_application(application: &str, privileges: &[&str], resources: &[&str]) -> Value {
    json!({"applications": [{"application": application, "privileges": privileges, "resources": resources}]})
}

#[test]
fn a_cluster_privilege_is_granted_when_the_union_of_grants_implies_it() {
    let permissions = compile(&[
        json!({"cluster": ["manage_ml", "MONITOR"]}),
        json!({"cluster": ["cluster:admin/ilm/*"]}),
    ]);
    for privilege in [
        "monitor",
        "Monitor",
        "monitor_ml",
        "manage_ml",
        "manage_ilm",
        "read_ilm",
        "none",
        "cluster:monitor/main",
        "cluster:monitor",
    ] {
        assert_eq!(
            cluster(&permissions, privilege),
            privilege != "cluster:monitor",
            "{privilege}"
        );
    }
    for privilege in [
        "manage",
        "all",
        "manage_security",
        "cluster:admin/ilm",
        "cluster:*",
    ] {
        assert!(!cluster(&permissions, privilege), "{privilege}");
    }
}

#[test]
fn managing_ones_own_api_keys_implies_nothing_but_itself() {
    let own = compile(&[json!({"cluster": ["manage_own_api_key"]})]);
    assert!(cluster(&own, "manage_own_api_key"));
    for privilege in [
        "manage_api_key",
        "grant_api_key",
        "cluster:admin/xpack/security/api_key/create",
    ] {
        assert!(!cluster(&own, privilege), "{privilege}");
    }
    assert!(!own.allows_cluster_action("cluster:admin/xpack/security/api_key/create"));
    assert!(own.allows_own_api_key_action("cluster:admin/xpack/security/api_key/create"));
    assert!(!own.allows_own_api_key_action("cluster:admin/xpack/security/api_key/grant"));
    assert!(!own.allows_own_api_key_action("cluster:admin/xpack/security/user/put"));
    for stronger in ["manage_api_key", "manage_security", "all"] {
        let permissions = compile(&[json!({"cluster": [stronger]})]);
        assert!(cluster(&permissions, "manage_own_api_key"), "{stronger}");
        assert!(
            permissions.allows_own_api_key_action("cluster:admin/xpack/security/api_key/grant"),
            "{stronger}"
        );
    }
}

#[test]
fn managing_the_cluster_does_not_reach_its_security() {
    let manage = compile(&[json!({"cluster": ["manage"]})]);
    assert!(
        cluster(&manage, "monitor")
            && cluster(&manage, "manage_ilm")
            && !cluster(&manage, "manage_security")
    );
    assert!(manage.allows_cluster_action("cluster:admin/ilm/put"));
    assert!(!manage.allows_cluster_action("cluster:admin/xpack/security/user/put"));
    let security = compile(&[json!({"cluster": ["manage_security"]})]);
    assert!(
        cluster(&security, "read_security")
            && !cluster(&security, "delegate_pki")
            && !cluster(&security, "all")
    );
    assert!(cluster(
        &compile(&[json!({"cluster": ["manage", "cluster:admin/xpack/security/*"]})]),
        "all"
    ));
}

#[test]
fn nobody_without_any_cluster_privilege_has_even_none() {
    assert!(!cluster(&compile(&[json!({})]), "none"));
    assert!(cluster(&compile(&[json!({"cluster": ["none"]})]), "none"));
}

#[test]
fn unknown_privileges_in_a_question_are_errors_and_in_a_role_grant_nothing() {
    let permissions = compile(&[
        json!({"cluster": ["hope"], "indices": [{"names": ["*"], "privileges": ["hope"]}]}),
    ]);
    for (question, text) in [
        (
            json!({"cluster": ["hope"]}),
            "unknown cluster privilege [hope]. a privilege",
        ),
        (
            json!({"index": [{"names": ["a"], "privileges": ["hope"]}]}),
            "unknown index privilege [hope]. a privilege",
        ),
        (
            json!({"index": [{"names": ["/a"], "privileges": ["read"]}]}),
            "invalid pattern [/a]. patterns",
        ),
    ] {
        let error = permissions
            .has_privileges("joe", &serde_json::from_value(question).unwrap())
            .unwrap_err();
        assert!(error.to_string().starts_with(text), "{error}");
    }
    assert!(!index(&permissions, "a", "read") && !cluster(&permissions, "monitor"));
}

#[test]
fn a_pattern_asked_about_must_be_covered_by_one_group() {
    let permissions = compile(&[
        grant_index(&["logs-*", "metrics-a"], &["read"]),
        grant_index(&["logs-app-*"], &["write"]),
    ]);
    for (name, privilege, granted) in [
        ("logs-1", "read", true),
        ("logs-*", "read", true),
        ("logs-app-*", "write", true),
        ("logs-app-?", "write", true),
        ("logs-*-x", "read", true),
        ("logs-*", "write", false),
        ("log*", "read", false),
        ("*", "read", false),
        ("metrics-a", "read", true),
        ("metrics-?", "read", false),
        ("LOGS-1", "read", false),
        ("logs-1", "all", false),
        ("logs-app-1", "create_doc", true),
        ("logs-1", "indices:data/read/search", true),
        ("logs-1", "indices:data", false),
    ] {
        assert_eq!(
            index(&permissions, name, privilege),
            granted,
            "{privilege} on {name}"
        );
    }
}

#[test]
fn privileges_of_all_groups_that_cover_a_name_are_united() {
    let permissions = compile(&[
        grant_index(&["logs-*"], &["indices:data/read/*"]),
        grant_index(
            &["logs-app-*"],
            &[
                "indices:admin/resolve/index",
                "indices:admin/resolve/cluster",
            ],
        ),
    ]);
    assert!(index(&permissions, "logs-app-1", "read"));
    assert!(!index(&permissions, "logs-1", "read"));
}

#[test]
fn groups_with_the_same_privileges_are_one_group() {
    let together = compile(&[
        grant_index(&["x"], &["read", "write"]),
        grant_index(&["x?*"], &["WRITE", "read"]),
    ]);
    assert!(index(&together, "x*", "read"));
    let apart = compile(&[
        grant_index(&["x"], &["read"]),
        grant_index(&["x?*"], &["read", "write"]),
    ]);
    assert!(
        !index(&apart, "x*", "read"),
        "two groups that cover it together don't count"
    );
    let same_names = compile(&[
        grant_index(&["a*", "b*"], &["indices:data/read/*"]),
        grant_index(&["b*", "a*"], &["indices:admin/resolve/*"]),
    ]);
    assert!(index(&same_names, "a*", "read"));
}

#[test]
fn a_regular_expression_may_be_covered_name_by_name() {
    let permissions = compile(&[
        grant_index(&["a*"], &["read"]),
        grant_index(&["b*"], &["read", "write"]),
    ]);
    assert!(index(&permissions, "/[ab].*/", "read"));
    assert!(!index(&permissions, "/[ab].*/", "write"));
    assert!(!index(&permissions, "/[abc].*/", "read"));
    assert!(
        !index(&permissions, "/#/", "read"),
        "nothing is asked, so nothing is granted"
    );
}

#[test]
fn restricted_names_need_a_group_that_allows_them() {
    let plain = compile(&[grant_index(&["*"], &["read"])]);
    assert!(
        index(&plain, "*", "read"),
        "restricted names are not asked about"
    );
    assert!(!index_restricted(&plain, "*", "read"));
    assert!(
        !index(&plain, ".security-7", "read"),
        "a concrete restricted name is asked about all the same"
    );
    assert!(
        !index(&plain, ".security-*", "read"),
        "nothing is left to ask about"
    );
    assert!(!index_restricted(&plain, ".security-*", "read"));
    assert!(index(&plain, ".sec*", "read") && index(&plain, ".hidden", "read"));
    let allowing = compile(&[
        json!({"indices": [{"names": [".security-*"], "privileges": ["read"], "allow_restricted_indices": true}]}),
    ]);
    assert!(
        index(&allowing, ".security-7", "read")
            && index_restricted(&allowing, ".security-*", "read")
    );
    assert!(
        !index(&allowing, ".security-*", "read"),
        "nothing is left to ask about"
    );
}

#[test]
fn a_superuser_may_do_everything_but_write_restricted_indices() {
    let superuser = superuser();
    assert!(
        cluster(&superuser, "all")
            && index(&superuser, "*", "all")
            && index(&superuser, "any", "write")
    );
    assert!(
        index_restricted(&superuser, "*", "read") && index_restricted(&superuser, "*", "monitor")
    );
    assert!(
        !index_restricted(&superuser, "*", "write") && !index(&superuser, ".security-7", "write")
    );
    assert!(index(&superuser, ".security-7", "read"));
    assert!(
        application(&superuser, "shop", "orders_read", "*")
            && application(&superuser, "unheard-of", "whatever", "x")
    );
    assert!(
        superuser.may_run_as("anybody")
            && superuser.allows_cluster_action("cluster:admin/xpack/security/user/put")
    );
}

#[test]
fn reading_data_is_not_reading_failures() {
    let read = compile(&[grant_index(&["logs-*"], &["read", "indices:data/read/*"])]);
    assert!(index(&read, "logs-1", "read") && !index(&read, "logs-1", "read_failure_store"));
    let failures = compile(&[grant_index(&["logs-*"], &["read_failure_store"])]);
    assert!(
        !index(&failures, "logs-1", "read") && index(&failures, "logs-1", "read_failure_store")
    );
    let all = compile(&[grant_index(&["logs-*"], &["all"])]);
    assert!(
        index(&all, "logs-1", "read_failure_store")
            && index(&all, "logs-1", "manage_failure_store")
    );
}

#[test]
fn what_is_asked_twice_is_answered_once_and_must_be_granted_twice() {
    let permissions = compile(&[grant_index(&["*"], &["read"])]);
    let answer = ask(
        &permissions,
        json!({"index": [
            {"names": ["*"], "privileges": ["read"]},
            {"names": ["*", "a"], "privileges": ["read", "write"], "allow_restricted_indices": true},
        ]}),
    );
    assert_eq!(
        serde_json::to_value(&answer).unwrap(),
        json!({
            "username": "joe", "has_all_requested": false, "cluster": {},
            "index": {"*": {"read": false, "write": false}, "a": {"read": true, "write": false}}, "application": {}
        })
    );
}

#[test]
fn an_api_key_needs_both_its_own_and_its_owners_grant() {
    let owner = compile(&[
        grant_index(&["logs-*"], &["read"]),
        json!({"cluster": ["manage_own_api_key"], "run_as": ["a*"]}),
    ]);
    let key = compile(&[
        grant_index(&["*"], &["all"]),
        json!({"cluster": ["all"], "run_as": ["*b"]}),
    ])
    .limited_by(Arc::new(owner));
    assert!(
        index(&key, "logs-1", "read")
            && !index(&key, "logs-1", "write")
            && !index(&key, "other", "read")
    );
    assert!(cluster(&key, "manage_own_api_key") && !cluster(&key, "monitor"));
    assert!(
        key.allows_own_api_key_action("cluster:admin/xpack/security/api_key/get")
            && !key.allows_cluster_action("cluster:admin/xpack/security/api_key/get")
    );
    assert!(key.may_run_as("ab") && !key.may_run_as("a") && !key.may_run_as("b"));
    let nested = superuser().limited_by(Arc::new(key));
    assert!(index(&nested, "logs-1", "read") && !index(&nested, "other", "read"));
    let twice = nested.limited_by(Arc::new(compile(&[])));
    assert!(!index(&twice, "logs-1", "read"));
}

#[test]
fn applications_to_manage_come_from_the_global_part() {
    let global = |applications: Value| {
        compile(&[json!({"global": {"application": {"manage": {"applications": applications}}}})])
    };
    let permissions = global(json!(["kibana-*", "shop"]));
    assert!(
        permissions.manages_application("kibana-.kibana")
            && permissions.manages_application("shop")
    );
    assert!(!permissions.manages_application("other") && !permissions.manages_every_application());
    assert!(global(json!(["*"])).manages_every_application());
    assert!(!compile(&[json!({"global": {"application": []}})]).manages_application("shop"));
}

#[test]
fn every_built_in_role_and_service_account_compiles() {
    let accounts = crate::authority::builtin::accounts::service_accounts();
    for (name, role) in crate::authority::builtin::roles::reserved_roles().chain(accounts) {
        let permissions = Permissions::compile(std::slice::from_ref(role), &catalogue()).unwrap();
        for item in &role.indices {
            let question = json!({"index": [{"names": item.names, "privileges": item.privileges, "allow_restricted_indices": item.allow_restricted_indices}]});
            let answer = ask(&permissions, question);
            // The one exception grants on restricted names only, without allowing restricted names.
            assert!(
                answer.has_all_requested || name == "enrich_user",
                "{name}: {answer:?}"
            );
        }
        for privilege in &role.cluster {
            assert!(cluster(&permissions, privilege), "{name}: {privilege}");
        }
    }
}

#[test]
fn patterns_that_blow_up_together_are_kept_apart() {
    let names: Vec<String> = (0..8)
        .map(|i| format!("*{}a{}?????????", i % 7, i))
        .collect();
    let roles: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            grant_index(
                &[name],
                &[
                    ["read", "write", "monitor"][i % 3],
                    "indices:x/",
                    &format!("indices:y{i}"),
                ],
            )
        })
        .collect();
    let permissions = compile(&roles);
    assert!(index(&permissions, "x3a3123456789", "read"));
    assert!(!index(&permissions, "x3a3123456789", "write"));
}

#[test]
fn a_question_that_would_take_long_is_refused() {
    let permissions = superuser();
    let question = json!({"index": [{"names": [format!("/{}/", "~(.*a.{40})&".repeat(50) + "a")], "privileges": ["read"]}]});
    assert!(
        permissions
            .has_privileges("joe", &serde_json::from_value(question).unwrap())
            .is_err()
    );
}
