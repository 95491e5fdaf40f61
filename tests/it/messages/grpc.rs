//! gRPC through the gate: Google's own client and server, and deadlines and trailers by hand. What the documentation says of
//! it is run here (`docs/grpc.md`).

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Full};

use crate::harness::client::{Target, basic};
use crate::harness::elasticsearch::{FakeElasticsearch, Script};
use crate::harness::h2;
use crate::harness::plan::{Plan, Running};
use crate::harness::ports::free_port;
use crate::harness::process::{Process, end_of};
use crate::harness::streams::StreamServer;
use crate::harness::tools;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/messages/orders.py")
}

/// A gRPC service, and a gate before it.
struct Shop {
    python: PathBuf,
    fake: FakeElasticsearch,
    service: Process,
    gate: Running,
}

impl Shop {
    /// `None` after saying that the test is skipped.
    fn open() -> Option<Self> {
        let python = tools::python_with("grpc")?;
        let service = Process::spawn(Command::new(&python).arg(script()).arg("server"));
        let port = service.stdout.find(|_| true).expect("a port");
        let fake = FakeElasticsearch::with_people();
        let gate = Plan::with_elasticsearch(&fake)
            .tls()
            .upstream_yaml("app", &format!("url: \"http://127.0.0.1:{port}\", protocol: http2"))
            .upstream_yaml("dead", &format!("url: \"http://127.0.0.1:{}\", protocol: http2", free_port()))
            .route(
                "orders",
                "/shop.Orders/*",
                "require: { application: [{ application: shop, privileges: [orders_read], resources: [\"*\"] }] }, forward: { identity_headers: { username: x-forwarded-user } }",
            )
            .route_yaml("{ name: dead, match: { path: /dead.Service/* }, upstream: dead, allow: authenticated }")
            .and("login_limit: { per_username: 1, per_address: 100, window: 600s }")
            .start();
        Some(Self {
            python,
            fake,
            service,
            gate,
        })
    }

    fn client(&self, also: &[&str]) {
        let mut command = Command::new(&self.python);
        command.arg(script()).arg("client");
        command.arg(self.gate.proxy.host());
        command.arg(self.gate.folder.path().join("ca.pem"));
        let ended = end_of(command.args(also));
        assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn every_kind_of_call_passes_and_every_refusal_is_a_status_that_clients_understand() {
    let Some(shop) = Shop::open() else { return };
    shop.client(&[]);
    // In the log and the metrics a refusal is what it stands for.
    let refused = ["code_class=\"4xx\"", "route=\"orders\""];
    shop.gate
        .wait_for_metric("sidegate_requests_total", &refused, |count| count >= 2.0);
    assert!(
        shop.service
            .stdout
            .find(|line| line == "cancelled")
            .is_some(),
        "the service learned that nobody waits"
    );
    shop.fake.behave(Script::Status(500));
    shop.client(&["UNAVAILABLE"]);
}

fn call(target: &Target, method: &str, timeout: &str) -> http::Request<Full<Bytes>> {
    http::Request::post(format!("https://{}/shop.Orders/{method}", target.host()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .header("authorization", basic("alice", "alice-password"))
        // One empty message.
        .body(Bytes::from_static(&[0; 5]).into())
        .unwrap()
}

#[test]
fn a_deadline_is_kept_even_if_its_client_forgets_it() {
    let Some(shop) = Shop::open() else { return };
    let target = &shop.gate.proxy;
    h2::block_on(async {
        let mut sender = h2::connect(target).await;
        // In the middle of a stream: what came stays, the status follows.
        let response = sender
            .send_request(call(target, "Hang", "3S"))
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap();
        assert_eq!(trailers["grpc-status"], "4");
        assert!(collected.to_bytes().ends_with(b"one"));
        // Before there is an answer at all.
        let response = sender
            .send_request(call(target, "Get", "1n"))
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "4");
        assert_eq!(
            response.headers()["x-sidegate-refusal"],
            "upstream_deadline"
        );
    });
    assert!(
        shop.service
            .stdout
            .find(|line| line == "cancelled")
            .is_some()
    );
}

#[test]
fn trailers_of_a_request_pass_unless_they_say_what_only_a_head_may() {
    let fake = FakeElasticsearch::with_people();
    let app = StreamServer::echoing();
    let gate = Plan::with_elasticsearch(&fake)
        .tls()
        .upstream_yaml("app", &format!("url: \"{}\", protocol: http2", app.url()))
        .route("public", "/public/**", "allow: everyone")
        .route(
            "keyed",
            "/keyed/**",
            "allow: authenticated, credentials: { api_key: { header: X-Shop-Key } }, forward: { identity_headers: { username: x-shop-user } }",
        )
        .start();
    let mut trailers = HeaderMap::new();
    for name in [
        "x-sum",
        "authorization",
        "cookie",
        "x-forwarded-user",
        "x-forwarded-for",
        "x_shop_user",
        "x-shop-key",
        "x-sidegate-user",
        "x-original-url",
        "x-http-method-override",
        "es-security-runas-user",
        "content-type",
        "host",
        "proxy-authorization",
    ] {
        trailers.insert(name, HeaderValue::from_static("1"));
    }
    let echoed = h2::block_on(async {
        let mut sender = h2::connect_with(&gate.proxy).await;
        let body = Full::new(Bytes::from("hello"));
        let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
        let url = format!("https://{}/public/x", gate.proxy.host());
        let request = http::Request::post(url).body(Box::pin(body)).unwrap();
        let response = sender.send_request(request).await.unwrap();
        response.into_body().collect().await.unwrap()
    });
    let passed: Vec<_> = echoed
        .trailers()
        .unwrap()
        .keys()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(passed, ["x-sum"]);
    assert_eq!(echoed.to_bytes(), "hello");
}
