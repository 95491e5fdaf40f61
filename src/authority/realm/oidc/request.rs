//! What the browser is sent to the provider with: the authentication request (OpenID Connect Core §3.1.2.1), PKCE (RFC 7636),
//! and the logout request (OpenID Connect RP-Initiated Logout §2).
//!
//! Always true: nothing secret is in a URL. The PKCE verifier is made of state and nonce with a key that only this process has,
//! so that nothing has to be kept between the two calls of a login; a login that a restart interrupts begins again.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::realms_oidc::OidcParty;
use crate::model::clock;
use crate::model::secret::Secret;

/// What tells one attempt to log in from others.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// Comes back with the response.
    pub state: &'a str,
    /// Comes back in the ID token.
    pub nonce: &'a str,
}

/// Makes PKCE verifiers.
pub struct Verifiers(hmac::Key);

impl Verifiers {
    /// With a key of its own.
    pub fn random() -> Self {
        let key = clock::random_bytes::<32>();
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// The `code_verifier` of an attempt: 43 characters (RFC 7636 §4.1).
    pub fn verifier(&self, attempt: Attempt<'_>) -> Secret {
        let mut context = hmac::Context::with_key(&self.0);
        // The length in front keeps two attempts apart whose texts only split differently.
        context.update(&(attempt.state.len() as u64).to_be_bytes());
        context.update(attempt.state.as_bytes());
        context.update(attempt.nonce.as_bytes());
        Secret::from(URL_SAFE_NO_PAD.encode(context.sign()))
    }
}

/// The `code_challenge` of a verifier by S256 (RFC 7636 §4.2).
fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.expose()))
}

/// The URL that the browser is sent to, for this attempt.
pub fn authentication_url(
    endpoint: &str,
    party: &OidcParty,
    attempt: Attempt<'_>,
    login_hint: Option<&str>,
    verifier: Option<&Secret>,
) -> String {
    let scopes = party.scopes.join(" ");
    let mut parameters = vec![
        ("scope", scopes.as_str()),
        ("response_type", party.response_type.label()),
        ("redirect_uri", &party.redirect_uri),
        ("state", attempt.state),
        ("nonce", attempt.nonce),
        ("client_id", &party.client_id),
    ];
    if let Some(hint) = login_hint {
        parameters.push(("login_hint", hint));
    }
    let challenge = verifier.map(challenge);
    if let Some(challenge) = &challenge {
        parameters.push(("code_challenge", challenge));
        parameters.push(("code_challenge_method", "S256"));
    }
    with_query(endpoint, &parameters)
}

/// The URL that the browser is sent to, to log out at the provider.
pub fn logout_url(
    endpoint: &str,
    party: &OidcParty,
    id_token_hint: Option<&str>,
    state: &str,
) -> String {
    let mut parameters = Vec::new();
    match id_token_hint {
        Some(hint) => parameters.push(("id_token_hint", hint)),
        // Without the hint the provider needs to know whose addresses are allowed.
        None => parameters.push(("client_id", party.client_id.as_str())),
    }
    if let Some(uri) = &party.post_logout_redirect_uri {
        parameters.push(("post_logout_redirect_uri", uri));
        parameters.push(("state", state));
    }
    with_query(endpoint, &parameters)
}

fn with_query(endpoint: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let joint = match endpoint.find('?') {
        None => "?",
        Some(at) if at + 1 == endpoint.len() || endpoint.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{endpoint}{joint}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_standard_and_verifiers_differ_by_attempt_and_process() {
        let of_rfc = Secret::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(
            challenge(&of_rfc),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        let verifiers = Verifiers::random();
        let of = |state, nonce| verifiers.verifier(Attempt { state, nonce });
        assert_eq!(of("ab", "c"), of("ab", "c"));
        assert_ne!(of("ab", "c"), of("a", "bc"));
        assert_eq!(of("ab", "c").expose().len(), 43);
        let attempt = Attempt {
            state: "ab",
            nonce: "c",
        };
        assert_ne!(of("ab", "c"), Verifiers::random().verifier(attempt));
    }

    #[test]
    fn parameters_join_a_query_that_is_there() {
        for (endpoint, url) in [
            ("https://op/a", "https://op/a?x=1%26"),
            ("https://op/a?", "https://op/a?x=1%26"),
            ("https://op/a?t=2", "https://op/a?t=2&x=1%26"),
            ("https://op/a?t=2&", "https://op/a?t=2&x=1%26"),
        ] {
            assert_eq!(with_query(endpoint, &[("x", "1&")]), url);
        }
    }
}
