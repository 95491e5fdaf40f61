//! OpenID Connect: the way there, and the callbacks that come back.
//!
//! Always true: state and nonce are ours and random, and known to this browser's cookie alone; a callback is matched to its
//! attempt by `state` and to the provider by its path before the authority is asked; each attempt is used once.

use http::Method;

use super::attempt::{Attempt, Flow, Lookup};
use super::depart;
use super::finish::{Arrival, Granted, Proof, finish};
use super::form::Form;
use super::landing::{ended_badly, used_again};
use super::pages::context::{Bounce, Field, Implicit};
use super::pages::reason::Reason;
use super::refusal::Refusal;
use super::used::Claim;
use super::visit::{Visit, redirect};
use crate::config::sso::{Provider, ProviderKind};
use crate::elastic::sso::{OidcRealm, OidcRequest};
use crate::model::clock;
use crate::model::secret::Secret;
use crate::net::http::{Body, Response};
use crate::session::return_to::ReturnTo;

/// Bytes of a posted callback at most: an implicit response holds tokens.
const MAX_FORM: usize = 64 * 1024;
/// Longest `iss`, `login_hint` and the like.
const MAX_PARAMETER: usize = 2_048;
/// Marks a form that was sent again from our own page.
const BOUNCED: &str = "sidegate_again";
/// What a callback may hold that has to travel on when it is sent again.
const CALLBACK_FIELDS: [&str; 8] = [
    "code",
    "state",
    "error",
    "error_description",
    "error_uri",
    "iss",
    "session_state",
    "id_token",
];

/// Begins a login at a realm: what to remember, and where to go.
///
/// # Errors
/// [`Refusal`] when the authority can't begin one.
pub async fn prepare(visit: &Visit<'_>, realm: &str, id: &str) -> Result<(Flow, String), Refusal> {
    let (flow, request) = begin(visit, OidcRealm::Named(realm), id).await?;
    Ok((flow, request.redirect))
}

async fn begin(
    visit: &Visit<'_>,
    realm: OidcRealm<'_>,
    id: &str,
) -> Result<(Flow, OidcRequest), Refusal> {
    use base64::Engine as _;
    let (state, random) = Attempt::new_state(id);
    let nonce =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(clock::random_bytes::<32>());
    let asked = (&state, &Secret::from(nonce.as_str()));
    let request = visit
        .site
        .client
        .oidc_prepare(realm, asked.0, asked.1)
        .await
        .map_err(|error| Refusal::of_sso(&error, Reason::RealmNotReady))?;
    if (&request.state, &request.nonce) != asked {
        return Err(Refusal::new(Reason::AuthorityAnswer)
            .because("the authority began a login with another state"));
    }
    let flow = Flow::Oidc {
        state: random,
        nonce,
    };
    Ok((flow, request))
}

/// `GET oidc/<provider>/callback`, `POST` for what came in a fragment or as a form.
///
/// # Errors
/// [`Refusal`] for every callback that leads to no session.
pub async fn callback(
    visit: &Visit<'_>,
    provider: &Provider,
    body: Body,
) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET, Method::POST])?;
    let ProviderKind::Oidc { realm, .. } = &provider.kind else {
        return Err(Refusal::new(Reason::ProviderUnknown).because("not an OpenID Connect provider"));
    };
    let path = visit.head.uri.path();
    if visit.head.method != Method::POST {
        let query = visit.head.uri.query().unwrap_or_default();
        if !["code", "state", "error"]
            .iter()
            .any(|name| visit.query.has(name))
        {
            return Ok(implicit(visit));
        }
        let redirect_uri = format!("{path}?{query}");
        return answered(visit, (provider, realm), &visit.query, &redirect_uri, false).await;
    }
    let form = Form::posted(visit.headers(), body, MAX_FORM).await?;
    if let Some(fragment) = form.once("response", Reason::OidcResponseMalformed)? {
        visit.check_origin()?;
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !fragment.bytes().all(plain) {
            return Err(Refusal::new(Reason::OidcResponseMalformed).because("no plain fragment"));
        }
        let redirect_uri = format!("{path}#{fragment}");
        let parameters = Form::parse(fragment.as_bytes());
        return answered(visit, (provider, realm), &parameters, &redirect_uri, false).await;
    }
    // `response_mode=form_post`: the same as a query, but cookies may have stayed behind.
    let redirect_uri = format!("{path}?{}", posted_query(&form)?);
    let may_bounce = !form.has(BOUNCED);
    answered(visit, (provider, realm), &form, &redirect_uri, may_bounce).await
}

/// What was posted, as the query it would have been.
fn posted_query(form: &Form) -> Result<String, Refusal> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in CALLBACK_FIELDS {
        if let Some(value) = form.once(name, Reason::OidcResponseMalformed)? {
            query.append_pair(name, value);
        }
    }
    Ok(query.finish())
}

/// The response is in the fragment, which only the browser sees: a page of ours sends it on.
fn implicit(visit: &Visit<'_>) -> Response {
    let login = visit.site.paths.to("login");
    let page = Implicit {
        action: visit.head.uri.path(),
        hidden: Vec::new(),
        login: &login,
    };
    visit.site.pages.implicit(visit.headers(), &page)
}

async fn answered(
    visit: &Visit<'_>,
    (provider, realm): (&Provider, &str),
    parameters: &Form,
    redirect_uri: &str,
    may_bounce: bool,
) -> Result<Response, Refusal> {
    let malformed = Reason::OidcResponseMalformed;
    let state = parameters
        .once("state", malformed)?
        .ok_or_else(|| Refusal::new(malformed).because("there is no state"))?;
    parameters.once("code", malformed)?;
    let error = parameters.once("error", malformed)?;
    let id = Attempt::id_of_state(state).ok_or_else(|| {
        Refusal::new(Reason::OidcStateUnknown).because("the state is none of ours")
    })?;
    let attempt = match visit.site.attempts.find(id, visit.headers(), visit.now) {
        Lookup::Found(attempt) => attempt,
        Lookup::Expired(attempt) => {
            let lines = visit.site.attempts.clear(&attempt, visit.headers());
            return Err(Refusal::new(Reason::AttemptExpired)
                .on_the_way_to(&attempt.next)
                .with_lines(lines));
        }
        Lookup::Missing if may_bounce => return Ok(again(visit, parameters)),
        Lookup::Missing => return missing(visit, id).await,
    };
    let nonce = check_attempt(&attempt, provider, state)?;
    let first = match visit.used.claim(&attempt.id, &visit.site.uses).await? {
        Claim::First(first) => first,
        Claim::Again { succeeded } => return used_again(Some(&attempt), succeeded),
    };
    if let Some(error) = error {
        let refusal = provider_error(error, parameters);
        return Err(ended_badly(visit, refusal, first, Some(&attempt)));
    }
    let secrets = (&Secret::from(state), &Secret::from(nonce));
    match exchange(visit, (provider, realm), &attempt, redirect_uri, secrets).await {
        Ok(response) => {
            first.succeeded();
            Ok(response)
        }
        Err(refusal) => Err(ended_badly(visit, refusal, first, Some(&attempt))),
    }
}

/// The nonce of an attempt that is this provider's and has this state.
fn check_attempt<'a>(
    attempt: &'a Attempt,
    provider: &Provider,
    state: &str,
) -> Result<&'a str, Refusal> {
    if attempt.provider != provider.name {
        return Err(Refusal::new(Reason::AttemptMismatch)
            .because(format!("the attempt was begun at {}", attempt.provider))
            .on_the_way_to(&attempt.next));
    }
    let Flow::Oidc { nonce, .. } = &attempt.flow else {
        return Err(Refusal::new(Reason::AttemptMismatch).because("the attempt is of another kind"));
    };
    if !attempt.has_state(state) {
        return Err(
            Refusal::new(Reason::OidcStateUnknown).because("another state than the attempt's")
        );
    }
    Ok(nonce)
}

/// Has the authority judge the callback, and makes the session.
async fn exchange(
    visit: &Visit<'_>,
    (provider, realm): (&Provider, &str),
    attempt: &Attempt,
    redirect_uri: &str,
    (state, nonce): (&Secret, &Secret),
) -> Result<Response, Refusal> {
    let login = visit
        .site
        .client
        .oidc_authenticate(realm, redirect_uri, state, nonce)
        .await
        .map_err(|error| Refusal::of_sso(&error, Reason::OidcResponseRefused))?;
    let arrival = Arrival {
        provider,
        next: attempt.next.clone(),
        proof: Proof::Tokens(Granted {
            access: login.access,
            refresh: login.refresh,
            life: login.life,
        }),
        certificate: None,
        lines: visit.site.attempts.clear(attempt, visit.headers()),
    };
    finish(visit, arrival).await.map_err(|mut refusal| {
        // The code is used up, whatever went wrong afterwards.
        refusal.passing = false;
        refusal
    })
}

/// A callback whose attempt is not there: the back button after a login that went well leads to the application.
async fn missing(visit: &Visit<'_>, id: &str) -> Result<Response, Refusal> {
    match visit.used.peek(id, &visit.site.uses).await {
        Some(true) if visit.session().await?.is_some() => Ok(redirect("/")),
        Some(_) => Err(Refusal::new(Reason::AttemptUsed)),
        None => Err(Refusal::new(Reason::OidcStateUnknown)
            .because("this browser holds no attempt of that name")),
    }
}

/// RFC 6749 §4.1.2.1
fn provider_error(error: &str, parameters: &Form) -> Refusal {
    let reason = match error {
        "access_denied" => Reason::OidcAccessDenied,
        _ => Reason::OidcProviderError,
    };
    let description = parameters.first("error_description").unwrap_or_default();
    Refusal::new(reason).because(format!("{error}: {description}"))
}

fn again(visit: &Visit<'_>, parameters: &Form) -> Response {
    let mut fields: Vec<Field<'_>> = CALLBACK_FIELDS
        .iter()
        .filter_map(|name| {
            let value = parameters.first(name)?;
            Some(Field { name, value })
        })
        .collect();
    fields.push(Field {
        name: BOUNCED,
        value: "1",
    });
    let page = Bounce {
        action: visit.head.uri.path(),
        fields,
    };
    visit.site.pages.bounce(visit.headers(), &page)
}

/// `GET` or `POST oidc/<provider>/initiate`: somebody else's page began (OpenID Connect Core §4).
///
/// # Errors
/// [`Refusal`] when the issuer is not this provider's.
pub async fn initiate(
    visit: &Visit<'_>,
    provider: &Provider,
    body: Body,
) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET, Method::POST])?;
    let ProviderKind::Oidc { realm, .. } = &provider.kind else {
        return Err(Refusal::new(Reason::ProviderUnknown).because("not an OpenID Connect provider"));
    };
    let form = match visit.head.method {
        Method::POST => Form::posted(visit.headers(), body, MAX_FORM).await?,
        _ => visit.query.clone(),
    };
    let malformed = Reason::RequestMalformed;
    let issuer = form
        .once("iss", malformed)?
        .ok_or_else(|| Refusal::new(malformed).because("there is no iss"))?;
    let hint = form.once("login_hint", malformed)?;
    if issuer.len() > MAX_PARAMETER || hint.is_some_and(|hint| hint.len() > MAX_PARAMETER) {
        return Err(Refusal::new(Reason::RequestTooLarge).because("iss or login_hint is too long"));
    }
    let next = target(visit, form.once("target_link_uri", malformed)?);
    let id = Attempt::new_id();
    let by_issuer = OidcRealm::OfIssuer {
        issuer,
        login_hint: hint,
    };
    let begun = begin(visit, by_issuer, &id).await;
    let (flow, request) = match begun {
        Ok(begun) => begun,
        Err(refusal) if refusal.passing => return Err(refusal.on_the_way_to(&next)),
        Err(refusal) => {
            return Err(Refusal::new(Reason::OidcIssuerUnknown).because(refusal.detail));
        }
    };
    if request.realm != *realm {
        return Err(Refusal::new(Reason::OidcIssuerUnknown)
            .because(format!("the issuer belongs to the realm {}", request.realm)));
    }
    depart::leave(visit, provider, (id, flow), &next, &request.redirect).await
}

/// `target_link_uri` as a place to go: within our own origin, or the front page.
fn target(visit: &Visit<'_>, target: Option<&str>) -> ReturnTo {
    let Some(target) = target else {
        return ReturnTo::root();
    };
    let own = visit.site.sso.public_url.origin();
    let path = match target.strip_prefix(own.as_str()) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        Some(_) | None => target,
    };
    visit.place(Some(path), None)
}
