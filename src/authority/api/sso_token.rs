//! The access token in the body of a single sign-on logout.

use crate::authority::failure::Failure;
use crate::authority::realm::grants::{self, GrantError};
use crate::authority::record::Principal;
use crate::authority::state::State;
use crate::model::clock::Now;
use crate::model::secret::Secret;

/// Whom the token stands for.
///
/// # Errors
/// 401 when it is expired, invalidated, or no token at all.
pub fn bearer(state: &State, token: &str, now: Now) -> Result<Principal, Failure> {
    match grants::check_access_token(state.tables(), &Secret::from(token), now) {
        Ok(subject) => Ok((**subject.authenticated()).clone()),
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
