//! OpenID Connect realms of the embedded authority as meant: checked and defaulted.

use std::path::PathBuf;
use std::time::Duration;

use super::realm_values::{JwksPath, ProviderUrl};
use super::realms::{JwtAlgorithm, JwtClaims};
use crate::model::secret::Secret;

/// People who log in at an OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcRealm {
    /// This side.
    pub party: OidcParty,
    /// The other side.
    pub provider: OidcProvider,
    /// Claims by what they become; `principal` is always there.
    pub claims: JwtClaims,
    /// Whether claims become metadata.
    pub populate_user_metadata: bool,
    /// How far the provider's clock may be off.
    pub clock_skew: Duration,
    /// Realms the user is looked up in instead of mapping roles.
    pub authorization_realms: Vec<String>,
    /// How the provider is spoken to.
    pub http: OidcHttp,
}

/// The relying party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcParty {
    /// Client id.
    pub client_id: String,
    /// Client secret; always there for the code flow and for HMAC signatures.
    pub client_secret: Option<Secret>,
    /// Where the browser comes back to.
    pub redirect_uri: String,
    /// What the provider answers with.
    pub response_type: OidcResponseType,
    /// Scopes, `openid` among them.
    pub scopes: Vec<String>,
    /// How it proves itself at the token endpoint.
    pub client_auth_method: OidcClientAuthMethod,
    /// Signature of its assertion.
    pub assertion_algorithm: JwtAlgorithm,
    /// Where the browser goes after a logout at the provider.
    pub post_logout_redirect_uri: Option<String>,
    /// The one algorithm of ID tokens.
    pub signature_algorithm: JwtAlgorithm,
    /// Whether the code flow uses PKCE.
    pub pkce: bool,
}

/// The provider; what is `None` comes from discovery, unless `discovery` is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcProvider {
    /// Issuer identifier.
    pub issuer: String,
    /// Where its discovery document is; `None`: everything that is needed was written.
    pub discovery: Option<ProviderUrl>,
    /// Where the browser logs in.
    pub authorization_endpoint: Option<ProviderUrl>,
    /// Where a code is exchanged.
    pub token_endpoint: Option<ProviderUrl>,
    /// Where more claims are.
    pub userinfo_endpoint: Option<ProviderUrl>,
    /// Where the browser logs out.
    pub endsession_endpoint: Option<ProviderUrl>,
    /// Where its keys are.
    pub keys: Option<JwksPath>,
}

/// What the provider answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OidcResponseType {
    /// A code.
    Code,
    /// An ID token.
    IdToken,
    /// An ID token and an access token.
    IdTokenToken,
}

impl OidcResponseType {
    /// The value of `response_type`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::IdToken => "id_token",
            Self::IdTokenToken => "id_token token",
        }
    }
}

/// Ways in which the relying party proves itself at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OidcClientAuthMethod {
    /// The secret in `Authorization: Basic`.
    Basic,
    /// The secret in the body.
    Post,
    /// A JSON Web Token signed with the secret.
    Jwt,
}

/// How the provider is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcHttp {
    /// CA of its certificate; `None`: the system's roots.
    pub ca: Option<PathBuf>,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time for a whole answer.
    pub read_timeout: Duration,
    /// Time between two readings of its keys.
    pub keys_interval: Duration,
}
