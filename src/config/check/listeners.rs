//! The addresses that Sidegate binds: listeners with their TLS and limits, the admin door, and what they may not share.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::config::check::bounds::listener_bounds;
use crate::config::check::report::{Pem, Report, Zero};
use crate::config::check::ways;
use crate::config::default;
use crate::config::fault::At;
use crate::config::file::{self, File};
use crate::config::listening::{Admin, FileMode, ListenAddress, PeerMatch};
use crate::config::settings::{Authority, CertificateFiles, Limits, Listener, Tls, TlsVersion};
use crate::config::values::{Size, Written};

/// The listeners, named apart.
pub(super) fn listeners(report: &mut Report<'_>, file: &File) -> Option<Vec<Listener>> {
    let at = At::ROOT.key("listeners");
    let written = file.listeners.as_deref()?;
    let checked: Vec<Option<Listener>> = written
        .iter()
        .enumerate()
        .map(|(index, written)| listener(report, written, &at.index(index)))
        .collect();
    let mut listeners: Vec<Listener> = checked.into_iter().collect::<Option<_>>()?;
    name_apart(report, written, &mut listeners);
    Some(listeners)
}

fn listener(report: &mut Report<'_>, file: &file::Listener, at: &At<'_>) -> Option<Listener> {
    let address = report.value(file.address.as_ref(), &at.key("address"));
    let name = match &file.name {
        Some(name) => report.value(Some(name), &at.key("name")).map(|name| name.0),
        None => address.as_ref().map(ListenAddress::to_string),
    };
    let socket_mode = socket_mode(report, file, address.as_ref(), at);
    if let (Some(true), Some(ListenAddress::Systemd(_))) = (file.reuse_port, &address) {
        report
            .fault(&at.key("reuse_port"), "the socket is the service manager's")
            .hint("`ReusePort=true` in the socket unit; a restart loses nothing without it, too");
    }
    let tls_at = at.key("tls");
    let tls = match &file.tls {
        Some(file) => tls(report, file, &tls_at).map(Some),
        None => Some(None),
    };
    if let Some(ListenAddress::Tcp(address)) = address
        && file.tls.is_none()
        && !report.is_faulty(&tls_at)
        && !address.ip().is_loopback()
    {
        report
            .warn(
                &at.key("address"),
                format!("plain HTTP on {address}: credentials can be read on the way"),
            )
            .hint("add `tls`, or bind to loopback");
    }
    let trusted_proxies = peers(
        report,
        file.trusted_proxies.as_deref(),
        &at.key("trusted_proxies"),
    );
    let senders = file.proxy_protocol.as_ref();
    let proxy_protocol = peers(
        report,
        senders.and_then(|senders| senders.from.as_deref()),
        &at.key("proxy_protocol").key("from"),
    );
    let header_at = at.key("forwarded_client_certificates");
    let forwarded_client_certificates = ways::certificate_header(
        report,
        file.forwarded_client_certificates,
        file.trusted_proxies.iter().flatten().next().is_some(),
        &header_at,
    );
    let limits = limits(
        report,
        file.limits.as_ref().unwrap_or(&file::Limits::default()),
        &at.key("limits"),
    );
    Some(Listener {
        name: name?,
        address: address?,
        socket_mode: socket_mode?,
        reuse_port: file.reuse_port.unwrap_or(default::REUSE_PORT),
        proxy_protocol: proxy_protocol?,
        tls: tls?,
        trusted_proxies: trusted_proxies?,
        forwarded_client_certificates,
        limits: limits?,
    })
}

/// Peers whose word counts.
fn peers(
    report: &mut Report<'_>,
    written: Option<&[Written<PeerMatch>]>,
    at: &At<'_>,
) -> Option<Vec<PeerMatch>> {
    let peers = report.list(written.unwrap_or_default(), at);
    for (index, peer) in peers.iter().flatten().enumerate() {
        if let PeerMatch::Network(network) = peer
            && network.prefix_len() == 0
        {
            report.warn(
                &at.index(index),
                format!("{network} believes everybody who names a client address"),
            );
        }
    }
    peers
}

fn socket_mode(
    report: &mut Report<'_>,
    file: &file::Listener,
    address: Option<&ListenAddress>,
    at: &At<'_>,
) -> Option<u32> {
    let at = at.key("socket_mode");
    let mode: FileMode = report.value_or(file.socket_mode.as_ref(), default::SOCKET_MODE, &at)?;
    match address {
        Some(ListenAddress::Tcp(_)) if file.socket_mode.is_some() => {
            report.fault(&at, "only a Unix socket has a file");
        }
        Some(ListenAddress::Systemd(_)) if file.socket_mode.is_some() => {
            report
                .fault(&at, "the socket is the service manager's")
                .hint("`SocketMode=` in the socket unit");
        }
        Some(_) | None => {}
    }
    Some(mode.0)
}

/// Certificates with their keys, and the lowest version.
pub(super) fn tls(report: &mut Report<'_>, file: &file::Tls, at: &At<'_>) -> Option<Tls> {
    let list = at.key("certificates");
    let certificates: Vec<Option<CertificateFiles>> = file
        .certificates
        .as_deref()?
        .iter()
        .enumerate()
        .map(|(index, files)| certificate_files(report, files, &list.index(index)))
        .collect();
    let client_certificates = match &file.client_certificates {
        None => Some(None),
        Some(file) => {
            ways::client_certificates(report, file, &at.key("client_certificates")).map(Some)
        }
    };
    Some(Tls {
        client_certificates: client_certificates?,
        certificates: certificates.into_iter().collect::<Option<_>>()?,
        minimum_version: match file.minimum_version {
            None | Some(file::TlsVersion::V1_2) => TlsVersion::V1_2,
            Some(file::TlsVersion::V1_3) => TlsVersion::V1_3,
        },
    })
}

/// A certificate and its key, both there.
pub(super) fn certificate_files(
    report: &mut Report<'_>,
    file: &file::CertificateFiles,
    at: &At<'_>,
) -> Option<CertificateFiles> {
    let certificate = report.pem(
        file.certificate.as_ref(),
        Pem::Certificate,
        &at.key("certificate"),
    );
    let key = report.pem(file.key.as_ref(), Pem::Key, &at.key("key"));
    Some(CertificateFiles {
        certificate: certificate?,
        key: key?,
    })
}

fn limits(report: &mut Report<'_>, file: &file::Limits, at: &At<'_>) -> Option<Limits> {
    let bytes_at = at.key("max_header_bytes");
    let bytes: Option<Size> = report.value_or(
        file.max_header_bytes.as_ref(),
        default::MAX_HEADER_BYTES,
        &bytes_at,
    );
    // The parser needs a few KiB for anything at all; more than 1 MiB of head is memory given away per connection.
    let bytes = bytes.and_then(|Size(bytes)| {
        if (4 << 10..=1 << 20).contains(&bytes) {
            return Some(bytes);
        }
        report
            .fault(&bytes_at, format!("found {bytes} bytes"))
            .allowed("a size from `4KiB` to `1MiB`");
        None
    });
    let mut time = |written: &Option<_>, default, key| {
        report.duration(
            Option::as_ref(written),
            default,
            Zero::Refused,
            &at.key(key),
        )
    };
    let handshake_timeout = time(
        &file.handshake_timeout,
        default::HANDSHAKE_TIMEOUT,
        "handshake_timeout",
    );
    let header_timeout = time(
        &file.header_timeout,
        default::HEADER_TIMEOUT,
        "header_timeout",
    );
    let body_idle_timeout = time(
        &file.body_idle_timeout,
        default::BODY_IDLE_TIMEOUT,
        "body_idle_timeout",
    );
    let keep_alive_timeout = time(
        &file.keep_alive_timeout,
        default::KEEP_ALIVE_TIMEOUT,
        "keep_alive_timeout",
    );
    Some(Limits {
        max_connections: file.max_connections.unwrap_or(default::MAX_CONNECTIONS) as usize,
        max_headers: file.max_headers.unwrap_or(default::MAX_HEADERS) as usize,
        max_header_bytes: bytes?,
        handshake_timeout: handshake_timeout?,
        header_timeout: header_timeout?,
        body_idle_timeout: body_idle_timeout?,
        keep_alive_timeout: keep_alive_timeout?,
        max_streams: file.max_streams.unwrap_or(default::MAX_STREAMS),
        bounds: listener_bounds(file),
    })
}

/// Refuses two listeners of one name. Names taken from addresses (several with port 0) are numbered instead.
fn name_apart(report: &mut Report<'_>, written: &[file::Listener], listeners: &mut [Listener]) {
    let at = At::ROOT.key("listeners");
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, listener) in listeners.iter_mut().enumerate() {
        let count = seen.entry(listener.name.clone()).or_insert(0);
        *count += 1;
        if *count == 1 {
            continue;
        }
        if written
            .get(index)
            .is_some_and(|written| written.name.is_some())
        {
            let here = at.index(index);
            report.fault(
                &here.key("name"),
                format!("another listener is named `{}`", listener.name),
            );
        } else {
            listener.name = format!("{}-{count}", listener.name);
        }
    }
}

/// The admin door.
pub(super) fn admin(report: &mut Report<'_>, file: Option<&file::Admin>) -> Option<Admin> {
    let admin = At::ROOT.key("admin");
    let at = admin.key("address");
    let written = file.and_then(|admin| admin.address.as_ref());
    let address: SocketAddr = report.value_or(written, default::ADMIN_ADDRESS, &at)?;
    if !address.ip().is_loopback() {
        report
            .warn(
                &at,
                format!("the admin door on {address} answers everybody who can reach it"),
            )
            .hint("bind to loopback, or let a network policy keep others out");
    }
    let reuse_port = file.and_then(|admin| admin.reuse_port);
    Some(Admin {
        address,
        reuse_port: reuse_port.unwrap_or(default::REUSE_PORT),
    })
}

/// Refuses one address for two purposes, and warns where a wildcard covers another.
pub(super) fn refuse_conflicts(
    report: &mut Report<'_>,
    listeners: Option<&[Listener]>,
    admin: Option<&Admin>,
    authority: Option<&Authority>,
) {
    let root = At::ROOT;
    let (lists, door, home) = (
        root.key("listeners"),
        root.key("admin"),
        root.key("authority"),
    );
    let embedded = home.key("embedded");
    let entries: Vec<At<'_>> = (0..listeners.map_or(0, <[_]>::len))
        .map(|index| lists.index(index))
        .collect();
    let mut bound: Vec<(At<'_>, ListenAddress)> = entries
        .iter()
        .zip(listeners.unwrap_or_default())
        .map(|(at, listener)| (at.key("address"), listener.address.clone()))
        .collect();
    let beside = admin.map(|admin| (door.key("address"), admin.address));
    bound.extend(beside.map(|(at, address)| (at, ListenAddress::Tcp(address))));
    if let Some(Authority::Embedded(authority)) = authority {
        let address = authority.address.map(ListenAddress::Tcp);
        bound.extend(address.map(|address| (embedded.key("address"), address)));
    }
    for (index, (at, address)) in bound.iter().enumerate() {
        let clash = bound[..index]
            .iter()
            .find(|(_, other)| address.clashes(other));
        if let Some((first, other)) = clash {
            report.fault(at, format!("{address} is taken: `{first}` binds {other}"));
        }
    }
}
