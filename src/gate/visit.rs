//! The decision on a request that brings a browser's session and no credential on purpose.
//!
//! Always true: a session in use is decided on by what is known, and its tokens are renewed before they end; only tokens that
//! are over are waited for; the authority's 401 ends a session only once its tokens can't be renewed; trouble ends none.

use std::sync::Arc;

use serde_json::json;

use super::authenticate::Authenticator;
use super::authorize::Permit;
use super::browser::{Brought, Browser, Freshness, freshness};
use super::refusal::Refusal;
use super::renew::{Renewed, Renewing};
use super::routes::Route;
use super::target::Target;
use super::trace::Steps;
use crate::model::clock::Now;
use crate::model::credential::Scheme;
use crate::net::http::{Head, Peer, PeerCertificate};
use crate::session::Held;
use crate::session::ended::EndReason;
use crate::session::record::Session;

impl Authenticator {
    /// Decides on a request whose cookies brought something.
    pub(super) async fn visit(
        self: &Arc<Self>,
        browser: &Arc<Browser>,
        brought: Brought,
        (head, peer): (&Head, &Peer),
        (route, target): (&Arc<Route>, &Target),
        now: Now,
        steps: &mut Steps,
    ) -> Result<Permit, Refusal> {
        let brought = match brought {
            Brought::Ask(asking) => browser.ask(asking, now).await?,
            brought => brought,
        };
        let request = (head, peer);
        let held = match brought {
            Brought::Session(held) => held,
            Brought::Ended(reason) => {
                return self
                    .without(reason, request, (route, target), now, steps)
                    .await;
            }
            Brought::Nothing | Brought::Ask(_) => {
                let place = (route, target.clone());
                return self.pass(request, place, (None, None), now, steps).await;
            }
        };
        steps.add(
            "session",
            || json!({"provider": held.session.provider, "username": held.session.username}),
        );
        match browser.admit(&held, head, target, peer, now) {
            Ok(()) => {}
            Err(Refusal::SessionEnded(reason)) => {
                browser.end(&held.session, reason, now).await;
                return self
                    .without(reason, request, (route, target), now, steps)
                    .await;
            }
            Err(refusal) => return Err(refusal),
        }
        let session = match self.fresh(browser, &held, peer, now).await {
            Ok(session) => session,
            Err(Refusal::SessionEnded(reason)) => {
                return self
                    .without(reason, request, (route, target), now, steps)
                    .await;
            }
            Err(refusal) => return Err(refusal),
        };
        self.pass_held(
            browser,
            (held, session),
            request,
            (route, target),
            now,
            steps,
        )
        .await
    }

    /// Decides again on what goes on since it was permitted with a session. It shows nobody at work, so it keeps no session alive.
    pub(super) async fn revisit(
        self: &Arc<Self>,
        browser: &Arc<Browser>,
        held: &Held,
        (head, peer): (&Head, &Peer),
        place: (&Arc<Route>, &Target),
        now: Now,
        steps: &mut Steps,
    ) -> Result<Permit, Refusal> {
        let held = match browser.again(held, now).await? {
            Brought::Session(held) => held,
            Brought::Ended(reason) => return Err(Refusal::SessionEnded(reason)),
            Brought::Nothing | Brought::Ask(_) => {
                return Err(Refusal::SessionEnded(EndReason::Unknown));
            }
        };
        Browser::confirm(&held, peer)?;
        let sessions = &browser.sessions;
        if !sessions.is_shared() && !sessions.settings().keys.is_empty() {
            // The browser's cookie would not hear of new tokens, and another replica would use up the old ones.
            let unrenewed = self
                .pass_with(browser, &held.session, (head, peer), place, now, steps)
                .await;
            return unrenewed.map(|mut permit| {
                permit.rest_on_session(held);
                permit
            });
        }
        let session = self.fresh(browser, &held, peer, now).await?;
        self.pass_held(browser, (held, session), (head, peer), place, now, steps)
            .await
    }

    /// Decides with a session that may be used, and the record of it whose tokens are good.
    async fn pass_held(
        self: &Arc<Self>,
        browser: &Arc<Browser>,
        (held, session): (Held, Arc<Session>),
        request: (&Head, &Peer),
        (route, target): (&Arc<Route>, &Target),
        now: Now,
        steps: &mut Steps,
    ) -> Result<Permit, Refusal> {
        let peer = request.1;
        let verdict = self
            .pass_with(browser, &session, request, (route, target), now, steps)
            .await;
        let verdict = match verdict {
            Err(Refusal::Unauthenticated {
                scheme: Scheme::Session,
            }) => {
                let session = self
                    .renew_refused(browser, &held, session, peer, now)
                    .await?;
                let again = self
                    .pass_with(browser, &session, request, (route, target), now, steps)
                    .await;
                self.last_word(browser, &session, again, now).await
            }
            verdict => verdict,
        };
        verdict.map(|mut permit: Permit| {
            permit.tell(browser.lines(&held, now));
            if route.recheck.is_some() {
                permit.rest_on_session(held);
            }
            permit
        })
    }

    async fn pass_with(
        self: &Arc<Self>,
        browser: &Browser,
        session: &Session,
        request: (&Head, &Peer),
        (route, target): (&Arc<Route>, &Target),
        now: Now,
        steps: &mut Steps,
    ) -> Result<Permit, Refusal> {
        let Some(presented) = browser.presented(session) else {
            return Err(Refusal::SessionEnded(EndReason::Provider));
        };
        let place = (route, target.clone());
        self.pass(request, place, (None, Some(presented)), now, steps)
            .await
    }

    /// A session that ended counts for nothing; where nothing else is there, it says why.
    async fn without(
        self: &Arc<Self>,
        reason: EndReason,
        request: (&Head, &Peer),
        (route, target): (&Arc<Route>, &Target),
        now: Now,
        steps: &mut Steps,
    ) -> Result<Permit, Refusal> {
        let place = (route, target.clone());
        match self.pass(request, place, (None, None), now, steps).await {
            Err(Refusal::NoCredential) => Err(Refusal::SessionEnded(reason)),
            verdict => verdict,
        }
    }

    /// The record with tokens that can be used, renewed if need be.
    async fn fresh(
        self: &Arc<Self>,
        browser: &Arc<Browser>,
        held: &Held,
        peer: &Peer,
        now: Now,
    ) -> Result<Arc<Session>, Refusal> {
        let state = freshness(&held.session, now);
        if state == Freshness::Fresh {
            return Ok(Arc::clone(&held.session));
        }
        let renewing = renewing(held, Arc::clone(&held.session), peer);
        if state == Freshness::Due {
            if browser.claims_renewal(held, now) {
                // Crowded: then a later request begins it.
                drop(self.begin_renewal(browser, renewing, now));
            }
            return Ok(Arc::clone(&held.session));
        }
        outcome(self.renewed(browser, renewing, now).await)
    }

    /// The record with other tokens than those that the authority refused just now.
    async fn renew_refused(
        self: &Arc<Self>,
        browser: &Arc<Browser>,
        held: &Held,
        refused: Arc<Session>,
        peer: &Peer,
        now: Now,
    ) -> Result<Arc<Session>, Refusal> {
        let renewing = renewing(held, refused, peer);
        outcome(self.renewed(browser, renewing, now).await)
    }

    /// New tokens that are refused, too: whoever it was is gone.
    async fn last_word(
        self: &Arc<Self>,
        browser: &Browser,
        session: &Session,
        verdict: Result<Permit, Refusal>,
        now: Now,
    ) -> Result<Permit, Refusal> {
        match verdict {
            Err(Refusal::Unauthenticated {
                scheme: Scheme::Session,
            }) => {
                browser.end(session, EndReason::Refused, now).await;
                Err(Refusal::SessionEnded(EndReason::Refused))
            }
            verdict => verdict,
        }
    }
}

fn renewing(held: &Held, from: Arc<Session>, peer: &Peer) -> Renewing {
    Renewing {
        live: Arc::clone(&held.live),
        from,
        chain: match &peer.certificate {
            PeerCertificate::Present(chain) => Some(Arc::clone(chain)),
            PeerCertificate::Absent | PeerCertificate::Unusable => None,
        },
    }
}

fn outcome(renewed: Renewed) -> Result<Arc<Session>, Refusal> {
    match renewed {
        Renewed::Session(session) => Ok(session),
        Renewed::Ended(reason) => Err(Refusal::SessionEnded(reason)),
        Renewed::Trouble(refusal) => Err(refusal),
    }
}
