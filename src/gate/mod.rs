//! The decision: may this request pass?
//!
//! Always true: no route matched → refused; a cached authentication never implies an authorisation; trouble at the
//! authority is a refusal of its own kind, never a 401 and never a permit. [`Permit`](authorize::Permit) is the
//! proof of a yes, and only `authorize` can make one.

pub mod authorize;
pub mod cache;
pub mod refusal;
pub mod routes;
pub mod trace;

use crate::model::clock::Now;
use crate::net::http::{Head, Peer};

use authorize::Permit;
use refusal::Refusal;
use trace::Steps;

/// What a decision comes to.
pub type Verdict = Result<Permit, Refusal>;

/// Routes, cache and authority, joined to one decision.
pub struct Gate {}

impl Gate {
    /// Decides one request: canonical target → route → credential → identity → requirement.
    ///
    /// # Errors
    /// A [`Refusal`] for every request that may not pass, whatever the reason.
    pub async fn decide(
        &self,
        _head: &Head,
        _peer: &Peer,
        _now: Now,
        _steps: &mut Steps,
    ) -> Verdict {
        Err(Refusal::NoRoute)
    }
}
