//! Responses as browsers bring them, and as attackers would like them to be.

use proptest::prelude::*;

use super::*;

fn expected(response_type: OidcResponseType) -> Expected<'static> {
    Expected {
        state: "st-1",
        issuer: "https://op",
        names_itself: false,
        response_type,
    }
}

fn code(uri: &str) -> Result<Response, ResponseError> {
    read(uri, expected(OidcResponseType::Code))
}

fn implicit(uri: &str) -> Result<Response, ResponseError> {
    read(uri, expected(OidcResponseType::IdTokenToken))
}

#[test]
fn a_response_is_read_from_a_url_or_from_its_path_and_query() {
    let response = Ok(Response::Code(Secret::from("a b")));
    for uri in [
        "https://rp/cb?code=a%20b&state=st-1",
        "/cb?state=st-1&code=a+b&unknown=1&session_state=x",
        "?code=a+b&state=st-1&iss=https%3A%2F%2Fop#ignored",
    ] {
        assert_eq!(code(uri), response, "{uri}");
    }
    let tokens = Ok(Response::Tokens {
        id_token: Secret::from("i"),
        access_token: Some(Secret::from("a")),
    });
    let uri = "https://rp/cb#id_token=i&access_token=a&token_type=bearer&state=st-1";
    assert_eq!(implicit(uri), tokens);
}

#[test]
fn a_response_without_the_state_of_the_attempt_is_void_even_when_it_tells_an_error() {
    for uri in [
        "/cb",
        "/cb?code=x",
        "/cb?code=x&state=",
        "/cb?code=x&state=st-2",
        "/cb?code=x&state=ST-1",
        "/cb?error=access_denied&state=st-2",
        "/cb#code=x&state=st-1",
    ] {
        assert_eq!(code(uri), Err(ResponseError::State), "{uri}");
    }
}

#[test]
fn a_response_of_another_provider_is_a_mix_up() {
    let uri = "/cb?code=x&state=st-1&iss=https%3A%2F%2Fevil";
    assert_eq!(code(uri), Err(ResponseError::Issuer));
    let promised = Expected {
        names_itself: true,
        ..expected(OidcResponseType::Code)
    };
    assert_eq!(
        read("/cb?code=x&state=st-1", promised),
        Err(ResponseError::NoIssuer)
    );
    assert!(read("/cb?code=x&state=st-1&iss=https://op", promised).is_ok());
    // An ID token names its issuer itself.
    let implicit = Expected {
        names_itself: true,
        ..expected(OidcResponseType::IdToken)
    };
    assert!(read("/cb#id_token=x&state=st-1", implicit).is_ok());
    assert_eq!(
        read("/cb#error=access_denied&state=st-1", implicit),
        Err(ResponseError::NoIssuer)
    );
}

#[test]
fn a_parameter_that_comes_twice_is_not_chosen_from() {
    for (uri, name) in [
        ("/cb?code=x&code=y&state=st-1", "code"),
        ("/cb?code=x&state=st-1&state=st-1", "state"),
        (
            "/cb?iss=https://op&code=x&state=st-1&iss=https://evil",
            "iss",
        ),
    ] {
        assert_eq!(code(uri), Err(ResponseError::Twice(name)), "{uri}");
    }
}

#[test]
fn a_flow_that_was_not_asked_for_is_refused() {
    for uri in [
        "/cb?code=x&state=st-1&id_token=i",
        "/cb?code=x&state=st-1&access_token=a",
    ] {
        assert!(matches!(code(uri), Err(ResponseError::Flow(_))), "{uri}");
    }
    assert_eq!(code("/cb?state=st-1"), Err(ResponseError::Missing("code")));
    let tokens = "id_token=i&access_token=a&token_type=bearer&state=st-1";
    let with_code = format!("/cb#{tokens}&code=c");
    assert_eq!(implicit(&with_code), Err(ResponseError::Flow("code")));
    for (fragment, error) in [
        (
            "id_token=i&state=st-1",
            ResponseError::Missing("access_token"),
        ),
        (
            "id_token=i&access_token=a&state=st-1",
            ResponseError::TokenType,
        ),
        (
            "access_token=a&token_type=bearer&state=st-1",
            ResponseError::Missing("id_token"),
        ),
    ] {
        assert_eq!(
            implicit(&format!("/cb#{fragment}")),
            Err(error),
            "{fragment}"
        );
    }
    let lone = read(
        "/cb#id_token=i&access_token=a&state=st-1",
        expected(OidcResponseType::IdToken),
    );
    assert_eq!(lone, Err(ResponseError::Flow("access_token")));
}

#[test]
fn what_the_provider_says_of_an_error_is_cut_and_cannot_forge_a_line_of_the_log() {
    let long = "x".repeat(1_000);
    let uri = format!("/cb?error=access_denied&error_description=a%0Ab{long}&state=st-1");
    let Err(ResponseError::Denied { code, description }) = code(&uri) else {
        panic!("denied");
    };
    assert_eq!(
        (code.as_str(), description.len()),
        ("access_denied", MAX_WORDS)
    );
    assert!(description.starts_with("a bx"));
    let denied = implicit("/cb?error=login_required&state=st-1");
    assert!(matches!(denied, Err(ResponseError::Denied { .. })));
}

#[test]
fn a_response_that_is_too_long_is_not_looked_at() {
    let uri = format!("/cb?state=st-1&code={}", "x".repeat(MAX_BYTES));
    assert_eq!(code(&uri), Err(ResponseError::TooLong));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z_=&#?%0-9]{0,120}") {
        let _ = (code(&text), implicit(&text), named_issuer(&text));
    }

    #[test]
    fn only_the_exact_state_passes(state in "[ -~]{0,12}") {
        let pair: String = form_urlencoded::byte_serialize(state.as_bytes()).collect();
        prop_assert_eq!(code(&format!("/?code=c&state={pair}")).is_ok(), state == "st-1");
    }
}
