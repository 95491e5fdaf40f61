//! What a route takes for a credential beside `Authorization`, compiled.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::config::settings::OwnCredential;
use crate::config::ways::{Anonymous, RouteCredentials};
use crate::elastic::authorization::RUN_AS;
use crate::gate::refusal::Refusal;
use crate::gate::target::Target;
use crate::model::credential::{Credential, Scheme};
use crate::model::secret::Secret;

use super::elsewhere::query_without;
use super::presented::Presented;

/// A second credential, for Elasticsearch behind Sidegate.
const SECONDARY: HeaderName = HeaderName::from_static("es-secondary-authorization");

/// The ways in of one route.
#[derive(Debug, Default)]
pub struct Ways {
    /// True when there is nothing here to look at; the common case.
    pub(in crate::gate) plain: bool,
    pub(in crate::gate) api_key_header: Option<HeaderName>,
    pub(in crate::gate) api_key_query: Option<String>,
    pub(in crate::gate) run_as: bool,
    pub(in crate::gate) secondary_authorization: bool,
    pub(in crate::gate) anonymous: Option<Nobody>,
}

/// Whom nobody stands for.
#[derive(Debug)]
pub(in crate::gate) enum Nobody {
    /// The authority's anonymous user.
    Authority,
    /// The owner of this credential, known by these bytes.
    Fixed(Credential, Scheme, Secret),
}

impl Ways {
    /// Compiles what was configured. A header name that is none, which the check refuses, takes no part.
    pub fn new(settings: &RouteCredentials) -> Self {
        Self {
            plain: settings.is_plain(),
            api_key_header: settings
                .api_key_header
                .as_ref()
                .and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok()),
            api_key_query: settings.api_key_query.clone(),
            run_as: settings.run_as,
            secondary_authorization: settings.secondary_authorization,
            anonymous: settings.anonymous.as_ref().map(Nobody::of),
        }
    }

    /// Whether nothing but `Authorization`, certificates and Kerberos count.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// The target without the parameter that holds a key, used or not.
    ///
    /// # Errors
    /// [`Refusal::Ambiguous`] when what is left is no target.
    pub(in crate::gate) fn clean(&self, target: Target) -> Result<Target, Refusal> {
        match (&self.api_key_query, target.uri().query()) {
            (Some(name), Some(query)) => {
                let rest = query_without(query, name);
                target.with_query(rest.as_deref())
            }
            _ => Ok(target),
        }
    }

    /// Takes from a request that is forwarded what was only for Sidegate, and returns what is to travel on although the
    /// forwarding strips it: the second credential, and with `acts_on` (the client's own credential travels) whom to act as.
    pub fn take(&self, headers: &mut HeaderMap, acts_on: bool) -> Vec<(HeaderName, HeaderValue)> {
        if let Some(name) = &self.api_key_header {
            headers.remove(name);
        }
        let mut kept = Vec::new();
        let mut keep = |name: HeaderName, wanted: bool| {
            let mut lines = headers.get_all(&name).iter();
            if let (true, Some(value), None) = (wanted, lines.next(), lines.next()) {
                let mut value = value.clone();
                value.set_sensitive(true);
                kept.push((name, value));
            }
        };
        keep(SECONDARY, self.secondary_authorization);
        keep(RUN_AS, self.run_as && acts_on);
        kept
    }
}

impl Nobody {
    /// It in place of a credential.
    pub(in crate::gate) fn presented(&self) -> Presented<'_> {
        match self {
            Self::Authority => Presented::nobody(),
            Self::Fixed(credential, scheme, known_by) => {
                Presented::fixed(credential, *scheme, known_by)
            }
        }
    }

    /// Whom the settings name.
    pub(in crate::gate) fn of(settings: &Anonymous) -> Self {
        match settings {
            Anonymous::Authority => Self::Authority,
            Anonymous::Credential(OwnCredential::ApiKey(key)) => {
                Self::Fixed(Credential::ApiKey(key.clone()), Scheme::ApiKey, key.clone())
            }
            Anonymous::Credential(OwnCredential::Bearer(token)) => Self::Fixed(
                Credential::Bearer(token.clone()),
                Scheme::Bearer,
                token.clone(),
            ),
            Anonymous::Credential(OwnCredential::Basic { username, password }) => {
                let mut pair = Zeroizing::new(username.as_bytes().to_vec());
                pair.push(b':');
                pair.extend_from_slice(password.expose());
                let known_by = Secret::from(STANDARD.encode(&*pair));
                let credential = Credential::Basic {
                    username: username.clone(),
                    password: password.clone(),
                };
                Self::Fixed(credential, Scheme::Basic, known_by)
            }
        }
    }
}
