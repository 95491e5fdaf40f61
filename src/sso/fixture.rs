//! What the door's tests have in common: an authority that answers what it was told to, and browsers that keep cookies.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::cookies::Line;
use super::metrics::SsoMetrics;
use super::site::Site;
use super::used::UsedAttempts;
use super::{Door, Shared};
use crate::config::bounds::LoginLimit;
use crate::config::check;
use crate::config::references::Given;
use crate::config::settings::OwnCredential;
use crate::config::sso::Sso;
use crate::elastic::client::Client;
use crate::elastic::metrics::ElasticMetrics;
use crate::elastic::transport::Transport;
use crate::gate::limiter::LoginLimiter;
use crate::model::clock::Clock;
use crate::model::secret::Secret;
use crate::net::http::{Body, Peer, PeerCertificate, Request, Response};
use crate::net::serve::Handler as _;
use crate::session::Sessions;
use crate::session::keyring::Keyring;
use crate::session::memory::Memory;
use crate::session::metrics::SessionMetrics;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Registry;

/// Everybody's host.
pub(super) const HOST_NAME: &str = "app.example.com";
/// Longest page read, in bytes.
const MAX_PAGE: usize = 1 << 20;

/// Settings with these providers, in flow form.
pub(super) fn sso(providers: &str) -> Sso {
    let text = format!(
        "
listeners: [{{ address: '127.0.0.1:8443' }}]
authority: {{ embedded: {{}} }}
upstreams: {{ shop: {{ url: 'http://127.0.0.1:3000' }} }}
routes: [{{ name: home, match: {{ path: '/**' }}, allow: authenticated, upstream: shop }}]
sso: {{ public_url: 'https://{HOST_NAME}', providers: [{providers}] }}
"
    );
    let checked =
        check::check(&text, &Given::default()).unwrap_or_else(|faults| panic!("{faults}"));
    checked.settings.sso.unwrap()
}

/// Keys of a test's own.
pub(super) fn keyring() -> Arc<Keyring> {
    Arc::new(Keyring::new(
        &[],
        &Secret::from("0123456789abcdef0123456789abcdef"),
    ))
}

/// A request's cookies, as a browser has them after these lines.
pub(super) fn cookie_header(lines: &[Line]) -> HeaderMap {
    let mut browser = Browser::default();
    for (_, line) in lines {
        browser.take(line);
    }
    browser.headers(false)
}

/// An authority that answers what it was told to, and remembers what it was asked.
#[derive(Default)]
pub(super) struct Authority {
    answers: Mutex<HashMap<String, (u16, Value)>>,
    repeating: Mutex<HashMap<String, Value>>,
    asked: Mutex<Vec<(String, Value)>>,
}

impl Authority {
    /// From now on, `METHOD path` is answered like this.
    pub(super) fn answers(&self, what: &str, status: u16, body: Value) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(what.to_owned(), (status, body));
        self.repeating.lock().unwrap().remove(what);
    }

    /// The same with 200, and `state` and `nonce` as they were asked.
    pub(super) fn repeats(&self, what: &str, body: Value) {
        self.repeating.lock().unwrap().insert(what.to_owned(), body);
    }

    /// What it was asked by `METHOD path`, in order.
    pub(super) fn asked(&self, what: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        let same = asked.iter().filter(|(asked, _)| asked == what);
        same.map(|(_, body)| body.clone()).collect()
    }

    /// Who the next tokens stand for.
    pub(super) fn knows(&self, username: &str, realm: &str, metadata: Value) {
        let realm = json!({"name": realm, "type": "oidc"});
        let body = json!({
            "username": username, "roles": ["clerk"], "full_name": null, "email": null, "metadata": metadata,
            "enabled": true, "authentication_realm": realm, "lookup_realm": realm, "authentication_type": "token",
        });
        self.answers("GET /_security/_authenticate", 200, body);
    }

    async fn answer(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let what = format!("{} {}", head.method, head.uri.path());
        let bytes = body.collect_up_to(MAX_PAGE).await.unwrap();
        let asked: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let repeated = self.repeating.lock().unwrap().get(&what).cloned();
        let repeated = repeated.map(|mut body| {
            body["state"] = asked["state"].clone();
            body["nonce"] = asked["nonce"].clone();
            (200, body)
        });
        self.asked.lock().unwrap().push((what.clone(), asked));
        let answer = repeated.or_else(|| self.answers.lock().unwrap().get(&what).cloned());
        let (status, told) =
            answer.unwrap_or((404, error(404, "resource_not_found_exception", "nothing")));
        let mut response = Response::new(Body::full(told.to_string()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let product = HeaderValue::from_static("Elasticsearch");
        response.headers_mut().insert("x-elastic-product", product);
        response
    }
}

/// Elasticsearch's envelope.
pub(super) fn error(status: u16, kind: &str, reason: &str) -> Value {
    let cause = json!({"type": kind, "reason": reason});
    json!({"error": {"root_cause": [cause], "type": kind, "reason": reason}, "status": status})
}

/// Tokens as every login gives them.
pub(super) fn tokens(access: &str) -> Value {
    json!({"access_token": access, "refresh_token": format!("{access}-refresh"), "type": "Bearer", "expires_in": 1200})
}

/// A browser, as far as cookies go.
#[derive(Clone, Default)]
pub(super) struct Browser {
    cookies: BTreeMap<String, (String, bool)>,
}

impl Browser {
    fn take(&mut self, line: &HeaderValue) {
        let line = line.to_str().unwrap();
        let (pair, attributes) = line.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        if attributes.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            let everywhere = attributes.contains("SameSite=None");
            self.cookies
                .insert(name.to_owned(), (value.to_owned(), everywhere));
        }
    }

    /// What it sends along; `foreign`: with a form of another site.
    fn headers(&self, foreign: bool) -> HeaderMap {
        let sent = self
            .cookies
            .iter()
            .filter(|(_, (_, everywhere))| !foreign || *everywhere);
        let line: Vec<String> = sent
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, line.join("; ").parse().unwrap());
        headers
    }

    /// Cookies with this in their name.
    pub(super) fn count(&self, what: &str) -> usize {
        self.cookies
            .keys()
            .filter(|name| name.contains(what))
            .count()
    }

    /// Bytes of all cookies.
    pub(super) fn bytes(&self) -> usize {
        self.cookies
            .iter()
            .map(|(name, (value, _))| name.len() + value.len())
            .sum()
    }

    /// Loses those with this in their name.
    pub(super) fn lose(&mut self, what: &str) {
        self.cookies.retain(|name, _| !name.contains(what));
    }

    /// Whether it holds a session.
    pub(super) fn has_session(&self) -> bool {
        self.count("sidegate-session") > 0
    }
}

/// An answer, read.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    /// Where it leads; empty when nowhere.
    pub(super) fn location(&self) -> &str {
        let location = self.headers.get(LOCATION);
        location.map_or("", |location| location.to_str().unwrap())
    }

    /// The value of a form's hidden field.
    pub(super) fn field(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let Some(at) = self.body.find(&mark) else {
            panic!("no field {name} in\n{}", self.body)
        };
        let rest = &self.body[at + mark.len()..];
        let value = rest.split('"').next().unwrap_or_default();
        value
            .replace("&#x2f;", "/")
            .replace("&amp;", "&")
            .replace("&#x27;", "'")
            .replace("&lt;", "<")
    }

    /// Whether a text or a link is on the page.
    pub(super) fn shows(&self, text: &str) -> bool {
        self.body
            .replace("&#x2f;", "/")
            .replace("&amp;", "&")
            .contains(text)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// That it is a page which tells this code.
    #[track_caller]
    pub(super) fn tells(&self, code: &str) {
        assert!(
            self.body.contains(code),
            "{code} is not in {}\n{}",
            self.status,
            self.body
        );
    }
}

/// A door in front of an authority.
pub(super) struct Stage {
    pub(super) authority: Arc<Authority>,
    pub(super) clock: Clock,
    pub(super) door: Door,
    pub(super) sessions: Arc<Sessions>,
    pub(super) peer: Peer,
}

impl Stage {
    /// With these providers, in flow form.
    pub(super) fn new(providers: &str) -> Self {
        Self::of(&sso(providers))
    }

    /// By these settings.
    pub(super) fn of(sso: &Sso) -> Self {
        let clock = Clock::manual(Duration::from_secs(1_700_000_000));
        let authority = Arc::new(Authority::default());
        authority.knows("alice", "realm1", json!({}));
        authority.answers(
            "POST /_security/profile/_activate",
            200,
            json!({"uid": "u"}),
        );
        let gone =
            json!({"invalidated_tokens": 1, "previously_invalidated_tokens": 0, "error_count": 0});
        authority.answers("DELETE /_security/oauth2/token", 200, gone);
        let asked = Arc::clone(&authority);
        let service = tower::service_fn(move |request: Request| {
            let authority = Arc::clone(&asked);
            async move { Ok::<_, Infallible>(authority.answer(request).await) }
        });
        let registry = Registry::new().unwrap();
        let client = Client::new(
            Transport::embedded(service),
            Duration::from_secs(5),
            Some(OwnCredential::Bearer(Secret::from("own"))),
            ElasticMetrics::register(&registry).unwrap(),
            clock.clone(),
        );
        let memory = Arc::new(Memory::default());
        let metrics = SessionMetrics::register(&registry).unwrap();
        let sessions = Sessions::new(sso, &memory, metrics).unwrap();
        let site = Site::build(sso, Arc::clone(&sessions), client).unwrap();
        let limit = LoginLimit {
            per_address: 100,
            per_username: 3,
            window: Duration::from_secs(300),
        };
        let shared = Shared {
            clock: clock.clone(),
            log: AccessLog::off().unwrap(),
            metrics: SsoMetrics::register(&registry).unwrap(),
            limiter: Arc::new(LoginLimiter::new(&limit)),
            used: UsedAttempts::default(),
        };
        let address: SocketAddr = "192.0.2.1:4711".parse().unwrap();
        Self {
            authority,
            clock,
            door: Door::new(Some(site), shared),
            sessions,
            peer: Peer {
                address,
                client_ip: address.ip(),
                trusted: false,
                tls: true,
                listener: Arc::from("main"),
                certificate: PeerCertificate::Absent,
            },
        }
    }

    /// Sends what a browser sends, and lets it keep what comes back.
    pub(super) async fn send(
        &self,
        browser: &mut Browser,
        (method, target): (Method, &str),
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Answer {
        let foreign = method == Method::POST && headers.contains(&("sec-fetch-site", "cross-site"));
        let mut request = Request::new(Body::full(body.to_owned()));
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().unwrap();
        let sent = request.headers_mut();
        *sent = browser.headers(foreign);
        sent.insert(HOST, HeaderValue::from_static(HOST_NAME));
        if !body.is_empty() {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            sent.insert(CONTENT_TYPE, form);
        }
        for (name, value) in headers {
            sent.insert(*name, value.parse().unwrap());
        }
        let response = self.door.call(request, &Arc::new(self.peer.clone())).await;
        let (parts, body) = response.into_parts();
        for line in parts.headers.get_all(SET_COOKIE) {
            browser.take(line);
        }
        let bytes = body.collect_up_to(MAX_PAGE).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// Opens a page of ours; `path` is below the prefix.
    pub(super) async fn open(&self, browser: &mut Browser, path: &str) -> Answer {
        let target = format!("/_sidegate/{path}");
        let headers = [("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")];
        self.send(browser, (Method::GET, &target), &headers, "")
            .await
    }

    /// Sends a form of ours.
    pub(super) async fn submit(
        &self,
        browser: &mut Browser,
        path: &str,
        form: &[(&str, &str)],
    ) -> Answer {
        let target = format!("/_sidegate/{path}");
        let origin = format!("https://{HOST_NAME}");
        let headers = [
            ("sec-fetch-site", "same-origin"),
            ("origin", origin.as_str()),
        ];
        self.send(browser, (Method::POST, &target), &headers, &encoded(form))
            .await
    }

    /// Sends a form of another site.
    pub(super) async fn submit_foreign(
        &self,
        browser: &mut Browser,
        path: &str,
        form: &[(&str, &str)],
    ) -> Answer {
        let target = format!("/_sidegate/{path}");
        let headers = [
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://idp.example.com"),
        ];
        self.send(browser, (Method::POST, &target), &headers, &encoded(form))
            .await
    }
}

/// A form's body.
pub(super) fn encoded(form: &[(&str, &str)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(form);
    text.finish()
}
