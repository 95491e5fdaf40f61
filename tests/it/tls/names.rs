//! Which certificate a client gets.

use std::sync::Arc;

use rcgen::KeyPair;
use rustls::SignatureScheme;

use super::{Site, curious_knowing, read, shake, shown};
use crate::harness::client::Target;
use crate::harness::pki::trust;

#[test]
fn a_certificate_is_chosen_by_name_and_the_first_stands_for_the_rest() {
    let site = Site::new();
    let (first, wild, exact) = (
        site.leaf("first", &["localhost"]),
        site.leaf("wild", &["*.shop.test"]),
        site.leaf("exact", &["cart.shop.test"]),
    );
    let gate = site.plan(&[&first, &wild, &exact], "").start();
    for (name, expected) in [
        ("localhost", &first),
        ("a.shop.test", &wild),
        ("A.Shop.TEST", &wild),
        // Although the wildcard stands before it.
        ("cart.shop.test", &exact),
        ("a.b.shop.test", &first),
        ("shop.test", &first),
        ("unknown.test", &first),
        // Clients send no name for an address.
        ("127.0.0.1", &first),
    ] {
        assert_eq!(shown(&gate, name), read(expected), "{name}");
    }
    // Whoever asks for another host on the same connection is judged by that host, and not by the certificate.
    let trusting = trust(&site.path().join("ca.pem"));
    let proxy = Target::https(&gate.proxy.address.to_string(), trusting);
    let mut wire = proxy.connect();
    for host in ["localhost", "cart.shop.test"] {
        proxy.get("/").host(host).send_on(&mut wire).expect(200);
    }
}

#[test]
fn of_two_keys_for_one_name_a_client_gets_the_one_it_can_verify() {
    let site = Site::new();
    let elliptic = site.leaf("ec", &["localhost"]);
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let names = &["localhost"];
    let edwards = site
        .ca
        .write_leaf_with(site.path(), "ed", names, &key, |_| {});
    let gate = site.plan(&[&edwards, &elliptic], "").start();
    assert_eq!(shown(&gate, "localhost"), read(&edwards));
    // Browsers know no Ed25519.
    let config = curious_knowing(
        rustls::DEFAULT_VERSIONS,
        &[],
        vec![SignatureScheme::ECDSA_NISTP256_SHA256],
    );
    let session = shake(&gate, &Arc::new(config), "localhost").unwrap();
    assert_eq!(session.peer_certificates().unwrap()[0], read(&elliptic));
}
