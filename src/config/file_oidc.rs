//! OpenID Connect realms of the embedded authority as written.
//!
//! The layout and the names are those of Elasticsearch's `xpack.security.authc.realms.oidc.NAME.*`. What Elasticsearch doesn't
//! have: discovery of the endpoints that are left out, and PKCE. Nothing is judged here; see `check/oidc.rs`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::default;
use super::file_realms::{JwtAlgorithm, JwtClaimPatterns, JwtClaims};
use super::realm_values::{JwksPath, ProviderUrl, RedirectUri, Text};
use super::references::SecretRef;
use super::values::Written;

/// People who log in at an OpenID Connect provider, through `_security/oidc/prepare` and `_security/oidc/authenticate`. Roles come from role mappings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcRealm {
    /// Place in the chain, lowest first; no two realms share one.
    #[schemars(required, range(min = -1_000_000, max = 1_000_000))]
    pub order: Option<i32>,
    /// Whether it is asked at all.
    #[schemars(extend("default" = default::REALM_ENABLED))]
    pub enabled: Option<bool>,
    /// This side: the relying party, as the provider knows it.
    #[schemars(with = "OidcParty")]
    pub rp: Option<OidcParty>,
    /// The other side: the provider.
    #[schemars(with = "OidcProvider")]
    pub op: Option<OidcProvider>,
    /// The claims that a user is made of, from the ID token and the userinfo endpoint.
    #[schemars(with = "JwtClaims")]
    pub claims: Option<JwtClaims>,
    /// What to take of a claim's text.
    pub claim_patterns: Option<JwtClaimPatterns>,
    /// Whether the claims become the user's metadata, as `oidc(NAME)`.
    #[schemars(extend("default" = default::OIDC_POPULATE_USER_METADATA))]
    pub populate_user_metadata: Option<bool>,
    /// How far the provider's clock may be off.
    #[schemars(extend("default" = default::OIDC_CLOCK_SKEW))]
    pub allowed_clock_skew: Option<Written<Duration>>,
    /// Realms that the user is looked up in instead of mapping roles; the first that knows them counts.
    pub authorization_realms: Option<Vec<Written<Text>>>,
    /// TLS towards the provider.
    pub ssl: Option<OidcTls>,
    /// HTTP towards the provider.
    pub http: Option<OidcHttp>,
}

/// The relying party, as the provider knows it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcParty {
    /// Its client id.
    #[schemars(with = "Written<Text>")]
    pub client_id: Option<Written<Text>>,
    /// Its client secret. Needed for the code flow and for signatures by HS256, HS384 and HS512.
    pub client_secret: Option<Written<SecretRef>>,
    /// Where the provider sends the browser back to: the callback of whoever calls this API, letter for letter as registered there.
    #[schemars(with = "Written<RedirectUri>")]
    pub redirect_uri: Option<Written<RedirectUri>>,
    /// `code` is the code flow; the others are the implicit flow, which only providers without the code flow need.
    #[schemars(required)]
    pub response_type: Option<OidcResponseType>,
    /// Scopes that are asked for. `openid` is always among them.
    #[schemars(length(min = 1))]
    pub requested_scopes: Option<Vec<Written<Text>>>,
    /// How it proves itself at the token endpoint.
    #[schemars(extend("default" = default::OIDC_CLIENT_AUTH_METHOD))]
    pub client_auth_method: Option<OidcClientAuthMethod>,
    /// Signature of the assertion of `client_secret_jwt`: HS256, HS384 or HS512.
    #[schemars(extend("default" = default::OIDC_CLIENT_AUTH_JWT_SIGNATURE_ALGORITHM))]
    pub client_auth_jwt_signature_algorithm: Option<JwtAlgorithm>,
    /// Where the provider sends the browser after a logout there.
    pub post_logout_redirect_uri: Option<Written<RedirectUri>>,
    /// The one signature algorithm that ID tokens may have.
    #[schemars(extend("default" = default::OIDC_SIGNATURE_ALGORITHM))]
    pub signature_algorithm: Option<JwtAlgorithm>,
    /// Whether the code flow is bound to whoever began it by PKCE (RFC 7636, S256). Only providers that refuse unknown parameters need it off.
    #[schemars(extend("default" = default::OIDC_PKCE))]
    pub pkce: Option<bool>,
}

/// The provider. Endpoints that are left out are read from its discovery document, `ISSUER/.well-known/openid-configuration`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcProvider {
    /// Its issuer identifier, letter for letter the `iss` of its tokens.
    #[schemars(with = "Written<Text>")]
    pub issuer: Option<Written<Text>>,
    /// Where the browser is sent to log in.
    pub authorization_endpoint: Option<Written<ProviderUrl>>,
    /// Where a code is exchanged for tokens.
    pub token_endpoint: Option<Written<ProviderUrl>>,
    /// Where more claims are asked for. Without it, and with all other endpoints written, the ID token's claims are all.
    pub userinfo_endpoint: Option<Written<ProviderUrl>>,
    /// Where the browser is sent to log out.
    pub endsession_endpoint: Option<Written<ProviderUrl>>,
    /// Where its public keys are (a JWK set): a file, or a URL.
    pub jwkset_path: Option<Written<JwksPath>>,
}

/// What the provider answers with.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum OidcResponseType {
    /// A code, exchanged at the token endpoint.
    #[serde(rename = "code")]
    Code,
    /// An ID token, in the browser's address.
    #[serde(rename = "id_token")]
    IdToken,
    /// An ID token and an access token, in the browser's address.
    #[serde(rename = "id_token token")]
    IdTokenToken,
}

/// Ways in which the relying party proves itself at the token endpoint (OpenID Connect Core §9).
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OidcClientAuthMethod {
    /// The secret in `Authorization: Basic`.
    ClientSecretBasic,
    /// The secret in the body.
    ClientSecretPost,
    /// A JSON Web Token signed with the secret.
    ClientSecretJwt,
}

/// TLS towards the provider.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcTls {
    /// PEM file of the CA that signed the server's certificate. Without it, the system's roots.
    pub certificate_authority: Option<Written<PathBuf>>,
}

/// HTTP towards the provider.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcHttp {
    /// Time to establish a connection, TLS included.
    #[schemars(extend("default" = default::OIDC_TIMEOUT))]
    pub connect_timeout: Option<Written<Duration>>,
    /// Time for the whole answer.
    #[schemars(extend("default" = default::OIDC_TIMEOUT))]
    pub connection_read_timeout: Option<Written<Duration>>,
    /// Time between two readings of the provider's keys. A token signed by an unknown key has them read again at once, though not more often than every ten seconds.
    #[schemars(extend("default" = default::JWKS_INTERVAL))]
    pub jwkset_reload: Option<Written<Duration>>,
}
