//! Settings, a scripted authority and a gate before it, for the tests of this folder.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::config::bounds::{LoginLimit, RouteRules, UpstreamBounds};
use crate::config::settings::{self, Access, Forward, OwnCredential, Settings};
use crate::config::ways::{Credentials, RouteCredentials};
use crate::elastic::client::Client;
use crate::elastic::metrics::ElasticMetrics;
use crate::elastic::transport::Transport;
use crate::model::clock::Clock;
use crate::model::secret::Secret;
use crate::net::http::{Body, BodyError, Head, Peer, PeerCertificate, Request, Response};
use crate::telemetry::metrics::Registry;

use crate::gate::limiter::LoginLimiter;
use crate::gate::metrics::GateFamilies;
use crate::gate::refusal::Refusal;
use crate::gate::trace::Steps;
use crate::gate::{Gate, Verdict};

/// A route with one upstream that exists.
pub(in crate::gate) fn route(name: &str, path: &str, access: Access) -> settings::Route {
    settings::Route {
        name: name.into(),
        matches: settings::Match {
            path: path.into(),
            ..settings::Match::default()
        },
        access,
        upstream: "app".into(),
        forward: Forward::None,
        listeners: Vec::new(),
        websocket: false,
        recheck: None,
        credentials: RouteCredentials::default(),
        rules: RouteRules::default(),
    }
}

/// Settings with these routes and a cache of one minute.
pub(in crate::gate) fn settings(routes: Vec<settings::Route>) -> Settings {
    let seconds = Duration::from_secs;
    Settings {
        listeners: Vec::new(),
        admin: crate::config::listening::Admin {
            address: ([127, 0, 0, 1], 0).into(),
            reuse_port: false,
        },
        authority: settings::Authority::Embedded(settings::Embedded::default()),
        upstreams: BTreeMap::from([("app".to_owned(), upstream())]),
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

fn upstream() -> settings::Upstream {
    let second = Duration::from_secs(1);
    settings::Upstream {
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
    }
}

/// How the fake authority behaves.
#[derive(Clone, Debug)]
pub(in crate::gate) enum Mood {
    /// As it should.
    Well,
    /// This status and text to everything, with the product header.
    Answers(u16, String),
    /// A 401 made by something that is not Elasticsearch.
    ForeignRefusal,
    /// No connection.
    Unreachable,
    /// Never answers.
    Silent,
    /// Panics once, then is well.
    PanicsOnce,
}

#[derive(Debug)]
struct User {
    password: String,
    roles: Vec<String>,
    /// Privilege names it holds, of whatever kind.
    holds: Vec<String>,
    /// Realm and API key id, where it has one.
    realm: String,
    api_key: Option<String>,
    expires_millis: Option<u64>,
}

/// A scripted authority that counts what it is asked.
#[derive(Debug)]
pub(in crate::gate) struct Fake {
    users: Mutex<BTreeMap<String, User>>,
    mood: Mutex<Mood>,
    pub(in crate::gate) authenticates: AtomicUsize,
    pub(in crate::gate) privilege_asks: AtomicUsize,
    /// Every `_has_privileges` body.
    pub(in crate::gate) bodies: Mutex<Vec<Value>>,
    /// Refresh tokens shown, in order.
    pub(in crate::gate) refreshes: Mutex<Vec<String>>,
    /// Certificates (base64 of the leaf) that tokens were asked for, in order.
    pub(in crate::gate) delegations: Mutex<Vec<String>>,
    /// Tokens taken back, in order.
    pub(in crate::gate) invalidated: Mutex<Vec<String>>,
    /// Asks wait here; closed lets everybody pass.
    gate: Mutex<Option<Arc<Semaphore>>>,
}

impl Fake {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            users: Mutex::default(),
            mood: Mutex::new(Mood::Well),
            authenticates: AtomicUsize::new(0),
            privilege_asks: AtomicUsize::new(0),
            bodies: Mutex::default(),
            refreshes: Mutex::default(),
            delegations: Mutex::default(),
            invalidated: Mutex::default(),
            gate: Mutex::new(None),
        })
    }

    pub(in crate::gate) fn add(&self, name: &str, password: &str, roles: &[&str], holds: &[&str]) {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let user = User {
            password: password.into(),
            roles: owned(roles),
            holds: owned(holds),
            realm: "native1".into(),
            api_key: None,
            expires_millis: None,
        };
        self.users.lock().unwrap().insert(name.into(), user);
    }

    /// An API key `id:secret` that belongs to `name`'s privileges.
    pub(in crate::gate) fn add_key(
        &self,
        id: &str,
        secret: &str,
        holds: &[&str],
        expires_millis: Option<u64>,
    ) {
        self.add(id, secret, &[], holds);
        let mut users = self.users.lock().unwrap();
        let user = users.get_mut(id).unwrap();
        user.api_key = Some(id.into());
        user.realm = "_es_api_key".into();
        user.expires_millis = expires_millis;
    }

    /// A pair of tokens, `access-N` and `refresh-N`, which `refresh-(N-1)` is renewed to.
    pub(in crate::gate) fn add_pair(&self, number: u32) {
        self.add(&format!("access-{number}"), "", &[], &[]);
    }

    /// What the token endpoint answers.
    fn tokens(&self, method: &Method, body: &[u8]) -> Response {
        let body: Value = serde_json::from_slice(body).unwrap();
        if method == Method::DELETE {
            let token = body["token"].as_str().or(body["refresh_token"].as_str());
            self.invalidated.lock().unwrap().push(token.unwrap().into());
            return response(200, json!({"invalidated_tokens": 1}).to_string(), true);
        }
        let shown = body["refresh_token"].as_str().unwrap();
        self.refreshes.lock().unwrap().push(shown.into());
        let number: u32 = shown.strip_prefix("refresh-").unwrap().parse().unwrap();
        let next = number + 1;
        if !self
            .users
            .lock()
            .unwrap()
            .contains_key(&format!("access-{next}"))
        {
            let error = json!({"error": "invalid_grant", "error_description": "token has already been refreshed"});
            return response(400, error.to_string(), true);
        }
        let pair = json!({
            "access_token": format!("access-{next}"), "refresh_token": format!("refresh-{next}"),
            "type": "Bearer", "expires_in": 1_200,
        });
        response(200, pair.to_string(), true)
    }

    /// What a certificate brings: `card-1`, then `card-2`..., as far as they were added.
    fn delegate(&self, body: &[u8]) -> Response {
        let body: Value = serde_json::from_slice(body).unwrap();
        let mut shown = self.delegations.lock().unwrap();
        shown.push(texts(&body["x509_certificate_chain"]).remove(0));
        let token = format!("card-{}", shown.len());
        if !self.users.lock().unwrap().contains_key(&token) {
            let error = json!({"error": {"root_cause": [], "type": "security_exception", "reason": "no"}, "status": 401});
            return response(401, error.to_string(), true);
        }
        let grant = json!({"access_token": token, "type": "Bearer", "expires_in": 1_200});
        response(200, grant.to_string(), true)
    }

    pub(in crate::gate) fn remove(&self, name: &str) {
        self.users.lock().unwrap().remove(name);
    }

    pub(in crate::gate) fn feels(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Makes asks wait until the returned semaphore is given permits or closed.
    pub(in crate::gate) fn hold(&self) -> Arc<Semaphore> {
        let semaphore = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(Arc::clone(&semaphore));
        semaphore
    }

    pub(in crate::gate) fn asks(&self) -> (usize, usize) {
        (
            self.authenticates.load(Ordering::SeqCst),
            self.privilege_asks.load(Ordering::SeqCst),
        )
    }

    async fn answer(self: Arc<Self>, request: Request) -> Result<Response, BodyError> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let authorization = request.headers().get("authorization").cloned();
        let body = request.into_body().collect_up_to(1 << 20).await.unwrap();
        match path.as_str() {
            "/_security/_authenticate" => self.authenticates.fetch_add(1, Ordering::SeqCst),
            "/_security/user/_has_privileges" => self.privilege_asks.fetch_add(1, Ordering::SeqCst),
            _ => 0,
        };
        // Judged on arrival, answered when let: what a slow authority does.
        let answer = match path.as_str() {
            "/_security/oauth2/token" => self.tokens(&method, &body),
            "/_security/delegate_pki" => self.delegate(&body),
            _ => self.judge(&path, authorization, &body),
        };
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            drop(gate.acquire().await);
        }
        let mood = self.mood.lock().unwrap().clone();
        match mood {
            Mood::Well => Ok(answer),
            Mood::Answers(status, text) => Ok(response(status, text, true)),
            Mood::ForeignRefusal => Ok(response(401, "<html>no</html>".into(), false)),
            Mood::Unreachable => Err("connection refused".into()),
            Mood::Silent => std::future::pending().await,
            Mood::PanicsOnce => {
                self.feels(Mood::Well);
                panic!("the ask dies");
            }
        }
    }

    fn judge(&self, path: &str, authorization: Option<HeaderValue>, body: &[u8]) -> Response {
        let users = self.users.lock().unwrap();
        let presented = authorization.and_then(|value| {
            let (_, token) = value.to_str().ok()?.split_once(' ')?;
            let pair = STANDARD
                .decode(token)
                .ok()
                .map_or_else(|| token.to_owned(), |pair| String::from_utf8(pair).unwrap());
            let (name, password) = pair.split_once(':').unwrap_or((&pair, ""));
            Some((name.to_owned(), password.to_owned()))
        });
        let user = presented.and_then(|(name, password)| {
            let user = users.get(&name)?;
            (user.password == password).then_some((name, user))
        });
        let Some((name, user)) = user else {
            let error = json!({"error": {"root_cause": [], "type": "security_exception", "reason": "no"}, "status": 401});
            return response(401, error.to_string(), true);
        };
        let answer = match path {
            "/_security/_authenticate" => json!({
                "username": name, "roles": user.roles, "full_name": null, "email": null, "metadata": {}, "enabled": true,
                "authentication_realm": {"name": user.realm, "type": "native"}, "lookup_realm": {"name": user.realm, "type": "native"},
                "authentication_type": if user.api_key.is_some() { "api_key" } else { "realm" },
                "api_key": user.api_key.as_ref().map(|id| json!({"id": id, "name": "k"})),
            }),
            "/_security/api_key" => {
                json!({"api_keys": [{"id": name, "expiration": user.expires_millis}]})
            }
            _ => {
                let question: Value = serde_json::from_slice(body).unwrap();
                self.bodies.lock().unwrap().push(question.clone());
                privileges(&name, user, &question)
            }
        };
        response(200, answer.to_string(), true)
    }
}

fn texts(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

/// Holds a privilege named `p` everywhere, one named `p@r` on the resource or index `r`.
fn privileges(name: &str, user: &User, question: &Value) -> Value {
    let mut all = true;
    let mut holds = |privilege: &str, on: &str| {
        let yes = user
            .holds
            .iter()
            .any(|held| *held == privilege || *held == format!("{privilege}@{on}"));
        all &= yes;
        yes
    };
    let mut answer = json!({"username": name, "cluster": {}, "index": {}, "application": {}});
    for privilege in texts(&question["cluster"]) {
        answer["cluster"][&privilege] = holds(&privilege, "").into();
    }
    for index in question["index"].as_array().into_iter().flatten() {
        for name in texts(&index["names"]) {
            for privilege in texts(&index["privileges"]) {
                answer["index"][&name][&privilege] = holds(&privilege, &name).into();
            }
        }
    }
    for application in question["application"].as_array().into_iter().flatten() {
        let app = application["application"].as_str().unwrap();
        for resource in texts(&application["resources"]) {
            for privilege in texts(&application["privileges"]) {
                answer["application"][app][&resource][&privilege] =
                    holds(&privilege, &resource).into();
            }
        }
    }
    answer["has_all_requested"] = all.into();
    answer
}

fn response(status: u16, text: String, product: bool) -> Response {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if product {
        response.headers_mut().insert(
            "x-elastic-product",
            HeaderValue::from_static("Elasticsearch"),
        );
    }
    response
}

/// A gate before a fake authority, with time that stands still.
pub(in crate::gate) struct Bench {
    pub(in crate::gate) gate: Arc<Gate>,
    pub(in crate::gate) fake: Arc<Fake>,
    pub(in crate::gate) clock: Clock,
    pub(in crate::gate) registry: Registry,
    pub(in crate::gate) families: GateFamilies,
    pub(in crate::gate) limiter: Arc<LoginLimiter>,
}

/// The Unix time at which every test begins.
pub(in crate::gate) const BEGIN: Duration = Duration::from_secs(1_000_000);

impl Bench {
    pub(in crate::gate) fn new(settings: &Settings) -> Self {
        Self::with_timeout(settings, Duration::from_secs(20))
    }

    pub(in crate::gate) fn with_timeout(settings: &Settings, timeout: Duration) -> Self {
        let (fake, clock, registry) = (Fake::new(), Clock::manual(BEGIN), Registry::new().unwrap());
        fake.add("alice", "secret", &["reader"], &["orders_read", "monitor"]);
        fake.add("bob", "secret", &["guest"], &[]);
        // Sidegate's own token.
        fake.add("own", "", &[], &[]);
        let service = {
            let fake = Arc::clone(&fake);
            tower::service_fn(move |request| Arc::clone(&fake).answer(request))
        };
        let metrics = ElasticMetrics::register(&registry).unwrap();
        let client = Client::new(
            Transport::embedded(service),
            timeout,
            Some(OwnCredential::Bearer(Secret::from("own"))),
            metrics,
            clock.clone(),
        );
        let families = GateFamilies::register(&registry).unwrap();
        let limiter = Arc::new(LoginLimiter::new(&settings.login_limit));
        let gate = Gate::new(
            settings,
            client,
            &families,
            Arc::clone(&limiter),
            clock.clone(),
        )
        .unwrap();
        Self {
            gate: Arc::new(gate),
            fake,
            clock,
            registry,
            families,
            limiter,
        }
    }

    /// Decides a GET with this `Authorization`.
    pub(in crate::gate) async fn get(&self, path: &str, authorization: &str) -> Verdict {
        self.decide(&head(path, &[authorization])).await
    }

    pub(in crate::gate) async fn decide(&self, head: &Head) -> Verdict {
        self.gate
            .decide(head, &peer("10.0.0.1"), self.clock.now(), &mut Steps::off())
            .await
    }

    /// The refusal's label, or `permitted` and how the cache answered.
    pub(in crate::gate) async fn told(&self, path: &str, authorization: &str) -> String {
        tell(&self.get(path, authorization).await)
    }
}

pub(in crate::gate) fn tell(verdict: &Verdict) -> String {
    match verdict {
        Ok(permit) => format!("permitted {}", permit.cache().label()),
        Err(Refusal::AuthorityUnavailable { cause, .. }) => format!("unavailable {cause}"),
        Err(refusal) => refusal.reason().to_owned(),
    }
}

pub(in crate::gate) fn head(path: &str, authorizations: &[&str]) -> Head {
    let mut request = http::Request::builder()
        .uri(path)
        .header("host", "app.example");
    for authorization in authorizations {
        request = request.header("authorization", *authorization);
    }
    request.body(()).unwrap().into_parts().0
}

pub(in crate::gate) fn peer(address: &str) -> Peer {
    let ip = address.parse().unwrap();
    Peer {
        address: (ip, 1).into(),
        client_ip: ip,
        trusted: false,
        tls: true,
        listener: "test".into(),
        certificate: PeerCertificate::Absent,
    }
}

pub(in crate::gate) fn basic(username: &str, password: &str) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{username}:{password}"))
    )
}

pub(in crate::gate) fn api_key(id: &str, secret: &str) -> String {
    format!("ApiKey {}", STANDARD.encode(format!("{id}:{secret}")))
}
