//! The JWT realm: JSON Web Tokens of one issuer (RFC 7519), as ID tokens or access tokens.
//!
//! Always true: a token counts only with a signature by a key of its algorithm's kind, within its time, and from a client that
//! proved itself where that is asked; what is remembered is forgotten when the token ends or
//! the issuer's keys change. It looks nobody up. A new claim
//! that a user is made of is a line in `claims`.

pub mod claims;
pub mod keys;
pub mod source;
pub mod token;

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::account;
use super::contract::{Checking, Presented, Proven, Realm, Token, Verdict};
use crate::config::realms::{JwtRealm as Settings, SecretKeys};
use crate::model::clock::Now;
use crate::model::credential::{Fingerprint, FingerprintKey};
use crate::model::secret::Secret;
use crate::net::fetch::FetchError;
use crate::wire::principals::RealmRef;
use claims::{Rules, RulesError};
use keys::{KeySet, KeySetError, Wanted};
use source::KeySource;
use token::Jwt;

/// Why the realm can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// A pattern.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The secret keys.
    #[error("hmac_jwkset: {0}")]
    Secret(#[from] KeySetError),
    /// TLS towards the public keys.
    #[error("pkc_jwkset_path: {0}")]
    Public(#[from] FetchError),
}

/// A verified token.
#[derive(Clone)]
struct Verified {
    user: Arc<Proven>,
    /// When it no longer counts, skew included, in time since the Unix epoch.
    until: Duration,
    /// The public keys one of which made the signature; `None`: a secret key did, and these don't change.
    keys: Option<Arc<KeySet>>,
}

/// Tokens of one issuer.
pub struct JwtRealm {
    reference: RealmRef,
    rules: Rules,
    secrets: KeySet,
    public: Option<KeySource>,
    client_secret: Option<Secret>,
    links: Vec<String>,
    skew: Duration,
    key: FingerprintKey,
    verified: Cache<Fingerprint, Verified>,
}

impl JwtRealm {
    /// Compiles the rules and reads the keys. Public keys that can't be read yet don't keep it from opening.
    ///
    /// # Errors
    /// See [`JwtError`].
    pub async fn open(name: &str, settings: &Settings) -> Result<Self, JwtError> {
        let public = match &settings.public_keys {
            Some(keys) => Some(KeySource::open(name, keys).await?),
            None => None,
        };
        let secrets = match &settings.secret_keys {
            Some(SecretKeys::Key(secret)) => KeySet::of_secret(secret.clone()),
            Some(SecretKeys::Set(set)) => KeySet::parse(set.expose(), Wanted::Secret)?,
            None => KeySet::default(),
        };
        let entries = if settings.cache.ttl.is_zero() {
            0
        } else {
            settings.cache.entries
        };
        Ok(Self {
            reference: account::realm(name, "jwt"),
            rules: Rules::new(settings)?,
            secrets,
            public,
            client_secret: settings.client_secret.clone(),
            links: settings.authorization_realms.clone(),
            skew: settings.clock_skew,
            key: FingerprintKey::random(),
            verified: Cache::builder()
                .max_capacity(entries)
                .time_to_live(settings.cache.ttl)
                .build(),
        })
    }

    async fn verdict(&self, jwt: &Jwt, client_secret: Option<&Secret>, now: Now) -> Verdict {
        // Before anything else: who can't prove themself as a client learns nothing about a token.
        if self.client_secret.is_some() && self.client_secret.as_ref() != client_secret {
            return Verdict::Refused("the client did not authenticate".to_owned());
        }
        let fingerprint = self.key.fingerprint(&[jwt.text().expose()]);
        if let Some(verified) = self.verified.get(&fingerprint) {
            if now.unix < verified.until && self.are_current(&verified.keys) {
                return Verdict::Proven((*verified.user).clone());
            }
            self.verified.invalidate(&fingerprint);
        }
        match self.verify(jwt, now).await {
            Ok(verified) => {
                let user = (*verified.user).clone();
                self.verified.insert(fingerprint, verified);
                Verdict::Proven(user)
            }
            Err(reason) => Verdict::Refused(reason),
        }
    }

    /// Whether these are the keys of the issuer now: a key that was withdrawn counts for nothing, remembered or not.
    fn are_current(&self, keys: &Option<Arc<KeySet>>) -> bool {
        match (keys, &self.public) {
            (None, _) => true,
            (Some(keys), Some(source)) => Arc::ptr_eq(keys, &source.keys()),
            (Some(_), None) => false,
        }
    }

    async fn verify(&self, jwt: &Jwt, now: Now) -> Result<Verified, String> {
        let algorithm = self.rules.check(jwt, now)?;
        let unsigned = || "no key of the issuer made this signature".to_owned();
        let mut signers = None;
        if algorithm.secret_bytes().is_some() {
            if !self.secrets.verifies(jwt, algorithm) {
                return Err(unsigned());
            }
        } else {
            let source = self.public.as_ref().ok_or_else(unsigned)?;
            let mut keys = source.keys();
            if !keys.verifies(jwt, algorithm) {
                let newer = source.newer_than(&keys, now).await;
                keys = newer.ok_or_else(unsigned)?;
                if !keys.verifies(jwt, algorithm) {
                    return Err(unsigned());
                }
            }
            signers = Some(keys);
        }
        let user = Arc::new(self.rules.user(jwt)?);
        let expires = jwt.claims.get("exp").and_then(serde_json::Value::as_f64);
        let expires = Duration::try_from_secs_f64(expires.unwrap_or_default());
        let until = expires.unwrap_or(Duration::MAX).saturating_add(self.skew);
        Ok(Verified {
            user,
            until,
            keys: signers,
        })
    }
}

impl Realm for JwtRealm {
    fn reference(&self) -> &RealmRef {
        &self.reference
    }

    fn token(&self, presented: &Presented<'_>) -> Option<Token> {
        let jwt = Jwt::parse(presented.bearer?)?;
        Some(Token::Jwt {
            principal: String::new(),
            jwt: Box::new(jwt),
            client_secret: presented.client_secret.cloned(),
        })
    }

    fn name_of(&self, jwt: &Jwt) -> Option<String> {
        self.rules.principal_text(jwt)
    }

    fn check<'a>(&'a self, token: &'a Token, now: Now) -> Checking<'a> {
        let Token::Jwt {
            jwt, client_secret, ..
        } = token
        else {
            return Box::pin(std::future::ready(Verdict::NotMine));
        };
        Box::pin(self.verdict(jwt, client_secret.as_ref(), now))
    }

    fn authorization_realms(&self) -> &[String] {
        &self.links
    }

    fn forget(&self, usernames: &[String]) {
        if usernames.is_empty() {
            return self.verified.invalidate_all();
        }
        for (fingerprint, verified) in &self.verified {
            if usernames.contains(&verified.user.username) {
                self.verified.invalidate(&*fingerprint);
            }
        }
    }
}

#[cfg(test)]
pub(in crate::authority::realm) mod tests;
