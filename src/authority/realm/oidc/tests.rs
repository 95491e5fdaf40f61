//! Logins against a provider of our own that answers whatever a test wants, honest or not.

mod abuse;
mod flows;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::authority::realm::jwt::tests::keys::{Issuer, ec_issuer};
use crate::authority::realm::watch::Background;
use crate::config::realm_values::ProviderUrl;
use crate::config::realms::{JwtAlgorithm, JwtClaim, JwtClaims};
use crate::config::realms_oidc::{OidcClientAuthMethod, OidcHttp, OidcParty, OidcProvider};
use crate::config::values::Value as _;

const NOW: u64 = 1_700_000_000;
const SECRET: &str = "client secret: 48 bytes, enough for HS256 and HS384";
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// What a path answers.
#[derive(Clone)]
struct Page {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// It never answers.
    stalls: bool,
}

/// A request as it came.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    authorization: String,
    body: String,
}

#[derive(Default)]
struct Shared {
    pages: BTreeMap<String, Page>,
    asked: Vec<Asked>,
}

/// A provider.
struct Op {
    shared: Arc<Mutex<Shared>>,
    issuer: String,
    signer: Issuer,
    _task: Background,
}

impl Op {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared::default()));
        let op = Self {
            _task: Background::spawn(serve(listener, Arc::clone(&shared))),
            signer: ec_issuer("k1", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
            shared,
            issuer,
        };
        op.show(DISCOVERY, &op.document());
        op.show("/jwks", &json!({"keys": [op.signer.jwk]}));
        op
    }

    fn document(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer, "authorization_endpoint": at("/auth"), "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/me"), "end_session_endpoint": at("/end"), "jwks_uri": at("/jwks"),
        })
    }

    fn page(&self, path: &str, page: Page) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.pages.insert(path.to_owned(), page);
    }

    fn show(&self, path: &str, body: &Value) {
        self.answer(path, 200, body.to_string());
    }

    fn answer(&self, path: &str, status: u16, body: String) {
        self.page(
            path,
            Page {
                status,
                headers: vec![("content-type", "application/json".to_owned())],
                body: body.into_bytes(),
                stalls: false,
            },
        );
    }

    fn stall(&self, path: &str) {
        let page = Page {
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
            stalls: true,
        };
        self.page(path, page);
    }

    /// Every request for this path so far.
    fn asked(&self, path: &str) -> Vec<Asked> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = shared.asked.iter();
        asked.filter(|asked| asked.path == path).cloned().collect()
    }

    /// The claims of a good ID token.
    fn claims(&self) -> Value {
        json!({
            "iss": self.issuer, "aud": "rp", "sub": "joe", "nonce": "no-1", "iat": NOW, "exp": NOW + 300,
            "groups": ["a"], "name": "Joe",
        })
    }

    fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": "k1", "typ": "JWT"});
        text(&self.signer.token(&header, claims))
    }

    /// Lets the token endpoint answer with this ID token.
    fn gives(&self, id_token: &str) {
        let body = json!({"id_token": id_token, "access_token": "at-1", "token_type": "Bearer", "expires_in": 60});
        self.show("/token", &body);
    }

    fn settings(&self) -> Settings {
        let claim = |name: &str| JwtClaim {
            name: name.to_owned(),
            pattern: None,
        };
        let discovery = format!("{}{DISCOVERY}", self.issuer);
        Settings {
            party: OidcParty {
                client_id: "rp".to_owned(),
                client_secret: Some(Secret::from(SECRET)),
                redirect_uri: "https://rp.test/cb".to_owned(),
                response_type: OidcResponseType::Code,
                scopes: vec!["openid".to_owned(), "groups".to_owned()],
                client_auth_method: OidcClientAuthMethod::Basic,
                assertion_algorithm: JwtAlgorithm::HS384,
                post_logout_redirect_uri: Some("https://rp.test/bye".to_owned()),
                signature_algorithm: JwtAlgorithm::ES256,
                pkce: true,
            },
            provider: OidcProvider {
                issuer: self.issuer.clone(),
                discovery: Some(ProviderUrl::parse(&discovery).unwrap()),
                authorization_endpoint: None,
                token_endpoint: None,
                userinfo_endpoint: None,
                endsession_endpoint: None,
                keys: None,
            },
            claims: JwtClaims {
                principal: claim("sub"),
                groups: Some(claim("groups")),
                name: Some(claim("name")),
                mail: None,
                dn: None,
            },
            populate_user_metadata: true,
            clock_skew: Duration::from_secs(60),
            authorization_realms: Vec::new(),
            http: OidcHttp {
                ca: None,
                connect_timeout: Duration::from_secs(5),
                read_timeout: Duration::from_secs(5),
                keys_interval: Duration::from_secs(3_600),
            },
        }
    }

    async fn realm(&self) -> OidcRealm {
        OidcRealm::open("oidc1", &self.settings()).await.unwrap()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
                let shared = Arc::clone(&shared);
                answer(request, shared)
            });
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: http::Request<hyper::body::Incoming>,
    shared: Arc<Mutex<Shared>>,
) -> Result<http::Response<Full<Bytes>>, http::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = head.uri.path().to_owned();
    let authorization = head.headers.get("authorization");
    let authorization = authorization.map_or("", |value| value.to_str().unwrap());
    let page = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.asked.push(Asked {
            path: path.clone(),
            authorization: authorization.to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        shared.pages.get(&path).cloned()
    };
    let Some(page) = page else {
        return http::Response::builder().status(404).body(Full::default());
    };
    if page.stalls {
        return std::future::pending().await;
    }
    let mut response = http::Response::builder().status(page.status);
    for (name, value) in page.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(page.body)))
}

fn text(jwt: &super::super::jwt::token::Jwt) -> String {
    jwt.text().expose_str().unwrap().to_owned()
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Duration::from_secs(seconds),
        unix: Duration::from_secs(seconds),
    }
}

const ATTEMPT: Attempt<'static> = Attempt {
    state: "st-1",
    nonce: "no-1",
};

/// Comes back with this URI, at `NOW`.
async fn come_back(realm: &OidcRealm, uri: &str) -> Result<Login, LoginError> {
    let callback = Callback {
        uri,
        attempt: ATTEMPT,
    };
    realm.authenticate(callback, at(NOW)).await
}

/// Why a login with these claims fails.
async fn refusal(op: &Op, claims: &Value) -> String {
    op.gives(&op.token(claims));
    op.show("/me", &json!({"sub": "joe"}));
    let realm = op.realm().await;
    let Err(error) = come_back(&realm, "/cb?code=c-1&state=st-1").await else {
        panic!("let in with {claims}");
    };
    error.to_string()
}

fn with(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn basic_of(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}
