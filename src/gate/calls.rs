//! What a call of Elasticsearch's REST API needs there: index and cluster privileges, by method and path.
//!
//! Always true: where only Elasticsearch can know (wildcards, aliases for many, names in a body, names on another cluster), it
//! is left to Elasticsearch, which judges every call again; a call that is not in the table needs `all`. So a call that is
//! stopped here would have been denied there as well. One more call is one more line of [`TABLE`].

use std::sync::LazyLock;

use http::Method;

use super::requirement::push_escaped;
use super::target::Target;
use crate::model::privilege::Atom;

/// Names in one path at most that are looked at; beyond, Elasticsearch decides.
const MAX_NAMES: usize = 64;

/// What a call needs.
#[derive(Clone, Copy, Debug)]
enum Needs {
    /// Nothing that could be told from method and path.
    Nothing,
    /// One of these cluster privileges.
    Cluster(&'static [&'static str]),
    /// Each of these privileges on every index the path names.
    Index(&'static [&'static str]),
}

use Needs::{Cluster, Index, Nothing};

const READ: Needs = Index(&["read"]);
const VIEW: Needs = Index(&["view_index_metadata"]);
const WATCH: Needs = Index(&["monitor"]);
const MANAGE: Needs = Index(&["manage"]);
const MAINTAIN: Needs = Index(&["maintenance"]);
const MONITOR: Needs = Cluster(&["monitor"]);
const CONTROL: Needs = Cluster(&["manage"]);
const SECURITY: Needs = Cluster(&["manage_security"]);
const SEE_SECURITY: Needs = Cluster(&["read_security"]);

/// Methods, path, needs. `{i}` names indices, `*` is one segment, `**` any rest. The first line that fits decides; privileges
/// are those that the reference of each API names.
#[rustfmt::skip]
const TABLE: &[(&str, &str, Needs)] = &[
    ("GET", "/", MONITOR),

    // Documents.
    ("GET POST", "/{i}/_search", READ),
    ("GET POST", "/{i}/_search/template", READ),
    ("GET POST", "/{i}/_msearch", READ),
    ("GET POST", "/{i}/_msearch/template", READ),
    ("GET POST", "/{i}/_count", READ),
    ("GET POST", "/{i}/_mget", READ),
    ("GET POST", "/{i}/_explain/*", READ),
    ("GET POST", "/{i}/_termvectors", READ),
    ("GET POST", "/{i}/_termvectors/*", READ),
    ("GET POST", "/{i}/_mtermvectors", READ),
    ("GET POST", "/{i}/_field_caps", READ),
    ("GET POST", "/{i}/_terms_enum", READ),
    ("GET POST", "/{i}/_rank_eval", READ),
    ("GET POST", "/{i}/_knn_search", READ),
    ("GET POST", "/{i}/_eql/search", READ),
    ("GET POST", "/{i}/_graph/explore", READ),
    ("GET POST", "/{i}/_mvt/**", READ),
    ("POST", "/{i}/_async_search", READ),
    ("POST", "/{i}/_pit", READ),
    ("GET", "/{i}/_doc/*", READ),
    ("GET", "/{i}/_source/*", READ),
    ("POST", "/{i}/_doc", Index(&["create_doc"])),
    ("PUT POST", "/{i}/_create/*", Index(&["create_doc"])),
    ("PUT POST", "/{i}/_doc/*", Index(&["create_doc"])),
    ("POST", "/{i}/_update/*", Index(&["index"])),
    ("DELETE", "/{i}/_doc/*", Index(&["delete"])),
    ("POST", "/{i}/_update_by_query", Index(&["read", "index"])),
    ("POST", "/{i}/_delete_by_query", Index(&["read", "delete"])),
    ("PUT POST", "/{i}/_bulk", Nothing),

    // Indices.
    ("PUT", "/{i}", Index(&["create_index"])),
    ("DELETE", "/{i}", Index(&["delete_index"])),
    ("GET", "/{i}", VIEW),
    ("GET", "/{i}/_mapping", VIEW),
    ("GET", "/{i}/_mapping/**", VIEW),
    ("GET", "/{i}/_settings", VIEW),
    ("GET", "/{i}/_settings/*", VIEW),
    ("GET", "/{i}/_alias", VIEW),
    ("GET", "/{i}/_alias/*", VIEW),
    ("GET", "/{i}/_ilm/explain", VIEW),
    ("GET POST", "/{i}/_validate/query", VIEW),
    ("PUT POST", "/{i}/_mapping", MANAGE),
    ("PUT", "/{i}/_settings", MANAGE),
    ("PUT POST DELETE", "/{i}/_alias/*", MANAGE),
    ("PUT POST DELETE", "/{i}/_aliases/*", MANAGE),
    ("POST", "/{i}/_open", MANAGE),
    ("POST", "/{i}/_close", MANAGE),
    ("POST", "/{i}/_rollover", MANAGE),
    ("POST", "/{i}/_rollover/*", MANAGE),
    ("PUT", "/{i}/_block/*", MANAGE),
    ("GET POST", "/{i}/_refresh", MAINTAIN),
    ("GET POST", "/{i}/_flush", MAINTAIN),
    ("POST", "/{i}/_forcemerge", MAINTAIN),
    ("GET", "/{i}/_stats", WATCH),
    ("GET", "/{i}/_stats/*", WATCH),
    ("GET", "/{i}/_segments", WATCH),
    ("GET", "/{i}/_recovery", WATCH),
    ("GET", "/_data_stream/{i}", VIEW),
    ("PUT", "/_data_stream/{i}", Index(&["create_index"])),
    ("DELETE", "/_data_stream/{i}", Index(&["delete_index"])),
    ("GET", "/_data_stream/{i}/_stats", WATCH),

    // Names in bodies, in scroll ids, or of everything: Elasticsearch decides.
    ("GET POST", "/_search", Nothing),
    ("GET POST", "/_search/template", Nothing),
    ("GET POST DELETE", "/_search/scroll", Nothing),
    ("GET POST DELETE", "/_search/scroll/*", Nothing),
    ("GET POST", "/_msearch", Nothing),
    ("GET POST", "/_msearch/template", Nothing),
    ("GET POST", "/_count", Nothing),
    ("GET POST", "/_mget", Nothing),
    ("GET POST", "/_mtermvectors", Nothing),
    ("GET POST", "/_field_caps", Nothing),
    ("PUT POST", "/_bulk", Nothing),
    ("POST", "/_reindex", Nothing),
    ("POST", "/_aliases", Nothing),
    ("GET", "/_alias", Nothing),
    ("GET", "/_alias/*", Nothing),
    ("GET", "/_mapping", Nothing),
    ("GET", "/_mapping/**", Nothing),
    ("GET", "/_settings", Nothing),
    ("GET", "/_settings/*", Nothing),
    ("GET", "/_data_stream", Nothing),
    ("GET", "/_resolve/**", Nothing),
    ("GET POST", "/_analyze", Nothing),
    ("GET POST", "/_render/**", Nothing),
    ("GET POST DELETE", "/_async_search/**", Nothing),
    ("POST", "/_async_search", Nothing),
    ("DELETE", "/_pit", Nothing),
    ("GET POST DELETE", "/_sql/**", Nothing),
    ("POST", "/_sql", Nothing),
    ("GET POST DELETE", "/_query/**", Nothing),
    ("POST", "/_query", Nothing),
    ("GET DELETE", "/_eql/search/**", Nothing),
    ("GET", "/_cat/aliases", Nothing),
    ("GET", "/_cat/aliases/*", Nothing),
    ("GET", "/_cat/count", Nothing),
    ("GET", "/_cat/count/*", Nothing),
    ("GET POST", "/_refresh", Nothing),
    ("GET POST", "/_flush", Nothing),
    ("GET", "/_stats", Nothing),
    ("GET", "/_stats/*", Nothing),

    // The cluster.
    ("GET", "/_cat", MONITOR),
    ("GET", "/_cat/**", MONITOR),
    ("GET", "/_cluster/**", MONITOR),
    ("PUT", "/_cluster/settings", CONTROL),
    ("POST", "/_cluster/reroute", CONTROL),
    ("GET", "/_nodes", MONITOR),
    ("GET", "/_nodes/**", MONITOR),
    ("GET", "/_tasks", MONITOR),
    ("GET", "/_tasks/*", MONITOR),
    ("POST", "/_tasks/_cancel", CONTROL),
    ("POST", "/_tasks/*/_cancel", CONTROL),
    ("GET", "/_license", MONITOR),
    ("PUT POST DELETE", "/_license", CONTROL),
    ("GET", "/_xpack", MONITOR),
    ("GET", "/_xpack/usage", MONITOR),
    ("GET", "/_ssl/certificates", MONITOR),
    ("GET", "/_scripts/*", CONTROL),
    ("PUT POST DELETE", "/_scripts/**", CONTROL),
    ("GET", "/_index_template", Cluster(&["monitor", "manage_index_templates"])),
    ("GET", "/_index_template/*", Cluster(&["monitor", "manage_index_templates"])),
    ("PUT POST DELETE", "/_index_template/**", Cluster(&["manage_index_templates"])),
    ("GET", "/_component_template", Cluster(&["monitor", "manage_index_templates"])),
    ("GET", "/_component_template/*", Cluster(&["monitor", "manage_index_templates"])),
    ("PUT POST DELETE", "/_component_template/**", Cluster(&["manage_index_templates"])),
    ("GET", "/_template", Cluster(&["monitor", "manage_index_templates"])),
    ("GET", "/_template/*", Cluster(&["monitor", "manage_index_templates"])),
    ("PUT POST DELETE", "/_template/*", Cluster(&["manage_index_templates"])),
    ("GET", "/_ingest/pipeline", Cluster(&["read_pipeline", "manage_ingest_pipelines"])),
    ("GET", "/_ingest/pipeline/*", Cluster(&["read_pipeline", "manage_ingest_pipelines"])),
    ("PUT DELETE", "/_ingest/pipeline/*", Cluster(&["manage_ingest_pipelines"])),
    ("GET", "/_ilm/policy", Cluster(&["read_ilm"])),
    ("GET", "/_ilm/policy/*", Cluster(&["read_ilm"])),
    ("GET", "/_ilm/status", Cluster(&["read_ilm"])),
    ("PUT DELETE", "/_ilm/policy/*", Cluster(&["manage_ilm"])),
    ("POST", "/_ilm/**", Cluster(&["manage_ilm"])),
    ("GET", "/_slm/**", Cluster(&["read_slm"])),
    ("PUT POST DELETE", "/_slm/**", Cluster(&["manage_slm"])),
    ("GET", "/_snapshot", Cluster(&["monitor_snapshot", "create_snapshot"])),
    ("GET", "/_snapshot/**", Cluster(&["monitor_snapshot", "create_snapshot"])),
    ("PUT POST", "/_snapshot/*", CONTROL),
    ("DELETE", "/_snapshot/**", CONTROL),
    ("PUT POST", "/_snapshot/*/*", Cluster(&["create_snapshot"])),
    ("POST", "/_snapshot/**", CONTROL),
    ("GET", "/_ml/**", Cluster(&["monitor_ml"])),
    ("PUT POST DELETE", "/_ml/**", Cluster(&["manage_ml"])),
    ("GET", "/_transform", Cluster(&["monitor_transform"])),
    ("GET", "/_transform/**", Cluster(&["monitor_transform"])),
    ("PUT POST DELETE", "/_transform/**", Cluster(&["manage_transform"])),
    ("GET", "/_watcher/**", Cluster(&["monitor_watcher"])),
    ("PUT POST DELETE", "/_watcher/**", Cluster(&["manage_watcher"])),
    ("GET", "/_enrich/**", Cluster(&["monitor_enrich"])),
    ("PUT POST DELETE", "/_enrich/**", Cluster(&["manage_enrich"])),

    // Security.
    ("GET", "/_security/_authenticate", Nothing),
    ("GET POST", "/_security/user/_has_privileges", Nothing),
    ("GET POST", "/_security/user/*/_has_privileges", Nothing),
    ("GET", "/_security/user/_privileges", Nothing),
    ("PUT POST", "/_security/user/_password", Nothing),
    ("PUT POST", "/_security/user/*/_password", Nothing),
    ("GET PUT POST DELETE", "/_security/api_key", Cluster(&["manage_own_api_key", "read_security"])),
    ("PUT", "/_security/api_key/*", Cluster(&["manage_own_api_key"])),
    ("POST", "/_security/api_key/_bulk_update", Cluster(&["manage_own_api_key"])),
    ("GET POST", "/_security/_query/api_key", Cluster(&["manage_own_api_key", "read_security"])),
    ("POST", "/_security/api_key/grant", Cluster(&["grant_api_key"])),
    ("POST DELETE", "/_security/oauth2/token", Cluster(&["manage_token", "manage_saml"])),
    ("POST", "/_security/saml/**", Cluster(&["manage_saml"])),
    ("POST", "/_security/oidc/**", Cluster(&["manage_oidc"])),
    ("POST", "/_security/delegate_pki", Cluster(&["delegate_pki"])),
    ("GET POST PUT", "/_security/profile/**", Nothing),
    ("GET", "/_security/user", SEE_SECURITY),
    ("GET", "/_security/user/*", SEE_SECURITY),
    ("GET POST", "/_security/_query/**", SEE_SECURITY),
    ("GET", "/_security/role", SEE_SECURITY),
    ("GET", "/_security/role/*", SEE_SECURITY),
    ("GET", "/_security/role_mapping", SEE_SECURITY),
    ("GET", "/_security/role_mapping/*", SEE_SECURITY),
    ("GET", "/_security/privilege", SEE_SECURITY),
    ("GET", "/_security/privilege/**", SEE_SECURITY),
    ("GET", "/_security/settings", SEE_SECURITY),
    ("GET", "/_security/service", SEE_SECURITY),
    ("GET", "/_security/service/**", SEE_SECURITY),
    ("PUT POST DELETE", "/_security/service/**", Cluster(&["manage_service_account"])),
    ("PUT POST DELETE", "/_security/privilege", Nothing),
    ("DELETE", "/_security/privilege/**", Nothing),
    ("PUT POST DELETE", "/_security/**", SECURITY),
];

/// A line of the table, compiled.
struct Line {
    methods: Vec<Method>,
    segments: Vec<Segment>,
    rest: bool,
    needs: Needs,
}

enum Segment {
    Literal(&'static str),
    Indices,
    One,
}

static LINES: LazyLock<Vec<Line>> = LazyLock::new(|| TABLE.iter().map(Line::new).collect());

impl Line {
    fn new((methods, path, needs): &(&'static str, &'static str, Needs)) -> Self {
        let mut segments = Vec::new();
        let mut rest = false;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            match segment {
                "**" => rest = true,
                "*" => segments.push(Segment::One),
                "{i}" => segments.push(Segment::Indices),
                literal => segments.push(Segment::Literal(literal)),
            }
        }
        let methods = methods.split(' ');
        Self {
            methods: methods.filter_map(|name| name.parse().ok()).collect(),
            segments,
            rest,
            needs: *needs,
        }
    }

    fn fits(&self, method: &Method, path: &[String]) -> bool {
        let long_enough = match self.rest {
            true => path.len() > self.segments.len(),
            false => path.len() == self.segments.len(),
        };
        long_enough
            && self.methods.contains(method)
            && self
                .segments
                .iter()
                .zip(path)
                .all(|(segment, given)| match segment {
                    Segment::Literal(literal) => literal == given,
                    Segment::One => true,
                    // What begins with `_` is never an index but for this one word.
                    Segment::Indices => !given.starts_with('_') || given == "_all",
                })
    }

    fn indices<'p>(&self, path: &'p [String]) -> Option<&'p str> {
        let at = self
            .segments
            .iter()
            .position(|segment| matches!(segment, Segment::Indices))?;
        path.get(at).map(String::as_str)
    }
}

/// What the request needs: of each list one atom.
pub(super) fn needed(method: &Method, target: &Target) -> Vec<Vec<Atom>> {
    let path: Vec<String> = target
        .segments()
        .map(std::borrow::Cow::into_owned)
        .collect();
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let Some(line) = LINES.iter().find(|line| line.fits(method, &path)) else {
        return vec![cluster(&["all"])];
    };
    match line.needs {
        Nothing => Vec::new(),
        Cluster(any) => vec![cluster(any)],
        Index(privileges) => {
            let names = line.indices(&path).unwrap_or_default();
            // Whoever doesn't mind missing indices doesn't mind forbidden ones: Elasticsearch leaves them out.
            if is_lenient(target.uri().query().unwrap_or_default()) {
                return Vec::new();
            }
            indices(names, privileges)
        }
    }
}

fn cluster(any: &[&str]) -> Vec<Atom> {
    let atom = |privilege: &&str| Atom::Cluster {
        privilege: (*privilege).to_owned(),
    };
    any.iter().map(atom).collect()
}

fn is_lenient(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes())
        .any(|(key, value)| key == "ignore_unavailable" && value != "false")
}

fn indices(names: &str, privileges: &[&str]) -> Vec<Vec<Atom>> {
    let concrete: Vec<&str> = names.split(',').filter(|name| is_concrete(name)).collect();
    if concrete.len() > MAX_NAMES {
        return Vec::new();
    }
    let mut needed = Vec::with_capacity(concrete.len() * privileges.len());
    for name in concrete {
        let mut escaped = String::with_capacity(name.len());
        if push_escaped(&mut escaped, name).is_none() {
            continue;
        }
        for privilege in privileges {
            needed.push(vec![Atom::Index {
                name: escaped.clone(),
                privilege: (*privilege).to_owned(),
                // A name that is asked about whole is asked about whatever it is.
                allow_restricted: false,
            }]);
        }
    }
    needed
}

/// Whether a name stands for one index, alias or data stream of this cluster, so that a privilege on it can be asked about.
/// Backing indices are reached through privileges on their data stream; date math, wildcards and exclusions only Elasticsearch
/// resolves; another cluster's names are its own matter.
fn is_concrete(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != "_all"
        && !name.starts_with(['-', '<', '.'])
        && !name.contains(['*', '?', ':', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http::{Body, Request};

    fn of(method: &str, uri: &str) -> Vec<String> {
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "es");
        let request: Request = request.body(Body::Empty).unwrap();
        let (head, _) = request.into_parts();
        let target = Target::parse(&head).unwrap();
        let method: Method = method.parse().unwrap();
        needed(&method, &target)
            .iter()
            .map(|any| {
                any.iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("|")
            })
            .collect()
    }

    #[test]
    fn calls_on_named_indices_need_what_the_reference_says() {
        assert_eq!(of("POST", "/logs-a/_search"), ["index:logs-a:read"]);
        assert_eq!(of("HEAD", "/logs-a/_doc/1"), ["index:logs-a:read"]);
        assert_eq!(of("GET", "/a,b/_count"), ["index:a:read", "index:b:read"]);
        assert_eq!(
            of("POST", "/a/_delete_by_query"),
            ["index:a:read", "index:a:delete"]
        );
        assert_eq!(of("PUT", "/a"), ["index:a:create_index"]);
        assert_eq!(of("DELETE", "/_data_stream/a"), ["index:a:delete_index"]);
    }

    #[test]
    fn what_only_elasticsearch_can_resolve_is_left_to_it() {
        for uri in [
            "/logs-*/_search",
            "/_all/_search",
            "/-a/_search",
            "/%3Ca-%7Bnow%7D%3E/_search",
            "/remote:a/_search",
            "/.ds-a-000001/_search",
            "/a/_search?ignore_unavailable=true",
            "/_search",
        ] {
            assert!(of("GET", uri).is_empty(), "{uri}");
        }
        assert_eq!(of("GET", "/a,b*/_search"), ["index:a:read"]);
    }

    #[test]
    fn calls_on_the_cluster_need_one_of_several() {
        assert_eq!(of("GET", "/"), ["cluster:monitor"]);
        assert_eq!(of("GET", "/_cluster/health/a"), ["cluster:monitor"]);
        assert_eq!(
            of("PUT", "/_security/user/eve"),
            ["cluster:manage_security"]
        );
        assert_eq!(
            of("GET", "/_ingest/pipeline/x"),
            ["cluster:read_pipeline|cluster:manage_ingest_pipelines"]
        );
        assert!(of("GET", "/_security/_authenticate").is_empty());
    }

    #[test]
    fn no_spelling_of_a_call_needs_less_than_the_call() {
        for (method, uri, needs) in [
            ("PUT", "/%5Fsecurity/user/eve", "cluster:manage_security"),
            ("PUT", "/_security/user/eve/", "cluster:manage_security"),
            ("PUT", "/a/../_security/user/eve", "cluster:manage_security"),
            ("DELETE", "/a/", "index:a:delete_index"),
            ("GET", "/a/_search/", "index:a:read"),
            ("GET", "/%61/_search", "index:a:read"),
            ("GET", "/a/_search?ignore_unavailable=false", "index:a:read"),
            ("DELETE", "/_all,a", "cluster:all"),
            ("POST", "/_bulk/x", "cluster:all"),
            ("GET", "/_SEARCH", "cluster:all"),
            ("OPTIONS", "/a/_search", "cluster:all"),
            ("POST", "/a/_search/x", "cluster:all"),
            ("POST", "/_security", "cluster:all"),
        ] {
            assert_eq!(of(method, uri), [needs], "{method} {uri}");
        }
        assert_eq!(
            of("GET", "/a%2Cb/_search"),
            ["index:a:read", "index:b:read"]
        );
    }

    #[test]
    fn a_call_that_nobody_knows_needs_everything() {
        for (method, uri) in [
            ("GET", "/_plugins/x"),
            ("PATCH", "/a/_doc/1"),
            ("POST", "/_cluster/reboot"),
            ("GET", "/_security/nothing"),
            ("GET", "/a/b/c"),
        ] {
            assert_eq!(of(method, uri), ["cluster:all"], "{uri}");
        }
    }
}
