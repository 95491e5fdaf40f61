//! The ways in of the config file as written; the same rules hold as in `file`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::default;
use super::file::BasicCredential;
use super::headers::IdentityHeader;
use super::listening::PeerMatch;
use super::references::SecretRef;
use super::settings::NodeUrl;
use super::tokens::{ClaimText, QueryParameter};
use super::values::Written;

/// Client certificates on a listener. A certificate that is sent must be good, whatever the mode.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// Whether a client may do without one.
    #[schemars(with = "ClientCertificateMode")]
    pub mode: Option<ClientCertificateMode>,
    /// PEM file of the CAs that sign the clients' certificates. It is read again when it changes.
    #[schemars(with = "Written<PathBuf>")]
    pub ca: Option<Written<PathBuf>>,
    /// PEM file of revocation lists: one for every CA of a chain, none of them expired. It is read again when it changes. Without it, revocation is not looked at.
    pub crl: Option<Written<PathBuf>>,
}

/// Whether a client may do without a certificate.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificateMode {
    /// It may.
    Optional,
    /// It may not; the TLS handshake fails.
    Required,
}

/// Headers in which a TLS terminator tells the certificate of its client.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateHeader {
    /// `Client-Cert` and `Client-Cert-Chain` of RFC 9440.
    ClientCert,
    /// `Client-Cert` with percent-encoded PEM in place of RFC 9440's form: nginx's `$ssl_client_escaped_cert`, which is the leaf alone.
    ClientCertPem,
    /// Envoy's `X-Forwarded-Client-Cert` with its fields `Cert` or `Chain`.
    XForwardedClientCert,
}

/// Ways in that need settings of their own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Kerberos tickets (`Negotiate`), exchanged for tokens of the authority, whose Kerberos realm judges them. Without it, `Negotiate` is neither offered nor understood.
    pub kerberos: Option<Kerberos>,
    /// JSON Web Tokens for the authority's JWT realm. Without it, they are passed to the authority like any other bearer token.
    pub jwt: Option<Jwt>,
}

/// Kerberos tickets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kerberos {
    /// How long after a ticket a browser is known by a cookie and needs no other ticket; never longer than the token lives. `0s`: a ticket with every request.
    #[schemars(extend("default" = default::KERBEROS_COOKIE_LIFETIME))]
    pub cookie_lifetime: Option<Written<Duration>>,
}

/// JSON Web Tokens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The shared secret of the authority's JWT realm (`client_authentication.shared_secret`), sent along with every JWT.
    pub client_authentication: Option<Written<SecretRef>>,
    /// Issuers whose tokens Sidegate verifies itself before the authority is asked; tokens of others are refused then. Without it, the authority alone judges.
    #[schemars(length(min = 1))]
    pub issuers: Option<Vec<JwtIssuer>>,
    /// How far the clocks of issuer and Sidegate may be apart.
    #[schemars(extend("default" = default::ISSUER_CLOCK_SKEW))]
    pub clock_skew: Option<Written<Duration>>,
}

/// An issuer whose tokens Sidegate verifies itself. It has either `jwks_file` or `jwks_url`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtIssuer {
    /// The exact `iss` of its tokens.
    #[schemars(with = "Written<ClaimText>")]
    pub issuer: Option<Written<ClaimText>>,
    /// Audiences, of which a token must name one in `aud`.
    #[schemars(required, length(min = 1))]
    pub audiences: Option<Vec<Written<ClaimText>>>,
    /// Signature algorithms accepted.
    #[schemars(extend("default" = default::ISSUER_ALGORITHMS), length(min = 1))]
    pub algorithms: Option<Vec<IssuerAlgorithm>>,
    /// File with its keys (a JWKS), read again every `refresh`.
    pub jwks_file: Option<Written<PathBuf>>,
    /// URL of its keys (a JWKS), read again every `refresh` and, seldom, when a token names a key that is not known.
    pub jwks_url: Option<Written<NodeUrl>>,
    /// PEM file of the CA behind `jwks_url`. Without it, the system's roots.
    pub jwks_ca: Option<Written<PathBuf>>,
    /// How often the keys are read again.
    #[schemars(extend("default" = default::ISSUER_REFRESH))]
    pub refresh: Option<Written<Duration>>,
}

/// Signature algorithms; the symmetric ones are never accepted.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum IssuerAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PSS with SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSASSA-PSS with SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// ECDSA on P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384.
    #[serde(rename = "ES384")]
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// Ways in that one route takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteCredentials {
    /// API keys outside `Authorization`, for webhooks and the like. What held the key never reaches the upstream.
    pub api_key: Option<ApiKeyPlaces>,
    /// Whether a client may act as another user (`es-security-runas-user`), as far as the authority allows it.
    #[schemars(extend("default" = default::RUN_AS))]
    pub run_as: Option<bool>,
    /// Whether `es-secondary-authorization` travels to the upstream, which must be Elasticsearch: Sidegate does not judge it.
    #[schemars(extend("default" = default::SECONDARY_AUTHORIZATION))]
    pub secondary_authorization: Option<bool>,
    /// What a request without any credential counts as. Without it, it is refused.
    pub anonymous: Option<RouteAnonymous>,
}

/// Places of an API key; at least one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyPlaces {
    /// A header that holds base64 of `id:secret`.
    pub header: Option<Written<IdentityHeader>>,
    /// A query parameter that holds base64 of `id:secret`. Prefer a header: URLs end up in histories and in the logs of others.
    pub query_parameter: Option<Written<QueryParameter>>,
}

/// Whom a request without a credential stands for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteAnonymous {
    /// The authority's own anonymous user; refused where it has none.
    Authority,
    /// Whoever this API key belongs to: base64 of `id:secret`.
    ApiKey(Written<SecretRef>),
    /// Whoever this user name and password belong to.
    Basic(BasicCredential),
    /// Whoever this bearer token belongs to.
    Bearer(Written<SecretRef>),
}

/// Load balancers that tell the client's address in a PROXY protocol header, version 1 or 2.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Peers whose every connection begins with a header; one that doesn't is closed. A header from anybody else is not believed.
    #[schemars(required, length(min = 1))]
    pub from: Option<Vec<Written<PeerMatch>>>,
}
