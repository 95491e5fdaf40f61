//! SAML: the way there, and the responses that come back.
//!
//! Always true: nothing in a response is believed before the authority accepted it; it is asked with the requests of this browser
//! alone, so a response to somebody else's request, or to none of ours any more, leads nowhere. What an identity provider began
//! (no request at all) is accepted once. A cross-site `POST` brings few cookies; where one is missed, the browser is asked to send
//! the form again from our own page, once.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;

use super::attempt::{Attempt, Flow, Lookup};
use super::finish::{Arrival, Granted, Proof, finish, give_back};
use super::form::Form;
use super::landing::{ended_badly, used_again};
use super::pages::context::{Bounce, Field};
use super::pages::reason::Reason;
use super::refusal::Refusal;
use super::used::{Claim, FirstUse};
use super::visit::{Visit, redirect};
use crate::config::sso::{Provider, ProviderKind};
use crate::elastic::sso::{SsoError, SsoLogin};
use crate::net::http::{Body, Response};
use crate::session::return_to::ReturnTo;

/// Longest `SAMLResponse`, in bytes of base64.
const MAX_RESPONSE: usize = 256 * 1024;
/// Bytes of the form at most: base64 grows when it is percent-encoded.
const MAX_FORM: usize = 2 * MAX_RESPONSE;
/// Longest `RelayState` looked at.
const MAX_RELAY_STATE: usize = 4_096;
/// Marks a form that was sent again from our own page.
const BOUNCED: &str = "sidegate_again";

/// Begins a login at a realm: what to remember, and where to go.
///
/// # Errors
/// [`Refusal`] when the authority can't begin one.
pub async fn prepare(visit: &Visit<'_>, realm: &str, id: &str) -> Result<(Flow, String), Refusal> {
    let relay_state = Attempt::relay_state(id);
    let request = visit
        .site
        .client
        .saml_prepare(realm, Some(&relay_state))
        .await
        .map_err(|error| Refusal::of_sso(&error, Reason::RealmNotReady))?;
    Ok((
        Flow::Saml {
            request: request.id,
        },
        request.redirect,
    ))
}

/// What came to the assertion consumer service.
struct Message {
    content: String,
    relay_state: String,
    bounced: bool,
    /// What our own page said when it sent the form again.
    next: ReturnTo,
}

/// Whose response it may be.
enum Whose {
    /// This attempt's.
    Attempt(Box<Attempt>),
    /// One of these, or nobody's: the identity provider began.
    Unnamed(Vec<Attempt>),
    /// One that went well before: the back button, or a reload.
    Done,
    /// Nothing can be said before the browser sends it again.
    Again(Option<ReturnTo>),
}

/// `POST saml/<provider>/acs`
///
/// # Errors
/// [`Refusal`] for every response that leads to no session.
pub async fn acs(visit: &Visit<'_>, provider: &Provider, body: Body) -> Result<Response, Refusal> {
    visit.check_method(&[Method::POST])?;
    let ProviderKind::Saml { realm, .. } = &provider.kind else {
        return Err(Refusal::new(Reason::ProviderUnknown).because("not a SAML provider"));
    };
    let message = message(visit, body).await?;
    let whose = whose(visit, provider, &message).await?;
    let (attempt, pending) = match whose {
        Whose::Done => return Ok(redirect(message.next.as_str())),
        Whose::Again(next) => return Ok(again(visit, &message, next.as_ref())),
        Whose::Attempt(attempt) => (Some(attempt), Vec::new()),
        Whose::Unnamed(pending) => (None, pending),
    };
    let claimed = match &attempt {
        Some(attempt) => attempt.id.clone(),
        None => digest_of(&message.content),
    };
    let first = match visit.used.claim(&claimed, &visit.site.uses).await? {
        Claim::First(first) => first,
        Claim::Again { succeeded } => return used_again(attempt.as_deref(), succeeded),
    };
    let ids: Vec<&str> = attempt
        .iter()
        .map(|attempt| &**attempt)
        .chain(&pending)
        .filter_map(request_of)
        .collect();
    let answered = visit
        .site
        .client
        .saml_authenticate(realm, &message.content, &ids)
        .await;
    let login = match answered {
        Ok(login) => login,
        Err(error) => return Err(not_accepted(visit, &error, first, attempt.as_deref(), &ids)),
    };
    let attempt = match attempt {
        Some(attempt) => Some(*attempt),
        None => answered_one(&login, &message, pending),
    };
    arrive(visit, provider, &message, login, attempt, first).await
}

async fn message(visit: &Visit<'_>, body: Body) -> Result<Message, Refusal> {
    let malformed = Reason::SamlResponseMalformed;
    let form = Form::posted(visit.headers(), body, MAX_FORM).await?;
    let Some(content) = form.once("SAMLResponse", malformed)? else {
        return Err(Refusal::new(malformed).because("there is no SAMLResponse"));
    };
    if content.len() > MAX_RESPONSE {
        return Err(Refusal::new(Reason::RequestTooLarge).because("SAMLResponse is too long"));
    }
    // Some providers break lines; the authority takes it as it came.
    let joined: String = content.split_ascii_whitespace().collect();
    if STANDARD.decode(&joined).is_err() {
        return Err(Refusal::new(malformed).because("SAMLResponse is no base64"));
    }
    let relay_state = form.once("RelayState", malformed)?.unwrap_or_default();
    Ok(Message {
        content: content.to_owned(),
        relay_state: relay_state.chars().take(MAX_RELAY_STATE).collect(),
        bounced: form.has(BOUNCED),
        next: visit.place(form.first("next"), None),
    })
}

/// Finds what this browser began, by the name that came back with the response.
async fn whose(
    visit: &Visit<'_>,
    provider: &Provider,
    message: &Message,
) -> Result<Whose, Refusal> {
    let attempts = &visit.site.attempts;
    let Some(id) = Attempt::id_of_relay_state(&message.relay_state) else {
        let pending = attempts.saml_pending(&provider.name, visit.headers(), visit.now);
        if pending.is_empty() && !message.bounced {
            return Ok(Whose::Again(None));
        }
        return Ok(Whose::Unnamed(pending));
    };
    match attempts.find(id, visit.headers(), visit.now) {
        Lookup::Found(attempt) => {
            check_attempt(&attempt, provider)?;
            // A session that was there must be seen, or its tokens would be left behind.
            if attempt.had_session && !message.bounced && visit.session().await?.is_none() {
                return Ok(Whose::Again(Some(attempt.next)));
            }
            Ok(Whose::Attempt(attempt))
        }
        Lookup::Expired(attempt) => {
            let lines = attempts.clear(&attempt, visit.headers());
            Err(Refusal::new(Reason::AttemptExpired)
                .on_the_way_to(&attempt.next)
                .with_lines(lines))
        }
        Lookup::Missing if !message.bounced => Ok(Whose::Again(None)),
        Lookup::Missing => match visit.used.peek(id, &visit.site.uses).await {
            Some(true) if visit.session().await?.is_some() => Ok(Whose::Done),
            Some(_) => Err(Refusal::new(Reason::AttemptUsed)),
            None => Err(Refusal::new(Reason::AttemptMissing)
                .because("the response belongs to an attempt that this browser does not hold")),
        },
    }
}

fn check_attempt(attempt: &Attempt, provider: &Provider) -> Result<(), Refusal> {
    if attempt.provider == provider.name && matches!(attempt.flow, Flow::Saml { .. }) {
        return Ok(());
    }
    Err(Refusal::new(Reason::AttemptMismatch)
        .because(format!("the attempt was begun at {}", attempt.provider)))
}

fn request_of(attempt: &Attempt) -> Option<&str> {
    match &attempt.flow {
        Flow::Saml { request } => Some(request),
        Flow::Oidc { .. } | Flow::SamlLogout { .. } => None,
    }
}

/// Has the browser send the form again from our own page: then it brings the cookies that a cross-site `POST` leaves behind.
fn again(visit: &Visit<'_>, message: &Message, next: Option<&ReturnTo>) -> Response {
    let mut fields = vec![
        Field {
            name: "SAMLResponse",
            value: &message.content,
        },
        Field {
            name: "RelayState",
            value: &message.relay_state,
        },
        Field {
            name: BOUNCED,
            value: "1",
        },
    ];
    if let Some(next) = next {
        fields.push(Field {
            name: "next",
            value: next.as_str(),
        });
    }
    let page = Bounce {
        action: visit.head.uri.path(),
        fields,
    };
    visit.site.pages.bounce(visit.headers(), &page)
}

fn digest_of(content: &str) -> String {
    let hash = digest::digest(&digest::SHA256, content.as_bytes());
    URL_SAFE_NO_PAD.encode(hash)
}

fn not_accepted(
    visit: &Visit<'_>,
    error: &SsoError,
    first: FirstUse,
    attempt: Option<&Attempt>,
    ids: &[&str],
) -> Refusal {
    let unsolicited = matches!(
        error,
        SsoError::Refused {
            unsolicited: true,
            ..
        }
    );
    let reason = match (unsolicited, ids.is_empty()) {
        (true, true) => Reason::AttemptMissing,
        (true, false) => Reason::SamlRequestMismatch,
        (false, _) => Reason::SamlResponseRefused,
    };
    ended_badly(visit, Refusal::of_sso(error, reason), first, attempt)
}

/// Which of several attempts an accepted response answered. Older authorities don't tell; then the response itself is read, only
/// to choose among places that are all this browser's own.
fn answered_one(login: &SsoLogin, message: &Message, pending: Vec<Attempt>) -> Option<Attempt> {
    let xml = match &login.in_response_to {
        Some(_) => Vec::new(),
        None => {
            let joined: String = message.content.split_ascii_whitespace().collect();
            STANDARD.decode(joined).unwrap_or_default()
        }
    };
    let names = |request: &str| match &login.in_response_to {
        Some(answered) => answered == request,
        None => {
            let quoted = format!("\"{request}\"");
            xml.windows(quoted.len()).any(|at| at == quoted.as_bytes())
        }
    };
    pending
        .into_iter()
        .find(|attempt| request_of(attempt).is_some_and(names))
}

async fn arrive(
    visit: &Visit<'_>,
    provider: &Provider,
    message: &Message,
    login: SsoLogin,
    attempt: Option<Attempt>,
    first: FirstUse,
) -> Result<Response, Refusal> {
    let granted = Granted {
        access: login.access,
        refresh: login.refresh,
        life: login.life,
    };
    let answered = attempt.as_ref().and_then(request_of);
    if let (Some(told), Some(ours)) = (&login.in_response_to, answered)
        && told != ours
    {
        give_back(&visit.site.client, &granted);
        let refusal = Refusal::new(Reason::SamlRequestMismatch);
        return Err(ended_badly(visit, refusal, first, attempt.as_ref()));
    }
    let next = match &attempt {
        Some(attempt) => attempt.next.clone(),
        None => deep_link(visit, provider, &message.relay_state),
    };
    let lines = attempt
        .as_ref()
        .map(|attempt| visit.site.attempts.clear(attempt, visit.headers()))
        .unwrap_or_default();
    let arrival = Arrival {
        provider,
        next,
        proof: Proof::Tokens(granted),
        certificate: None,
        lines,
    };
    match finish(visit, arrival).await {
        Ok(response) => {
            first.succeeded();
            Ok(response)
        }
        // The response is used up at the authority, whatever went wrong afterwards.
        Err(mut refusal) => {
            refusal.passing = false;
            Err(ended_badly(visit, refusal, first, attempt.as_ref()))
        }
    }
}

/// Where a login that the identity provider began leads.
fn deep_link(visit: &Visit<'_>, provider: &Provider, relay_state: &str) -> ReturnTo {
    let ProviderKind::Saml {
        relay_state_deep_links,
        ..
    } = provider.kind
    else {
        return ReturnTo::root();
    };
    if relay_state.is_empty() {
        return ReturnTo::root();
    }
    let own = visit.site.sso.public_url.origin();
    let path = match relay_state.strip_prefix(own.as_str()) {
        Some(rest) if rest.starts_with('/') => rest,
        Some(_) | None => relay_state,
    };
    let place = ReturnTo::parse(path).filter(|_| relay_state_deep_links);
    match place {
        Some(_) => visit.place(Some(path), None),
        None => {
            tracing::info!(
                target: "sidegate::sso",
                provider = provider.name, deep_links = relay_state_deep_links, request_id = visit.id,
                "relay state is no place to go"
            );
            ReturnTo::root()
        }
    }
}
