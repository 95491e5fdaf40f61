//! How a bad end is told: one page, one line of log, one count, all with the same code.

use std::time::Duration;

use serde_json::json;

use super::pages::context::{Failed, User};
use super::pages::reason::{Class, Reason};
use super::refusal::Refusal;
use super::visit::{Visit, json, with_lines};
use crate::config::sso::Provider;
use crate::net::http::Response;

/// Characters of a detail that are logged.
const MAX_DETAIL: usize = 500;

/// Logs and counts a bad end.
pub fn note(visit: &Visit<'_>, refusal: &Refusal, provider: Option<&Provider>) {
    visit.metrics.refused(refusal.reason);
    let reason = refusal.reason.label();
    let detail: String = refusal.detail.chars().take(MAX_DETAIL).collect();
    let provider_name = provider.map_or("", |provider| provider.name.as_str());
    let username = refusal
        .user
        .as_deref()
        .map_or("", |(name, _)| name.as_str());
    let (method, client) = (&visit.head.method, visit.peer.client_ip);
    let path: String = visit.head.uri.path().chars().take(200).collect();
    match refusal.reason.class() {
        Class::Unavailable | Class::Misconfigured => tracing::warn!(
            target: "sidegate::sso",
            action = "user_login", outcome = "failure", reason, provider = provider_name, %method, ?path, %client, ?username,
            request_id = visit.id, ?detail, "refused"
        ),
        _ => tracing::info!(
            target: "sidegate::sso",
            action = "user_login", outcome = "failure", reason, provider = provider_name, %method, ?path, %client, ?username,
            request_id = visit.id, ?detail, "refused"
        ),
    }
}

/// Logs, counts, and shows a bad end with the ways on.
pub fn refuse(visit: &Visit<'_>, refusal: Refusal, provider: Option<&Provider>) -> Response {
    note(visit, &refusal, provider);
    let response = page(visit, &refusal, provider);
    with_lines(response, refusal.lines)
}

/// The page alone.
pub fn page(visit: &Visit<'_>, refusal: &Refusal, provider: Option<&Provider>) -> Response {
    let after = refusal.retry_after.map(seconds);
    if visit.wants_json() {
        return problem(visit, refusal, after);
    }
    let paths = &visit.site.paths;
    let next = refusal.next.as_ref().map_or("/", |next| next.as_str());
    let retry = provider
        .filter(|_| may_be_tried_again(refusal.reason))
        .map(|provider| paths.start(&provider.name, &[("next", next), ("again", "1")]));
    let login = paths.with("login", &[("next", next), ("choose", "1"), ("again", "1")]);
    let logout = paths.to("logout");
    let failed = Failed {
        provider: provider.map(|it| it.description.as_deref().unwrap_or(&it.name)),
        user: refusal
            .user
            .as_deref()
            .map(|(username, realm)| User { username, realm }),
        retry_after: after,
        retry: retry.as_deref(),
        login: Some(&login),
        logout: matches!(refusal.reason, Reason::RedirectLoop | Reason::NoRoles).then_some(&logout),
        home: Some("/"),
        ..Failed::new(refusal.reason, visit.id)
    };
    visit.site.pages.failed(visit.headers(), &failed)
}

/// Whether the same way may lead somewhere the next time.
fn may_be_tried_again(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::ProviderUnknown
            | Reason::ProviderNotHere
            | Reason::PageUnknown
            | Reason::MethodNotAllowed
    )
}

/// RFC 9457, for clients that are no browsers.
fn problem(visit: &Visit<'_>, refusal: &Refusal, after: Option<u64>) -> Response {
    let status = refusal.reason.status();
    let mut response = json(
        status,
        &json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Refused"),
            "status": status.as_u16(),
            "reason": refusal.reason.label(),
            "request_id": visit.id,
            "login": visit.site.paths.to("login"),
        }),
    );
    let headers = response.headers_mut();
    let kind = http::HeaderValue::from_static("application/problem+json");
    headers.insert(http::header::CONTENT_TYPE, kind);
    if let Some(after) = after {
        headers.insert(http::header::RETRY_AFTER, after.into());
    }
    response
}

fn seconds(after: Duration) -> u64 {
    (u64::try_from(after.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)).clamp(1, 86_400)
}
