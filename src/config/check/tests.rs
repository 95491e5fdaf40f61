use std::path::PathBuf;

use super::*;
use crate::config::references::Given;
use crate::config::settings::{Authority, OwnCredential, UpstreamUrl};

mod damaged;
mod documented;
mod listeners;
mod oidc;
mod pages;
mod realms;
mod route;
mod saml_realm;
mod session;
mod sso;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n";
const API_KEY: &str = "aWQ6aHVudGVyMg=="; // id:hunter2

const MINIMAL: &str = "
listeners: [{ address: '127.0.0.1:8443' }]
authority: { embedded: {} }
upstreams: { shop: { url: 'http://127.0.0.1:3000' } }
routes: [{ name: home, match: { path: '/**' }, allow: authenticated, upstream: shop }]
";

fn given() -> Given {
    let variables = [
        ("SIDEGATE_API_KEY", API_KEY),
        ("SIDEGATE_PASSWORD", "hunter2"),
        ("ELASTIC_PASSWORD", "hunter2"),
    ];
    let files = [
        ("/etc/sidegate/tls.crt", CERTIFICATE),
        ("/etc/sidegate/tls.key", KEY),
        ("/etc/sidegate/elasticsearch-ca.pem", CERTIFICATE),
        ("/run/secrets/elastic-password", "hunter2\n"),
        ("dev/localhost.crt", CERTIFICATE),
        ("dev/localhost.key", KEY),
        ("/locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
    ];
    Given {
        variables: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        files: files
            .map(|(path, content)| (PathBuf::from(path), content.into()))
            .into(),
    }
}

fn taken(text: &str) -> Checked {
    check(text, &given()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn refused(text: &str) -> Vec<Fault> {
    match check(text, &given()) {
        Ok(_) => panic!("was taken:\n{text}"),
        Err(faults) => faults.0,
    }
}

/// Path and problem of the only fault.
fn fault(text: &str) -> (String, String) {
    let faults = refused(text);
    assert_eq!(faults.len(), 1, "{}", Faults(faults));
    (faults[0].path.clone(), faults[0].problem.clone())
}

fn warnings(text: &str) -> Vec<String> {
    let warnings = taken(text).warnings;
    warnings
        .into_iter()
        .map(|warning| format!("{}: {}", warning.path, warning.problem))
        .collect()
}

/// The minimal config with one route of this body.
fn with_route(body: &str) -> String {
    let start = MINIMAL.find("routes:").unwrap();
    format!(
        "{}routes:\n  - name: r\n    upstream: shop\n{}",
        &MINIMAL[..start],
        indented(body, 4)
    )
}

fn indented(text: &str, by: usize) -> String {
    text.lines()
        .map(|line| format!("{}{line}\n", " ".repeat(by)))
        .collect()
}

fn example(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

const FAULTY: &str = r#"
listeners:
  - address: 8443
  - adress: localhost:8443
    tls: { certificates: [], minimum_version: "tls1.1" }
  - address: 0.0.0.0:9443
    tls:
      certificates: [{ certificate: /missing.crt, key: /locked.key }]
    trusted_proxies: [10.0.0.1/8]
    limits: { max_headers: 5, header_timeout: 0s, max_header_bytes: 64KB }
authority:
  elasticsearch:
    nodes: ["https://admin:hunter2@es:9200", es-2]
    credential: { api_key: "${NOPE}" }
    timeout: 5
upstreams:
  shop: { url: "http://shop:3000/base", retries: 99 }
  "bad name": { urls: [], url: "http://a" }
cache: { tll: 60, refresh_ahead: 1.5 }
cache: {}
routes:
  - name: one
    match: { path: "/a/{id}/**/b", methods: [get] }
    allow: evryone
    upstream: shpo
  - name: one
    match: { path: "/b/{space}", hosts: ["b:80"] }
    require: { index: [{ names: ["logs-{spaec}"], privileges: [] }], roles: [""] }
    upstream: shop
    forward: { identity_headers: { username: Authorization, email: X-A, realm: x-a } }
  - name: three
    match: { path: /c }
    upstream: shop
    forward: { token: {}, passthrough: true }
    ttl: 5s
  - name: four
    match: { path: /d }
    allow: everyone
    require: {}
    upstream: shop
login_limit: [1]
workers: 0
"#;

#[test]
fn one_report_tells_every_fault_with_place_and_hint() {
    let report = Faults(refused(FAULTY)).to_string();
    let golden = include_str!("faults.golden");
    assert!(
        report == golden.trim_end(),
        "src/config/check/faults.golden is stale; the report is now:\n{report}"
    );
}

#[test]
fn a_misspelt_key_does_not_hide_what_is_below_it() {
    let faults = refused(
        &MINIMAL
            .replace("upstreams:", "upstream:")
            .replace("url:", "urll:")
            .replace("3000", "port"),
    );
    let told: Vec<String> = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.path, fault.problem))
        .collect();
    assert_eq!(
        told,
        [
            ": unknown key `upstream`",
            "upstreams.shop: unknown key `urll`",
            "upstreams.shop.url: `http://127.0.0.1:port`: its port is no number",
        ]
    );
}

#[test]
fn a_key_of_another_section_is_sent_home() {
    let faults = refused(&format!("{MINIMAL}max_stale: 5s\n"));
    assert_eq!(
        faults[0].hint.as_deref(),
        Some("`max_stale` belongs to `cache`")
    );
}

#[test]
fn addresses_may_not_be_bound_twice_but_ports_of_the_system_may() {
    let with = |more: &str| MINIMAL.replace("8443' }]", &format!("8443' }}, {more}]"));
    assert_eq!(
        fault(&with("{ address: '127.0.0.1:8443', name: b }")).1,
        "127.0.0.1:8443 is taken: `listeners[0].address` binds 127.0.0.1:8443"
    );
    assert_eq!(
        fault(&with("{ address: '0.0.0.0:9901' }")).0,
        "admin.address"
    );
    let two = taken(&MINIMAL.replace(
        "[{ address: '127.0.0.1:8443' }]",
        "[{ address: '127.0.0.1:0' }, { address: '127.0.0.1:0' }]",
    ));
    let names: Vec<_> = two
        .settings
        .listeners
        .iter()
        .map(|listener| listener.name.as_str())
        .collect();
    assert_eq!(names, ["127.0.0.1:0", "127.0.0.1:0-2"]);
}

#[test]
fn the_embedded_authority_stays_on_loopback() {
    let text = MINIMAL.replace("embedded: {}", "embedded: { address: '0.0.0.0:9200' }");
    assert_eq!(fault(&text).0, "authority.embedded.address");
}

#[test]
fn credentials_of_our_own_are_looked_up_and_checked() {
    let with = |credential: &str| {
        MINIMAL.replace(
            "embedded: {}",
            &format!(
                "elasticsearch: {{ nodes: ['https://es:9200'], credential: {{ {credential} }} }}"
            ),
        )
    };
    let own = |text: &str| match taken(text).settings.authority {
        Authority::Elasticsearch(elasticsearch) => elasticsearch.credential,
        Authority::Embedded(_) => None,
    };
    assert!(
        matches!(own(&with("api_key: '${SIDEGATE_API_KEY}'")), Some(OwnCredential::ApiKey(key)) if key.expose() == API_KEY.as_bytes())
    );
    assert!(matches!(
        own(&with("basic: { username: svc, password: '${SIDEGATE_PASSWORD}' }")),
        Some(OwnCredential::Basic { username, password }) if username == "svc" && password.expose() == b"hunter2"
    ));
    assert!(matches!(
        own(&with("bearer: file:/run/secrets/elastic-password")),
        Some(OwnCredential::Bearer(_))
    ));
    for (credential, path, problem) in [
        ("api_key: 'id:hunter2'", "api_key", "it is not encoded"),
        (
            "api_key: '${ELASTIC_PASSWORD}'",
            "api_key",
            "it is no base64",
        ),
        (
            "api_key: aHVudGVyMg==",
            "api_key",
            "what it decodes to has no colon between id and secret",
        ),
        (
            "bearer: 'hunter 2'",
            "bearer",
            "the token holds a character that no header can carry",
        ),
        (
            "basic: { username: svc }",
            "basic",
            "the key `password` is missing",
        ),
        (
            "basic: { username: 'a:b', password: hunter2 }",
            "basic.username",
            "the user name holds a colon or a control character, or is not UTF-8",
        ),
        (
            "api_key: '${NOPE}'",
            "api_key",
            "environment variable `NOPE` is not set",
        ),
        (
            "bearer: file:/nope",
            "bearer",
            "file `/nope` can't be read: entity not found",
        ),
    ] {
        let found = fault(&with(credential));
        assert_eq!(
            found,
            (
                format!("authority.elasticsearch.credential.{path}"),
                problem.to_owned()
            )
        );
    }
}

#[test]
fn doubtful_things_are_warned_of() {
    let text = "
listeners: [{ address: '0.0.0.0:8080', trusted_proxies: ['0.0.0.0/0'] }]
admin: { address: '0.0.0.0:9901' }
authority:
  elasticsearch: { nodes: ['http://127.0.0.1:9200', 'http://es:9200'], ca: /etc/sidegate/tls.crt, credential: { bearer: abc } }
upstreams: { shop: { url: 'http://shop:80', tls: {} }, spare: { url: 'http://127.0.0.1:1' } }
cache: { ttl: 2h }
routes:
  - { name: all, match: { path: '/a/**' }, allow: everyone, upstream: shop, forward: { identity_headers: {} } }
  - { name: some, match: { path: '/a/{b}', methods: [GTE] }, require: { index: [{ names: [x], privileges: [raed] }] }, upstream: shop, forward: passthrough }
";
    assert_eq!(
        warnings(text),
        [
            "listeners[0].address: plain HTTP on 0.0.0.0:8080: credentials can be read on the way",
            "listeners[0].trusted_proxies[0]: 0.0.0.0/0 believes everybody who names a client address",
            "admin.address: the admin door on 0.0.0.0:9901 answers everybody who can reach it",
            "authority.elasticsearch.nodes[0]: plain HTTP: Sidegate's own credential and those of clients can be read on the way",
            "authority.elasticsearch.nodes[1]: plain HTTP: Sidegate's own credential and those of clients can be read on the way",
            "authority.elasticsearch.ca: no node is spoken to over `https`, so the CA is not used",
            "authority.elasticsearch.credential.bearer: the secret itself stands in the config file",
            "upstreams.shop.tls: no address is spoken to over `https`, so `tls` is not used",
            "upstreams.spare: no route sends anything to this upstream",
            "cache.ttl: a revoked credential may get in for more than an hour",
            "routes[0].forward: no identity ever travels here: with `allow: everyone` no credential is looked at",
            "routes[1]: route `some` can never match: `all` before it takes all of that",
            "routes[1].match.methods[0]: `GTE` is no common method",
            "routes[1].require.index[0].privileges[0]: `raed` is no index privilege known here",
            "routes[1].forward: clients' credentials are passed on in clear text to upstream `shop`",
        ]
    );
}

#[test]
fn upstreams_are_reached_by_one_address_or_several() {
    let with = |body: &str| MINIMAL.replace("url: 'http://127.0.0.1:3000'", body);
    let checked = taken(&with(
        "urls: ['http://a:1', 'unix:/s.sock'], idle_timeout: none",
    ));
    let shop = &checked.settings.upstreams["shop"];
    assert_eq!(shop.urls[1], UpstreamUrl::Unix("/s.sock".into()));
    assert_eq!(shop.idle_timeout, None);
    for (body, problem) in [
        ("retries: 1", "it has no address"),
        (
            "url: 'http://a', urls: ['http://b']",
            "it has both `url` and `urls`",
        ),
        (
            "urls: ['http://a', 'http://A:80']",
            "this address is listed twice",
        ),
        ("urls: []", "found an empty list"),
        (
            "url: 'http://a', idle_timeout: 0s",
            "a time of zero leaves no time at all",
        ),
        (
            "url: 'http://a', connect_timeout: 0s",
            "a time of zero leaves no time at all",
        ),
        ("url: 'http://a', retries: -1", "found -1"),
        ("url: 'http://a', retries: 1.5", "found 1.5"),
        ("url: 'http://a', retries: '1'", "found a text"),
    ] {
        assert_eq!(fault(&with(body)).1, problem, "{body}");
    }
}

#[test]
fn sections_left_empty_are_as_if_left_out() {
    let text = format!("{MINIMAL}cache:\nlogin_limit:\naccess_log:\nadmin:\n");
    assert_eq!(
        format!("{:?}", taken(&text).settings),
        format!("{:?}", taken(MINIMAL).settings)
    );
}

#[test]
fn files_that_are_no_config_are_one_fault() {
    let load = |content: &[u8]| {
        let mut given = given();
        given.files.insert("x.yaml".into(), content.into());
        load(Path::new("x.yaml"), &given)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert!(load(b"a: 1\n\xff").starts_with("config (line 2, column 1): the file is not UTF-8"));
    assert!(load(b"").contains("found nothing"), "{}", load(b""));
    assert!(load(b"[]").contains("found an empty list"));
    assert!(load(b"a: 1\n---\nb: 2\n").contains("no YAML"));
    let missing = super::load(Path::new("/nope.yaml"), &given())
        .map(|_| ())
        .unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("config: file /nope.yaml can't be read")
    );
}
