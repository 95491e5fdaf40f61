//! Signature wrapping: a message in which one element is signed and another one is meant to be read (Somorovsky et al.,
//! "On Breaking SAML", 2012; the eight variants that SAML Raider calls XSW1 to XSW8), and what one can do with one response.

use super::*;
use crate::authority::realm::saml::forge::*;

/// The part of a text from `from` to the end of `to`.
fn part<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let start = text.find(from).expect("the part begins");
    let end = text[start..].find(to).expect("the part ends") + to.len();
    &text[start..start + end]
}

fn signature(text: &str) -> &str {
    part(text, "<ds:Signature ", "</ds:Signature>")
}

/// The same words about the administrator, with an id of their own and without a signature.
fn evil() -> String {
    assertion()
        .replace(">alice<", ">admin<")
        .replace("_assertion", "_evil")
}

async fn nobody(text: &str) {
    let bench = Bench::new().await;
    let answer = bench.show(text).await;
    assert_ne!(answer.status, 200, "{text}");
    bench.expect_refused(&answer, "reason=");
}

fn evil_response(signature: &str) -> String {
    let response = response(&evil()).replace("_response", "_evil_response");
    response.replacen("</saml:Issuer>", &format!("</saml:Issuer>{signature}"), 1)
}

#[tokio::test]
async fn xsw1_the_signed_response_hidden_in_its_signature_of_a_forged_one_is_not_read() {
    let good = signed(&response(&assertion()), "_response");
    let own = signature(&good).to_owned();
    let hidden = good.replace(&own, "");
    nobody(&evil_response(&own.replace(
        "</ds:Signature>",
        &format!("{hidden}</ds:Signature>"),
    )))
    .await;
}

#[tokio::test]
async fn xsw2_the_signed_response_beside_its_signature_in_a_forged_one_is_not_read() {
    let good = signed(&response(&assertion()), "_response");
    let own = signature(&good).to_owned();
    nobody(&evil_response(&format!("{}{own}", good.replace(&own, "")))).await;
}

#[tokio::test]
async fn xsw3_a_forged_assertion_before_the_signed_one_is_not_read() {
    let good = signed(&assertion(), "_assertion");
    nobody(&response(&format!("{}{good}", evil()))).await;
    nobody(&response(&format!("{good}{}", evil()))).await;
}

#[tokio::test]
async fn xsw4_a_forged_assertion_around_the_signed_one_is_not_read() {
    let good = signed(&assertion(), "_assertion");
    nobody(&response(&evil().replace(
        "</saml:Assertion>",
        &format!("{good}</saml:Assertion>"),
    )))
    .await;
}

#[tokio::test]
async fn xsw5_a_forged_assertion_with_the_signature_of_the_one_behind_it_is_not_read() {
    let good = signed(&assertion(), "_assertion");
    let own = signature(&good).to_owned();
    let forged = evil().replacen("</saml:Issuer>", &format!("</saml:Issuer>{own}"), 1);
    nobody(&response(&format!("{forged}{}", good.replace(&own, "")))).await;
}

#[tokio::test]
async fn xsw6_a_forged_assertion_with_the_original_inside_of_its_signature_is_not_read() {
    let good = signed(&assertion(), "_assertion");
    let own = signature(&good).to_owned();
    let stuffed = own.replace(
        "</ds:Signature>",
        &format!("{}</ds:Signature>", good.replace(&own, "")),
    );
    let forged = evil().replacen("</saml:Issuer>", &format!("</saml:Issuer>{stuffed}"), 1);
    nobody(&response(&forged)).await;
}

#[tokio::test]
async fn xsw7_a_forged_assertion_in_extensions_is_not_read() {
    let good = signed(&assertion(), "_assertion");
    let extensions = format!(
        "<samlp:Extensions>{}</samlp:Extensions>",
        evil().replace("_evil", "_assertion")
    );
    nobody(&response(&format!("{extensions}{good}"))).await;
    // One that has another id is not in the way of the signed one, and not read either.
    let bench = Bench::new().await;
    let extensions = format!("<samlp:Extensions>{}</samlp:Extensions>", evil());
    let who = bench
        .accepted(&response(&format!("{extensions}{good}")))
        .await;
    assert_eq!(who["username"], "alice");
}

#[tokio::test]
async fn xsw8_a_forged_assertion_with_the_original_in_an_object_is_not_read() {
    let good = signed(&assertion(), "_assertion");
    let own = signature(&good).to_owned();
    let object = format!(
        "<ds:Object>{}</ds:Object></ds:Signature>",
        good.replace(&own, "")
    );
    let stuffed = own.replace("</ds:Signature>", &object);
    let forged = evil().replacen("</saml:Issuer>", &format!("</saml:Issuer>{stuffed}"), 1);
    nobody(&response(&forged)).await;
}

#[tokio::test]
async fn a_forged_assertion_with_the_very_id_of_the_signed_one_is_not_read() {
    let good = signed(&assertion(), "_assertion");
    let own = signature(&good).to_owned();
    let twin = evil().replace("_evil", "_assertion");
    let forged = twin.replacen("</saml:Issuer>", &format!("</saml:Issuer>{own}"), 1);
    nobody(&response(&forged)).await;
    nobody(&response(&format!("{twin}{good}"))).await;
}

#[tokio::test]
async fn a_plain_assertion_beside_an_encrypted_one_is_not_read() {
    let sealed = encrypted(
        "EncryptedAssertion",
        &signed(&assertion(), "_assertion"),
        &CLIENT,
        GCM,
    );
    nobody(&response(&format!("{}{sealed}", evil()))).await;
    nobody(&response(&format!("{sealed}{sealed}"))).await;
}

#[tokio::test]
async fn a_second_subject_or_statement_in_a_signed_assertion_is_refused() {
    let subject = part(&assertion(), "<saml:Subject>", "</saml:Subject>").to_owned();
    let statement = part(
        &assertion(),
        "<saml:AuthnStatement",
        "</saml:AuthnStatement>",
    )
    .to_owned();
    for doubled in [subject, statement] {
        let text = assertion().replace(&doubled, &doubled.repeat(2));
        nobody(&usual(&text)).await;
    }
}

#[tokio::test]
async fn elements_of_another_namespace_are_not_taken_for_saml() {
    let strange = assertion().replace("urn:oasis:names:tc:SAML:2.0:assertion", "urn:evil");
    nobody(&response(&strange)).await;
    let inner = assertion().replace(
        "<saml:Conditions",
        "<saml:Conditions xmlns:saml=\"urn:evil\"",
    );
    nobody(&usual(&inner)).await;
}
