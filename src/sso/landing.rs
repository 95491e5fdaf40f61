//! What becomes of an attempt when its login ends.

use super::attempt::Attempt;
use super::pages::reason::Reason;
use super::refusal::Refusal;
use super::used::FirstUse;
use super::visit::{Visit, redirect};
use crate::net::http::Response;
use crate::session::return_to::ReturnTo;

/// A double click, a reload, the back button: on to where the first one went, if it went well.
pub fn used_again(attempt: Option<&Attempt>, succeeded: bool) -> Result<Response, Refusal> {
    let next = attempt.map_or_else(ReturnTo::root, |attempt| attempt.next.clone());
    if succeeded {
        return Ok(redirect(next.as_str()));
    }
    Err(Refusal::new(Reason::AttemptUsed).on_the_way_to(&next))
}

/// An attempt that led nowhere is used up; one that nobody could be asked about is not.
pub fn ended_badly(
    visit: &Visit<'_>,
    refusal: Refusal,
    first: FirstUse,
    attempt: Option<&Attempt>,
) -> Refusal {
    if refusal.passing {
        first.undone();
    }
    let Some(attempt) = attempt else {
        return refusal;
    };
    let refusal = refusal.on_the_way_to(&attempt.next);
    if refusal.passing {
        return refusal;
    }
    let lines = visit.site.attempts.clear(attempt, visit.headers());
    refusal.with_lines(lines)
}
