//! Elasticsearch's error envelope.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `{"error":{"root_cause":[{..}],"type":..,"reason":..},"status":n}`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorEnvelope {
    /// What went wrong.
    pub error: ErrorBody,
    /// The HTTP status, repeated.
    pub status: u16,
}

/// The inner object of [`ErrorEnvelope`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The same cause again, as a list.
    #[serde(default)]
    pub root_cause: Vec<ErrorCause>,
    /// The cause itself.
    #[serde(flatten)]
    pub cause: ErrorCause,
}

/// A typed cause.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorCause {
    /// Exception class in snake case, such as `security_exception`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Sentence for people.
    pub reason: Option<String>,
    /// Metadata keys, `header`, `caused_by` and so on.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl ErrorEnvelope {
    /// An envelope whose only root cause is the error itself.
    pub fn new(status: u16, kind: &str, reason: &str) -> Self {
        let cause = ErrorCause {
            kind: kind.to_owned(),
            reason: Some(reason.to_owned()),
            more: Map::new(),
        };
        Self {
            error: ErrorBody {
                root_cause: vec![cause.clone()],
                cause,
            },
            status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_has_elasticsearchs_shape() {
        let json =
            serde_json::to_value(ErrorEnvelope::new(401, "security_exception", "no")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"error": {"root_cause": [{"type": "security_exception", "reason": "no"}],
                "type": "security_exception", "reason": "no"}, "status": 401})
        );
    }
}
