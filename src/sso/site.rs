//! What one configuration comes to: providers, pages, cookies, and whom to ask.

use std::sync::Arc;

use super::attempt::Attempts;
use super::cookies::Cookies;
use super::logout_token::LogoutTokens;
use super::pages::Pages;
use super::pages::reason::Reason;
use super::paths::Paths;
use super::refusal::Refusal;
use crate::config::fault::Faults;
use crate::config::sso::{Provider, ProviderKind, Sso};
use crate::elastic::client::Client;
use crate::net::fetch::FetchError;
use crate::session::Sessions;
use crate::session::keyring::Keyring;
use crate::session::trouble::SetUpError;
use crate::session::uses::Uses;

/// One configuration, built. Immutable; exchanged whole.
pub struct Site {
    /// The settings.
    pub sso: Sso,
    /// Its paths.
    pub paths: Paths,
    /// Its sessions, the gate's own.
    pub sessions: Arc<Sessions>,
    /// Whom logins are exchanged with.
    pub client: Client,
    /// Its pages.
    pub pages: Pages,
    /// Where replicas remember that one was used.
    pub uses: Arc<Uses>,
    /// Logins under way.
    pub attempts: Attempts,
    /// The small cookies.
    pub cookies: Cookies,
    /// Who may end sessions behind the browser's back, by position of the provider.
    pub logout_tokens: Vec<Option<LogoutTokens>>,
}

/// Why a site can't be built.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A template or a text of the operator's.
    #[error("sso.pages: {0}")]
    Pages(#[from] Faults),
    /// The shared store's settings.
    #[error("sso.session.store: {0}")]
    Store(#[from] SetUpError),
    /// No way to fetch the keys of logout tokens.
    #[error("sso: the keys of logout tokens can't be fetched: {0}")]
    Keys(#[from] FetchError),
}

impl Site {
    /// Builds everything. Must be called within a runtime.
    ///
    /// # Errors
    /// [`SiteError`] for the first thing that can't be built.
    pub fn build(sso: &Sso, sessions: Arc<Sessions>, client: Client) -> Result<Self, SiteError> {
        let logout_tokens = sso
            .providers
            .iter()
            .map(|provider| match &provider.kind {
                ProviderKind::Oidc {
                    back_channel_logout: Some(channel),
                    ..
                } => LogoutTokens::start(channel).map(Some),
                _ => Ok(None),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            paths: Paths::new(&sso.prefix),
            pages: Pages::new(sso)?,
            uses: Arc::new(Uses::new(
                &sso.session,
                sessions.keyring(),
                sessions.metrics(),
            )?),
            attempts: Attempts::new(sso, sessions.keyring()),
            cookies: Cookies::new(sso),
            sso: sso.clone(),
            sessions,
            client,
            logout_tokens,
        })
    }

    /// The keys.
    pub fn keyring(&self) -> &Keyring {
        self.sessions.keyring()
    }

    /// The provider of a path, whatever the host: callbacks come to the public URL.
    ///
    /// # Errors
    /// [`Reason::ProviderUnknown`]
    pub fn provider(&self, name: &str) -> Result<&Provider, Refusal> {
        self.sso
            .providers
            .iter()
            .find(|provider| provider.name == name)
            .ok_or_else(|| Refusal::new(Reason::ProviderUnknown))
    }

    /// The provider of a path, if it is offered on this host.
    ///
    /// # Errors
    /// [`Reason::ProviderUnknown`], [`Reason::ProviderNotHere`]
    pub fn offered(&self, name: &str, host: &str) -> Result<&Provider, Refusal> {
        let provider = self.provider(name)?;
        if is_offered(provider, host) {
            return Ok(provider);
        }
        Err(Refusal::new(Reason::ProviderNotHere).because("not offered on this host"))
    }

    /// The providers offered on a host.
    pub fn offered_on<'s>(&'s self, host: &'s str) -> impl Iterator<Item = &'s Provider> {
        self.sso
            .providers
            .iter()
            .filter(move |provider| is_offered(provider, host))
    }
}

/// Whether a provider is offered on a host (lower case, without port).
fn is_offered(provider: &Provider, host: &str) -> bool {
    provider.hosts.is_empty()
        || provider
            .hosts
            .iter()
            .any(|pattern| match pattern.strip_prefix("*.") {
                Some(domain) => host
                    .strip_suffix(domain)
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
                None => host == pattern,
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sso::fixture;

    #[test]
    fn a_provider_is_offered_on_its_hosts_alone() {
        let sso = fixture::sso(
            "{ name: a, login: password, hosts: [one.example.com, '*.two.example.com'] }",
        );
        let provider = &sso.providers[0];
        for host in [
            "one.example.com",
            "x.two.example.com",
            "x.y.two.example.com",
        ] {
            assert!(is_offered(provider, host), "{host}");
        }
        for host in [
            "two.example.com",
            ".two.example.com",
            "xtwo.example.com",
            "one.example.com.evil",
        ] {
            assert!(!is_offered(provider, host), "{host}");
        }
    }
}
