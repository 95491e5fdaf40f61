//! The realms in the order they are asked, and how one token goes through them.
//!
//! Always true: the reserved realm comes first and ends the search for its names; the first realm that says yes counts; a
//! realm's reasons go to the log, the client learns only that nobody said yes; a user nobody knows costs as many password
//! hashes as one whose password is wrong. A new type of realm is an arm in `open_realm`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::account::Account;
use super::contract::{Asking, Leg, Presented, Proven, Realm, Token, Verdict};
use super::file::FileRealm;
use super::jwt::{JwtError, JwtRealm};
use super::kerberos::{KerberosError, KerberosRealm};
use super::native::{NativeRealm, ReservedRealm};
use super::oidc::{Callback, Login, OidcError, OidcRealm, response};
use super::pki::{PkiError, PkiRealm};
use super::saml::{SamlError, SamlRealm};
use crate::authority::password::HashingError;
use crate::authority::record::Principal;
use crate::authority::store::Tables;
use crate::config::realms::{Realm as Settings, RealmKind};
use crate::model::secret::Secret;

/// How refusals name somebody who came back from a provider.
pub const OIDC_PRINCIPAL: &str = "<OIDC Token>";

/// Why a realm can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum RealmError {
    /// A JWT realm.
    #[error("realm {name}: {source}")]
    Jwt {
        /// Its name.
        name: String,
        /// Why.
        source: JwtError,
    },
    /// A Kerberos realm.
    #[error("realm {name}: {source}")]
    Kerberos {
        /// Its name.
        name: String,
        /// Why.
        source: KerberosError,
    },
    /// An OpenID Connect realm.
    #[error("realm {name}: {source}")]
    Oidc {
        /// Its name.
        name: String,
        /// Why.
        source: OidcError,
    },
    /// A PKI realm.
    #[error("realm {name}: {source}")]
    Pki {
        /// Its name.
        name: String,
        /// Why.
        source: PkiError,
    },
    /// A SAML realm.
    #[error("realm {name}: {source}")]
    Saml {
        /// Its name.
        name: String,
        /// Why.
        source: SamlError,
    },
}

/// Why a token gets nobody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// No realm said yes: unknown, wrong, disabled. Nobody is told which.
    Refused,
    /// The password could not be checked now.
    Unchecked(HashingError),
    /// Too many failed logins under this name.
    Throttled {
        /// When the next attempt is looked at.
        retry_after: Duration,
    },
}

/// What a Kerberos ticket came to.
pub enum Negotiated {
    /// Somebody; `reply` (base64) tells them whom they spoke to.
    Known {
        /// Who, with their roles.
        principal: Box<Principal>,
        /// base64
        reply: Option<String>,
    },
    /// The other side must answer `reply` (base64) first.
    Unfinished {
        /// base64
        reply: String,
    },
}

/// The realms that take part.
pub struct Realms {
    /// All of them, in their order.
    chain: Vec<Box<dyn Realm>>,
    /// Those that browsers log in through by OpenID Connect, once more.
    oidc: Vec<Arc<OidcRealm>>,
    /// Those that browsers log in through by SAML, once more.
    saml: Vec<Arc<SamlRealm>>,
}

impl Realms {
    /// Opens the reserved realm and then these, in their order.
    ///
    /// # Errors
    /// See [`RealmError`].
    pub async fn open(settings: &[Settings]) -> Result<Self, RealmError> {
        let mut realms = Self {
            chain: vec![Box::new(ReservedRealm::default())],
            oidc: Vec::new(),
            saml: Vec::new(),
        };
        for realm in settings {
            let opened = open_realm(realm, &mut realms).await?;
            realms.chain.push(opened);
        }
        Ok(realms)
    }

    /// The token made of what a request shows: that of the first realm that could take it.
    pub fn token(&self, presented: &Presented<'_>) -> Option<Token> {
        let mut realms = self.chain.iter();
        let mut token = realms.find_map(|realm| realm.token(presented))?;
        if let Token::Jwt { jwt, principal, .. } = &mut token {
            *principal = match jwt.string("iss").filter(|issuer| !issuer.trim().is_empty()) {
                None => "<unrecognized-jwt>".to_owned(),
                Some(issuer) => {
                    let name = self.chain.iter().find_map(|realm| realm.name_of(jwt));
                    name.unwrap_or_else(|| format!("<unrecognized-jwt> by {issuer}"))
                }
            };
        }
        Some(token)
    }

    /// Asks the realms.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn authenticate(
        &self,
        token: &Token,
        asking: Asking<'_>,
    ) -> Result<Principal, ChainError> {
        if let Token::Password { username, password } = token {
            return self.check_password(username, password, asking).await;
        }
        for realm in &self.chain {
            match realm.check(token, asking.now).await {
                Verdict::NotMine => {}
                Verdict::Refused(reason) => {
                    refused(realm.as_ref(), token.principal(), &reason);
                }
                Verdict::Proven(proven) => {
                    if let Some(principal) = self.authorise(realm.as_ref(), proven, asking) {
                        return Ok(principal);
                    }
                }
            }
        }
        Err(ChainError::Refused)
    }

    /// Asks the realms that understand Kerberos about a ticket, base64 as sent.
    ///
    /// # Errors
    /// [`ChainError::Refused`] when none says yes.
    pub async fn negotiate(
        &self,
        ticket: &Secret,
        asking: Asking<'_>,
    ) -> Result<Negotiated, ChainError> {
        for realm in &self.chain {
            let Some(judging) = realm.negotiate(ticket) else {
                continue;
            };
            match judging.await {
                Leg::Unfinished { reply } => return Ok(Negotiated::Unfinished { reply }),
                Leg::Refused(reason) => refused(realm.as_ref(), "kerberos ticket", &reason),
                Leg::Proven { proven, reply } => {
                    if let Some(principal) = self.authorise(realm.as_ref(), proven, asking) {
                        return Ok(Negotiated::Known {
                            principal: Box::new(principal),
                            reply,
                        });
                    }
                }
            }
        }
        Err(ChainError::Refused)
    }

    /// The realms that browsers log in through by OpenID Connect.
    pub fn oidc(&self) -> &[Arc<OidcRealm>] {
        &self.oidc
    }

    /// Asks the OpenID Connect realm of this name who came back from its provider; without a name, the only one that could have
    /// sent them there. Whoever it is comes with what is kept for their logout.
    ///
    /// # Errors
    /// [`ChainError::Refused`]; the log says why.
    pub async fn authenticate_oidc(
        &self,
        name: Option<&str>,
        callback: Callback<'_>,
        asking: Asking<'_>,
    ) -> Result<(Principal, Map<String, Value>), ChainError> {
        let issuer = response::named_issuer(callback.uri);
        let mut fitting = self.oidc.iter().filter(|realm| match (name, &issuer) {
            (Some(name), _) => realm.reference().name == name,
            (None, Some(issuer)) => realm.issuer() == issuer,
            (None, None) => true,
        });
        let (Some(realm), None) = (fitting.next(), fitting.next()) else {
            // A code must not be shown to another provider than the one that gave it.
            let reason = "not exactly one OpenID Connect realm can have begun this login";
            tracing::info!(realm = name, reason, "realm refused");
            return Err(ChainError::Refused);
        };
        match realm.authenticate(callback, asking.now).await {
            Ok(Login { user, kept }) => {
                let principal = self.authorise(realm, user, asking);
                let principal = principal.ok_or(ChainError::Refused)?;
                Ok((principal, kept))
            }
            Err(error) => {
                refused(realm, OIDC_PRINCIPAL, &error.to_string());
                Err(ChainError::Refused)
            }
        }
    }

    /// The realms that browsers log in through by SAML, in their order.
    pub fn saml(&self) -> &[Arc<SamlRealm>] {
        &self.saml
    }

    /// Lets in somebody whom a SAML realm proved.
    ///
    /// # Errors
    /// [`ChainError::Refused`] when no realm they are to be looked up in knows them.
    pub fn admit_saml(
        &self,
        realm: &Arc<SamlRealm>,
        proven: Proven,
        asking: Asking<'_>,
    ) -> Result<Principal, ChainError> {
        let admitted = self.authorise(realm, proven, asking);
        admitted.ok_or(ChainError::Refused)
    }

    /// Gives a proven user their roles: from the realms they are to be looked up in, or from role mappings.
    fn authorise(
        &self,
        realm: &dyn Realm,
        proven: Proven,
        asking: Asking<'_>,
    ) -> Option<Principal> {
        let links = realm.authorization_realms();
        if links.is_empty() {
            let mut roles = (asking.mapping)(&proven, realm.reference());
            roles.retain(|role| !realm.excluded_roles().contains(role));
            return Some(Principal {
                roles,
                username: proven.username,
                full_name: proven.full_name,
                email: proven.email,
                metadata: proven.metadata,
                realm: realm.reference().clone(),
            });
        }
        let linked = links.iter().find_map(|link| {
            let mut realms = self.chain.iter();
            let realm = realms.find(|realm| realm.reference().name == *link)?;
            realm.look_up(asking.tables, &proven.username)
        });
        match linked {
            Some(account) if account.enabled => Some(Principal {
                realm: realm.reference().clone(),
                ..account.principal
            }),
            Some(_) | None => {
                let reason = "the principal was authenticated, but no user could be found in the authorization realms";
                refused(realm, &proven.username, reason);
                None
            }
        }
    }

    /// Passwords proven lately first, without any hashing; then by hash, within the limit on failures.
    async fn check_password(
        &self,
        username: &str,
        password: &Secret,
        asking: Asking<'_>,
    ) -> Result<Principal, ChainError> {
        if let Some(account) = self.remembered(username, password, asking) {
            return if_enabled(account);
        }
        let pair = asking.logins.fingerprint_of_pair(username, password);
        let turn = asking.logins.turn(pair);
        let _alone = turn.lock().await;
        if let Some(account) = self.remembered(username, password, asking) {
            return if_enabled(account);
        }
        let name = asking.logins.fingerprint_of_name(username);
        let throttle = asking.logins.throttle();
        throttle
            .pay(name, asking.now)
            .map_err(|retry_after| ChainError::Throttled { retry_after })?;
        let checked = self.check_hashes(username, password, asking).await;
        if !matches!(checked, Err(ChainError::Refused)) {
            throttle.pay_back(&name);
        }
        checked
    }

    async fn check_hashes(
        &self,
        username: &str,
        password: &Secret,
        asking: Asking<'_>,
    ) -> Result<Principal, ChainError> {
        let logins = asking.logins;
        // Hashes that realms without such a user still have to cost, or their names could be told apart by the clock.
        let mut owed = 0_u32;
        for realm in &self.chain {
            let Some(memory) = realm.passwords() else {
                continue;
            };
            let Some(account) = realm.look_up(asking.tables, username) else {
                owed += u32::from(realm.holds_users());
                continue;
            };
            let hash: Option<Arc<str>> = account.password.as_deref().map(Arc::from);
            let right = logins.verify(password, hash.clone()).await;
            if let (true, Some(hash)) = (right.map_err(ChainError::Unchecked)?, hash) {
                let pair = logins.fingerprint(username, password, &hash);
                memory.remember(pair, username, hash);
                return if_enabled(account);
            }
            if realm.is_final() {
                return Err(ChainError::Refused);
            }
        }
        for _ in 0..owed {
            let wrong = logins.verify(password, None).await;
            wrong.map_err(ChainError::Unchecked)?;
        }
        Err(ChainError::Refused)
    }

    /// The account of a pair that its realm remembers.
    fn remembered(&self, username: &str, password: &Secret, asking: Asking<'_>) -> Option<Account> {
        let mut accounts = self.accounts(username, asking.tables);
        let known = |realm: &dyn Realm, account: &Account| {
            let hash = account.password.as_deref();
            let memory = realm.passwords().zip(hash);
            memory.is_some_and(|(memory, hash)| {
                let pair = asking.logins.fingerprint(username, password, hash);
                memory.knows(&pair, hash)
            })
        };
        let found = accounts.find(|(realm, account)| known(*realm, account));
        found.map(|(_, account)| account)
    }

    /// The accounts of this name in the realms that check passwords, up to the first that is final.
    fn accounts<'a>(
        &'a self,
        username: &'a str,
        tables: &'a Tables,
    ) -> impl Iterator<Item = (&'a dyn Realm, Account)> {
        let mut closed = false;
        self.chain
            .iter()
            .map_while(move |realm| {
                if closed {
                    return None;
                }
                let account = realm.look_up(tables, username);
                closed = account.is_some() && realm.is_final();
                Some(account.map(|account| (realm.as_ref(), account)))
            })
            .flatten()
    }

    /// The account of a user in the first realm that knows them: whom somebody may run as.
    pub fn look_up(&self, tables: &Tables, username: &str) -> Option<Account> {
        self.chain
            .iter()
            .find_map(|realm| realm.look_up(tables, username))
    }

    /// Forgets what these realms proved (`*`, `_all` or none: all of them) about these users (none: all of them).
    ///
    /// # Errors
    /// The name of the first realm that doesn't take part; nothing is forgotten then.
    pub fn forget(&self, names: &[String], usernames: &[String]) -> Result<(), String> {
        let all = names.is_empty() || names.iter().any(|name| name == "*" || name == "_all");
        let known = |name: &&String| {
            self.chain
                .iter()
                .any(|realm| realm.reference().name == **name)
        };
        if let Some(unknown) = names.iter().find(|name| !all && !known(name)) {
            return Err(unknown.clone());
        }
        for realm in &self.chain {
            if all || names.contains(&realm.reference().name) {
                realm.forget(usernames);
            }
        }
        Ok(())
    }
}

fn if_enabled(account: Account) -> Result<Principal, ChainError> {
    if account.enabled {
        Ok(account.principal)
    } else {
        Err(ChainError::Refused)
    }
}

fn refused(realm: &dyn Realm, principal: &str, reason: &str) {
    let realm = &realm.reference().name;
    tracing::info!(%realm, principal, reason, "realm refused");
}

/// Opens one realm; one that browsers log in through is added to its kind as well.
async fn open_realm(
    settings: &Settings,
    realms: &mut Realms,
) -> Result<Box<dyn Realm>, RealmError> {
    let name = &settings.name;
    Ok(match &settings.kind {
        RealmKind::File(file) => Box::new(FileRealm::open(name, file)),
        RealmKind::Native(cache) => Box::new(NativeRealm::new(name, *cache)),
        RealmKind::Jwt(jwt) => {
            let opened = JwtRealm::open(name, jwt).await;
            Box::new(opened.map_err(|source| RealmError::Jwt {
                name: name.clone(),
                source,
            })?)
        }
        RealmKind::Kerberos(kerberos) => {
            let opened = KerberosRealm::open(name, kerberos);
            Box::new(opened.map_err(|source| RealmError::Kerberos {
                name: name.clone(),
                source,
            })?)
        }
        RealmKind::Oidc(settings) => {
            let opened = OidcRealm::open(name, settings).await;
            let opened = Arc::new(opened.map_err(|source| RealmError::Oidc {
                name: name.clone(),
                source,
            })?);
            realms.oidc.push(Arc::clone(&opened));
            Box::new(opened)
        }
        RealmKind::Saml(settings) => {
            let opened = SamlRealm::open(name, settings).await;
            let opened = Arc::new(opened.map_err(|source| RealmError::Saml {
                name: name.clone(),
                source,
            })?);
            realms.saml.push(Arc::clone(&opened));
            Box::new(opened)
        }
        RealmKind::Pki(pki) => {
            let opened = PkiRealm::open(name, pki);
            Box::new(opened.map_err(|source| RealmError::Pki {
                name: name.clone(),
                source,
            })?)
        }
    })
}
