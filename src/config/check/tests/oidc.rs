//! OpenID Connect realms of the embedded authority.

use super::*;
use crate::config::realms::{JwtAlgorithm, RealmKind};
use crate::config::realms_oidc::{OidcClientAuthMethod, OidcRealm, OidcResponseType};

const RP: &str = "client_id: shop, client_secret: '${ELASTIC_PASSWORD}', redirect_uri: 'https://app/cb', response_type: code";
const OP: &str = "issuer: 'https://op/realms/x/'";

fn realm(rp: &str, op: &str, rest: &str) -> String {
    let realm =
        format!("order: 1, rp: {{ {rp} }}, op: {{ {op} }}, claims: {{ principal: sub }} {rest}");
    MINIMAL.replace(
        "embedded: {}",
        &format!("embedded: {{ realms: {{ oidc: {{ oidc1: {{ {realm} }} }} }} }}"),
    )
}

fn meant(text: &str) -> OidcRealm {
    let Authority::Embedded(embedded) = taken(text).settings.authority else {
        panic!("embedded");
    };
    match embedded.realms.into_iter().last().map(|realm| realm.kind) {
        Some(RealmKind::Oidc(realm)) => *realm,
        _ => panic!("oidc"),
    }
}

#[test]
fn an_oidc_realm_means_what_elasticsearch_means() {
    let realm = meant(&realm(RP, OP, ""));
    let party = &realm.party;
    assert_eq!(party.scopes, ["openid"]);
    assert_eq!(
        (party.response_type, party.client_auth_method),
        (OidcResponseType::Code, OidcClientAuthMethod::Basic)
    );
    assert_eq!(
        (party.signature_algorithm, party.assertion_algorithm),
        (JwtAlgorithm::RS256, JwtAlgorithm::HS384)
    );
    assert!(party.pkce && realm.populate_user_metadata);
    assert_eq!(
        (
            realm.clock_skew.as_secs(),
            realm.http.read_timeout.as_secs()
        ),
        (60, 5)
    );
}

#[test]
fn what_is_left_out_is_discovered_and_nothing_else() {
    let found = meant(&realm(RP, OP, "")).provider.discovery.unwrap();
    assert_eq!(
        found.text,
        "https://op/realms/x/.well-known/openid-configuration"
    );
    let written = "issuer: x, authorization_endpoint: 'https://op/a', token_endpoint: 'https://op/t', jwkset_path: /keys";
    assert_eq!(meant(&realm(RP, written, "")).provider.discovery, None);
    let implicit = RP.replace("code", "'id_token token'");
    let no_token = "issuer: x, authorization_endpoint: 'https://op/a', jwkset_path: /keys";
    assert_eq!(
        meant(&realm(&implicit, no_token, "")).provider.discovery,
        None
    );
    let local = "issuer: 'http://127.0.0.1:5'";
    assert!(meant(&realm(RP, local, "")).provider.discovery.is_some());
}

#[test]
fn openid_is_asked_for_even_where_it_was_not_written() {
    let scopes = |list: &str| {
        meant(&realm(&format!("{RP}, requested_scopes: {list}"), OP, ""))
            .party
            .scopes
    };
    assert_eq!(scopes("[email]"), ["openid", "email"]);
    assert_eq!(scopes("[email, openid]"), ["email", "openid"]);
}

#[test]
fn what_makes_no_sense_in_an_oidc_realm_is_told_with_its_place() {
    let secretless = RP.replace("client_secret: '${ELASTIC_PASSWORD}', ", "");
    let short = RP.replace("'${ELASTIC_PASSWORD}'", "short");
    for (text, path) in [
        (realm(&secretless, OP, ""), ".rp.client_secret"),
        (
            realm(&format!("{short}, signature_algorithm: HS256"), OP, ""),
            ".rp.client_secret",
        ),
        (
            realm(
                &format!("{short}, client_auth_method: client_secret_jwt"),
                OP,
                "",
            ),
            ".rp.client_secret",
        ),
        (
            realm(
                &format!("{RP}, client_auth_jwt_signature_algorithm: RS256"),
                OP,
                "",
            ),
            ".rp.client_auth_jwt_signature_algorithm",
        ),
        (
            realm(&format!("{RP}, signature_algorithm: none"), OP, ""),
            ".rp.signature_algorithm",
        ),
        (
            realm(&RP.replace("code", "token"), OP, ""),
            ".rp.response_type",
        ),
        (
            realm(&RP.replace("https://app/cb", "https://app/cb#x"), OP, ""),
            ".rp.redirect_uri",
        ),
        (
            realm(&RP.replace("https://app/cb", "/cb"), OP, ""),
            ".rp.redirect_uri",
        ),
        (realm(RP, "issuer: op", ""), ".op.issuer"),
        (realm(RP, "issuer: 'http://op'", ""), ".op.issuer"),
        (
            realm(RP, &format!("{OP}, token_endpoint: 'http://op/t'"), ""),
            ".op.token_endpoint",
        ),
        (
            realm(RP, &format!("{OP}, jwkset_path: 'http://op/t'"), ""),
            ".op.jwkset_path",
        ),
        (
            realm(RP, OP, ", authorization_realms: [nope]"),
            ".authorization_realms[0]",
        ),
        (
            realm(RP, OP, ", claim_patterns: { mail: '(a)' }"),
            ".claim_patterns.mail",
        ),
        (
            realm(RP, OP, ", http: { connect_timeout: 0s }"),
            ".http.connect_timeout",
        ),
        (
            realm(RP, OP, ", ssl: { certificate_authority: /x }"),
            ".ssl.certificate_authority",
        ),
    ] {
        let (found, _) = fault(&text);
        assert_eq!(
            found,
            format!("authority.embedded.realms.oidc.oidc1{path}"),
            "{text}"
        );
    }
}
