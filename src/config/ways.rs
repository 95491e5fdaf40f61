//! Ways in, as meant: what Sidegate takes for a credential beside `Authorization`, for all routes and per route.
//!
//! Part of [`super::settings`], in a file of its own; plain data like the rest of it.

use std::path::PathBuf;
use std::time::Duration;

use super::settings::{NodeUrl, OwnCredential};
use crate::model::secret::Secret;

/// Client certificates on a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether a client may do without.
    pub mode: ClientCertificateMode,
    /// PEM file of the CAs believed.
    pub ca: PathBuf,
    /// PEM file of revocation lists, one for every CA of a chain; `None`: revocation is not looked at.
    pub crl: Option<PathBuf>,
}

/// Whether a client may do without a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificateMode {
    /// Yes; a certificate that is sent must be good all the same.
    Optional,
    /// No; the handshake fails.
    Required,
}

/// How another TLS terminator tells the client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateHeader {
    /// RFC 9440: `Client-Cert` and `Client-Cert-Chain`.
    ClientCert,
    /// `Client-Cert` with percent-encoded PEM, nginx's `$ssl_client_escaped_cert`.
    ClientCertPem,
    /// Envoy's `X-Forwarded-Client-Cert` with `Cert` or `Chain`.
    XForwardedClientCert,
}

/// Ways in that need settings of their own, for all routes.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Kerberos tickets; `None`: `Negotiate` is not understood.
    pub kerberos: Option<Kerberos>,
    /// JSON Web Tokens; `None`: a token that looks like one is passed to the authority like any other.
    pub jwt: Option<Jwt>,
}

/// Kerberos through SPNEGO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kerberos {
    /// How long a browser needs no new ticket after one was exchanged; zero: a ticket with every request.
    pub cookie_lifetime: Duration,
}

/// JSON Web Tokens.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// Sent to the authority as `ES-Client-Authentication: SharedSecret ...` with every JWT.
    pub client_authentication: Option<Secret>,
    /// Who may have signed a token. Empty: Sidegate verifies nothing itself.
    pub issuers: Vec<JwtIssuer>,
    /// How far clocks may be apart.
    pub clock_skew: Duration,
}

/// One issuer whose tokens Sidegate verifies itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtIssuer {
    /// The exact `iss`.
    pub issuer: String,
    /// Of these, one must be in `aud`.
    pub audiences: Vec<String>,
    /// Signature algorithms accepted, at least one.
    pub algorithms: Vec<JwtAlgorithm>,
    /// Where its keys are.
    pub keys: JwtKeys,
    /// How often they are read again.
    pub refresh: Duration,
}

/// Where an issuer's JWKS (RFC 7517 §5) is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// A file.
    File(PathBuf),
    /// A URL.
    Url {
        /// Where; its `prefix` is the whole path.
        url: NodeUrl,
        /// PEM file of the CA; `None`: the system's roots.
        ca: Option<PathBuf>,
    },
}

/// Signature algorithms (RFC 7518 §3.1, RFC 8037). None of them is symmetric: a published key must never verify as a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JwtAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// Ways in that one route takes. The default takes none but `Authorization` and certificates.
#[derive(Clone, Debug, Default)]
pub struct RouteCredentials {
    /// A header that holds an API key, lower case.
    pub api_key_header: Option<String>,
    /// A query parameter that holds an API key.
    pub api_key_query: Option<String>,
    /// Whether `es-security-runas-user` is heeded.
    pub run_as: bool,
    /// Whether `es-secondary-authorization` travels to the upstream.
    pub secondary_authorization: bool,
    /// What a request without a credential counts as; `None`: refused.
    pub anonymous: Option<Anonymous>,
}

/// Whom a request without a credential stands for.
#[derive(Clone, Debug)]
pub enum Anonymous {
    /// The authority's own anonymous user.
    Authority,
    /// Whoever this credential belongs to.
    Credential(OwnCredential),
}

impl RouteCredentials {
    /// True when nothing but `Authorization` and certificates counts here.
    pub fn is_plain(&self) -> bool {
        self.api_key_header.is_none()
            && self.api_key_query.is_none()
            && !self.run_as
            && !self.secondary_authorization
            && self.anonymous.is_none()
    }
}
