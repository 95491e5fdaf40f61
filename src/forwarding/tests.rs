use std::time::Duration;

use super::fixture::{basic, gate, settings, upstream};
use super::*;
use crate::config::settings::Access;
use crate::gate::trace::Steps;
use crate::model::clock::Clock;
use crate::net::http::{Peer, PeerCertificate};
use crate::telemetry::metrics::Registry;

fn headers() -> Forward {
    Forward::IdentityHeaders(vec![
        ("X-Shop-User".into(), IdentityField::Username),
        ("X-Shop-Roles".into(), IdentityField::Roles),
        ("X-Shop-Email".into(), IdentityField::Email),
    ])
}

fn route(path: &str, forward: Forward) -> Route {
    let access = if path == "/public" {
        Access::Everyone
    } else {
        Access::Authenticated
    };
    fixture::route(path, access, forward)
}

/// A permit for `username` on a route with this forwarding; for nobody on a public one.
async fn permit(forward: Forward, username: Option<&str>) -> Permit {
    let path = if username.is_some() {
        "/private"
    } else {
        "/public"
    };
    let settings = settings(vec![route(path, forward)], upstream(Vec::new()));
    let clock = Clock::manual(Duration::from_secs(1_000_000));
    let gate = gate(&settings, &Registry::new().unwrap(), &clock);
    let mut request = http::Request::builder().uri(path).header("host", "h");
    if let Some(username) = username {
        request = request.header("authorization", basic(username));
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let peer = Peer {
        address: ([192, 0, 2, 1], 1).into(),
        client_ip: [192, 0, 2, 1].into(),
        trusted: false,
        tls: true,
        listener: "l".into(),
        certificate: PeerCertificate::Absent,
    };
    gate.decide(&head, &peer, clock.now(), &mut Steps::off())
        .await
        .unwrap()
}

fn attach(permit: &Permit, sent: &[(&str, &str)]) -> Result<HeaderMap, AttachError> {
    let forwarding = Forwarding::new(&[route("/", headers())]).unwrap();
    let (mut head, ()) = http::Request::new(()).into_parts();
    for (name, value) in sent {
        head.headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
    }
    let now = Clock::manual(Duration::ZERO).now();
    forwarding.attach(permit, &mut head, now)?;
    Ok(head.headers)
}

#[tokio::test]
async fn the_upstream_sees_what_the_authority_said_and_nothing_the_client_said() {
    let sent = [
        ("x-shop-user", "root"),
        ("X_Shop_User", "root"),
        ("x-shop.user", "root"),
        ("x_forwarded_user", "root"),
        ("remote_user", "root"),
        ("_xpack_security_authentication", "x"),
        ("es-security-runas-user", "root"),
        ("x-elastic-internal", "x"),
        ("authorization", "Basic Zm9v"),
        ("x-shop-email", "root@example.org"),
        ("accept", "*/*"),
    ];
    let seen = attach(&permit(headers(), Some("alice")).await, &sent).unwrap();
    assert_eq!(seen["x-shop-user"], "alice");
    assert_eq!(seen["x-shop-roles"], "reader,writer");
    assert_eq!(seen["accept"], "*/*");
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[tokio::test]
async fn a_public_route_strips_what_other_routes_set() {
    let sent = [("x-shop-user", "root"), ("authorization", "Basic Zm9v")];
    for forward in [Forward::None, headers()] {
        assert!(
            attach(&permit(forward, None).await, &sent)
                .unwrap()
                .is_empty()
        );
    }
}

#[tokio::test]
async fn passthrough_leaves_the_credential_and_still_strips_identities() {
    let sent = [("x-shop-user", "root"), ("authorization", "Basic Zm9v")];
    let seen = attach(&permit(Forward::Passthrough, Some("alice")).await, &sent).unwrap();
    assert_eq!(seen["authorization"], "Basic Zm9v");
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn headers_are_made_once_per_entry_and_slot() {
    let permit = permit(headers(), Some("alice")).await;
    attach(&permit, &[]).unwrap();
    let slot = &permit.entry().unwrap().prebuilt[permit.route().forward_slot];
    let first = slot.get().unwrap().as_ptr();
    attach(&permit, &[]).unwrap();
    assert_eq!(slot.get().unwrap().as_ptr(), first);
}

#[tokio::test]
async fn a_field_too_long_denies_instead_of_being_cut() {
    let long = "x".repeat(value::MAX_VALUE + 1);
    let error = attach(&permit(headers(), Some(&long)).await, &[]).unwrap_err();
    assert_eq!(
        error,
        AttachError::TooLong {
            header: "X-Shop-User".into()
        }
    );
}

#[test]
fn reserved_and_malformed_names_are_refused() {
    for (name, reserved) in [("Host", true), ("X_Forwarded_For", true), ("a b", false)] {
        let forward = Forward::IdentityHeaders(vec![(name.into(), IdentityField::Username)]);
        let error = Forwarding::new(&[route("/", forward)]).unwrap_err();
        assert_eq!(
            matches!(error, ForwardingError::Reserved { .. }),
            reserved,
            "{name}"
        );
    }
}
