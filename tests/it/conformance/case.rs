//! One line of the suite: a request, and what must come back.
//!
//! `{name}` anywhere in a line is what an earlier line kept under that name.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::harness::client::{Reply, Target, Wire, basic};

/// Everybody's password.
pub(super) const PASSWORD: &str = "a-password";

/// All lines about one endpoint.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    /// Methods with `|` between them, and the path.
    pub(super) endpoint: String,
    /// What works. Empty where nothing can, since there is no such realm.
    pub(super) success: Vec<Case>,
    pub(super) invalid: Vec<Case>,
    pub(super) denied: Denied,
    /// What is denied, where nothing succeeds.
    pub(super) denied_call: Option<Case>,
    pub(super) missing: Vec<Case>,
}

/// What is forbidden.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Denied {
    /// The first success, for somebody without privileges; these cluster privileges would do.
    Privileges(String),
    Cases(Vec<Case>),
}

/// A request and its answer.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// Method, blank, target.
    pub(super) call: String,
    pub(super) body: Option<Value>,
    /// A user, or a whole `Authorization`; empty for none.
    #[serde(rename = "as")]
    pub(super) caller: Option<String>,
    pub(super) run_as: Option<String>,
    /// Status, type and reason of the error.
    pub(super) is: Option<String>,
    /// The same, for the start of it, where the rest is a long list.
    pub(super) starts: Option<String>,
    /// Status, code and description of an error in the manner of OAuth.
    pub(super) oauth: Option<String>,
    /// The innermost cause's reason.
    pub(super) cause: Option<String>,
    /// Status and body.
    pub(super) equals: Option<Value>,
    /// The endpoint whose shape the answer has; without it, this one's.
    pub(super) shape: Option<String>,
    /// Names for parts of the answer.
    #[serde(default)]
    pub(super) keep: BTreeMap<String, String>,
}

/// What was kept.
pub(super) type Kept = BTreeMap<String, String>;

fn filled(text: &str, kept: &Kept) -> String {
    let mut text = text.to_owned();
    for (name, value) in kept {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    text
}

impl Case {
    /// Sends it.
    pub(super) fn send(&self, api: &Target, wire: &mut Wire, kept: &Kept) -> Reply {
        let call = filled(&self.call, kept);
        let (method, target) = call.split_once(' ').unwrap();
        let mut call = api.call(method, target);
        let caller = filled(self.caller.as_deref().unwrap_or("elastic"), kept);
        if caller.contains(' ') {
            call = call.authorization(&caller);
        } else if !caller.is_empty() {
            call = call.authorization(&basic(&caller, PASSWORD));
        }
        if let Some(name) = &self.run_as {
            call = call.header("es-security-runas-user", name);
        }
        if let Some(body) = &self.body {
            let text = filled(&body.to_string(), kept);
            call = call.header("Content-Type", "application/json").body(text);
        }
        call.send_on(wire)
    }

    /// What is wrong with the answer, apart from its shape.
    pub(super) fn fault(&self, reply: &Reply, kept: &Kept) -> Option<String> {
        let told = told(reply);
        let wanted = |text: &String| filled(text, kept);
        let right = if let Some(text) = self.is.as_ref().or(self.oauth.as_ref()) {
            told == wanted(text)
        } else if let Some(text) = &self.starts {
            told.starts_with(&wanted(text))
        } else if let Some(pair) = &self.equals {
            let wanted: Value = serde_json::from_str(&wanted(&pair.to_string())).unwrap();
            serde_json::json!([reply.status, reply.json()]) == wanted
        } else {
            reply.status == 200
        };
        let cause = self.cause.as_ref().map(wanted);
        if right
            && cause
                .as_ref()
                .is_none_or(|cause| *cause == innermost(reply))
        {
            return None;
        }
        let cause = cause.map_or(String::new(), |_| format!(" cause: {}", innermost(reply)));
        Some(format!("{}\n    got {told}{cause}", self.call))
    }

    /// Whether it is about a success, whose shape is to be checked.
    pub(super) fn succeeds(&self) -> bool {
        let refused = [&self.is, &self.starts, &self.oauth];
        refused.iter().all(|text| text.is_none())
            && self.equals.as_ref().is_none_or(|pair| pair[0] == 200)
    }
}

/// An answer in one line: status, type and reason, or what it has instead.
fn told(reply: &Reply) -> String {
    let status = reply.status;
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
        return format!("{status} {}", reply.text());
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match &body["error"] {
        Value::String(code) => match body.get("error_description") {
            Some(description) => format!("{status} {code}: {}", text(description)),
            None => format!("{status} {code}"),
        },
        Value::Object(error) => {
            // The envelope says everything twice; both must agree.
            let root = &error["root_cause"][0];
            let caused = error.contains_key("caused_by");
            let agree =
                caused || (root["type"] == error["type"] && root["reason"] == error["reason"]);
            assert!(agree && body["status"] == status, "{body}");
            format!(
                "{status} {}: {}",
                text(&error["type"]),
                text(&error["reason"])
            )
        }
        _ => format!("{status} {body}"),
    }
}

fn innermost(reply: &Reply) -> String {
    let body = reply.json();
    let mut error = &body["error"];
    while let Some(cause) = error.get("caused_by") {
        error = cause;
    }
    error["reason"].as_str().unwrap_or_default().to_owned()
}
