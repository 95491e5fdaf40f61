//! The decision on a cache hit: fingerprint → entry → requirement → permit, with 1 to 10,000 routes and 1 to 1,000,000 cached
//! credentials. Aim: at most 1.5 µs, and flat.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use http::HeaderValue;
use serde_json::json;

use sidegate::config::bounds::{LoginLimit, RouteRules, UpstreamBounds};
use sidegate::config::settings::{
    self, Access, Forward, Requirement, Settings, Template, TemplatePart,
};
use sidegate::config::ways::{Credentials, RouteCredentials};
use sidegate::elastic::client::Client;
use sidegate::elastic::metrics::ElasticMetrics;
use sidegate::elastic::transport::Transport;
use sidegate::gate::Gate;
use sidegate::gate::limiter::LoginLimiter;
use sidegate::gate::metrics::GateFamilies;
use sidegate::gate::trace::Steps;
use sidegate::model::clock::Clock;
use sidegate::net::http::{Body, BodyError, Head, Peer, PeerCertificate, Request, Response};
use sidegate::telemetry::metrics::Registry;

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main_settings(routes: usize) -> Settings {
    let second = Duration::from_secs(1);
    let upstream = settings::Upstream {
        name: "app".into(),
        urls: Vec::new(),
        protocol: settings::UpstreamProtocol::Http1,
        tls: settings::UpstreamTls::default(),
        host: settings::UpstreamHost::Preserve,
        connect_timeout: second,
        response_timeout: second,
        idle_timeout: None,
        max_idle: 1,
        pool_idle_timeout: second,
        retries: 0,
        unhealthy_after: 1,
        unhealthy_for: second,
        bounds: UpstreamBounds::default(),
    };
    Settings {
        listeners: Vec::new(),
        admin: sidegate::config::listening::Admin {
            address: ([127, 0, 0, 1], 0).into(),
            reuse_port: false,
        },
        authority: settings::Authority::Embedded(settings::Embedded::default()),
        upstreams: BTreeMap::from([("app".to_owned(), upstream)]),
        cache: settings::Cache {
            ttl: 3600 * second,
            refresh_ahead: 1.0,
            negative_ttl: second,
            max_stale: Duration::ZERO,
            max_entries: 2_000_000,
            max_negative_entries: 1_000,
            max_resolved_entries: 1_000,
            expiry_leeway: second,
        },
        routes: (0..routes).map(route).collect(),
        credentials: Credentials::default(),
        login_limit: LoginLimit {
            per_address: 0,
            per_username: 0,
            window: second,
        },
        explain_refusals: false,
        access_log: settings::AccessLog {
            format: settings::AccessLogFormat::Off,
            target: settings::AccessLogTarget::Stdout,
        },
        drain_delay: Duration::ZERO,
        drain_timeout: second,
        workers: None,
        assertion: None,
        instance: None,
        sso: None,
    }
}

/// Static application privileges, ten of them however many routes there are.
fn route(at: usize) -> settings::Route {
    settings::Route {
        name: format!("r{at}"),
        matches: settings::Match {
            hosts: Vec::new(),
            path: format!("/api/v1/service{at}/orders/**"),
            methods: vec!["GET".into(), "HEAD".into()],
        },
        access: Access::Require(Requirement::Application {
            application: "shop".into(),
            privilege: format!("p{}", at % 10),
            resource: Template(vec![TemplatePart::Literal("*".into())]),
        }),
        upstream: "app".into(),
        forward: Forward::None,
        listeners: Vec::new(),
        websocket: false,
        recheck: Some(Duration::from_secs(30)),
        credentials: RouteCredentials::default(),
        rules: RouteRules::default(),
    }
}

/// Knows everybody and grants everything.
async fn grant_all(request: Request) -> Result<Response, BodyError> {
    let realm = json!({"name": "native1", "type": "native"});
    let text = if request.uri().path() == "/_security/_authenticate" {
        json!({
            "username": "user", "roles": ["reader"], "full_name": "A User", "email": "user@example.com", "metadata": {},
            "enabled": true, "authentication_realm": realm, "lookup_realm": realm, "authentication_type": "realm",
        })
    } else {
        let all: BTreeMap<String, bool> = (0..10).map(|at| (format!("p{at}"), true)).collect();
        let body = request.into_body().collect_up_to(1 << 20).await?;
        let asked: serde_json::Value = serde_json::from_slice(&body)?;
        let asked = asked["application"][0]["privileges"]
            .as_array()
            .map_or(0, Vec::len);
        let granted: BTreeMap<_, _> = all.into_iter().take(asked).collect();
        json!({"username": "user", "has_all_requested": true, "application": {"shop": {"*": granted}}})
    };
    let mut response = Response::new(Body::full(text.to_string()));
    response.headers_mut().insert(
        "x-elastic-product",
        HeaderValue::from_static("Elasticsearch"),
    );
    Ok(response)
}

fn gate(routes: usize, clock: &Clock) -> Result<Gate, Box<dyn std::error::Error>> {
    let settings = main_settings(routes);
    let registry = Registry::new()?;
    let client = Client::new(
        Transport::embedded(tower::service_fn(grant_all)),
        Duration::from_secs(60),
        None,
        ElasticMetrics::register(&registry)?,
        clock.clone(),
    );
    let limiter = Arc::new(LoginLimiter::new(&settings.login_limit));
    let families = GateFamilies::register(&registry)?;
    let gate = Gate::new(&settings, client, &families, limiter, clock.clone());
    gate.map_err(|faults| format!("{faults:?}").into())
}

fn head(route: usize, user: usize) -> Result<Head, http::Error> {
    let credential = STANDARD.encode(format!("user-{user}:a long enough password {user}"));
    let request = http::Request::builder()
        .uri(format!("/api/v1/service{route}/orders/4711?expand=lines"))
        .header("host", "shop.example.com")
        .header("user-agent", "curl/8.5.0")
        .header("accept", "*/*")
        .header("authorization", format!("Basic {credential}"))
        .body(())?;
    Ok(request.into_parts().0)
}

fn peer() -> Peer {
    let ip = IpAddr::from([10, 0, 0, 1]);
    Peer {
        address: (ip, 1).into(),
        client_ip: ip,
        trusted: false,
        tls: true,
        listener: "bench".into(),
        certificate: PeerCertificate::Absent,
    }
}

/// A gate that knows `users`, and requests of a thousand of them to its routes.
fn warm(
    routes: usize,
    users: usize,
    clock: &Clock,
) -> Result<(Gate, Vec<Head>), Box<dyn std::error::Error>> {
    let gate = gate(routes, clock)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        for user in 0..users {
            let decided = gate
                .decide(&head(0, user)?, &peer(), clock.now(), &mut Steps::off())
                .await;
            decided?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    let sample = users.min(1_000);
    let heads = (0..1_000).map(|at| head(at * 7919 % routes, (at % sample) * (users / sample)));
    let heads = heads.collect::<Result<Vec<_>, _>>()?;
    Ok((gate, heads))
}

#[expect(
    clippy::panic,
    reason = "a benchmark without its gate has nothing to measure"
)]
fn hit_path(criterion: &mut Criterion) {
    let clock = Clock::system();
    let mut group = criterion.benchmark_group("hit_path");
    for (routes, users) in [
        (1, 1),
        (100, 1_000),
        (10_000, 1_000),
        (100, 100_000),
        (10_000, 1_000_000),
    ] {
        let name = format!("{routes} routes, {users} credentials");
        // Made on first use, so that a filter on the command line spares the others' warming.
        let warmed = OnceCell::new();
        let peer = peer();
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            let (gate, heads) = warmed.get_or_init(|| match warm(routes, users, &clock) {
                Ok(warm) => warm,
                Err(error) => panic!("the gate could not be warmed: {error}"),
            });
            let mut turn = heads.iter().cycle();
            bencher.iter(|| {
                let Some(head) = turn.next() else { return };
                let mut steps = Steps::off();
                let decided = gate
                    .decide(black_box(head), &peer, clock.now(), &mut steps)
                    .now_or_never();
                assert!(matches!(&decided, Some(Ok(_))), "a hit waits for nobody");
                drop(black_box(decided));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hit_path);
criterion_main!(benches);
