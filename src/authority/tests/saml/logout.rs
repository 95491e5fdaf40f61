//! Logging out, from here and from there.

use super::endpoints::{is_signed, message};
use super::*;
use crate::authority::realm::saml::binding::{Parameter, redirect};
use crate::authority::realm::saml::forge::*;
use crate::authority::realm::saml::keys::Signer;

/// The query by which the identity provider (or somebody else) sends a message here.
fn query(files: &Files, parameter: Parameter, text: &str, party: Option<&Party>) -> String {
    let signer = party.map(|party| {
        std::fs::write(files.path("party.key"), &party.key).unwrap();
        std::fs::write(files.path("party.crt"), &party.certificate).unwrap();
        Signer::open(&files.path("party.key"), &files.path("party.crt")).unwrap()
    });
    let url = redirect(
        "https://x",
        parameter,
        text,
        Some("state 1"),
        signer.as_ref(),
    )
    .unwrap();
    url.strip_prefix("https://x?").unwrap().to_owned()
}

async fn login(bench: &Bench) -> Value {
    let answer = bench.show(&usual(&assertion())).await;
    assert_eq!(answer.status, 200, "{}", bench.log());
    answer.json()
}

#[tokio::test]
async fn logging_out_takes_both_tokens_and_leads_to_the_identity_provider() {
    let bench = Bench::new().await;
    let tokens = login(&bench).await;
    let body = json!({"token": tokens["access_token"], "refresh_token": tokens["refresh_token"]});
    let answer = bench.call("logout", body.clone()).await.json();
    let url = answer["redirect"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("{SLO_URL}?SAMLRequest=")) && is_signed(url),
        "{url}"
    );
    let xml = message(url, "SAMLRequest");
    for part in [
        ">name-1</saml2:NameID>",
        "<saml2p:SessionIndex>session-1<",
        answer["id"].as_str().unwrap(),
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    assert_eq!(
        bench
            .who(tokens["access_token"].as_str().unwrap())
            .await
            .status,
        401
    );
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]});
    assert_eq!(
        bench
            .node
            .elastic("POST", "/_security/oauth2/token", refresh)
            .await
            .status,
        400
    );
    assert_eq!(bench.call("logout", body).await.status, 401);
}

#[tokio::test]
async fn a_refreshed_token_still_knows_its_login() {
    let bench = Bench::new().await;
    let tokens = login(&bench).await;
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]});
    let fresh = bench
        .node
        .done("POST", "/_security/oauth2/token", refresh)
        .await;
    let answer = bench
        .call("logout", json!({"token": fresh["access_token"]}))
        .await
        .json();
    assert!(answer["redirect"].as_str().unwrap().starts_with(SLO_URL));
}

#[tokio::test]
async fn without_single_logout_there_is_nowhere_to_go() {
    let bench = Bench::with(|settings| settings.idp.use_single_logout = false).await;
    let tokens = login(&bench).await;
    let answer = bench
        .call("logout", json!({"token": tokens["access_token"]}))
        .await;
    assert_eq!(answer.json(), json!({"id": null, "redirect": null}));
    let native = json!({"grant_type": "password", "username": "elastic", "password": PASSWORD});
    let native = bench
        .node
        .done("POST", "/_security/oauth2/token", native)
        .await;
    let answer = bench
        .call("logout", json!({"token": native["access_token"]}))
        .await;
    assert_eq!(
        answer.reason(),
        "Authenticating realm reserved is not a SAML realm"
    );
}

#[tokio::test]
async fn the_identity_provider_logs_out_the_session_it_names() {
    let bench = Bench::new().await;
    let tokens = login(&bench).await;
    let send = |xml: String, party: Option<&Party>| {
        let query = query(&bench.files, Parameter::Request, &xml, party);
        json!({"realm": "saml1", "query_string": query})
    };
    for (request, count) in [
        (logout_request(&["session-2"]), 0),
        (
            logout_request(&["session-1"]).replace(">name-1<", ">name-2<"),
            0,
        ),
        (logout_request(&["session-2", "session-1"]), 2),
        (logout_request(&["session-1"]), 0),
    ] {
        let answer = bench
            .call("invalidate", send(request, Some(&PROVIDER)))
            .await;
        assert_eq!(answer.json()["invalidated"], count, "{}", answer.text);
        let url = answer.json()["redirect"].as_str().unwrap().to_owned();
        assert!(
            url.starts_with(&format!("{SLO_URL}/done?SAMLResponse=")) && is_signed(&url),
            "{url}"
        );
        assert!(url.contains("&RelayState=state%201&"));
        assert!(message(&url, "SAMLResponse").contains("InResponseTo=\"_logout\""));
    }
    assert_eq!(
        bench
            .who(tokens["access_token"].as_str().unwrap())
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn without_a_session_index_every_session_of_the_name_is_meant() {
    let bench = Bench::new().await;
    let tokens = login(&bench).await;
    // A signature inside of the message does as well, as in those that were posted.
    let xml = signed(&logout_request(&[]), "_logout");
    let query = query(&bench.files, Parameter::Request, &xml, None);
    let answer = bench
        .call("invalidate", json!({"acs": ACS, "query_string": query}))
        .await;
    assert_eq!(answer.json()["invalidated"], 2, "{}", answer.text);
    assert_eq!(
        bench
            .who(tokens["access_token"].as_str().unwrap())
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn nobody_else_logs_anybody_out() {
    let bench = Bench::new().await;
    let tokens = login(&bench).await;
    let good = query(
        &bench.files,
        Parameter::Request,
        &logout_request(&[]),
        Some(&PROVIDER),
    );
    let of = |xml: &str, party: Option<&Party>| query(&bench.files, Parameter::Request, xml, party);
    let request = logout_request(&[]);
    let (_, after_message) = good.split_once('&').unwrap();
    let other = of(&logout_request(&["x"]), None);
    let (other, _) = other.split_once('&').unwrap();
    for (query, reason) in [
        (of(&request, None), "the message is not signed"),
        (of(&request, Some(&STRANGER)), "a signature is not valid"),
        (
            of(
                &signed_by(&request, "_logout", &STRANGER, Signing::default()),
                None,
            ),
            "a signature is not valid",
        ),
        (
            format!("{other}&{after_message}"),
            "a signature is not valid",
        ),
        (
            good.replace("state%201", "state%202"),
            "a signature is not valid",
        ),
        (good.replace("rsa-sha256", "rsa-sha1"), "is not believed"),
        (good.replace("rsa-sha256", "hmac-sha256"), "is not believed"),
        (
            format!("{good}&SAMLRequest=x"),
            "there are several SAMLRequest",
        ),
        (format!("{good}&%53igAlg=x"), "there are several SigAlg"),
        (
            good.split("&Signature=").next().unwrap().to_owned(),
            "are not both there",
        ),
        ("SAMLRequest=%FF%FE".to_owned(), "the message is malformed"),
        ("SAMLResponse=x".to_owned(), "there is no SAMLRequest"),
        (
            of(&request.replace("urn:idp", "urn:evil"), Some(&PROVIDER)),
            "the issuer [urn:evil]",
        ),
        (
            of(&request.replace(LOGOUT, ACS), Some(&PROVIDER)),
            "the destination [https://app.test/acs]",
        ),
        (
            of(&request.replace("22:18:20Z", "22:10:20Z"), Some(&PROVIDER)),
            "does not count from",
        ),
        (
            of(&logout_response("_x"), Some(&PROVIDER)),
            "the message is no LogoutRequest",
        ),
    ] {
        let answer = bench
            .call(
                "invalidate",
                json!({"realm": "saml1", "query_string": query}),
            )
            .await;
        assert_eq!(answer.status, 500, "{query}");
        assert!(
            answer.reason().contains(reason),
            "{reason} is not why: {}",
            answer.reason()
        );
        assert!(bench.log().contains(reason));
    }
    assert_eq!(
        bench
            .who(tokens["access_token"].as_str().unwrap())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_message_that_inflates_beyond_all_bounds_is_refused() {
    let bench = Bench::new().await;
    let bomb = query(
        &bench.files,
        Parameter::Request,
        &" ".repeat(4_000_000),
        None,
    );
    assert!(bomb.len() < 10_000);
    let answer = bench
        .call(
            "invalidate",
            json!({"realm": "saml1", "query_string": bomb}),
        )
        .await;
    assert!(
        answer.reason().contains("it is too long"),
        "{}",
        answer.reason()
    );
}

#[tokio::test]
async fn the_answer_to_a_logout_is_verified_by_either_binding() {
    let bench = Bench::new().await;
    let complete = |more: Value, ids: &[&str]| {
        let mut body = json!({"realm": "saml1", "ids": ids});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        bench.call("complete_logout", body)
    };
    let xml = logout_response("_mine");
    let of = |xml: &str, party: Option<&Party>| json!({"query_string": query(&bench.files, Parameter::Response, xml, party)});
    let form = |xml: &str| json!({"content": STANDARD.encode(xml)});
    for body in [of(&xml, Some(&PROVIDER)), form(&signed(&xml, "_answer"))] {
        let answer = complete(body, &["_mine"]).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})));
    }
    let failed = xml.replace("status:Success", "status:Responder");
    for (body, ids, reason) in [
        (
            of(&xml, Some(&PROVIDER)),
            "_other",
            "it is in response to [_mine]",
        ),
        (of(&xml, None), "_mine", "the message is not signed"),
        (form(&xml), "_mine", "the message is not signed"),
        (
            of(&xml, Some(&STRANGER)),
            "_mine",
            "a signature is not valid",
        ),
        (of(&failed, Some(&PROVIDER)), "_mine", "status:Responder"),
    ] {
        let answer = complete(body, &[ids]).await;
        assert_eq!(answer.status, 500);
        assert!(
            answer.reason().contains(reason),
            "{reason} is not why: {}",
            answer.reason()
        );
    }
}
