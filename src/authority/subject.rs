//! Who is calling: the effective user, the one who authenticated, and by what means.
//!
//! A [`Subject`] is proof that a credential was checked; only [`super::authenticate`] and [`super::realm`] make one. It says nothing about what
//! the caller may do: that is [`super::authorize`].

use std::sync::Arc;

use super::record::{ApiKey, Bearer, Client, Principal};
use crate::wire::principals::{AuthenticateResponse, RealmRef, TokenRef};

/// Name and type of the realm API keys belong to.
pub const API_KEY_REALM: &str = "_es_api_key";

/// By what means somebody authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// A realm: user name and password.
    Realm,
    /// An API key.
    ApiKey,
    /// An access token, or the token of a service account.
    Token,
    /// Nothing at all: the anonymous user.
    Anonymous,
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Who acts: everything is decided by their privileges.
    pub effective: Arc<Principal>,
    /// Who authenticated, when they act as somebody else.
    pub authenticating: Option<Arc<Principal>>,
    /// The key behind whoever authenticated.
    pub api_key: Option<Arc<ApiKey>>,
    /// The service account's token, when that was the credential.
    pub service_token: Option<Arc<TokenRef>>,
    /// By what means.
    pub means: Means,
    /// False when somebody wants to act as a user no realm knows.
    pub target_exists: bool,
}

impl Subject {
    /// Somebody known by user name, with no key behind them.
    pub fn user(principal: Principal) -> Self {
        Self {
            effective: Arc::new(principal),
            authenticating: None,
            api_key: None,
            service_token: None,
            means: Means::Realm,
            target_exists: true,
        }
    }

    /// Whoever shows no credential.
    pub fn anonymous(principal: Principal) -> Self {
        Self {
            means: Means::Anonymous,
            ..Self::user(principal)
        }
    }

    /// The same caller with roles that every user has; API keys and service accounts have none but their own.
    #[must_use]
    pub fn with_roles(mut self, roles: &[String]) -> Self {
        let add = |user: &mut Arc<Principal>| {
            let is_user = ![API_KEY_REALM, "_service_account"].contains(&user.realm.kind.as_str());
            let missing = |role: &&String| !user.roles.contains(role);
            if is_user && roles.iter().any(|role| missing(&role)) {
                let more: Vec<String> = roles.iter().filter(missing).cloned().collect();
                Arc::make_mut(user).roles.extend(more);
            }
        };
        if self.target_exists {
            add(&mut self.effective);
        }
        self.authenticating.as_mut().map(add);
        self
    }

    /// The same caller acting as `target`; `None`: as somebody called `name` whom no realm knows.
    #[must_use]
    pub fn run_as(self, name: &str, target: Option<Principal>) -> Self {
        let target_exists = target.is_some();
        let nobody = || Principal {
            username: name.to_owned(),
            roles: Vec::new(),
            full_name: None,
            email: None,
            metadata: serde_json::Map::new(),
            realm: self.effective.realm.clone(),
        };
        Self {
            effective: Arc::new(target.unwrap_or_else(nobody)),
            authenticating: Some(self.effective),
            target_exists,
            ..self
        }
    }

    /// Whoever authenticated: the effective user, or the one who runs as them.
    pub fn authenticated(&self) -> &Arc<Principal> {
        self.authenticating.as_ref().unwrap_or(&self.effective)
    }

    /// The API key that acts itself, without running as a user.
    pub fn acting_key(&self) -> Option<&Arc<ApiKey>> {
        self.api_key
            .as_ref()
            .filter(|_| self.authenticating.is_none())
    }

    /// The realm that owns what this subject makes: for an API key, its owner's.
    pub fn owner_realm(&self) -> &RealmRef {
        self.acting_key()
            .map_or(&self.effective.realm, |key| &key.creator.realm)
    }

    /// Whether an API key belongs to this subject.
    pub fn owns(&self, key: &ApiKey) -> bool {
        key.is_owned_by(&self.effective.username, self.owner_realm())
    }

    /// The client this subject is, for the same-client rule of refresh tokens.
    pub fn client(&self) -> Client {
        Client {
            username: self.effective.username.clone(),
            realm: self.owner_realm().clone(),
            api_key: self.acting_key().map(|key| key.id.clone()),
        }
    }

    /// What a token made now stands for.
    pub fn bearer(&self) -> Bearer {
        Bearer {
            effective: (*self.effective).clone(),
            authenticating: self.authenticating.as_deref().cloned(),
            api_key: self.api_key.as_ref().map(|key| key.id.clone()),
            session: serde_json::Map::new(),
        }
    }

    /// `authentication_type` of `_authenticate`.
    pub fn authentication_type(&self) -> &'static str {
        match self.means {
            Means::Realm => "realm",
            Means::ApiKey => "api_key",
            Means::Token => "token",
            Means::Anonymous => "anonymous",
        }
    }

    /// The answer of `_authenticate`.
    pub fn describe(&self) -> AuthenticateResponse {
        let user = &self.effective;
        AuthenticateResponse {
            username: user.username.clone(),
            roles: user.roles.clone(),
            full_name: user.full_name.clone(),
            email: user.email.clone(),
            token: self
                .service_token
                .as_deref()
                .filter(|_| self.authenticating.is_none())
                .cloned(),
            metadata: user.metadata.clone(),
            // A disabled user never gets as far as being described.
            enabled: true,
            authentication_realm: self.authenticated().realm.clone(),
            lookup_realm: user.realm.clone(),
            authentication_type: self.authentication_type().to_owned(),
            api_key: self.acting_key().map(|key| key.reference()),
        }
    }
}
