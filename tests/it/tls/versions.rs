//! Versions and protocols that are agreed on.

use std::sync::Arc;

use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::{Site, curious, shake};
use crate::harness::client::Target;
use crate::harness::pki::trust;

#[test]
fn a_minimum_version_is_a_minimum() {
    let site = Site::new();
    let leaf = site.leaf("leaf", &["localhost"]);
    let (old, new) = (
        Arc::new(curious(&[&TLS12], &[])),
        Arc::new(curious(&[&TLS13], &[])),
    );
    let usual = site.plan(&[&leaf], "").start();
    let version = |config| {
        let session = shake(&usual, config, "localhost").unwrap();
        session.protocol_version().unwrap()
    };
    assert_eq!(version(&old), ProtocolVersion::TLSv1_2);
    assert_eq!(version(&new), ProtocolVersion::TLSv1_3);

    let strict = site.plan(&[&leaf], ", minimum_version: tls1.3").start();
    assert!(shake(&strict, &new, "localhost").is_ok());
    let refused = shake(&strict, &old, "localhost").unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
    let handshakes = |result: &str, count| {
        let label = format!("result=\"{result}\"");
        strict.wait_for_metric("sidegate_tls_handshakes_total", &[&label], |sum| {
            sum == count
        });
    };
    handshakes("ok", 1.0);
    handshakes("failed", 1.0);
}

#[test]
fn the_protocol_is_the_one_both_know() {
    let site = Site::new();
    let leaf = site.leaf("leaf", &["localhost"]);
    let gate = site.plan(&[&leaf], "").start();
    for (offered, agreed) in [
        (&[&b"h2"[..], b"http/1.1"][..], Some(&b"h2"[..])),
        // Sidegate's preference counts.
        (&[b"http/1.1", b"h2"], Some(b"h2")),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[b"spdy/3", b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let config = Arc::new(curious(rustls::DEFAULT_VERSIONS, offered));
        let session = shake(&gate, &config, "localhost").unwrap();
        assert_eq!(session.alpn_protocol(), agreed, "{offered:?}");
    }
    // RFC 7301 §3.2: nothing in common ends the handshake, so that no other protocol's bytes are taken for HTTP (ALPACA).
    for strange in [&b"smtp"[..], b"ftp", b"h2c", b"http/1.0"] {
        let config = Arc::new(curious(rustls::DEFAULT_VERSIONS, &[strange]));
        let refused = shake(&gate, &config, "localhost").unwrap_err();
        assert!(
            refused.to_string().contains("NoApplicationProtocol"),
            "{refused}"
        );
    }
    // Whoever offers nothing speaks HTTP/1.1.
    let trusting = trust(&site.path().join("ca.pem"));
    let mut silent = rustls::ClientConfig::clone(&trusting);
    silent.alpn_protocols.clear();
    let proxy = Target::https(&gate.proxy.address.to_string(), Arc::new(silent));
    proxy.get("/").send().expect(200);
    // And nobody speaks plainly here.
    let plain = Target::http(&gate.proxy.address.to_string());
    let answer = plain.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}
