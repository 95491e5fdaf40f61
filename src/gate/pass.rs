//! From one credential to a decision: who it is, and whether they may.

use std::sync::Arc;

use serde_json::json;

use super::authenticate::Authenticator;
use super::authorize::{self, Permit};
use super::extract::presented::Presented;
use super::recheck::Grounds;
use super::refusal::Refusal;
use super::routes::Route;
use super::target::Target;
use super::trace::Steps;
use crate::model::clock::Now;
use crate::net::http::{Head, Peer};

impl Authenticator {
    /// Decides on a request with the credential that was `shown` or that its session stands for.
    pub(super) async fn pass(
        self: &Arc<Self>,
        (head, peer): (&Head, &Peer),
        (route, target): (&Arc<Route>, Target),
        credentials: (Option<Presented<'_>>, Option<Presented<'_>>),
        now: Now,
        steps: &mut Steps,
    ) -> Result<Permit, Refusal> {
        let presented = self
            .intake
            .find(head, peer, &route.ways, credentials, |handle| {
                self.is_held(handle, now)
            })?
            .ok_or(Refusal::NoCredential)?;
        steps.add(
            "credential",
            || json!({"scheme": presented.scheme().label(), "run_as": presented.run_as()}),
        );
        let known = match presented.ticket() {
            None => self.identify(&presented, peer, now, steps).await?,
            Some(ticket) => {
                let negotiating = self.negotiate(&presented, ticket, peer, now, steps);
                Box::pin(negotiating).await?
            }
        };
        self.admit_known(route, &known.entry, now)?;
        if let Some(username) = presented.run_as() {
            log_run_as(route, &presented, username, peer);
        }
        let target = route.ways.clean(target)?;
        let method = &head.method;
        let mut permit =
            authorize::permit(self, route, (method, target), &presented, known, now, steps).await?;
        if route.recheck.is_some() {
            permit.rest_on(Grounds::of(&presented, head, &route.ways));
        }
        Ok(permit)
    }
}

/// One line per request of somebody who acts as somebody else.
fn log_run_as(route: &Route, presented: &Presented<'_>, username: &str, peer: &Peer) {
    tracing::info!(
        target: "sidegate::gate",
        route = route.name, scheme = presented.scheme().label(), run_as = ?username, client = %peer.client_ip,
        "acts as another user"
    );
}
