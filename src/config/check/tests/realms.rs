//! The realms of the embedded authority.

use super::*;
use crate::config::realm_values::JwksPath;
use crate::config::realms::{JwtAlgorithm, JwtTokenType, RealmKind};
use crate::config::settings::Embedded;

const JWT: &str =
    "order: 1, allowed_issuer: 'https://a', allowed_audiences: [shop], claims: { principal: sub }";
const OPEN: &str = "client_authentication: { type: none }";
const KEYS: &str = "pkc_jwkset_path: 'https://a/keys'";

fn embedded(text: &str) -> String {
    MINIMAL.replace("embedded: {}", &format!("embedded: {{ {text} }}"))
}

fn jwt(rest: &str) -> String {
    embedded(&format!(
        "realms: {{ jwt: {{ jwt1: {{ {JWT}, {rest} }} }} }}"
    ))
}

fn meant(text: &str) -> Embedded {
    match taken(text).settings.authority {
        Authority::Embedded(embedded) => embedded,
        Authority::Elasticsearch(_) => panic!("embedded"),
    }
}

fn names(embedded: &Embedded) -> Vec<&str> {
    embedded
        .realms
        .iter()
        .map(|realm| realm.name.as_str())
        .collect()
}

fn path_of(text: &str) -> String {
    let (path, _) = fault(text);
    path.trim_start_matches("authority.embedded.").to_owned()
}

#[test]
fn realms_are_asked_by_order_with_the_implicit_ones_in_front() {
    assert_eq!(names(&meant(MINIMAL)), ["default_file", "default_native"]);
    let pki = "pki: { pki1: { order: -5 }, pki2: { order: -9, enabled: false } }";
    let text = embedded(&format!(
        "realms: {{ {pki}, jwt: {{ jwt1: {{ {JWT}, {KEYS}, {OPEN} }} }} }}"
    ));
    assert_eq!(
        names(&meant(&text)),
        ["default_file", "default_native", "pki1", "jwt1"]
    );
    let text = embedded(
        "data: /var, realms: { native: { people: { order: 2 } }, file: { staff: { order: 1 } } }",
    );
    let settings = meant(&text);
    assert_eq!(names(&settings), ["staff", "people"]);
    let RealmKind::File(file) = &settings.realms[0].kind else {
        panic!("file");
    };
    assert_eq!(
        file.files.as_ref().unwrap().users,
        PathBuf::from("/var/users")
    );
    let text = embedded("realms: { native: { people: { order: 2, enabled: false } } }");
    assert_eq!(names(&meant(&text)), ["default_file"]);
}

#[test]
fn a_jwt_realm_means_what_elasticsearch_means() {
    let text = jwt(&format!(
        "{KEYS}, client_authentication: {{ shared_secret: '${{ELASTIC_PASSWORD}}' }}"
    ));
    let settings = meant(&text);
    let RealmKind::Jwt(realm) = &settings.realms[2].kind else {
        panic!("jwt");
    };
    assert_eq!(realm.token_type, JwtTokenType::IdToken);
    assert_eq!(realm.algorithms, [JwtAlgorithm::RS256]);
    assert_eq!(
        (realm.clock_skew.as_secs(), realm.cache.ttl.as_secs()),
        (60, 1_200)
    );
    assert!(realm.populate_user_metadata && realm.client_secret.is_some());
    assert!(matches!(
        realm.public_keys.as_ref().unwrap().path,
        JwksPath::Url(crate::config::settings::NodeUrl { port: 443, .. })
    ));
}

#[test]
fn what_makes_no_sense_in_a_jwt_realm_is_told_with_its_place() {
    let long = "'0123456789abcdef0123456789abcdef'";
    for (rest, path) in [
        (OPEN.to_owned(), ""),
        (KEYS.to_owned(), ".client_authentication"),
        (
            format!("{KEYS}, client_authentication: {{ type: none, shared_secret: x }}"),
            ".client_authentication.shared_secret",
        ),
        (
            format!("{OPEN}, pkc_jwkset_path: 'http://a/keys'"),
            ".pkc_jwkset_path",
        ),
        (
            format!("{OPEN}, {KEYS}, hmac_key: {long}, hmac_jwkset: x"),
            ".hmac_key",
        ),
        (
            format!("{OPEN}, hmac_key: short, allowed_signature_algorithms: [HS256]"),
            ".hmac_key",
        ),
        (
            format!("{OPEN}, hmac_key: {long}, allowed_signature_algorithms: [HS256, RS256]"),
            ".allowed_signature_algorithms[1]",
        ),
        (
            format!("{OPEN}, hmac_key: {long}"),
            ".allowed_signature_algorithms",
        ),
        (
            format!("{OPEN}, {KEYS}, allowed_signature_algorithms: [HS256]"),
            ".allowed_signature_algorithms[0]",
        ),
        (format!("{OPEN}, {KEYS}, token_type: access_token"), ""),
        (
            format!("{OPEN}, {KEYS}, fallback_claims: {{ sub: x }}"),
            ".fallback_claims",
        ),
        (
            format!("{OPEN}, {KEYS}, required_claims: {{ exp: [x] }}"),
            ".required_claims.exp",
        ),
        (
            format!("{OPEN}, {KEYS}, required_claims: {{ tier: [] }}"),
            ".required_claims.tier",
        ),
        (
            format!("{OPEN}, {KEYS}, claim_patterns: {{ groups: '(a)' }}"),
            ".claim_patterns.groups",
        ),
        (
            format!("{OPEN}, {KEYS}, claim_patterns: {{ principal: 'a' }}"),
            ".claim_patterns.principal",
        ),
        (
            format!("{OPEN}, {KEYS}, allowed_subject_patterns: ['/a']"),
            ".allowed_subject_patterns[0]",
        ),
        (
            format!("{OPEN}, {KEYS}, authorization_realms: [nope]"),
            ".authorization_realms[0]",
        ),
        (
            format!("{OPEN}, {KEYS}, allowed_signature_algorithms: [none]"),
            ".allowed_signature_algorithms[0]",
        ),
    ] {
        assert_eq!(
            path_of(&jwt(&rest)),
            format!("realms.jwt.jwt1{path}"),
            "{rest}"
        );
    }
}

#[test]
fn realms_that_contradict_each_other_are_told() {
    for (realms, path) in [
        (
            "pki: { a: { order: 1 }, b: { order: 1 } }",
            "realms.pki.b.order",
        ),
        (
            "pki: { a: { order: 1 } }, native: { a: { order: 2 } }",
            "realms.pki.a",
        ),
        (
            "native: { a: { order: 1 }, b: { order: 2 } }",
            "realms.native",
        ),
        ("pki: { reserved: { order: 1 } }", "realms.pki.reserved"),
        ("pki: { _x: { order: 1 } }", "realms.pki._x"),
        ("pki: { a: {} }", "realms.pki.a"),
        ("file: { a: { order: 1 } }", "realms.file.a"),
        (
            "pki: { a: { order: 1, delegation: { enabled: true } } }",
            "realms.pki.a.delegation.enabled",
        ),
        (
            "pki: { a: { order: 1, certificate_revocation_lists: [/x] } }",
            "realms.pki.a.certificate_revocation_lists",
        ),
        (
            "pki: { a: { order: 1, certificate_authorities: [/x] } }",
            "realms.pki.a.certificate_authorities[0]",
        ),
        ("ldap: { a: {} }", "realms"),
    ] {
        assert_eq!(
            path_of(&embedded(&format!("realms: {{ {realms} }}"))),
            path,
            "{realms}"
        );
    }
}

#[test]
fn the_anonymous_user_has_roles() {
    let anonymous = meant(&embedded("anonymous: { roles: [viewer] }"))
        .anonymous
        .unwrap();
    assert_eq!(
        (anonymous.username.as_str(), anonymous.authz_exception),
        ("_anonymous", true)
    );
    assert_eq!(path_of(&embedded("anonymous: {}")), "anonymous");
    assert_eq!(
        path_of(&embedded("anonymous: { roles: [] }")),
        "anonymous.roles"
    );
}

#[test]
fn the_defaults_of_the_code_are_the_documented_ones() {
    let meant = meant(MINIMAL);
    let default = Embedded::default();
    assert_eq!(meant, default);
}
