//! The page with all ways to log in: the selector, the form, or both.

use super::pages::context::{Entry, Field, Login, Notice, PasswordForm};
use super::visit::{Visit, with_lines};
use crate::config::sso::{Provider, ProviderKind};
use crate::net::http::Response;
use crate::session::return_to::ReturnTo;

/// The providers that the page shows on this host.
pub fn visible<'v>(visit: &'v Visit<'_>) -> Vec<&'v Provider> {
    visit
        .site
        .offered_on(&visit.host)
        .filter(|provider| provider.in_selector)
        .collect()
}

/// Where a login at a provider begins.
pub fn beginning(visit: &Visit<'_>, provider: &str, next: &ReturnTo) -> String {
    visit.site.paths.start(provider, &[("next", next.as_str())])
}

/// The selector, with the form when a password is one of the ways; or the form alone, for `only`.
pub fn show(
    visit: &Visit<'_>,
    providers: &[&Provider],
    next: &ReturnTo,
    username: &str,
    notice: Option<Notice>,
    only: Option<&Provider>,
) -> Response {
    let paths = &visit.site.paths;
    let last = visit.site.cookies.last(visit.headers());
    let form_of = only.or_else(|| {
        let is_form = |it: &&&Provider| matches!(it.kind, ProviderKind::Password);
        providers.iter().find(is_form).copied()
    });
    let shown: Vec<&&Provider> = providers
        .iter()
        .filter(|provider| only.is_none() && form_of.is_none_or(|form| form.name != provider.name))
        .collect();
    let links: Vec<String> = shown
        .iter()
        .map(|it| beginning(visit, &it.name, next))
        .collect();
    let entries = shown
        .iter()
        .zip(&links)
        .map(|(provider, href)| Entry {
            name: &provider.name,
            kind: provider.kind.label(),
            description: provider.description.as_deref(),
            hint: provider.hint.as_deref(),
            icon: provider.icon.as_deref(),
            href,
            last: last.as_deref() == Some(&provider.name),
        })
        .collect();
    let token = visit
        .site
        .cookies
        .form_token(visit.site.keyring(), visit.headers(), visit.now);
    let action = form_of.map(|form| paths.start(&form.name, &[]));
    let form = form_of
        .zip(action.as_deref())
        .map(|(provider, action)| PasswordForm {
            action,
            provider: &provider.name,
            description: provider.description.as_deref(),
            username,
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
        });
    let others = (only.is_some() && providers.len() > 1)
        .then(|| paths.with("login", &[("next", next.as_str()), ("choose", "1")]));
    let page = Login {
        entries,
        form,
        notice,
        others: others.as_deref(),
        request_id: visit.id,
    };
    let response = visit.site.pages.login(visit.headers(), &page);
    with_lines(response, token.line)
}
