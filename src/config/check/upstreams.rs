//! The applications behind Sidegate.

use std::collections::BTreeMap;

use crate::config::check::authority::is_loopback;
use crate::config::check::bounds::upstream_bounds;
use crate::config::check::listeners::certificate_files;
use crate::config::check::report::{Pem, Report, Zero};
use crate::config::default;
use crate::config::fault::At;
use crate::config::file::{self, File};
use crate::config::settings::{Upstream, UpstreamHost, UpstreamProtocol, UpstreamTls, UpstreamUrl};
use crate::config::values::{Name, Value as _};

/// The upstreams by name.
pub(super) fn upstreams(
    report: &mut Report<'_>,
    file: &File,
) -> Option<BTreeMap<String, Upstream>> {
    let at = At::ROOT.key("upstreams");
    let written = file.upstreams.as_ref()?;
    if written.is_empty() {
        report
            .fault(&at, "no upstream is named")
            .allowed("at least one name with its address");
    }
    let mut checked = Vec::with_capacity(written.len());
    for (name, file) in written {
        let here = at.key(name);
        if let Err(error) = Name::parse(name) {
            report.refuse::<Name>(&here, name, error);
        }
        checked.push(upstream(report, name, file, &here).map(|upstream| (name.clone(), upstream)));
    }
    checked.into_iter().collect()
}

/// Whether any address of the upstream sends what it gets in clear text over a network.
pub(super) fn is_in_the_clear(upstream: &Upstream) -> bool {
    upstream
        .urls
        .iter()
        .any(|url| matches!(url, UpstreamUrl::Tcp { tls: false, host, .. } if !is_loopback(host)))
}

fn upstream(
    report: &mut Report<'_>,
    name: &str,
    file: &file::Upstream,
    at: &At<'_>,
) -> Option<Upstream> {
    let urls = urls(report, file, at);
    let tls_at = at.key("tls");
    let tls = match &file.tls {
        Some(file) => tls(report, file, &tls_at),
        None => Some(UpstreamTls::default()),
    };
    let encrypted = |urls: &Vec<UpstreamUrl>| {
        urls.iter()
            .any(|url| matches!(url, UpstreamUrl::Tcp { tls: true, .. }))
    };
    if file.tls.is_some() && urls.as_ref().is_some_and(|urls| !encrypted(urls)) {
        report.warn(
            &tls_at,
            "no address is spoken to over `https`, so `tls` is not used",
        );
    }
    let mut time = |written: &Option<_>, default, key| {
        report.duration(
            Option::as_ref(written),
            default,
            Zero::Refused,
            &at.key(key),
        )
    };
    let connect_timeout = time(
        &file.connect_timeout,
        default::CONNECT_TIMEOUT,
        "connect_timeout",
    );
    let response_timeout = time(
        &file.response_timeout,
        default::RESPONSE_TIMEOUT,
        "response_timeout",
    );
    let pool_idle_timeout = time(
        &file.pool_idle_timeout,
        default::POOL_IDLE_TIMEOUT,
        "pool_idle_timeout",
    );
    let unhealthy_for = time(&file.unhealthy_for, default::UNHEALTHY_FOR, "unhealthy_for");
    let idle_at = at.key("idle_timeout");
    let idle_timeout: Option<Option<_>> =
        report.value_or(file.idle_timeout.as_ref(), default::IDLE_TIMEOUT, &idle_at);
    if idle_timeout
        .flatten()
        .is_some_and(|timeout: std::time::Duration| timeout.is_zero())
    {
        report
            .fault(&idle_at, "a time of zero leaves no time at all")
            .allowed("a duration longer than zero, or `none`");
    }
    let bounds = upstream_bounds(report, file, at);
    Some(Upstream {
        bounds: bounds?,
        name: name.to_owned(),
        urls: urls?,
        protocol: match file.protocol {
            None | Some(file::Protocol::Http1) => UpstreamProtocol::Http1,
            Some(file::Protocol::Http2) => UpstreamProtocol::Http2,
        },
        tls: tls?,
        host: match file.host {
            None | Some(file::Host::Preserve) => UpstreamHost::Preserve,
            Some(file::Host::Upstream) => UpstreamHost::Upstream,
        },
        connect_timeout: connect_timeout?,
        response_timeout: response_timeout?,
        idle_timeout: idle_timeout?,
        max_idle: file.max_idle.unwrap_or(default::MAX_IDLE) as usize,
        pool_idle_timeout: pool_idle_timeout?,
        retries: file.retries.unwrap_or(default::RETRIES),
        unhealthy_after: file.unhealthy_after.unwrap_or(default::UNHEALTHY_AFTER),
        unhealthy_for: unhealthy_for?,
    })
}

/// From `url` or `urls`, of which exactly one is needed.
fn urls(report: &mut Report<'_>, file: &file::Upstream, at: &At<'_>) -> Option<Vec<UpstreamUrl>> {
    let urls_at = at.key("urls");
    match (&file.url, &file.urls) {
        (Some(url), None) => report.value(Some(url), &at.key("url")).map(|url| vec![url]),
        (None, Some(urls)) => {
            let urls = report.list(urls, &urls_at)?;
            for (index, url) in urls.iter().enumerate() {
                if urls[..index].contains(url) {
                    report.fault(&urls_at.index(index), "this address is listed twice");
                }
            }
            Some(urls)
        }
        (Some(_), Some(_)) => {
            report
                .fault(at, "it has both `url` and `urls`")
                .allowed("either one address or a list");
            None
        }
        (None, None) => {
            if !report.is_faulty(&at.key("url")) && !report.is_faulty(&urls_at) {
                report
                    .fault(at, "it has no address")
                    .allowed("`url: ..` or `urls: [..]`");
            }
            None
        }
    }
}

fn tls(report: &mut Report<'_>, file: &file::UpstreamTls, at: &At<'_>) -> Option<UpstreamTls> {
    let ca = match &file.ca {
        Some(ca) => report
            .pem(Some(ca), Pem::Certificate, &at.key("ca"))
            .map(Some),
        None => Some(None),
    };
    let client_certificate = match &file.client_certificate {
        Some(files) => certificate_files(report, files, &at.key("client_certificate")).map(Some),
        None => Some(None),
    };
    let server_name = report.optional(file.server_name.as_ref(), &at.key("server_name"));
    Some(UpstreamTls {
        ca: ca?,
        client_certificate: client_certificate?,
        server_name: server_name?.map(|name| name.0),
    })
}
