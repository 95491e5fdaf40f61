//! User name and password: a form of ours, exchanged for tokens at once.
//!
//! Always true: the form is one that this browser got from us; failures count against address and name before the authority is
//! asked; the password is kept nowhere.

use super::cookies::FormFault;
use super::finish::{Arrival, Granted, Proof, finish};
use super::form::Form;
use super::pages::context::Notice;
use super::pages::reason::Reason;
use super::refusal::Refusal;
use super::selector;
use super::visit::Visit;
use crate::config::sso::Provider;
use crate::elastic::exchanges::ExchangeError;
use crate::model::secret::Secret;
use crate::net::http::{Body, Response};
use crate::session::return_to::ReturnTo;

/// Bytes of the form at most.
const MAX_FORM: usize = 32 * 1024;
/// Longest user name, in bytes.
const MAX_USERNAME: usize = 1_024;
/// Longest password, in bytes.
const MAX_PASSWORD: usize = 4_096;

/// The form was sent.
///
/// # Errors
/// [`Refusal`] for whatever the form can't be shown again for.
pub async fn submitted(
    visit: &Visit<'_>,
    provider: &Provider,
    body: Body,
) -> Result<Response, Refusal> {
    visit.check_origin()?;
    let form = Form::posted(visit.headers(), body, MAX_FORM).await?;
    let next = visit.next_in(&form);
    let username = form.first("username").unwrap_or_default();
    match tried(visit, provider, &form, username, &next).await {
        Ok(response) => Ok(response),
        Err(refusal) if is_for_the_form(refusal.reason) => {
            super::outcome::note(visit, &refusal, Some(provider));
            let notice = Notice {
                reason: refusal.reason,
                retry_after: refusal.retry_after.map(|after| after.as_secs().max(1)),
            };
            let all = selector::visible(visit);
            let typed: String = username.chars().take(256).collect();
            Ok(selector::show(
                visit,
                &all,
                &next,
                &typed,
                Some(notice),
                Some(provider),
            ))
        }
        Err(refusal) => Err(refusal.on_the_way_to(&next)),
    }
}

/// What the form is shown again for: the person may just try once more.
const fn is_for_the_form(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PasswordWrong
            | Reason::PasswordMissing
            | Reason::TooManyFailures
            | Reason::FormExpired
            | Reason::AuthorityUnavailable
    )
}

async fn tried(
    visit: &Visit<'_>,
    provider: &Provider,
    form: &Form,
    username: &str,
    next: &ReturnTo,
) -> Result<Response, Refusal> {
    let token = form.first("token").unwrap_or_default();
    visit
        .site
        .cookies
        .check_form(visit.site.keyring(), visit.headers(), token, visit.now)
        .map_err(refused_form)?;
    let password = form.first("password").unwrap_or_default();
    if username.is_empty() || password.is_empty() {
        return Err(Refusal::new(Reason::PasswordMissing));
    }
    if username.len() > MAX_USERNAME || password.len() > MAX_PASSWORD {
        return Err(Refusal::new(Reason::PasswordWrong).because("longer than any is"));
    }
    let password = Secret::from(password);
    let address = visit.peer.client_ip;
    visit
        .limiter
        .check(address, Some(username), visit.now)
        .map_err(|blocked| {
            let mut refusal = Refusal::new(Reason::TooManyFailures)
                .because(format!("too many failures by {}", blocked.by))
                .retry_after(blocked.retry_after);
            refusal.user = Some(Box::new((
                username.chars().take(256).collect(),
                String::new(),
            )));
            refusal
        })?;
    let exchanged = visit
        .site
        .client
        .token_for_password(username, &password)
        .await;
    let tokens = match exchanged {
        Ok(tokens) => tokens,
        Err(error) => {
            let wrong = matches!(
                error,
                ExchangeError::Refused { .. } | ExchangeError::InvalidGrant { .. }
            );
            if wrong {
                visit.limiter.failed(address, Some(username), visit.now);
            }
            let mut refusal = Refusal::of_exchange(&error, Reason::PasswordWrong);
            let typed = username.chars().take(256).collect();
            refusal.user = Some(Box::new((typed, String::new())));
            return Err(refusal);
        }
    };
    let arrival = Arrival {
        provider,
        next: next.clone(),
        proof: Proof::Tokens(Granted {
            access: tokens.access,
            refresh: tokens.refresh,
            life: tokens.life,
        }),
        certificate: None,
        lines: Vec::new(),
    };
    finish(visit, arrival).await
}

/// A form that is not the one this browser got.
pub fn refused_form(fault: FormFault) -> Refusal {
    match fault {
        FormFault::NoCookie => {
            Refusal::new(Reason::CookiesBlocked).because("the form came without its cookie")
        }
        FormFault::Token => {
            Refusal::new(Reason::FormExpired).because("the form's token is another one or too old")
        }
    }
}
