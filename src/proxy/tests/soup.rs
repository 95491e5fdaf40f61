//! Any soup of headers: no identity gets through, and nothing that Sidegate says can be taken away or doubled.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::config::settings::{Access, Forward, IdentityField};
use crate::forwarding::Forwarding;
use crate::forwarding::fixture::{basic, gate, route, settings, upstream};
use crate::gate::trace::Steps;
use crate::model::clock::Clock;
use crate::net::http::{Head, Peer, PeerCertificate};
use crate::proxy::rewrite::Rewrite;
use crate::telemetry::metrics::Registry;

/// What clients claim in the values of this test.
const CLAIM: &str = "eve";

/// Names that tell an application who somebody is, or where a request came from.
const CLAIMS: [&str; 24] = [
    "x-forwarded-user",
    "x-forwarded-roles",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-anything",
    "x-original-url",
    "x-rewrite-url",
    "x-real-ip",
    "forwarded",
    "x-auth-request-user",
    "remote-user",
    "x-remote-user",
    "x-remote-extra-scope",
    "x-shop-user",
    "es-security-runas-user",
    "es-secondary-authorization",
    "client-cert",
    "x-sidegate-user",
];

const OTHERS: [&str; 12] = [
    "accept",
    "cookie",
    "x-mine",
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "x-http-method-override",
    "content-type",
    "origin",
    "x-forwarded",
];

fn folded(name: &str) -> String {
    let fold = |letter| {
        if matches!(letter, '_' | '.') {
            '-'
        } else {
            letter
        }
    };
    name.to_ascii_lowercase().chars().map(fold).collect()
}

/// A name in any spelling that some application might take for it.
fn spelling() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        3 => prop::sample::select(&CLAIMS[..]),
        1 => prop::sample::select(&OTHERS[..]),
    ];
    (name, prop::collection::vec(0..4u8, 40)).prop_map(|(name, styles)| {
        let spelled = name
            .chars()
            .zip(styles)
            .map(|(letter, style)| match (letter, style) {
                ('-', 1) => '_',
                ('-', 2) => '.',
                (letter, 3) => letter.to_ascii_uppercase(),
                (letter, _) => letter,
            });
        spelled.collect()
    })
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(CLAIM.to_owned()),
        2 => prop::collection::vec(spelling(), 1..4).prop_map(|names| names.join(", ")),
        1 => prop::sample::select(vec!["close", "keep-alive, x-mine", "trailers", ",,", " "]).prop_map(str::to_owned),
    ]
}

fn head(lines: &[(String, String)]) -> Head {
    let mut head = http::Request::new(()).into_parts().0;
    head.uri = "/orders".parse().unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers.insert("host", HeaderValue::from_static("shop.test"));
    headers.insert("authorization", basic("alice").parse().unwrap());
    head.headers = headers;
    head
}

#[test]
fn no_soup_of_headers_makes_anybody_somebody_else() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let forward = Forward::IdentityHeaders(vec![
        ("X-Shop-User".to_owned(), IdentityField::Username),
        ("X-Forwarded-Roles".to_owned(), IdentityField::Roles),
    ]);
    let settings = settings(
        vec![route("/**", Access::Authenticated, forward)],
        upstream(Vec::new()),
    );
    let registry = Registry::new().unwrap();
    let clock = Clock::manual(Duration::from_secs(1_000_000));
    let gate = {
        let _inside = runtime.enter();
        gate(&settings, &registry, &clock)
    };
    let forwarding = Forwarding::new(&settings.routes).unwrap();
    let rewrite = Rewrite::default();
    let peer = Peer {
        address: "192.0.2.1:4000".parse().unwrap(),
        client_ip: [192, 0, 2, 1].into(),
        trusted: false,
        tls: true,
        listener: "l".into(),
        certificate: PeerCertificate::Absent,
    };
    let soup = prop::collection::vec((spelling(), value()), 0..12);
    let config = ProptestConfig::with_cases(3_000);
    let checked = TestRunner::new(config).run(&soup, |lines| {
        let mut head = head(&lines);
        if rewrite
            .check_connection(&head.headers, &forwarding)
            .is_err()
        {
            return Ok(());
        }
        let now = clock.now();
        let verdict = runtime.block_on(gate.decide(&head, &peer, now, &mut Steps::off()));
        let permit = verdict.expect("alice may");
        rewrite.prepare(&mut head, &peer, &HeaderValue::from_static("id"), false);
        let kept = gate.take_credentials(&permit, &mut head);
        prop_assert!(kept.is_empty());
        forwarding
            .attach(&permit, &mut head, now)
            .expect("short enough");
        for (name, expected) in [
            ("x-shop-user", "alice"),
            ("x-forwarded-roles", "reader,writer"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.test"),
            ("host", "shop.test"),
            ("x-request-id", "id"),
        ] {
            let spellings: Vec<_> = head
                .headers
                .iter()
                .filter(|(other, _)| folded(other.as_str()) == name)
                .map(|(_, value)| value.clone())
                .collect();
            prop_assert_eq!(spellings, vec![expected], "{}", name);
        }
        for (name, value) in &head.headers {
            let name = folded(name.as_str());
            let claim = CLAIMS.contains(&name.as_str());
            prop_assert!(
                !claim || !value.to_str().unwrap().contains(CLAIM),
                "{}: {:?}",
                name,
                value
            );
            prop_assert!(
                !matches!(
                    name.as_str(),
                    "authorization" | "connection" | "te" | "x-http-method-override"
                ),
                "{}",
                name
            );
        }
        Ok(())
    });
    checked.unwrap();
}
