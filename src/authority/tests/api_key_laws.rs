//! The law of API keys, over generated roles: a key never exceeds its owner, nor the roles it was given.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::authority::access::Permissions;
use crate::authority::access::application::ApplicationCatalogue;
use crate::authority::permissions::Compiled;
use crate::authority::realm::account;
use crate::authority::record::{ApiKey, ApiKeyKind, Principal, RoleSet};
use crate::authority::store::Tables;
use crate::authority::subject::{Means, Subject};
use crate::wire::roles::RoleDescriptor;

fn some_role() -> impl Strategy<Value = RoleDescriptor> {
    let of = |names: &'static [&'static str], most: usize| {
        prop::sample::subsequence(names.to_vec(), 0..=most)
    };
    let names = prop::sample::subsequence(vec!["*", "a*", "ab*", "b", ".security*"], 1..3);
    let index = of(&["read", "write", "all", "indices:data/read/get"], 2);
    let cluster = of(
        &[
            "monitor",
            "manage",
            "all",
            "manage_own_api_key",
            "manage_security",
            "cluster:admin/ilm/*",
        ],
        2,
    );
    let run_as = of(&["joe", "j*", "ann"], 2);
    let application = of(&["read", "action:*", "*"], 2);
    (names, index, any::<bool>(), cluster, run_as, application).prop_map(|(names, index, restricted, cluster, run_as, application)| {
        let mut role = json!({"cluster": cluster, "run_as": run_as});
        if !index.is_empty() {
            role["indices"] = json!([{"names": names, "privileges": index, "allow_restricted_indices": restricted}]);
        }
        if !application.is_empty() {
            role["applications"] = json!([{"application": "shop*", "privileges": application, "resources": ["space:*"]}]);
        }
        serde_json::from_value(role).unwrap()
    })
}

fn some_roles() -> impl Strategy<Value = RoleSet> {
    prop::collection::btree_map("[rs]", some_role().prop_map(Arc::new), 0..3)
}

fn subject(roles: &RoleSet, limited_by: &RoleSet) -> Subject {
    let creator = Principal {
        username: "owner".to_owned(),
        roles: Vec::new(),
        full_name: None,
        email: None,
        metadata: Map::new(),
        realm: account::realm("r", "r"),
    };
    let key = ApiKey {
        id: "id".to_owned(),
        name: "k".to_owned(),
        kind: ApiKeyKind::Rest,
        secret: String::new(),
        creation: 0,
        expiration: None,
        invalidation: None,
        creator: creator.clone(),
        roles: roles.clone(),
        limited_by: limited_by.clone(),
        metadata: Map::new(),
        certificate_identity: None,
        version: 0,
    };
    Subject {
        api_key: Some(Arc::new(key)),
        means: Means::ApiKey,
        ..Subject::user(creator)
    }
}

/// Every answer a caller can get, as one list.
fn answers(permissions: &Permissions) -> Vec<(String, bool)> {
    let question = json!({
        "cluster": ["monitor", "manage", "all", "manage_own_api_key", "manage_security", "cluster:admin/ilm/put"],
        "index": [{"names": ["a", "ab", "b", "ab*", "*", ".security-7"], "privileges": ["read", "write", "all", "indices:data/read/get"],
                   "allow_restricted_indices": true}],
        "application": [{"application": "shop-1", "privileges": ["read", "write", "action:x"], "resources": ["space:1", "*"]}],
    });
    let question = serde_json::from_value(question).unwrap();
    let answer = json!(permissions.has_privileges("owner", &question).unwrap());
    let mut answers = Vec::new();
    collect("", &answer, &mut answers);
    for action in [
        "cluster:admin/xpack/security/user/put",
        "cluster:admin/xpack/security/api_key/get",
        "cluster:monitor/main",
    ] {
        answers.push((
            format!("does {action}"),
            permissions.allows_cluster_action(action),
        ));
        answers.push((
            format!("does its own {action}"),
            permissions.allows_own_api_key_action(action),
        ));
    }
    for user in ["joe", "ann", "jim", "bob"] {
        answers.push((format!("runs as {user}"), permissions.may_run_as(user)));
    }
    answers
}

fn collect(path: &str, value: &Value, answers: &mut Vec<(String, bool)>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| collect(&format!("{path}/{key}"), value, answers)),
        Value::Bool(granted) if path != "/has_all_requested" => {
            answers.push((path.to_owned(), *granted))
        }
        _ => {}
    }
}

fn compile(roles: &RoleSet) -> Permissions {
    let roles: Vec<RoleDescriptor> = roles
        .values()
        .map(|role| RoleDescriptor::clone(role))
        .collect();
    Permissions::compile(&roles, &ApplicationCatalogue::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_key_never_exceeds_its_owner_nor_its_roles(roles in some_roles(), owner in some_roles()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let subject = subject(&roles, &owner);
        let compiled = Compiled::default();
        let key = runtime.block_on(compiled.of(&Tables::default(), &subject)).unwrap();
        let (by_owner, own) = (answers(&compile(&owner)), answers(&compile(&roles)));
        for (at, (what, granted)) in answers(&key).into_iter().enumerate() {
            prop_assert!(!granted || by_owner[at].1, "the key may {what}, its owner may not");
            prop_assert!(!granted || roles.is_empty() || own[at].1, "the key may {what}, its roles do not say so");
            let both = by_owner[at].1 && (roles.is_empty() || own[at].1);
            prop_assert_eq!(granted, both, "what both grant is granted: {}", what);
        }
    }
}
