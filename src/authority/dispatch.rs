//! One request from head to reply: who sends it, which endpoint it is for, whether it is well formed; then its handler.
//!
//! Always true: nothing of a body is read, and nothing is told about paths, before the credential was found good; what is read
//! is bounded, compressed or not. It decides nothing about privileges: that is the handler's, by [`super::authorize`].

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::Body as _;

use super::api::api_key_grant::GRANT_REFUSED;
use super::audit::Trail;
use super::audit::change::{self, Called};
use super::audit::event::Event;
use super::call::{Call, Query, Reply};
use super::endpoint::{self, Found};
use super::failure::Failure;
use super::filter_path::FilterPath;
use super::realm::pki::certificate::Chain;
use super::render::{self, Style};
use super::state::State;
use super::{api, authenticate, compression, media};
use crate::model::clock::Now;
use crate::net::http::{Body, CollectError, Request, Response};

/// `OPTIONS` needs no credential, since browsers send none with it, and tells the methods of a path and nothing else.
///
/// # Errors
/// 400 for one with a body.
pub fn options(request: &Request) -> Result<Response, Failure> {
    let hint = request.body().size_hint();
    if hint.exact() != Some(0) {
        return Err(Failure::status_exception(
            "OPTIONS requests with a payload body are not supported",
        ));
    }
    let segments = endpoint::segments(request.uri().path()).unwrap_or_default();
    let found = endpoint::find(api::TABLE, &Method::OPTIONS, &segments);
    Ok(render::options(match &found {
        Found::WrongMethod(allowed) => allowed,
        Found::Endpoint(..) | Found::Nothing => &[],
    }))
}

/// Elasticsearch's order since 8.9: the credential in the head, then path and method, then the body and what describes it,
/// then parameters. So nobody learns what paths there are, or has a body read, without a credential.
///
/// # Errors
/// Whatever keeps it from being answered with success.
pub async fn answer(
    state: &Arc<State>,
    request: Request,
    style: &mut Style,
    now: Now,
) -> Result<Reply, Failure> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query();
    let uri = target
        .map_or("/", http::uri::PathAndQuery::as_str)
        .to_owned();
    let query = Query::parse(head.uri.query().unwrap_or_default());
    *style = Style::of(&query, &head.headers, state.compress);
    let trail = state
        .audit
        .trail(&head, &state.store.identity().node_id, now);
    let certificates = head.extensions.get::<Chain>();
    let subject = match authenticate::request(state, &head.headers, certificates, &uri, now).await {
        Ok(subject) => subject,
        Err(failure) => {
            if is_refused_credential(&failure) {
                trail.unauthenticated(&head.headers);
            }
            return Err(failure);
        }
    };
    trail.authenticated(&subject);
    let (endpoint, path) = find(&head, &uri)?;
    let body = read_body(body, state.max_body).await?;
    media::check(&head.headers, !body.is_empty())?;
    let body = compression::inflate(&head.headers, body, state.max_body)?;
    check_common(&query)?;
    query.check_known(head.uri.path(), endpoint.query)?;
    if !endpoint.body && !body.is_empty() {
        return Err(Failure::illegal_argument(format!(
            "request [{} {}] does not support having a body",
            head.method,
            head.uri.path()
        )));
    }
    let call = Call {
        action: endpoint.action,
        subject,
        uri,
        path,
        query,
        body,
        now,
        trail,
    };
    match told_later(&call) {
        None => (endpoint.handler)(state, call).await,
        Some(told) => {
            // By itself, for a change may be durable before a client that hung up would have had its answer.
            let state = Arc::clone(state);
            let task = tokio::spawn(async move {
                let outcome = (endpoint.handler)(&state, call).await;
                told.tell(&outcome);
                outcome
            });
            task.await
                .unwrap_or_else(|_| Err(Failure::server("the request could not be finished")))
        }
    }
}

/// A credential that was looked at and found bad, or not looked at because too many were.
fn is_refused_credential(failure: &Failure) -> bool {
    matches!(
        failure.status,
        StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS
    ) || failure.cause().1 == GRANT_REFUSED
}

/// A call that the audit log is told of once it is done: what it changed, or that the credential in its body was bad.
struct Told {
    trail: Trail,
    called: Called,
    uri: String,
    username: String,
}

fn told_later(call: &Call) -> Option<Told> {
    let changes = call.trail.wants(Event::SecurityConfigChange) && change::is_change(call.action);
    let shows_credential =
        call.trail.wants(Event::AuthenticationFailed) && change::holds_credential(call.action);
    (changes || shows_credential).then(|| Told {
        trail: call.trail.clone(),
        called: Called {
            action: call.action,
            path: call.path.clone(),
            body: call.body.clone(),
        },
        uri: call.uri.clone(),
        username: call.subject.effective.username.clone(),
    })
}

impl Told {
    fn tell(self, outcome: &Result<Reply, Failure>) {
        let reply = match outcome {
            Ok(reply) if reply.status.is_success() => reply,
            Ok(_) => return,
            Err(failure) => {
                let action = self.called.action;
                if is_refused_credential(failure) && change::holds_credential(action) {
                    let claimed = change::claimed_username(&self.called.body);
                    self.trail.not_admitted(action, claimed.as_deref());
                }
                return;
            }
        };
        if !change::is_change(self.called.action) {
            return;
        }
        let changes = change::of(&self.called, &self.uri, &self.username, &reply.body);
        for (event, change) in changes {
            self.trail.changed(event, change);
        }
    }
}

type Captures = Vec<(&'static str, String)>;

fn find(
    head: &http::request::Parts,
    uri: &str,
) -> Result<(&'static endpoint::Endpoint, Captures), Failure> {
    let nothing = || Failure::no_handler(uri, &head.method);
    check_method(head)?;
    let segments = endpoint::segments(head.uri.path()).ok_or_else(nothing)?;
    match endpoint::find(api::TABLE, &head.method, &segments) {
        Found::Endpoint(endpoint, captures) => Ok((endpoint, captures)),
        Found::Nothing => Err(nothing()),
        Found::WrongMethod(allowed) => Err(Failure::dispatch(
            StatusCode::METHOD_NOT_ALLOWED,
            format!(
                "Incorrect HTTP method for uri [{uri}] and method [{}], allowed: [{}]",
                head.method,
                render::join(&allowed, ", ")
            ),
        )
        .with_header("Allow", render::join(&allowed, ","))),
    }
}

/// Methods that Elasticsearch knows the names of.
const METHODS: [Method; 9] = [
    Method::CONNECT,
    Method::DELETE,
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::PATCH,
    Method::POST,
    Method::PUT,
    Method::TRACE,
];

fn check_method(head: &http::request::Parts) -> Result<(), Failure> {
    if METHODS.contains(&head.method) {
        return Ok(());
    }
    let segments = endpoint::segments(head.uri.path()).unwrap_or_default();
    let mut text = format!("Unexpected http method: {}", head.method);
    let mut failure = Failure::dispatch(StatusCode::METHOD_NOT_ALLOWED, text.clone());
    if let Found::WrongMethod(allowed) = endpoint::find(api::TABLE, &head.method, &segments) {
        text.push_str(&format!(", allowed: [{}]", render::join(&allowed, ", ")));
        failure = Failure::dispatch(StatusCode::METHOD_NOT_ALLOWED, text)
            .with_header("Allow", render::join(&allowed, ","));
    }
    Err(failure)
}

fn check_common(query: &Query) -> Result<(), Failure> {
    for flag in ["pretty", "human", "error_trace"] {
        query.flag(flag)?;
    }
    if let Some(filter) = query.non_empty("filter_path") {
        FilterPath::parse(filter)?;
    }
    Ok(())
}

async fn read_body(body: Body, limit: usize) -> Result<Bytes, Failure> {
    // A declared length is refused before a byte is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(Failure::too_large(limit));
    }
    body.collect_up_to(limit)
        .await
        .map_err(|error| match error {
            CollectError::TooLarge { limit } => Failure::too_large(limit),
            CollectError::Broken(_) => Failure::illegal_argument("request body could not be read"),
        })
}
