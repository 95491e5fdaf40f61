//! The access token in the body of a single sign-on logout.

use serde_json::{Map, Value};

use crate::authority::failure::Failure;
use crate::authority::realm::grants::{self, GrantError, digest_text};
use crate::authority::record::Principal;
use crate::authority::state::State;
use crate::model::clock::Now;
use crate::model::secret::Secret;

/// What an access token stands for.
pub struct Session {
    /// Whom.
    pub principal: Principal,
    /// What their realm kept for the logout; empty when it was no single sign-on realm.
    pub kept: Map<String, Value>,
}

/// Whom the token stands for.
///
/// # Errors
/// 401 when it is expired, invalidated, or no token at all.
pub fn session(state: &State, token: &str, now: Now) -> Result<Session, Failure> {
    let token = Secret::from(token);
    match grants::check_access_token(state.tables(), &token, now) {
        Ok(subject) => {
            let row = state
                .tables()
                .access_tokens
                .find(&digest_text(token.expose()));
            Ok(Session {
                principal: (**subject.authenticated()).clone(),
                kept: row
                    .map(|row| row.bearer.session.clone())
                    .unwrap_or_default(),
            })
        }
        Err(GrantError::Expired) => Err(Failure::invalid_token(
            "token expired",
            "The access token expired",
        )),
        Err(_) => Err(Failure::invalid_token(
            "token malformed",
            "The access token is malformed",
        )),
    }
}
