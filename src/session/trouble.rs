//! Trouble with the store of sessions.

/// The store can't be asked. Never the end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session store is in trouble: {cause}")]
pub struct StoreTrouble {
    /// Label of the cause: `timeout`, `connect`, `refused`, `garbage`.
    pub cause: &'static str,
}
