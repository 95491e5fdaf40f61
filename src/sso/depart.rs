//! Leaving for an identity provider: the attempt is remembered, and the browser goes.

use super::attempt::{Attempt, Flow};
use super::refusal::Refusal;
use super::visit::{Visit, redirect, with_lines};
use crate::config::sso::Provider;
use crate::net::http::Response;
use crate::session::return_to::ReturnTo;

/// Remembers the attempt and sends the browser to its identity provider.
///
/// # Errors
/// Trouble of the store.
pub async fn leave(
    visit: &Visit<'_>,
    provider: &Provider,
    (id, flow): (String, Flow),
    next: &ReturnTo,
    place: &str,
) -> Result<Response, Refusal> {
    let had_session = visit.session().await?.is_some();
    let attempt = Attempt::new(
        &provider.name,
        flow,
        next.clone(),
        had_session,
        id,
        visit.now,
    );
    visit.metrics.begun(&provider.kind);
    tracing::debug!(
        target: "sidegate::sso",
        provider = provider.name, attempt = attempt.id, request_id = visit.id, "login begun"
    );
    let mut lines = visit
        .site
        .attempts
        .keep(&attempt, visit.headers(), visit.now);
    if visit.query.has("again") {
        lines.extend(visit.site.cookies.forget_rounds(visit.headers()));
    }
    Ok(with_lines(redirect(place), lines))
}
