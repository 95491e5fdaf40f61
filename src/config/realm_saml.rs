//! A SAML realm as meant: checked and defaulted.

use std::path::PathBuf;
use std::time::Duration;

use super::realm_values::JwksPath;

/// Users of a SAML 2.0 identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlRealm {
    /// The identity provider.
    pub idp: SamlIdp,
    /// This side.
    pub sp: SamlSp,
    /// What a user is made of.
    pub attributes: SamlAttributes,
    /// `Format` of the name that is asked for; `None`: the provider chooses.
    pub nameid_format: Option<String>,
    /// Whether the identity provider may make a new name.
    pub nameid_allow_create: bool,
    /// `SPNameQualifier` of the name that is asked for.
    pub nameid_sp_qualifier: Option<String>,
    /// Whether people must prove themselves again.
    pub force_authn: bool,
    /// Ways of proving oneself of which one is needed; empty: any.
    pub authn_contexts: Vec<String>,
    /// Whether attributes become metadata.
    pub populate_user_metadata: bool,
    /// What signs; `None`: nothing is signed.
    pub signing: Option<SamlSigning>,
    /// What decrypts; `None`: nothing is decrypted.
    pub encryption: Option<SamlEncryption>,
    /// How far the identity provider's clock may be off.
    pub clock_skew: Duration,
    /// Realms the user is looked up in instead of mapping roles.
    pub authorization_realms: Vec<String>,
    /// Roles that mappings never give.
    pub exclude_roles: Vec<String>,
}

/// The identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlIdp {
    /// Its entity id.
    pub entity_id: String,
    /// Where its metadata is.
    pub metadata: SamlMetadata,
    /// Whether logging out here logs out there.
    pub use_single_logout: bool,
}

/// Where metadata is, and how it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlMetadata {
    /// File or URL.
    pub path: JwksPath,
    /// Time between two readings.
    pub refresh: Duration,
    /// CA of the server; `None`: the system's roots.
    pub ca: Option<PathBuf>,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time for the whole answer.
    pub read_timeout: Duration,
}

/// This side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlSp {
    /// Its entity id.
    pub entity_id: String,
    /// Where assertions are brought.
    pub acs: String,
    /// Where messages about logging out are brought.
    pub logout: Option<String>,
}

/// An attribute and what to take of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlAttribute {
    /// `Name` or `FriendlyName`, `nameid`, or `nameid:persistent`.
    pub name: String,
    /// Regular expression whose first group is taken; `None`: all of it.
    pub pattern: Option<String>,
    /// What stands between the values that one text holds.
    pub delimiter: Option<String>,
}

/// The attributes that a user is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlAttributes {
    /// User name.
    pub principal: SamlAttribute,
    /// Groups.
    pub groups: Option<SamlAttribute>,
    /// Full name.
    pub name: Option<SamlAttribute>,
    /// E-mail address.
    pub mail: Option<SamlAttribute>,
    /// Distinguished name.
    pub dn: Option<SamlAttribute>,
}

/// What signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlSigning {
    /// PEM file of the private key.
    pub key: PathBuf,
    /// PEM file of its certificate.
    pub certificate: PathBuf,
    /// Whether requests to sign somebody in are signed.
    pub authn_requests: bool,
    /// Whether requests to log somebody out are signed.
    pub logout_requests: bool,
    /// Whether the answers to such requests are signed.
    pub logout_responses: bool,
}

/// What decrypts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlEncryption {
    /// PEM file of the private key.
    pub key: PathBuf,
    /// PEM file of its certificate.
    pub certificate: PathBuf,
    /// PEM files of further private keys.
    pub former_keys: Vec<PathBuf>,
    /// Whether CBC is taken in responses without a signature.
    pub allow_unsigned_cbc: bool,
}
