//! What is wrong with a search.

/// Why a search can't be run. None holds more of the request than the name or value it refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It doesn't fit the grammar of queries; Elasticsearch's `parsing_exception`.
    #[error("{0}")]
    Grammar(String),
    /// It is well-formed, and not permitted or not possible here; `illegal_argument_exception`.
    #[error("{0}")]
    Refused(String),
    /// More buckets than one search may make.
    #[error("too many buckets, the limit is {0}")]
    Buckets(usize),
}

impl Fault {
    /// A [`Fault::Grammar`].
    pub fn grammar(text: impl Into<String>) -> Self {
        Self::Grammar(text.into())
    }

    /// A [`Fault::Refused`].
    pub fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }
}
