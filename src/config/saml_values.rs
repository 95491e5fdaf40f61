//! Texts of a SAML realm's settings: where metadata is, and addresses that browsers are sent to.

use super::realm_values::{JwksPath, RedirectUri};
use super::values::{Value, ValueError};

/// Where an identity provider's metadata is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataPath(pub JwksPath);

impl Value for MetadataPath {
    const NAME: &'static str = "MetadataPath";
    const ALLOWED: &'static str =
        "a path in the file system, or a URL with `https` (on this machine also `http`)";
    const EXAMPLES: &'static [&'static str] = &[
        "/etc/sidegate/idp-metadata.xml",
        "https://idp.example.com/metadata",
    ];

    fn parse(text: &str) -> Result<Self, ValueError> {
        JwksPath::parse(text).map(Self)
    }
}

/// An absolute URL that browsers go to, compared letter for letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserUrl(pub String);

impl Value for BrowserUrl {
    const NAME: &'static str = "BrowserUrl";
    const ALLOWED: &'static str = "a URL with `https` or `http`, without a fragment";
    const EXAMPLES: &'static [&'static str] =
        &["https://app.example.com/_sidegate/saml/company/acs"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        RedirectUri::parse(text).map(|RedirectUri(url)| Self(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_sent_to_absolute_urls_only() {
        for good in [
            "https://a.example/acs",
            "http://localhost:8080/x?y=1",
            "https://[::1]/",
        ] {
            assert_eq!(BrowserUrl::parse(good), Ok(BrowserUrl(good.to_owned())));
        }
        for bad in [
            "",
            "/acs",
            "a.example/acs",
            "ftp://a/x",
            "javascript:alert(1)",
            "https://u@a/",
            "https://a/x#y",
            "https://a/ b",
            "https://a/\n",
        ] {
            assert!(BrowserUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
