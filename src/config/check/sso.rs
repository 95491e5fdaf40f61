//! Single sign-on: providers, and what has to fit together for them to work.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::check::report::{Pem, Report, Zero};
use crate::config::check::{authority, pages, session, ways};
use crate::config::default;
use crate::config::fault::At;
use crate::config::file_sso::{self, Login, ProviderIcon};
use crate::config::settings::{Authority, Listener};
use crate::config::sso::{BackChannel, Provider, ProviderKind, PublicUrl, Sso};
use crate::config::sso_values::Prefix;

/// What else of the file single sign-on depends on; absent where that has faults of its own.
pub(super) struct Beside<'s> {
    /// The listeners.
    pub(super) listeners: Option<&'s [Listener]>,
    /// Who answers.
    pub(super) authority: Option<&'s Authority>,
}

/// The section `sso`.
#[expect(clippy::option_option, reason = "outside: no fault; inside: written")]
pub(super) fn sso(
    report: &mut Report<'_>,
    file: Option<&file_sso::Sso>,
    beside: &Beside<'_>,
) -> Option<Option<Sso>> {
    let Some(file) = file else {
        return Some(None);
    };
    // What other sections looked for is theirs.
    drop(report.paths_seen());
    let at = At::ROOT.key("sso");
    let public_url = report.value(file.public_url.as_ref(), &at.key("public_url"));
    let prefix: Option<Prefix> =
        report.value_or(file.prefix.as_ref(), default::SSO_PREFIX, &at.key("prefix"));
    let providers = providers(report, file, &at.key("providers"));
    let session = session::session(
        report,
        file.session.as_ref(),
        public_url.as_ref(),
        &at.key("session"),
    );
    let pages = pages::pages(report, file.pages.as_ref(), &at.key("pages"));
    if let Some(public_url) = &public_url {
        judge_public_url(
            report,
            public_url,
            providers.as_deref(),
            &at.key("public_url"),
        );
    }
    if let Some(providers) = &providers {
        let providers_at = at.key("providers");
        judge_certificates(report, providers, beside.listeners, &providers_at);
        judge_credential(report, providers, beside.authority, &providers_at);
    }
    Some(Some(Sso {
        public_url: public_url?,
        prefix: prefix?.0,
        providers: providers?,
        session: session?,
        pages: pages?,
        files: report.paths_seen(),
    }))
}

fn providers(report: &mut Report<'_>, file: &file_sso::Sso, at: &At<'_>) -> Option<Vec<Provider>> {
    let written = file.providers.as_deref()?;
    let checked: Vec<Option<Provider>> = written
        .iter()
        .enumerate()
        .map(|(index, written)| provider(report, written, &at.index(index)))
        .collect();
    let providers: Option<Vec<Provider>> = checked.into_iter().collect();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut single: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, provider) in providers.iter().flatten().enumerate() {
        let here = at.index(index);
        if names.insert(&provider.name, index).is_some() {
            report.fault(
                &here.key("name"),
                format!("another provider is named `{}`", provider.name),
            );
        }
        // One form, one ticket, one certificate: a second could never be told from the first.
        let several = matches!(
            provider.kind,
            ProviderKind::Saml { .. } | ProviderKind::Oidc { .. } | ProviderKind::Anonymous(_)
        );
        let kind = provider.kind.label();
        if !several && provider.hosts.is_empty() && single.insert(kind, index).is_some() {
            report
                .fault(
                    &here.key("login"),
                    format!("another provider of the kind `{kind}` is offered on every host"),
                )
                .hint("several of this kind only make sense with `hosts`");
        }
    }
    providers
}

fn provider(report: &mut Report<'_>, file: &file_sso::Provider, at: &At<'_>) -> Option<Provider> {
    let name = report.value(file.name.as_ref(), &at.key("name"));
    let kind = file
        .login
        .as_ref()
        .map(|login| kind(report, login, &at.key("login")));
    let description = report.optional(file.description.as_ref(), &at.key("description"));
    let hint = report.optional(file.hint.as_ref(), &at.key("hint"));
    let hosts_at = at.key("hosts");
    let hosts = match &file.hosts {
        None => Some(Vec::new()),
        Some(written) => report.list(written, &hosts_at),
    };
    let idle_timeout = time(report, file.idle_timeout.as_ref(), &at.key("idle_timeout"));
    let lifespan = time(report, file.lifespan.as_ref(), &at.key("lifespan"));
    let agreement = report.optional(file.access_agreement.as_ref(), &at.key("access_agreement"));
    Some(Provider {
        name: name?.0,
        kind: kind??,
        description: description?.map(|text| text.0),
        hint: hint?.map(|text| text.0),
        icon: file.icon.map(|icon| icon_name(icon).to_owned()),
        hosts: hosts?.into_iter().map(|host| host.0).collect(),
        in_selector: file.in_selector.unwrap_or(default::SSO_IN_SELECTOR),
        idle_timeout: idle_timeout?,
        lifespan: lifespan?,
        access_agreement: agreement?.map(|text| text.0),
    })
}

#[expect(clippy::option_option, reason = "outside: no fault; inside: written")]
fn time(
    report: &mut Report<'_>,
    written: Option<&crate::config::values::Written<Duration>>,
    at: &At<'_>,
) -> Option<Option<Duration>> {
    match written {
        None => Some(None),
        Some(written) => report
            .duration(Some(written), "1h", Zero::Refused, at)
            .map(Some),
    }
}

fn kind(report: &mut Report<'_>, login: &Login, at: &At<'_>) -> Option<ProviderKind> {
    match login {
        Login::Saml(file) => {
            let realm = report.value(file.realm.as_ref(), &at.key("saml").key("realm"))?;
            Some(ProviderKind::Saml {
                realm: realm.0,
                relay_state_deep_links: file
                    .relay_state_deep_links
                    .unwrap_or(default::SSO_RELAY_STATE_DEEP_LINKS),
            })
        }
        Login::Oidc(file) => {
            let at = at.key("oidc");
            let realm = report.value(file.realm.as_ref(), &at.key("realm"));
            let back_channel = match &file.back_channel_logout {
                None => Some(None),
                Some(file) => back_channel(report, file, &at.key("back_channel_logout")).map(Some),
            };
            Some(ProviderKind::Oidc {
                realm: realm?.0,
                back_channel_logout: back_channel?,
            })
        }
        Login::Password => Some(ProviderKind::Password),
        Login::Kerberos => Some(ProviderKind::Kerberos),
        Login::Pki => Some(ProviderKind::Pki),
        Login::Anonymous(file) => {
            ways::anonymous(report, file, &at.key("anonymous")).map(ProviderKind::Anonymous)
        }
    }
}

fn back_channel(
    report: &mut Report<'_>,
    file: &file_sso::BackChannelLogout,
    at: &At<'_>,
) -> Option<BackChannel> {
    let issuer = report.value(file.issuer.as_ref(), &at.key("issuer"));
    let client_id = report.value(file.client_id.as_ref(), &at.key("client_id"));
    let url_at = at.key("jwks_url");
    let jwks_url = report.value(file.jwks_url.as_ref(), &url_at);
    let jwks_ca = match &file.jwks_ca {
        None => Some(None),
        Some(ca) => report
            .pem(Some(ca), Pem::Certificate, &at.key("jwks_ca"))
            .map(Some),
    };
    if let Some(url) = &jwks_url
        && !url.tls
        && !authority::is_loopback(&url.host)
    {
        report
            .fault(
                &url_at,
                "keys read over plain HTTP can be exchanged on the way",
            )
            .allowed("`https`, or `http` on this machine");
        return None;
    }
    Some(BackChannel {
        issuer: issuer?.0,
        client_id: client_id?.0,
        jwks_url: jwks_url?,
        jwks_ca: jwks_ca?,
    })
}

const fn icon_name(icon: ProviderIcon) -> &'static str {
    match icon {
        ProviderIcon::Saml => "saml",
        ProviderIcon::Oidc => "oidc",
        ProviderIcon::Password => "password",
        ProviderIcon::Kerberos => "kerberos",
        ProviderIcon::Certificate => "certificate",
        ProviderIcon::Anonymous => "anonymous",
        ProviderIcon::Building => "building",
        ProviderIcon::Globe => "globe",
        ProviderIcon::Key => "key",
    }
}

/// Cookies that prove a login must not travel in clear, and a cross-site POST brings none but secure ones.
fn judge_public_url(
    report: &mut Report<'_>,
    url: &PublicUrl,
    providers: Option<&[Provider]>,
    at: &At<'_>,
) {
    if url.secure {
        return;
    }
    if authority::is_loopback(url.host()) {
        return;
    }
    let is_saml = |provider: &Provider| matches!(provider.kind, ProviderKind::Saml { .. });
    if providers.is_some_and(|providers| providers.iter().any(is_saml)) {
        report
            .fault(
                at,
                "a SAML login ends with a cross-site POST, and browsers send cookies with one over https only",
            )
            .allowed("`https://..`, or `http` on this machine")
            .hint("with TLS terminated before Sidegate, write the URL that browsers see");
        return;
    }
    report
        .warn(
            at,
            "sessions over plain HTTP can be taken over by whoever listens",
        )
        .hint("write the `https` URL that browsers see");
}

fn judge_certificates(
    report: &mut Report<'_>,
    providers: &[Provider],
    listeners: Option<&[Listener]>,
    at: &At<'_>,
) {
    let asked = |listener: &Listener| {
        listener.forwarded_client_certificates.is_some()
            || listener
                .tls
                .as_ref()
                .is_some_and(|tls| tls.client_certificates.is_some())
    };
    if listeners.is_none_or(|listeners| listeners.iter().any(asked)) {
        return;
    }
    for (index, provider) in providers.iter().enumerate() {
        if matches!(provider.kind, ProviderKind::Pki) {
            report
                .fault(
                    &at.index(index).key("login"),
                    "no listener asks for certificates",
                )
                .hint("add `tls.client_certificates: { mode: optional, ca: .. }` to one");
        }
    }
}

/// Logins are exchanged by Sidegate itself.
fn judge_credential(
    report: &mut Report<'_>,
    providers: &[Provider],
    authority: Option<&Authority>,
    at: &At<'_>,
) {
    let Some(Authority::Elasticsearch(nodes)) = authority else {
        return;
    };
    let exchanged = |provider: &Provider| !matches!(provider.kind, ProviderKind::Anonymous(_));
    if nodes.credential.is_none() && providers.iter().any(exchanged) {
        report
            .fault(at, "logins are exchanged with Sidegate's own credential, and it has none")
            .hint("add `authority.elasticsearch.credential`, with the cluster privileges that docs/sso.md names");
    }
}
