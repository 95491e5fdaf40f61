//! One call: the request, parsed, and the reply to it.
//!
//! A [`Reply`] can only be made from a [`super::authorize::Granted`], so a handler that forgets to authorise has nothing to
//! answer with.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;

use super::audit::Trail;
use super::body::{Grammar, Object, split_commas};
use super::failure::Failure;
use super::subject::Subject;
use crate::model::clock::Now;

/// Query parameters every endpoint takes.
const COMMON: [&str; 5] = ["error_trace", "filter_path", "format", "human", "pretty"];

/// Most query parameters that are read: no endpoint has twenty.
const MOST_PARAMETERS: usize = 1_024;

/// A request for one endpoint, from somebody known.
pub struct Call {
    /// The endpoint's action name, such as `cluster:admin/xpack/security/user/put`.
    pub action: &'static str,
    /// Who calls.
    pub subject: Subject,
    /// The request target as sent, for messages.
    pub uri: String,
    /// Captured path segments, decoded.
    pub path: Vec<(&'static str, String)>,
    /// Query parameters.
    pub query: Query,
    /// The whole body.
    pub body: Bytes,
    /// When it arrived.
    pub now: Now,
    /// What it leaves in the audit log.
    pub trail: Trail,
}

impl Call {
    /// A captured path segment.
    pub fn path(&self, name: &str) -> Option<&str> {
        let mut path = self.path.iter();
        path.find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// A captured path segment as a comma list; empty without the segment.
    pub fn path_list(&self, name: &str) -> Vec<String> {
        self.path(name).map(split_commas).unwrap_or_default()
    }

    /// The body as an object.
    ///
    /// # Errors
    /// No body, or not an object.
    pub fn object(&self, grammar: Grammar) -> Result<Object<'_>, Failure> {
        if self.body.is_empty() {
            return Err(Failure::parse("request body is required"));
        }
        Object::parse(&self.body, grammar)
    }

    /// The body as an object of a hand-written parser; `refused` words what is said to something else, by its token.
    ///
    /// # Errors
    /// No body, or not an object.
    pub fn object_for(&self, refused: impl FnOnce(&str) -> Failure) -> Result<Object<'_>, Failure> {
        let found = self.body.trim_ascii_start().first().map(|byte| match byte {
            b'[' => "START_ARRAY",
            b'"' => "VALUE_STRING",
            b't' | b'f' => "VALUE_BOOLEAN",
            b'n' => "VALUE_NULL",
            b'-' | b'0'..=b'9' => "VALUE_NUMBER",
            _ => "START_OBJECT",
        });
        match found {
            Some("START_OBJECT") | None => self.object(Grammar::Hand("request")),
            Some(found) => Err(refused(found)),
        }
    }

    /// Reads `refresh`. Every write here is visible when it is answered, so the value changes nothing.
    ///
    /// # Errors
    /// A value other than `true`, `false`, `wait_for` or nothing.
    pub fn check_refresh(&self) -> Result<(), Failure> {
        match self.query.text("refresh") {
            None | Some("" | "true" | "false" | "wait_for") => Ok(()),
            Some(other) => Err(Failure::illegal_argument(format!(
                "Unknown value for refresh: [{other}]."
            ))),
        }
    }
}

/// Decoded query parameters. A repeated one counts once, as its last value.
#[derive(Clone, Debug, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Decodes `a=1&b=2`. At most `MOST_PARAMETERS` count; the rest is not looked at.
    pub fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .take(MOST_PARAMETERS)
                .collect(),
        )
    }

    /// A parameter's text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter's text, unless it is empty.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// A boolean; present without a value means true, absent false.
    ///
    /// # Errors
    /// Any other text.
    pub fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(other) => Err(Failure::illegal_argument(format!(
                "Failed to parse value [{other}] as only [true] or [false] are allowed."
            ))),
        }
    }

    /// Refuses parameters the endpoint doesn't know.
    ///
    /// # Errors
    /// `request [/path] contains unrecognized parameter: [x]`.
    pub fn check_known(&self, path: &str, known: &[&str]) -> Result<(), Failure> {
        let is_known = |name: &str| COMMON.contains(&name) || known.contains(&name);
        let unknown: Vec<String> = self
            .0
            .keys()
            .filter(|name| !is_known(name))
            .map(|name| format!("[{name}]{}", did_you_mean(name, known)))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let plural = if unknown.len() > 1 { "s" } else { "" };
        Err(Failure::illegal_argument(format!(
            "request [{path}] contains unrecognized parameter{plural}: {}",
            unknown.join(", ")
        )))
    }
}

/// ` -> did you mean [y]?` for a near miss.
fn did_you_mean(name: &str, known: &[&str]) -> String {
    // A client chooses the name; comparing must stay cheap.
    if name.len() > 64 {
        return String::new();
    }
    let mut near: Vec<(f64, &str)> = known
        .iter()
        .chain(&COMMON)
        .map(|known| (strsim::normalized_levenshtein(name, known), *known))
        .filter(|(likeness, _)| *likeness > 0.5)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let names: Vec<&str> = near.into_iter().map(|(_, name)| name).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!(" -> did you mean [{one}]?"),
        several => format!(" -> did you mean any of [{}]?", several.join(", ")),
    }
}

/// A successful answer.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The JSON body, compact.
    pub body: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_parameters_are_named_sorted_with_a_hint() {
        let query = Query::parse("refrsh=true&aaa=1&pretty");
        let failure = query
            .check_known("/_security/role/x", &["refresh"])
            .unwrap_err();
        assert_eq!(
            failure.cause().1,
            "request [/_security/role/x] contains unrecognized parameters: [aaa], [refrsh] -> did you mean [refresh]?"
        );
    }

    #[test]
    fn flags_are_true_false_or_bare() {
        let query = Query::parse("a&b=true&c=false&d=yes");
        assert!(query.flag("a").unwrap() && query.flag("b").unwrap());
        assert!(!query.flag("c").unwrap() && !query.flag("absent").unwrap());
        assert!(query.flag("d").is_err());
    }
}
