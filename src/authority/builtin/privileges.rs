//! Named cluster and index privileges: the action patterns each stands for, and the texts that list them.
//!
//! The table is `privileges.json`, in *access order*: from the privilege that allows least to the one that allows
//! most, the order in which Elasticsearch names privileges in messages. Names newer than Elasticsearch 9.0 are known
//! but not listed. Names whose actions are not known are left out on purpose: a privilege that stands for nothing
//! would be granted to everybody. To add a privilege, add its line at its place in the order.

use std::sync::LazyLock;

use serde::Deserialize;

/// A named privilege.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name, in lower case.
    pub name: String,
    /// Patterns of the actions it stands for.
    pub allow: Vec<String>,
    /// Patterns taken out of `allow`.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Which part of an index it speaks of; of no meaning for cluster privileges.
    #[serde(default)]
    pub selector: Selector,
    /// Not in the lists that Elasticsearch 9.0 prints.
    #[serde(default)]
    pub newer: bool,
}

/// The part of a data stream an index privilege speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selector {
    /// The documents.
    #[default]
    Data,
    /// The failure store.
    Failures,
    /// Both.
    Both,
}

#[derive(Deserialize)]
struct Table {
    cluster: Vec<Named>,
    index: Vec<Named>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    serde_json::from_str(include_str!("privileges.json"))
        .expect("the built-in table is valid, which a test checks")
});

/// The cluster privilege that only holds for the caller's own API keys.
pub const MANAGE_OWN_API_KEY: &str = "manage_own_api_key";

/// The cluster privileges a role may grant on remote clusters, sorted.
pub const REMOTE_CLUSTER: [&str; 2] = ["monitor_enrich", "monitor_stats"];

/// All cluster privileges, in access order.
pub fn cluster() -> &'static [Named] {
    &TABLE.cluster
}

/// All index privileges, in access order.
pub fn index() -> &'static [Named] {
    &TABLE.index
}

/// The cluster privilege of this name, whatever the case.
pub fn cluster_privilege(name: &str) -> Option<&'static Named> {
    find(cluster(), name)
}

/// The index privilege of this name, whatever the case.
pub fn index_privilege(name: &str) -> Option<&'static Named> {
    find(index(), name)
}

fn find(table: &'static [Named], name: &str) -> Option<&'static Named> {
    let name = name.to_lowercase();
    table.iter().find(|named| named.name == name)
}

/// Whether a name in a role's `cluster` is a raw action rather than a privilege.
pub fn is_cluster_action(name: &str) -> bool {
    let name = name.to_lowercase();
    [
        "cluster:",
        "indices:admin/template/",
        "indices:admin/index_template/",
    ]
    .iter()
    .any(|start| name.starts_with(start))
}

/// Whether a name in a role's `indices` privileges is a raw action rather than a privilege.
pub fn is_index_action(name: &str) -> bool {
    let name = name.to_lowercase();
    ["indices:", "internal:transport/proxy/indices:"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Names that `GET /_security/privilege/_builtin` lists, sorted.
pub fn listed(table: &'static [Named]) -> Vec<&'static str> {
    let mut names: Vec<&str> = table
        .iter()
        .filter(|named| !named.newer)
        .map(|named| named.name.as_str())
        .collect();
    names.sort_unstable();
    names
}

/// What Elasticsearch says of a cluster privilege it does not know.
pub fn unknown_cluster_privilege(name: &str) -> String {
    let known: Vec<&str> = cluster()
        .iter()
        .filter(|named| !named.newer)
        .map(|named| named.name.as_str())
        .collect();
    format!(
        "unknown cluster privilege [{}]. a privilege must be either one of the predefined cluster privilege names [{}] \
         or a pattern over one of the available cluster actions",
        name.to_lowercase(),
        known.join(",")
    )
}

/// What Elasticsearch says of an index privilege it does not know.
pub fn unknown_index_privilege(name: &str) -> String {
    format!(
        "unknown index privilege [{}]. a privilege must be either one of the predefined fixed indices privileges [{}] \
         or a pattern over one of the available index actions",
        name.to_lowercase(),
        listed(index()).join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_those_of_elasticsearch_9() {
        assert_eq!(listed(cluster()).len(), 62);
        assert_eq!(listed(index()).len(), 24);
        assert_eq!(listed(cluster()).first(), Some(&"all"));
        assert_eq!(
            cluster()
                .iter()
                .rfind(|named| !named.newer)
                .map(|named| named.name.as_str()),
            Some("all")
        );
    }

    #[test]
    fn names_are_found_in_any_case_and_raw_actions_are_told_apart() {
        assert_eq!(
            cluster_privilege("Manage_Security").map(|named| named.name.as_str()),
            Some("manage_security")
        );
        assert!(index_privilege("READ").is_some() && index_privilege("reed").is_none());
        assert!(
            is_cluster_action("cluster:monitor/main")
                && is_cluster_action("indices:admin/template/get")
        );
        assert!(
            !is_cluster_action("indices:data/read/search")
                && is_index_action("indices:data/read/search")
        );
    }

    #[test]
    fn unknown_names_are_answered_with_all_known_ones() {
        let text = unknown_cluster_privilege("Foo");
        assert!(text.starts_with("unknown cluster privilege [foo]. a privilege must be either one of the predefined cluster privilege names [manage_own_api_key,manage_data_stream_global_retention,"), "{text}");
        assert!(text.ends_with(",manage_security,monitor,manage,all] or a pattern over one of the available cluster actions"), "{text}");
        let text = unknown_index_privilege("foo");
        assert!(text.starts_with("unknown index privilege [foo]. a privilege must be either one of the predefined fixed indices privileges [all,auto_configure,create,"), "{text}");
    }
}
