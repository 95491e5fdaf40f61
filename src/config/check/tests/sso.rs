//! Single sign-on as written, and what has to fit together.

use super::*;
use crate::config::sso::{ProviderKind, Sso};

fn with_sso(body: &str) -> String {
    format!("{MINIMAL}sso:\n{}", indented(body, 2))
}

fn sso(body: &str) -> Sso {
    taken(&with_sso(body)).settings.sso.unwrap()
}

#[test]
fn without_the_section_nobody_is_asked_to_log_in() {
    assert!(taken(MINIMAL).settings.sso.is_none());
}

#[test]
fn providers_keep_their_order_and_what_is_theirs() {
    let sso = sso(r#"
public_url: https://App.example.com
providers:
  - name: corporate
    login: { saml: { realm: saml1, relay_state_deep_links: true } }
    description: Company account
    hosts: [App.example.com]
    idle_timeout: 30m
    access_agreement: |
      One.
      Two.
  - name: partners
    login:
      oidc:
        realm: oidc1
        back_channel_logout: { issuer: "https://id/", client_id: app, jwks_url: "https://id/keys" }
    in_selector: false
  - { name: local, login: password, icon: key }
  - { name: guest, login: { anonymous: authority } }
"#);
    assert_eq!(sso.prefix, "/_sidegate/");
    assert_eq!(sso.public_url.origin(), "https://app.example.com");
    let kinds: Vec<&str> = sso.providers.iter().map(|it| it.kind.label()).collect();
    assert_eq!(kinds, ["saml", "oidc", "password", "anonymous"]);
    let [corporate, partners, local, _] = &sso.providers[..] else {
        panic!()
    };
    assert!(
        matches!(&corporate.kind, ProviderKind::Saml { realm, relay_state_deep_links: true } if realm == "saml1")
    );
    assert_eq!(corporate.hosts, ["app.example.com"]);
    assert_eq!(corporate.access_agreement.as_deref(), Some("One.\nTwo."));
    assert!(
        matches!(&partners.kind, ProviderKind::Oidc { back_channel_logout: Some(channel), .. } if channel.client_id == "app")
    );
    assert!(!partners.in_selector && local.in_selector);
    assert_eq!(local.icon.as_deref(), Some("key"));
}

#[test]
fn names_are_told_apart_and_one_form_is_enough() {
    let twice = "public_url: https://a\nproviders: [{ name: a, login: password }, { name: a, login: { saml: { realm: s } } }]";
    assert_eq!(fault(&with_sso(twice)).0, "sso.providers[1].name");
    let forms = "public_url: https://a\nproviders: [{ name: a, login: password }, { name: b, login: password }]";
    assert_eq!(fault(&with_sso(forms)).0, "sso.providers[1].login");
}

#[test]
fn saml_needs_https_where_browsers_come_from_outside() {
    let saml = |url: &str| {
        with_sso(&format!(
            "public_url: {url}\nproviders: [{{ name: a, login: {{ saml: {{ realm: s }} }} }}]"
        ))
    };
    assert_eq!(fault(&saml("http://app.example.com")).0, "sso.public_url");
    assert!(taken(&saml("http://localhost:8080")).warnings.is_empty());
    assert!(taken(&saml("https://app.example.com")).warnings.is_empty());
    let plain = "public_url: http://app.example.com\nproviders: [{ name: a, login: password }]";
    assert_eq!(warnings(&with_sso(plain)).len(), 1);
}

#[test]
fn certificates_need_a_listener_that_asks_for_them() {
    let pki = "public_url: https://a\nproviders: [{ name: a, login: pki }]";
    let (path, problem) = fault(&with_sso(pki));
    assert_eq!(
        (path.as_str(), problem.as_str()),
        (
            "sso.providers[0].login",
            "no listener asks for certificates"
        )
    );
}

#[test]
fn logins_need_a_credential_of_our_own_towards_elasticsearch() {
    let text = with_sso("public_url: https://a\nproviders: [{ name: a, login: password }]")
        .replace(
            "{ embedded: {} }",
            "{ elasticsearch: { nodes: ['https://es:9200'] } }",
        );
    assert_eq!(fault(&text).0, "sso.providers");
}

#[test]
fn whose_logout_tokens_are_believed_is_read_over_https() {
    let text = with_sso(
        "public_url: https://a\nproviders: [{ name: a, login: { oidc: { realm: o, back_channel_logout: { issuer: i, client_id: c, jwks_url: 'http://id/keys' } } } }]",
    );
    assert_eq!(
        fault(&text).0,
        "sso.providers[0].login.oidc.back_channel_logout.jwks_url"
    );
}
