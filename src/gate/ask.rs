//! The detached part of a miss: everything there is to ask about a credential, at once, and the answer remembered.
//!
//! Always true: nobody waits here for anybody but the authority; trouble is logged once per ask and remembered nowhere.

use std::sync::Arc;
use std::time::Duration;

use crate::elastic::authorization::Asker;
use crate::elastic::error::AskError;
use crate::model::clock::Now;
use crate::model::credential::{Credential, Fingerprint};
use crate::model::identity::Identity;
use crate::model::privilege::{AtomBits, AtomId};

use super::authenticate::{Authenticator, Learnt};
use super::cache::{Found, Learned};
use super::claim::{Claim, Proof};
use super::extract::presented;

impl Authenticator {
    /// Looks once more before asking: an ask for the same credential may have landed between our look and our start.
    pub(super) async fn look_or_learn(
        self: Arc<Self>,
        fingerprint: Fingerprint,
        claim: Claim,
        stamp: u64,
        now: Now,
    ) -> Learnt {
        if let Found::Live(entry) = self.cache.find(&fingerprint, now) {
            return Learnt::Known(entry);
        }
        self.learn(fingerprint, claim, stamp, now).await
    }

    /// The detached part: asks who it is and what it may, and remembers the answer.
    pub(super) async fn learn(
        self: Arc<Self>,
        fingerprint: Fingerprint,
        claim: Claim,
        stamp: u64,
        now: Now,
    ) -> Learnt {
        match self.ask_all(&claim, stamp, now).await {
            Ok(learned) => {
                Learnt::Known(
                    self.cache
                        .remember(fingerprint, learned, self.slots, stamp, now),
                )
            }
            Err(error) if error.is_refusal() => {
                self.cache.refuse(fingerprint, stamp, now);
                Learnt::Refused
            }
            Err(error) => {
                tracing::warn!(
                    target: "sidegate::gate",
                    node = error.node(),
                    cause = error.cause(),
                    error = error.in_full(),
                    "authority could not be asked"
                );
                Learnt::Trouble(error)
            }
        }
    }

    /// Everything there is to ask about a claim, at once. A token of ours that the authority takes no longer is exchanged once
    /// more, where what it was made from is at hand.
    pub(super) async fn ask_all(
        self: &Arc<Self>,
        claim: &Claim,
        stamp: u64,
        now: Now,
    ) -> Result<Learned, AskError> {
        let asker = self.asker(claim, stamp, now).await?;
        match self.ask_as(&asker, claim).await {
            Err(error) if error.is_refusal() && self.renounce(claim) => {
                let asker = self.asker(claim, stamp, now).await?;
                self.ask_as(&asker, claim).await
            }
            outcome => outcome,
        }
    }

    async fn ask_as(&self, own: &Asker, claim: &Claim) -> Result<Learned, AskError> {
        // The authority tells who somebody acts as, not who it is that does; records and purges need both.
        let run_by = async {
            match claim.run_as {
                Some(_) => self.client.authenticate(own).await.map(Some),
                None => Ok(None),
            }
        };
        let (effective, run_by, credential_expires) =
            tokio::try_join!(self.effective(own, claim), run_by, self.expiry(own, claim))?;
        let (identity, run_by, answers, denied) = match (effective, run_by) {
            (Some((identity, answers)), run_by) => (identity, run_by.map(Box::new), answers, None),
            // Who may not act as another is still somebody, whom a purge must find.
            (None, Some(caller)) => (caller, None, Vec::new(), claim.run_as.clone()),
            (None, None) => return Err(super::exchange::refused()),
        };
        let mut granted = AtomBits::with_capacity(self.atoms.len());
        for (id, yes) in (0..).zip(answers) {
            if yes {
                granted.insert(AtomId(id));
            }
        }
        Ok(Learned {
            identity,
            run_by,
            denied: denied.map(String::into_boxed_str),
            granted,
            credential_expires,
        })
    }

    /// Who it is that acts, and what they may; `None` for somebody who may not act as the user they name.
    async fn effective(
        &self,
        own: &Asker,
        claim: &Claim,
    ) -> Result<Option<(Identity, Vec<bool>)>, AskError> {
        let acting = claim.acting(own.clone());
        let privileges = async {
            if self.atoms.is_empty() {
                return Ok(Vec::new());
            }
            self.client.has_privileges(&acting, &self.atoms).await
        };
        match tokio::try_join!(self.client.authenticate(&acting), privileges) {
            Ok(known) => Ok(Some(known)),
            Err(AskError::Status { status: 403, .. }) if claim.run_as.is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When the credential itself expires, as far as that can be known: `_authenticate` doesn't tell. An API key may ask about
    /// itself; a JWT says so (unverified, so only good to shorten). Of other tokens nothing is known, and the ttl bounds them.
    async fn expiry(&self, asker: &Asker, claim: &Claim) -> Result<Option<Duration>, AskError> {
        let credential = match &claim.proof {
            Proof::Direct(credential) => credential,
            Proof::Certificate { chain, .. } => return Ok(Some(chain.not_after())),
            // The token's end is looked at with every request.
            Proof::Exchanged { .. } | Proof::Nobody => return Ok(None),
        };
        match credential {
            Credential::Basic { .. } => Ok(None),
            Credential::Bearer(token) => Ok(presented::unverified_expiry(token.expose())),
            Credential::ApiKey(key) => match presented::api_key_id(key.expose()) {
                Some(id) => match self.client.api_key_expiration(asker, &id).await {
                    Ok(expires) => Ok(expires),
                    Err(error) if error.is_refusal() => Err(error),
                    // An authority without this endpoint, or one that forbids it: the ttl bounds it.
                    Err(_) => Ok(None),
                },
                None => Ok(None),
            },
        }
    }
}
