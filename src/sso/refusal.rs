//! Why a request to the door ends badly: a reason code, what the log should say beside it, and the ways on.
//!
//! The code is on the page and in the log; the detail is for the log alone. Neither ever holds a secret.

use std::time::Duration;

use super::cookies::Line;
use super::pages::reason::Reason;
use crate::elastic::error::AskError;
use crate::elastic::exchanges::ExchangeError;
use crate::elastic::sso::SsoError;
use crate::session::ended::EndReason;
use crate::session::return_to::ReturnTo;
use crate::session::trouble::BeginError;
use crate::session::trouble::StoreTrouble;

/// When to come back to an authority or store that is down.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// An end without what was asked for.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The code.
    pub reason: Reason,
    /// For the log: lower case, no secret, bounded.
    pub detail: String,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// Where the person wanted to go.
    pub next: Option<ReturnTo>,
    /// Who it is about, once known: user name and realm.
    pub user: Option<Box<(String, String)>>,
    /// Lines for the response: what is used up is taken away.
    pub lines: Vec<Line>,
    /// Whether it was only that somebody could not be asked: nothing was used up, and the same request may succeed later.
    pub passing: bool,
}

impl Refusal {
    /// One with nothing but its code.
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            detail: String::new(),
            retry_after: None,
            next: None,
            user: None,
            lines: Vec::new(),
            passing: false,
        }
    }

    /// With a detail for the log.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// With the time to come back.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// With the place that was asked for.
    #[must_use]
    pub fn on_the_way_to(mut self, next: &ReturnTo) -> Self {
        self.next = Some(next.clone());
        self
    }

    /// With lines for the response.
    #[must_use]
    pub fn with_lines(mut self, lines: Vec<Line>) -> Self {
        self.lines = lines;
        self
    }

    /// A way in that the authority refused for `reason`; any other trouble keeps its own.
    pub fn of_sso(error: &SsoError, reason: Reason) -> Self {
        match error {
            SsoError::Ask(error) => error.into(),
            SsoError::Refused { reason: said, .. } => Self::new(reason).because(said.clone()),
            SsoError::Denied {
                status,
                reason: said,
                ..
            } => denied(*status, said, reason),
        }
    }

    /// The same for an exchange of credentials.
    pub fn of_exchange(error: &ExchangeError, reason: Reason) -> Self {
        match error {
            ExchangeError::Ask(error) => error.into(),
            ExchangeError::Refused { .. } | ExchangeError::Unfit => {
                Self::new(reason).because(error.to_string())
            }
            ExchangeError::InvalidGrant { reason: said, .. } => {
                Self::new(reason).because(said.clone())
            }
            ExchangeError::Denied { reason: said, .. } => {
                denied(400, said, Reason::AuthorityAnswer)
            }
        }
    }

    /// The same for a question asked with a credential.
    pub fn of_ask(error: &AskError, reason: Reason) -> Self {
        if error.is_refusal() {
            return Self::new(reason).because(error.to_string());
        }
        error.into()
    }
}

/// Reads what the authority says where its status says little: whose fault it is, and who can mend it.
fn denied(status: u16, said: &str, otherwise: Reason) -> Refusal {
    let lower = said.to_ascii_lowercase();
    let says = |word: &str| lower.contains(word);
    let reason = if says("license") || says("licence") {
        Reason::LicenseMissing
    } else if says("cannot find") && says("realm") || says("is not a saml realm") {
        Reason::RealmUnknown
    } else if says("token") && says("not enabled") || says("security tokens are not enabled") {
        Reason::TokenServiceOff
    } else if status == 403 || says("is unauthorized for") {
        Reason::OwnCredentialRefused
    } else {
        otherwise
    };
    Refusal::new(reason).because(format!("status {status}: {said}"))
}

impl From<&AskError> for Refusal {
    fn from(error: &AskError) -> Self {
        let reason = match error {
            AskError::OwnCredential { .. } | AskError::Refused { .. } => {
                Reason::OwnCredentialRefused
            }
            AskError::Garbage { .. } | AskError::NotElasticsearch { .. } => Reason::AuthorityAnswer,
            AskError::Timeout { .. }
            | AskError::Connect { .. }
            | AskError::Overloaded { .. }
            | AskError::Status { .. }
            | AskError::Keys { .. } => Reason::AuthorityUnavailable,
        };
        let mut refusal = Self::new(reason)
            .because(error.in_full())
            .retry_after(error.retry_after().unwrap_or(RETRY_AFTER));
        refusal.passing = true;
        refusal
    }
}

impl From<StoreTrouble> for Refusal {
    fn from(trouble: StoreTrouble) -> Self {
        let mut refusal = Self::new(Reason::StoreUnavailable)
            .because(trouble.to_string())
            .retry_after(RETRY_AFTER);
        refusal.passing = true;
        refusal
    }
}

impl From<BeginError> for Refusal {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Store(trouble) => trouble.into(),
            BeginError::TooLarge => Self::new(Reason::SessionTooLarge).because(error.to_string()),
        }
    }
}

/// The code that tells people how a session ended.
pub const fn ended(reason: EndReason) -> Reason {
    match reason {
        EndReason::Idle => Reason::SessionIdle,
        EndReason::Lifespan => Reason::SessionLifespan,
        EndReason::LoggedOut => Reason::SessionLoggedOut,
        EndReason::Replaced => Reason::SessionReplaced,
        EndReason::Drained => Reason::SessionDrained,
        EndReason::AtProvider => Reason::SessionEndedByProvider,
        EndReason::Limit => Reason::SessionLimit,
        EndReason::Admin => Reason::SessionRevoked,
        EndReason::Refused => Reason::SessionTokenRefused,
        EndReason::Certificate => Reason::SessionCertificateChanged,
        EndReason::Provider => Reason::SessionProviderRemoved,
        EndReason::Unknown => Reason::SessionUnknown,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn denial(status: u16, reason: &str) -> Reason {
        let error = SsoError::Denied {
            node: Arc::from("es"),
            status,
            reason: reason.to_owned(),
        };
        Refusal::of_sso(&error, Reason::RealmNotReady).reason
    }

    #[test]
    fn what_the_authority_says_is_told_by_who_can_mend_it() {
        assert_eq!(
            denial(500, "Cannot find any matching realm for [x]"),
            Reason::RealmUnknown
        );
        assert_eq!(
            denial(403, "current license is non-compliant for [saml]"),
            Reason::LicenseMissing
        );
        assert_eq!(
            denial(403, "action [x] is unauthorized for user [y]"),
            Reason::OwnCredentialRefused
        );
        assert_eq!(
            denial(400, "security tokens are not enabled"),
            Reason::TokenServiceOff
        );
        assert_eq!(
            denial(500, "metadata could not be read"),
            Reason::RealmNotReady
        );
    }

    #[test]
    fn an_authority_that_is_down_is_nobodys_refusal() {
        let down = AskError::Timeout {
            node: Arc::from("es"),
        };
        let refusal = Refusal::of_ask(&down, Reason::PasswordWrong);
        assert_eq!(refusal.reason, Reason::AuthorityUnavailable);
        assert!(refusal.passing && refusal.retry_after.is_some());
        let refused = AskError::Refused {
            node: Arc::from("es"),
        };
        assert_eq!(
            Refusal::of_ask(&refused, Reason::PasswordWrong).reason,
            Reason::PasswordWrong
        );
    }
}
