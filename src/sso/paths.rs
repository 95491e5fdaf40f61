//! What lies below the prefix, and the URIs that identity providers are told.
//!
//! To add a page: a variant of [`Place`], its arm in [`Place::parse`], and the one in the door.

use crate::config::sso::{Provider, ProviderKind, Sso};

/// A page or an endpoint below the prefix. Names are as written, percent-encoding included, so that an odd spelling is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'p> {
    /// `login`: the selector, the form, or the only way's beginning.
    Login,
    /// `login/<provider>`: begins there.
    Start(&'p str),
    /// `agreement`
    Agreement,
    /// `overwritten`
    Overwritten,
    /// `done`: the end of a login in a window of its own.
    Done,
    /// `logout`
    Logout,
    /// `logged-out`
    LoggedOut,
    /// `session`: what a frontend may know.
    Session,
    /// `saml/<provider>/acs`
    Acs(&'p str),
    /// `saml/<provider>/logout`
    SamlLogout(&'p str),
    /// `saml/<provider>/metadata`
    Metadata(&'p str),
    /// `oidc/<provider>/callback`
    Callback(&'p str),
    /// `oidc/<provider>/initiate`
    Initiate(&'p str),
    /// `oidc/<provider>/backchannel`
    BackChannel(&'p str),
    /// `assets/<name>`
    Asset(&'p str),
    /// Anything else.
    Unknown,
}

impl<'p> Place<'p> {
    /// Every label of [`Place::label`].
    pub const LABELS: [&'static str; 16] = [
        "login",
        "start",
        "agreement",
        "overwritten",
        "done",
        "logout",
        "logged_out",
        "session",
        "saml_acs",
        "saml_logout",
        "saml_metadata",
        "oidc_callback",
        "oidc_initiate",
        "oidc_backchannel",
        "asset",
        "unknown",
    ];

    /// What `rest` is, the path after the prefix.
    pub fn parse(rest: &'p str) -> Self {
        let mut parts = rest.split('/');
        let found = [parts.next(), parts.next(), parts.next()];
        if parts.next().is_some() {
            return Self::Unknown;
        }
        match found {
            [Some("" | "login"), None, None] => Self::Login,
            [Some("login"), Some(provider), None] => Self::Start(provider),
            [Some("agreement"), None, None] => Self::Agreement,
            [Some("overwritten"), None, None] => Self::Overwritten,
            [Some("done"), None, None] => Self::Done,
            [Some("logout"), None, None] => Self::Logout,
            [Some("logged-out"), None, None] => Self::LoggedOut,
            [Some("session"), None, None] => Self::Session,
            [Some("assets"), Some(name), None] => Self::Asset(name),
            [Some("saml"), Some(provider), Some("acs")] => Self::Acs(provider),
            [Some("saml"), Some(provider), Some("logout")] => Self::SamlLogout(provider),
            [Some("saml"), Some(provider), Some("metadata")] => Self::Metadata(provider),
            [Some("oidc"), Some(provider), Some("callback")] => Self::Callback(provider),
            [Some("oidc"), Some(provider), Some("initiate")] => Self::Initiate(provider),
            [Some("oidc"), Some(provider), Some("backchannel")] => Self::BackChannel(provider),
            _ => Self::Unknown,
        }
    }

    /// The label in metrics; a closed set.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Start(_) => "start",
            Self::Agreement => "agreement",
            Self::Overwritten => "overwritten",
            Self::Done => "done",
            Self::Logout => "logout",
            Self::LoggedOut => "logged_out",
            Self::Session => "session",
            Self::Acs(_) => "saml_acs",
            Self::SamlLogout(_) => "saml_logout",
            Self::Metadata(_) => "saml_metadata",
            Self::Callback(_) => "oidc_callback",
            Self::Initiate(_) => "oidc_initiate",
            Self::BackChannel(_) => "oidc_backchannel",
            Self::Asset(_) => "asset",
            Self::Unknown => "unknown",
        }
    }
}

/// The paths of one configuration.
#[derive(Clone, Debug)]
pub struct Paths {
    prefix: String,
}

impl Paths {
    /// Below `prefix`, which begins and ends with `/`.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// What of a path lies below the prefix; the prefix without its last slash is below, too.
    pub fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        match path.strip_prefix(self.prefix.as_str()) {
            Some(rest) => Some(rest),
            None => self
                .prefix
                .strip_suffix('/')
                .filter(|bare| path == *bare)
                .map(|_| ""),
        }
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A path below the prefix.
    pub fn to(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }

    /// A path below the prefix, with a query of these pairs, encoded.
    pub fn with(&self, rest: &str, pairs: &[(&str, &str)]) -> String {
        let mut path = self.to(rest);
        if !pairs.is_empty() {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(pairs);
            path.push('?');
            path.push_str(&query.finish());
        }
        path
    }

    /// `login/<provider>`
    pub fn start(&self, provider: &str, pairs: &[(&str, &str)]) -> String {
        self.with(&format!("login/{provider}"), pairs)
    }
}

/// The URIs that have to be entered elsewhere for a provider to work: what each is for, and the URI.
pub fn uris(sso: &Sso, provider: &Provider) -> Vec<(&'static str, String)> {
    let name = &provider.name;
    let uri = |rest: String| format!("{}{}{rest}", sso.public_url.origin(), sso.prefix);
    match &provider.kind {
        ProviderKind::Saml { .. } => vec![
            (
                "assertion consumer service (sp.acs)",
                uri(format!("saml/{name}/acs")),
            ),
            (
                "single logout service (sp.logout)",
                uri(format!("saml/{name}/logout")),
            ),
            ("metadata", uri(format!("saml/{name}/metadata"))),
        ],
        ProviderKind::Oidc {
            back_channel_logout,
            ..
        } => {
            let mut uris = vec![
                (
                    "redirect URI (rp.redirect_uri)",
                    uri(format!("oidc/{name}/callback")),
                ),
                (
                    "after logout (rp.post_logout_redirect_uri)",
                    uri("logged-out".to_owned()),
                ),
                ("initiate login URI", uri(format!("oidc/{name}/initiate"))),
            ];
            if back_channel_logout.is_some() {
                uris.push((
                    "back-channel logout URI",
                    uri(format!("oidc/{name}/backchannel")),
                ));
            }
            uris
        }
        ProviderKind::Password
        | ProviderKind::Kerberos
        | ProviderKind::Pki
        | ProviderKind::Anonymous(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_one_spelling() {
        assert_eq!(Place::parse("saml/a/acs"), Place::Acs("a"));
        assert_eq!(Place::parse("oidc/a/callback"), Place::Callback("a"));
        assert_eq!(Place::parse("login/a"), Place::Start("a"));
        assert_eq!(Place::parse(""), Place::Login);
        for odd in [
            "Login",
            "login/",
            "login/a/b",
            "saml/a",
            "saml/a/acs/",
            "assets/a/b",
            "../x",
            "%6cogin",
        ] {
            let place = Place::parse(odd);
            assert!(
                matches!(place, Place::Unknown | Place::Start("")),
                "{odd}: {place:?}"
            );
        }
    }

    #[test]
    fn nothing_beside_the_prefix_is_below_it() {
        let paths = Paths::new("/_sidegate/");
        assert_eq!(paths.below("/_sidegate/login"), Some("login"));
        assert_eq!(paths.below("/_sidegate"), Some(""));
        for beside in ["/", "/_sidegate2/login", "/_sidegat", "/x/_sidegate/login"] {
            assert_eq!(paths.below(beside), None, "{beside}");
        }
    }

    #[test]
    fn a_query_is_encoded() {
        let paths = Paths::new("/_s/");
        assert_eq!(
            paths.start("a", &[("next", "/x?y=1&z=2")]),
            "/_s/login/a?next=%2Fx%3Fy%3D1%26z%3D2"
        );
    }
}
