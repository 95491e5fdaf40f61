//! What the browser comes back with: the authentication response (OpenID Connect Core §3.1.2.5 and §3.2.2.5).
//!
//! Always true: the state is looked at before anything else, and in constant time; a parameter that comes twice, or that belongs
//! to another flow, makes the whole response void; what the provider says of an error is cut before it gets to the log.

use crate::config::realms_oidc::OidcResponseType;
use crate::model::secret::Secret;

/// Longest response that is looked at, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Most characters of the provider's own words in the log.
const MAX_WORDS: usize = 200;

/// Why a response is no good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Too long.
    #[error("the response is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// A parameter comes twice.
    #[error("parameter [{0}] comes twice")]
    Twice(&'static str),
    /// Not the state of the attempt.
    #[error("parameter [state] is not that of the attempt")]
    State,
    /// Another provider answers (RFC 9207 §2.4).
    #[error("parameter [iss] is not the provider that was asked")]
    Issuer,
    /// The provider says who it is in each of its responses, but not in this one.
    #[error("parameter [iss] is missing, though the provider always sends it")]
    NoIssuer,
    /// The provider says no.
    #[error("the provider answered with the error [{code}]: {description}")]
    Denied {
        /// `error`
        code: String,
        /// `error_description`
        description: String,
    },
    /// A parameter of another flow.
    #[error("parameter [{0}] belongs to another flow than the one that was asked for")]
    Flow(&'static str),
    /// A parameter is missing.
    #[error("parameter [{0}] is missing")]
    Missing(&'static str),
    /// An access token of a kind that nothing is known about.
    #[error("the access token is no bearer token")]
    TokenType,
}

/// What a response is held against.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// State of the attempt.
    pub state: &'a str,
    /// Issuer that was asked.
    pub issuer: &'a str,
    /// Whether it names itself in each response.
    pub names_itself: bool,
    /// What was asked for.
    pub response_type: OidcResponseType,
}

/// A response that is an answer to the attempt. Nothing in it is proven yet.
#[derive(Debug, PartialEq, Eq)]
pub enum Response {
    /// A code.
    Code(Secret),
    /// Tokens.
    Tokens {
        /// ID token.
        id_token: Secret,
        /// Access token.
        access_token: Option<Secret>,
    },
}

/// Parameters that are looked at.
const KNOWN: [&str; 8] = [
    "state",
    "iss",
    "error",
    "error_description",
    "code",
    "id_token",
    "access_token",
    "token_type",
];

/// The parameters of a response, each at most once.
struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    fn read(text: &str) -> Result<Self, ResponseError> {
        let mut found: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let Some(name) = KNOWN.into_iter().find(|known| *known == name) else {
                continue;
            };
            if found.iter().any(|(known, _)| *known == name) {
                return Err(ResponseError::Twice(name));
            }
            found.push((name, value.into_owned()));
        }
        Ok(Self(found))
    }

    fn value(&self, name: &'static str) -> Option<&str> {
        let mut all = self.0.iter();
        let (_, value) = all.find(|(known, _)| *known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    fn needed(&self, name: &'static str) -> Result<Secret, ResponseError> {
        let value = self.value(name).ok_or(ResponseError::Missing(name))?;
        Ok(Secret::from(value))
    }

    fn refuse(&self, names: &[&'static str]) -> Result<(), ResponseError> {
        let mut names = names.iter();
        match names.find(|name| self.value(name).is_some()) {
            Some(name) => Err(ResponseError::Flow(name)),
            None => Ok(()),
        }
    }
}

/// The `iss` that a response names, if it can be read at all. To choose a realm by; proves nothing.
pub fn named_issuer(uri: &str) -> Option<String> {
    let text = part(uri, OidcResponseType::Code)
        .filter(|text| !text.is_empty())
        .or_else(|| part(uri, OidcResponseType::IdToken))?;
    let parameters = Parameters::read(text).ok()?;
    parameters.value("iss").map(str::to_owned)
}

/// Where the parameters are: in the query of the code flow; in the fragment of the implicit flow, or in the query for an error.
fn part(uri: &str, response_type: OidcResponseType) -> Option<&str> {
    let (rest, fragment) = match uri.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (uri, None),
    };
    let query = rest.split_once('?').map(|(_, query)| query);
    match response_type {
        OidcResponseType::Code => query,
        OidcResponseType::IdToken | OidcResponseType::IdTokenToken => fragment.or(query),
    }
}

/// Reads the URI that the browser came back to.
///
/// # Errors
/// See [`ResponseError`]; its text is for the log.
pub fn read(uri: &str, expected: Expected<'_>) -> Result<Response, ResponseError> {
    if uri.len() > MAX_BYTES {
        return Err(ResponseError::TooLong);
    }
    let text = part(uri, expected.response_type).unwrap_or_default();
    let parameters = Parameters::read(text)?;
    let state = parameters.value("state").ok_or(ResponseError::State)?;
    if Secret::from(state) != Secret::from(expected.state) {
        return Err(ResponseError::State);
    }
    match parameters.value("iss") {
        Some(issuer) if issuer != expected.issuer => return Err(ResponseError::Issuer),
        // An ID token in the response names its issuer itself, and providers leave the parameter out then.
        None if expected.names_itself && parameters.value("id_token").is_none() => {
            return Err(ResponseError::NoIssuer);
        }
        Some(_) | None => {}
    }
    if let Some(code) = parameters.value("error") {
        let description = parameters.value("error_description").unwrap_or_default();
        return Err(ResponseError::Denied {
            code: words(code),
            description: words(description),
        });
    }
    match expected.response_type {
        OidcResponseType::Code => {
            parameters.refuse(&["id_token", "access_token"])?;
            parameters.needed("code").map(Response::Code)
        }
        OidcResponseType::IdToken => {
            parameters.refuse(&["code", "access_token"])?;
            Ok(Response::Tokens {
                id_token: parameters.needed("id_token")?,
                access_token: None,
            })
        }
        OidcResponseType::IdTokenToken => {
            parameters.refuse(&["code"])?;
            let kind = parameters.value("token_type").unwrap_or_default();
            let access_token = parameters.needed("access_token")?;
            if !kind.eq_ignore_ascii_case("bearer") {
                return Err(ResponseError::TokenType);
            }
            Ok(Response::Tokens {
                id_token: parameters.needed("id_token")?,
                access_token: Some(access_token),
            })
        }
    }
}

/// A provider's own words, fit for a line of a log.
pub fn words(text: &str) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().take(MAX_WORDS).map(plain).collect()
}

#[cfg(test)]
mod tests;
