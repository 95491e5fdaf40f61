//! Why sessions end.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::Session;

/// Why a session is over; a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Nobody did anything with it for too long.
    Idle,
    /// It was as old as it may become.
    Lifespan,
    /// Its user logged out here.
    LoggedOut,
    /// The identity provider ended it.
    AtProvider,
    /// The user has as many younger ones as allowed.
    Limit,
    /// An administrator ended it.
    Admin,
    /// Another login took its place.
    Replaced,
    /// The authority doesn't take its tokens any more.
    Refused,
    /// It was made with a certificate that the request doesn't show.
    Certificate,
    /// The provider it was made with is not configured any more.
    Provider,
    /// The store doesn't know it (any more).
    Unknown,
    /// The program went down and was told to end what it had.
    Drained,
}

/// A session that is over.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its last record.
    pub session: Arc<Session>,
    /// Why.
    pub reason: EndReason,
    /// Whether its tokens are to be given back to the authority.
    pub tokens: TokenFate,
}

/// What becomes of an ended session's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFate {
    /// They are invalidated at the authority.
    GiveBack,
    /// Somebody else did that or is about to, such as a SAML logout, which needs them once more.
    Leave,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::Idle,
        Self::Lifespan,
        Self::LoggedOut,
        Self::AtProvider,
        Self::Limit,
        Self::Admin,
        Self::Replaced,
        Self::Refused,
        Self::Certificate,
        Self::Provider,
        Self::Unknown,
        Self::Drained,
    ];

    /// The label in logs, metrics, the header `x-sidegate-session` and the login page's URL.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Idle => "session_idle",
            Self::Lifespan => "session_lifespan",
            Self::LoggedOut => "session_logged_out",
            Self::AtProvider => "session_ended_by_provider",
            Self::Limit => "session_limit",
            Self::Admin => "session_revoked",
            Self::Replaced => "session_replaced",
            Self::Refused => "session_token_refused",
            Self::Certificate => "session_certificate_changed",
            Self::Provider => "session_provider_removed",
            Self::Unknown => "session_unknown",
            Self::Drained => "session_drained",
        }
    }

    /// The reason with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.label() == label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_found_by_its_label() {
        for reason in EndReason::ALL {
            assert_eq!(EndReason::from_label(reason.label()), Some(reason));
        }
        assert_eq!(EndReason::from_label("session"), None);
    }
}
