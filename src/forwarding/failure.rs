//! Why an identity could not be attached; the request must not be forwarded then.

use super::value;
use crate::gate::refusal::Refusal;

/// Why an identity could not be attached; the request must not be forwarded then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// A field doesn't fit into a header.
    #[error("{header} would be longer than {} bytes", value::MAX_VALUE)]
    TooLong {
        /// The header.
        header: String,
    },
    /// What the upstream needs has to be made first, by [`super::Forwarding::exchange`]; the head is untouched.
    #[error("a credential for the upstream has to be made first")]
    Unmade,
    /// This caller can't be forwarded here.
    #[error(transparent)]
    Refused(#[from] Refusal),
}
