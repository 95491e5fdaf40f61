//! Restricted index names: those of Elasticsearch's own indices, which only a role with `allow_restricted_indices` covers.
//!
//! Where Elasticsearch's own list is finer, this one is wider: a name too many is an access too few.

/// Patterns of restricted index names.
pub const RESTRICTED: [&str; 26] = [
    ".apm-agent-configuration*",
    ".apm-custom-link*",
    ".apm-source-map*",
    ".async-search*",
    ".connector-secrets*",
    ".data-frame-internal-*",
    ".enrich-*",
    ".fleet-*",
    ".geoip_databases*",
    ".inference*",
    ".kibana*",
    ".logstash*",
    ".ml-config*",
    ".ml-inference-*",
    ".ml-meta*",
    ".query-rules-*",
    ".reporting-*",
    ".search-app-*",
    ".secrets-inference*",
    ".security*",
    ".snapshot-blob-cache*",
    ".synonyms*",
    ".tasks*",
    ".transform-internal-*",
    ".triggered_watches*",
    ".watches*",
];
