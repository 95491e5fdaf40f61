//! OAuth2 tokens: create, refresh, invalidate (`/_security/oauth2/token`).
//!
//! Always true: only hashes are stored; a refresh token works once, and for 30 seconds after gives the same pair again, which
//! is kept sealed under the old token; only the client that asked may refresh.

use aws_lc_rs::{aead, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::token_body::{self, Ground, Target, TokenRequest};
use super::write::write;
use crate::authority::authenticate::{self, Purpose};
use crate::authority::authorize::{self, Granted};
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::realm::chain::Negotiated;
use crate::authority::realm::grants::{bearer_subject, digest_text, random_text};
use crate::authority::record::{AccessToken, Bearer, Client, RefreshToken, Refreshed};
use crate::authority::state::State;
use crate::authority::store::Drafts;
use crate::authority::subject::{Means, Subject};
use crate::model::clock::Now;
use crate::model::credential::Credential;
use crate::model::secret::Secret;
use crate::wire::grants::{InvalidateTokensResponse, TokenResponse};

/// How long a refresh token works.
const REFRESH_MILLIS: u64 = 24 * 3_600 * 1_000;
/// How long after its first use a refresh token gives the same answer again.
const RETRY_MILLIS: u64 = 30_000;
const REFRESH_ACTION: &str = "cluster:admin/xpack/security/token/refresh";

/// `POST /_security/oauth2/token`
pub async fn create(state: &State, mut call: Call) -> Result<Reply, Failure> {
    let TokenRequest { ground, scoped } = token_body::parse(&call.object(token_body::CREATE)?)?;
    if matches!(ground, Ground::Refresh(_)) {
        call.action = REFRESH_ACTION;
    }
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let mut told = None;
    let issued = match ground {
        Ground::Password { username, password } => {
            let credential = Credential::Basic { username, password };
            let purpose = Purpose::Action(call.action);
            let subject = authenticate::check(state, credential, purpose, call.now).await?;
            issue(&granted, state, &call, subject, true).await?
        }
        Ground::ClientCredentials => {
            let subject = call.subject.clone();
            issue(&granted, state, &call, subject, false).await?
        }
        Ground::Refresh(token) => refresh(&granted, state, &call, token).await?,
        Ground::Kerberos(ticket) => {
            let purpose = Purpose::Action(call.action);
            match authenticate::negotiate(state, &ticket, purpose, call.now).await? {
                Negotiated::Unfinished { reply } => {
                    return Err(Failure::oauth("_unauthorized", reply));
                }
                Negotiated::Known { principal, reply } => {
                    told = reply;
                    let subject = Subject::user(principal);
                    issue(&granted, state, &call, subject, true).await?
                }
            }
        }
    };
    granted.reply(&TokenResponse {
        access_token: issued.pair.access,
        kind: "Bearer".to_owned(),
        expires_in: state.token_timeout.as_secs(),
        scope: scoped.then(|| "full".to_owned()),
        refresh_token: issued.pair.refresh,
        kerberos_authentication_response_token: told,
        authentication: Some(issued.subject.describe()),
    })
}

/// A pair of tokens as their owner sees them.
#[derive(Clone, Serialize, Deserialize)]
struct Pair {
    access: String,
    refresh: Option<String>,
}

struct Issued {
    pair: Pair,
    subject: Subject,
}

async fn issue(
    granted: &Granted,
    state: &State,
    call: &Call,
    subject: Subject,
    refreshable: bool,
) -> Result<Issued, Failure> {
    let pair = new_pair(refreshable);
    let for_store = pair.clone();
    let bearer = subject.bearer();
    let client = call.subject.client();
    let (now, life) = (call.now, life_millis(state));
    let sweep = state.sweep_due(now);
    write(granted, state, move |drafts| {
        if sweep {
            drafts.sweep(now);
        }
        store_pair(drafts, &for_store, bearer, client, now, life);
        Ok(())
    })
    .await?;
    Ok(Issued { pair, subject })
}

/// An access token alone, for somebody a realm proved on the caller's behalf; its text, and whom it stands for.
///
/// # Errors
/// 503 when the store doesn't take it.
pub async fn issue_access(
    granted: &Granted,
    state: &State,
    call: &Call,
    subject: Subject,
) -> Result<(String, Subject), Failure> {
    let issued = issue(granted, state, call, subject, false).await?;
    Ok((issued.pair.access, issued.subject))
}

fn new_pair(refreshable: bool) -> Pair {
    let text = || {
        let secret = random_text::<36>();
        secret.expose_str().unwrap_or_default().to_owned()
    };
    Pair {
        access: text(),
        refresh: refreshable.then(text),
    }
}

fn life_millis(state: &State) -> u64 {
    u64::try_from(state.token_timeout.as_millis()).unwrap_or(u64::MAX)
}

fn store_pair(
    drafts: &mut Drafts<'_>,
    pair: &Pair,
    bearer: Bearer,
    client: Client,
    now: Now,
    life: u64,
) {
    let creation = now.unix_millis();
    let access = AccessToken {
        creation,
        expiration: creation.saturating_add(life),
        invalidated: false,
        bearer: bearer.clone(),
    };
    drafts
        .access_tokens
        .put(&digest_text(pair.access.as_bytes()), access);
    if let Some(refresh) = &pair.refresh {
        let row = RefreshToken {
            creation,
            invalidated: false,
            bearer,
            client,
            refreshed: None,
        };
        drafts
            .refresh_tokens
            .put(&digest_text(refresh.as_bytes()), row);
    }
}

async fn refresh(
    granted: &Granted,
    state: &State,
    call: &Call,
    token: Secret,
) -> Result<Issued, Failure> {
    let client = call.subject.client();
    let (now, life) = (call.now, life_millis(state));
    // Inside the job, so that of two uses at once one is the first.
    let (pair, bearer) = write(granted, state, move |drafts| {
        let refused = |why: &str| Failure::oauth("invalid_grant", why);
        let digest = digest_text(token.expose());
        let row = drafts
            .refresh_tokens
            .find(&digest)
            .ok_or_else(|| refused("could not refresh the requested token"))?;
        check_refresh(&row, &client, now).map_err(refused)?;
        if let Some(before) = &row.refreshed {
            let pair = check_retry(before, &token, now).map_err(refused)?;
            return Ok((pair, row.bearer.clone()));
        }
        let pair = new_pair(true);
        let sealed = seal(&token, &pair).ok_or_else(Failure::store_unavailable)?;
        let at = now.unix_millis();
        let used = RefreshToken {
            refreshed: Some(Refreshed { at, sealed }),
            ..(*row).clone()
        };
        drafts.refresh_tokens.put(&digest, used);
        store_pair(drafts, &pair, row.bearer.clone(), client, now, life);
        Ok((pair, row.bearer.clone()))
    })
    .await?;
    let subject = bearer_subject(state.tables(), &bearer, now)
        .ok_or_else(|| Failure::oauth("invalid_grant", "could not refresh the requested token"))?;
    let means = Means::Token;
    let subject = Subject { means, ..subject };
    Ok(Issued { pair, subject })
}

/// In Elasticsearch's order: expired, invalidated, another client.
fn check_refresh(row: &RefreshToken, client: &Client, now: Now) -> Result<(), &'static str> {
    if row.creation.saturating_add(REFRESH_MILLIS) < now.unix_millis() {
        return Err("token document has expired");
    }
    if row.invalidated {
        return Err("token has been invalidated");
    }
    if row.client != *client {
        return Err("tokens must be refreshed by the creating client");
    }
    Ok(())
}

fn check_retry(before: &Refreshed, token: &Secret, now: Now) -> Result<Pair, &'static str> {
    let now = now.unix_millis();
    if before.at > now.saturating_add(RETRY_MILLIS) {
        return Err(
            "token has been refreshed more than 30 seconds in the future, clock skew too great",
        );
    }
    if now > before.at.saturating_add(RETRY_MILLIS) {
        return Err("token has already been refreshed more than 30 seconds in the past");
    }
    open(token, &before.sealed).ok_or("could not refresh the requested token")
}

/// The key that only somebody with the old refresh token can make.
fn sealing_key(token: &Secret) -> Option<aead::RandomizedNonceKey> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.expose());
    let derived = hmac::sign(&key, b"pair that replaced this refresh token");
    aead::RandomizedNonceKey::new(&aead::AES_256_GCM, derived.as_ref()).ok()
}

fn seal(token: &Secret, pair: &Pair) -> Option<String> {
    let mut bytes = serde_json::to_vec(pair).ok()?;
    let key = sealing_key(token)?;
    let nonce = key
        .seal_in_place_append_tag(aead::Aad::empty(), &mut bytes)
        .ok()?;
    let mut sealed = nonce.as_ref().to_vec();
    sealed.append(&mut bytes);
    Some(STANDARD.encode(sealed))
}

fn open(token: &Secret, sealed: &str) -> Option<Pair> {
    let mut bytes = STANDARD.decode(sealed).ok()?;
    if bytes.len() < aead::NONCE_LEN {
        return None;
    }
    let (nonce, sealed) = bytes.split_at_mut(aead::NONCE_LEN);
    let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
    let opened = sealing_key(token)?
        .open_in_place(nonce, aead::Aad::empty(), sealed)
        .ok()?;
    serde_json::from_slice(opened).ok()
}

/// `DELETE /_security/oauth2/token`
pub async fn invalidate(state: &State, call: Call) -> Result<Reply, Failure> {
    let target = token_body::parse_target(&call.object(token_body::INVALIDATE)?)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
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
                let answer = take_all(drafts, username.as_deref(), realm.as_deref());
                (StatusCode::OK, answer)
            }
        })
    })
    .await?;
    granted.reply_with(status, &answer)
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

fn take_all(
    drafts: &mut Drafts<'_>,
    username: Option<&str>,
    realm: Option<&str>,
) -> InvalidateTokensResponse {
    let is_meant = |bearer: &Bearer| {
        let user = &bearer.effective;
        username.is_none_or(|name| name == user.username)
            && realm.is_none_or(|name| name == user.realm.name)
    };
    let access = drafts
        .access_tokens
        .select(|_, row| !row.invalidated && is_meant(&row.bearer));
    let refresh = drafts
        .refresh_tokens
        .select(|_, row| !row.invalidated && is_meant(&row.bearer));
    let mut answer = InvalidateTokensResponse::default();
    for (digest, _) in access {
        if let Some(taken) = take_access(drafts, &digest) {
            taken.count(&mut answer);
        }
    }
    for (digest, _) in refresh {
        if let Some(taken) = take_refresh(drafts, &digest) {
            taken.count(&mut answer);
        }
    }
    answer
}
