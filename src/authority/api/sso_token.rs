//! The access token in the body of a single sign-on logout.

use crate::authority::failure::Failure;
use crate::authority::realm::grants::{self, GrantError, digest_text};
use crate::authority::record::Bearer;
use crate::authority::state::State;
use crate::model::clock::Now;
use crate::model::secret::Secret;

/// What the token stands for.
///
/// # Errors
/// 401 when it is expired, invalidated, or no token at all.
pub fn bearer(state: &State, token: &str, now: Now) -> Result<Bearer, Failure> {
    let malformed = || Failure::invalid_token("token malformed", "The access token is malformed");
    let token = Secret::from(token);
    match grants::check_access_token(state.tables(), &token, now) {
        Ok(_) => {
            let tokens = &state.tables().access_tokens;
            let row = tokens.find(&digest_text(token.expose()));
            row.map(|row| row.bearer.clone()).ok_or_else(malformed)
        }
        Err(GrantError::Expired) => Err(Failure::invalid_token(
            "token expired",
            "The access token expired",
        )),
        Err(_) => Err(malformed()),
    }
}
