//! One typed method per endpoint asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::settings::OwnCredential;
use crate::model::clock::Clock;
use crate::model::identity::{ApiKeyRef, Identity, Realm};
use crate::model::privilege::Atom;
use crate::net::http::Body;
use crate::wire::error::ErrorEnvelope;
use crate::wire::principals::{AuthenticateResponse, RealmRef};
use crate::wire::privileges::HasPrivilegesResponse;

use super::authorization::{Asker, own_authorization};
use super::error::AskError;
use super::metrics::{Api, ElasticMetrics, code_of};
use super::nodes::MAX_RESPONSE;
use super::questions;
use super::transport::{SendError, Transport};

/// Asks the authority. Cheap to clone; clones share what is known about its health.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transport: Transport,
    own: Option<OwnCredential>,
    timeout: Duration,
    metrics: ElasticMetrics,
    clock: Clock,
    reachable: AtomicBool,
}

/// What an authority says of itself (`GET /`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Info {
    /// Name of the node that answered.
    #[serde(default)]
    pub name: String,
    /// Name of its cluster.
    #[serde(default)]
    pub cluster_name: String,
    /// Unique id of the cluster.
    #[serde(default)]
    pub cluster_uuid: String,
    /// Its version.
    pub version: Version,
}

/// The version part of [`Info`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// Such as `9.0.1`.
    pub number: String,
}

/// Only what is needed of `GET /_security/api_key`.
#[derive(Debug, Deserialize)]
struct ApiKeys {
    api_keys: Vec<ApiKeyLife>,
}

#[derive(Debug, Deserialize)]
struct ApiKeyLife {
    id: String,
    /// Milliseconds since the Unix epoch.
    #[serde(default)]
    expiration: Option<u64>,
}

/// A whole response.
pub(super) struct Answer {
    pub(super) node: Arc<str>,
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) bytes: Bytes,
}

impl Client {
    /// `timeout` bounds one ask, fail-over included. `own` is only used by [`Client::info`], [`Client::probe`],
    /// [`Client::own_privileges`] and the exchanges: questions about a client's credential are asked with that credential.
    pub fn new(
        transport: Transport,
        timeout: Duration,
        own: Option<OwnCredential>,
        metrics: ElasticMetrics,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inner {
            transport,
            own,
            timeout,
            metrics,
            clock,
            reachable: AtomicBool::new(false),
        }))
    }

    /// The longest an ask takes.
    pub fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Who a credential belongs to (`GET /_security/_authenticate`).
    ///
    /// # Errors
    /// [`AskError::Refused`] when the credential is not accepted or its user is disabled; every other variant is trouble.
    pub async fn authenticate(&self, asker: &Asker) -> Result<Identity, AskError> {
        let answer = self
            .ask(
                Api::Authenticate,
                Method::GET,
                "/_security/_authenticate",
                Some(asker),
                None,
            )
            .await?;
        let identity: AuthenticateResponse = answer.parse()?;
        if !identity.enabled {
            return Err(AskError::Refused { node: answer.node });
        }
        // Nobody presented nothing: an authority that ignored the credential has not answered about it.
        let anonymous = identity.authentication_type == "anonymous";
        if anonymous != asker.is_anonymous() || identity.username.is_empty() {
            return Err(answer.garbage("it is not about the credential that was asked about"));
        }
        Ok(identity_of(identity))
    }

    /// Which of `atoms` a credential's identity holds (`POST /_security/user/_has_privileges`), in the order asked.
    ///
    /// # Errors
    /// [`AskError`]; [`AskError::Garbage`] also when the answer leaves out any atom.
    pub async fn has_privileges(
        &self,
        asker: &Asker,
        atoms: &[Atom],
    ) -> Result<Vec<bool>, AskError> {
        self.ask_privileges(asker, atoms).await
    }

    /// When an API key expires, in time since the Unix epoch (`GET /_security/api_key?id=…`, asked with the key itself, which
    /// needs no privilege); `None`: never.
    ///
    /// # Errors
    /// [`AskError`]; the caller goes on without knowing.
    pub async fn api_key_expiration(
        &self,
        asker: &Asker,
        id: &str,
    ) -> Result<Option<Duration>, AskError> {
        let id_encoded: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let path = format!("/_security/api_key?id={id_encoded}");
        let answer = self
            .ask(Api::ApiKey, Method::GET, &path, Some(asker), None)
            .await?;
        let keys: ApiKeys = answer.parse()?;
        match keys.api_keys.iter().find(|key| key.id == id) {
            Some(key) => Ok(key.expiration.map(Duration::from_millis)),
            None => Err(answer.garbage("the api key asked about is not in it")),
        }
    }

    /// What the authority says of itself (`GET /`), with Sidegate's own credential if there is one.
    ///
    /// # Errors
    /// [`AskError::OwnCredential`] when that credential is not accepted or there is none and one is needed.
    pub async fn info(&self) -> Result<Info, AskError> {
        let own = self.0.own.as_ref().map(Asker::own);
        let asked = self.ask(Api::Info, Method::GET, "/", own.as_ref(), None);
        match asked.await {
            Ok(answer) => answer.parse(),
            Err(error) => Err(own_fault(error)),
        }
    }

    /// Who Sidegate itself is, and which of `atoms` it holds.
    ///
    /// # Errors
    /// [`AskError::OwnCredential`] when there is no credential or it is not accepted.
    pub async fn own_privileges(&self, atoms: &[Atom]) -> Result<(String, Vec<bool>), AskError> {
        let own = self.own()?;
        let answer = self
            .ask(
                Api::Authenticate,
                Method::GET,
                "/_security/_authenticate",
                Some(&own),
                None,
            )
            .await
            .map_err(own_fault)?;
        let identity: AuthenticateResponse = answer.parse()?;
        let granted = self.ask_privileges(&own, atoms).await.map_err(own_fault)?;
        Ok((identity.username, granted))
    }

    /// Whether the last ask, of whatever kind, reached the authority. False until the first.
    pub fn is_reachable(&self) -> bool {
        self.0.reachable.load(Ordering::Relaxed)
    }

    /// Asks for a sign of life; any answer that is Elasticsearch's own counts, a refusal too.
    ///
    /// # Errors
    /// [`AskError`] when there is none.
    pub async fn probe(&self) -> Result<(), AskError> {
        match self.info().await {
            Ok(_) | Err(AskError::OwnCredential { .. } | AskError::Overloaded { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sidegate itself as asker.
    ///
    /// # Errors
    /// [`AskError::OwnCredential`] when none is configured.
    pub(super) fn own(&self) -> Result<Asker, AskError> {
        match &self.0.own {
            Some(own) => Ok(Asker::own(own)),
            None => Err(AskError::OwnCredential {
                node: Arc::from("configuration"),
            }),
        }
    }

    async fn ask_privileges(&self, asker: &Asker, atoms: &[Atom]) -> Result<Vec<bool>, AskError> {
        let mut granted = vec![false; atoms.len()];
        for round in questions::rounds(atoms) {
            let of_round = || round.iter().filter_map(|at| atoms.get(*at));
            let body = serde_json::to_vec(&questions::request(of_round())).unwrap_or_default();
            let answer = self
                .ask(
                    Api::HasPrivileges,
                    Method::POST,
                    "/_security/user/_has_privileges",
                    Some(asker),
                    Some(body.into()),
                )
                .await?;
            let parsed: HasPrivilegesResponse = answer.parse()?;
            let answers =
                questions::granted(of_round(), &parsed).map_err(|what| answer.garbage(what))?;
            for (at, yes) in round.iter().zip(answers) {
                if let Some(slot) = granted.get_mut(*at) {
                    *slot = yes;
                }
            }
        }
        Ok(granted)
    }

    /// `Authorization` of Sidegate's own credential for an upstream, if it has one that may be shown to others: what opens the
    /// embedded authority never leaves this process.
    pub fn own_authorization(&self) -> Option<HeaderValue> {
        if self.0.transport.is_embedded() {
            return None;
        }
        self.0.own.as_ref().map(own_authorization)
    }

    /// Sends one question and judges the answer's status and origin.
    async fn ask(
        &self,
        api: Api,
        method: Method,
        path: &str,
        asker: Option<&Asker>,
        body: Option<Bytes>,
    ) -> Result<Answer, AskError> {
        self.ask_judging(api, (method, path), asker, body, Answer::judged)
            .await
    }

    /// Sends one question and lets `judge` sort out the answer; every ask goes through here and is counted here.
    pub(super) async fn ask_judging(
        &self,
        api: Api,
        (method, path): (Method, &str),
        asker: Option<&Asker>,
        body: Option<Bytes>,
        judge: impl FnOnce(Answer) -> Result<Answer, AskError>,
    ) -> Result<Answer, AskError> {
        let start = self.0.clock.now().mono;
        let outcome = match self.exchange(method, path, asker, body).await {
            Ok(answer) => judge(answer),
            Err(error) => Err(error),
        };
        let code = match &outcome {
            Ok(answer) => code_of(answer.status.as_u16()),
            Err(AskError::Refused { .. }) => "401",
            Err(AskError::Overloaded { .. }) => "429",
            Err(AskError::Status { status, .. }) => code_of(*status),
            Err(error) => error.cause(),
        };
        let took = self.0.clock.now().mono.saturating_sub(start);
        self.0.metrics.asked(api, code, took);
        let reached = !matches!(
            outcome,
            Err(AskError::Timeout { .. }
                | AskError::Connect { .. }
                | AskError::NotElasticsearch { .. }
                | AskError::Status {
                    status: 500..=599,
                    ..
                })
        );
        self.0.reachable.store(reached, Ordering::Relaxed);
        outcome
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        asker: Option<&Asker>,
        body: Option<Bytes>,
    ) -> Result<Answer, AskError> {
        let request = question(method, path, asker, body).map_err(|_| AskError::Garbage {
            node: Arc::from("sidegate"),
            what: "the question can't be written as a request",
        })?;
        let exchange = async {
            let answered = self.0.transport.send(request).await.map_err(ask_error)?;
            let (head, body) = answered.response.into_parts();
            match body.collect_up_to(MAX_RESPONSE).await {
                Ok(bytes) => Ok(Answer {
                    node: answered.node,
                    status: head.status,
                    headers: head.headers,
                    bytes,
                }),
                Err(_) => Err(AskError::Garbage {
                    node: answered.node,
                    what: "it is too long or broke off",
                }),
            }
        };
        // The pool of nodes has the same deadline and knows which node was late; give it the first word.
        let deadline = self.0.timeout + Duration::from_millis(50);
        match tokio::time::timeout(deadline, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(AskError::Timeout {
                node: Arc::from("authority"),
            }),
        }
    }
}

impl Answer {
    /// Sorts out every answer but a good one. Only a 401 that is certainly Elasticsearch's refuses a credential: one made by
    /// something in between must not log anybody out.
    pub(super) fn judged(self) -> Result<Self, AskError> {
        match self.status {
            StatusCode::OK if self.names_product() => Ok(self),
            StatusCode::OK => Err(AskError::NotElasticsearch { node: self.node }),
            StatusCode::UNAUTHORIZED if self.names_product() || self.is_security_error() => {
                Err(AskError::Refused { node: self.node })
            }
            StatusCode::UNAUTHORIZED => Err(AskError::NotElasticsearch { node: self.node }),
            StatusCode::TOO_MANY_REQUESTS => Err(AskError::Overloaded {
                retry_after: self
                    .headers
                    .get(header::RETRY_AFTER)
                    .and_then(|value| value.to_str().ok()?.parse().ok())
                    .map(Duration::from_secs),
                node: self.node,
            }),
            status => Err(AskError::Status {
                status: status.as_u16(),
                node: self.node,
            }),
        }
    }

    pub(super) fn names_product(&self) -> bool {
        self.headers
            .get("x-elastic-product")
            .is_some_and(|value| value == "Elasticsearch")
    }

    /// The product header is only promised on success; the error envelope is as good a sign.
    fn is_security_error(&self) -> bool {
        serde_json::from_slice::<ErrorEnvelope>(&self.bytes)
            .is_ok_and(|envelope| envelope.error.cause.kind == "security_exception")
    }

    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, AskError> {
        serde_json::from_slice(&self.bytes).map_err(|_| self.garbage("it is not the JSON expected"))
    }

    pub(super) fn garbage(&self, what: &'static str) -> AskError {
        AskError::Garbage {
            node: Arc::clone(&self.node),
            what,
        }
    }
}

fn question(
    method: Method,
    path: &str,
    asker: Option<&Asker>,
    body: Option<Bytes>,
) -> Result<Request<Body>, http::Error> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::ACCEPT, "application/json");
    for (name, value) in asker.map(Asker::lines).unwrap_or_default() {
        request = request.header(name, value);
    }
    match body {
        Some(bytes) => request
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::full(bytes)),
        None => request.body(Body::Empty),
    }
}

fn ask_error(error: SendError) -> AskError {
    match error {
        SendError::Timeout { node } => AskError::Timeout { node },
        SendError::Connect { node, source } => AskError::Connect {
            node,
            source: Arc::new(source),
        },
        SendError::TooLong { node } => AskError::Garbage {
            node,
            what: "it is too long",
        },
    }
}

/// With Sidegate's own credential, a 401 or 403 is our fault and nobody else's.
pub(super) fn own_fault(error: AskError) -> AskError {
    match error {
        AskError::Refused { node } | AskError::Status { node, status: 403 } => {
            AskError::OwnCredential { node }
        }
        other => other,
    }
}

fn identity_of(answer: AuthenticateResponse) -> Identity {
    Identity {
        username: answer.username,
        roles: answer.roles,
        full_name: answer.full_name,
        email: answer.email,
        metadata: answer.metadata,
        realm: realm_of(answer.authentication_realm),
        lookup_realm: realm_of(answer.lookup_realm),
        authentication_type: answer.authentication_type,
        api_key: answer.api_key.map(|key| ApiKeyRef {
            id: key.id,
            name: key.name,
        }),
    }
}

fn realm_of(realm: RealmRef) -> Realm {
    Realm {
        name: realm.name,
        kind: realm.kind,
    }
}
