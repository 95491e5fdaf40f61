//! Names that a requirement may ask for: cluster and index privileges, applications and theirs, roles.
//!
//! Syntax follows what Elasticsearch itself checks in `POST /_security/user/_has_privileges`: one question it refuses would
//! refuse the whole ask, and with it every credential, so a bad name must be found here.

use super::values::{Value, ValueError};

/// A cluster privilege: a name, or a raw action pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPrivilege(pub String);

/// An index privilege: a name, or a raw action pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexPrivilege(pub String);

/// An application's name, without wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationName(pub String);

/// An application privilege: a name, or a raw action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationPrivilege(pub String);

/// A role's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleName(pub String);

/// Cluster privileges Elasticsearch 9 knows by name, for hints and warnings only.
pub const CLUSTER_PRIVILEGES: &[&str] = &[
    "none",
    "all",
    "monitor",
    "monitor_connector",
    "monitor_inference",
    "monitor_ml",
    "monitor_text_structure",
    "monitor_data_frame_transforms",
    "monitor_transform",
    "monitor_watcher",
    "monitor_rollup",
    "monitor_enrich",
    "monitor_stats",
    "monitor_esql",
    "monitor_reindex",
    "manage",
    "manage_connector",
    "manage_inference",
    "manage_ml",
    "manage_data_frame_transforms",
    "manage_transform",
    "manage_token",
    "manage_watcher",
    "manage_index_templates",
    "manage_ingest_pipelines",
    "manage_pipeline",
    "read_pipeline",
    "transport_client",
    "manage_security",
    "read_security",
    "manage_saml",
    "manage_oidc",
    "manage_api_key",
    "grant_api_key",
    "clone_api_key",
    "manage_service_account",
    "manage_user_profile",
    "manage_rollup",
    "manage_autoscaling",
    "manage_ccr",
    "read_ccr",
    "create_snapshot",
    "monitor_snapshot",
    "manage_ilm",
    "read_ilm",
    "manage_slm",
    "read_slm",
    "delegate_pki",
    "manage_own_api_key",
    "manage_enrich",
    "manage_logstash_pipelines",
    "read_fleet_secrets",
    "write_fleet_secrets",
    "cancel_task",
    "manage_search_application",
    "manage_search_synonyms",
    "manage_behavioral_analytics",
    "post_behavioral_analytics_event",
    "manage_search_query_rules",
    "cross_cluster_search",
    "cross_cluster_replication",
    "read_connector_secrets",
    "write_connector_secrets",
    "monitor_data_stream_global_retention",
    "manage_data_stream_global_retention",
    "manage_reindex",
    "manage_esql",
];

/// Index privileges Elasticsearch 9 knows by name, for hints and warnings only.
pub const INDEX_PRIVILEGES: &[&str] = &[
    "none",
    "all",
    "read",
    "read_cross_cluster",
    "create",
    "create_doc",
    "index",
    "delete",
    "write",
    "monitor",
    "manage",
    "create_index",
    "delete_index",
    "view_index_metadata",
    "manage_follow_index",
    "manage_leader_index",
    "manage_ilm",
    "manage_data_stream_lifecycle",
    "maintenance",
    "auto_configure",
    "cross_cluster_replication",
    "cross_cluster_replication_internal",
    "read_failure_store",
    "manage_failure_store",
    "create_view",
    "delete_view",
    "manage_view",
    "read_view_metadata",
];

impl Value for ClusterPrivilege {
    const NAME: &'static str = "ClusterPrivilege";
    const ALLOWED: &'static str = "a cluster privilege of Elasticsearch, or a raw action that begins with `cluster:`, `indices:admin/template/` or `internal:`";
    const EXAMPLES: &'static [&'static str] = &["monitor", "manage_api_key"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        printable(text).map(|text| Self(text.to_owned()))
    }
}

impl Value for IndexPrivilege {
    const NAME: &'static str = "IndexPrivilege";
    const ALLOWED: &'static str = "an index privilege of Elasticsearch, or a raw action that begins with `indices:` or `internal:`";
    const EXAMPLES: &'static [&'static str] = &["read", "write", "view_index_metadata"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        printable(text).map(|text| Self(text.to_owned()))
    }
}

impl Value for ApplicationName {
    const NAME: &'static str = "ApplicationName";
    const ALLOWED: &'static str = "a lower-case letter and at least two more letters or digits, then optionally `-` or `_` and a suffix; no wildcards, no white space";
    const EXAMPLES: &'static [&'static str] = &["shop", "shop-eu"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.contains('*') {
            return Err(ValueError::new("it holds a wildcard"));
        }
        let printable = printable(text)?;
        let end = printable.find(['-', '_']).unwrap_or(printable.len());
        let (prefix, suffix) = printable.split_at(end);
        if prefix.len() < 3 {
            return Err(ValueError::new(
                "the part before the first `-` or `_` is shorter than 3 characters",
            ));
        }
        if !prefix.starts_with(|letter: char| letter.is_ascii_lowercase())
            || !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(ValueError::new(
                "the part before the first `-` or `_` is no lower-case letter with letters and digits",
            ));
        }
        // The characters Elasticsearch refuses in file names.
        match suffix
            .chars()
            .find(|letter| "\\/*?\"<>|,".contains(*letter))
        {
            Some(letter) => Err(ValueError::new(format!("it holds {letter:?}"))),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl Value for ApplicationPrivilege {
    const NAME: &'static str = "ApplicationPrivilege";
    const ALLOWED: &'static str = "a privilege name (a lower-case letter, then letters, digits, `_`, `-` or `.`), or an action, which holds `/`, `*` or `:`";
    const EXAMPLES: &'static [&'static str] = &["orders_read", "data:write/order"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        let text = printable(text)?;
        let first = text.starts_with(|letter: char| letter.is_ascii_lowercase());
        let named = first
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if named || text.contains(['/', '*', ':']) {
            return Ok(Self(text.to_owned()));
        }
        Err(ValueError::new(
            "it is neither a privilege name nor an action",
        ))
    }
}

impl Value for RoleName {
    const NAME: &'static str = "RoleName";
    const ALLOWED: &'static str = "a role's name: 1 to 507 printable characters, no white space at either end; matched whole, without wildcards";
    const EXAMPLES: &'static [&'static str] = &["shop_admin"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            return Err(ValueError::new("it is empty"));
        }
        if text.chars().count() > 507 {
            return Err(ValueError::new("it is too long"));
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            return Err(ValueError::new(
                "it has white space at an end or a control character",
            ));
        }
        if text.contains('*') {
            return Err(ValueError::new("it holds a wildcard")
                .with_hint("list the roles, or ask for a privilege they share"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Non-empty, printable, without white space.
fn printable(text: &str) -> Result<&str, ValueError> {
    if text.is_empty() {
        return Err(ValueError::new("it is empty"));
    }
    match text
        .chars()
        .find(|letter| letter.is_whitespace() || letter.is_control())
    {
        Some(letter) => Err(ValueError::new(format!("it holds {letter:?}"))),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn application_names_follow_the_rules_of_elasticsearch() {
        for right in [
            "shop",
            "shop-eu",
            "kibana-.kibana",
            "sHOP1_x y".split(' ').next().unwrap(),
        ] {
            assert!(ApplicationName::parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "", "sh", "Shop", "sh-op", "shop*", "shop eu", "shop-a/b", "1shop", "sh.op",
        ] {
            assert!(ApplicationName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn application_privileges_are_names_or_actions() {
        for right in [
            "read",
            "orders_read",
            "a.b-c",
            "data:write/x",
            "*",
            "Data:x",
        ] {
            assert!(ApplicationPrivilege::parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "Read", "a b", "1a", "lesen!"] {
            assert!(ApplicationPrivilege::parse(wrong).is_err(), "{wrong}");
        }
    }
}
