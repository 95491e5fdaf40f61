//! Listeners: where they listen, who is believed there, and the routes that count on them.

use super::*;
use crate::config::listening::{ListenAddress, PeerMatch};
use crate::config::settings::Listener;

fn with(listener: &str) -> String {
    MINIMAL.replace("{ address: '127.0.0.1:8443' }", listener)
}

fn first(text: &str) -> Listener {
    taken(text).settings.listeners.swap_remove(0)
}

#[test]
fn a_unix_socket_has_a_mode_and_needs_no_tls() {
    let text = with("{ address: 'unix:/run/app.sock', socket_mode: '0600', reuse_port: true }");
    assert!(warnings(&text).is_empty());
    let listener = first(&text);
    assert_eq!(
        listener.address,
        ListenAddress::Unix("/run/app.sock".into())
    );
    assert_eq!((listener.socket_mode, listener.reuse_port), (0o600, true));
    assert_eq!(listener.name, "unix:/run/app.sock");
    let default = first(&with("{ address: 'unix:/run/app.sock' }"));
    assert_eq!(default.socket_mode, 0o660);
}

#[test]
fn what_fits_one_kind_of_address_alone_is_refused_on_others() {
    for (listener, at) in [
        (
            "{ address: '127.0.0.1:1', socket_mode: '0600' }",
            "listeners[0].socket_mode",
        ),
        (
            "{ address: 'systemd:web', socket_mode: '0600' }",
            "listeners[0].socket_mode",
        ),
        (
            "{ address: 'systemd:web', reuse_port: true }",
            "listeners[0].reuse_port",
        ),
        ("{ address: 'unix:app.sock' }", "listeners[0].address"),
        (
            "{ address: 'unix:/a' , socket_mode: 'rw' }",
            "listeners[0].socket_mode",
        ),
        (
            "{ address: 'unix:/a' }, { address: 'unix:/a' }",
            "listeners[1].address",
        ),
        (
            "{ address: 'systemd:a' }, { address: 'systemd:a', name: b }",
            "listeners[1].address",
        ),
    ] {
        assert_eq!(fault(&with(listener)).0, at, "{listener}");
    }
}

#[test]
fn peers_are_networks_or_unix() {
    let text = with(
        "{ address: 'unix:/a', trusted_proxies: [unix], proxy_protocol: { from: [unix, 10.0.0.0/8] } }",
    );
    let listener = first(&text);
    assert_eq!(listener.trusted_proxies, [PeerMatch::Unix]);
    let network = PeerMatch::Network("10.0.0.0/8".parse().unwrap());
    assert_eq!(listener.proxy_protocol, [PeerMatch::Unix, network]);
    for (listener, at) in [
        (
            "{ address: 'unix:/a', proxy_protocol: {} }",
            "listeners[0].proxy_protocol",
        ),
        (
            "{ address: 'unix:/a', proxy_protocol: { from: [everybody] } }",
            "listeners[0].proxy_protocol.from[0]",
        ),
    ] {
        assert!(fault(&with(listener)).0.starts_with(at), "{listener}");
    }
    let everybody = with("{ address: 'unix:/a', proxy_protocol: { from: ['0.0.0.0/0'] } }");
    assert_eq!(
        warnings(&everybody),
        [
            "listeners[0].proxy_protocol.from[0]: 0.0.0.0/0 believes everybody who names a client address"
        ]
    );
}

#[test]
fn a_route_counts_on_listeners_that_there_are() {
    let text = |names: &str| {
        with("{ name: web, address: '127.0.0.1:0' }, { name: inside, address: 'unix:/a' }").replace(
            "upstream: shop }]",
            &format!("upstream: shop, listeners: {names} }}]"),
        )
    };
    let inside = taken(&text("[inside]"));
    assert_eq!(inside.settings.routes[0].listeners, ["inside"]);
    let (at, problem) = fault(&text("[inside, wep]"));
    assert_eq!(at, "routes[0].listeners[1]");
    assert_eq!(problem, "no listener is named `wep`");
    assert_eq!(fault(&text("[web, web]")).0, "routes[0].listeners[1]");
    assert_eq!(fault(&text("[]")).0, "routes[0].listeners");
    let faults =
        refused(&MINIMAL.replace("upstream: shop }]", "upstream: shop, listeners: [web] }]"));
    assert_eq!(
        faults[0].hint.as_deref(),
        Some("give the listener a `name`")
    );
}
