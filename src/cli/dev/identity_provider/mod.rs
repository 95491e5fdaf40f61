//! The demo identity provider of `sidegate dev --sso`: a small OpenID provider whose people log in by clicking on their name.
//!
//! **For development only.** Nobody has a password here. Always true: it listens on loopback, knows one client with one callback,
//! takes the code flow with PKCE (S256) and nothing else, keeps nothing on disk, and makes its key and the client's secret anew
//! at each start. `sidegate run` has no way to start it.

mod memory;
mod page;
pub(super) mod people;
mod sign;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::model::clock::{self, Clock};
use crate::model::secret::Secret;
use crate::net::http::{Body, Response};
use memory::{Code, Memory};
use people::{LIFE, PEOPLE};
use sign::Signer;

/// Id of its one client.
pub(super) const CLIENT_ID: &str = "sidegate-dev";
/// Longest form that is read, in bytes.
const MAX_FORM: usize = 16 * 1024;
/// Who sends people here, and where they go back to.
pub(super) struct Client {
    /// Its secret.
    pub(super) secret: Secret,
    /// Where people go back to.
    pub(super) redirect_uri: String,
    /// Where they go after a logout.
    pub(super) after_logout: String,
}

impl Client {
    /// A client with a fresh secret.
    pub(super) fn new(redirect_uri: String, after_logout: String) -> Self {
        Self {
            secret: Secret::from(random()),
            redirect_uri,
            after_logout,
        }
    }
}

/// A text that nobody can guess.
fn random() -> String {
    URL_SAFE_NO_PAD.encode(clock::random_bytes::<32>())
}

/// The provider, shared by its connections.
struct Provider {
    issuer: String,
    client: Client,
    signer: Signer,
    memory: Mutex<Memory>,
    clock: Clock,
}

/// Serves on this listener until the process ends; its issuer identifier.
///
/// # Errors
/// When no key can be made.
pub(super) fn start(listener: TcpListener, client: Client, clock: Clock) -> anyhow::Result<String> {
    let address: SocketAddr = listener.local_addr()?;
    let issuer = format!("http://{address}");
    let provider = Arc::new(Provider {
        issuer: issuer.clone(),
        client,
        signer: Signer::generate()?,
        memory: Mutex::default(),
        clock,
    });
    tracing::warn!(%issuer, "demo identity provider started: for development only, nobody has a password there");
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let provider = Arc::clone(&provider);
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let provider = Arc::clone(&provider);
                    async move { Ok::<_, Infallible>(provider.respond(request).await) }
                });
                // A connection that breaks is the client's business.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok(issuer)
}

/// Parameters by name; of one that comes twice, the last.
type Parameters = BTreeMap<String, String>;

fn parameters(text: &str) -> Parameters {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// An authentication request that is answered to the client.
struct Asked<'p> {
    state: &'p str,
    nonce: Option<&'p str>,
    challenge: &'p str,
}

impl Provider {
    async fn respond(&self, request: http::Request<Incoming>) -> Response {
        let (head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/.well-known/openid-configuration") => as_json(&self.document()),
            (&Method::GET, "/jwks") => as_json(&self.signer.key_set()),
            (&Method::GET, "/authorize") => self.ask_who(query),
            (&Method::POST, "/login") => match self.form(&head.headers, body).await {
                Some(form) => self.log_in(query, &form),
                None => page::trouble(StatusCode::BAD_REQUEST, "That was no form of this page."),
            },
            (&Method::POST, "/token") => {
                let body = Body::from(body).collect_up_to(MAX_FORM).await;
                let body = body.unwrap_or_default();
                self.exchange(&head.headers, &parameters(&String::from_utf8_lossy(&body)))
            }
            (&Method::GET, "/userinfo") => self.tell_claims(&head.headers),
            (&Method::GET, "/end-session") => self.log_out(&parameters(query)),
            _ => page::trouble(StatusCode::NOT_FOUND, "There is nothing here."),
        }
    }

    /// The form of the login page, when it comes from there: no other site logs anybody in.
    async fn form(&self, headers: &HeaderMap, body: Incoming) -> Option<Parameters> {
        let origin = headers.get(header::ORIGIN);
        if origin.is_some_and(|origin| origin != self.issuer.as_str()) {
            return None;
        }
        let body = Body::from(body).collect_up_to(MAX_FORM).await.ok()?;
        Some(parameters(std::str::from_utf8(&body).ok()?))
    }

    fn document(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "end_session_endpoint": at("/end-session"),
            "jwks_uri": at("/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [sign::ALGORITHM],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "profile", "email", "groups"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    /// Whether the request is of the one client; what is wrong with it otherwise, which the client is never told.
    fn asked<'p>(&self, query: &'p Parameters) -> Result<Asked<'p>, &'static str> {
        let value = |name: &str| query.get(name).map(String::as_str);
        if value("client_id") != Some(CLIENT_ID) {
            return Err("The client is unknown.");
        }
        if value("redirect_uri") != Some(&self.client.redirect_uri) {
            return Err("The client has another callback (redirect_uri).");
        }
        let is_code = value("response_type") == Some("code");
        let is_s256 = value("code_challenge_method") == Some("S256");
        match (value("state"), value("code_challenge")) {
            (Some(state), Some(challenge)) if is_code && is_s256 => Ok(Asked {
                state,
                nonce: value("nonce"),
                challenge,
            }),
            _ => Err("Only the code flow with state and PKCE (S256) is served."),
        }
    }

    fn ask_who(&self, query: &str) -> Response {
        match self.asked(&parameters(query)) {
            Ok(_) => page::login(query, &self.client.redirect_uri),
            Err(problem) => page::trouble(StatusCode::BAD_REQUEST, problem),
        }
    }

    fn log_in(&self, query: &str, form: &Parameters) -> Response {
        let query = parameters(query);
        let asked = match self.asked(&query) {
            Ok(asked) => asked,
            Err(problem) => return page::trouble(StatusCode::BAD_REQUEST, problem),
        };
        let name = form.get("person").map(String::as_str);
        let person = PEOPLE.iter().find(|person| Some(person.name) == name);
        let mut answer = form_urlencoded::Serializer::new(String::new());
        if let Some(person) = person {
            let code = random();
            let made = Code {
                person,
                nonce: asked.nonce.map(str::to_owned),
                challenge: asked.challenge.to_owned(),
            };
            self.memory().keep_code(&code, made, self.clock.now());
            tracing::info!(
                person = person.name,
                "demo identity provider logged somebody in"
            );
            answer.append_pair("code", &code);
        } else {
            answer.append_pair("error", "access_denied");
            answer.append_pair("error_description", "the login was cancelled");
        }
        answer.append_pair("state", asked.state);
        answer.append_pair("iss", &self.issuer);
        redirect(&self.client.redirect_uri, &answer.finish())
    }

    fn exchange(&self, headers: &HeaderMap, form: &Parameters) -> Response {
        let secret = self.client.secret.expose_str().unwrap_or_default();
        let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{secret}")));
        let shown = headers.get(header::AUTHORIZATION);
        let shown = shown.map(|value| Secret::new(value.as_bytes()));
        if shown != Some(Secret::from(expected)) {
            return refusal(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        let value = |name: &str| form.get(name).map_or("", String::as_str);
        if value("grant_type") != "authorization_code" {
            return refusal(StatusCode::BAD_REQUEST, "unsupported_grant_type");
        }
        let now = self.clock.now();
        let code = self.memory().take_code(value("code"), now);
        let right_callback = value("redirect_uri") == self.client.redirect_uri;
        let challenge = sign::challenge(value("code_verifier"));
        let Some(code) = code.filter(|code| right_callback && code.challenge == challenge) else {
            return refusal(StatusCode::BAD_REQUEST, "invalid_grant");
        };
        let access_token = random();
        self.memory().keep_access(&access_token, code.person, now);
        let issued = now.unix.as_secs();
        let mut claims = json!({
            "iss": self.issuer,
            "sub": code.person.name,
            "aud": CLIENT_ID,
            "iat": issued,
            "exp": issued + LIFE,
            "at_hash": sign::half_hash(&access_token),
        });
        if let Some(nonce) = code.nonce {
            claims["nonce"] = json!(nonce);
        }
        match self.signer.sign(&claims) {
            Some(id_token) => as_json(&json!({
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": LIFE,
                "id_token": id_token,
            })),
            None => refusal(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        }
    }

    fn tell_claims(&self, headers: &HeaderMap) -> Response {
        let value = headers.get(header::AUTHORIZATION);
        let value = value.and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer "));
        let person = token.and_then(|token| self.memory().person(token, self.clock.now()));
        match person {
            Some(person) => as_json(&json!({
                "sub": person.name,
                "name": person.full_name,
                "email": format!("{}@example.com", person.name),
                "groups": person.groups,
            })),
            None => refusal(StatusCode::UNAUTHORIZED, "invalid_token"),
        }
    }

    /// Nobody stays logged in here, so there is nothing to end but the visit.
    fn log_out(&self, query: &Parameters) -> Response {
        match query.get("post_logout_redirect_uri") {
            Some(uri) if *uri == self.client.after_logout => {
                let mut answer = form_urlencoded::Serializer::new(String::new());
                if let Some(state) = query.get("state") {
                    answer.append_pair("state", state);
                }
                redirect(uri, &answer.finish())
            }
            _ => page::goodbye(),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn redirect(uri: &str, query: &str) -> Response {
    let joint = if uri.contains('?') { '&' } else { '?' };
    let target = if query.is_empty() {
        uri.to_owned()
    } else {
        format!("{uri}{joint}{query}")
    };
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(target) = HeaderValue::try_from(target) {
        response.headers_mut().insert(header::LOCATION, target);
    }
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn as_json(value: &Value) -> Response {
    let mut response = Response::new(Body::full(value.to_string()));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refusal(status: StatusCode, code: &str) -> Response {
    let mut response = as_json(&json!({"error": code}));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
