use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Map;

use super::*;
use crate::config::settings::{Access, Match};
use crate::gate::routes;
use crate::model::clock::Clock;
use crate::model::identity::{Identity, Realm};
use crate::model::privilege::AtomBits;

fn identity(username: &str) -> Identity {
    let realm = Realm {
        name: "native1".into(),
        kind: "native".into(),
    };
    Identity {
        username: username.into(),
        roles: vec!["reader".into(), "writer".into()],
        full_name: None,
        email: None,
        metadata: Map::new(),
        realm: realm.clone(),
        lookup_realm: realm,
        authentication_type: "realm".into(),
        api_key: None,
    }
}

fn entry(username: &str) -> Arc<Entry> {
    Arc::new(Entry {
        identity: identity(username),
        granted: AtomBits::with_capacity(0),
        expires: Duration::MAX,
        prebuilt: Box::new([OnceLock::new()]),
    })
}

fn headers() -> Forward {
    Forward::IdentityHeaders(vec![
        ("X-Shop-User".into(), IdentityField::Username),
        ("X-Shop-Roles".into(), IdentityField::Roles),
        ("X-Shop-Email".into(), IdentityField::Email),
    ])
}

fn route(forward: Forward) -> Route {
    Route {
        name: "r".into(),
        matches: Match::default(),
        access: Access::Authenticated,
        upstream: "u".into(),
        forward,
        websocket: false,
    }
}

fn permit(forward: Forward, entry: Option<Arc<Entry>>) -> Permit {
    let route = routes::Route {
        name: "r".into(),
        index: 0,
        upstream: 0,
        forward,
        forward_slot: 0,
        websocket: false,
    };
    Permit::for_tests(Arc::new(route), entry, "/", "example.org")
}

fn attach(permit: &Permit, sent: &[(&str, &str)]) -> Result<HeaderMap, AttachError> {
    let forwarding = Forwarding::new(&[route(headers())]).unwrap();
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

#[test]
fn the_upstream_sees_what_the_authority_said_and_nothing_the_client_said() {
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
    let seen = attach(&permit(headers(), Some(entry("alice"))), &sent).unwrap();
    assert_eq!(seen["x-shop-user"], "alice");
    assert_eq!(seen["x-shop-roles"], "reader,writer");
    assert_eq!(seen["accept"], "*/*");
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn a_public_route_strips_what_other_routes_set() {
    let sent = [("x-shop-user", "root"), ("authorization", "Basic Zm9v")];
    for forward in [Forward::None, headers()] {
        assert!(attach(&permit(forward, None), &sent).unwrap().is_empty());
    }
}

#[test]
fn passthrough_leaves_the_credential_and_still_strips_identities() {
    let sent = [("x-shop-user", "root"), ("authorization", "Basic Zm9v")];
    let seen = attach(&permit(Forward::Passthrough, Some(entry("alice"))), &sent).unwrap();
    assert_eq!(seen["authorization"], "Basic Zm9v");
    assert_eq!(seen.len(), 1);
}

#[test]
fn headers_are_made_once_per_entry_and_slot() {
    let entry = entry("alice");
    let permit = permit(headers(), Some(Arc::clone(&entry)));
    attach(&permit, &[]).unwrap();
    let first = entry.prebuilt[0].get().unwrap().as_ptr();
    attach(&permit, &[]).unwrap();
    assert_eq!(entry.prebuilt[0].get().unwrap().as_ptr(), first);
}

#[test]
fn a_field_too_long_denies_instead_of_being_cut() {
    let long = "x".repeat(value::MAX_VALUE + 1);
    let error = attach(&permit(headers(), Some(entry(&long))), &[]).unwrap_err();
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
        let error = Forwarding::new(&[route(forward)]).unwrap_err();
        assert_eq!(
            matches!(error, ForwardingError::Reserved { .. }),
            reserved,
            "{name}"
        );
    }
}
