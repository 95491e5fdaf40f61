//! The front of the gate: a connection's bytes as hyper reads them, the verdict on each request, and what would be forwarded.
//!
//! The first byte says whether a trusted proxy is at the other end. Whatever comes: what is forwarded has one reading, that of the
//! route it was judged by; nobody gets anywhere without a credential that stands in the input; and no identity is another's.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONNECTION, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Method};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::json;
use sidegate::config::check;
use sidegate::config::references::Given;
use sidegate::elastic::client::Client;
use sidegate::elastic::metrics::ElasticMetrics;
use sidegate::elastic::transport::Transport;
use sidegate::forwarding::Forwarding;
use sidegate::gate::Gate;
use sidegate::gate::authorize::Permit;
use sidegate::gate::limiter::LoginLimiter;
use sidegate::gate::metrics::GateFamilies;
use sidegate::gate::target::canonical_path;
use sidegate::gate::trace::Steps;
use sidegate::model::clock::Clock;
use sidegate::net::http::{Body, BodyError, Head, Peer, PeerCertificate, Request, Response};
use sidegate::proxy::rewrite::Rewrite;
use sidegate::telemetry::metrics::Registry;
use tokio::runtime::Runtime;

/// Connections to one gate before a fresh one takes over, so that memory stays bounded.
const LIFETIME: usize = 20_000;

/// Who is known, by what their `Authorization` says: `alice:secret`, `root:secret`, and the key `id:key`.
const KNOWN: [(&str, &str); 3] = [
    ("Basic YWxpY2U6c2VjcmV0", "alice"),
    ("Basic cm9vdDpzZWNyZXQ=", "root"),
    ("ApiKey aWQ6a2V5", "keeper"),
];

const CONFIG: &str = r#"
listeners: [{ address: "127.0.0.1:0" }]
authority: { elasticsearch: { nodes: ["http://127.0.0.1:9"] } }
upstreams: { app: { url: "http://127.0.0.1:9" } }
routes:
  - { name: hosted, match: { hosts: [h.example], path: "/**" }, allow: authenticated, upstream: app, forward: passthrough }
  - { name: open, match: { path: "/open/**" }, allow: everyone, upstream: app }
  - { name: admin, match: { path: "/admin/**" }, require: { roles: [root] }, upstream: app, forward: { identity_headers: {} } }
  - { name: get, match: { path: "/keyed/**", methods: [GET] }, allow: authenticated, upstream: app, forward: { identity_headers: {} }, credentials: { api_key: { header: X-Key, query_parameter: key } } }
  - { name: one, match: { path: "/one/{x}" }, allow: authenticated, upstream: app, forward: { identity_headers: { username: X-Auth-User } } }
  - { name: rest, match: { path: "/**" }, require: { roles: [reader] }, upstream: app }
"#;

/// Names that tell applications who somebody is, as a careless one folds them.
const IDENTITY: [&str; 8] = [
    "x-forwarded-user",
    "x-forwarded-roles",
    "x-forwarded-email",
    "x-auth-user",
    "remote-user",
    "x-remote-user",
    "es-security-runas-user",
    "x-sidegate-user",
];

struct Bench {
    runtime: Runtime,
    gate: Gate,
    forwarding: Forwarding,
    rewrite: Rewrite,
    clock: Clock,
    served: usize,
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let settings = match check::check(CONFIG, &Given::default()) {
            Ok(checked) => checked.settings,
            Err(faults) => panic!("{faults}"),
        };
        let registry = Registry::new().expect("a registry");
        let clock = Clock::manual(Duration::from_secs(1_700_000_000));
        let gate = runtime.block_on(async {
            let client = Client::new(
                Transport::embedded(tower::service_fn(authority)),
                Duration::from_secs(5),
                None,
                ElasticMetrics::register(&registry).expect("metrics"),
                clock.clone(),
            );
            let families = GateFamilies::register(&registry).expect("metrics");
            let limit = sidegate::config::bounds::LoginLimit {
                per_address: 0,
                per_username: 0,
                window: Duration::from_secs(60),
            };
            let limiter = Arc::new(LoginLimiter::new(&limit));
            Gate::new(&settings, client, &families, limiter, clock.clone()).expect("a gate")
        });
        Self {
            runtime,
            gate,
            forwarding: Forwarding::new(&settings.routes).expect("a forwarding"),
            rewrite: Rewrite::default(),
            clock,
            served: 0,
        }
    }

    /// All requests of one connection.
    fn serve(&self, trusted: bool, bytes: &[u8]) {
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| async {
            self.pass(request.into_parts().0, trusted, bytes).await;
            Ok::<_, Infallible>(http::Response::new(Body::Empty))
        });
        let io = tokio::io::join(Cursor::new(bytes.to_vec()), tokio::io::sink());
        let connection = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(io), service);
        // Bytes that are no HTTP are the client's trouble.
        let _ = self.runtime.block_on(connection);
    }

    /// What the proxy does with a request, up to sending it.
    async fn pass(&self, mut head: Head, trusted: bool, input: &[u8]) {
        let headers = &head.headers;
        if self
            .rewrite
            .check_connection(headers, &self.forwarding)
            .is_err()
        {
            return;
        }
        let peer = Peer {
            address: ([192, 0, 2, 1], 4_000).into(),
            client_ip: [192, 0, 2, 1].into(),
            trusted,
            tls: false,
            listener: Arc::from("l"),
            certificate: PeerCertificate::Absent,
        };
        let now = self.clock.now();
        let mut steps = Steps::off();
        let Ok(permit) = self.gate.decide(&head, &peer, now, &mut steps).await else {
            return;
        };
        let id = HeaderValue::from_static("id");
        self.rewrite.prepare(&mut head, &peer, &id, false);
        let kept = self.gate.take_credentials(&permit, &mut head);
        let attached = self.forwarding.attach(&permit, &mut head, now);
        attached.expect("no route needs anything made");
        head.headers.extend(kept);
        head.uri = permit.target().clone();
        one_reading(&permit, &head);
        earned(&permit, &head, input);
        no_pretence(&permit, &head, trusted);
    }
}

/// Any bytes.
pub(crate) fn check(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    BENCH.with_borrow_mut(|slot| {
        if slot.as_ref().is_some_and(|bench| bench.served >= LIFETIME) {
            *slot = None;
        }
        let bench = slot.get_or_insert_with(Bench::new);
        bench.served += 1;
        bench.serve(first % 2 == 1, bytes);
    });
}

/// The target is canonical, and an application that decodes it, all at once, sees a path of the route that was judged.
fn one_reading(permit: &Permit, head: &Head) {
    let path = head.uri.path();
    assert!(
        matches!(canonical_path(path), Ok(same) if same == path),
        "{path:?} is not canonical"
    );
    assert!(head.uri.authority().is_none() && head.uri.scheme().is_none());
    assert!(!matches!(head.method, Method::CONNECT | Method::TRACE));
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let decoded = String::from_utf8(decoded).expect("UTF-8");
    assert!(!decoded.contains(['\\', ';', '#', '?']) && !decoded.contains("//"));
    let segments: Vec<&str> = decoded
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    assert!(
        !segments
            .iter()
            .any(|segment| matches!(*segment, "." | ".."))
    );
    let hosts: Vec<_> = head.headers.get_all(HOST).iter().collect();
    assert_eq!(hosts.len(), 1, "one host");
    let host = hosts[0].to_str().expect("text").to_ascii_lowercase();
    let host = host.split(':').next().unwrap_or_default();
    let expected = if host.strip_suffix('.').unwrap_or(host) == "h.example" {
        "hosted"
    } else {
        match segments.as_slice() {
            ["open", ..] => "open",
            ["admin", ..] => "admin",
            ["keyed", ..] if head.method == Method::GET => "get",
            ["one", _] => "one",
            _ => "rest",
        }
    };
    assert_eq!(permit.route().name, expected, "{path:?} on {host:?}");
}

/// Whoever is let in showed something that the authority knows.
fn earned(permit: &Permit, head: &Head, input: &[u8]) {
    let route = permit.route();
    let holds = |needle: &str| {
        let needle = needle.as_bytes();
        input.windows(needle.len()).any(|window| window == needle)
    };
    let Some(entry) = permit.entry() else {
        assert_eq!(route.name, "open", "nobody came in");
        return;
    };
    let username = entry.identity.username.as_str();
    let (line, _) = KNOWN
        .iter()
        .find(|(_, known)| *known == username)
        .expect("somebody known");
    let (_, token) = line.split_once(' ').expect("a scheme and a token");
    // In a query it may be spelled otherwise.
    assert!(
        holds(token) || route.name == "get",
        "{username} came from nowhere"
    );
    if route.name == "admin" {
        assert_eq!(username, "root");
    }
    if route.name == "get" {
        let query = head.uri.query().unwrap_or_default();
        let mut left = form_urlencoded::parse(query.as_bytes());
        assert!(
            left.all(|(name, _)| name != "key"),
            "{query:?} shows the key"
        );
        assert!(!head.headers.contains_key("x-key"));
    }
}

/// Identities are Sidegate's alone, the connection's headers stay behind, and nobody's credential goes where it shouldn't.
fn no_pretence(permit: &Permit, head: &Head, trusted: bool) {
    let route = permit.route();
    let username = permit.entry().map(|entry| entry.identity.username.as_str());
    for (name, value) in &head.headers {
        let folded: String = name
            .as_str()
            .chars()
            .map(|letter| {
                if matches!(letter, '_' | '.' | ' ') {
                    '-'
                } else {
                    letter
                }
            })
            .collect();
        if !IDENTITY.contains(&folded.as_str()) {
            continue;
        }
        assert_eq!(folded, name.as_str(), "not a spelling of ours");
        let expected = match (route.name.as_str(), folded.as_str()) {
            ("admin" | "get", "x-forwarded-user") | ("one", "x-auth-user") => username,
            ("admin" | "get" | "one", "x-forwarded-roles") => Some("reader,root")
                .filter(|_| username == Some("root"))
                .or(Some("reader")),
            _ => None,
        };
        assert_eq!(value.to_str().ok(), expected, "{name} on {}", route.name);
    }
    assert_eq!(
        head.headers.contains_key(AUTHORIZATION),
        route.name == "hosted"
    );
    for gone in [CONNECTION, TRANSFER_ENCODING] {
        assert!(!head.headers.contains_key(&gone), "{gone}");
    }
    assert_eq!(head.headers.get_all("x-request-id").iter().count(), 1);
    if !trusted {
        assert_eq!(head.headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(head.headers.get_all("x-forwarded-for").iter().count(), 1);
    }
}

async fn authority(request: Request) -> Result<Response, BodyError> {
    let shown = request.headers().get(AUTHORIZATION);
    let shown = shown.map(HeaderValue::as_bytes).unwrap_or_default();
    let known = KNOWN.iter().find(|(line, _)| line.as_bytes() == shown);
    let mut response = match known {
        None => {
            let refused =
                json!({"error": {"type": "security_exception", "reason": "no"}, "status": 401});
            let mut response = Response::new(Body::full(refused.to_string()));
            *response.status_mut() = http::StatusCode::UNAUTHORIZED;
            response
        }
        Some((_, username)) => {
            let roles = if *username == "root" {
                vec!["reader", "root"]
            } else {
                vec!["reader"]
            };
            let realm = json!({"name": "native1", "type": "native"});
            let answer = json!({
                "username": username, "roles": roles, "full_name": null, "email": null, "metadata": {},
                "enabled": true, "authentication_realm": realm, "lookup_realm": realm, "authentication_type": "realm",
            });
            Response::new(Body::full(answer.to_string()))
        }
    };
    let product = HeaderValue::from_static("Elasticsearch");
    response.headers_mut().insert("x-elastic-product", product);
    Ok(response)
}
