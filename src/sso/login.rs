//! The login page, and the beginning of a login at a provider.
//!
//! With one way on this host the page is left out: a provider elsewhere begins at once (after a page that takes the URL's
//! fragment along), a form is shown. Ways that need nobody's click and are not shown, a certificate or a ticket, are tried first.

use std::time::Duration;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};

use super::attempt::Attempt;
use super::cookies::MAX_ROUNDS;
use super::depart::leave;
use super::oidc;
use super::pages::context::{Capture, Notice};
use super::pages::reason::Reason;
use super::password;
use super::refusal::{self, Refusal};
use super::saml;
use super::selector::{beginning, show, visible};
use super::silent;
use super::visit::{Visit, redirect, with_lines};
use crate::config::sso::{Provider, ProviderKind};
use crate::net::http::{Body, PeerCertificate, Response};
use crate::session::return_to::ReturnTo;
use crate::session::{Found, Held};

/// `GET login`
///
/// # Errors
/// [`Refusal`]
pub async fn page(visit: &Visit<'_>) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET])?;
    let next = visit.next();
    if let Some(name) = visit.query.first("provider")
        && visit
            .site
            .offered(name, &visit.host)
            .is_ok_and(|it| it.in_selector)
    {
        return Ok(redirect(&beginning(visit, name, &next)));
    }
    let notice = match visit.site.sessions.open(visit.headers(), visit.now).await? {
        // Whoever asks to choose may, with a session too.
        Found::Session(held) if visit.query.first("choose").is_none() => {
            return already_in(visit, &held, &next);
        }
        Found::Ended(reason) => Some(refusal::ended(reason)),
        Found::Session(_) | Found::Nothing => told(visit),
    };
    // Whoever clicked on the way out of a circle chooses, and is counted anew.
    let again = visit.query.has("again");
    if visit.site.cookies.rounds(visit.headers(), visit.now) >= MAX_ROUNDS && !again {
        return Err(going_in_circles(visit, &next));
    }
    if !again && let Some(response) = unasked(visit, &next).await {
        return Ok(response);
    }
    let visible: Vec<&Provider> = visible(visit);
    match visible.as_slice() {
        [only] if begins_by_itself(&only.kind) && notice.is_none() && !again => {
            let proceed = beginning(visit, &only.name, &next);
            let page = Capture { proceed: &proceed };
            Ok(visit.site.pages.capture(visit.headers(), &page))
        }
        _ => {
            let notice = notice.map(|reason| Notice {
                reason,
                retry_after: None,
            });
            let mut response = show(visit, &visible, &next, "", notice, None);
            if again {
                let lines = visit.site.cookies.forget_rounds(visit.headers());
                response = with_lines(response, lines);
            }
            Ok(offer_negotiate(visit, response))
        }
    }
}

/// What the link that led here says about the session that ended; only of the codes for that.
fn told(visit: &Visit<'_>) -> Option<Reason> {
    let reason = Reason::from_label(visit.query.first("reason")?)?;
    (reason.class() == super::pages::reason::Class::Ended).then_some(reason)
}

/// Somebody with a session has nothing to do here. One who comes back and back has a session that the application's routes do
/// not take.
fn already_in(visit: &Visit<'_>, held: &Held, next: &ReturnTo) -> Result<Response, Refusal> {
    let cookies = &visit.site.cookies;
    if cookies.rounds(visit.headers(), visit.now) >= MAX_ROUNDS {
        return Err(going_in_circles(visit, next));
    }
    let place = if held.session.agreed {
        next.as_str().to_owned()
    } else {
        visit
            .site
            .paths
            .with("agreement", &[("next", next.as_str())])
    };
    let count = cookies.count_round(visit.headers(), visit.now);
    Ok(with_lines(redirect(&place), count))
}

fn going_in_circles(visit: &Visit<'_>, next: &ReturnTo) -> Refusal {
    let rounds = visit.site.cookies.rounds(visit.headers(), visit.now);
    Refusal::new(Reason::RedirectLoop)
        .because(format!("{rounds} logins within a minute"))
        .on_the_way_to(next)
        .retry_after(Duration::from_secs(60))
}

/// Tries what needs nobody's click: the first provider that is not shown and whose proof is at hand.
async fn unasked(visit: &Visit<'_>, next: &ReturnTo) -> Option<Response> {
    let mut hidden = visit
        .site
        .offered_on(&visit.host)
        .filter(|provider| !provider.in_selector);
    let ready = hidden.find(|provider| match provider.kind {
        ProviderKind::Pki => matches!(visit.peer.certificate, PeerCertificate::Present(_)),
        ProviderKind::Kerberos => silent::ticket(visit).is_some(),
        _ => false,
    })?;
    // A certificate that is not accepted must not keep anybody from the other ways.
    let outcome = match ready.kind {
        ProviderKind::Pki => silent::certificate(visit, ready, next).await,
        _ => silent::negotiate(visit, ready, next).await,
    };
    match outcome {
        Ok(response) => Some(response),
        Err(refusal) => {
            tracing::info!(
                target: "sidegate::sso",
                provider = ready.name, reason = refusal.reason.label(), detail = refusal.detail,
                client = %visit.peer.client_ip, request_id = visit.id,
                "not logged in unasked"
            );
            None
        }
    }
}

/// Browsers that have a ticket bring it when they are told that it would help; all others show the page.
fn offer_negotiate(visit: &Visit<'_>, mut response: Response) -> Response {
    let offered = visit
        .site
        .offered_on(&visit.host)
        .any(|provider| !provider.in_selector && matches!(provider.kind, ProviderKind::Kerberos));
    if offered
        && visit.headers().get(AUTHORIZATION).is_none()
        && response.status() == StatusCode::OK
    {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        let negotiate = HeaderValue::from_static("Negotiate");
        response.headers_mut().insert(WWW_AUTHENTICATE, negotiate);
    }
    response
}

const fn begins_by_itself(kind: &ProviderKind) -> bool {
    !matches!(kind, ProviderKind::Password)
}

/// `GET login/<provider>` begins a login there; `POST` is its form.
///
/// # Errors
/// [`Refusal`]
pub async fn start(visit: &Visit<'_>, name: &str, body: Body) -> Result<Response, Refusal> {
    let provider = visit.site.offered(name, &visit.host)?;
    if matches!(provider.kind, ProviderKind::Password) {
        visit.check_method(&[Method::GET, Method::POST])?;
        if visit.head.method == Method::POST {
            return password::submitted(visit, provider, body).await;
        }
        let all = visible(visit);
        return Ok(show(visit, &all, &visit.next(), "", None, Some(provider)));
    }
    visit.check_method(&[Method::GET])?;
    if visit.head.method == Method::HEAD {
        return Err(Refusal::new(Reason::MethodNotAllowed).because("HEAD begins nothing"));
    }
    let next = visit.next();
    let begun = match &provider.kind {
        ProviderKind::Saml { .. } | ProviderKind::Oidc { .. } => {
            elsewhere(visit, provider, &next).await
        }
        ProviderKind::Kerberos => silent::kerberos(visit, provider, &next).await,
        ProviderKind::Pki => silent::certificate(visit, provider, &next).await,
        ProviderKind::Anonymous(credential) => {
            silent::guest(visit, provider, credential, &next).await
        }
        ProviderKind::Password => return Err(Refusal::new(Reason::Internal)),
    };
    begun.map_err(|refusal| refusal.on_the_way_to(&next))
}

/// Begins a login at an identity provider.
async fn elsewhere(
    visit: &Visit<'_>,
    provider: &Provider,
    next: &ReturnTo,
) -> Result<Response, Refusal> {
    if let Some(there) = at_public_host(visit, provider, next) {
        return Ok(there);
    }
    if visit.site.cookies.rounds(visit.headers(), visit.now) >= MAX_ROUNDS
        && !visit.query.has("again")
    {
        return Err(going_in_circles(visit, next));
    }
    let id = Attempt::new_id();
    let (flow, place) = match &provider.kind {
        ProviderKind::Saml { realm, .. } => saml::prepare(visit, realm, &id).await?,
        ProviderKind::Oidc { realm, .. } => oidc::prepare(visit, realm, &id).await?,
        _ => return Err(Refusal::new(Reason::Internal)),
    };
    leave(visit, provider, (id, flow), next, &place).await
}

/// Cookies of another host would not come along to the callback. A proxy that hides the host from us is told by the mark: then
/// this is the right host after all.
fn at_public_host(visit: &Visit<'_>, provider: &Provider, next: &ReturnTo) -> Option<Response> {
    if visit.is_at_public_host() || visit.query.has("moved") {
        return None;
    }
    let mut place = visit.site.sso.public_url.origin();
    let path = visit
        .site
        .paths
        .start(&provider.name, &[("next", next.as_str()), ("moved", "1")]);
    place.push_str(&path);
    Some(redirect(&place))
}
