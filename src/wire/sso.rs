//! The JSON of `_security/saml/*` and `_security/oidc/*`.

use serde::{Deserialize, Serialize};

use super::principals::AuthenticateResponse;

/// The answer of `POST /_security/saml/prepare`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamlPrepareResponse {
    /// The realm that made the request.
    pub realm: String,
    /// The request's `ID`, which a response must answer.
    pub id: String,
    /// Where the browser goes.
    pub redirect: String,
}

/// The answer of `POST /_security/saml/authenticate` and `POST /_security/oidc/authenticate`.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginResponse {
    /// The access token.
    pub access_token: String,
    /// The refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// `Bearer`; OpenID Connect only.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Seconds.
    pub expires_in: u64,
    /// SAML only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The realm that took the login; SAML only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// The request that the response answered; SAML only, and newer nodes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_response_to: Option<String>,
    /// Whom the token stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AuthenticateResponse>,
}

/// The answer of `POST /_security/oidc/prepare`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcPrepareResponse {
    /// Where the browser goes.
    pub redirect: String,
    /// What the provider gives back.
    pub state: String,
    /// What the ID token must hold.
    pub nonce: String,
    /// The realm that made the request.
    pub realm: String,
}

/// The answer of `POST /_security/saml/logout` and `POST /_security/oidc/logout`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutResponse {
    /// `ID` of a SAML logout request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where the browser goes to end its session at the identity provider; absent: nowhere.
    #[serde(default)]
    pub redirect: Option<String>,
}

/// The answer of `POST /_security/saml/invalidate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamlInvalidateResponse {
    /// The realm that took the message.
    pub realm: String,
    /// Tokens invalidated.
    pub invalidated: u64,
    /// Where the browser takes the answer.
    #[serde(default)]
    pub redirect: Option<String>,
}

/// The answer of `GET /_security/saml/metadata/{realm}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamlMetadataResponse {
    /// XML.
    pub metadata: String,
}

/// What is needed of the answer of `POST /_security/profile/_activate`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ActivatedProfile {
    /// The profile's id.
    pub uid: String,
}
