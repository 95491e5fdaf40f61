//! A SAML realm of the embedded authority.

use super::*;
use crate::config::realm_saml::SamlRealm;
use crate::config::realm_values::JwksPath;
use crate::config::realms::RealmKind;

const PAIR: &str = "key: /etc/sidegate/tls.key, certificate: /etc/sidegate/tls.crt";

/// A config with one SAML realm, of what it must have and `more`; every `from` in it is `to`.
fn realm(more: &str, (from, to): (&str, &str)) -> String {
    let needed = "order: 5, idp: { entity_id: 'urn:idp', metadata: { path: /idp.xml } }, \
                  sp: { entity_id: 'urn:sp', acs: 'https://app.test/acs' }, attributes: { principal: uid, groups: g }";
    let text =
        format!("{needed}{}{more}", if more.is_empty() { "" } else { ", " }).replace(from, to);
    MINIMAL.replace(
        "embedded: {}",
        &format!("embedded: {{ realms: {{ saml: {{ s: {{ {text} }} }} }} }}"),
    )
}

const SAME: (&str, &str) = ("order", "order");

fn meant(text: &str) -> SamlRealm {
    let Authority::Embedded(embedded) = taken(text).settings.authority else {
        panic!("embedded");
    };
    match &embedded.realms[2].kind {
        RealmKind::Saml(saml) => (**saml).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_saml_realm_needs_little_and_means_what_elasticsearch_means() {
    let realm = meant(&realm("", SAME));
    assert_eq!(realm.idp.metadata.path, JwksPath::File("/idp.xml".into()));
    assert_eq!(realm.idp.metadata.refresh.as_secs(), 3_600);
    assert_eq!(realm.clock_skew.as_secs(), 180);
    assert!(realm.idp.use_single_logout && realm.populate_user_metadata);
    assert!(!realm.force_authn && !realm.nameid_allow_create);
    assert_eq!(
        (realm.signing, realm.encryption, realm.sp.logout),
        (None, None, None)
    );
}

#[test]
fn keys_sign_all_messages_or_those_named() {
    let signs = |messages: &str| {
        let text = format!("signing: {{ {PAIR}{messages} }}");
        let signing = meant(&realm(&text, SAME)).signing.unwrap();
        (
            signing.authn_requests,
            signing.logout_requests,
            signing.logout_responses,
        )
    };
    assert_eq!(signs(""), (true, true, true));
    assert_eq!(signs(", saml_messages: ['*']"), (true, true, true));
    assert_eq!(
        signs(", saml_messages: [LogoutRequest]"),
        (false, true, false)
    );
}

#[test]
fn what_makes_no_sense_in_a_saml_realm_is_told_with_its_place() {
    let key = "authority.embedded.realms.saml.s";
    for (more, change, path) in [
        ("", ("principal: uid, ", ""), ".attributes"),
        ("", ("https://app.test/acs", "/acs"), ".sp.acs"),
        (
            "",
            ("/idp.xml", "http://idp.test/metadata"),
            ".idp.metadata.path",
        ),
        (
            "attribute_patterns: { mail: '(.*)' }",
            SAME,
            ".attribute_patterns.mail",
        ),
        (
            "attribute_patterns: { groups: 'x' }",
            SAME,
            ".attribute_patterns.groups",
        ),
        (
            "attribute_patterns: { groups: '(x)' }, attribute_delimiters: { groups: ',' }",
            SAME,
            ".attribute_delimiters.groups",
        ),
        (
            "attribute_delimiters: { groups: ',' }",
            (", groups: g", ""),
            ".attribute_delimiters.groups",
        ),
        (
            "authorization_realms: [default_native], exclude_roles: [x]",
            SAME,
            ".exclude_roles",
        ),
        (
            "authorization_realms: [nobody]",
            SAME,
            ".authorization_realms[0]",
        ),
        (
            "signing: { key: /etc/sidegate/tls.crt, certificate: /etc/sidegate/tls.crt }",
            SAME,
            ".signing.key",
        ),
        (
            "encryption: { key: /locked.key, certificate: /etc/sidegate/tls.crt }",
            SAME,
            ".encryption.key",
        ),
    ] {
        let (found, _) = fault(&realm(more, change));
        assert_eq!(found, format!("{key}{path}"), "{more}");
    }
}

#[test]
fn assertions_over_plain_http_are_doubtful() {
    let text = realm("", ("https://app.test/acs", "http://app.test/acs"));
    let warnings = warnings(&text);
    assert!(
        warnings.iter().any(|warning| warning.contains("sp.acs")),
        "{warnings:?}"
    );
}
