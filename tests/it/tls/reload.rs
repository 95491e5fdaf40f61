//! New certificates while connections are open.

use std::fs;
use std::io;

use super::{Mounted, Site, read, shown};
use crate::harness::client::Target;
use crate::harness::pki::{Files, trust};
use crate::harness::plan::Running;

const NOT_AFTER: &str = "sidegate_tls_cert_not_after_timestamp_seconds";

fn contents(files: &Files) -> (Vec<u8>, Vec<u8>) {
    let read = |path| fs::read(path).unwrap();
    (read(&files.certificate), read(&files.key))
}

fn label(files: &Files) -> String {
    format!("name=\"{}\"", files.certificate.display())
}

/// Waits for the n-th reload that ended so.
fn wait_for(gate: &Running, result: &str, count: f64) {
    let label = format!("result=\"{result}\"");
    gate.wait_for_metric("sidegate_config_reloads_total", &[&label], |sum| {
        sum >= count
    });
}

#[test]
fn a_secret_swapped_as_kubernetes_does_is_served_to_new_connections_and_drops_none() {
    for inner in [false, true] {
        swapped_secret(inner);
    }
}

/// `inner`: the configuration names the files by a path through `..data`.
fn swapped_secret(inner: bool) {
    let site = Site::new();
    let of_year = |stem: &str, year| {
        let key = rcgen::KeyPair::generate().unwrap();
        site.ca
            .write_leaf_with(site.path(), stem, &["localhost"], &key, |params| {
                params.not_after = rcgen::date_time_ymd(year, 1, 1);
            })
    };
    let leaves = [of_year("a", 2040), of_year("b", 2041), of_year("c", 2042)];
    let folder = tempfile::tempdir().unwrap();
    let mut mounted = Mounted::new(folder.path(), &leaves[0]);
    let files = if inner {
        mounted.inner_files()
    } else {
        mounted.files()
    };
    let gate = site.plan(&[&files], "").start();
    let trusting = trust(&site.path().join("ca.pem"));
    let proxy = Target::https(&gate.proxy.address.to_string(), trusting);
    let mut wire = proxy.connect();
    proxy.get("/").send_on(&mut wire).expect(200);
    assert_eq!(shown(&gate, "localhost"), read(&leaves[0]));
    assert_eq!(gate.metric(NOT_AFTER, &[&label(&files)]), 2_208_988_800.0);

    // Twice, for after the first swap the files lie in another folder than the one watched in the beginning.
    let ends = [2_240_611_200.0, 2_272_147_200.0];
    for (at, (leaf, end)) in leaves[1..].iter().zip(ends).enumerate() {
        let (certificate, key) = contents(leaf);
        mounted.swap(&certificate, &key);
        wait_for(&gate, "applied", at as f64 + 1.0);
        assert_eq!(shown(&gate, "localhost"), read(leaf));
        assert_eq!(gate.metric(NOT_AFTER, &[&label(&files)]), end);
        proxy.get("/").send_on(&mut wire).expect(200);
    }

    // A pair that doesn't belong together, and one that is none: the old one stays, and that is told.
    let (certificate, _) = contents(&leaves[0]);
    let (_, key) = contents(&leaves[1]);
    mounted.swap(&certificate, &key);
    wait_for(&gate, "refused", 1.0);
    mounted.swap(b"not a certificate", &key);
    wait_for(&gate, "refused", 2.0);
    assert_eq!(shown(&gate, "localhost"), read(&leaves[2]));
    assert_eq!(gate.metric(NOT_AFTER, &[&label(&files)]), ends[1]);
    proxy.get("/").send_on(&mut wire).expect(200);
    let told = gate
        .process
        .stderr
        .find(|line| line.contains("reload refused"));
    assert!(told.is_some_and(|line| line.contains("tls.crt")));

    // What is good again is taken.
    let (certificate, key) = contents(&leaves[1]);
    mounted.swap(&certificate, &key);
    wait_for(&gate, "applied", 3.0);
    assert_eq!(shown(&gate, "localhost"), read(&leaves[1]));
    proxy.get("/").send_on(&mut wire).expect(200);
}

#[test]
fn a_certificate_taken_out_of_the_configuration_is_neither_served_nor_counted() {
    let site = Site::new();
    let (first, second) = (
        site.leaf("first", &["localhost"]),
        site.leaf("second", &["shop.test"]),
    );
    let gate = site.plan(&[&first, &second], "").start();
    assert_eq!(shown(&gate, "shop.test"), read(&second));
    assert!(gate.metrics().contains(&label(&second)));
    let without = site.plan(&[&first], "");
    fs::write(&gate.config, without.yaml(gate.folder.path())).unwrap();
    gate.wait_for_reload("applied");
    assert_eq!(shown(&gate, "shop.test"), read(&first));
    let metrics = gate.metrics();
    assert!(metrics.contains(&label(&first)) && !metrics.contains(&label(&second)));
}

#[test]
fn handshakes_under_way_at_a_reload_end_well() {
    let site = Site::new();
    let (leaf, other) = (
        site.leaf("leaf", &["localhost"]),
        site.leaf("other", &["localhost"]),
    );
    let gate = site.plan(&[&leaf], "").start();
    let config = std::sync::Arc::new(super::curious(rustls::DEFAULT_VERSIONS, &[]));
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let mut session = rustls::ClientConnection::new(config, name).unwrap();
    let mut stream = std::net::TcpStream::connect(gate.proxy.address).unwrap();
    stream
        .set_read_timeout(Some(crate::harness::DEADLINE))
        .unwrap();
    // The server's whole flight is read, so that the handshake has begun before the reload.
    session.write_tls(&mut stream).unwrap();
    session.read_tls(&mut stream).unwrap();
    let (certificate, key) = contents(&other);
    fs::write(&leaf.certificate, certificate).unwrap();
    fs::write(&leaf.key, key).unwrap();
    gate.process.signal("HUP");
    gate.wait_for_reload("applied");
    session.process_new_packets().unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut stream).unwrap();
    }
    let mut stream = rustls::StreamOwned::new(session, stream);
    io::Write::write_all(
        &mut stream,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    let mut answer = [0; 12];
    io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(shown(&gate, "localhost"), read(&leaf));
}
