//! Another token for somebody whose own died early, when an upstream didn't take it.
//!
//! Always true: an upstream's 401 says nothing by itself: the authority is asked, at most once in a while for each token; a
//! certificate is exchanged again, a ticket is used up, so the refresh token that came for it is used; where neither is there,
//! the token is let go of, and whoever comes next has to prove themselves anew.

use std::sync::Arc;

use super::authenticate::Authenticator;
use super::authorize::{Permit, StandIn};
use super::claim::{Claim, Proof};
use super::held::{HeldToken, HeldTokens};
use crate::elastic::delegate::TokenGrant;
use crate::model::clock::Now;
use crate::model::credential::{Credential, Fingerprint};
use crate::model::secret::Secret;

impl Authenticator {
    /// Looks into an upstream's 401 to a token that stands for a certificate or a ticket: when the authority doesn't take it
    /// either and another one can be had, the permit conveys that one from now on. True when it does.
    pub(super) async fn replace_stand_in(self: &Arc<Self>, permit: &mut Permit, now: Now) -> bool {
        let route = permit.route().name.clone();
        let Some(StandIn { credential, claim }) = permit.stand_in() else {
            return false;
        };
        let Credential::Bearer(sent) = &*credential else {
            return false;
        };
        let Some(token) = self.replaced(claim, sent, now).await else {
            return false;
        };
        tracing::info!(target: "sidegate::gate", route, scheme = claim.scheme.label(), "a token that stood for somebody died early");
        *credential = Credential::Bearer(token);
        true
    }

    /// What there is in place of a token that an upstream refused, if that one is dead.
    async fn replaced(self: &Arc<Self>, claim: &Claim, sent: &Secret, now: Now) -> Option<Secret> {
        let stamp = self.cache.stamp();
        let (tokens, held) = match &claim.proof {
            Proof::Certificate { held, .. } => (&self.exchanges.certificates, held),
            Proof::Exchanged { held } => (&self.exchanges.tickets, held),
            Proof::Direct(_) | Proof::Nobody => return None,
        };
        if let Some(kept) = tokens.find(held, stamp, now) {
            if kept.token != *sent {
                // Somebody else's request was faster.
                return Some(kept.token.clone());
            }
            if !kept.claim_doubt(now) {
                return None;
            }
            let credential = Credential::Bearer(sent.clone());
            if !matches!(self.client.is_accepted(&credential).await, Ok(false)) {
                return None;
            }
            if let Proof::Exchanged { held } = &claim.proof {
                return self.refreshed(tokens, held, &kept, stamp, now).await;
            }
            tokens.forget(held);
        }
        match &claim.proof {
            Proof::Certificate { chain, held } => {
                let delegated = self.delegated(chain, held, stamp, now).await.ok()?;
                Some(delegated.token.clone())
            }
            Proof::Exchanged { .. } | Proof::Direct(_) | Proof::Nobody => None,
        }
    }

    /// A new pair in place of a ticket's; without one, nothing stands for the ticket any more.
    async fn refreshed(
        &self,
        tokens: &HeldTokens,
        held: &Fingerprint,
        kept: &HeldToken,
        stamp: u64,
        now: Now,
    ) -> Option<Secret> {
        let renewed = match &kept.refresh {
            Some(refresh) => self.client.refreshed_token(refresh).await.ok(),
            None => None,
        };
        let Some(pair) = renewed else {
            tokens.forget(held);
            return None;
        };
        let grant = TokenGrant {
            access_token: pair.access,
            expires_in: pair.life,
            refresh_token: pair.refresh,
        };
        // The cookie that stands for it ends with the token before.
        let most = kept.expires.saturating_sub(now.mono);
        let token = tokens.keep(*held, grant, most, stamp, now);
        Some(token.token.clone())
    }
}
