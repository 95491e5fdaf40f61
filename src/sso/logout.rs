//! Logging out: here, at the authority, and at the identity provider.
//!
//! Always true: the session is over here before anybody else is asked, so that whatever happens there, nobody stays in; its tokens
//! are given back; afterwards stands a page that waits for a click, so that nobody is logged in again at once. A link on another
//! site only gets a question.

use http::{Method, StatusCode};
use serde_json::json;

use super::attempt::{Attempt, Flow};
use super::cookies::Line;
use super::finish::{Granted, give_back};
use super::form::Form;
use super::metrics::Way;
use super::pages::context::{Capture, Confirm, LoggedOut, User};
use super::pages::reason::{Class, Reason};
use super::refusal::{self, Refusal};
use super::visit::{Visit, json as reply, redirect, with_lines};
use crate::elastic::sso::{SamlMessage, SsoError};
use crate::model::secret::Secret;
use crate::net::http::{Body, Response};
use crate::session::ended::{EndReason, TokenFate};
use crate::session::record::{Kind, Session, Tokens};
use crate::session::return_to::ReturnTo;
use crate::session::whose::Whose;
use crate::session::{Found, Held};

/// Bytes of the form at most.
const MAX_FORM: usize = 16 * 1024;

/// `GET logout`, `POST logout`
///
/// # Errors
/// [`Refusal`]: another site's `POST`, or trouble of the store.
pub async fn answer(visit: &Visit<'_>, body: Body) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET, Method::POST])?;
    let posted = visit.head.method == Method::POST;
    let form = if posted && visit.headers().contains_key(http::header::CONTENT_TYPE) {
        Form::posted(visit.headers(), body, MAX_FORM).await?
    } else {
        Form::default()
    };
    if posted {
        visit.check_origin()?;
    }
    let next = visit.next();
    let held = match visit.site.sessions.open(visit.headers(), visit.now).await? {
        Found::Session(held) => held,
        Found::Ended(reason) => {
            let lines = visit.site.sessions.clear_lines(visit.headers());
            let place = logged_out_path(visit, &next, Some(refusal::ended(reason)), false);
            return Ok(with_lines(gone(visit, &place), lines));
        }
        Found::Nothing => {
            let lines = visit.site.sessions.clear_lines(visit.headers());
            let place = logged_out_path(visit, &next, None, false);
            return Ok(with_lines(gone(visit, &place), lines));
        }
    };
    if !posted && !visit.is_same_origin() {
        return Ok(question(visit, &held));
    }
    let everywhere = [form.first("everywhere"), visit.query.first("everywhere")]
        .into_iter()
        .flatten()
        .any(|word| matches!(word, "true" | "1"));
    end(visit, &held, everywhere, &next).await
}

/// A question, because another site's link asked.
fn question(visit: &Visit<'_>, held: &Held) -> Response {
    let action = visit.site.paths.to("logout");
    let page = Confirm {
        action: &action,
        hidden: Vec::new(),
        home: "/",
        user: Some(User {
            username: &held.session.username,
            realm: &held.session.realm,
        }),
        everywhere: true,
    };
    visit.site.pages.confirm(visit.headers(), &page)
}

async fn end(
    visit: &Visit<'_>,
    held: &Held,
    everywhere: bool,
    next: &ReturnTo,
) -> Result<Response, Refusal> {
    let session = &held.session;
    let sessions = &visit.site.sessions;
    let mut lines = sessions.clear_lines(visit.headers());
    lines.extend(visit.site.cookies.forget_rounds(visit.headers()));
    let fate = match session.kind {
        Kind::Saml | Kind::Oidc => TokenFate::Leave,
        Kind::Password | Kind::Kerberos | Kind::Pki | Kind::Anonymous => TokenFate::GiveBack,
    };
    // A store that could not be told has it in its own log; here the session is over all the same.
    let told = sessions
        .end(session, EndReason::LoggedOut, fate, visit.now)
        .await;
    let elsewhere = at_provider(visit, session).await;
    if everywhere {
        end_everywhere(visit, session).await?;
    }
    log(
        visit,
        session,
        if everywhere {
            Way::Everywhere
        } else {
            Way::User
        },
    );
    told.map_err(|trouble| Refusal::from(trouble).with_lines(lines.clone()))?;
    match elsewhere {
        Ok(Elsewhere { place, lines: more }) => {
            lines.extend(more);
            let place = place.unwrap_or_else(|| logged_out_path(visit, next, None, everywhere));
            Ok(with_lines(gone(visit, &place), lines))
        }
        Err(refusal) => Err(refusal.with_lines(lines)),
    }
}

/// Where a logout goes on.
#[derive(Default)]
struct Elsewhere {
    place: Option<String>,
    lines: Vec<Line>,
}

/// Ends the session at the authority and asks where the browser ends it at the identity provider.
async fn at_provider(visit: &Visit<'_>, session: &Session) -> Result<Elsewhere, Refusal> {
    let Some(tokens) = &session.tokens else {
        return Ok(Elsewhere::default());
    };
    if !matches!(session.kind, Kind::Saml | Kind::Oidc) {
        return Ok(Elsewhere::default());
    }
    let client = &visit.site.client;
    let granted = living(visit, tokens).await;
    let (access, refresh) = (&granted.access, granted.refresh.as_ref());
    let asked: Result<(Option<String>, Option<String>), SsoError> = match session.kind {
        Kind::Saml => client
            .saml_logout(access, refresh)
            .await
            .map(|told| (told.redirect, told.id)),
        _ => client
            .oidc_logout(access, refresh)
            .await
            .map(|place| (place, None)),
    };
    match asked {
        Ok((place, id)) => {
            let lines = match (&place, session.kind) {
                (Some(_), Kind::Saml) => remembered(visit, session, id),
                _ => Vec::new(),
            };
            Ok(Elsewhere { place, lines })
        }
        Err(error) => {
            give_back(client, &granted);
            let because = Refusal::of_sso(&error, Reason::LogoutIncomplete).detail;
            Err(Refusal::new(Reason::LogoutIncomplete).because(because))
        }
    }
}

/// Logouts take a token that is still good; an old one is exchanged for a new pair first.
async fn living(visit: &Visit<'_>, tokens: &Tokens) -> Granted {
    let kept = |access: &Secret, refresh: Option<&Secret>| Granted {
        access: access.clone(),
        refresh: refresh.cloned(),
        life: std::time::Duration::ZERO,
    };
    if let Some(refresh) = &tokens.refresh
        && tokens.expires <= visit.now.unix
        && let Ok(pair) = visit.site.client.refreshed_token(refresh).await
    {
        return kept(&pair.access, pair.refresh.as_ref());
    }
    kept(&tokens.access, tokens.refresh.as_ref())
}

/// Remembers a logout request, whose answer will come back.
fn remembered(visit: &Visit<'_>, session: &Session, request: Option<String>) -> Vec<Line> {
    let attempt = Attempt::new(
        &session.provider,
        Flow::SamlLogout { request },
        ReturnTo::root(),
        false,
        Attempt::new_id(),
        visit.now,
    );
    visit
        .site
        .attempts
        .keep(&attempt, visit.headers(), visit.now)
}

async fn end_everywhere(visit: &Visit<'_>, session: &Session) -> Result<(), Refusal> {
    let whose = Whose {
        username: Some(session.username.clone()),
        realm: Some(session.realm.clone()),
        ..Whose::default()
    };
    let ended = visit
        .site
        .sessions
        .end_all(&whose, EndReason::LoggedOut, visit.now)
        .await?;
    tracing::info!(
        target: "sidegate::sso",
        username = ?session.username, realm = session.realm, ended, request_id = visit.id,
        "logged out everywhere"
    );
    Ok(())
}

fn log(visit: &Visit<'_>, session: &Session, way: Way) {
    visit.metrics.logged_out(way);
    tracing::info!(
        target: "sidegate::sso",
        action = "user_logout", outcome = "success", way = way.label(), provider = session.provider,
        username = ?session.username, realm = session.realm, session = ?session.id,
        client = %visit.peer.client_ip, request_id = visit.id,
        "logged out"
    );
}

/// On to the page after a logout, or to the identity provider. A form may not lead to another origin, not even by a redirect, so
/// there a page goes on; a script is told where to go.
fn gone(visit: &Visit<'_>, place: &str) -> Response {
    if visit.wants_json() {
        return reply(StatusCode::OK, &json!({"location": place}));
    }
    if visit.head.method == Method::POST && !place.starts_with('/') {
        let page = Capture { proceed: place };
        return visit.site.pages.capture(visit.headers(), &page);
    }
    redirect(place)
}

fn logged_out_path(
    visit: &Visit<'_>,
    next: &ReturnTo,
    reason: Option<Reason>,
    everywhere: bool,
) -> String {
    let mut pairs = Vec::new();
    if let Some(reason) = reason {
        pairs.push(("reason", reason.label()));
    }
    if everywhere {
        pairs.push(("everywhere", "1"));
    }
    if next.as_str() != "/" {
        pairs.push(("next", next.as_str()));
    }
    visit.site.paths.with("logged-out", &pairs)
}

/// `GET logged-out`
///
/// # Errors
/// Another method.
pub fn page(visit: &Visit<'_>) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET])?;
    let reason = visit
        .query
        .first("reason")
        .and_then(Reason::from_label)
        .filter(|reason| reason.class() == Class::Ended);
    let next = visit.next();
    let login = visit.site.paths.with("login", &[("next", next.as_str())]);
    let page = LoggedOut {
        reason,
        everywhere: visit.query.first("everywhere").is_some(),
        login: &login,
        request_id: visit.id,
    };
    Ok(visit.site.pages.logged_out(visit.headers(), &page))
}

/// The identity provider's answer to our logout request: verified, and then the same page either way.
///
/// # Errors
/// [`Reason::LogoutUnverified`]
pub async fn completed(
    visit: &Visit<'_>,
    provider: &str,
    realm: &str,
    message: SamlMessage<'_>,
) -> Result<Response, Refusal> {
    let attempts = &visit.site.attempts;
    let pending = attempts.logout_pending(provider, visit.headers(), visit.now);
    let lines = pending
        .as_ref()
        .map(|attempt| attempts.clear(attempt, visit.headers()))
        .unwrap_or_default();
    let request = pending.as_ref().and_then(|attempt| match &attempt.flow {
        Flow::SamlLogout { request } => request.as_deref(),
        Flow::Saml { .. } | Flow::Oidc { .. } => None,
    });
    let place = logged_out_path(visit, &ReturnTo::root(), None, false);
    if pending.is_some() && request.is_none() {
        tracing::info!(
            target: "sidegate::sso",
            provider, request_id = visit.id,
            "the authority did not tell its logout request, so the answer is not verified"
        );
        return Ok(with_lines(redirect(&place), lines));
    }
    let ids: Vec<&str> = request.into_iter().collect();
    let asked = visit
        .site
        .client
        .saml_complete_logout(realm, &ids, message)
        .await;
    if let Err(error) = asked {
        let detail = Refusal::of_sso(&error, Reason::LogoutUnverified).detail;
        return Err(Refusal::new(Reason::LogoutUnverified)
            .because(detail)
            .with_lines(lines));
    }
    Ok(with_lines(redirect(&place), lines))
}

/// Counts and logs a logout that the identity provider asked for.
pub fn note_provider_logout(visit: &Visit<'_>, provider: &str, way: Way, ended: u64) {
    visit.metrics.logged_out(way);
    tracing::info!(
        target: "sidegate::sso",
        action = "user_logout", outcome = "success", way = way.label(), provider, ended,
        client = %visit.peer.client_ip, request_id = visit.id,
        "logged out by the identity provider"
    );
}
