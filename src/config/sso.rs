//! Single sign-on as meant: providers, sessions and pages, checked and defaulted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::ways::Anonymous;
use crate::model::secret::Secret;

/// Single sign-on.
#[derive(Clone, Debug)]
pub struct Sso {
    /// Where browsers find Sidegate; every callback is derived from it.
    pub public_url: PublicUrl,
    /// The path below which Sidegate's own pages are; begins and ends with `/`.
    pub prefix: String,
    /// Ways to log in, in the order of the login page.
    pub providers: Vec<Provider>,
    /// What a login leaves behind.
    pub session: SessionSettings,
    /// What the pages look like.
    pub pages: Pages,
    /// Every file and folder that was read for it, so that a change of one is noticed.
    pub files: BTreeSet<PathBuf>,
}

/// The origin at which browsers find Sidegate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Whether it is `https`.
    pub secure: bool,
    /// Host, in lower case, with its port where that is not the scheme's own.
    pub authority: String,
}

impl PublicUrl {
    /// `https://app.example.com`, as the header `Origin` has it (RFC 6454 §6.2).
    pub fn origin(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    /// The host without its port, and without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        match self.authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or(rest, |(host, _)| host),
            None => self
                .authority
                .split_once(':')
                .map_or(&self.authority, |(host, _)| host),
        }
    }
}

/// One way to log in.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name, which is part of its callback's path.
    pub name: String,
    /// How.
    pub kind: ProviderKind,
    /// Text of its entry on the login page.
    pub description: Option<String>,
    /// A second, smaller line.
    pub hint: Option<String>,
    /// Name of an icon the pages know.
    pub icon: Option<String>,
    /// Hosts (lower case, without port) it is offered on; empty: on all.
    pub hosts: Vec<String>,
    /// Whether the login page shows it.
    pub in_selector: bool,
    /// Longest time without activity; `None`: the sessions' own.
    pub idle_timeout: Option<Duration>,
    /// Longest life of its sessions; `None`: the sessions' own.
    pub lifespan: Option<Duration>,
    /// What people must agree to before they go on.
    pub access_agreement: Option<String>,
}

/// The kinds of login.
#[derive(Clone, Debug)]
pub enum ProviderKind {
    /// A SAML realm of the authority.
    Saml {
        /// Its name.
        realm: String,
        /// Whether `RelayState` of a login that the identity provider began is a place to go to.
        relay_state_deep_links: bool,
    },
    /// An OpenID Connect realm of the authority.
    Oidc {
        /// Its name.
        realm: String,
        /// Who may end sessions behind the browser's back; `None`: nobody.
        back_channel_logout: Option<BackChannel>,
    },
    /// User name and password in a form.
    Password,
    /// A Kerberos ticket.
    Kerberos,
    /// A client certificate.
    Pki,
    /// Everybody, as one user.
    Anonymous(Anonymous),
}

impl ProviderKind {
    /// Every label of [`ProviderKind::label`].
    pub const LABELS: [&'static str; 6] =
        ["saml", "oidc", "password", "kerberos", "pki", "anonymous"];

    /// The label in logs, metrics and sessions; a closed set.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Saml { .. } => "saml",
            Self::Oidc { .. } => "oidc",
            Self::Password => "password",
            Self::Kerberos => "kerberos",
            Self::Pki => "pki",
            Self::Anonymous(_) => "anonymous",
        }
    }
}

/// Whose logout tokens are believed (OpenID Connect Back-Channel Logout 1.0 §2.4).
#[derive(Clone, Debug)]
pub struct BackChannel {
    /// The exact `iss`.
    pub issuer: String,
    /// This client's id, which must be in `aud`.
    pub client_id: String,
    /// URL of the issuer's keys.
    pub jwks_url: super::settings::NodeUrl,
    /// PEM file of the CA behind it; `None`: the system's roots.
    pub jwks_ca: Option<PathBuf>,
}

/// Browser sessions.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// Where they are kept.
    pub store: SessionStore,
    /// What seals them: the first seals, all open. Empty: a random one per process.
    pub keys: Vec<Secret>,
    /// Name of the cookie, before any prefix; `None`: derived from the public URL and the prefix.
    pub cookie_name: Option<String>,
    /// Whether the cookie outlives the browser.
    pub persistent: bool,
    /// Whether the cookie is for frames of other sites (`SameSite=None; Partitioned`).
    pub partitioned: bool,
    /// Longest time without activity.
    pub idle_timeout: Duration,
    /// Longest life.
    pub lifespan: Duration,
    /// Sessions that one user may have at one provider; `None`: any number.
    pub max_sessions: Option<u32>,
    /// Requests that are no activity.
    pub background: Background,
    /// Whether tokens are given back when the program drains.
    pub end_on_drain: bool,
}

/// Requests that don't keep a session alive.
#[derive(Clone, Debug, Default)]
pub struct Background {
    /// Their paths, as patterns of routes.
    pub paths: Vec<String>,
    /// A header (lower case) that marks them.
    pub header: Option<String>,
}

/// Where sessions are kept.
#[derive(Clone, Debug)]
pub enum SessionStore {
    /// In the browser, sealed.
    Cookie,
    /// In Redis, shared by replicas.
    Redis(Redis),
}

/// A Redis server.
#[derive(Clone, Debug)]
pub struct Redis {
    /// `host:port`.
    pub address: String,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// PEM file of its CA; `None`: the system's roots.
    pub ca: Option<PathBuf>,
    /// ACL user; `None`: the default one.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Number of the database.
    pub database: u8,
    /// What its keys begin with.
    pub key_prefix: String,
    /// Time for one command.
    pub timeout: Duration,
}

/// What the pages look like.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Title; `None`: the host.
    pub title: Option<String>,
    /// File of a logo (SVG or PNG).
    pub logo: Option<PathBuf>,
    /// A text above the form.
    pub message: Option<String>,
    /// A text behind "need help?".
    pub help: Option<String>,
    /// Folder of templates and styles that replace the built-in ones.
    pub templates: Option<PathBuf>,
    /// Folder of translations, one JSON file per language.
    pub translations: Option<PathBuf>,
    /// Language where the browser's are not known.
    pub language: String,
    /// Texts that replace single ones, by key.
    pub texts: BTreeMap<String, String>,
    /// What was read from the files and folders above.
    pub theme: super::theme::Theme,
}
