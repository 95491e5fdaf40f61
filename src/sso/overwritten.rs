//! A word to whoever logged in over somebody else's session.
//!
//! Who that was travels sealed in the query, so that nobody can have the page say something else.

use http::Method;
use serde::{Deserialize, Serialize};

use super::pages::context::{Overwritten, User};
use super::refusal::Refusal;
use super::visit::{Visit, redirect};
use crate::net::http::Response;
use crate::session::record::Session;

const PURPOSE: &str = "overwritten";

#[derive(Serialize, Deserialize)]
struct Before {
    username: String,
    realm: String,
}

/// The way to the page, and on to `next` from there.
pub fn path(visit: &Visit<'_>, before: &Session, next: &str) -> String {
    let before = Before {
        username: before.username.clone(),
        realm: before.realm.clone(),
    };
    let bytes = serde_json::to_vec(&before).unwrap_or_default();
    let sealed = visit.site.keyring().seal_text(PURPOSE, &bytes, b"");
    let sealed = sealed.unwrap_or_default();
    let pairs = [("before", sealed.as_str()), ("next", next)];
    visit.site.paths.with("overwritten", &pairs)
}

/// The page; without a session, or without a word to say, on at once.
///
/// # Errors
/// Trouble of the store.
pub async fn page(visit: &Visit<'_>) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET])?;
    let next = visit.next();
    let sealed = visit.query.first("before").unwrap_or_default();
    let before = visit
        .site
        .keyring()
        .open_text(PURPOSE, sealed.as_bytes(), b"")
        .and_then(|bytes| serde_json::from_slice::<Before>(&bytes).ok());
    let (Some(before), Some(held)) = (before, visit.session().await?) else {
        return Ok(redirect(next.as_str()));
    };
    let page = Overwritten {
        before: User {
            username: &before.username,
            realm: &before.realm,
        },
        now: User {
            username: &held.session.username,
            realm: &held.session.realm,
        },
        proceed: next.as_str(),
        logout: &visit.site.paths.to("logout"),
    };
    Ok(visit.site.pages.overwritten(visit.headers(), &page))
}
