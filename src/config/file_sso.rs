//! The section `sso` of the config file as written; the same rules hold as in `file`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::addresses::HostPattern;
use super::default;
use super::file_ways::RouteAnonymous;
use super::realm_values::Text;
use super::settings::NodeUrl;
use super::sso::PublicUrl;
use super::sso_values::{Prefix, Prose, ProviderName};
use super::tokens::ClaimText;
use super::values::Written;

/// Single sign-on: people log in with their browser, and a session keeps them in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sso {
    /// Where browsers find Sidegate. Callback, redirect and metadata URIs are made of it, and `sidegate check` prints them.
    #[schemars(with = "Written<PublicUrl>")]
    pub public_url: Option<Written<PublicUrl>>,
    /// The path below which Sidegate's own pages are. Requests below it never reach an upstream.
    #[schemars(extend("default" = default::SSO_PREFIX))]
    pub prefix: Option<Written<Prefix>>,
    /// Ways to log in, in the order of the login page.
    #[schemars(required, length(min = 1))]
    pub providers: Option<Vec<Provider>>,
    /// What a login leaves behind.
    pub session: Option<super::file_sso_session::Session>,
    /// What the login pages look like and say.
    pub pages: Option<super::file_sso_pages::Pages>,
}

/// One way to log in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its name, which is a part of its callback's path: renaming it means to tell the identity provider.
    #[schemars(with = "Written<ProviderName>")]
    pub name: Option<Written<ProviderName>>,
    /// How people log in.
    #[schemars(with = "Login")]
    pub login: Option<Login>,
    /// Text of its entry on the login page. Without it, one that says what kind it is.
    pub description: Option<Written<Text>>,
    /// A second, smaller line of its entry.
    pub hint: Option<Written<Text>>,
    /// Icon of its entry: `saml`, `oidc`, `password`, `kerberos`, `certificate`, `anonymous`, `building`, `globe` or `key`. Without it, that of its kind.
    pub icon: Option<ProviderIcon>,
    /// Hosts that it is offered on. Without it, all.
    #[schemars(length(min = 1))]
    pub hosts: Option<Vec<Written<HostPattern>>>,
    /// Whether the login page shows it. One that it doesn't show is begun at its own path, `login/NAME` below `prefix`.
    #[schemars(extend("default" = default::SSO_IN_SELECTOR))]
    pub in_selector: Option<bool>,
    /// Longest time without activity of its sessions. Without it, that of all sessions.
    pub idle_timeout: Option<Written<Duration>>,
    /// Longest life of its sessions. Without it, that of all sessions.
    pub lifespan: Option<Written<Duration>>,
    /// What people must agree to after they logged in.
    pub access_agreement: Option<Written<Prose>>,
}

/// Icons that the pages know.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderIcon {
    /// Single sign-on by SAML.
    Saml,
    /// Single sign-on by OpenID Connect.
    Oidc,
    /// A form.
    Password,
    /// A ticket.
    Kerberos,
    /// A client certificate.
    Certificate,
    /// A guest.
    Anonymous,
    /// A company.
    Building,
    /// The world.
    Globe,
    /// A key.
    Key,
}

/// How people log in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// Through a SAML realm of the authority.
    Saml(SamlLogin),
    /// Through an OpenID Connect realm of the authority.
    Oidc(OidcLogin),
    /// With a user name and a password in a form. They are exchanged for tokens and not kept.
    Password,
    /// With a Kerberos ticket, which browsers send by themselves where they are told to.
    Kerberos,
    /// With a client certificate, which a listener must ask for.
    Pki,
    /// As one fixed user.
    Anonymous(RouteAnonymous),
}

/// A login through a SAML realm.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlLogin {
    /// Name of the realm.
    #[schemars(with = "Written<Text>")]
    pub realm: Option<Written<Text>>,
    /// Whether `RelayState` of a login that the identity provider began is a path to go to.
    #[schemars(extend("default" = default::SSO_RELAY_STATE_DEEP_LINKS))]
    pub relay_state_deep_links: Option<bool>,
}

/// A login through an OpenID Connect realm.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcLogin {
    /// Name of the realm.
    #[schemars(with = "Written<Text>")]
    pub realm: Option<Written<Text>>,
    /// Whose logout tokens end sessions (OpenID Connect Back-Channel Logout). Without it, nobody's.
    pub back_channel_logout: Option<BackChannelLogout>,
}

/// Whose logout tokens are believed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackChannelLogout {
    /// The exact `iss` of logout tokens, the same as the realm's `op.issuer`.
    #[schemars(with = "Written<ClaimText>")]
    pub issuer: Option<Written<ClaimText>>,
    /// This client's id at the provider, the same as the realm's `rp.client_id`.
    #[schemars(with = "Written<ClaimText>")]
    pub client_id: Option<Written<ClaimText>>,
    /// URL of the provider's keys (a JWKS).
    #[schemars(with = "Written<NodeUrl>")]
    pub jwks_url: Option<Written<NodeUrl>>,
    /// PEM file of the CA behind `jwks_url`. Without it, the system's roots.
    pub jwks_ca: Option<Written<PathBuf>>,
}
