//! What the embedded authority costs per request, through the same tower `Service` that a listener serves, and what it costs to
//! hold 100,000 API keys and 10,000 users in a store on disk.
//!
//! Aims: `_authenticate` from the cache at most 25 µs, `_has_privileges` of 20 atoms at most 30 µs, start-up with 100,000 keys at
//! most 2 s, and the same cost however many keys and users there are.
//!
//! `cargo bench --bench authority` runs all; a filter after `--` picks some (`authenticate`, `has_privileges`, `create`, `loaded`).
//! `SIDEGATE_BENCH_KEYS` and `SIDEGATE_BENCH_USERS` change the numbers loaded; with `--test` they are small.

use std::cell::OnceCell;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use sidegate::authority::{Authority, Options};
use sidegate::model::clock::Clock;
use sidegate::model::secret::Secret;
use sidegate::net::http::{Body, Request};

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Fault = Box<dyn std::error::Error>;

const PASSWORD: &str = "a long enough password";
/// Requests that load a store at once: as many as share one commit.
const LOADERS: usize = 256;

/// An authority and the runtime it answers on.
struct Node {
    runtime: Runtime,
    authority: Authority,
}

impl Node {
    fn open(data: Option<&Path>) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let options = Options {
            data: data.map(Path::to_owned),
            superuser_password: Some(Secret::from(PASSWORD)),
            bcrypt_cost: 4,
            ..Options::default()
        };
        let authority = runtime.block_on(Authority::open(options, Clock::system()))?;
        Ok(Self { runtime, authority })
    }

    /// Sends a request and reads the whole answer, which must be a 200.
    fn ask(&self, call: &Call) -> Result<Value, Fault> {
        self.runtime.block_on(ask(&self.authority, call))
    }

    fn superuser(&self, method: &str, uri: &str, body: &Value) -> Result<Value, Fault> {
        self.ask(&Call::new(
            method,
            uri,
            &basic("elastic", PASSWORD),
            Some(body),
        ))
    }

    /// Measures one call. The answer's body is dropped unread: it is whole in memory by then.
    fn measure(&self, bencher: &mut criterion::Bencher<'_>, call: &Call) {
        let first = self.ask(call);
        assert!(first.is_ok(), "{}: {:?}", call.uri, first.err());
        bencher.iter(|| {
            let Ok(request) = call.request() else { return };
            let response = self
                .runtime
                .block_on(self.authority.clone().oneshot(request));
            drop(black_box(response));
        });
    }
}

/// A request that can be sent again and again.
#[derive(Clone)]
struct Call {
    method: String,
    uri: String,
    authorization: String,
    body: String,
}

impl Call {
    fn new(method: &str, uri: &str, authorization: &str, body: Option<&Value>) -> Self {
        Self {
            method: method.to_owned(),
            uri: uri.to_owned(),
            authorization: authorization.to_owned(),
            body: body.map(Value::to_string).unwrap_or_default(),
        }
    }

    fn request(&self) -> Result<Request, http::Error> {
        http::Request::builder()
            .method(self.method.as_str())
            .uri(&self.uri)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(Body::full(self.body.clone()))
    }
}

async fn ask(authority: &Authority, call: &Call) -> Result<Value, Fault> {
    let Ok(response) = authority.clone().oneshot(call.request()?).await;
    let status = response.status();
    let body = response.into_body().collect_up_to(64 << 20).await?;
    if !status.is_success() {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(serde_json::from_slice(&body)?)
}

fn basic(username: &str, password: &str) -> String {
    let pair = STANDARD.encode(format!("{username}:{password}"));
    format!("Basic {pair}")
}

fn text(answer: &Value, name: &str) -> Result<String, Fault> {
    let text = answer[name].as_str();
    Ok(text.ok_or_else(|| format!("no {name}"))?.to_owned())
}

/// What a benchmark can't go on without.
#[expect(
    clippy::panic,
    reason = "a benchmark without its authority has nothing to measure"
)]
fn needed<T>(outcome: Result<T, Fault>) -> T {
    match outcome {
        Ok(value) => value,
        Err(fault) => panic!("{fault}"),
    }
}

fn authenticate(criterion: &mut Criterion) {
    let made = OnceCell::new();
    let mut group = criterion.benchmark_group("authenticate");
    for (at, name) in ["basic, cached", "api key, cached", "bearer"]
        .into_iter()
        .enumerate()
    {
        group.bench_function(name, |bencher| {
            let (node, credentials) = made.get_or_init(|| needed(with_three_credentials()));
            let call = Call::new("GET", "/_security/_authenticate", &credentials[at], None);
            node.measure(bencher, &call);
        });
    }
    group.finish();
}

fn with_three_credentials() -> Result<(Node, [String; 3]), Fault> {
    let node = Node::open(None)?;
    let role =
        json!({"cluster": ["monitor"], "indices": [{"names": ["logs-*"], "privileges": ["read"]}]});
    node.superuser("PUT", "/_security/role/reader", &role)?;
    let user = json!({"password": PASSWORD, "roles": ["reader"], "full_name": "A User", "email": "user@example.com"});
    node.superuser("PUT", "/_security/user/user", &user)?;
    let key = node.superuser("POST", "/_security/api_key", &json!({"name": "bench"}))?;
    let grant = json!({"grant_type": "password", "username": "user", "password": PASSWORD});
    let token = node.superuser("POST", "/_security/oauth2/token", &grant)?;
    let credentials = [
        basic("user", PASSWORD),
        format!("ApiKey {}", text(&key, "encoded")?),
        format!("Bearer {}", text(&token, "access_token")?),
    ];
    Ok((node, credentials))
}

fn has_privileges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("has_privileges, 20 atoms");
    for roles in [1, 10, 100] {
        for patterns in [10, 1_000] {
            let name = format!("{roles} roles, {patterns} patterns");
            let made = OnceCell::new();
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                let (node, call) = made.get_or_init(|| needed(with_roles(roles, patterns)));
                node.measure(bencher, call);
            });
        }
    }
    group.finish();
}

/// A user whose `roles` hold `patterns` index patterns together, and a question of 20 atoms of theirs.
fn with_roles(roles: usize, patterns: usize) -> Result<(Node, Call), Fault> {
    let node = Node::open(None)?;
    let actions = json!({"actions": ["data:read/*"]});
    let privileges = json!({"shop": {"read": actions, "write": {"actions": ["data:write/*"]}}});
    node.superuser("PUT", "/_security/privilege", &privileges)?;
    let names: Vec<String> = (0..roles).map(|role| format!("role-{role}")).collect();
    for (number, name) in names.iter().enumerate() {
        let own = (0..patterns)
            .filter(|pattern| pattern % roles == number)
            .map(|pattern| format!("logs-team{pattern}-*"));
        let own: Vec<String> = own.chain([format!("own-{number}")]).collect();
        let role = json!({
            "cluster": ["monitor"],
            "indices": [{"names": own, "privileges": ["read", "view_index_metadata"]}],
            "applications": [{"application": "shop", "privileges": ["read"], "resources": [format!("space:{number}")]}],
        });
        node.superuser("PUT", &format!("/_security/role/{name}"), &role)?;
    }
    let user = json!({"password": PASSWORD, "roles": names});
    node.superuser("PUT", "/_security/user/user", &user)?;
    // 2 + 4 indices × 3 privileges + 3 resources × 2 privileges = 20 atoms.
    let question = json!({
        "cluster": ["monitor", "manage"],
        "index": [{"names": ["logs-team0-a", "logs-team7-b", "own-0", "other"], "privileges": ["read", "write", "view_index_metadata"]}],
        "application": [{"application": "shop", "privileges": ["read", "write"], "resources": ["space:0", "space:7", "x"]}],
    });
    let uri = "/_security/user/_has_privileges";
    let call = Call::new("POST", uri, &basic("user", PASSWORD), Some(&question));
    Ok((node, call))
}

fn create_api_key(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("create api key");
    let folder = OnceCell::new();
    for on_disk in [false, true] {
        let name = if on_disk { "on disk" } else { "in memory" };
        let made = OnceCell::new();
        group.bench_function(name, |bencher| {
            let folder = folder.get_or_init(|| needed(tempfile::tempdir().map_err(Fault::from)));
            let node =
                made.get_or_init(|| needed(Node::open(on_disk.then(|| folder.path()))));
            let body = json!({"name": "bench", "expiration": "1d", "role_descriptors": {"r": {"cluster": ["monitor"]}}});
            let authorization = basic("elastic", PASSWORD);
            let call = Call::new("POST", "/_security/api_key", &authorization, Some(&body));
            node.measure(bencher, &call);
        });
    }
    group.finish();
}

/// How many keys and users the loader makes.
fn sizes() -> (usize, usize) {
    let trial = std::env::args().any(|argument| argument == "--test");
    let number = |name: &str, full: usize, small: usize| {
        let given = std::env::var(name).ok().and_then(|text| text.parse().ok());
        given.unwrap_or(if trial { small } else { full })
    };
    (
        number("SIDEGATE_BENCH_KEYS", 100_000, 500),
        number("SIDEGATE_BENCH_USERS", 10_000, 50),
    )
}

/// A store that was filled, closed and opened again, and what one of its keys and users are called.
struct Loaded {
    node: Node,
    key_id: String,
    key: String,
    user: String,
    _folder: tempfile::TempDir,
}

fn load() -> Result<Loaded, Fault> {
    let (keys, users) = sizes();
    let folder = tempfile::tempdir()?;
    let node = Node::open(Some(folder.path()))?;
    let hash = bcrypt::hash(PASSWORD, 4)?;
    node.superuser(
        "PUT",
        "/_security/role/reader",
        &json!({"cluster": ["monitor", "manage_own_api_key"]}),
    )?;
    let elastic = basic("elastic", PASSWORD);
    let stopwatch = Clock::system();
    let users_made = (0..users).map(|number| {
        let user = json!({"password_hash": hash, "roles": ["reader"], "full_name": format!("User {number}")});
        let uri = format!("/_security/user/user-{number}");
        Call::new("PUT", &uri, &elastic, Some(&user))
    });
    fill(&node, users_made)?;
    let owners = users.clamp(1, 100);
    let keys_made = (0..keys).map(|number| {
        let key = json!({"name": format!("key-{number}"), "metadata": {"team": format!("t{}", number % 50)}});
        let owner = basic(&format!("user-{}", number % owners), PASSWORD);
        Call::new("POST", "/_security/api_key", &owner, Some(&key))
    });
    let last = fill(&node, keys_made)?.ok_or("no key was made")?;
    report(&format!(
        "loaded {keys} keys and {users} users in {:.1?}",
        stopwatch.now().mono
    ))?;
    let resident_before = resident()?;
    drop(node);
    let stopwatch = Clock::system();
    let node = Node::open(Some(folder.path()))?;
    let took = stopwatch.now().mono;
    let size = std::fs::metadata(folder.path().join("authority.redb"))?.len() >> 20;
    report(&format!(
        "start-up {took:.1?}; resident {} MiB ({resident_before} MiB before closing); {size} MiB on disk",
        resident()?
    ))?;
    Ok(Loaded {
        node,
        key_id: text(&last, "id")?,
        key: format!("ApiKey {}", text(&last, "encoded")?),
        user: format!("user-{}", users / 2),
        _folder: folder,
    })
}

/// Sends every call, many at a time; returns an answer of the last ones.
fn fill(node: &Node, calls: impl Iterator<Item = Call>) -> Result<Option<Value>, Fault> {
    let authority = &node.authority;
    node.runtime.block_on(async {
        let mut answers = stream::iter(calls)
            .map(|call| async move { ask(authority, &call).await })
            .buffer_unordered(LOADERS);
        let mut last = None;
        while let Some(answer) = answers.next().await {
            last = Some(answer?);
        }
        Ok(last)
    })
}

/// Resident memory of this process in MiB.
fn resident() -> Result<u64, Fault> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
    Ok(kilobytes.ok_or("no VmRSS")?.parse::<u64>()? >> 10)
}

fn report(line: &str) -> Result<(), Fault> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

fn loaded(criterion: &mut Criterion) {
    let made = OnceCell::new();
    let elastic = basic("elastic", PASSWORD);
    let mut group = criterion.benchmark_group("loaded");
    group.sample_size(20);
    let queries = [
        ("query, term", json!({"query": {"term": {"name": "key-7"}}})),
        (
            "query, a page in order",
            json!({"sort": [{"creation": "desc"}], "size": 50}),
        ),
        (
            "query, buckets",
            json!({"size": 0, "aggs": {"owners": {"terms": {"field": "username"}}}}),
        ),
    ];
    for name in [
        "authenticate, basic",
        "authenticate, api key",
        "get a key",
        "get a user",
        "get own keys",
    ] {
        group.bench_function(name, |bencher| {
            let loaded = made.get_or_init(|| needed(load()));
            let user = basic(&loaded.user, PASSWORD);
            let (uri, authorization) = match name {
                "authenticate, basic" => ("/_security/_authenticate".to_owned(), &user),
                "authenticate, api key" => ("/_security/_authenticate".to_owned(), &loaded.key),
                "get a key" => (format!("/_security/api_key?id={}", loaded.key_id), &elastic),
                "get a user" => (format!("/_security/user/{}", loaded.user), &elastic),
                _ => ("/_security/api_key?owner=true".to_owned(), &user),
            };
            let call = Call::new("GET", &uri, authorization, None);
            loaded.node.measure(bencher, &call);
        });
    }
    for (name, body) in queries {
        group.bench_function(name, |bencher| {
            let loaded = made.get_or_init(|| needed(load()));
            let call = Call::new("POST", "/_security/_query/api_key", &elastic, Some(&body));
            loaded.node.measure(bencher, &call);
        });
    }
    group.finish();
}

criterion_group!(
    benches,
    authenticate,
    has_privileges,
    create_api_key,
    loaded
);
criterion_main!(benches);
