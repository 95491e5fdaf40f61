//! Which sessions are meant when several are to end.

use std::time::Duration;

use super::record::{OidcNames, Session};

/// Everything that is given must hold; nothing given means all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    /// The user name.
    pub username: Option<String>,
    /// The realm that vouched.
    pub realm: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// `sub` of the OpenID provider.
    pub subject: Option<String>,
    /// `sid` of the OpenID provider.
    pub oidc_session: Option<String>,
    /// Only those that began until then. Time since the Unix epoch.
    pub before: Option<Duration>,
}

impl Whose {
    /// Every session of a user name, in any realm.
    pub fn of_user(username: &str) -> Self {
        Self {
            username: Some(username.to_owned()),
            ..Self::default()
        }
    }

    /// What a logout token means (OpenID Connect Back-Channel Logout 1.0 §2.7): by `sid` where there is one, else by `sub`.
    /// `None` when it has neither: nobody is meant.
    pub fn of_subject(
        provider: &str,
        subject: Option<&str>,
        session: Option<&str>,
        before: Duration,
    ) -> Option<Self> {
        if subject.is_none() && session.is_none() {
            return None;
        }
        Some(Self {
            provider: Some(provider.to_owned()),
            subject: subject.map(str::to_owned),
            oidc_session: session.map(str::to_owned),
            before: Some(before),
            ..Self::default()
        })
    }

    /// Whether a session is meant.
    pub fn covers(&self, session: &Session) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|it| it == is);
        same(&self.username, &session.username)
            && same(&self.realm, &session.realm)
            && same(&self.provider, &session.provider)
            && self.before.is_none_or(|end| session.created <= end)
            && self.covers_oidc(session.oidc.as_ref())
    }

    fn covers_oidc(&self, names: Option<&OidcNames>) -> bool {
        if self.subject.is_none() && self.oidc_session.is_none() {
            return true;
        }
        let Some(names) = names else {
            return false;
        };
        self.subject
            .as_ref()
            .is_none_or(|subject| *subject == names.subject)
            && self
                .oidc_session
                .as_ref()
                .is_none_or(|session| names.session.as_ref() == Some(session))
    }
}
