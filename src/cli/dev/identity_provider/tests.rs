//! What the demo provider gives out, and to whom.

use super::*;

const CALLBACK: &str = "https://127.0.0.1:1/cb";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn provider() -> Provider {
    Provider {
        issuer: "http://127.0.0.1:2".to_owned(),
        client: Client::new(CALLBACK.to_owned(), "https://127.0.0.1:1/bye".to_owned()),
        signer: Signer::generate().unwrap(),
        memory: Mutex::default(),
        clock: Clock::manual(std::time::Duration::from_secs(1_700_000_000)),
    }
}

fn request(changes: &[(&str, &str)]) -> String {
    let mut asked: Vec<(&str, &str)> = vec![
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("state", "s&\"<"),
        ("nonce", "n"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        asked.retain(|(known, _)| known != name);
        asked.push((name, value));
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(asked).finish()
}

fn chosen(name: &str) -> Parameters {
    Parameters::from([("person".to_owned(), name.to_owned())])
}

fn landed(response: &Response) -> Parameters {
    let location = response.headers()[header::LOCATION].to_str().unwrap();
    let (uri, query) = location.split_once('?').unwrap();
    assert_eq!(uri, CALLBACK);
    parameters(query)
}

fn exchange(provider: &Provider, code: &str, verifier: &str) -> Response {
    let secret = provider.client.secret.expose_str().unwrap();
    let mut headers = HeaderMap::new();
    let value = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{secret}")));
    headers.insert(header::AUTHORIZATION, value.parse().unwrap());
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", verifier),
    ];
    let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
    provider.exchange(&headers, &Parameters::from(form))
}

fn body(response: Response) -> String {
    let collected = response.into_body().collect_up_to(1 << 20);
    let bytes = futures_util::FutureExt::now_or_never(collected)
        .unwrap()
        .unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn whoever_is_clicked_on_comes_back_with_a_code_that_works_once_and_with_its_verifier() {
    let provider = provider();
    let back = landed(&provider.log_in(&request(&[]), &chosen("alice")));
    assert_eq!(
        (back["state"].as_str(), back["iss"].as_str()),
        ("s&\"<", "http://127.0.0.1:2")
    );
    let tokens: Value =
        serde_json::from_str(&body(exchange(&provider, &back["code"], VERIFIER))).unwrap();
    assert_eq!(tokens["id_token"].as_str().unwrap().split('.').count(), 3);
    let mut headers = HeaderMap::new();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    headers.insert(header::AUTHORIZATION, bearer.parse().unwrap());
    let claims: Value = serde_json::from_str(&body(provider.tell_claims(&headers))).unwrap();
    assert_eq!(
        (&claims["sub"], &claims["groups"]),
        (&json!("alice"), &json!(["readers"]))
    );
    assert_eq!(
        exchange(&provider, &back["code"], VERIFIER).status(),
        400,
        "once"
    );
    let other = landed(&provider.log_in(&request(&[]), &chosen("bob")));
    assert_eq!(
        exchange(&provider, &other["code"], "another verifier").status(),
        400
    );
    assert_eq!(
        exchange(&provider, &other["code"], VERIFIER).status(),
        400,
        "gone with the wrong try"
    );
    let late = landed(&provider.log_in(&request(&[]), &chosen("bob")));
    provider.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(exchange(&provider, &late["code"], VERIFIER).status(), 400);
}

#[test]
fn nobody_is_sent_to_an_address_that_is_not_the_clients() {
    let provider = provider();
    for changes in [
        [("redirect_uri", "https://evil.test/cb")],
        [("client_id", "other")],
        [("response_type", "token")],
        [("code_challenge_method", "plain")],
    ] {
        let query = request(&changes);
        assert_eq!(provider.ask_who(&query).status(), 400);
        let answer = provider.log_in(&query, &chosen("alice"));
        assert_eq!(answer.status(), 400);
        assert!(!answer.headers().contains_key(header::LOCATION));
    }
    let evil = parameters("post_logout_redirect_uri=https%3A%2F%2Fevil.test");
    assert_eq!(provider.log_out(&evil).status(), 200, "a page instead");
}

#[test]
fn a_cancelled_login_is_told_and_the_page_escapes_what_it_was_asked() {
    let provider = provider();
    for nobody in ["", "root"] {
        let back = landed(&provider.log_in(&request(&[]), &chosen(nobody)));
        assert_eq!(back["error"], "access_denied");
    }
    let html = body(provider.ask_who(&format!("{}&x=\"><script>", request(&[]))));
    assert!(
        !html.contains("<script>") && html.contains("for development"),
        "{html}"
    );
}

#[test]
fn only_the_client_itself_exchanges_a_code() {
    let provider = provider();
    let back = landed(&provider.log_in(&request(&[]), &chosen("alice")));
    let refused = provider.exchange(&HeaderMap::new(), &back);
    assert_eq!(refused.status(), 401);
    assert_eq!(
        exchange(&provider, &back["code"], VERIFIER).status(),
        200,
        "the code is still there"
    );
    assert_eq!(provider.tell_claims(&HeaderMap::new()).status(), 401);
}
