//! Why an ask came to nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::net::http::BodyError;

/// An ask without an answer. Cheap to clone: everybody who waited for the same ask gets it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// 401: the authority doesn't accept the credential. The only variant that is about the credential.
    #[error("credential refused by {node}")]
    Refused {
        /// Who said so.
        node: Arc<str>,
    },
    /// No answer within the deadline.
    #[error("no answer from {node} in time")]
    Timeout {
        /// The last node tried.
        node: Arc<str>,
    },
    /// No connection, or one that broke before the answer was whole.
    #[error("no connection to {node}")]
    Connect {
        /// The last node tried.
        node: Arc<str>,
        /// What the transport says.
        #[source]
        source: Arc<BodyError>,
    },
    /// 429.
    #[error("{node} is overloaded")]
    Overloaded {
        /// Who said so.
        node: Arc<str>,
        /// Its `Retry-After`, if it is a number of seconds.
        retry_after: Option<Duration>,
    },
    /// A status that answers nothing: 3xx, 4xx other than 401 and 429, 5xx.
    #[error("{node} answered {status}")]
    Status {
        /// Who said so.
        node: Arc<str>,
        /// HTTP status.
        status: u16,
    },
    /// An answer that makes no sense or is not about what was asked.
    #[error("answer of {node} makes no sense: {what}")]
    Garbage {
        /// Who said so.
        node: Arc<str>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Something answers, but it doesn't say that it is Elasticsearch.
    #[error("{node} is not Elasticsearch")]
    NotElasticsearch {
        /// Who answered.
        node: Arc<str>,
    },
    /// The keys that verify a JWT can't be read.
    #[error("the keys of {node} could not be read")]
    Keys {
        /// The issuer.
        node: Arc<str>,
    },
    /// Sidegate's own credential is missing, refused or without privileges.
    #[error("own credential was not accepted by {node}")]
    OwnCredential {
        /// Who said so.
        node: Arc<str>,
    },
}

impl AskError {
    /// Every label of [`AskError::cause`].
    pub const CAUSES: [&'static str; 9] = [
        "refused",
        "timeout",
        "connect",
        "overloaded",
        "status",
        "garbage",
        "not_elasticsearch",
        "own_credential",
        "keys",
    ];

    /// True when the credential itself was refused; false for every kind of trouble.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// True for the kinds of trouble in which a former permit may be used past its ttl: transport errors and 5xx.
    pub const fn allows_stale(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. }
                | Self::Connect { .. }
                | Self::Status {
                    status: 500..=599,
                    ..
                }
        )
    }

    /// Label of the cause in logs, metrics and refusals; a closed set.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Timeout { .. } => "timeout",
            Self::Connect { .. } => "connect",
            Self::Overloaded { .. } => "overloaded",
            Self::Status { .. } => "status",
            Self::Garbage { .. } => "garbage",
            Self::NotElasticsearch { .. } => "not_elasticsearch",
            Self::OwnCredential { .. } => "own_credential",
            Self::Keys { .. } => "keys",
        }
    }

    /// How long the authority asks us to wait, if it does.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The node this is about.
    pub fn node(&self) -> &str {
        match self {
            Self::Refused { node }
            | Self::Timeout { node }
            | Self::Connect { node, .. }
            | Self::Overloaded { node, .. }
            | Self::Status { node, .. }
            | Self::Garbage { node, .. }
            | Self::NotElasticsearch { node }
            | Self::OwnCredential { node }
            | Self::Keys { node } => node,
        }
    }

    /// The error and its sources in one line, for logs.
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}
