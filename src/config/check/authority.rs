//! Who answers: Elasticsearch with its nodes and Sidegate's own credential, or the embedded authority.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;

use crate::config::check::listeners;
use crate::config::check::realms;
use crate::config::check::report::{Pem, Report, Zero};
use crate::config::default;
use crate::config::fault::At;
use crate::config::file::{self, AuditEvent};
use crate::config::references::SecretRef;
use crate::config::settings::{
    AccessLogTarget, Authority, Elasticsearch, Embedded, NodeUrl, OwnCredential,
};
use crate::config::settings_authority::Audit;
use crate::config::values::Written;
use crate::model::secret::Secret;

/// The authority.
pub(super) fn authority(
    report: &mut Report<'_>,
    file: Option<&file::Authority>,
) -> Option<Authority> {
    let at = At::ROOT.key("authority");
    match file? {
        file::Authority::Elasticsearch(file) => {
            elasticsearch(report, file, &at.key("elasticsearch")).map(Authority::Elasticsearch)
        }
        file::Authority::Embedded(file) => {
            embedded(report, file, &at.key("embedded")).map(Authority::Embedded)
        }
    }
}

fn elasticsearch(
    report: &mut Report<'_>,
    file: &file::Elasticsearch,
    at: &At<'_>,
) -> Option<Elasticsearch> {
    let nodes_at = at.key("nodes");
    let nodes = file
        .nodes
        .as_deref()
        .and_then(|nodes| report.list(nodes, &nodes_at));
    for (index, node) in nodes.iter().flatten().enumerate() {
        node_doubts(
            report,
            node,
            nodes.iter().flatten().take(index),
            file.credential.is_some(),
            &nodes_at.index(index),
        );
    }
    let ca_at = at.key("ca");
    let ca = match &file.ca {
        Some(ca) => report.pem(Some(ca), Pem::Certificate, &ca_at).map(Some),
        None => Some(None),
    };
    if file.ca.is_some()
        && nodes
            .as_ref()
            .is_some_and(|nodes| nodes.iter().all(|node| !node.tls))
    {
        report.warn(
            &ca_at,
            "no node is spoken to over `https`, so the CA is not used",
        );
    }
    let credential = match &file.credential {
        Some(file) => own_credential(report, file, &at.key("credential")).map(Some),
        None => Some(None),
    };
    let timeout = report.duration(
        file.timeout.as_ref(),
        default::AUTHORITY_TIMEOUT,
        Zero::Refused,
        &at.key("timeout"),
    );
    let connect_at = at.key("connect_timeout");
    let connect_timeout = report.duration(
        file.connect_timeout.as_ref(),
        default::AUTHORITY_CONNECT_TIMEOUT,
        Zero::Refused,
        &connect_at,
    );
    if let (Some(whole), Some(connect)) = (timeout, connect_timeout)
        && connect >= whole
        && nodes.as_ref().is_some_and(|nodes| nodes.len() > 1)
    {
        report.warn(
            &connect_at,
            "not below `timeout`: one dead node uses up the time that the next would need",
        );
    }
    Some(Elasticsearch {
        nodes: nodes?,
        ca: ca?,
        credential: credential?,
        timeout: timeout?,
        connect_timeout: connect_timeout?,
    })
}

fn node_doubts<'n>(
    report: &mut Report<'_>,
    node: &NodeUrl,
    mut before: impl Iterator<Item = &'n NodeUrl>,
    credential: bool,
    at: &At<'_>,
) {
    if before.any(|other| other == node) {
        report.fault(at, "this node is listed twice");
    }
    if node.tls || !credential && is_loopback(&node.host) {
        return;
    }
    let whose = if credential {
        "Sidegate's own credential and those of clients"
    } else {
        "the credentials of clients"
    };
    report
        .warn(at, format!("plain HTTP: {whose} can be read on the way"))
        .hint("use `https`");
}

/// Whether a URL's host is this machine by name or address.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn own_credential(
    report: &mut Report<'_>,
    file: &file::OwnCredential,
    at: &At<'_>,
) -> Option<OwnCredential> {
    match file {
        file::OwnCredential::ApiKey(written) => api_key(report, written, at),
        file::OwnCredential::Basic(file) => basic(report, file, at),
        file::OwnCredential::Bearer(written) => bearer(report, written, at),
    }
}

/// An API key below `at`.
pub(super) fn api_key(
    report: &mut Report<'_>,
    written: &Written<SecretRef>,
    at: &At<'_>,
) -> Option<OwnCredential> {
    let at = at.key("api_key");
    let key = report.secret(Some(written), &at)?;
    api_key_problem(&key).map_or(Some(OwnCredential::ApiKey(key)), |(problem, hint)| {
        report
            .fault(&at, problem)
            .allowed("base64 of `id:secret`")
            .hint(hint);
        None
    })
}

/// A user name and password below `at`.
pub(super) fn basic(
    report: &mut Report<'_>,
    file: &file::BasicCredential,
    at: &At<'_>,
) -> Option<OwnCredential> {
    let basic = at.key("basic");
    let name_at = basic.key("username");
    let username = file.username.as_ref().and_then(|written| {
        let reference = report.value(Some(written), &name_at)?;
        report.looked_up(&reference, &name_at)
    });
    let password = report.secret(file.password.as_ref(), &basic.key("password"));
    let username = username.and_then(|name| match name.expose_str() {
        Some(text) if !text.contains(|letter: char| letter == ':' || letter.is_control()) => {
            Some(text.to_owned())
        }
        Some(_) | None => {
            report.fault(
                &name_at,
                "the user name holds a colon or a control character, or is not UTF-8",
            );
            None
        }
    });
    Some(OwnCredential::Basic {
        username: username?,
        password: password?,
    })
}

/// A bearer token below `at`.
pub(super) fn bearer(
    report: &mut Report<'_>,
    written: &Written<SecretRef>,
    at: &At<'_>,
) -> Option<OwnCredential> {
    let at = at.key("bearer");
    let token = report.secret(Some(written), &at)?;
    if token.expose().iter().all(u8::is_ascii_graphic) {
        return Some(OwnCredential::Bearer(token));
    }
    report.fault(&at, "the token holds a character that no header can carry");
    None
}

fn api_key_problem(key: &Secret) -> Option<(&'static str, &'static str)> {
    let engine = base64::engine::general_purpose::STANDARD;
    match engine.decode(key.expose()).map(zeroize::Zeroizing::new) {
        Ok(decoded) if decoded.contains(&b':') => None,
        Ok(_) => Some((
            "what it decodes to has no colon between id and secret",
            "take the field `encoded` of the answer that created the key",
        )),
        Err(_) if key.expose().contains(&b':') => Some((
            "it is not encoded",
            "take the field `encoded`, not `id` and `api_key`",
        )),
        Err(_) => Some((
            "it is no base64",
            "take the field `encoded` of the answer that created the key",
        )),
    }
}

fn embedded(report: &mut Report<'_>, file: &file::Embedded, at: &At<'_>) -> Option<Embedded> {
    let data = report.optional(file.data.as_ref(), &at.key("data"));
    let address_at = at.key("address");
    let address: Option<Option<SocketAddr>> = report.optional(file.address.as_ref(), &address_at);
    if let Some(Some(address)) = address
        && !address.ip().is_loopback()
        && file.tls.is_none()
    {
        report
            .fault(
                &address_at,
                format!("{address} is not loopback, and without `tls` plain HTTP is spoken there"),
            )
            .allowed("a loopback address, or `tls`")
            .hint(format!("`127.0.0.1:{}`", address.port()));
    }
    let tls_at = at.key("tls");
    let tls = match &file.tls {
        Some(file) => listeners::tls(report, file, &tls_at).map(Some),
        None => Some(None),
    };
    let superuser_password = match &file.superuser_password {
        Some(written) => report
            .secret(Some(written), &at.key("superuser_password"))
            .map(Some),
        None => Some(None),
    };
    let directory = data.as_ref().and_then(Option::as_deref);
    let chain = realms::realms(report, file.realms.as_ref(), directory, &at.key("realms"));
    let anonymous = match &file.anonymous {
        Some(file) => realms::anonymous(report, file, &at.key("anonymous")).map(Some),
        None => Some(None),
    };
    let failures_at = at.key("failed_logins");
    let failed_logins = realms::failed_logins(report, file.failed_logins.as_ref(), &failures_at);
    let token_timeout = token_timeout(
        report,
        file.token_timeout.as_ref(),
        &at.key("token_timeout"),
    );
    let audit = match &file.audit {
        Some(file) => audit(report, file, &at.key("audit")).map(Some),
        None => Some(None),
    };
    Some(Embedded {
        data: data?,
        address: address?,
        superuser_password: superuser_password?,
        realms: chain?,
        anonymous: anonymous?,
        failed_logins: failed_logins?,
        token_timeout: token_timeout?,
        tls: tls?,
        audit: audit?,
    })
}

fn token_timeout(
    report: &mut Report<'_>,
    written: Option<&Written<Duration>>,
    at: &At<'_>,
) -> Option<Duration> {
    let timeout = report.duration(written, default::TOKEN_TIMEOUT, Zero::Refused, at)?;
    // Elasticsearch's own bounds.
    if !(Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&timeout) {
        report
            .fault(at, "an access token lives one second to one hour")
            .allowed("`1s` to `1h`");
        return None;
    }
    Some(timeout)
}

fn audit(report: &mut Report<'_>, file: &file::Audit, at: &At<'_>) -> Option<Audit> {
    let target = match &file.target {
        None | Some(file::AccessLogTarget::Stdout) => AccessLogTarget::Stdout,
        Some(file::AccessLogTarget::File(path)) => {
            AccessLogTarget::File(report.value(Some(path), &at.key("target").key("file"))?)
        }
    };
    let events = match &file.events {
        // As in Elasticsearch: every successful request would drown the rest.
        None => [
            AuditEvent::AccessDenied,
            AuditEvent::AccessGranted,
            AuditEvent::AnonymousAccessDenied,
            AuditEvent::AuthenticationFailed,
            AuditEvent::RunAsDenied,
            AuditEvent::RunAsGranted,
            AuditEvent::SecurityConfigChange,
        ]
        .map(name)
        .to_vec(),
        Some(events) => events.iter().copied().map(name).collect(),
    };
    if events.is_empty() {
        report.warn(
            &at.key("events"),
            "the list is empty, so nothing is audited",
        );
    }
    Some(Audit { target, events })
}

/// The name in lines, which is Elasticsearch's.
const fn name(event: AuditEvent) -> &'static str {
    match event {
        AuditEvent::AccessDenied => "access_denied",
        AuditEvent::AccessGranted => "access_granted",
        AuditEvent::AnonymousAccessDenied => "anonymous_access_denied",
        AuditEvent::AuthenticationFailed => "authentication_failed",
        AuditEvent::AuthenticationSuccess => "authentication_success",
        AuditEvent::RunAsDenied => "run_as_denied",
        AuditEvent::RunAsGranted => "run_as_granted",
        AuditEvent::SecurityConfigChange => "security_config_change",
    }
}
