//! A SAML realm as written: the identity provider, this service provider, and what a user is made of.
//!
//! The names are those of Elasticsearch's `xpack.security.authc.realms.saml.NAME.*`. Nothing is judged here; see
//! `check/saml.rs`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::default;
use super::grants::RoleName;
use super::realm_values::{CapturePattern, Text};
use super::saml_values::{BrowserUrl, MetadataPath};
use super::values::Written;

/// Users of a SAML 2.0 identity provider, who sign in with their browser. Roles come from role mappings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlRealm {
    /// Place in the chain, lowest first; no two realms share one.
    #[schemars(required, range(min = -1_000_000, max = 1_000_000))]
    pub order: Option<i32>,
    /// Whether it is asked at all.
    #[schemars(extend("default" = default::REALM_ENABLED))]
    pub enabled: Option<bool>,
    /// The identity provider.
    #[schemars(with = "SamlIdp")]
    pub idp: Option<SamlIdp>,
    /// This side: the service provider that the identity provider knows.
    #[schemars(with = "SamlSp")]
    pub sp: Option<SamlSp>,
    /// The attributes that a user is made of.
    #[schemars(with = "SamlAttributes")]
    pub attributes: Option<SamlAttributes>,
    /// What to take of an attribute's text.
    pub attribute_patterns: Option<SamlAttributePatterns>,
    /// Where an attribute with one value is cut into several.
    pub attribute_delimiters: Option<SamlAttributeDelimiters>,
    /// The format of the name that the identity provider is asked for. Without it, the provider chooses.
    pub nameid_format: Option<Written<Text>>,
    /// More about the name that is asked for.
    pub nameid: Option<SamlNameId>,
    /// Whether people must prove themselves again although the identity provider knows them.
    #[schemars(extend("default" = default::SAML_FORCE_AUTHN))]
    pub force_authn: Option<bool>,
    /// Ways of proving oneself of which one is asked for, and needed in the answer.
    pub req_authn_context_class_ref: Option<Vec<Written<Text>>>,
    /// Whether the attributes become the user's metadata, as `saml(NAME)` and `saml_FRIENDLYNAME`.
    #[schemars(extend("default" = default::SAML_POPULATE_USER_METADATA))]
    pub populate_user_metadata: Option<bool>,
    /// The key that this side signs with. Without it, nothing is signed.
    pub signing: Option<SamlSigning>,
    /// The keys that assertions for this side are encrypted with.
    pub encryption: Option<SamlEncryption>,
    /// How far the identity provider's clock may be off.
    #[schemars(extend("default" = default::SAML_CLOCK_SKEW))]
    pub allowed_clock_skew: Option<Written<Duration>>,
    /// Realms that the user is looked up in instead of mapping roles; the first that knows them counts.
    pub authorization_realms: Option<Vec<Written<Text>>>,
    /// Roles that mappings never give to users of this realm.
    pub exclude_roles: Option<Vec<Written<RoleName>>>,
    /// TLS towards the identity provider's metadata.
    pub ssl: Option<SamlTls>,
}

/// The identity provider.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlIdp {
    /// Its entity id, letter for letter: the issuer of everything that is believed.
    #[schemars(with = "Written<Text>")]
    pub entity_id: Option<Written<Text>>,
    /// Its metadata: keys and addresses.
    #[schemars(with = "SamlIdpMetadata")]
    pub metadata: Option<SamlIdpMetadata>,
    /// Whether logging out here logs out there.
    #[schemars(extend("default" = default::SAML_USE_SINGLE_LOGOUT))]
    pub use_single_logout: Option<bool>,
}

/// The metadata of the identity provider.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlIdpMetadata {
    /// A file, read again when it changes, or a URL with `https`.
    #[schemars(with = "Written<MetadataPath>")]
    pub path: Option<Written<MetadataPath>>,
    /// How a URL is read.
    pub http: Option<SamlMetadataHttp>,
}

/// How metadata is read from a URL.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlMetadataHttp {
    /// Time between two readings.
    #[schemars(extend("default" = default::SAML_METADATA_REFRESH))]
    pub refresh: Option<Written<Duration>>,
    /// Time to establish a connection, TLS included.
    #[schemars(extend("default" = default::SAML_METADATA_TIMEOUT))]
    pub connect_timeout: Option<Written<Duration>>,
    /// Time for the whole answer.
    #[schemars(extend("default" = default::SAML_METADATA_TIMEOUT))]
    pub read_timeout: Option<Written<Duration>>,
}

/// This side, as the identity provider knows it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlSp {
    /// Its entity id: the audience that assertions need.
    #[schemars(with = "Written<Text>")]
    pub entity_id: Option<Written<Text>>,
    /// Where browsers bring assertions: Sidegate's `{public_url}/_sidegate/saml/PROVIDER/acs`, or Kibana's.
    #[schemars(with = "Written<BrowserUrl>")]
    pub acs: Option<Written<BrowserUrl>>,
    /// Where browsers bring messages about logging out. Without it, the identity provider can't log anybody out here.
    pub logout: Option<Written<BrowserUrl>>,
}

/// Names of the attributes that a user is made of: their `Name` or `FriendlyName`, or `nameid` for the subject's own name,
/// or `nameid:persistent` for that only when it is a persistent one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlAttributes {
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

/// Regular expressions for attributes; the first group is taken, and a value that doesn't match counts as absent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlAttributePatterns {
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

/// Where an attribute with one value is cut into several.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlAttributeDelimiters {
    /// Between two groups.
    pub groups: Option<Written<Text>>,
}

/// More about the name that the identity provider is asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlNameId {
    /// Whether the identity provider may make a new one.
    #[schemars(extend("default" = default::SAML_NAMEID_ALLOW_CREATE))]
    pub allow_create: Option<bool>,
    /// In whose name space it is asked for.
    pub sp_qualifier: Option<Written<Text>>,
}

/// The key that this side signs with: RSA of 2048 bits and more, or an elliptic curve (P-256, P-384).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlSigning {
    /// PEM file of the private key.
    #[schemars(with = "Written<PathBuf>")]
    pub key: Option<Written<PathBuf>>,
    /// PEM file of its certificate, for this side's metadata.
    #[schemars(with = "Written<PathBuf>")]
    pub certificate: Option<Written<PathBuf>>,
    /// Messages that are signed. Without it, all.
    pub saml_messages: Option<Vec<SamlMessage>>,
}

/// Messages that this side sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SamlMessage {
    /// Every one.
    #[serde(rename = "*")]
    All,
    /// The request to sign somebody in.
    AuthnRequest,
    /// The request to log somebody out.
    LogoutRequest,
    /// The answer to such a request.
    LogoutResponse,
}

/// The keys that assertions for this side are encrypted with.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlEncryption {
    /// PEM file of the private RSA key.
    #[schemars(with = "Written<PathBuf>")]
    pub key: Option<Written<PathBuf>>,
    /// PEM file of its certificate, for this side's metadata.
    #[schemars(with = "Written<PathBuf>")]
    pub certificate: Option<Written<PathBuf>>,
    /// PEM files of private keys that decrypt as well and are not in the metadata: former ones, while the identity provider changes.
    #[schemars(length(max = 4))]
    pub former_keys: Option<Vec<Written<PathBuf>>>,
    /// Whether AES in CBC mode, which proves nothing about its content, is also taken where the response around it has no signature.
    #[schemars(extend("default" = default::SAML_ALLOW_UNSIGNED_CBC))]
    pub allow_unsigned_cbc: Option<bool>,
}

/// TLS towards the identity provider's metadata.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlTls {
    /// PEM file of the CA that signed the server's certificate. Without it, the system's roots.
    pub certificate_authority: Option<Written<PathBuf>>,
}
