//! Texts of the realms' settings: plain texts, patterns, and where public keys are.

use std::path::PathBuf;

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
    /// At an `https` URL.
    Url {
        /// Host name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
        /// Path and query, beginning with a slash.
        target: String,
    },
}

impl Value for JwksPath {
    const NAME: &'static str = "JwksPath";
    const ALLOWED: &'static str = "a path in the file system, or a URL with `https`";
    const EXAMPLES: &'static [&'static str] =
        &["/etc/sidegate/jwks.json", "https://issuer.example.com/jwks"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        check_line(text)?;
        if text
            .get(..7)
            .is_some_and(|start| start.eq_ignore_ascii_case("http://"))
        {
            return Err(
                ValueError::new("keys can't be trusted that come over plain HTTP")
                    .with_hint("use `https`"),
            );
        }
        if !text
            .get(..8)
            .is_some_and(|start| start.eq_ignore_ascii_case("https://"))
        {
            return PathBuf::parse(text).map(Self::File);
        }
        let invalid = || ValueError::new("it is no URL");
        let uri: http::Uri = text.parse().map_err(|_| invalid())?;
        let authority = uri.authority().ok_or_else(invalid)?;
        if authority.as_str().contains('@') {
            return Err(ValueError::new("a URL with a user name in it is not taken"));
        }
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err(ValueError::new("the host is missing"));
        }
        Ok(Self::Url {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(443),
            target: uri
                .path_and_query()
                .map_or("/", http::uri::PathAndQuery::as_str)
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_files_or_over_https() {
        assert_eq!(
            JwksPath::parse("https://a.example:8443/k?x=1"),
            Ok(JwksPath::Url {
                host: "a.example".to_owned(),
                port: 8443,
                target: "/k?x=1".to_owned()
            })
        );
        assert!(
            matches!(JwksPath::parse("https://[::1]/"), Ok(JwksPath::Url { host, port: 443, .. }) if host == "::1")
        );
        assert!(matches!(
            JwksPath::parse("/etc/jwks.json"),
            Ok(JwksPath::File(_))
        ));
        for bad in [
            "",
            "http://a.example/k",
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
}
