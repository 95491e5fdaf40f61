//! Responses of SimpleSAMLphp, and what attackers made of them: signed in November 2026 for another address.

use super::*;
use crate::authority::realm::saml::names;
use base64::engine::general_purpose::STANDARD;

const IDP: &str = "http://127.0.0.1:18080/idp";
const ACS: &str = "https://127.0.0.1:19443/_sso/saml/acs";
/// 2026-11-21T23:45:00Z
const THEN: u64 = 1_795_304_700;

fn metadata() -> String {
    let pem = include_str!("samples/idp.crt");
    let body: String = pem
        .lines()
        .filter(|line| !line.starts_with("---"))
        .collect();
    format!(
        "<EntityDescriptor xmlns='{}' entityID='{IDP}'><IDPSSODescriptor protocolSupportEnumeration='{}'><KeyDescriptor>\
         <KeyInfo xmlns='{}'><X509Data><X509Certificate>{body}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>\
         </IDPSSODescriptor></EntityDescriptor>",
        names::METADATA,
        names::PROTOCOL,
        names::DSIG
    )
}

async fn show(way: &str, text: &str) -> (Answer, Bench) {
    let files = Files::make();
    std::fs::write(files.path("idp.xml"), metadata()).unwrap();
    let mut settings = files.settings();
    settings.idp.entity_id = IDP.to_owned();
    settings.sp.entity_id = format!("urn:sp:{way}");
    settings.sp.acs = ACS.to_owned();
    let bench = Bench::open(files, settings, THEN).await;
    let request = text
        .split(" InResponseTo=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let content = STANDARD.encode(text);
    let body = json!({"content": content, "ids": [request.unwrap_or_default()]});
    (bench.call("authenticate", body).await, bench)
}

#[tokio::test]
async fn what_a_real_identity_provider_signed_is_believed() {
    for (way, text) in [
        ("plain", include_str!("samples/plain.xml")),
        ("resp", include_str!("samples/resp.xml")),
        ("assert", include_str!("samples/assert.xml")),
        ("sha512", include_str!("samples/sha512.xml")),
        ("persist", include_str!("samples/persist.xml")),
    ] {
        let (answer, bench) = show(way, text).await;
        assert_eq!(answer.status, 200, "{way}: {}", bench.log());
        assert_eq!(answer.json()["username"], "alice");
        let metadata = &answer.json()["authentication"]["metadata"];
        assert_eq!(metadata["saml(cn)"], json!(["Alice Ä. & <Co>"]));
    }
}

#[tokio::test]
async fn what_was_made_of_it_is_not() {
    for (way, text, reason) in [
        (
            "unsigned",
            include_str!("samples/unsigned.xml"),
            "the assertion is not signed",
        ),
        (
            "plain",
            include_str!("samples/tamper.xml"),
            "a signature is not valid",
        ),
        (
            "plain",
            include_str!("samples/doctype.xml"),
            "it has a document type",
        ),
        (
            "plain",
            include_str!("samples/lol.xml"),
            "it has a document type",
        ),
        (
            "plain",
            include_str!("samples/xxe.xml"),
            "it has a document type",
        ),
        ("assert", include_str!("samples/dupid.xml"), "duplicate ID"),
        ("sha1", include_str!("samples/sha1.xml"), "is not believed"),
        (
            "assert",
            include_str!("samples/xsw1.xml"),
            "there are several assertions",
        ),
        ("assert", include_str!("samples/xsw3.xml"), "reason="),
        (
            "assert",
            include_str!("samples/xsw7.xml"),
            "a signature is not acceptable",
        ),
    ] {
        let (answer, bench) = show(way, text).await;
        bench.expect_refused(&answer, reason);
    }
}

#[tokio::test]
async fn a_comment_in_a_real_response_makes_nobody_somebody_else() {
    let (answer, bench) = show("plain", include_str!("samples/comment.xml")).await;
    if answer.status == 200 {
        assert_eq!(answer.json()["username"], "alice");
    } else {
        bench.expect_refused(&answer, "a signature is not valid");
    }
}
