//! The endpoints as a web application calls them.

use std::io::Read as _;

use super::*;
use crate::authority::realm::saml::forge::*;
use crate::authority::realm::saml::keys::QueryKeys;

/// The values of a redirect's query, decoded.
fn parameters(url: &str) -> Vec<(String, String)> {
    let (_, query) = url.split_once('?').unwrap();
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let mut all = parameters(url).into_iter();
    all.find(|(known, _)| known == name).map(|(_, value)| value)
}

/// The message in a redirect.
pub(super) fn message(url: &str, name: &str) -> String {
    let bytes = STANDARD.decode(parameter(url, name).unwrap()).unwrap();
    let mut text = String::new();
    let mut inflate = flate2::read::DeflateDecoder::new(bytes.as_slice());
    inflate.read_to_string(&mut text).unwrap();
    text
}

/// Whether this side signed the query of a redirect.
pub(super) fn is_signed(url: &str) -> bool {
    let (_, query) = url.split_once('?').unwrap();
    let query = query
        .split_once("SAML")
        .map(|(_, rest)| format!("SAML{rest}"))
        .unwrap();
    let (input, _) = query.split_once("&Signature=").unwrap();
    let signature = STANDARD
        .decode(parameter(url, "Signature").unwrap())
        .unwrap();
    let keys = QueryKeys::of_certificates([CLIENT.der.as_slice()]);
    keys.verifies(
        &parameter(url, "SigAlg").unwrap(),
        input.as_bytes(),
        &signature,
    )
}

#[tokio::test]
async fn a_prepared_login_leads_to_the_identity_provider_with_a_signed_request() {
    let bench = Bench::with(|settings| {
        settings.nameid_format = Some("urn:format".to_owned());
        settings.force_authn = true;
        settings.authn_contexts = vec!["urn:a&b".to_owned()];
    })
    .await;
    let answer = bench
        .call("prepare", json!({"acs": ACS, "relay_state": "a b&c"}))
        .await
        .json();
    assert_eq!(answer["realm"], "saml1");
    let url = answer["redirect"].as_str().unwrap();
    assert!(url.starts_with(&format!("{SSO_URL}&SAMLRequest=")), "{url}");
    assert_eq!(parameter(url, "RelayState").as_deref(), Some("a b&c"));
    assert!(is_signed(url), "{url}");
    let xml = message(url, "SAMLRequest");
    for part in [
        &format!("ID=\"{}\"", answer["id"].as_str().unwrap()),
        "AssertionConsumerServiceURL=\"https://app.test/acs\"",
        "Destination=\"https://idp.test/sso?tenant=1\"",
        "IssueInstant=\"2023-11-14T22:13:20.000Z\"",
        "ForceAuthn=\"true\"",
        ">urn:sp</saml2:Issuer>",
        "<saml2p:NameIDPolicy AllowCreate=\"false\" Format=\"urn:format\"/>",
        ">urn:a&amp;b</saml2:AuthnContextClassRef>",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    let again = bench
        .call("prepare", json!({"realm": "saml1"}))
        .await
        .json();
    assert_ne!(again["id"], answer["id"]);
    assert_eq!(
        parameter(again["redirect"].as_str().unwrap(), "RelayState"),
        None
    );
}

#[tokio::test]
async fn without_a_signing_key_requests_are_not_signed() {
    let bench = Bench::with(|settings| settings.signing = None).await;
    let answer = bench.call("prepare", json!({})).await.json();
    let url = answer["redirect"].as_str().unwrap();
    assert_eq!(parameter(url, "SigAlg"), None);
    let metadata = bench
        .node
        .done("GET", "/_security/saml/metadata/saml1", Value::Null)
        .await;
    let xml = metadata["metadata"].as_str().unwrap();
    assert!(xml.contains("AuthnRequestsSigned=\"false\"") && !xml.contains("use=\"signing\""));
}

#[tokio::test]
async fn a_realm_that_does_not_fit_is_told_as_elasticsearch_tells_it() {
    let bench = Bench::new().await;
    let answer = bench.call("prepare", json!({"acs": "https://other"})).await;
    assert_eq!(
        (answer.status, answer.kind()),
        (500, "security_exception".to_owned())
    );
    assert_eq!(
        answer.reason(),
        "Cannot find any matching realm for [SamlPrepareAuthenticationRequest{realmName=null, \
         assertionConsumerServiceURL=https://other, relayState=null}]"
    );
    let answer = bench
        .call("prepare", json!({"realm": "default_native"}))
        .await;
    assert_eq!(answer.status, 500);
}

#[tokio::test]
async fn whoever_is_let_in_gets_tokens_like_those_of_any_login() {
    let bench = Bench::with(|settings| settings.exclude_roles = vec!["superuser".to_owned()]).await;
    let mapping = json!({
        "enabled": true,
        "roles": ["viewer", "superuser"],
        "rules": {"all": [{"field": {"groups": "admins"}}, {"field": {"realm.name": "saml1"}}]},
    });
    bench
        .node
        .done("PUT", "/_security/role_mapping/m", mapping)
        .await;
    let answer = bench.show(&usual(&assertion())).await.json();
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "username",
            "realm",
            "access_token",
            "refresh_token",
            "expires_in",
            "authentication",
            "in_response_to"
        ]
    );
    assert_eq!(answer["in_response_to"], "_request");
    let who = bench
        .who(answer["access_token"].as_str().unwrap())
        .await
        .json();
    assert_eq!(who["roles"], json!(["viewer"]));
    assert_eq!(
        who["authentication_realm"],
        json!({"name": "saml1", "type": "saml"})
    );
    assert_eq!(who["authentication_type"], "token");
    assert_eq!(who["email"], "alice@example.test");
    assert_eq!(
        who["metadata"],
        json!({
            "saml(uid)": ["alice"],
            "saml(groups)": ["admins", "devs"],
            "saml(mail)": ["alice@example.test"],
            "saml_nameid": "name-1",
            "saml_nameid_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
        })
    );
    let body = json!({"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]});
    bench
        .node
        .done("POST", "/_security/oauth2/token", body)
        .await;
}

#[tokio::test]
async fn every_way_of_signing_and_encrypting_lets_in() {
    let name = "<saml:NameID>name-1</saml:NameID>".to_owned();
    let inner = signed(&assertion(), "_assertion");
    let sealed = |plain: &str, cipher| encrypted("EncryptedAssertion", plain, &CLIENT, cipher);
    let hidden_name = assertion().replace(
        NAME_ID,
        &encrypted(
            "EncryptedID",
            &name.replace(
                "<saml:NameID",
                "<saml:NameID xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"",
            ),
            &CLIENT,
            GCM,
        ),
    );
    let groups = attribute("groups", &["admins", "devs"]);
    let plain_groups = groups.replace(
        "<saml:Attribute ",
        "<saml:Attribute xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ",
    );
    let hidden_groups = assertion().replace(
        &groups,
        &encrypted("EncryptedAttribute", &plain_groups, &CLIENT, GCM),
    );
    let texts = [
        usual(&assertion()),
        signed(&response(&assertion()), "_response"),
        signed(&response(&inner), "_response"),
        response(&sealed(&inner, GCM)),
        signed(&response(&sealed(&assertion(), GCM)), "_response"),
        signed(&response(&sealed(&inner, CBC)), "_response"),
        usual(&hidden_name),
        usual(&hidden_groups),
    ];
    for (index, text) in texts.iter().enumerate() {
        let bench = Bench::new().await;
        let who = bench.accepted(text).await;
        assert_eq!(who["username"], "alice", "{index}");
        assert_eq!(who["metadata"]["saml_nameid"], "name-1", "{index}");
        assert_eq!(
            who["metadata"]["saml(groups)"],
            json!(["admins", "devs"]),
            "{index}"
        );
    }
}

#[tokio::test]
async fn a_new_key_in_the_metadata_file_counts_without_a_restart() {
    let bench = Bench::new().await;
    let text = response(&signed_by(
        &assertion(),
        "_assertion",
        &STRANGER,
        Signing::default(),
    ));
    bench.refused(&text, "a signature is not valid").await;
    std::fs::write(bench.files.path("idp.xml"), metadata(&STRANGER, "")).unwrap();
    let deadline = Duration::from_secs(30);
    let changed = tokio::time::timeout(deadline, async {
        while bench.show(&text).await.status != 200 {
            tokio::task::yield_now().await;
        }
    });
    changed.await.expect("the new key is believed");
}

#[tokio::test]
async fn attributes_are_cut_and_picked_as_configured() {
    let bench = Bench::with(|settings| {
        settings.attributes.principal.name = "mail".to_owned();
        settings.attributes.principal.pattern = Some("^([^@]+)@example\\.test$".to_owned());
        let groups = settings.attributes.groups.as_mut().unwrap();
        groups.name = "memberOf".to_owned();
        groups.delimiter = Some(",".to_owned());
        settings.populate_user_metadata = false;
    })
    .await;
    let mapping =
        json!({"enabled": true, "roles": ["viewer"], "rules": {"field": {"groups": "two"}}});
    bench
        .node
        .done("PUT", "/_security/role_mapping/m", mapping)
        .await;
    let friendly = "Name=\"urn:oid:1\" FriendlyName=\"memberOf\"><saml:AttributeValue>one, two</saml:AttributeValue></saml:Attribute>";
    let groups = attribute("groups", &["admins", "devs"]);
    let text = assertion().replace(&groups, &format!("<saml:Attribute {friendly}"));
    let who = bench.accepted(&usual(&text)).await;
    assert_eq!(
        (&who["username"], &who["roles"]),
        (&json!("alice"), &json!(["viewer"]))
    );
    assert_eq!(who["metadata"].as_object().unwrap().len(), 2, "{who}");
}

#[tokio::test]
async fn somebody_no_authorization_realm_knows_gets_in_nowhere() {
    let bench =
        Bench::with(|settings| settings.authorization_realms = vec!["default_native".to_owned()])
            .await;
    let answer = bench.show(&usual(&assertion())).await;
    assert_eq!(answer.status, 401);
    bench
        .node
        .user_with("alice", json!({"cluster": ["monitor"]}))
        .await;
    let fresh = assertion().replace("_assertion", "_second");
    let text = response(&signed(&fresh, "_second"));
    let who = bench.accepted(&text).await;
    assert_eq!(who["roles"], json!(["alice"]));
    assert_eq!(who["authentication_realm"]["name"], "saml1");
}
