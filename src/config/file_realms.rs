//! The realms of the embedded authority as written: who may log in, and how it is checked.
//!
//! The layout and the names are those of Elasticsearch's `xpack.security.authc.realms.TYPE.NAME.*`, so that a realm can be
//! carried over from `elasticsearch.yml`. Nothing is judged here; see `check/realms.rs`. To add a type of realm: a struct here
//! and a line in [`Realms`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::default;
use super::file_oidc::OidcRealm;
use super::file_realm_saml::SamlRealm;
use super::grants::RoleName;
use super::realm_values::{CapturePattern, JwksPath, SubjectPattern, Text};
use super::references::SecretRef;
use super::values::Written;

/// Realms by type and name. Asked by `order`, lowest first; the reserved users (`elastic`, ...) always come before.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-reserved" = ["ldap", "active_directory"]))]
pub struct Realms {
    /// Users from files. One at most; without it, `default_file` reads `users` and `users_roles` in the directory `data`.
    pub file: Option<BTreeMap<String, FileRealm>>,
    /// Users that the API makes. One at most; without it, `default_native`.
    pub native: Option<BTreeMap<String, NativeRealm>>,
    /// JSON Web Tokens of an issuer.
    pub jwt: Option<BTreeMap<String, JwtRealm>>,
    /// Client certificates.
    pub pki: Option<BTreeMap<String, PkiRealm>>,
    /// Kerberos tickets. Needs MIT's GSSAPI library on the machine.
    pub kerberos: Option<BTreeMap<String, KerberosRealm>>,
    /// People who log in at an OpenID Connect provider, with a browser.
    pub oidc: Option<BTreeMap<String, OidcRealm>>,
    /// Users of a SAML 2.0 identity provider, who log in with a browser.
    pub saml: Option<BTreeMap<String, SamlRealm>>,
}

/// Kerberos tickets for the services whose keys are in a keytab. Roles come from role mappings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KerberosRealm {
    /// Place in the chain, lowest first; no two realms share one.
    #[schemars(required, range(min = -1_000_000, max = 1_000_000))]
    pub order: Option<i32>,
    /// Whether it is asked at all.
    #[schemars(extend("default" = default::REALM_ENABLED))]
    pub enabled: Option<bool>,
    /// Where the keys are.
    #[schemars(with = "Keytab")]
    pub keytab: Option<Keytab>,
    /// Whether the user is called `alice` instead of `alice@EXAMPLE.ORG`. Only where one Kerberos realm is trusted: two of them may each have an `alice`.
    #[schemars(extend("default" = default::REMOVE_REALM_NAME))]
    pub remove_realm_name: Option<bool>,
    /// Realms that the user is looked up in instead of mapping roles; the first that knows them counts.
    pub authorization_realms: Option<Vec<Written<Text>>>,
}

/// The keys of a service.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keytab {
    /// The keytab file, with the keys of `HTTP/host@REALM`.
    #[schemars(with = "Written<PathBuf>")]
    pub path: Option<Written<PathBuf>>,
}

/// The users that the API makes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NativeRealm {
    /// Place in the chain, lowest first; no two realms share one.
    #[schemars(required, range(min = -1_000_000, max = 1_000_000))]
    pub order: Option<i32>,
    /// Whether it is asked at all.
    #[schemars(extend("default" = default::REALM_ENABLED))]
    pub enabled: Option<bool>,
    /// How long a proven password is remembered.
    pub cache: Option<RealmCache>,
}

/// How long a realm remembers what it proved.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RealmCache {
    /// How long a proof counts; `0s` turns the memory off.
    #[schemars(extend("default" = default::REALM_CACHE_TTL))]
    pub ttl: Option<Written<Duration>>,
    /// Proofs at most.
    #[schemars(extend("default" = default::REALM_CACHE_MAX_USERS), range(min = 1, max = 100_000_000))]
    pub max_users: Option<u64>,
}

/// Users from files in Elasticsearch's format, read again when they change.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRealm {
    /// Place in the chain, lowest first; no two realms share one.
    #[schemars(required, range(min = -1_000_000, max = 1_000_000))]
    pub order: Option<i32>,
    /// Whether it is asked at all.
    #[schemars(extend("default" = default::REALM_ENABLED))]
    pub enabled: Option<bool>,
    /// Where the files are. Without it, `users` and `users_roles` in the directory `data`.
    pub files: Option<RealmFiles>,
    /// How long a proven password is remembered.
    pub cache: Option<RealmCache>,
}

/// The two files of a file realm.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RealmFiles {
    /// Lines `name:hash`, as `elasticsearch-users` writes them.
    #[schemars(with = "Written<PathBuf>")]
    pub users: Option<Written<PathBuf>>,
    /// Lines `role:name,name`.
    #[schemars(with = "Written<PathBuf>")]
    pub users_roles: Option<Written<PathBuf>>,
}

/// JSON Web Tokens of one issuer, sent as `Authorization: Bearer`. Roles come from role mappings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtRealm {
    /// Place in the chain, lowest first; no two realms share one.
    #[schemars(required, range(min = -1_000_000, max = 1_000_000))]
    pub order: Option<i32>,
    /// Whether it is asked at all.
    #[schemars(extend("default" = default::REALM_ENABLED))]
    pub enabled: Option<bool>,
    /// The kind of token.
    #[schemars(extend("default" = default::JWT_TOKEN_TYPE))]
    pub token_type: Option<JwtTokenType>,
    /// The `iss` that is accepted, letter for letter.
    #[schemars(with = "Written<Text>")]
    pub allowed_issuer: Option<Written<Text>>,
    /// Values of `aud`; a token needs one of them.
    #[schemars(required, length(min = 1))]
    pub allowed_audiences: Option<Vec<Written<Text>>>,
    /// Values of `sub` that are accepted. An access token needs these or `allowed_subject_patterns`.
    pub allowed_subjects: Option<Vec<Written<Text>>>,
    /// Patterns of `sub` that are accepted.
    pub allowed_subject_patterns: Option<Vec<Written<SubjectPattern>>>,
    /// Signature algorithms that are accepted. Without it, RS256 alone.
    #[schemars(length(min = 1))]
    pub allowed_signature_algorithms: Option<Vec<JwtAlgorithm>>,
    /// How far the issuer's clock may be off.
    #[schemars(extend("default" = default::JWT_CLOCK_SKEW))]
    pub allowed_clock_skew: Option<Written<Duration>>,
    /// Where the issuer's public keys are (a JWK set): a file, or a URL with `https`.
    pub pkc_jwkset_path: Option<Written<JwksPath>>,
    /// When the public keys are read again. A token signed by an unknown key has them read again at once, though not more often than every ten seconds.
    pub pkc_jwkset_reload: Option<JwksReload>,
    /// Secret keys for HS256, HS384 and HS512: a JWK set.
    pub hmac_jwkset: Option<Written<SecretRef>>,
    /// One secret key for HS256, HS384 and HS512, as text.
    pub hmac_key: Option<Written<SecretRef>>,
    /// The claims that a user is made of.
    #[schemars(with = "JwtClaims")]
    pub claims: Option<JwtClaims>,
    /// What to take of a claim's text.
    pub claim_patterns: Option<JwtClaimPatterns>,
    /// Claims looked at where an access token lacks the registered one.
    pub fallback_claims: Option<JwtFallbackClaims>,
    /// Further claims that a token needs, each with the values of which one is enough.
    pub required_claims: Option<BTreeMap<String, Vec<Written<Text>>>>,
    /// How the client that brings a token proves itself.
    pub client_authentication: Option<JwtClientAuthentication>,
    /// Whether the claims become the user's metadata, as `jwt_claim_NAME`.
    #[schemars(extend("default" = default::JWT_POPULATE_USER_METADATA))]
    pub populate_user_metadata: Option<bool>,
    /// Realms that the user is looked up in instead of mapping roles; the first that knows them counts.
    pub authorization_realms: Option<Vec<Written<Text>>>,
    /// What is remembered of tokens.
    pub jwt: Option<JwtMemory>,
    /// TLS towards `pkc_jwkset_path`.
    pub ssl: Option<JwtTls>,
    /// HTTP towards `pkc_jwkset_path`.
    pub http: Option<JwtHttp>,
}

/// Kinds of JSON Web Token.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JwtTokenType {
    /// An ID token of OpenID Connect.
    IdToken,
    /// An access token of OAuth 2.0 that is a JWT.
    AccessToken,
}

/// Signature algorithms of RFC 7518 §3.1.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names of the standard say it")]
pub enum JwtAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
}

/// When public keys are read again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwksReload {
    /// Time between two readings. A file is read again when it changes, too.
    #[schemars(extend("default" = default::JWKS_INTERVAL))]
    pub interval: Option<Written<Duration>>,
}

/// Names of the claims that a user is made of.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtClaims {
    /// The user name.
    #[schemars(with = "Written<Text>")]
    pub principal: Option<Written<Text>>,
    /// Groups, for role mappings.
    pub groups: Option<Written<Text>>,
    /// Full name.
    pub name: Option<Written<Text>>,
    /// E-mail address.
    pub mail: Option<Written<Text>>,
    /// Distinguished name, for role mappings.
    pub dn: Option<Written<Text>>,
}

/// Regular expressions for claims; the first group is taken, and a value that doesn't match counts as absent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtClaimPatterns {
    /// For the user name.
    pub principal: Option<Written<CapturePattern>>,
    /// For each group.
    pub groups: Option<Written<CapturePattern>>,
    /// For the full name.
    pub name: Option<Written<CapturePattern>>,
    /// For the e-mail address.
    pub mail: Option<Written<CapturePattern>>,
    /// For the distinguished name.
    pub dn: Option<Written<CapturePattern>>,
}

/// Claims looked at where an access token lacks the registered one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtFallbackClaims {
    /// Instead of `sub`.
    pub sub: Option<Written<Text>>,
    /// Instead of `aud`.
    pub aud: Option<Written<Text>>,
}

/// How the client that brings a token proves itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtClientAuthentication {
    /// By a secret that it shares with this realm, or not at all.
    #[serde(rename = "type")]
    #[schemars(extend("default" = default::JWT_CLIENT_AUTHENTICATION))]
    pub kind: Option<JwtClientAuthenticationType>,
    /// The secret, sent as `ES-Client-Authentication: SharedSecret ...`.
    pub shared_secret: Option<Written<SecretRef>>,
}

/// Ways in which the client that brings a token proves itself.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JwtClientAuthenticationType {
    /// It sends the shared secret.
    SharedSecret,
    /// Whoever has the token gets in.
    None,
}

/// What is remembered of tokens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtMemory {
    /// Verified tokens.
    pub cache: Option<JwtCache>,
}

/// The memory of verified tokens. None outlives its token.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtCache {
    /// How long a verified token is not verified again at most; `0s` turns the memory off.
    #[schemars(extend("default" = default::REALM_CACHE_TTL))]
    pub ttl: Option<Written<Duration>>,
    /// Tokens at most.
    #[schemars(extend("default" = default::REALM_CACHE_MAX_USERS), range(min = 1, max = 100_000_000))]
    pub size: Option<u64>,
}

/// TLS towards the issuer's keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtTls {
    /// PEM file of the CA that signed the server's certificate. Without it, the system's roots.
    pub certificate_authority: Option<Written<PathBuf>>,
}

/// HTTP towards the issuer's keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtHttp {
    /// Time to establish a connection, TLS included.
    #[schemars(extend("default" = default::JWKS_TIMEOUT))]
    pub connect_timeout: Option<Written<Duration>>,
    /// Time for the whole answer.
    #[schemars(extend("default" = default::JWKS_TIMEOUT))]
    pub connection_read_timeout: Option<Written<Duration>>,
}

/// Client certificates: of the connection, or handed in through `_security/delegate_pki`. Roles come from role mappings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PkiRealm {
    /// Place in the chain, lowest first; no two realms share one.
    #[schemars(required, range(min = -1_000_000, max = 1_000_000))]
    pub order: Option<i32>,
    /// Whether it is asked at all.
    #[schemars(extend("default" = default::REALM_ENABLED))]
    pub enabled: Option<bool>,
    /// Regular expression whose first group, found in the subject (`CN=joe, OU=x, O=y`), is the user name.
    #[schemars(extend("default" = default::PKI_USERNAME_PATTERN))]
    pub username_pattern: Option<Written<CapturePattern>>,
    /// PEM files of the CAs that are trusted. Without it, a certificate that the TLS listener accepted counts, and delegation is impossible.
    #[schemars(length(min = 1))]
    pub certificate_authorities: Option<Vec<Written<PathBuf>>>,
    /// PEM files of revocation lists. With it, every CA of a chain needs a current one.
    #[schemars(length(min = 1))]
    pub certificate_revocation_lists: Option<Vec<Written<PathBuf>>>,
    /// Chains handed in by somebody else.
    pub delegation: Option<PkiDelegation>,
    /// Realms that the user is looked up in instead of mapping roles; the first that knows them counts.
    pub authorization_realms: Option<Vec<Written<Text>>>,
    /// How long a validated chain is remembered.
    pub cache: Option<RealmCache>,
}

/// Chains handed in by somebody else.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PkiDelegation {
    /// Whether `_security/delegate_pki` may get a token for a chain of this realm.
    #[schemars(extend("default" = default::PKI_DELEGATION))]
    pub enabled: Option<bool>,
}

/// Who a request without a credential is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Anonymous {
    /// Their user name.
    #[schemars(extend("default" = default::ANONYMOUS_USERNAME))]
    pub username: Option<Written<Text>>,
    /// Their roles. Everybody who logs in has these as well.
    #[schemars(required, length(min = 1))]
    pub roles: Option<Vec<Written<RoleName>>>,
    /// Whether they get 403 for what they may not do; otherwise 401, which asks for a credential.
    #[schemars(extend("default" = default::ANONYMOUS_AUTHZ_EXCEPTION))]
    pub authz_exception: Option<bool>,
}

/// Limit on failed logins per user name. A password that was right lately is not counted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailedLogins {
    /// Failures that a user name may have at once.
    #[schemars(extend("default" = default::FAILED_LOGINS_PER_USERNAME), range(min = 1, max = 1_000_000))]
    pub per_username: Option<u32>,
    /// Time in which the whole allowance grows back.
    #[schemars(extend("default" = default::FAILED_LOGINS_WINDOW))]
    pub window: Option<Written<Duration>>,
}
