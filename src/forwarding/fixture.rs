//! A gate that lets everybody in, for the tests of this floor and those above.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::json;

use crate::config::bounds::{LoginLimit, RouteRules, UpstreamBounds};
use crate::config::settings::{self, Access, Forward, Settings, UpstreamUrl};
use crate::config::ways::{Credentials, RouteCredentials};
use crate::elastic::client::Client;
use crate::elastic::metrics::ElasticMetrics;
use crate::elastic::transport::Transport;
use crate::gate::Gate;
use crate::gate::limiter::LoginLimiter;
use crate::gate::metrics::GateFamilies;
use crate::model::clock::Clock;
use crate::net::http::{Body, BodyError, Request, Response};
use crate::telemetry::metrics::Registry;

/// A route to `app`.
pub(crate) fn route(path: &str, access: Access, forward: Forward) -> settings::Route {
    settings::Route {
        name: path.into(),
        matches: settings::Match {
            path: path.into(),
            ..settings::Match::default()
        },
        access,
        upstream: "app".into(),
        forward,
        listeners: Vec::new(),
        websocket: false,
        recheck: None,
        credentials: RouteCredentials::default(),
        rules: RouteRules::default(),
    }
}

/// An upstream named `app` with short limits.
pub(crate) fn upstream(urls: Vec<UpstreamUrl>) -> settings::Upstream {
    let second = Duration::from_secs(1);
    settings::Upstream {
        name: "app".into(),
        urls,
        protocol: settings::UpstreamProtocol::Http1,
        tls: settings::UpstreamTls::default(),
        host: settings::UpstreamHost::Preserve,
        connect_timeout: second,
        response_timeout: 20 * second,
        idle_timeout: None,
        max_idle: 8,
        pool_idle_timeout: 60 * second,
        retries: 1,
        unhealthy_after: 2,
        unhealthy_for: 10 * second,
        bounds: UpstreamBounds::default(),
    }
}

/// Settings with these routes and this upstream.
pub(crate) fn settings(routes: Vec<settings::Route>, app: settings::Upstream) -> Settings {
    let seconds = Duration::from_secs;
    Settings {
        listeners: Vec::new(),
        admin: crate::config::listening::Admin {
            address: ([127, 0, 0, 1], 0).into(),
            reuse_port: false,
        },
        authority: settings::Authority::Embedded(settings::Embedded::default()),
        upstreams: BTreeMap::from([("app".to_owned(), app)]),
        cache: settings::Cache {
            ttl: seconds(60),
            refresh_ahead: 1.0,
            negative_ttl: seconds(5),
            max_stale: Duration::ZERO,
            max_entries: 1_000,
            max_negative_entries: 100,
            max_resolved_entries: 1_000,
            expiry_leeway: seconds(2),
        },
        routes,
        credentials: Credentials::default(),
        login_limit: LoginLimit {
            per_address: 0,
            per_username: 0,
            window: seconds(60),
        },
        explain_refusals: false,
        access_log: settings::AccessLog {
            format: settings::AccessLogFormat::Off,
            target: settings::AccessLogTarget::Stdout,
        },
        drain_delay: Duration::ZERO,
        drain_timeout: seconds(1),
        workers: None,
        assertion: None,
        instance: None,
        sso: None,
    }
}

/// A gate whose authority knows every user name, whatever the password.
pub(crate) fn gate(settings: &Settings, registry: &Registry, clock: &Clock) -> Arc<Gate> {
    let client = Client::new(
        Transport::embedded(tower::service_fn(authority)),
        Duration::from_secs(5),
        None,
        ElasticMetrics::register(registry).unwrap(),
        clock.clone(),
    );
    let families = GateFamilies::register(registry).unwrap();
    let limiter = Arc::new(LoginLimiter::new(&settings.login_limit));
    Arc::new(Gate::new(settings, client, &families, limiter, clock.clone()).unwrap())
}

/// `Authorization` of a user.
pub(crate) fn basic(username: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:secret")))
}

async fn authority(request: Request) -> Result<Response, BodyError> {
    let token = request.headers()["authorization"].to_str()?.to_owned();
    let pair = STANDARD.decode(token.split_once(' ').unwrap().1)?;
    let username = String::from_utf8(pair)?
        .split_once(':')
        .unwrap()
        .0
        .to_owned();
    let realm = json!({"name": "native1", "type": "native"});
    let answer = json!({
        "username": username, "roles": ["reader", "writer"], "full_name": null, "email": null, "metadata": {},
        "enabled": true, "authentication_realm": realm, "lookup_realm": realm, "authentication_type": "realm",
    });
    let mut response = Response::new(Body::full(answer.to_string()));
    let product = HeaderValue::from_static("Elasticsearch");
    response.headers_mut().insert("x-elastic-product", product);
    Ok(response)
}
