//! The laws of `_has_privileges`, as properties over generated roles.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn some_role() -> impl Strategy<Value = Value> {
    let privileges = prop::sample::subsequence(
        vec![
            "read",
            "write",
            "monitor",
            "manage",
            "indices:data/read/get",
        ],
        1..3,
    );
    let names = prop::sample::subsequence(
        vec!["*", "a*", "ab*", "*b", "a", "ab", ".security*", "/a.|b+/"],
        1..3,
    );
    let clusters = prop::sample::subsequence(
        vec![
            "monitor",
            "manage",
            "manage_own_api_key",
            "cluster:admin/ilm/*",
        ],
        0..2,
    );
    let application = (
        prop::sample::select(vec!["shop", "shop*", "*"]),
        prop::sample::subsequence(
            vec!["orders_read", "orders_write", "login", "action:*"],
            1..3,
        ),
        prop::sample::subsequence(vec!["*", "space:*", "space:1"], 1..2),
    );
    (names, privileges, any::<bool>(), clusters, application).prop_map(|(names, privileges, restricted, cluster, (app, of_app, resources))| {
        json!({
            "cluster": cluster,
            "indices": [{"names": names, "privileges": privileges, "allow_restricted_indices": restricted}],
            "applications": [{"application": app, "privileges": of_app, "resources": resources}],
        })
    })
}

/// Without `?` and regular expressions among the names asked about: those are where Elasticsearch's rule of the single
/// group lets a new role take something away, by making two groups out of one.
fn everything(restricted: bool) -> Value {
    json!({
        "cluster": ["monitor", "manage", "all", "manage_own_api_key", "manage_ilm", "cluster:monitor/main"],
        "index": [{
            "names": ["a", "b", "ab", "a*", "ab*", "*b", "a*b", "*", ".security-7", ".security*"],
            "privileges": ["read", "write", "monitor", "manage", "all", "indices:data/read/get"],
            "allow_restricted_indices": restricted,
        }],
        "application": [
            {"application": "shop", "privileges": ["orders_read", "orders_write", "login", "all", "action:x"], "resources": ["space:1", "space:*", "*", "y"]},
            {"application": "shopping", "privileges": ["orders_read"], "resources": ["space:1"]},
        ],
    })
}

/// Every question that was answered with yes.
fn granted(permissions: &Permissions) -> BTreeSet<String> {
    let mut granted = BTreeSet::new();
    for restricted in [false, true] {
        let answer = ask(permissions, everything(restricted));
        let mut note = |what: String, privileges: &std::collections::BTreeMap<String, bool>| {
            granted.extend(
                privileges
                    .iter()
                    .filter(|(_, yes)| **yes)
                    .map(|(name, _)| format!("{restricted} {what} {name}")),
            );
        };
        note("cluster".into(), &answer.cluster);
        answer
            .index
            .iter()
            .for_each(|(name, privileges)| note(name.clone(), privileges));
        for (application, resources) in &answer.application {
            resources.iter().for_each(|(resource, privileges)| {
                note(format!("{application} {resource}"), privileges)
            });
        }
    }
    granted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn another_role_never_takes_anything_away(roles in prop::collection::vec(some_role(), 1..4), another in some_role()) {
        let before = granted(&compile(&roles));
        let after = granted(&compile(&[roles, vec![another]].concat()));
        prop_assert!(before.is_subset(&after), "{:?}", before.difference(&after).collect::<Vec<_>>());
    }

    #[test]
    fn a_limited_key_has_exactly_what_both_have(own in prop::collection::vec(some_role(), 0..3), owner in prop::collection::vec(some_role(), 0..3)) {
        let (own, owner) = (compile(&own), compile(&owner));
        let both: BTreeSet<String> = granted(&own).intersection(&granted(&owner)).cloned().collect();
        prop_assert_eq!(granted(&own.limited_by(Arc::new(owner))), both);
    }

    #[test]
    fn a_grant_on_a_pattern_is_a_grant_on_each_of_its_names(roles in prop::collection::vec(some_role(), 1..4), name in "[ab]{1,4}") {
        let permissions = compile(&roles);
        for privilege in ["read", "write"] {
            for pattern in ["a*", "*b", "a*b", "*"] {
                if index(&permissions, pattern, privilege) && Automaton::of_pattern(pattern).unwrap().matches(&name) {
                    prop_assert!(index(&permissions, &name, privilege), "{} on {} but not on {}", privilege, pattern, name);
                }
            }
        }
    }
}
