//! Every way a call can fail, and the one place that turns it into Elasticsearch's error answers.
//!
//! A [`Failure`] is a value: type, sentence, status, optional metadata and headers. Handlers make them with the constructors
//! below, [`render::respond`](super::render::respond) alone writes the JSON. It never holds a secret. A new exception type is a new constructor.

use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

/// The challenges of every 401, in the order they are sent (RFC 9110 §11.6.1).
pub const CHALLENGES: [&str; 3] = [
    "Basic realm=\"security\", charset=\"UTF-8\"",
    "Bearer realm=\"security\"",
    "ApiKey",
];

/// Exceptions that are not Elasticsearch's own kind.
const FOREIGN: [&str; 5] = [
    "action_request_validation_exception",
    "illegal_argument_exception",
    "illegal_state_exception",
    "validation_exception",
    "x_content_parse_exception",
];

/// A refused or failed call.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The HTTP status.
    pub status: StatusCode,
    // Boxed, so that every `Result` of a call stays small.
    shape: Box<Shape>,
    headers: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// `{"error":{"root_cause":[..],"type":..,"reason":..},"status":n}`
    Envelope {
        kind: &'static str,
        reason: String,
        metadata: Map<String, Value>,
        /// Outermost first.
        causes: Vec<(&'static str, String)>,
    },
    /// `{"error":"text"}` with or without `"status":n`.
    Plain { text: String, with_status: bool },
    /// RFC 6749 §5.2: `{"error":code,"error_description":text}`.
    OAuth {
        code: &'static str,
        description: String,
    },
}

impl Failure {
    fn envelope(status: StatusCode, kind: &'static str, reason: impl Into<String>) -> Self {
        Self {
            status,
            shape: Box::new(Shape::Envelope {
                kind,
                reason: reason.into(),
                metadata: Map::new(),
                causes: Vec::new(),
            }),
            headers: Vec::new(),
        }
    }

    /// 400 `illegal_argument_exception`.
    pub fn illegal_argument(reason: impl Into<String>) -> Self {
        Self::envelope(
            StatusCode::BAD_REQUEST,
            "illegal_argument_exception",
            reason,
        )
    }

    /// 400 `parse_exception`, thrown by hand-written parsers.
    pub fn parse(reason: impl Into<String>) -> Self {
        Self::envelope(StatusCode::BAD_REQUEST, "parse_exception", reason)
    }

    /// 400 `parsing_exception`, thrown by the parsers of queries and aggregations; the reason says where.
    pub fn query_parsing(reason: impl Into<String>) -> Self {
        Self::envelope(StatusCode::BAD_REQUEST, "parsing_exception", reason)
    }

    /// 400 `x_content_parse_exception`, thrown by strict parsers and by broken JSON.
    pub fn x_content(reason: impl Into<String>) -> Self {
        Self::envelope(StatusCode::BAD_REQUEST, "x_content_parse_exception", reason)
    }

    /// 400 `parsing_exception`, which says where: line and column, counted from one.
    pub fn parsing(at: (usize, usize), reason: impl Into<String>) -> Self {
        let kind = "parsing_exception";
        Self::envelope(StatusCode::BAD_REQUEST, kind, reason)
            .with_metadata("line", json!(at.0))
            .with_metadata("col", json!(at.1))
    }

    /// 400 `action_request_validation_exception` listing every fault.
    pub fn request_validation<S: AsRef<str>>(faults: &[S]) -> Self {
        Self::envelope(
            StatusCode::BAD_REQUEST,
            "action_request_validation_exception",
            validation_text(faults),
        )
    }

    /// 400 `validation_exception`.
    pub fn validation(fault: &str) -> Self {
        Self::envelope(
            StatusCode::BAD_REQUEST,
            "validation_exception",
            validation_text(&[fault]),
        )
    }

    /// 400 `media_type_header_exception`: these headers, and the type and sentence of what is wrong with them.
    pub fn media_type(headers: &str, kind: &'static str, reason: impl Into<String>) -> Self {
        Self::envelope(
            StatusCode::BAD_REQUEST,
            "media_type_header_exception",
            format!("Invalid media-type value on headers [{headers}]"),
        )
        .caused_by(kind, reason)
    }

    /// 400 `status_exception`, thrown outside of any parser.
    pub fn status_exception(reason: impl Into<String>) -> Self {
        Self::envelope(StatusCode::BAD_REQUEST, "status_exception", reason)
    }

    /// `security_exception` with any status and no challenge.
    pub fn security(status: StatusCode, reason: impl Into<String>) -> Self {
        Self::envelope(status, "security_exception", reason)
    }

    /// 400 `security_exception`: a credential in a body that can't be used this way.
    pub fn bad_credential(reason: impl Into<String>) -> Self {
        Self::envelope(StatusCode::BAD_REQUEST, "security_exception", reason)
    }

    /// 404 `resource_not_found_exception`.
    pub fn resource_not_found(reason: impl Into<String>) -> Self {
        Self::envelope(
            StatusCode::NOT_FOUND,
            "resource_not_found_exception",
            reason,
        )
    }

    /// `status_exception`, with the status it is named after.
    pub fn status(status: StatusCode, reason: impl Into<String>) -> Self {
        Self::envelope(status, "status_exception", reason)
    }

    /// 400 `too_many_buckets_exception`: an aggregation that would make more than `limit` buckets.
    pub fn too_many_buckets(limit: usize) -> Self {
        Self::envelope(
            StatusCode::BAD_REQUEST,
            "too_many_buckets_exception",
            format!(
                "Trying to create too many buckets. Must be less than or equal to: [{limit}] but was [{}]. This limit can be set \
                 by changing the [search.max_buckets] cluster level setting.",
                limit + 1
            ),
        )
    }

    /// 500 `exception`: the plain base class.
    pub fn server(reason: impl Into<String>) -> Self {
        Self::envelope(StatusCode::INTERNAL_SERVER_ERROR, "exception", reason)
    }

    /// 500 `unsupported_operation_exception`.
    pub fn unsupported_operation(reason: impl Into<String>) -> Self {
        Self::envelope(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unsupported_operation_exception",
            reason,
        )
    }

    /// 409 `version_conflict_engine_exception` about a document of one of Elasticsearch's security indices.
    pub fn version_conflict(id: &str, why: &str, index: &str) -> Self {
        let reason = format!("[{id}]: version conflict, {why}");
        Self::envelope(
            StatusCode::CONFLICT,
            "version_conflict_engine_exception",
            reason,
        )
        .with_metadata("shard", json!("0"))
        .with_metadata("index", json!(index))
    }

    /// 404 `document_missing_exception` about a document of one of Elasticsearch's security indices.
    pub fn document_missing(id: &str, index: &str) -> Self {
        let reason = format!("[{id}]: document missing");
        Self::envelope(StatusCode::NOT_FOUND, "document_missing_exception", reason)
            .with_metadata("shard", json!("0"))
            .with_metadata("index", json!(index))
    }

    /// 413, for a body longer than the authority reads.
    pub fn too_large(limit: usize) -> Self {
        Self::envelope(
            StatusCode::PAYLOAD_TOO_LARGE,
            "content_too_long_exception",
            format!("request body is longer than the maximum of [{limit}] bytes"),
        )
    }

    /// 503, when the store can't make a write durable.
    pub fn store_unavailable() -> Self {
        Self::envelope(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable_shards_exception",
            "the security store did not accept the write",
        )
    }

    /// 401 `security_exception` with the standard challenges.
    pub fn unauthenticated(reason: impl Into<String>) -> Self {
        let mut failure = Self::envelope(StatusCode::UNAUTHORIZED, "security_exception", reason);
        for challenge in CHALLENGES {
            failure = failure.with_header("WWW-Authenticate", challenge);
        }
        failure
    }

    /// 401 for an access token that is no longer or never was good (RFC 6750 §3.1).
    pub fn invalid_token(reason: &'static str, description: &str) -> Self {
        Self::envelope(StatusCode::UNAUTHORIZED, "security_exception", reason).with_header(
            "WWW-Authenticate",
            format!(
                "Bearer realm=\"security\", error=\"invalid_token\", error_description=\"{description}\""
            ),
        )
    }

    /// 403 `security_exception`.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::envelope(StatusCode::FORBIDDEN, "security_exception", reason)
    }

    /// `{"error":text,"status":n}`, the answer of Elasticsearch's dispatcher.
    pub fn dispatch(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            shape: Box::new(Shape::Plain {
                text: text.into(),
                with_status: true,
            }),
            headers: Vec::new(),
        }
    }

    /// 400 for a path nothing answers to; the one answer without `status`.
    pub fn no_handler(uri: &str, method: &http::Method) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            shape: Box::new(Shape::Plain {
                text: format!("no handler found for uri [{uri}] and method [{method}]"),
                with_status: false,
            }),
            headers: Vec::new(),
        }
    }

    /// 400 in the shape of RFC 6749 §5.2.
    pub fn oauth(code: &'static str, description: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            shape: Box::new(Shape::OAuth {
                code,
                description: description.into(),
            }),
            headers: Vec::new(),
        }
    }

    /// Adds a response header; the envelope repeats it.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a metadata key to the envelope; other shapes have none.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: Value) -> Self {
        if let Shape::Envelope { metadata, .. } = &mut *self.shape {
            metadata.insert(key.to_owned(), value);
        }
        self
    }

    /// Adds a cause to the envelope, inside those added before; other shapes have none.
    #[must_use]
    pub fn caused_by(mut self, kind: &'static str, reason: impl Into<String>) -> Self {
        if let Shape::Envelope { causes, .. } = &mut *self.shape {
            causes.push((kind, reason.into()));
        }
        self
    }

    /// Type and sentence, for logs and for per-item errors inside a 200.
    pub fn cause(&self) -> (&str, &str) {
        match &*self.shape {
            Shape::Envelope { kind, reason, .. } => (kind, reason),
            Shape::Plain { text, .. } => ("", text),
            Shape::OAuth { code, description } => (code, description),
        }
    }

    /// `{"type":..,"reason":..,"caused_by":..}`, for per-item errors inside a 200.
    pub fn cause_object(&self) -> Value {
        let (kind, reason) = self.cause_owned();
        let mut cause = json!({"type": kind, "reason": reason});
        if let Some(inner) = nested(self.inner_causes()) {
            cause["caused_by"] = inner;
        }
        cause
    }

    /// This failure with all its causes as the innermost cause of `outer`.
    #[must_use]
    pub fn inside(&self, outer: Self) -> Self {
        let Shape::Envelope { kind, reason, .. } = &*self.shape else {
            return outer;
        };
        let outer = outer.caused_by(kind, reason.clone());
        let inner = self.inner_causes().iter();
        inner.fold(outer, |outer, (kind, reason)| {
            outer.caused_by(kind, reason.clone())
        })
    }

    /// Type and sentence, taken out.
    pub fn cause_owned(&self) -> (String, String) {
        let (kind, reason) = self.cause();
        (kind.to_owned(), reason.to_owned())
    }

    /// The causes inside, outermost first.
    pub fn inner_causes(&self) -> &[(&'static str, String)] {
        match &*self.shape {
            Shape::Envelope { causes, .. } => causes,
            Shape::Plain { .. } | Shape::OAuth { .. } => &[],
        }
    }

    /// The JSON body. The only place the envelope is written.
    pub fn body(&self) -> Value {
        let status = self.status.as_u16();
        match &*self.shape {
            Shape::Envelope {
                kind,
                reason,
                metadata,
                causes,
            } => {
                let mut cause = Map::new();
                cause.insert("type".to_owned(), json!(kind));
                cause.insert("reason".to_owned(), json!(reason));
                cause.extend(metadata.clone());
                if let Some(inner) = nested(causes) {
                    cause.insert("caused_by".to_owned(), inner);
                }
                if let Some(header) = self.header_object() {
                    cause.insert("header".to_owned(), header);
                }
                let mut error = Map::new();
                error.insert("root_cause".to_owned(), json!([root_of(&cause)]));
                error.extend(cause);
                json!({"error": error, "status": status})
            }
            Shape::Plain { text, with_status } if *with_status => {
                json!({"error": text, "status": status})
            }
            Shape::Plain { text, .. } => json!({"error": text}),
            Shape::OAuth { code, description } => {
                json!({"error": code, "error_description": description})
            }
        }
    }

    /// The JSON body with `error_trace`: type and sentence where Elasticsearch has a stack, for there is no stack to show.
    pub fn traced_body(&self) -> Value {
        let mut body = self.body();
        if let Shape::Envelope { kind, reason, .. } = &*self.shape {
            let trace = json!(format!("{kind}: {reason}"));
            body["error"]["root_cause"][0]["stack_trace"] = trace.clone();
            body["error"]["stack_trace"] = trace;
        }
        body
    }

    /// The response headers, ready to send.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, HeaderValue)> {
        self.headers
            .iter()
            .filter_map(|(name, value)| Some((*name, HeaderValue::from_str(value).ok()?)))
    }

    /// One value is a plain string, several are an array.
    fn header_object(&self) -> Option<Value> {
        let mut object: Map<String, Value> = Map::new();
        for (name, value) in &self.headers {
            match object.get_mut(*name) {
                None => {
                    object.insert((*name).to_owned(), json!(value));
                }
                Some(Value::Array(list)) => list.push(json!(value)),
                Some(single) => *single = json!([single.take(), value]),
            }
        }
        (!object.is_empty()).then_some(Value::Object(object))
    }
}

/// The innermost cause that Elasticsearch's own exceptions lead to: those of the language end the way.
fn root_of(outer: &Map<String, Value>) -> Map<String, Value> {
    let is_own = |kind: &Value| !FOREIGN.contains(&kind.as_str().unwrap_or_default());
    let is_parser = |kind: &Value| kind == "x_content_parse_exception";
    let mut root = outer;
    while let Some(Value::Object(inner)) = root.get("caused_by") {
        let (kind, inner_kind) = (&root["type"], &inner["type"]);
        if !(is_own(inner_kind) && (is_own(kind) || is_parser(kind))
            || is_parser(kind) && is_parser(inner_kind))
        {
            break;
        }
        root = inner;
    }
    let mut root = root.clone();
    root.remove("caused_by");
    root
}

/// `{"type":..,"reason":..,"caused_by":{..}}`
fn nested(causes: &[(&'static str, String)]) -> Option<Value> {
    causes.iter().rev().fold(None, |inner, (kind, reason)| {
        let mut cause = json!({"type": kind, "reason": reason});
        if let Some(inner) = inner {
            cause["caused_by"] = inner;
        }
        Some(cause)
    })
}

/// `Validation Failed: 1: first;2: second;`
pub fn validation_text<S: AsRef<str>>(faults: &[S]) -> String {
    let mut text = "Validation Failed: ".to_owned();
    for (index, fault) in faults.iter().enumerate() {
        text.push_str(&format!("{}: {};", index + 1, fault.as_ref()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_401_repeats_its_challenges_in_the_body() {
        let failure = Failure::unauthenticated("no");
        let body = failure.body();
        assert_eq!(
            body["error"]["header"]["WWW-Authenticate"],
            json!(CHALLENGES)
        );
        assert_eq!(
            body["error"]["root_cause"][0]["header"],
            body["error"]["header"]
        );
        assert_eq!(failure.headers().count(), 3);
    }

    #[test]
    fn validation_faults_are_numbered_without_blanks_between() {
        assert_eq!(
            validation_text(&["first", "second"]),
            "Validation Failed: 1: first;2: second;"
        );
    }

    #[test]
    fn an_unknown_path_is_the_one_answer_without_a_status() {
        let body = Failure::no_handler("/x", &http::Method::GET).body();
        assert_eq!(
            body,
            json!({"error": "no handler found for uri [/x] and method [GET]"})
        );
    }
}
