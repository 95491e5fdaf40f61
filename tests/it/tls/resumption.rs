//! Sessions that are resumed. Those of clients with certificates are tested in `certificates.rs`.

use std::fs;
use std::sync::Arc;

use rustls::client::{Resumption, Tls12Resumption};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};

use super::{Site, curious};
use crate::harness::client::Target;
use crate::harness::plan::Running;

/// A client that keeps its sessions.
fn remembering(
    version: &'static SupportedProtocolVersion,
    how: Tls12Resumption,
) -> Arc<ClientConfig> {
    let mut config = curious(&[version], &[b"http/1.1"]);
    config.resumption = Resumption::in_memory_sessions(8).tls12_resumption(how);
    Arc::new(config)
}

/// One request on a connection of its own; how its session began. In TLS 1.3 the ticket comes with the answer.
fn kind(gate: &Running, config: &Arc<ClientConfig>) -> HandshakeKind {
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let session = rustls::ClientConnection::new(Arc::clone(config), name).unwrap();
    let stream = std::net::TcpStream::connect(gate.proxy.address).unwrap();
    stream
        .set_read_timeout(Some(crate::harness::DEADLINE))
        .unwrap();
    let mut stream = rustls::StreamOwned::new(session, stream);
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, request).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    stream.conn.handshake_kind().unwrap()
}

fn ways() -> [Arc<ClientConfig>; 3] {
    [
        remembering(&TLS13, Tls12Resumption::Disabled),
        remembering(&TLS12, Tls12Resumption::SessionIdOrTickets),
        remembering(&TLS12, Tls12Resumption::SessionIdOnly),
    ]
}

#[test]
fn sessions_are_resumed_by_ticket_and_by_id_and_over_a_reload() {
    let site = Site::new();
    let (leaf, other) = (
        site.leaf("leaf", &["localhost"]),
        site.leaf("other", &["localhost"]),
    );
    let gate = site.plan(&[&leaf], "").start();
    let ways = ways();
    for config in &ways {
        assert_eq!(kind(&gate, config), HandshakeKind::Full);
        assert_eq!(kind(&gate, config), HandshakeKind::Resumed);
    }
    fs::copy(&other.certificate, &leaf.certificate).unwrap();
    fs::copy(&other.key, &leaf.key).unwrap();
    gate.process.signal("HUP");
    gate.wait_for_reload("applied");
    for config in &ways {
        assert_eq!(kind(&gate, config), HandshakeKind::Resumed);
    }
}

#[test]
fn nobody_comes_back_without_a_certificate_once_one_is_required() {
    let site = Site::new();
    let leaf = site.leaf("leaf", &["localhost"]);
    let gate = site.plan(&[&leaf], "").start();
    let ways = ways();
    for config in &ways {
        assert_eq!(kind(&gate, config), HandshakeKind::Full);
    }
    let ca = site.path().join("ca.pem");
    let required = format!(
        ", client_certificates: {{ mode: required, ca: {} }}",
        ca.display()
    );
    let stricter = site.plan(&[&leaf], &required);
    fs::write(&gate.config, stricter.yaml(gate.folder.path())).unwrap();
    gate.process.signal("HUP");
    gate.wait_for_reload("applied");
    let before = site.app.requests().len();
    for config in &ways {
        let proxy = Target::https(&gate.proxy.address.to_string(), Arc::clone(config));
        let mut wire = proxy.connect();
        let _ = wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(
            wire.reply().is_err(),
            "a session without a certificate was resumed"
        );
    }
    assert_eq!(site.app.requests().len(), before);
}

#[test]
fn a_session_is_not_resumed_under_another_name() {
    let site = Site::new();
    let leaf = site.leaf("leaf", &["localhost", "shop.test"]);
    let gate = site.plan(&[&leaf], "").start();
    let config = remembering(&TLS13, Tls12Resumption::Disabled);
    assert_eq!(kind(&gate, &config), HandshakeKind::Full);
    let session = super::shake(&gate, &config, "shop.test").unwrap();
    assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
}
