//! Logins that nobody has to type anything for: a Kerberos ticket, a client certificate, or nothing at all.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::finish::{Arrival, Granted, Proof, finish};
use super::outcome;
use super::pages::reason::Reason;
use super::refusal::Refusal;
use super::visit::Visit;
use crate::config::sso::Provider;
use crate::config::ways::Anonymous;
use crate::elastic::authorization::Asker;
use crate::elastic::delegate::{Negotiation, TokenGrant};
use crate::elastic::error::AskError;
use crate::model::secret::Secret;
use crate::net::http::{PeerCertificate, Response};
use crate::session::return_to::ReturnTo;

/// What base64 of an NTLM message begins with.
const NTLM: &str = "TlRMTVNTUAA";
/// Longest ticket, in bytes of base64.
const MAX_TICKET: usize = 64 * 1024;

/// The ticket that a request came with (RFC 4559 §4.2).
pub fn ticket<'v>(visit: &'v Visit<'_>) -> Option<&'v str> {
    let header = visit.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, ticket) = header.split_once(' ')?;
    let ticket = ticket.trim();
    (scheme.eq_ignore_ascii_case("negotiate") && !ticket.is_empty() && ticket.len() <= MAX_TICKET)
        .then_some(ticket)
}

/// `GET login/<provider>` for tickets: asks for one, or takes the one that came.
///
/// # Errors
/// [`Refusal`] when the authority does not accept it.
pub async fn kerberos(
    visit: &Visit<'_>,
    provider: &Provider,
    next: &ReturnTo,
) -> Result<Response, Refusal> {
    if ticket(visit).is_some() {
        return negotiate(visit, provider, next).await;
    }
    // Whoever has none sees the page, with the ways on.
    let refusal = Refusal::new(Reason::KerberosNoTicket).on_the_way_to(next);
    let mut response = outcome::page(visit, &refusal, Some(provider));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let negotiate = HeaderValue::from_static("Negotiate");
    response.headers_mut().insert(WWW_AUTHENTICATE, negotiate);
    Ok(response)
}

/// Exchanges the ticket that came.
///
/// # Errors
/// [`Refusal`] when the authority does not accept it.
pub async fn negotiate(
    visit: &Visit<'_>,
    provider: &Provider,
    next: &ReturnTo,
) -> Result<Response, Refusal> {
    let ticket = ticket(visit).unwrap_or_default();
    if ticket.starts_with(NTLM) {
        return Err(Refusal::new(Reason::KerberosNtlm).because("an NTLM message, no ticket"));
    }
    may_try(visit)?;
    match visit.site.client.negotiate(&Secret::from(ticket)).await {
        Ok(Negotiation::Granted { grant, reply, .. }) => {
            let mutual = reply.and_then(|reply| negotiate_line(&reply));
            let lines = mutual.map(|value| (WWW_AUTHENTICATE, value));
            let arrival = arrival(provider, next, grant, None, lines.into_iter().collect());
            finish(visit, arrival).await
        }
        Ok(Negotiation::Unfinished { reply }) => {
            let mut response = super::visit::empty(StatusCode::UNAUTHORIZED);
            if let Some(value) = negotiate_line(&reply) {
                response.headers_mut().insert(WWW_AUTHENTICATE, value);
            }
            Ok(response)
        }
        Err(error) => Err(failed(visit, &error, Reason::KerberosTicketRefused)),
    }
}

fn negotiate_line(reply: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("Negotiate {reply}")).ok()
}

/// Exchanges the certificate at the other end.
///
/// # Errors
/// [`Refusal`] when there is none, or the authority does not accept it.
pub async fn certificate(
    visit: &Visit<'_>,
    provider: &Provider,
    next: &ReturnTo,
) -> Result<Response, Refusal> {
    let chain = match &visit.peer.certificate {
        PeerCertificate::Present(chain) => chain,
        PeerCertificate::Absent => return Err(Refusal::new(Reason::CertificateMissing)),
        PeerCertificate::Unusable => return Err(Refusal::new(Reason::CertificateUnusable)),
    };
    may_try(visit)?;
    match visit.site.client.delegate_pki(chain).await {
        Ok(grant) => {
            let hash = Some(*chain.sha256());
            finish(visit, arrival(provider, next, grant, hash, Vec::new())).await
        }
        Err(error) => Err(failed(visit, &error, Reason::CertificateRefused)),
    }
}

/// Everybody, as one user.
///
/// # Errors
/// [`Refusal`] when the authority does not accept the credential that the settings have for guests.
pub async fn guest(
    visit: &Visit<'_>,
    provider: &Provider,
    credential: &Anonymous,
    next: &ReturnTo,
) -> Result<Response, Refusal> {
    let asker = match credential {
        Anonymous::Authority => Asker::anonymous(),
        Anonymous::Credential(own) => Asker::own(own),
    };
    let identity = visit.site.client.authenticate(&asker).await;
    let identity = identity.map_err(|error| Refusal::of_ask(&error, Reason::AnonymousRefused))?;
    let arrival = Arrival {
        provider,
        next: next.clone(),
        proof: Proof::Anonymous(Box::new(identity)),
        certificate: None,
        lines: Vec::new(),
    };
    finish(visit, arrival).await
}

fn arrival<'p>(
    provider: &'p Provider,
    next: &ReturnTo,
    grant: TokenGrant,
    certificate: Option<[u8; 32]>,
    lines: Vec<super::cookies::Line>,
) -> Arrival<'p> {
    Arrival {
        provider,
        next: next.clone(),
        proof: Proof::Tokens(Granted {
            access: grant.access_token,
            refresh: grant.refresh_token,
            life: grant.expires_in,
        }),
        certificate,
        lines,
    }
}

/// Tickets and certificates are guessed at by nobody, but each costs the authority an exchange.
fn may_try(visit: &Visit<'_>) -> Result<(), Refusal> {
    let address = visit.peer.client_ip;
    visit
        .limiter
        .check(address, None, visit.now)
        .map_err(|blocked| {
            Refusal::new(Reason::TooManyFailures)
                .because(format!("too many failures by {}", blocked.by))
                .retry_after(blocked.retry_after)
        })
}

fn failed(visit: &Visit<'_>, error: &AskError, reason: Reason) -> Refusal {
    if error.is_refusal() {
        visit.limiter.failed(visit.peer.client_ip, None, visit.now);
    }
    Refusal::of_ask(error, reason)
}
