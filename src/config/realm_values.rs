//! Texts of the realms' settings: plain texts, patterns, where public keys are, and URLs of providers.

use std::path::PathBuf;

use super::settings::NodeUrl;
use super::values::{Value, ValueError};

/// Most bytes of a text or pattern.
const LONGEST: usize = 4_096;

/// A plain text: one line, not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

impl Value for Text {
    const NAME: &'static str = "Text";
    const ALLOWED: &'static str = "a text of one line, at most 4096 bytes";
    const EXAMPLES: &'static [&'static str] =
        &["https://issuer.example.com/", "preferred_username"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        check_line(text)?;
        Ok(Self(text.to_owned()))
    }
}

fn check_line(text: &str) -> Result<(), ValueError> {
    if text.is_empty() {
        return Err(ValueError::new("it is empty"));
    }
    if text.len() > LONGEST {
        return Err(ValueError::new("it is too long"));
    }
    match text.chars().find(|letter| letter.is_control()) {
        Some(letter) => Err(ValueError::new(format!("it holds {letter:?}"))),
        None => Ok(()),
    }
}

/// A pattern of subjects: wildcards, or a regular expression between slashes. Whoever compiles it looks closer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectPattern(pub String);

impl Value for SubjectPattern {
    const NAME: &'static str = "SubjectPattern";
    const ALLOWED: &'static str =
        "a text with the wildcards `*` and `?`, or a regular expression of Lucene between slashes";
    const EXAMPLES: &'static [&'static str] = &["*@example.com", "/[a-z]+-service/"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        check_line(text)?;
        if text.starts_with('/') && (text.len() == 1 || !text.ends_with('/')) {
            return Err(ValueError::new(
                "it starts with `/` but doesn't end with one",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A regular expression with a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturePattern(pub String);

impl Value for CapturePattern {
    const NAME: &'static str = "CapturePattern";
    const ALLOWED: &'static str =
        "a regular expression with a group in brackets, without look-around and back-references";
    const EXAMPLES: &'static [&'static str] = &["^([^@]+)@example\\.com$", "CN=(.*?)(?:,|$)"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        check_line(text)?;
        let pattern = regex::RegexBuilder::new(text)
            .size_limit(1 << 20)
            .build()
            .map_err(|error| {
                // The last line says what is wrong, those before it point into the pattern.
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                ValueError::new(last.trim_start_matches("error: ").to_owned())
            })?;
        if pattern.captures_len() < 2 {
            return Err(ValueError::new("it has no group")
                .with_hint("put brackets round the part to be taken"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Where an issuer's public keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksPath {
    /// In a file.
    File(PathBuf),
    /// At a URL; its prefix is the whole target.
    Url(NodeUrl),
}

impl Value for JwksPath {
    const NAME: &'static str = "JwksPath";
    const ALLOWED: &'static str =
        "a path in the file system, or a URL with `https` (on this machine also `http`)";
    const EXAMPLES: &'static [&'static str] =
        &["/etc/sidegate/jwks.json", "https://issuer.example.com/jwks"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        check_line(text)?;
        match scheme(text) {
            None => PathBuf::parse(text).map(Self::File),
            Some(_) => parse_url(text).map(Self::Url),
        }
    }
}

/// An endpoint of an OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderUrl {
    /// As written, for browsers.
    pub text: String,
    /// Taken apart; its prefix is the whole target.
    pub url: NodeUrl,
}

impl Value for ProviderUrl {
    const NAME: &'static str = "ProviderUrl";
    const ALLOWED: &'static str = "a URL with `https` (on this machine also `http`)";
    const EXAMPLES: &'static [&'static str] = &["https://login.example.com/oauth2/authorize"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        check_line(text)?;
        if text.contains('#') {
            return Err(ValueError::new("an endpoint has no fragment"));
        }
        Ok(Self {
            url: parse_url(text)?,
            text: text.to_owned(),
        })
    }
}

/// Where a provider sends a browser: an absolute URI without a fragment (RFC 6749 §3.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri(pub String);

impl Value for RedirectUri {
    const NAME: &'static str = "RedirectUri";
    const ALLOWED: &'static str = "a URL with `https` or `http`, without a fragment";
    const EXAMPLES: &'static [&'static str] =
        &["https://app.example.com/_sidegate/oidc/corporate/callback"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        check_line(text)?;
        if text.contains('#') {
            return Err(ValueError::new("it has a fragment"));
        }
        split_url(text).map(|_| Self(text.to_owned()))
    }
}

/// Whether a URL is `https` (true) or `http`; `None`: it is something else.
fn scheme(text: &str) -> Option<bool> {
    let begins = |with: &str| {
        text.get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    if begins("https://") {
        Some(true)
    } else {
        begins("http://").then_some(false)
    }
}

/// A URL that answers can be trusted of: plain HTTP never leaves this machine.
fn parse_url(text: &str) -> Result<NodeUrl, ValueError> {
    let url = split_url(text)?;
    if !url.tls && !is_this_machine(&url.host) {
        return Err(
            ValueError::new("what comes over plain HTTP can't be trusted").with_hint("use `https`"),
        );
    }
    Ok(url)
}

fn split_url(text: &str) -> Result<NodeUrl, ValueError> {
    let invalid = || ValueError::new("it is no URL");
    let tls = scheme(text).ok_or_else(invalid)?;
    let uri: http::Uri = text.parse().map_err(|_| invalid())?;
    let authority = uri.authority().ok_or_else(invalid)?;
    if authority.as_str().contains('@') {
        return Err(ValueError::new("a URL with a user name in it is not taken"));
    }
    let host = authority.host().trim_matches(['[', ']']);
    if host.is_empty() {
        return Err(ValueError::new("the host is missing"));
    }
    Ok(NodeUrl {
        tls,
        host: host.to_owned(),
        port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        prefix: uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str)
            .to_owned(),
    })
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_files_or_over_https() {
        assert_eq!(
            JwksPath::parse("https://a.example:8443/k?x=1"),
            Ok(JwksPath::Url(NodeUrl {
                tls: true,
                host: "a.example".to_owned(),
                port: 8443,
                prefix: "/k?x=1".to_owned()
            }))
        );
        assert!(
            matches!(JwksPath::parse("https://[::1]/"), Ok(JwksPath::Url(NodeUrl { host, port: 443, .. })) if host == "::1")
        );
        assert!(matches!(
            JwksPath::parse("/etc/jwks.json"),
            Ok(JwksPath::File(_))
        ));
        for local in ["http://127.0.0.1:8/k", "http://[::1]/", "http://LocalHost/"] {
            assert!(
                matches!(
                    JwksPath::parse(local),
                    Ok(JwksPath::Url(NodeUrl { tls: false, .. }))
                ),
                "{local}"
            );
        }
        for bad in [
            "",
            "http://a.example/k",
            "http://127.0.0.1.evil.example/k",
            "http://localhost@evil.example/k",
            "HTTP://a",
            "https://u:p@a/",
            "https://",
            "a\nb",
        ] {
            assert!(JwksPath::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_capture_pattern_compiles_and_has_a_group() {
        assert!(CapturePattern::parse("CN=(.*?)(?:,|$)").is_ok());
        for bad in [
            "",
            "abc",
            "(?:a)",
            "(",
            "(?=a)(b)",
            "(a)\\1",
            "((a{1000}){1000})",
        ] {
            assert!(CapturePattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints_are_https_and_callbacks_have_no_fragment() {
        let url = ProviderUrl::parse("https://op.example/auth?tenant=1").unwrap();
        assert_eq!(
            (url.url.prefix.as_str(), url.text.as_str()),
            ("/auth?tenant=1", "https://op.example/auth?tenant=1")
        );
        for bad in [
            "http://op.example/auth",
            "/auth",
            "https://op.example/#a",
            "ftp://a/",
        ] {
            assert!(ProviderUrl::parse(bad).is_err(), "{bad}");
        }
        assert!(RedirectUri::parse("http://app.example/callback").is_ok());
        for bad in ["/callback", "https://app.example/#x", "javascript:alert(1)"] {
            assert!(RedirectUri::parse(bad).is_err(), "{bad}");
        }
    }
}
