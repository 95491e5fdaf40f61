//! The PKI realm: client certificates, of the connection or handed in by somebody else (`_security/delegate_pki`).
//!
//! Always true: a chain that is handed in counts only where delegation is on, and only after validation against the realm's own
//! CAs; the possession of the key is the matter of whoever terminated TLS. What is remembered is forgotten when the trusted
//! files change, or a certificate of the chain or a revocation list ends. It looks nobody up.

pub mod certificate;
pub mod dn;
pub mod trust;

use std::sync::Arc;

use moka::sync::Cache;
use regex::Regex;
use serde_json::{Map, json};

use super::account;
use super::contract::{Checking, Presented, Proven, Realm, Token, Verdict};
use super::pattern::{PatternError, compile, first_group};
use crate::config::realms::PkiRealm as Settings;
use crate::model::clock::Now;
use crate::model::credential::{Fingerprint, FingerprintKey};
use crate::wire::principals::RealmRef;
use certificate::Chain;
use trust::{Trust, TrustError};

/// Why the realm can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The pattern of user names.
    #[error("username_pattern: {0}")]
    Pattern(#[from] PatternError),
    /// The trusted certificates.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Client certificates.
pub struct PkiRealm {
    reference: RealmRef,
    username: Regex,
    trust: Option<Trust>,
    delegation: bool,
    links: Vec<String>,
    key: FingerprintKey,
    validated: Cache<Fingerprint, Validated>,
}

/// A chain that was validated.
#[derive(Clone)]
struct Validated {
    user: Arc<Proven>,
    /// The earliest end of the leaf, its issuers and the revocation lists, in seconds since the Unix epoch.
    until: i64,
    generation: u64,
}

impl PkiRealm {
    /// Reads the trusted certificates.
    ///
    /// # Errors
    /// See [`PkiError`].
    pub fn open(name: &str, settings: &Settings) -> Result<Self, PkiError> {
        let trust = if settings.authorities.is_empty() {
            None
        } else {
            Some(Trust::open(name, settings)?)
        };
        let entries = if settings.cache.ttl.is_zero() {
            0
        } else {
            settings.cache.entries
        };
        Ok(Self {
            reference: account::realm(name, "pki"),
            username: compile(&settings.username_pattern)?,
            trust,
            delegation: settings.delegation,
            links: settings.authorization_realms.clone(),
            key: FingerprintKey::random(),
            validated: Cache::builder()
                .max_capacity(entries)
                .time_to_live(settings.cache.ttl)
                .build(),
        })
    }

    fn verdict(&self, chain: &Chain, now: Now) -> Verdict {
        if chain.delegator.is_some() && !self.delegation {
            return Verdict::Refused(format!("Realm does not permit delegation for {}", chain.dn));
        }
        let generation = self.trust.as_ref().map_or(0, Trust::generation);
        let until = self.trust.as_ref().map_or(i64::MAX, Trust::until);
        let fingerprint = self.fingerprint(chain);
        let counts = |known: &Validated| {
            known.generation == generation
                && u64::try_from(known.until).is_ok_and(|until| now.unix.as_secs() < until)
        };
        if let Some(known) = self.validated.get(&fingerprint).filter(counts) {
            return Verdict::Proven((*known.user).clone());
        }
        if let Err(why) = self.check_trust(chain, now) {
            return Verdict::Refused(format!(
                "Certificate for {} is not trusted: {why}",
                chain.dn
            ));
        }
        let Some(username) = first_group(&self.username, &chain.dn) else {
            return Verdict::Refused(format!(
                "Could not parse principal from Subject DN {}",
                chain.dn
            ));
        };
        let user = proven(username, chain);
        self.validated.insert(
            fingerprint,
            Validated {
                user: Arc::new(user.clone()),
                until: chain.not_after().min(until),
                generation,
            },
        );
        Verdict::Proven(user)
    }

    fn check_trust(&self, chain: &Chain, now: Now) -> Result<(), String> {
        match &self.trust {
            Some(trust) => trust.check(chain, now).map_err(|error| error.to_string()),
            // The TLS listener verified it already, but nobody did for a chain that is handed in.
            None if chain.delegator.is_none() => Ok(()),
            None => Err("the realm trusts no CA".to_owned()),
        }
    }

    /// Chain and delegator: what the user is made of.
    fn fingerprint(&self, chain: &Chain) -> Fingerprint {
        let mut parts: Vec<&[u8]> = Vec::new();
        if let Some(delegator) = &chain.delegator {
            parts.extend([delegator.username.as_bytes(), delegator.realm.as_bytes()]);
        } else {
            parts.push(b"");
        }
        parts.extend(chain.der().iter().map(AsRef::as_ref));
        self.key.fingerprint(&parts)
    }
}

fn proven(username: &str, chain: &Chain) -> Proven {
    let mut metadata = Map::new();
    metadata.insert("pki_dn".to_owned(), json!(chain.dn));
    if let Some(delegator) = &chain.delegator {
        metadata.insert(
            "pki_delegated_by_user".to_owned(),
            json!(delegator.username),
        );
        metadata.insert("pki_delegated_by_realm".to_owned(), json!(delegator.realm));
    }
    Proven {
        username: username.to_owned(),
        dn: Some(chain.dn.clone()),
        groups: Vec::new(),
        full_name: None,
        email: None,
        metadata,
    }
}

impl Realm for PkiRealm {
    fn reference(&self) -> &RealmRef {
        &self.reference
    }

    fn token(&self, presented: &Presented<'_>) -> Option<Token> {
        let chain = presented.certificates?;
        let principal = first_group(&self.username, &chain.dn)?;
        Some(Token::Certificate {
            principal: principal.to_owned(),
            chain: Box::new(chain.clone()),
        })
    }

    fn check<'a>(&'a self, token: &'a Token, now: Now) -> Checking<'a> {
        let verdict = match token {
            Token::Certificate { chain, .. } => self.verdict(chain, now),
            Token::Password { .. } | Token::Jwt { .. } => Verdict::NotMine,
        };
        Box::pin(std::future::ready(verdict))
    }

    fn authorization_realms(&self) -> &[String] {
        &self.links
    }

    fn forget(&self, usernames: &[String]) {
        if usernames.is_empty() {
            return self.validated.invalidate_all();
        }
        for (fingerprint, validated) in &self.validated {
            if usernames.contains(&validated.user.username) {
                self.validated.invalidate(&*fingerprint);
            }
        }
    }
}

#[cfg(test)]
mod tests;
