//! OAuth2 tokens: create and refresh (`POST /_security/oauth2/token`); [`super::token_invalidation`] takes them back.
//!
//! Always true: only hashes are stored; a refresh token works once, and for 30 seconds after gives the same pair again, which
//! is kept sealed under the old token; only the client that asked may refresh.

use aws_lc_rs::{aead, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::token_body::{self, Ground, TokenRequest};
use super::write::write;
use crate::authority::authenticate::{self, Purpose};
use crate::authority::authorize::{self, Granted};
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::permissions;
use crate::authority::realm::account;
use crate::authority::realm::chain::Negotiated;
use crate::authority::realm::grants::{self, bearer_subject, digest_text, random_text};
use crate::authority::record::{AccessToken, Bearer, Client, Principal, RefreshToken, Refreshed};
use crate::authority::state::State;
use crate::authority::store::Drafts;
use crate::authority::subject::{Means, Subject};
use crate::model::clock::Now;
use crate::model::credential::Credential;
use crate::model::secret::Secret;
use crate::wire::grants::TokenResponse;

/// How long a refresh token works.
pub const REFRESH_MILLIS: u64 = 24 * 3_600 * 1_000;
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
    let issued = match ground {
        Ground::Password { username, password } => {
            let credential = Credential::Basic { username, password };
            let purpose = Purpose::Action(call.action);
            let subject = authenticate::check(state, credential, purpose, call.now).await?;
            issue(&granted, state, &call, subject, true).await?
        }
        Ground::ClientCredentials => {
            let subject = call.subject.clone();
            // A service account that runs as a user asks for that user, which is fine.
            if permissions::service_role(&subject.effective).is_some() {
                return Err(Failure::server(
                    "OAuth2 token creation is not supported for service accounts",
                ));
            }
            issue(&granted, state, &call, subject, false).await?
        }
        Ground::Refresh(token) => refresh(&granted, state, &call, token).await?,
        Ground::Kerberos(ticket) => {
            let accepted = accept_ticket(state, &ticket, &call).await?;
            let issued = issue(&granted, state, &call, accepted.subject, true).await?;
            Issued {
                reply: accepted.reply,
                ..issued
            }
        }
    };
    granted.reply(&TokenResponse {
        access_token: issued.pair.access,
        kind: "Bearer".to_owned(),
        expires_in: state.token_timeout.as_secs(),
        scope: scoped.then(|| "full".to_owned()),
        refresh_token: issued.pair.refresh,
        kerberos_authentication_response_token: issued.reply,
        authentication: Some(issued.subject.describe()),
    })
}

/// What a Kerberos realm makes of a ticket.
struct Accepted {
    subject: Subject,
    /// base64 of what the realm answers the client's library, for mutual authentication.
    reply: Option<String>,
}

/// Shows a ticket to the Kerberos realms; where the negotiation needs another round, the answer is `_unauthorized` with their
/// reply.
async fn accept_ticket(state: &State, ticket: &Secret, call: &Call) -> Result<Accepted, Failure> {
    // The ticket itself stays out of the message: a mistyped one may still be worth stealing.
    if STANDARD.decode(ticket.expose()).is_err() {
        return Err(
            Failure::unsupported_operation("could not decode base64 kerberos ticket").caused_by(
                "illegal_argument_exception",
                "Input byte array is not in valid base64",
            ),
        );
    }
    let purpose = Purpose::Action(call.action);
    match authenticate::negotiate(state, ticket, purpose, call.now).await? {
        Negotiated::Unfinished { reply } => Err(Failure::oauth("_unauthorized", reply)),
        Negotiated::Known { principal, reply } => Ok(Accepted {
            subject: Subject::user(*principal),
            reply,
        }),
    }
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
    /// What a Kerberos realm sends back.
    reply: Option<String>,
}

async fn issue(
    granted: &Granted,
    state: &State,
    call: &Call,
    subject: Subject,
    refreshable: bool,
) -> Result<Issued, Failure> {
    let bearer = subject.bearer();
    issue_for(granted, state, call, (subject, bearer), refreshable).await
}

async fn issue_for(
    granted: &Granted,
    state: &State,
    call: &Call,
    (subject, bearer): (Subject, Bearer),
    refreshable: bool,
) -> Result<Issued, Failure> {
    let pair = new_pair(refreshable);
    let for_store = pair.clone();
    let client = call.subject.client();
    let (now, life) = (call.now, life_millis(state));
    write(granted, state, move |drafts| {
        store_pair(drafts, &for_store, bearer, client, now, life);
        Ok(())
    })
    .await?;
    Ok(Issued {
        pair,
        subject,
        reply: None,
    })
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

/// A pair of tokens for somebody a single sign-on realm let in, as JSON: `access_token`, `type`, `expires_in`,
/// `refresh_token`, `authentication`. `session` is what the realm needs at their logout.
///
/// # Errors
/// 503 when the store doesn't take it.
pub async fn issue_session(
    granted: &Granted,
    state: &State,
    call: &Call,
    subject: Subject,
    session: Map<String, Value>,
) -> Result<Value, Failure> {
    let bearer = Bearer {
        session,
        ..subject.bearer()
    };
    let issued = issue_for(granted, state, call, (subject, bearer), true).await?;
    Ok(json!({
        "access_token": issued.pair.access,
        "type": "Bearer",
        "expires_in": state.token_timeout.as_secs(),
        "refresh_token": issued.pair.refresh,
        "authentication": issued.subject.describe(),
    }))
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
    let access_key = digest_text(pair.access.as_bytes());
    let refresh_key = pair
        .refresh
        .as_ref()
        .map(|text| digest_text(text.as_bytes()));
    let access = AccessToken {
        creation,
        expiration: creation.saturating_add(life),
        invalidated: false,
        bearer: bearer.clone(),
        refresh: refresh_key.clone(),
    };
    drafts.access_tokens.put(&access_key, access);
    if let Some(refresh_key) = refresh_key {
        let row = RefreshToken {
            creation,
            invalidated: false,
            bearer,
            client,
            refreshed: None,
            access: Some(access_key),
        };
        drafts.refresh_tokens.put(&refresh_key, row);
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
        let is_out = |principal: &Principal| {
            let user = |name: &str| drafts.users.find(name);
            account::is_out(principal, user, |name| drafts.reserved.find(name))
        };
        if grants::principals(&row.bearer).any(is_out) {
            return Err(refused("could not refresh the requested token"));
        }
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
    Ok(Issued {
        pair,
        subject,
        reply: None,
    })
}

/// In Elasticsearch's order: expired, invalidated, another client.
fn check_refresh(row: &RefreshToken, client: &Client, now: Now) -> Result<(), &'static str> {
    if row.creation.saturating_add(REFRESH_MILLIS) < now.unix_millis() {
        return Err("token document has expired");
    }
    if row.invalidated {
        return Err("token has been invalidated");
    }
    if !client.may_use_what_was_made_by(&row.client) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_retry_is_answered_within_thirty_seconds_either_way_and_only_to_the_holder() {
        let token = Secret::from("old refresh token");
        let pair = Pair {
            access: "a".to_owned(),
            refresh: Some("r".to_owned()),
        };
        let sealed = seal(&token, &pair).unwrap();
        let before = Refreshed {
            at: 100_000,
            sealed,
        };
        let retry = |millis: u64| {
            let now = Now {
                mono: Duration::ZERO,
                unix: Duration::from_millis(millis),
            };
            check_retry(&before, &token, now).map(|pair| pair.access)
        };
        assert_eq!(retry(70_000), Ok("a".to_owned()));
        assert_eq!(retry(130_000), Ok("a".to_owned()));
        assert_eq!(
            retry(130_001),
            Err("token has already been refreshed more than 30 seconds in the past")
        );
        assert_eq!(
            retry(69_999),
            Err(
                "token has been refreshed more than 30 seconds in the future, clock skew too great"
            )
        );
        assert!(open(&Secret::from("another token"), &before.sealed).is_none());
    }
}
