//! Public keys over `https`, from a server on this machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use aws_lc_rs::signature;

use super::keys::{Issuer, ec_issuer, signed_by};
use super::*;
use crate::authority::realm::watch::Background;
use crate::config::realm_values::JwksPath;
use crate::config::realms::PublicKeys;
use crate::config::settings::NodeUrl;

/// What the server answers.
struct Page {
    status: u16,
    body: String,
}

struct Server {
    page: Arc<ArcSwap<Page>>,
    hits: Arc<AtomicUsize>,
    port: u16,
    ca: PathBuf,
    _directory: tempfile::TempDir,
    _task: Background,
}

impl Server {
    async fn start(body: String) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let page = Arc::new(ArcSwap::from_pointee(Page { status: 200, body }));
        let hits = Arc::new(AtomicUsize::new(0));
        let task = serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            Arc::clone(&page),
            Arc::clone(&hits),
        );
        Self {
            page,
            hits,
            port,
            ca,
            _directory: directory,
            _task: Background::spawn(task),
        }
    }

    fn show(&self, status: u16, body: &Value) {
        let body = body.to_string();
        self.page.store(Arc::new(Page { status, body }));
    }

    fn keys(&self) -> PublicKeys {
        PublicKeys {
            path: JwksPath::Url(NodeUrl {
                tls: true,
                host: "localhost".to_owned(),
                port: self.port,
                prefix: "/keys?a=b".to_owned(),
            }),
            interval: Duration::from_secs(3_600),
            ca: Some(self.ca.clone()),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(5),
        }
    }
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    page: Arc<ArcSwap<Page>>,
    hits: Arc<AtomicUsize>,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        let Ok(stream) = tls.accept(tcp).await else {
            continue;
        };
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
            hits.fetch_add(1, Ordering::SeqCst);
            let page = page.load_full();
            async move {
                assert_eq!(request.uri(), "/keys?a=b");
                let body = Full::new(Bytes::from(page.body.clone()));
                let response = http::Response::builder().status(page.status);
                response
                    .header("location", "https://localhost/elsewhere")
                    .body(body)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        let _ = connection
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

fn set(issuers: &[&Issuer]) -> Value {
    let keys: Vec<Value> = issuers.iter().map(|issuer| issuer.jwk.clone()).collect();
    json!({"keys": keys})
}

#[tokio::test]
async fn keys_that_rotate_are_fetched_when_a_token_asks_for_them() {
    let curve = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let (first, second) = (
        ec_issuer("1", "P-256", curve),
        ec_issuer("2", "P-256", curve),
    );
    let server = Server::start(set(&[&first]).to_string()).await;
    let mut settings = settings(&[JwtAlgorithm::ES256]);
    settings.public_keys = Some(server.keys());
    let realm = JwtRealm::open("jwt1", &settings).await.unwrap();
    let token = |issuer: &Issuer, kid| signed_by(issuer, "ES256", Some(kid));
    let is_in = |verdict: Verdict| matches!(verdict, Verdict::Proven(_));
    assert!(is_in(
        realm.verdict(&token(&first, "1"), None, at(NOW)).await
    ));
    assert_eq!(
        server.hits.load(Ordering::SeqCst),
        1,
        "fetched at the start"
    );

    server.show(200, &set(&[&second]));
    assert!(is_in(
        realm.verdict(&token(&second, "2"), None, at(NOW)).await
    ));
    assert_eq!(server.hits.load(Ordering::SeqCst), 2);
    // Tokens of a key nobody has can't make it fetch again and again.
    for _ in 0..20 {
        assert!(!is_in(
            realm.verdict(&token(&first, "3"), None, at(NOW + 9)).await
        ));
    }
    assert_eq!(server.hits.load(Ordering::SeqCst), 2);
    for (status, body) in [
        (302, set(&[&first])),
        (500, set(&[&first])),
        (200, json!({"keys": []})),
        (200, json!({"keys": ["x".repeat(1 << 20)]})),
    ] {
        let source = realm.public.as_ref().unwrap();
        server.show(status, &body);
        let before = source.keys();
        let now = at(NOW + 10 * server.hits.load(Ordering::SeqCst) as u64);
        assert!(source.newer_than(&before, now).await.is_none(), "{status}");
    }
    assert_eq!(server.hits.load(Ordering::SeqCst), 6);
    assert!(
        is_in(realm.verdict(&token(&second, "2"), None, at(NOW)).await),
        "the former keys stay"
    );
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gives_no_keys() {
    let issuer = ec_issuer("1", "P-256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING);
    let server = Server::start(set(&[&issuer]).to_string()).await;
    let other = Server::start(String::new()).await;
    let keys = PublicKeys {
        ca: Some(other.ca.clone()),
        ..server.keys()
    };
    let source = KeySource::open("jwt1", &keys).await.unwrap();
    assert!(source.keys().is_empty());
    assert_eq!(server.hits.load(Ordering::SeqCst), 0);
}
