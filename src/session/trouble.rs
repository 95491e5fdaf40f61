//! Trouble with the store of sessions.

/// The store can't be asked. Never the end of a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session store is in trouble: {cause}")]
pub struct StoreTrouble {
    /// Label of the cause: `timeout`, `connect`, `refused`, `garbage`.
    pub cause: &'static str,
}

/// The store can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The CA's file can't be read.
    #[error("{}: {source}", path.display())]
    Ca {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The client takes the settings for wrong.
    #[error("the session store can't be used: {0}")]
    Client(String),
}

/// Why no session could begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// The store can't be asked.
    #[error(transparent)]
    Store(#[from] StoreTrouble),
    /// It doesn't fit into cookies: tokens of many kilobytes need Redis.
    #[error("the session does not fit into cookies")]
    TooLarge,
}
