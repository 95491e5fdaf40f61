//! What people must agree to before their session lets them in.

use http::Method;

use super::form::Form;
use super::pages::context::{Agreement, Field, User};
use super::pages::reason::Reason;
use super::password::refused_form;
use super::refusal::Refusal;
use super::visit::{Visit, redirect, with_lines};
use crate::net::http::{Body, Response};

/// Bytes of the form at most.
const MAX_FORM: usize = 16 * 1024;

/// `GET agreement` shows it, `POST` is its form.
///
/// # Errors
/// [`Refusal`] when the form is not ours, or trouble of the store.
pub async fn answer(visit: &Visit<'_>, body: Body) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET, Method::POST])?;
    let posted = match visit.head.method {
        Method::POST => Some(Form::posted(visit.headers(), body, MAX_FORM).await?),
        _ => None,
    };
    let next = match &posted {
        Some(form) => visit.next_in(form),
        None => visit.next(),
    };
    let paths = &visit.site.paths;
    let Some(held) = visit.session().await? else {
        return Ok(redirect(&paths.with("login", &[("next", next.as_str())])));
    };
    let provider = visit.site.provider(&held.session.provider)?;
    let (Some(message), false) = (&provider.access_agreement, held.session.agreed) else {
        return Ok(redirect(next.as_str()));
    };
    if let Some(form) = posted {
        visit.check_origin()?;
        let token = form.first("token").unwrap_or_default();
        let cookies = &visit.site.cookies;
        cookies
            .check_form(visit.site.keyring(), visit.headers(), token, visit.now)
            .map_err(refused_form)?;
        if form.first("answer") != Some("accept") {
            return Err(Refusal::new(Reason::AgreementDeclined).on_the_way_to(&next));
        }
        visit.site.sessions.agree(&held.live).await?;
        tracing::info!(
            target: "sidegate::sso",
            action = "access_agreement_acknowledged", outcome = "success", provider = provider.name,
            username = ?held.session.username, realm = held.session.realm, session = ?held.session.id,
            client = %visit.peer.client_ip, request_id = visit.id,
            "access agreement accepted"
        );
        let lines = visit.site.sessions.lines(&held, visit.now);
        return Ok(with_lines(redirect(next.as_str()), lines));
    }
    let token = visit
        .site
        .cookies
        .form_token(visit.site.keyring(), visit.headers(), visit.now);
    let (action, decline) = (paths.to("agreement"), paths.to("logout"));
    let page = Agreement {
        message,
        action: &action,
        hidden: vec![
            Field {
                name: "token",
                value: &token.token,
            },
            Field {
                name: "next",
                value: next.as_str(),
            },
        ],
        decline: &decline,
        user: Some(User {
            username: &held.session.username,
            realm: &held.session.realm,
        }),
    };
    let response = visit.site.pages.agreement(visit.headers(), &page);
    Ok(with_lines(response, token.line))
}
