//! The client over real sockets: fail-over, TLS, deadlines, and answers that are not believed.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::config::settings::{Elasticsearch, NodeUrl, OwnCredential};
use crate::elastic::authorization::Asker;
use crate::elastic::client::Client;
use crate::elastic::error::AskError;
use crate::elastic::metrics::ElasticMetrics;
use crate::elastic::transport::Transport;
use crate::model::clock::Clock;
use crate::model::credential::Credential;
use crate::model::privilege::Atom;
use crate::model::secret::Secret;
use crate::telemetry::metrics::Registry;

type Reply = Arc<dyn Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync>;

/// A node on a port of its own.
struct FakeNode {
    address: SocketAddr,
    seen: Arc<AtomicUsize>,
}

impl FakeNode {
    async fn start(
        tls: Option<TlsAcceptor>,
        reply: impl Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::default());
        let (reply, counter): (Reply, Arc<AtomicUsize>) = (Arc::new(reply), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reply, counter, tls) = (Arc::clone(&reply), Arc::clone(&counter), tls.clone());
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        counter.fetch_add(1, Ordering::SeqCst);
                        let response = reply(&request);
                        async move { Ok::<_, Infallible>(response) }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    match tls {
                        None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                drop(http.serve_connection(TokioIo::new(stream), service).await);
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    fn url(&self) -> NodeUrl {
        NodeUrl {
            tls: false,
            host: self.address.ip().to_string(),
            port: self.address.port(),
            prefix: String::new(),
        }
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

/// A node that accepts connections and says nothing.
async fn silent_node() -> NodeUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    node_at(port)
}

/// A port nobody listens at.
async fn dead_node() -> NodeUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    node_at(listener.local_addr().unwrap().port())
}

fn node_at(port: u16) -> NodeUrl {
    NodeUrl {
        tls: false,
        host: "127.0.0.1".into(),
        port,
        prefix: String::new(),
    }
}

fn answer(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("x-elastic-product", "Elasticsearch")
        .body(Full::new(body.into()))
        .unwrap()
}

fn alice(_: &Request<Incoming>) -> Response<Full<Bytes>> {
    let realm = json!({"name": "native1", "type": "native"});
    let body = json!({
        "username": "alice", "roles": ["reader"], "full_name": null, "email": null, "metadata": {}, "enabled": true,
        "authentication_realm": realm, "lookup_realm": realm, "authentication_type": "realm",
    });
    answer(200, body.to_string())
}

fn settings(nodes: Vec<NodeUrl>, timeout: Duration) -> Elasticsearch {
    Elasticsearch {
        nodes,
        ca: None,
        credential: None,
        timeout,
        connect_timeout: timeout,
    }
}

fn client_of(settings: &Elasticsearch, own: Option<OwnCredential>) -> (Client, Registry, Clock) {
    let (registry, clock) = (Registry::new().unwrap(), Clock::system());
    let metrics = ElasticMetrics::register(&registry).unwrap();
    let transport = Transport::nodes(settings, &metrics, clock.clone()).unwrap();
    let client = Client::new(transport, settings.timeout, own, metrics, clock.clone());
    (client, registry, clock)
}

fn client(nodes: Vec<NodeUrl>) -> Client {
    client_of(&settings(nodes, Duration::from_secs(10)), None).0
}

fn credential() -> Asker {
    Asker::of(&Credential::Basic {
        username: "alice".into(),
        password: Secret::from("pä:ss"),
    })
}

#[tokio::test]
async fn a_credential_travels_as_it_came_and_the_answer_becomes_an_identity() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let node = {
        let seen = Arc::clone(&seen);
        FakeNode::start(None, move |request| {
            let authorization = request.headers()["authorization"]
                .to_str()
                .unwrap()
                .to_owned();
            seen.lock()
                .unwrap()
                .push((request.uri().path().to_owned(), authorization));
            alice(request)
        })
        .await
    };
    let mut url = node.url();
    url.prefix = "/es/a".into();
    let client = client(vec![url]);
    assert!(!client.is_reachable());
    let identity = client.authenticate(&credential()).await.unwrap();
    assert_eq!(
        (identity.username.as_str(), identity.realm.kind.as_str()),
        ("alice", "native")
    );
    assert!(client.is_reachable());
    client
        .authenticate(&Asker::of(&Credential::Bearer("tok".into())))
        .await
        .unwrap();
    client
        .authenticate(&Asker::of(&Credential::ApiKey("a2V5".into())))
        .await
        .unwrap();
    let path = "/es/a/_security/_authenticate";
    let expected = ["Basic YWxpY2U6cMOkOnNz", "Bearer tok", "ApiKey a2V5"];
    assert_eq!(
        *seen.lock().unwrap(),
        expected.map(|line| (path.to_owned(), line.to_owned()))
    );
}

#[tokio::test]
async fn asks_go_round_the_nodes_and_around_those_that_fail() {
    let (one, two) = (
        FakeNode::start(None, alice).await,
        FakeNode::start(None, alice).await,
    );
    let client = client(vec![one.url(), dead_node().await, two.url()]);
    for _ in 0..12 {
        client.authenticate(&credential()).await.unwrap();
    }
    assert_eq!(one.seen() + two.seen(), 12);
    assert!(
        one.seen() >= 4 && two.seen() >= 4,
        "{} {}",
        one.seen(),
        two.seen()
    );
}

#[tokio::test]
async fn a_node_that_can_not_serve_is_passed_over_and_rests() {
    for status in [502, 503, 504] {
        let sick = FakeNode::start(None, move |_| answer(status, "")).await;
        let well = FakeNode::start(None, alice).await;
        let settings = settings(vec![sick.url(), well.url()], Duration::from_secs(10));
        let (client, registry, _) = client_of(&settings, None);
        for _ in 0..6 {
            client.authenticate(&credential()).await.unwrap();
        }
        assert_eq!((sick.seen(), well.seen()), (1, 6), "{status}");
        let line = format!("sidegate_es_up{{node=\"{}\"}} 0", sick.address);
        assert!(registry.render().contains(&line));
    }
}

#[tokio::test]
async fn a_silent_node_leaves_time_for_another() {
    let well = FakeNode::start(None, alice).await;
    let settings = settings(
        vec![silent_node().await, well.url()],
        Duration::from_millis(400),
    );
    let (client, _, _) = client_of(&settings, None);
    for _ in 0..4 {
        client.authenticate(&credential()).await.unwrap();
    }
    assert_eq!(well.seen(), 4);
}

#[tokio::test]
async fn when_all_fail_the_cause_is_told_and_a_recovery_is_seen_at_once() {
    let dead = client(vec![dead_node().await]);
    let error = dead.authenticate(&credential()).await.unwrap_err();
    assert!(matches!(error, AskError::Connect { .. }), "{error:?}");
    assert!(error.allows_stale() && !error.is_refusal() && !dead.is_reachable());
    let (silent, _, _) = client_of(
        &settings(vec![silent_node().await], Duration::from_millis(50)),
        None,
    );
    let error = silent.authenticate(&credential()).await.unwrap_err();
    assert!(matches!(error, AskError::Timeout { .. }), "{error:?}");

    let turn = AtomicUsize::new(0);
    let node = FakeNode::start(None, move |request| {
        if turn.fetch_add(1, Ordering::SeqCst) == 0 {
            answer(503, "")
        } else {
            alice(request)
        }
    })
    .await;
    let client = client(vec![node.url()]);
    assert!(matches!(
        client.authenticate(&credential()).await,
        Err(AskError::Status { status: 503, .. })
    ));
    assert!(
        client.authenticate(&credential()).await.is_ok(),
        "a lone node is tried although it rests"
    );
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = FakeNode::start(None, alice).await;
    let location = format!("http://{}/_security/_authenticate", target.address);
    let node = FakeNode::start(None, move |_| {
        let mut response = answer(302, "");
        response
            .headers_mut()
            .insert("location", location.parse().unwrap());
        response
    })
    .await;
    let error = client(vec![node.url()])
        .authenticate(&credential())
        .await
        .unwrap_err();
    assert!(matches!(error, AskError::Status { status: 302, .. }));
    assert_eq!(target.seen(), 0);
}

#[tokio::test]
async fn what_is_not_elasticsearch_is_not_believed() {
    let plain = |status: u16| {
        move |request: &Request<Incoming>| {
            let mut response = alice(request);
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            response.headers_mut().remove("x-elastic-product");
            response
        }
    };
    for status in [200, 401] {
        let node = FakeNode::start(None, plain(status)).await;
        let error = client(vec![node.url()])
            .authenticate(&credential())
            .await
            .unwrap_err();
        assert!(
            matches!(error, AskError::NotElasticsearch { .. }),
            "{status} {error:?}"
        );
    }
}

#[tokio::test]
async fn a_401_with_elasticsearchs_envelope_or_header_is_a_refusal() {
    let envelope = json!({"error": {"root_cause": [], "type": "security_exception", "reason": "x"}, "status": 401}).to_string();
    let bare = FakeNode::start(None, move |_| {
        let mut response = answer(401, envelope.clone());
        response.headers_mut().remove("x-elastic-product");
        response
    })
    .await;
    let named = FakeNode::start(None, |_| answer(401, "")).await;
    for node in [bare, named] {
        let error = client(vec![node.url()])
            .authenticate(&credential())
            .await
            .unwrap_err();
        assert!(error.is_refusal(), "{error:?}");
    }
}

#[tokio::test]
async fn overload_tells_when_to_come_back_and_a_huge_answer_is_garbage() {
    let busy = FakeNode::start(None, |_| {
        let mut response = answer(429, "");
        response
            .headers_mut()
            .insert("retry-after", "7".parse().unwrap());
        response
    })
    .await;
    let error = client(vec![busy.url()])
        .authenticate(&credential())
        .await
        .unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    let huge = FakeNode::start(None, |_| answer(200, vec![b' '; 2 << 20])).await;
    let error = client(vec![huge.url()])
        .authenticate(&credential())
        .await
        .unwrap_err();
    assert!(matches!(error, AskError::Garbage { .. }), "{error:?}");
}

#[tokio::test]
async fn sidegates_own_credential_failing_is_nobody_elses_fault() {
    let node = FakeNode::start(None, |request| {
        match request.headers().get("authorization") {
            Some(value) if value == "ApiKey b3du" => answer(403, "{}"),
            Some(_) => answer(401, "{}"),
            None => answer(
                200,
                json!({"name": "n", "version": {"number": "9.0.0"}}).to_string(),
            ),
        }
    })
    .await;
    let settings = settings(vec![node.url()], Duration::from_secs(10));
    let own = OwnCredential::ApiKey("b3du".into());
    let (with_own, _, _) = client_of(&settings, Some(own));
    assert!(matches!(
        with_own.info().await,
        Err(AskError::OwnCredential { .. })
    ));
    assert!(
        with_own.probe().await.is_ok(),
        "a refusal is a sign of life"
    );
    let monitor = [Atom::Cluster {
        privilege: "monitor".into(),
    }];
    assert!(matches!(
        with_own.own_privileges(&monitor).await,
        Err(AskError::OwnCredential { .. })
    ));
    let (without, _, _) = client_of(&settings, None);
    assert_eq!(without.info().await.unwrap().version.number, "9.0.0");
    assert!(matches!(
        without.own_privileges(&monitor).await,
        Err(AskError::OwnCredential { .. })
    ));
}

#[tokio::test]
async fn tls_is_verified_against_the_configured_ca() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let node = FakeNode::start(Some(TlsAcceptor::from(Arc::new(config))), alice).await;
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(certified.cert.pem().as_bytes()).unwrap();
    let mut url = node.url();
    (url.tls, url.host) = (true, "localhost".into());

    let mut trusted = settings(vec![url.clone()], Duration::from_secs(10));
    trusted.ca = Some(ca.path().to_owned());
    let (client, _, _) = client_of(&trusted, None);
    assert_eq!(
        client.authenticate(&credential()).await.unwrap().username,
        "alice"
    );

    url.host = "127.0.0.1".into();
    trusted.nodes = vec![url];
    let (wrong_name, _, _) = client_of(&trusted, None);
    let error = wrong_name.authenticate(&credential()).await.unwrap_err();
    assert!(matches!(error, AskError::Connect { .. }), "{error:?}");
    assert!(
        error.in_full().contains("certificate"),
        "{}",
        error.in_full()
    );
}

#[test]
fn a_ca_file_without_certificates_is_a_start_up_fault() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let mut url = node_at(9200);
    url.tls = true;
    let mut settings = settings(vec![url], Duration::from_secs(1));
    settings.ca = Some(empty.path().to_owned());
    let metrics = ElasticMetrics::register(&Registry::new().unwrap()).unwrap();
    assert!(Transport::nodes(&settings, &metrics, Clock::system()).is_err());
}
