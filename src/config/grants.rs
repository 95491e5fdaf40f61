//! Names that a requirement may ask for: cluster and index privileges, applications and theirs, roles; and header names.
//!
//! Syntax follows what Elasticsearch itself checks in `POST /_security/user/_has_privileges`: one question it refuses would
//! refuse the whole ask, and with it every credential, so a bad name must be found here.

use super::values::{Value, ValueError, shown};

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

/// An HTTP method, upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method(pub String);

/// A header name that can carry an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeader(pub String);

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

/// Methods of RFC 9110, RFC 5789 and WebDAV that a route can sensibly take.
pub const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
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

impl Value for Method {
    const NAME: &'static str = "Method";
    const ALLOWED: &'static str = "an HTTP method in upper case, other than `CONNECT` and `TRACE`";
    const EXAMPLES: &'static [&'static str] = &["GET", "HEAD", "POST"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty()
            || text.len() > 32
            || !text
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
        {
            return Err(ValueError::new("it is no method"));
        }
        let upper = text.to_ascii_uppercase();
        if matches!(upper.as_str(), "CONNECT" | "TRACE" | "TRACK") {
            return Err(ValueError::new("this method is always refused"));
        }
        if upper != text {
            return Err(
                ValueError::new("methods are case-sensitive").with_hint(format!("`{upper}`"))
            );
        }
        Ok(Self(upper))
    }
}

impl Value for IdentityHeader {
    const NAME: &'static str = "IdentityHeader";
    const ALLOWED: &'static str =
        "a header name of letters, digits and `-`, at most 64, that nothing else uses";
    const EXAMPLES: &'static [&'static str] = &["X-Forwarded-User", "X-Department"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(inside) {
            return Err(ValueError::new("it is no header name"));
        }
        if text.contains('_') {
            // CGI-like servers fold `_` and `-` together, many proxies drop names with `_`: only one spelling is safe.
            return Err(
                ValueError::new("it holds `_`").with_hint(format!("`{}`", text.replace('_', "-")))
            );
        }
        if !text.starts_with(|letter: char| letter.is_ascii_alphabetic()) || text.ends_with('-') {
            return Err(ValueError::new(
                "it does not begin with a letter, or ends with `-`",
            ));
        }
        if is_protected(&text.to_ascii_lowercase()) {
            return Err(ValueError::new("HTTP or Sidegate itself uses this header"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A choice of header, or `none` to leave the field out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderChoice(pub Option<IdentityHeader>);

impl Value for HeaderChoice {
    const NAME: &'static str = "IdentityHeaderOrNone";
    const ALLOWED: &'static str = "a header name of letters, digits and `-`, at most 64, that nothing else uses; or `none` to leave this field out";
    const EXAMPLES: &'static [&'static str] = &["X-Forwarded-User", "none"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "none" {
            return Ok(Self(None));
        }
        IdentityHeader::parse(text).map(|header| Self(Some(header)))
    }
}

/// Headers that mean something to HTTP, to browsers, to Elasticsearch or to Sidegate, in lower case.
fn is_protected(name: &str) -> bool {
    const EXACT: &[&str] = &[
        "accept",
        "age",
        "allow",
        "alt-svc",
        "authorization",
        "cache-control",
        "connection",
        "cookie",
        "date",
        "etag",
        "expect",
        "expires",
        "forwarded",
        "from",
        "host",
        "http2-settings",
        "keep-alive",
        "last-modified",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "range",
        "referer",
        "server",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "upgrade-insecure-requests",
        "user-agent",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-method",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-forwarded-uri",
        "x-real-ip",
        "x-request-id",
        "x-http-method-override",
        "x-method-override",
        "x-http-method",
        "traceparent",
        "tracestate",
    ];
    const PREFIXES: &[&str] = &[
        "accept-",
        "access-control-",
        "content-",
        "es-",
        "if-",
        "proxy-",
        "sec-",
        "sidegate-",
        "x-sidegate-",
        "x-elastic-",
        "x-original-",
        "x-rewrite-",
    ];
    EXACT.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
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

/// The known name nearest to `word`, if one is near enough to be a slip of the pen.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long word is no slip of a short one, and comparing it would cost its square.
    if word.len() > 64 {
        return None;
    }
    let folded = word.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .filter(|name| name.len() <= 64)
        .map(|name| {
            (
                strsim::damerau_levenshtein(&folded, &name.to_ascii_lowercase().replace('-', "_")),
                name,
            )
        })
        .filter(|(distance, name)| *distance <= (name.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A hint from [`nearest`].
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|name| format!("did you mean {}?", shown(name)))
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

    #[test]
    fn methods_are_upper_case_and_harmless() {
        assert!(Method::parse("PROPFIND").is_ok());
        assert_eq!(
            Method::parse("get").unwrap_err().hint.as_deref(),
            Some("`GET`")
        );
        for wrong in ["", "CONNECT", "TRACE", "trace", "GET ", "G T"] {
            assert!(Method::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn identity_headers_are_never_headers_with_another_meaning() {
        for right in ["X-Forwarded-User", "Remote-User", "X-Dept2"] {
            assert!(IdentityHeader::parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "Host",
            "AUTHORIZATION",
            "Content-Length",
            "x-forwarded-for",
            "X_User",
            "X.User",
            "X User",
            "es-security-runas-user",
            "Sec-Fetch-Mode",
            "-x",
            "x-",
            "1x",
            "Bücher",
        ] {
            assert!(IdentityHeader::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_nearest_name_is_a_slip_not_a_guess() {
        assert_eq!(
            nearest("raed", INDEX_PRIVILEGES.iter().copied()),
            Some("read")
        );
        assert_eq!(nearest("tlt", ["ttl", "max_stale"]), Some("ttl"));
        assert_eq!(
            nearest("max-stale", ["ttl", "max_stale"]),
            Some("max_stale")
        );
        assert_eq!(nearest("colour", ["ttl", "max_stale"]), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), ["ttl"]), None);
    }
}
