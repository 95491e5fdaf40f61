//! The end of every login: who it is, a new session, and where to go from there.
//!
//! Always true: the tokens were given by the authority; who they stand for is asked with them, not read from a message; the
//! session is new, with a new id, and the one that the browser had before is ended, tokens included; tokens that lead to no
//! session are given back.

use std::sync::Arc;
use std::time::Duration;

use super::cookies::Line;
use super::overwritten;
use super::pages::reason::Reason;
use super::refusal::Refusal;
use super::visit::{About, Visit, redirect, with_lines};
use crate::config::sso::{Provider, ProviderKind};
use crate::elastic::authorization::Asker;
use crate::elastic::client::Client;
use crate::model::credential::Credential;
use crate::model::identity::Identity;
use crate::model::secret::Secret;
use crate::net::http::Response;
use crate::session::record::{Kind, NewSession, OidcNames, Session, Tokens};
use crate::session::return_to::ReturnTo;

/// Longest `sub` or `sid` remembered, in bytes.
const MAX_OIDC_NAME: usize = 512;

/// What the authority gave for a login.
pub struct Granted {
    /// The access token.
    pub access: Secret,
    /// The refresh token, if there is one.
    pub refresh: Option<Secret>,
    /// How long the access token lives from now.
    pub life: Duration,
}

/// A login that the authority accepted.
pub struct Arrival<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// Where to go.
    pub next: ReturnTo,
    /// The tokens; `None`: an anonymous provider, whose identity is given.
    pub proof: Proof,
    /// SHA-256 of the certificate it was made with.
    pub certificate: Option<[u8; 32]>,
    /// More lines for the response.
    pub lines: Vec<Line>,
}

/// What stands behind a login.
pub enum Proof {
    /// Tokens.
    Tokens(Granted),
    /// The credential in the settings.
    Anonymous(Box<Identity>),
}

/// Turns an accepted login into a session and sends the browser on.
///
/// # Errors
/// [`Refusal`] when the identity can't be learned or the session can't be kept; the tokens are given back then.
pub async fn finish(visit: &Visit<'_>, arrival: Arrival<'_>) -> Result<Response, Refusal> {
    let now = visit.now;
    let (tokens, identity) = match &arrival.proof {
        Proof::Anonymous(identity) => (None, Identity::clone(identity)),
        Proof::Tokens(granted) => {
            let identity = learn(visit, granted).await?;
            let tokens = Tokens::new(
                granted.access.clone(),
                granted.refresh.clone(),
                granted.life,
                now,
            );
            (Some(tokens), identity)
        }
    };
    let former = match visit.session().await {
        Ok(former) => former,
        Err(refusal) => return Err(given_back(visit, arrival.proof, refusal)),
    };
    let new = new_session(&arrival, &identity, tokens);
    let begun = visit.site.sessions.begin(new, visit.headers(), now).await;
    let (held, lines) = match begun {
        Ok(begun) => begun,
        Err(error) => return Err(given_back(visit, arrival.proof, error.into())),
    };
    log_login(visit, arrival.provider, &held.session);
    visit.metrics.logged_in(&arrival.provider.kind);
    let place = destination(
        visit,
        &arrival,
        former.as_ref().map(|it| &*it.session),
        &held.session,
    );
    let mut response = with_lines(redirect(&place), lines);
    response = with_lines(
        response,
        visit.site.cookies.remember(&arrival.provider.name),
    );
    response = with_lines(
        response,
        visit.site.cookies.count_round(visit.headers(), now),
    );
    response.extensions_mut().insert(About {
        username: held.session.username.clone(),
        realm: held.session.realm.clone(),
    });
    Ok(with_lines(response, arrival.lines))
}

/// Asks who the tokens stand for, and renews the profile.
async fn learn(visit: &Visit<'_>, granted: &Granted) -> Result<Identity, Refusal> {
    let asker = Asker::of(&Credential::Bearer(granted.access.clone()));
    let identity = match visit.site.client.authenticate(&asker).await {
        Ok(identity) => identity,
        Err(error) => {
            give_back(&visit.site.client, granted);
            return Err(Refusal::of_ask(&error, Reason::AuthorityAnswer));
        }
    };
    if let Err(error) = visit.site.client.activate_profile(&granted.access).await {
        // The login is good without it; an application that shows profiles finds the former one.
        tracing::warn!(
            target: "sidegate::sso",
            reason = Reason::ProfileNotActivated.label(), username = ?identity.username, request_id = visit.id,
            detail = %error, "profile not activated"
        );
    }
    Ok(identity)
}

fn new_session(arrival: &Arrival<'_>, identity: &Identity, tokens: Option<Tokens>) -> NewSession {
    let provider = arrival.provider;
    let claim = |name: &str| {
        let value = identity.metadata.get(&format!("oidc({name})"))?.as_str()?;
        (value.len() <= MAX_OIDC_NAME).then(|| value.to_owned())
    };
    let oidc = match &provider.kind {
        ProviderKind::Oidc { .. } => claim("sub").map(|subject| OidcNames {
            subject,
            session: claim("sid"),
        }),
        _ => None,
    };
    NewSession {
        provider: provider.name.clone(),
        kind: Kind::of(&provider.kind),
        username: identity.username.clone(),
        realm: identity.realm.name.clone(),
        tokens,
        idle_timeout: provider.idle_timeout,
        lifespan: provider.lifespan,
        oidc,
        certificate: arrival.certificate,
        agreed: provider.access_agreement.is_none(),
    }
}

/// First whatever must be agreed to, then a word about whose session this was, then on.
fn destination(
    visit: &Visit<'_>,
    arrival: &Arrival<'_>,
    former: Option<&Session>,
    session: &Session,
) -> String {
    let next = arrival.next.as_str();
    if !session.agreed {
        return visit.site.paths.with("agreement", &[("next", next)]);
    }
    match former {
        Some(former)
            if (&former.username, &former.realm) != (&session.username, &session.realm) =>
        {
            overwritten::path(visit, former, next)
        }
        Some(_) | None => next.to_owned(),
    }
}

fn given_back(visit: &Visit<'_>, proof: Proof, refusal: Refusal) -> Refusal {
    if let Proof::Tokens(granted) = &proof {
        give_back(&visit.site.client, granted);
    }
    refusal
}

/// Takes tokens back that nobody will use, in the background.
pub fn give_back(client: &Client, granted: &Granted) {
    let client = client.clone();
    let (access, refresh) = (granted.access.clone(), granted.refresh.clone());
    tokio::spawn(async move {
        if let Some(refresh) = &refresh {
            drop(client.invalidate_refresh_token(refresh).await);
        }
        if let Err(error) = client.invalidate_access_token(&access).await {
            tracing::warn!(target: "sidegate::sso", detail = %error, "a token was not taken back and ends by itself");
        }
    });
}

fn log_login(visit: &Visit<'_>, provider: &Provider, session: &Arc<Session>) {
    tracing::info!(
        target: "sidegate::sso",
        action = "user_login", outcome = "success", provider = provider.name, kind = provider.kind.label(),
        username = ?session.username, realm = session.realm, session = ?session.id,
        client = %visit.peer.client_ip, request_id = visit.id,
        "logged in"
    );
}
