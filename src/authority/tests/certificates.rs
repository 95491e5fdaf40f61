//! Client certificates: handed in for a token, and of the connection.

use std::path::Path;

use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};
use serde_json::json;

use super::realms::{WHO, map, native, realm, with_realms};
use super::*;
use crate::config::realms::{PkiRealm, Realm, RealmCache, RealmKind};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Issuer {
    let mut parameters = parameters(name);
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, "acme");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn certificate(issuer: &Issuer, name: &str) -> String {
    let key = KeyPair::generate().unwrap();
    let made = parameters(name).signed_by(&key, issuer).unwrap();
    STANDARD.encode(made.der())
}

fn pki_realm(directory: &Path, issuer: &Issuer, delegation: bool) -> Realm {
    let file = directory.join("ca.pem");
    std::fs::write(&file, issuer.pem()).unwrap();
    let pki = PkiRealm {
        username_pattern: "CN=(.*?)(?:,|$)".to_owned(),
        authorities: vec![file],
        revocation_lists: Vec::new(),
        delegation,
        authorization_realms: Vec::new(),
        cache: RealmCache::default(),
    };
    realm("pki1", RealmKind::Pki(pki))
}

const DELEGATE: &str = "/_security/delegate_pki";

#[tokio::test]
async fn a_chain_handed_in_buys_a_token_for_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let root = authority("root");
    let node = with_realms(vec![native(), pki_realm(directory.path(), &root, true)]).await;
    map(&node, "pki1", "employee").await;
    let proxy = node
        .user_with("proxy", json!({"cluster": ["delegate_pki"]}))
        .await;
    let body =
        json!({"x509_certificate_chain": [certificate(&root, "joe"), STANDARD.encode(root.der())]});
    let answer = node.with(&proxy, "POST", DELEGATE, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(
        (&answer["type"], &answer["expires_in"]),
        (&json!("Bearer"), &json!(1200))
    );
    assert!(answer.get("refresh_token").is_none());
    assert_eq!(
        answer["authentication"]["authentication_realm"],
        json!({"name": "pki1", "type": "pki"})
    );
    let expected = json!({
        "pki_dn": "CN=joe, O=acme", "pki_delegated_by_user": "proxy", "pki_delegated_by_realm": "default_native",
    });
    assert_eq!(answer["authentication"]["metadata"], expected);
    let bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let who = node.with(&bearer, "GET", WHO, &Value::Null).await.json();
    assert_eq!(
        (&who["username"], &who["roles"]),
        (&json!("joe"), &json!(["employee"]))
    );
    assert_eq!(who["authentication_type"], "token");
}

#[tokio::test]
async fn chains_that_do_not_count_are_refused_in_elasticsearchs_words() {
    let directory = tempfile::tempdir().unwrap();
    let (root, other) = (authority("root"), authority("other"));
    let node = with_realms(vec![native(), pki_realm(directory.path(), &root, true)]).await;
    let joe = certificate(&root, "joe");
    let stranger = certificate(&other, "eve");
    let long = vec![joe.clone(); 11];
    for (chain, status, reason) in [
        (
            json!([]),
            400,
            "Validation Failed: 1: certificates chain must not be empty;",
        ),
        (
            json!([STANDARD.encode(root.der()), joe]),
            400,
            "Validation Failed: 1: certificates chain must be an ordered chain;",
        ),
        (
            json!(long),
            400,
            "Validation Failed: 1: certificates chain must not be longer than [10];",
        ),
        (
            json!(["!"]),
            400,
            "[delegate_pki_request] failed to parse field [x509_certificate_chain]",
        ),
        (
            json!(["AAAA"]),
            400,
            "[delegate_pki_request] failed to parse field [x509_certificate_chain]",
        ),
        (
            json!([stranger]),
            401,
            "unable to authenticate user [CN=eve, O=acme] for action [cluster:admin/xpack/security/delegate_pki]",
        ),
    ] {
        let answer = node
            .elastic("POST", DELEGATE, json!({"x509_certificate_chain": chain}))
            .await;
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason));
    }
    let answer = node.elastic("POST", DELEGATE, json!({})).await;
    assert_eq!(
        answer.reason(),
        "Validation Failed: 1: certificates chain must not be empty;"
    );
    let answer = node.elastic("POST", DELEGATE, json!({"chain": []})).await;
    assert_eq!(
        answer.reason(),
        "[1:2] [delegate_pki_request] unknown field [chain]"
    );
    // manage_security is not enough.
    let manager = node
        .user_with("manager", json!({"cluster": ["manage_security"]}))
        .await;
    let body = json!({"x509_certificate_chain": [joe]});
    let denied = node.with(&manager, "POST", DELEGATE, &body).await;
    assert_eq!(denied.status, 403);
    assert!(
        denied
            .reason()
            .ends_with("this action is granted by the cluster privileges [delegate_pki,all]"),
        "{}",
        denied.reason()
    );
    let closed = with_realms(vec![native(), pki_realm(directory.path(), &root, false)]).await;
    assert_eq!(closed.elastic("POST", DELEGATE, body).await.status, 401);
}

#[tokio::test]
async fn the_connections_certificate_counts_when_nothing_else_is_shown() {
    use crate::authority::realm::pki::certificate::Chain;
    use rustls::pki_types::CertificateDer;
    let directory = tempfile::tempdir().unwrap();
    let root = authority("root");
    let node = with_realms(vec![native(), pki_realm(directory.path(), &root, false)]).await;
    let der = STANDARD.decode(certificate(&root, "joe")).unwrap();
    let chain = Chain::parse(vec![CertificateDer::from(der)], None).unwrap();
    let elastic = basic("elastic", PASSWORD);
    for (authorization, expected) in [
        (None, "joe"),
        (Some(elastic.as_str()), "elastic"),
        (Some("Bearer unknown"), "joe"),
    ] {
        let mut request = http::Request::builder().uri(WHO).extension(chain.clone());
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let response = node
            .authority
            .answer(request.body(Body::Empty).unwrap())
            .await;
        let body = response.into_body().collect_up_to(1 << 16).await.unwrap();
        let who: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(who["username"], expected, "{who}");
    }
}
