//! As whom the authority is asked about a claim, and the exchanges that this takes.
//!
//! Always true: a JWT that Sidegate is to verify itself is verified before anybody is asked; a certificate is exchanged at most
//! once per life of the token it brings, whatever is asked; a refused exchange refuses the claim, a failed one is trouble.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::config::settings;
use crate::config::ways::{Credentials, Kerberos};
use crate::elastic::authorization::Asker;
use crate::elastic::error::AskError;
use crate::model::certificate::CertificateChain;
use crate::model::clock::Now;
use crate::model::credential::{Credential, Fingerprint, Scheme};
use crate::model::privilege::Atom;
use crate::model::secret::Secret;
use crate::net::fetch::FetchError;

use super::authenticate::{Authenticator, trouble};
use super::claim::{Claim, Proof};
use super::extract::presented::Presented;
use super::flight::Flights;
use super::held::{HeldToken, HeldTokens, Lender};
use super::jwt::verify::{JwtVerifier, Unverified};
use super::refusal::Refusal;

/// Tickets being exchanged at a time; beyond, clients are turned away.
const MAX_NEGOTIATIONS: usize = 1024;

/// What exchanges need and what they bring.
pub(super) struct Exchanges {
    pub(super) certificates: HeldTokens,
    /// Certificates that are being exchanged.
    delegations: Flights<Fingerprint, Result<Arc<HeldToken>, AskError>>,
    pub(super) tickets: HeldTokens,
    pub(super) negotiations: Semaphore,
    pub(super) kerberos: Option<Kerberos>,
    client_authentication: Option<Secret>,
    verifier: Option<Arc<JwtVerifier>>,
}

impl Exchanges {
    /// From the settings for all routes. Begins to read JWKS in the background, so it must be called within a runtime.
    ///
    /// # Errors
    /// [`FetchError`] when no TLS can be set up for a JWKS.
    pub(super) fn new(settings: &Credentials, cache: &settings::Cache) -> Result<Self, FetchError> {
        let jwt = settings.jwt.as_ref();
        let verifier = match jwt {
            Some(jwt) if !jwt.issuers.is_empty() => Some(JwtVerifier::start(jwt)?),
            Some(_) | None => None,
        };
        Ok(Self {
            certificates: HeldTokens::new(cache.max_entries),
            delegations: Flights::new(),
            tickets: HeldTokens::new(cache.max_entries),
            negotiations: Semaphore::new(MAX_NEGOTIATIONS),
            kerberos: settings.kerberos.clone(),
            client_authentication: jwt.and_then(|jwt| jwt.client_authentication.clone()),
            verifier,
        })
    }

    /// Has every token noted down that is held from now on.
    pub(super) fn lend_by(&self, lender: &Arc<dyn Lender>) {
        self.certificates.lend_by(lender);
        self.tickets.lend_by(lender);
    }

    /// Lets go of the tokens that a purge has made useless.
    pub(super) fn sweep(&self, stamp: u64) {
        self.certificates.sweep(stamp);
        self.tickets.sweep(stamp);
    }

    /// Lets go of every token.
    pub(super) fn retire(&self) {
        self.certificates.retire();
        self.tickets.retire();
    }
}

impl Authenticator {
    /// Whose credential a claim is, whomever they act as. `stamp` and `now` are those of the ask that this is part of.
    ///
    /// # Errors
    /// [`AskError::Refused`] when the claim is worth nothing; every other variant is trouble.
    pub(super) async fn asker(
        self: &Arc<Self>,
        claim: &Claim,
        stamp: u64,
        now: Now,
    ) -> Result<Asker, AskError> {
        Ok(match &claim.proof {
            Proof::Direct(Credential::Bearer(token)) if claim.scheme == Scheme::Bearer => {
                self.bearer(token, now).await?
            }
            Proof::Direct(credential) => Asker::of(credential),
            Proof::Certificate { chain, held } => {
                let token = self.delegated(chain, held, stamp, now).await?;
                Asker::of(&Credential::Bearer(token.token.clone()))
            }
            Proof::Exchanged { held } => match self.exchanges.tickets.find(held, stamp, now) {
                Some(token) => Asker::of(&Credential::Bearer(token.token.clone())),
                None => return Err(refused()),
            },
            Proof::Nobody => Asker::anonymous(),
        })
    }

    /// What a route may exchange for the upstream's sake: the credential itself, or the token that stands for it here already;
    /// `None` for somebody who shows nothing. It is the caller's own, whomever they act as.
    ///
    /// # Errors
    /// [`Refusal::AuthorityUnavailable`] when a token has run out and no other can be had.
    pub(super) async fn exchangeable(
        self: &Arc<Self>,
        claim: Claim,
        now: Now,
    ) -> Result<Option<Credential>, Refusal> {
        let scheme = claim.scheme;
        let stamp = self.cache.stamp();
        let token = match claim.proof {
            Proof::Direct(credential) => return Ok(Some(credential)),
            Proof::Nobody => return Ok(None),
            Proof::Certificate { chain, held } => {
                let delegated = self.delegated(&chain, &held, stamp, now).await;
                delegated.map_err(|error| match error.is_refusal() {
                    true => Refusal::Unauthenticated { scheme },
                    false => trouble(&error),
                })?
            }
            Proof::Exchanged { held } => self
                .exchanges
                .tickets
                .find(&held, stamp, now)
                .ok_or(Refusal::Unauthenticated { scheme })?,
        };
        Ok(Some(Credential::Bearer(token.token.clone())))
    }

    /// Which of `atoms` a claim's identity holds, in the order asked.
    ///
    /// # Errors
    /// As for [`Authenticator::asker`].
    pub(super) async fn privileges(
        self: &Arc<Self>,
        claim: &Claim,
        atoms: &[Atom],
        stamp: u64,
        now: Now,
    ) -> Result<Vec<bool>, AskError> {
        let asker = claim.acting(self.asker(claim, stamp, now).await?);
        match self.client.has_privileges(&asker, atoms).await {
            Err(error) if error.is_refusal() && self.renounce(claim) => {
                let asker = claim.acting(self.asker(claim, stamp, now).await?);
                self.client.has_privileges(&asker, atoms).await
            }
            outcome => outcome,
        }
    }

    /// Drops the token that the authority refused just now. True when another can be had for the same claim.
    pub(super) fn renounce(&self, claim: &Claim) -> bool {
        match &claim.proof {
            Proof::Certificate { held, .. } => {
                self.exchanges.certificates.forget(held);
                true
            }
            Proof::Exchanged { held } => {
                self.exchanges.tickets.forget(held);
                false
            }
            Proof::Direct(_) | Proof::Nobody => false,
        }
    }

    /// Whether what stands for a ticket still stands for one.
    pub(super) fn is_held(&self, presented: &Presented<'_>, now: Now) -> bool {
        let held = presented.token_fingerprint(&self.key);
        let stamp = self.cache.stamp();
        self.exchanges.tickets.find(&held, stamp, now).is_some()
    }

    /// The token of a certificate's owner: kept, or fetched when there is none or its end is near; fetched once, however many
    /// are waiting.
    pub(super) async fn delegated(
        self: &Arc<Self>,
        chain: &Arc<CertificateChain>,
        held: &Fingerprint,
        stamp: u64,
        now: Now,
    ) -> Result<Arc<HeldToken>, AskError> {
        let kept = self.exchanges.certificates.find(held, stamp, now);
        if let Some(token) = &kept
            && !token.claim_renewal(now)
        {
            return Ok(Arc::clone(token));
        }
        if now.unix >= chain.not_after() {
            return Err(refused());
        }
        let delegation = self.exchanges.delegations.join(held, stamp, || {
            let (this, chain, held) = (Arc::clone(self), Arc::clone(chain), *held);
            async move { this.delegate(&chain, held, stamp, now).await }
        });
        let outcome = match delegation {
            Some(delegation) => delegation.wait().await,
            None => Some(Err(AskError::Overloaded {
                node: Arc::from("sidegate"),
                retry_after: None,
            })),
        };
        match (outcome, kept) {
            (Some(Ok(token)), _) => Ok(token),
            // In trouble the former token serves to its end; a refusal is one.
            (Some(Err(error)), Some(token)) if !error.is_refusal() => {
                tracing::warn!(
                    target: "sidegate::gate",
                    node = error.node(), cause = error.cause(),
                    "certificate could not be exchanged again"
                );
                Ok(token)
            }
            (Some(Err(error)), _) => Err(error),
            (None, _) => Err(AskError::Garbage {
                node: Arc::from("sidegate"),
                what: "the exchange died",
            }),
        }
    }

    /// Looks once more before asking: an exchange for the same certificate may have landed between our look and our start.
    async fn delegate(
        &self,
        chain: &CertificateChain,
        held: Fingerprint,
        stamp: u64,
        now: Now,
    ) -> Result<Arc<HeldToken>, AskError> {
        let tokens = &self.exchanges.certificates;
        if let Some(token) = tokens.find(&held, stamp, now)
            && !token.is_due(now)
        {
            return Ok(token);
        }
        let grant = self.client.delegate_pki(chain).await?;
        Ok(tokens.keep(held, grant, Duration::MAX, stamp, now))
    }

    async fn bearer(&self, token: &Secret, now: Now) -> Result<Asker, AskError> {
        let asker = Asker::of(&Credential::Bearer(token.clone()));
        // No token of the authority itself holds a dot, and every JWT does.
        if !token.expose().contains(&b'.') {
            return Ok(asker);
        }
        if let Some(verifier) = &self.exchanges.verifier {
            match verifier.verify(token.expose(), now).await {
                Ok(()) => {}
                Err(Unverified::Keys { issuer }) => {
                    return Err(AskError::Keys { node: issuer });
                }
                Err(Unverified::Refused(why)) => {
                    tracing::info!(target: "sidegate::gate", %why, "jwt refused");
                    return Err(refused());
                }
            }
        }
        Ok(match &self.exchanges.client_authentication {
            Some(secret) => asker.with_client_authentication(secret),
            None => asker,
        })
    }
}

/// The gate itself says no; nobody was asked.
pub(super) fn refused() -> AskError {
    AskError::Refused {
        node: Arc::from("sidegate"),
    }
}
