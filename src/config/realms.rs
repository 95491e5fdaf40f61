//! The realms of the embedded authority as meant: checked, defaulted, in the order they are asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::realm_saml::SamlRealm;
use super::realm_values::JwksPath;
use super::realms_oidc::OidcRealm;
use crate::model::secret::Secret;

/// A realm that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    /// Its name, unique among all.
    pub name: String,
    /// What it is.
    pub kind: RealmKind,
}

/// The types of realm with their settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RealmKind {
    /// Users from files.
    File(FileRealm),
    /// Users the API makes.
    Native(RealmCache),
    /// JSON Web Tokens.
    Jwt(Box<JwtRealm>),
    /// Client certificates.
    Pki(PkiRealm),
    /// Kerberos tickets.
    Kerberos(KerberosRealm),
    /// People from an OpenID Connect provider.
    Oidc(Box<OidcRealm>),
    /// Users of a SAML identity provider.
    Saml(Box<SamlRealm>),
}

/// Kerberos tickets for the services of a keytab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KerberosRealm {
    /// The keytab.
    pub keytab: PathBuf,
    /// Whether `alice@EXAMPLE.ORG` is called `alice`.
    pub remove_realm_name: bool,
    /// Realms that the user is looked up in instead of mapping roles.
    pub authorization_realms: Vec<String>,
}

/// The chain that holds when nothing is configured: an empty `default_file`, and `default_native`.
pub fn default_chain() -> Vec<Realm> {
    let realm = |name: &str, kind| Realm {
        name: name.to_owned(),
        kind,
    };
    let file = FileRealm {
        files: None,
        cache: RealmCache::default(),
    };
    vec![
        realm("default_file", RealmKind::File(file)),
        realm("default_native", RealmKind::Native(RealmCache::default())),
    ]
}

/// How long a realm remembers what it proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealmCache {
    /// How long a proof counts; zero: not at all.
    pub ttl: Duration,
    /// Proofs at most.
    pub entries: u64,
}

impl Default for RealmCache {
    /// Elasticsearch's: twenty minutes, a hundred thousand.
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(20 * 60),
            entries: 100_000,
        }
    }
}

/// Users from files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRealm {
    /// `users` and `users_roles`; `None`: no users.
    pub files: Option<RealmFiles>,
    /// Memory of proven passwords.
    pub cache: RealmCache,
}

/// The two files of a file realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealmFiles {
    /// Lines `name:hash`.
    pub users: PathBuf,
    /// Lines `role:name,name`.
    pub users_roles: PathBuf,
}

/// Kinds of JSON Web Token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtTokenType {
    /// An ID token of OpenID Connect.
    IdToken,
    /// An access token of OAuth 2.0.
    AccessToken,
}

impl JwtTokenType {
    /// The name in metadata.
    pub const fn label(self) -> &'static str {
        match self {
            Self::IdToken => "id_token",
            Self::AccessToken => "access_token",
        }
    }
}

/// Signature algorithms (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl JwtAlgorithm {
    /// Every one with the value of `alg`.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::HS256, "HS256"),
        (Self::HS384, "HS384"),
        (Self::HS512, "HS512"),
        (Self::RS256, "RS256"),
        (Self::RS384, "RS384"),
        (Self::RS512, "RS512"),
        (Self::PS256, "PS256"),
        (Self::PS384, "PS384"),
        (Self::PS512, "PS512"),
        (Self::ES256, "ES256"),
        (Self::ES384, "ES384"),
        (Self::ES512, "ES512"),
    ];

    /// The algorithm of this name; `none` is no algorithm.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, label)| *label == name)
            .map(|(found, _)| found)
    }

    /// Its name.
    pub fn label(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(known, _)| *known == self)
            .map_or("", |(_, label)| label)
    }

    /// Bytes a secret key needs at least (RFC 7518 §3.2); `None` where the key is a public one.
    pub const fn secret_bytes(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 => Some(64),
            Self::RS256
            | Self::RS384
            | Self::RS512
            | Self::PS256
            | Self::PS384
            | Self::PS512
            | Self::ES256
            | Self::ES384
            | Self::ES512 => None,
        }
    }
}

/// JSON Web Tokens of one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRealm {
    /// The kind of token.
    pub token_type: JwtTokenType,
    /// The `iss` that is accepted.
    pub issuer: String,
    /// Values of `aud`, one of which is needed.
    pub audiences: Vec<String>,
    /// Values of `sub`; with `subject_patterns` empty as well, any.
    pub subjects: Vec<String>,
    /// Patterns of `sub`.
    pub subject_patterns: Vec<String>,
    /// Algorithms that are accepted.
    pub algorithms: Vec<JwtAlgorithm>,
    /// How far the issuer's clock may be off.
    pub clock_skew: Duration,
    /// Where public keys are.
    pub public_keys: Option<PublicKeys>,
    /// Secret keys.
    pub secret_keys: Option<SecretKeys>,
    /// Claims by what they become; `principal` is always there.
    pub claims: JwtClaims,
    /// Claim instead of `sub`.
    pub fallback_sub: Option<String>,
    /// Claim instead of `aud`.
    pub fallback_aud: Option<String>,
    /// Further claims with the values of which one is enough.
    pub required_claims: BTreeMap<String, Vec<String>>,
    /// What the client must send; `None`: nothing.
    pub client_secret: Option<Secret>,
    /// Whether claims become metadata.
    pub populate_user_metadata: bool,
    /// Realms the user is looked up in instead of mapping roles.
    pub authorization_realms: Vec<String>,
    /// Memory of verified tokens.
    pub cache: RealmCache,
}

/// Where public keys are, and how they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys {
    /// File or URL.
    pub path: JwksPath,
    /// Time between two readings.
    pub interval: Duration,
    /// CA of the server; `None`: the system's roots.
    pub ca: Option<PathBuf>,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time for the whole answer.
    pub read_timeout: Duration,
}

/// Secret keys for HMAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretKeys {
    /// The bytes of one key.
    Key(Secret),
    /// A JWK set.
    Set(Secret),
}

/// A claim and what to take of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtClaim {
    /// Its name.
    pub name: String,
    /// Regular expression whose first group is taken; `None`: all of it.
    pub pattern: Option<String>,
}

/// The claims that a user is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtClaims {
    /// User name.
    pub principal: JwtClaim,
    /// Groups.
    pub groups: Option<JwtClaim>,
    /// Full name.
    pub name: Option<JwtClaim>,
    /// E-mail address.
    pub mail: Option<JwtClaim>,
    /// Distinguished name.
    pub dn: Option<JwtClaim>,
}

/// Client certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PkiRealm {
    /// Regular expression whose first group is the user name.
    pub username_pattern: String,
    /// Files of the CAs; empty: what the TLS listener accepted counts.
    pub authorities: Vec<PathBuf>,
    /// Files of revocation lists; empty: none is asked.
    pub revocation_lists: Vec<PathBuf>,
    /// Whether chains may be handed in by somebody else.
    pub delegation: bool,
    /// Realms the user is looked up in instead of mapping roles.
    pub authorization_realms: Vec<String>,
    /// Memory of validated chains.
    pub cache: RealmCache,
}

/// Who a request without a credential is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anonymous {
    /// User name.
    pub username: String,
    /// Roles, at least one.
    pub roles: Vec<String>,
    /// Whether they get 403 rather than 401 for what they may not do.
    pub authz_exception: bool,
}

/// Limit on failed logins per user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedLogins {
    /// Failures at once.
    pub per_username: u32,
    /// Time in which the whole allowance grows back.
    pub window: Duration,
}

impl Default for FailedLogins {
    fn default() -> Self {
        Self {
            per_username: 30,
            window: Duration::from_secs(300),
        }
    }
}
