//! From an identity to a permit: the only maker of [`Permit`].
//!
//! Always true: every request evaluates its own route's requirement, whatever was decided for the same credential before
//! what is unknown is asked for or refused, never assumed; with a stale entry only a former yes counts.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Uri};

use super::authenticate::{Authenticator, Known};
use super::cache::{CacheResult, Entry};
use super::claim::{Claim, Proof};
use super::extract::presented::{self, Presented};
use super::kerberos::Negotiated;
use super::question::{Freshness, Question};
use super::recheck::Grounds;
use super::refusal::Refusal;
use super::requirement::Rule;
use super::routes::{Demand, Route};
use super::target::{Host, Target};
use super::trace::{Caller, Steps};
use crate::elastic::authorization::authorization;
use crate::model::clock::Now;
use crate::model::credential::{Credential, Scheme};
use crate::session::Held;
use crate::session::cookie::Lines;

/// Proof that an identity met a route's requirement for this one request. Consumed by the door that forwards it.
///
/// Not `Clone`, and its fields are private: no request is forwarded without one, and none is forwarded twice on one.
#[derive(Debug)]
pub struct Permit {
    route: Arc<Route>,
    /// Absent on routes for everyone.
    entry: Option<Arc<Entry>>,
    scheme: Option<Scheme>,
    cache: CacheResult,
    /// Canonical path and query: what was judged, and what must be forwarded.
    target: Uri,
    /// Canonical host the route was matched with.
    host: Host,
    /// What was presented, on routes that exchange or convey it.
    kept: Option<Kept>,
    /// Whom it acts as, on the same routes.
    run_as: Option<Box<str>>,
    /// What the response is to tell the client about its ticket.
    negotiated: Option<Box<Negotiated>>,
    /// What it is to tell a browser about its session; nearly always nothing.
    session_lines: Lines,
    /// What it takes to ask again, on routes that are looked at again.
    grounds: Grounds,
    /// Whether it was let through as a CORS preflight.
    preflight: bool,
}

/// What a permit keeps of a credential.
#[derive(Debug)]
enum Kept {
    /// As it was sent: on a hit nobody needs it, and it costs a count.
    AsSent(Scheme, HeaderValue),
    /// What stands for a certificate or a ticket, or the route's own.
    Ready(Box<StandIn>),
}

/// A credential in place of what was shown.
#[derive(Debug)]
pub(super) struct StandIn {
    /// It.
    pub(super) credential: Credential,
    /// What it was exchanged for.
    pub(super) claim: Claim,
}

impl Permit {
    /// The route that matched.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// What is known of the caller; `None` on routes for everyone.
    pub fn entry(&self) -> Option<&Entry> {
        self.entry.as_deref()
    }

    /// The credential's scheme, if one was used.
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// Where the answer came from.
    pub fn cache(&self) -> CacheResult {
        self.cache
    }

    /// The path and query to forward, in origin form.
    pub fn target(&self) -> &Uri {
        &self.target
    }

    /// The canonical host (lower case, no port, no trailing dot).
    pub fn host(&self) -> &str {
        self.host.as_str()
    }

    /// What the client presented, or what stands for it here, on routes that exchange or convey it; `None` on all others.
    pub fn credential(&self) -> Option<Credential> {
        match self.kept.as_ref()? {
            Kept::AsSent(scheme, line) => presented::decode_line(*scheme, line.as_bytes()),
            Kept::Ready(stand_in) => Some(stand_in.credential.clone()),
        }
    }

    /// The same as a line of `Authorization`. Cheap where it was one.
    pub fn authorization(&self) -> Option<HeaderValue> {
        match self.kept.as_ref()? {
            Kept::AsSent(_, line) => {
                let mut line = line.clone();
                line.set_sensitive(true);
                Some(line)
            }
            Kept::Ready(stand_in) => Some(authorization(&stand_in.credential)),
        }
    }

    /// Whether the client's own `Authorization` line can't travel on as it is: it was none, or a ticket, which is good once.
    pub fn is_stood_for(&self) -> bool {
        matches!(self.kept, Some(Kept::Ready(_)))
    }

    /// What stands for what was shown.
    pub(super) fn stand_in(&mut self) -> Option<&mut StandIn> {
        match self.kept.as_mut()? {
            Kept::Ready(stand_in) => Some(stand_in),
            Kept::AsSent(..) => None,
        }
    }

    /// Whom the credential acts as.
    pub fn run_as(&self) -> Option<&str> {
        self.run_as.as_deref()
    }

    /// Whether it was let through as a CORS preflight: without a credential, so without an identity.
    pub fn is_preflight(&self) -> bool {
        self.preflight
    }

    /// Header lines that the response gets, whatever the upstream answers: what a Kerberos client waits for, and a session's
    /// cookie where it changed.
    pub fn response_lines(&mut self) -> Vec<(HeaderName, HeaderValue)> {
        let mut lines = std::mem::take(&mut self.session_lines);
        if let Some(negotiated) = &mut self.negotiated {
            lines.append(&mut negotiated.lines);
        }
        lines
    }

    /// Has the response tell a browser about its session.
    pub(super) fn tell(&mut self, lines: Lines) {
        self.session_lines = lines;
    }

    /// Has it keep what it rests on.
    pub(super) fn rest_on(&mut self, grounds: Grounds) {
        self.grounds = grounds;
    }

    /// The same with a session.
    pub(super) fn rest_on_session(&mut self, held: Held) {
        self.grounds = std::mem::take(&mut self.grounds).held(held);
    }

    pub(super) fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// Who it was given to, where somebody was asked about.
    pub(super) fn known(&self) -> Option<(Arc<Entry>, Scheme)> {
        self.entry.clone().zip(self.scheme)
    }

    /// What stands for a ticket, as a line of `Authorization`.
    pub(super) fn stood_for(&self) -> Option<HeaderValue> {
        match &self.negotiated.as_ref()?.claim.proof {
            Proof::Direct(credential) => Some(authorization(credential)),
            _ => None,
        }
    }

    fn new(
        route: &Arc<Route>,
        target: Target,
        known: Option<(Arc<Entry>, Scheme)>,
        cache: CacheResult,
    ) -> Self {
        let (target, host) = target.into_parts();
        let (entry, scheme) = known.unzip();
        Self {
            route: Arc::clone(route),
            entry,
            scheme,
            cache,
            target,
            host,
            kept: None,
            run_as: None,
            negotiated: None,
            session_lines: Lines::new(),
            grounds: Grounds::Bare,
            preflight: false,
        }
    }
}

/// The permit of a route for everyone; `None` for every other route.
pub(super) fn permit_everyone(route: &Arc<Route>, target: &Target) -> Option<Permit> {
    match route.rule {
        Rule::Everyone => Some(Permit::new(
            route,
            target.clone(),
            None,
            CacheResult::Bypass,
        )),
        Rule::Authenticated | Rule::Require(_) => None,
    }
}

/// The permit of a CORS preflight, which [`super::preflight::passes`] has let through.
pub(super) fn permit_preflight(route: &Arc<Route>, target: Target) -> Permit {
    let mut permit = Permit::new(route, target, None, CacheResult::Bypass);
    permit.preflight = true;
    permit
}

/// Evaluates the route's requirement for a known identity.
pub(super) async fn permit(
    authenticator: &Arc<Authenticator>,
    route: &Arc<Route>,
    (method, target): (&Method, Target),
    presented: &Presented<'_>,
    known: Known,
    now: Now,
    steps: &mut Steps,
) -> Result<Permit, Refusal> {
    let mut cache = known.how;
    if let Some(username) = &known.entry.denied {
        if cache == CacheResult::Stale {
            return Err(super::authenticate::unavailable("connect"));
        }
        let refusal = Refusal::Forbidden {
            username: known.entry.identity.username.clone(),
            missing: vec![format!("run_as:{username}")],
        };
        steps.refusing(Caller {
            entry: known.entry,
            scheme: presented.scheme(),
            cache,
        });
        return Err(refusal);
    }
    if let Rule::Require(need) = &route.rule {
        let question = Question::new(need, authenticator, (method, &target), &known, now);
        match question.ask(presented, steps).await {
            Ok(Freshness::Live) => {}
            Ok(Freshness::Stale) => cache = CacheResult::Stale,
            Err(refusal) => {
                let (entry, scheme) = (known.entry, presented.scheme());
                steps.refusing(Caller {
                    entry,
                    scheme,
                    cache,
                });
                return Err(refusal);
            }
        }
    }
    let caller = (known.entry, presented.scheme());
    let mut permit = Permit::new(route, target, Some(caller), cache);
    permit.negotiated = known.negotiated;
    if let Some(demand) = route.demand {
        keep(&mut permit, demand, authenticator, presented, (now, steps)).await?;
    }
    Ok(permit)
}

/// Keeps what the forwarding needs of the credential.
async fn keep(
    permit: &mut Permit,
    demand: Demand,
    authenticator: &Arc<Authenticator>,
    presented: &Presented<'_>,
    (now, steps): (Now, &mut Steps),
) -> Result<(), Refusal> {
    let scheme = presented.scheme();
    if let Some(username) = presented.run_as() {
        // A token would be the caller's own, and so would the right to speak beside Sidegate.
        if !demand.takes_run_as() {
            return Err(Refusal::NotExchangeable { scheme });
        }
        permit.run_as = Some(username.into());
    }
    steps.add("exchange", || {
        serde_json::json!({"upstream_gets": demand.label(), "from": scheme.label(), "run_as": presented.run_as()})
    });
    if let Some(line) = presented.line() {
        permit.kept = Some(Kept::AsSent(scheme, line.clone()));
        return Ok(());
    }
    let claim = match &permit.negotiated {
        Some(negotiated) => negotiated.claim.clone(),
        None => presented.claim(&authenticator.key)?,
    };
    // Boxed: only those who bring no line of their own pay for it.
    let exchangeable = Box::pin(authenticator.exchangeable(claim.clone(), now)).await?;
    if exchangeable.is_none() && demand.takes_somebody() {
        return Err(Refusal::NotExchangeable { scheme });
    }
    permit.kept =
        exchangeable.map(|credential| Kept::Ready(Box::new(StandIn { credential, claim })));
    Ok(())
}
