//! Taking OAuth2 tokens back (`DELETE /_security/oauth2/token`).
//!
//! An access and a refresh token that were made together are a pair: each counts, and taking back by owner takes both as soon
//! as one of them could still be used.

use std::collections::BTreeSet;

use http::StatusCode;

use super::token_body::{self, Target};
use super::tokens::REFRESH_MILLIS;
use super::write::write;
use crate::authority::authorize::{self, Granted};
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::realm::grants::digest_text;
use crate::authority::record::{AccessToken, Bearer, RefreshToken};
use crate::authority::state::State;
use crate::authority::store::Drafts;
use crate::model::clock::Now;
use crate::model::secret::Secret;
use crate::wire::grants::InvalidateTokensResponse;

/// `DELETE /_security/oauth2/token`
pub async fn invalidate(state: &State, call: Call) -> Result<Reply, Failure> {
    let target = token_body::parse_target(&call.object(token_body::INVALIDATE)?)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let now = call.now;
    let (status, answer) = write(&granted, state, move |drafts| {
        Ok(match target {
            Target::Access(token) => {
                let digest = digest_text(token.expose());
                one(take_access(drafts, &digest))
            }
            Target::Refresh(token) => {
                let digest = digest_text(token.expose());
                one(take_refresh(drafts, &digest))
            }
            Target::Owner { username, realm } => {
                let answer = take_all(drafts, username.as_deref(), realm.as_deref(), now);
                (StatusCode::OK, answer)
            }
        })
    })
    .await?;
    granted.reply_with(status, &answer)
}

/// Takes back the access token that somebody logs out with, and the refresh token if they brought it.
///
/// # Errors
/// 503 when the store doesn't take it.
pub async fn end_session(
    granted: &Granted,
    state: &State,
    access: &Secret,
    refresh: Option<&Secret>,
) -> Result<(), Failure> {
    let access = digest_text(access.expose());
    let refresh = refresh.map(|token| digest_text(token.expose()));
    write(granted, state, move |drafts| {
        take_access(drafts, &access);
        if let Some(refresh) = refresh {
            take_refresh(drafts, &refresh);
        }
        Ok(())
    })
    .await
}

/// What happened to one token; `None`: there is none.
fn one(taken: Option<Taken>) -> (StatusCode, InvalidateTokensResponse) {
    let mut answer = InvalidateTokensResponse::default();
    let Some(taken) = taken else {
        return (StatusCode::NOT_FOUND, answer);
    };
    taken.count(&mut answer);
    (StatusCode::OK, answer)
}

enum Taken {
    Now,
    Before,
}

impl Taken {
    fn count(&self, answer: &mut InvalidateTokensResponse) {
        match self {
            Self::Now => answer.invalidated_tokens += 1,
            Self::Before => answer.previously_invalidated_tokens += 1,
        }
    }
}

fn take_access(drafts: &mut Drafts<'_>, digest: &str) -> Option<Taken> {
    let row = drafts.access_tokens.find(digest)?;
    if row.invalidated {
        return Some(Taken::Before);
    }
    let row = AccessToken {
        invalidated: true,
        ..(*row).clone()
    };
    drafts.access_tokens.put(digest, row);
    Some(Taken::Now)
}

fn take_refresh(drafts: &mut Drafts<'_>, digest: &str) -> Option<Taken> {
    let row = drafts.refresh_tokens.find(digest)?;
    if row.invalidated {
        return Some(Taken::Before);
    }
    let row = RefreshToken {
        invalidated: true,
        ..(*row).clone()
    };
    drafts.refresh_tokens.put(digest, row);
    Some(Taken::Now)
}

/// Takes back every pair of an owner of which one token could still be used.
fn take_all(
    drafts: &mut Drafts<'_>,
    username: Option<&str>,
    realm: Option<&str>,
    now: Now,
) -> InvalidateTokensResponse {
    take_where(drafts, now, |bearer| {
        let user = &bearer.effective;
        username.is_none_or(|name| name == user.username)
            && realm.is_none_or(|name| name == user.realm.name)
    })
}

/// Takes back every pair of which one token could still be used, and whose bearer is meant.
pub fn take_where(
    drafts: &mut Drafts<'_>,
    now: Now,
    is_meant: impl Fn(&Bearer) -> bool,
) -> InvalidateTokensResponse {
    let now = now.unix_millis();
    let access = drafts
        .access_tokens
        .select(|_, row| !row.invalidated && row.expiration >= now && is_meant(&row.bearer));
    let refresh = drafts.refresh_tokens.select(|_, row| {
        let end = row.creation.saturating_add(REFRESH_MILLIS);
        !row.invalidated && end >= now && is_meant(&row.bearer)
    });
    let mut access_keys = BTreeSet::new();
    let mut refresh_keys = BTreeSet::new();
    for (key, row) in access {
        refresh_keys.extend(row.refresh.clone());
        access_keys.insert(key);
    }
    for (key, row) in refresh {
        access_keys.extend(row.access.clone());
        refresh_keys.insert(key);
    }
    let mut answer = InvalidateTokensResponse::default();
    for key in refresh_keys {
        if let Some(taken) = take_refresh(drafts, &key) {
            taken.count(&mut answer);
        }
    }
    for key in access_keys {
        if let Some(taken) = take_access(drafts, &key) {
            taken.count(&mut answer);
        }
    }
    answer
}
