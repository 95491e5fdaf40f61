//! The audit log: who was let in, who was refused, who changed what. One JSON object per line, with Elasticsearch's names.
//!
//! Always true: with auditing off a request pays one branch; with it on, it pays for building the line, and never waits for a
//! disk. No secret is written: a credential appears as a user name or a key id, a body only through [`change`], which copies
//! what is known to be harmless. A new event is a variant of [`event::Event`] and its place of writing.

pub mod change;
pub mod event;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

use self::event::{Event, Events};
use super::subject::{Means, Subject};
use crate::model::clock::{self, Now};
use crate::net::http::{Head, Peer};
use crate::telemetry::audit::AuditLog;

/// Longest text of a client's that is copied into a line, in bytes.
const TEXT: usize = 1_024;

/// Where audit events go, if anywhere. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Audit(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    log: AuditLog,
    events: Events,
}

impl Audit {
    /// Writes these events to this log.
    pub fn to(log: AuditLog, events: Events) -> Self {
        Self(Some(Arc::new(Open { log, events })))
    }

    /// Writes nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// What one request leaves behind.
    pub fn trail(&self, head: &Head, node_id: &str, now: Now) -> Trail {
        Trail(self.0.as_ref().map(|open| {
            let id = URL_SAFE_NO_PAD.encode(clock::random_bytes::<16>());
            Arc::new(Context {
                open: Arc::clone(open),
                node_id: node_id.to_owned(),
                request_id: id,
                origin: origin(head),
                path: cut(head.uri.path()),
                method: head.method.to_string(),
                opaque_id: text(&head.headers, "x-opaque-id"),
                forwarded: text(&head.headers, "x-forwarded-for"),
                timestamp: event::timestamp(now),
            })
        }))
    }
}

/// One request's way into the log. Does nothing when auditing is off.
#[derive(Clone, Debug, Default)]
pub struct Trail(Option<Arc<Context>>);

#[derive(Debug)]
struct Context {
    open: Arc<Open>,
    node_id: String,
    request_id: String,
    /// Kind and address of whoever sent it.
    origin: (&'static str, String),
    path: String,
    method: String,
    opaque_id: Option<String>,
    forwarded: Option<String>,
    timestamp: String,
}

impl Trail {
    /// Whether an event would be written: worth asking before something is prepared for it.
    pub fn wants(&self, event: Event) -> bool {
        self.0
            .as_ref()
            .is_some_and(|context| context.open.events.contains(event))
    }

    /// The credential was good.
    pub fn authenticated(&self, subject: &Subject) {
        self.rest(Event::AuthenticationSuccess, |line| {
            line.insert("authentication.type".to_owned(), json!(kind(subject)));
            who(line, subject);
            line.insert(
                "realm".to_owned(),
                json!(subject.authenticated().realm.name),
            );
        });
    }

    /// There was no good credential.
    pub fn unauthenticated(&self, headers: &HeaderMap) {
        match claimed(headers) {
            Claim::Nothing => self.rest(Event::AnonymousAccessDenied, |_| {}),
            Claim::User(name) => self.rest(Event::AuthenticationFailed, |line| {
                line.insert("user.name".to_owned(), json!(name));
            }),
            Claim::Other => self.rest(Event::AuthenticationFailed, |_| {}),
        }
    }

    /// A body proved somebody to this action: by single sign-on.
    pub fn admitted(&self, action: &str, subject: &Subject) {
        self.transport(Event::AuthenticationSuccess, action, subject);
    }

    /// A body that should have proved somebody to this action didn't; `username` is what it claimed to be.
    pub fn not_admitted(&self, action: &str, username: Option<&str>) {
        let event = Event::AuthenticationFailed;
        self.write(event, "transport", event.name(), |line| {
            if let Some(name) = username {
                line.insert("user.name".to_owned(), json!(cut(name)));
            }
            self.origin_into(line);
            line.insert("action".to_owned(), json!(action));
        });
    }

    /// The caller may do what the call asks.
    pub fn granted(&self, action: &str, subject: &Subject) {
        self.transport(Event::AccessGranted, action, subject);
    }

    /// The caller may not.
    pub fn denied(&self, action: &str, subject: &Subject) {
        self.transport(Event::AccessDenied, action, subject);
    }

    /// Whoever authenticated may act as the effective user.
    pub fn run_as_granted(&self, action: &str, subject: &Subject) {
        self.transport(Event::RunAsGranted, action, subject);
    }

    /// Whoever authenticated may not.
    pub fn run_as_denied(&self, action: &str, subject: &Subject) {
        self.transport(Event::RunAsDenied, action, subject);
    }

    /// Something about users, roles, keys was changed. `name` is the event's action, `change` its own object.
    pub fn changed(&self, name: &str, change: Map<String, Value>) {
        self.write(
            Event::SecurityConfigChange,
            "security_config_change",
            name,
            |line| {
                line.extend(change);
            },
        );
    }

    fn rest(&self, event: Event, fill: impl FnOnce(&mut Map<String, Value>)) {
        self.write(event, "rest", event.name(), |line| {
            fill(line);
            self.origin_into(line);
            if let Some(context) = &self.0 {
                line.insert("url.path".to_owned(), json!(context.path));
                line.insert("request.method".to_owned(), json!(context.method));
            }
        });
    }

    fn transport(&self, event: Event, action: &str, subject: &Subject) {
        self.write(event, "transport", event.name(), |line| {
            line.insert("authentication.type".to_owned(), json!(kind(subject)));
            who(line, subject);
            line.insert("user.roles".to_owned(), json!(subject.effective.roles));
            self.origin_into(line);
            line.insert("action".to_owned(), json!(action));
        });
    }

    fn origin_into(&self, line: &mut Map<String, Value>) {
        if let Some(context) = &self.0 {
            line.insert("origin.type".to_owned(), json!(context.origin.0));
            line.insert("origin.address".to_owned(), json!(context.origin.1));
        }
    }

    /// Writes one line: what every line has, then what `fill` adds.
    fn write(
        &self,
        event: Event,
        kind: &str,
        name: &str,
        fill: impl FnOnce(&mut Map<String, Value>),
    ) {
        let Some(context) = self.0.as_ref().filter(|_| self.wants(event)) else {
            return;
        };
        let mut line = Map::new();
        for (key, value) in [
            ("type", "audit"),
            ("timestamp", &context.timestamp),
            ("node.id", &context.node_id),
            ("event.type", kind),
            ("event.action", name),
        ] {
            line.insert(key.to_owned(), json!(value));
        }
        fill(&mut line);
        line.insert("request.id".to_owned(), json!(context.request_id));
        let optional = [
            ("opaque_id", &context.opaque_id),
            ("x_forwarded_for", &context.forwarded),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                line.insert(key.to_owned(), json!(value));
            }
        }
        context
            .open
            .log
            .write(Value::Object(line).to_string().as_bytes());
    }
}

/// Elasticsearch's `authentication.type`.
const fn kind(subject: &Subject) -> &'static str {
    match subject.means {
        Means::Realm => "REALM",
        Means::ApiKey => "API_KEY",
        Means::Token => "TOKEN",
        Means::Anonymous => "ANONYMOUS",
    }
}

/// The caller: the user, whom they run as, the key behind them.
fn who(line: &mut Map<String, Value>, subject: &Subject) {
    let real = subject.authenticated();
    line.insert("user.name".to_owned(), json!(real.username));
    line.insert("user.realm".to_owned(), json!(real.realm.name));
    if subject.authenticating.is_some() {
        line.insert(
            "user.run_as.name".to_owned(),
            json!(subject.effective.username),
        );
        line.insert(
            "user.run_as.realm".to_owned(),
            json!(subject.effective.realm.name),
        );
    }
    if let Some(key) = &subject.api_key {
        line.insert("apikey.id".to_owned(), json!(key.id));
        line.insert("apikey.name".to_owned(), json!(key.name));
    }
}

/// What a refused credential claimed to be.
enum Claim {
    Nothing,
    User(String),
    Other,
}

fn claimed(headers: &HeaderMap) -> Claim {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Claim::Nothing;
    };
    let value = value.as_bytes().trim_ascii();
    if value.len() < 6 || !value[..6].eq_ignore_ascii_case(b"Basic ") {
        return Claim::Other;
    }
    // Only what stands before the first colon: the rest is the password.
    let decoded = STANDARD
        .decode(value[6..].trim_ascii())
        .map(zeroize::Zeroizing::new);
    let Ok(decoded) = decoded else {
        return Claim::Other;
    };
    match decoded.iter().position(|byte| *byte == b':') {
        Some(colon) => Claim::User(cut(&String::from_utf8_lossy(&decoded[..colon]))),
        None => Claim::Other,
    }
}

fn origin(head: &Head) -> (&'static str, String) {
    match head.extensions.get::<Arc<Peer>>() {
        Some(peer) => ("rest", peer.address.to_string()),
        // The gate asks in-process.
        None => ("local_node", "127.0.0.1:0".to_owned()),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(cut(&String::from_utf8_lossy(value.as_bytes())))
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT)].to_owned()
}
