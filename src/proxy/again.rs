//! What some requests of combined forwardings need beside being sent: a second try, or a purge.
//!
//! A credential made for an upstream can die before its time (somebody invalidated it, the cluster was restored). The upstream
//! then answers 401. When the authority confirms that it is dead, another is made and the request sent once more, if it can be
//! repeated. So it is with a token that stands for the client's certificate or ticket. In all other cases the upstream's 401 is
//! its own matter and passes.

use http::{Method, Response, StatusCode};

use super::failure::Failure;
use super::outgoing::Incoming;
use super::revocation::Revocation;
use super::site::Site;
use super::upstream::{Pools, Upstream};
use crate::forwarding::failure::AttachError;
use crate::gate::authorize::Permit;
use crate::model::clock::Clock;
use crate::net::http::Body;

/// What is kept of a request until its answer is there.
#[derive(Default)]
pub struct Special {
    /// A copy, to be sent again.
    spare: Option<Box<Incoming>>,
    /// What it revokes when it succeeds.
    revocation: Option<Revocation>,
}

impl Special {
    /// Looks at a request about to be sent; `None` for most.
    ///
    /// # Errors
    /// [`Failure::RequestBody`] when a body that has to be read first can't be.
    pub async fn prepare(
        permit: &Permit,
        incoming: &mut Incoming,
    ) -> Result<Option<Self>, Failure> {
        let mut special = Self::default();
        if permit.route().credential_slot.is_some() || permit.is_stood_for() {
            special.spare = spare(incoming);
        }
        let combined = permit.route().forward.combined();
        if combined.is_some_and(|combined| combined.elasticsearch) {
            special.revocation = Revocation::find(permit, incoming).await?;
        }
        let needed = special.spare.is_some() || special.revocation.is_some();
        Ok(needed.then_some(special))
    }

    /// Does what the answer calls for.
    ///
    /// # Errors
    /// The failure of the first try, or of the second.
    pub async fn conclude(
        self,
        sent: Result<Response<Body>, Failure>,
        permit: &mut Permit,
        site: &Site,
        upstream: (&Upstream, &Pools),
        clock: &Clock,
    ) -> Result<Response<Body>, Failure> {
        let sent = match (sent, self.spare) {
            (Ok(refused), Some(spare)) if refused.status() == StatusCode::UNAUTHORIZED => {
                match revived(spare, permit, site, clock).await {
                    Some(again) => upstream.0.send(upstream.1, again, clock, clock.now()).await,
                    None => Ok(refused),
                }
            }
            (sent, _) => sent,
        };
        match (sent, self.revocation) {
            (Ok(response), Some(revocation))
                if Revocation::may_have_succeeded(response.status()) =>
            {
                Ok(revocation.carry_out(&site.gate, response).await)
            }
            (Err(failure), Some(revocation)) if failure.may_follow_an_effect() => {
                revocation.carry_out_blindly(&site.gate).await;
                Err(failure)
            }
            (sent, _) => sent,
        }
    }
}

/// A copy, when sending it twice can't change anything twice (RFC 9110 §9.2.2): idempotent and without body.
fn spare(incoming: &Incoming) -> Option<Box<Incoming>> {
    let again = matches!(
        incoming.head.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    ) && matches!(incoming.body, Body::Empty);
    again.then(|| {
        Box::new(Incoming {
            head: incoming.head.clone(),
            body: Body::Empty,
        })
    })
}

/// The request with another credential, when the one it was sent with had died.
async fn revived(
    mut spare: Box<Incoming>,
    permit: &mut Permit,
    site: &Site,
    clock: &Clock,
) -> Option<Box<Incoming>> {
    let forwarding = &site.forwarding;
    let replaced = forwarding.has_died(permit, clock.now()).await
        || site.gate.replace_stand_in(permit, clock.now()).await;
    if !replaced {
        return None;
    }
    let now = clock.now();
    let head = &mut spare.head;
    // The forwarding strips what was kept for the first try as well.
    let kept = site.gate.take_credentials(permit, head);
    let attached = match forwarding.attach(permit, head, now) {
        Err(AttachError::Unmade) => forwarding.exchange(permit, head, now).await,
        other => other,
    };
    head.headers.extend(kept);
    attached.is_ok().then_some(spare)
}
