//! Responses that must let nobody in: each for one reason, which the log tells and the answer doesn't.

use super::*;
use crate::authority::realm::saml::forge::*;
use crate::authority::realm::saml::xmlsec::oracle;

/// The usual response with one thing about its assertion changed before it is signed.
fn with(from: &str, to: &str) -> String {
    let assertion = assertion();
    assert!(assertion.contains(from), "{from}");
    usual(&assertion.replace(from, to))
}

/// The usual response with one thing changed after it was signed.
fn after(from: &str, to: &str) -> String {
    let response = usual(&assertion());
    assert!(response.contains(from), "{from}");
    response.replace(from, to)
}

async fn refuses(xml: &str, reason: &str) {
    Bench::new().await.refused(xml, reason).await;
}

#[tokio::test]
async fn nobody_gets_in_without_a_signature() {
    refuses(&response(&assertion()), "the assertion is not signed").await;
}

#[tokio::test]
async fn nobody_gets_in_as_somebody_else_by_changing_an_attribute() {
    refuses(&after(">alice<", ">admin<"), "a signature is not valid").await;
}

#[tokio::test]
async fn a_comment_in_a_name_cuts_nothing_off() {
    let bench =
        Bench::with(|settings| settings.attributes.principal.name = "nameid".to_owned()).await;
    let named = assertion().replace(">name-1<", ">admin@example.com.evil.test<");
    let response = usual(&named).replace("admin@example.com.", "admin@example.com<!-- -->.");
    let answer = bench.show(&response).await;
    // Canonical form has no comments, so the signature may still be valid; the name must be the whole one.
    if answer.status == 200 {
        assert_eq!(answer.json()["username"], "admin@example.com.evil.test");
    } else {
        bench.expect_refused(&answer, "a signature is not valid");
    }
    let values = usual(&assertion()).replace(">alice<", ">al<!-- x -->ice<");
    let values = bench.show(&values).await;
    assert_ne!(values.json()["username"], "al");
}

#[tokio::test]
async fn two_elements_with_one_id_are_nobodys_word() {
    let doubled = after(
        "<samlp:Status>",
        "<samlp:Extensions ID=\"_assertion\"/><samlp:Status>",
    );
    refuses(&doubled, "duplicate ID").await;
}

#[tokio::test]
async fn a_document_type_is_refused_unread() {
    let plain = usual(&assertion());
    refuses(&format!("<!DOCTYPE r>{plain}"), "it has a document type").await;
}

#[tokio::test]
async fn an_external_entity_is_not_fetched() {
    let entity = "<!DOCTYPE r [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>";
    let text = format!("{entity}{}", after(">alice<", ">&x;<"));
    refuses(&text, "it has a document type").await;
}

#[tokio::test]
async fn a_billion_laughs_are_not_laughed() {
    let lines: String = (1..20)
        .map(|n| format!("<!ENTITY l{n} '{}'>", format!("&l{};", n - 1).repeat(10)))
        .collect();
    let text = format!("<!DOCTYPE r [<!ENTITY l0 'ha'>{lines}]><r>&l19;</r>");
    refuses(&text, "it has a document type").await;
    refuses("<r>&l19;</r>", "the message is malformed").await;
}

#[tokio::test]
async fn an_instruction_for_some_processor_is_refused() {
    let text = after(
        "<samlp:Status>",
        "<?xml-stylesheet href='x'?><samlp:Status>",
    );
    refuses(&text, "processing instruction").await;
}

#[tokio::test]
async fn sha1_is_believed_neither_as_signature_nor_as_digest() {
    let weak = [
        Signing {
            method: "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
            ..Signing::default()
        },
        Signing {
            digest: "http://www.w3.org/2000/09/xmldsig#sha1",
            ..Signing::default()
        },
    ];
    let inner = assertion();
    for signing in weak {
        // The library may not even make such a signature: what counts is that the algorithm is refused before any key is tried.
        let text = response(&with_template(&inner, "_assertion", signing));
        refuses(&text, "is not believed").await;
    }
}

#[tokio::test]
async fn the_public_key_is_no_secret_to_sign_with() {
    let hmac = Signing {
        method: "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        ..Signing::default()
    };
    let template = with_template(&assertion(), "_assertion", hmac);
    for secret in [PROVIDER.der.as_slice(), PROVIDER.certificate.as_bytes()] {
        let text = response(&oracle::sign_by_secret(&template, secret));
        refuses(&text, "hmac-sha256] is not believed").await;
    }
}

#[tokio::test]
async fn a_key_that_comes_with_the_message_counts_for_nothing() {
    let certificate = format!(
        "</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>",
        STANDARD.encode(&STRANGER.der)
    );
    let forged = signed_by(&assertion(), "_assertion", &STRANGER, Signing::default());
    refuses(&response(&forged), "a signature is not valid").await;
    let brought = forged.replace("</ds:SignatureValue>", &certificate);
    refuses(&response(&brought), "a signature is not valid").await;
}

#[tokio::test]
async fn a_good_signature_beside_a_bad_one_saves_nothing() {
    let inner = signed_by(&assertion(), "_assertion", &STRANGER, Signing::default());
    refuses(
        &signed(&response(&inner), "_response"),
        "a signature is not valid",
    )
    .await;
    let inner = signed(&assertion(), "_assertion");
    let outer = signed_by(
        &response(&inner),
        "_response",
        &STRANGER,
        Signing::default(),
    );
    refuses(&outer, "a signature is not valid").await;
}

#[tokio::test]
async fn a_reference_leads_to_nothing_but_the_element_around_the_signature() {
    for reference in [
        "file:///etc/passwd#",
        "http://127.0.0.1:1/#",
        "Cargo.toml#",
        "cid:",
        "#x",
        "",
    ] {
        let signing = Signing {
            reference,
            ..Signing::default()
        };
        let text = response(&with_template(&assertion(), "_assertion", signing));
        refuses(&text, "its reference is not to its parent").await;
    }
}

#[tokio::test]
async fn a_transform_that_could_compute_anything_is_not_run() {
    let harmful = [
        "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"><x/></ds:Transform>",
        "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"><ds:XPath>/x</ds:XPath></ds:Transform>",
        "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#base64\"/>",
        "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>",
        "",
    ];
    for transforms in harmful {
        let signing = Signing {
            transforms,
            ..Signing::default()
        };
        let text = response(&with_template(&assertion(), "_assertion", signing));
        refuses(&text, "its transforms are not those of the profile").await;
    }
}

#[tokio::test]
async fn an_assertion_for_another_audience_or_for_none_is_refused() {
    refuses(
        &with(">urn:sp<", ">urn:other<"),
        "the audience [urn:sp] is not among [urn:other]",
    )
    .await;
    let none = "<saml:AudienceRestriction><saml:Audience>urn:sp</saml:Audience></saml:AudienceRestriction>";
    refuses(&with(none, ""), "there is no AudienceRestriction").await;
    let both = format!("{none}{}", none.replace("urn:sp", "urn:other"));
    refuses(&with(none, &both), "is not among [urn:other]").await;
}

#[tokio::test]
async fn an_assertion_for_another_recipient_is_refused() {
    let elsewhere = with(
        "Recipient=\"https://app.test/acs\"",
        "Recipient=\"https://evil.test/acs\"",
    );
    refuses(&elsewhere, "the recipient [https://evil.test/acs]").await;
    refuses(
        &with(" Recipient=\"https://app.test/acs\"", ""),
        "the recipient []",
    )
    .await;
}

#[tokio::test]
async fn a_response_for_another_destination_is_refused() {
    let there = "Destination=\"https://app.test/acs\"";
    let elsewhere = after(there, "Destination=\"https://app.test/acs/../evil\"");
    refuses(&elsewhere, "the destination [https://app.test/acs/../evil]").await;
    // Who signs the response must say where it goes.
    let nowhere = response(&assertion()).replace(there, "");
    refuses(&signed(&nowhere, "_response"), "the destination []").await;
}

#[tokio::test]
async fn what_has_ended_is_refused_once_the_skew_is_over() {
    for (ages, lets_in) in [(479, true), (480, false)] {
        let bench = Bench::new().await;
        bench.node.clock.advance(Duration::from_secs(ages));
        let answer = bench.show(&usual(&assertion())).await;
        if lets_in {
            assert_eq!(answer.status, 200, "{}", bench.log());
        } else {
            bench.expect_refused(
                &answer,
                "the assertion does not count from [2023-11-14T22:18:20Z]",
            );
        }
    }
    let confirmation = with(
        "NotOnOrAfter=\"2023-11-14T22:18:20Z\" Recipient",
        "NotOnOrAfter=\"2023-11-14T22:10:20Z\" Recipient",
    );
    refuses(
        &confirmation,
        "the subject is not confirmed from [2023-11-14T22:10:20Z]",
    )
    .await;
    let endless = with(
        "NotOnOrAfter=\"2023-11-14T22:18:20Z\" Recipient",
        "Recipient",
    );
    refuses(&endless, "the confirmation of the subject has no end").await;
}

#[tokio::test]
async fn what_has_not_begun_is_refused() {
    let begin = "NotBefore=\"2023-11-14T22:13:00Z\"";
    let soon = Bench::new().await;
    soon.accepted(&with(begin, "NotBefore=\"2023-11-14T22:16:20Z\""))
        .await;
    let late = with(begin, "NotBefore=\"2023-11-14T22:16:21Z\"");
    refuses(
        &late,
        "the assertion does not count before [2023-11-14T22:16:21Z]",
    )
    .await;
    refuses(
        &with(begin, "NotBefore=\"yesterday\""),
        "where a time should be",
    )
    .await;
}

#[tokio::test]
async fn a_session_that_ended_at_the_identity_provider_is_refused() {
    let ended = with(
        "SessionNotOnOrAfter=\"2023-11-15T06:13:20Z\"",
        "SessionNotOnOrAfter=\"2023-11-14T22:10:20Z\"",
    );
    refuses(&ended, "the session at the identity provider ended at").await;
}

#[tokio::test]
async fn an_assertion_lets_somebody_in_once() {
    let bench = Bench::new().await;
    let text = usual(&assertion());
    bench.accepted(&text).await;
    let again = bench.show(&text).await;
    assert_eq!(again.status, 401);
    assert!(
        bench
            .log()
            .contains("the assertion [_assertion] was used before")
    );
    // In another wrapping it is the same assertion.
    let wrapped = text.replace("ID=\"_response\"", "ID=\"_other\"");
    assert_eq!(bench.show(&wrapped).await.status, 401);
}

#[tokio::test]
async fn a_response_to_another_request_is_refused_and_says_to_which() {
    let bench = Bench::new().await;
    let answer = bench
        .show_for(&usual(&assertion()), &["_mine", "_too"])
        .await;
    bench.expect_refused(
        &answer,
        "it is in response to [_request], which is not expected",
    );
    let error = &answer.json()["error"];
    assert_eq!(
        error["security.saml.unsolicited_in_response_to"],
        "_request"
    );
    let none = bench.show_for(&usual(&assertion()), &[]).await;
    bench.expect_refused(&none, "it is in response to [_request]");
}

#[tokio::test]
async fn an_assertion_to_nobody_does_not_become_an_answer_by_its_envelope() {
    let stray = assertion().replace(" InResponseTo=\"_request\"", "");
    refuses(
        &usual(&stray),
        "the response is in response to [_request], its assertion to []",
    )
    .await;
    // Unless the identity provider signed the envelope.
    let bench = Bench::new().await;
    bench
        .accepted(&signed(&response(&stray), "_response"))
        .await;
}

#[tokio::test]
async fn an_assertion_and_its_envelope_answer_the_same_request() {
    let bench = Bench::new().await;
    let mixed =
        usual(&assertion()).replacen("InResponseTo=\"_request\"", "InResponseTo=\"_other\"", 1);
    let answer = bench.show_for(&mixed, &["_request", "_other"]).await;
    bench.expect_refused(
        &answer,
        "the response is in response to [_other], its assertion to [_request]",
    );
}

#[tokio::test]
async fn an_answer_to_none_is_taken_while_a_request_is_under_way_but_not_made_of_an_answer() {
    let stray = usual(&assertion()).replace(" InResponseTo=\"_request\"", "");
    let inner = assertion().replace(" InResponseTo=\"_request\"", "");
    let unsolicited = usual(&inner).replace(" InResponseTo=\"_request\"", "");
    refuses(&stray, "a signature is not valid").await;
    // As in Elasticsearch, where an unsolicited response is checked against no list of requests.
    for ids in [&[][..], &["_request"], &["_mine", "_too"]] {
        let bench = Bench::new().await;
        let answer = bench.show_for(&unsolicited, ids).await;
        assert_eq!(answer.status, 200, "{}", bench.log());
        assert_eq!(answer.json().get("in_response_to"), None);
    }
}

#[tokio::test]
async fn an_unknown_issuer_is_refused_whoever_signs() {
    refuses(
        &with(">urn:idp<", ">urn:evil<"),
        "the issuer [urn:evil] is not [urn:idp]",
    )
    .await;
    let outer = response(&assertion()).replacen(">urn:idp<", ">urn:evil<", 1);
    refuses(
        &signed(&outer, "_response"),
        "the issuer [urn:evil] is not [urn:idp]",
    )
    .await;
}

#[tokio::test]
async fn a_status_other_than_success_is_refused_and_told() {
    let status = "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/>";
    let denied = "<samlp:StatusCode Value=\"urn:status:Responder\"><samlp:StatusCode Value=\"urn:status:AuthnFailed\"/>\
                  </samlp:StatusCode><samlp:StatusMessage>wrong password</samlp:StatusMessage>";
    let text = signed(&response("").replace(status, denied), "_response");
    refuses(
        &text,
        "the status urn:status:Responder urn:status:AuthnFailed wrong password",
    )
    .await;
}

#[tokio::test]
async fn a_way_of_authentication_that_was_not_asked_for_is_refused() {
    let strict =
        |settings: &mut Settings| settings.authn_contexts = vec!["urn:smartcard".to_owned()];
    let bench = Bench::with(strict).await;
    let reason = "the way of authentication [urn:password] is not one that was requested";
    bench.refused(&usual(&assertion()), reason).await;
    bench.accepted(&with("urn:password", "urn:smartcard")).await;
}

#[tokio::test]
async fn a_subject_is_confirmed_by_bearing_and_only_once() {
    refuses(
        &with("cm:bearer", "cm:holder-of-key"),
        "not exactly one bearer",
    )
    .await;
    let start = "<saml:SubjectConfirmation Method";
    let second = format!(
        "<saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"/>{start}"
    );
    refuses(&with(start, &second), "not exactly one bearer").await;
}

#[tokio::test]
async fn a_condition_that_is_not_understood_is_not_fulfilled() {
    let strange = "<saml:Condition/><saml:AudienceRestriction>";
    refuses(
        &with("<saml:AudienceRestriction>", strange),
        "a condition that is not understood",
    )
    .await;
}

#[tokio::test]
async fn another_version_of_saml_is_refused() {
    let reason = "it is not of version 2.0";
    refuses(&with("Version=\"2.0\"", "Version=\"1.1\""), reason).await;
    let envelope = usual(&assertion()).replacen(" Version=\"2.0\"", "", 1);
    refuses(&envelope, reason).await;
}

#[tokio::test]
async fn what_is_encrypted_for_somebody_else_is_refused() {
    let inner = signed(&assertion(), "_assertion");
    let text = response(&encrypted("EncryptedAssertion", &inner, &STRANGER, GCM));
    refuses(&text, "what is encrypted can't be decrypted").await;
    let bench = Bench::with(|settings| settings.encryption = None).await;
    let text = response(&encrypted("EncryptedAssertion", &inner, &CLIENT, GCM));
    bench
        .refused(&text, "what is encrypted can't be decrypted")
        .await;
}

#[tokio::test]
async fn encryption_is_no_signature() {
    let text = response(&encrypted("EncryptedAssertion", &assertion(), &CLIENT, GCM));
    refuses(&text, "the encrypted assertion is not signed").await;
    let forged = signed_by(&assertion(), "_assertion", &STRANGER, Signing::default());
    let text = response(&encrypted("EncryptedAssertion", &forged, &CLIENT, GCM));
    refuses(&text, "a signature is not valid").await;
}

#[tokio::test]
async fn cbc_is_no_oracle_and_pkcs1_is_not_tried() {
    let inner = signed(&assertion(), "_assertion");
    let cbc = response(&encrypted("EncryptedAssertion", &inner, &CLIENT, CBC));
    refuses(&cbc, "AES-CBC is only taken inside a signed response").await;
    let bench = Bench::with(|settings| {
        settings.encryption.as_mut().unwrap().allow_unsigned_cbc = true;
    });
    let bench = bench.await;
    // Whatever garbage comes out, it is one and the same refusal.
    for plain in ["", "x", "<x", "<x/>", "\u{0}\u{1}", "<!DOCTYPE x><x/>"] {
        let text = response(&encrypted("EncryptedAssertion", plain, &CLIENT, CBC));
        bench
            .refused(&text, "what is encrypted can't be decrypted")
            .await;
    }
    bench.accepted(&cbc).await;
    let pkcs1 = "http://www.w3.org/2001/04/xmlenc#rsa-1_5";
    let old = encrypted_by("EncryptedAssertion", &inner, &CLIENT, GCM, pkcs1);
    refuses(&response(&old), "what is encrypted can't be decrypted").await;
}

#[tokio::test]
async fn a_changed_cipher_text_is_refused() {
    let inner = signed(&assertion(), "_assertion");
    let sealed = response(&encrypted("EncryptedAssertion", &inner, &CLIENT, GCM));
    let end = sealed.rfind("</xenc:CipherValue>").unwrap();
    let mut bytes = sealed.into_bytes();
    let at = end - 40;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(bytes).unwrap();
    refuses(&changed, "what is encrypted can't be decrypted").await;
}

#[tokio::test]
async fn what_would_be_dear_to_parse_is_refused_before() {
    let attributes: String = (0..100).map(|n| format!(" a{n}='x'")).collect();
    for (text, reason) in [
        (format!("<r{attributes}/>"), "too many attributes"),
        (
            format!("<r a='{}'/>", "x".repeat(9_000)),
            "a tag is too long",
        ),
        ("<r>".repeat(100_000), "it is too long"),
        ("<r/>".repeat(30_000), "too many elements"),
        ("<r>".repeat(200) + &"</r>".repeat(200), "not well-formed"),
        ("x".repeat(300_000), "it is too long"),
        ("<r".to_owned(), "it ends too early"),
        ("<!--".to_owned(), "it ends too early"),
        (String::new(), "the message is malformed"),
        ("\u{feff}<r>".to_owned(), "the message is malformed"),
    ] {
        refuses(&text, reason).await;
    }
    let bench = Bench::new().await;
    let body = json!({"content": STANDARD.encode([0xff_u8, 0xfe, 0xfd]), "ids": ["_request"]});
    let answer = bench.call("authenticate", body).await;
    bench.expect_refused(&answer, "it is no UTF-8");
}

#[tokio::test]
async fn another_message_is_no_response() {
    for text in [
        logout_response("_request"),
        assertion(),
        "<Response/>".to_owned(),
    ] {
        let text = if text.contains("ID=\"_assertion\"") {
            signed(&text, "_assertion")
        } else {
            text
        };
        refuses(&text, "the message is no SAML response").await;
    }
    let none = signed(&response(""), "_response");
    refuses(&none, "there is no assertion").await;
}

#[tokio::test]
async fn an_assertion_without_a_user_name_is_nobody() {
    refuses(
        &with("Name=\"uid\"", "Name=\"other\""),
        "attribute [uid] gives no user name",
    )
    .await;
    refuses(
        &with(">alice<", "> <"),
        "attribute [uid] gives no user name",
    )
    .await;
    refuses(
        &with(">alice<", ">al&#10;ice<"),
        "holds a control character",
    )
    .await;
}

#[tokio::test]
async fn metadata_that_ended_vouches_for_nobody() {
    let files = Files::make();
    let ended = metadata(&PROVIDER, " validUntil='2023-11-14T22:13:20Z'");
    std::fs::write(files.path("idp.xml"), ended).unwrap();
    let settings = files.settings();
    let bench = Bench::open(files, settings, NOW).await;
    bench
        .refused(&usual(&assertion()), "no valid metadata")
        .await;
}

#[tokio::test]
async fn without_metadata_nobody_gets_in() {
    let bench = Bench::with(|settings| settings.idp.entity_id = "urn:other".to_owned()).await;
    bench
        .refused(&usual(&assertion()), "no valid metadata")
        .await;
    assert!(
        bench
            .log()
            .contains("it doesn't describe an identity provider with the entity id [urn:other]")
    );
}
