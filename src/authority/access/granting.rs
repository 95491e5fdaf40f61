//! Which named privileges would grant an action: the end of a denial's sentence, "this action is granted by the cluster
//! privileges […]". In access order, from the least powerful to the most.

use std::sync::LazyLock;

use super::automaton::Automaton;
use crate::authority::builtin::privileges::{self, MANAGE_OWN_API_KEY, Named, Selector};

/// The actions on API keys that are granted on one's own whatever the request says.
const OWN_API_KEY_ACTIONS: [&str; 3] = [
    "cluster:admin/xpack/security/api_key/create",
    "cluster:admin/xpack/security/api_key/update",
    "cluster:admin/xpack/security/api_key/bulk_update",
];

type Table = Vec<(&'static Named, Automaton)>;

static CLUSTER: LazyLock<Table> = LazyLock::new(|| compiled(privileges::cluster()));
static INDEX: LazyLock<Table> = LazyLock::new(|| compiled(privileges::index()));

fn compiled(table: &'static [Named]) -> Table {
    table
        .iter()
        .filter(|named| !named.newer)
        .map(|named| (named, actions(named)))
        .collect()
}

/// The actions a named privilege stands for.
fn actions(named: &Named) -> Automaton {
    let of = |patterns: &[String]| {
        let automaton = Automaton::of_patterns(patterns.iter().map(String::as_str));
        automaton.expect("the built-in privileges are well-formed, which a test checks")
    };
    let allowed = of(&named.allow);
    allowed
        .minus(&of(&named.exclude))
        .expect("the built-in privileges are small")
}

/// The cluster privileges that grant an action, in access order.
pub fn granting_cluster_privileges(action: &str) -> Vec<&'static str> {
    let grants = |(named, actions): &&(&'static Named, Automaton)| {
        if named.name == MANAGE_OWN_API_KEY {
            OWN_API_KEY_ACTIONS.contains(&action)
        } else {
            actions.matches(action)
        }
    };
    CLUSTER
        .iter()
        .filter(grants)
        .map(|(named, _)| named.name.as_str())
        .collect()
}

/// The index privileges that grant an action on data, in access order.
pub fn granting_index_privileges(action: &str) -> Vec<&'static str> {
    let grants = |(named, actions): &&(&'static Named, Automaton)| {
        named.selector != Selector::Failures && actions.matches(action)
    };
    INDEX
        .iter()
        .filter(grants)
        .map(|(named, _)| named.name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_name_privileges_from_the_least_to_the_most_powerful() {
        let cases: &[(&str, &str)] = &[
            ("cluster:monitor/health", "monitor,manage,all"),
            (
                "cluster:monitor/state",
                "cross_cluster_replication,read_ccr,transport_client,manage_ccr,monitor,manage,all",
            ),
            ("cluster:monitor/stats", "monitor_stats,monitor,manage,all"),
            (
                "cluster:admin/xpack/security/user/put",
                "manage_security,all",
            ),
            (
                "cluster:admin/xpack/security/user/get",
                "read_security,manage_security,all",
            ),
            (
                "cluster:admin/xpack/security/api_key/create",
                "manage_own_api_key,manage_api_key,manage_security,all",
            ),
            (
                "cluster:admin/xpack/security/api_key/invalidate",
                "manage_api_key,manage_security,all",
            ),
            (
                "cluster:admin/xpack/security/delegate_pki",
                "delegate_pki,all",
            ),
            (
                "cluster:admin/xpack/security/token/invalidate",
                "delegate_pki,manage_saml,manage_token,manage_security,all",
            ),
            ("internal:nothing", ""),
        ];
        for (action, granted_by) in cases {
            assert_eq!(
                granting_cluster_privileges(action).join(","),
                *granted_by,
                "{action}"
            );
        }
        let cases: &[(&str, &str)] = &[
            ("indices:data/read/search", "read,all"),
            (
                "indices:data/write/bulk",
                "create_doc,create,delete,index,write,all",
            ),
            (
                "indices:admin/auto_create",
                "auto_configure,create_index,manage,all",
            ),
            (
                "indices:monitor/stats",
                "monitor,cross_cluster_replication,manage,all",
            ),
            (
                "indices:data/read/field_caps",
                "view_index_metadata,manage,read,all",
            ),
        ];
        for (action, granted_by) in cases {
            assert_eq!(
                granting_index_privileges(action).join(","),
                *granted_by,
                "{action}"
            );
        }
    }

    /// How many others each one holds, or is held by, is what the order follows.
    #[test]
    fn the_tables_are_in_access_order() {
        let implied = |table: &Table, of: &Named, by: fn(&Automaton, &Automaton) -> bool| {
            let own = actions(of);
            let others = table.iter().filter(|(other, _)| other.name != of.name);
            others.filter(|(_, theirs)| by(&own, theirs)).count()
        };
        let mut ranked: Vec<(usize, &str)> = CLUSTER
            .iter()
            .map(|(named, _)| {
                let holds = implied(&CLUSTER, named, |own, theirs| theirs.is_subset_of(own));
                (
                    if named.name == MANAGE_OWN_API_KEY {
                        0
                    } else {
                        holds
                    },
                    named.name.as_str(),
                )
            })
            .collect();
        ranked.sort_unstable();
        let order: Vec<&str> = CLUSTER
            .iter()
            .map(|(named, _)| named.name.as_str())
            .collect();
        assert_eq!(
            ranked.into_iter().map(|(_, name)| name).collect::<Vec<_>>(),
            order
        );

        let data = || {
            INDEX
                .iter()
                .filter(|(named, _)| named.selector != Selector::Failures)
        };
        let mut ranked: Vec<(std::cmp::Reverse<usize>, &str)> = data()
            .map(|(named, own)| {
                let held_by = data()
                    .filter(|(other, theirs)| other.name != named.name && own.is_subset_of(theirs));
                (std::cmp::Reverse(held_by.count()), named.name.as_str())
            })
            .collect();
        ranked.sort_unstable();
        let order: Vec<&str> = data().map(|(named, _)| named.name.as_str()).collect();
        assert_eq!(
            ranked.into_iter().map(|(_, name)| name).collect::<Vec<_>>(),
            order
        );
    }
}
