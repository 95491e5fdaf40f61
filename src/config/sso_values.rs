//! Texts of the section `sso`: where browsers find Sidegate, the path of its pages, names of providers, and prose.

use super::settings::NodeUrl;
use super::sso::PublicUrl;
use super::values::{Value, ValueError};

/// Longest prose in bytes.
const LONGEST_PROSE: usize = 16 * 1024;

impl Value for PublicUrl {
    const NAME: &'static str = "PublicUrl";
    const ALLOWED: &'static str = "`https://host` as browsers have it, with a port where that is not the scheme's own; `http` is for trying things out";
    const EXAMPLES: &'static [&'static str] =
        &["https://app.example.com", "https://app.example.com:8443"];

    fn shown(text: &str) -> String {
        NodeUrl::shown(text)
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        let url = NodeUrl::parse(text)?;
        if !url.prefix.is_empty() {
            return Err(ValueError::new("it has a path").with_hint(
                "Sidegate stands before a whole host; its own pages are moved by `prefix`",
            ));
        }
        let own_port = if url.tls { 443 } else { 80 };
        let authority = match (url.host.contains(':'), url.port == own_port) {
            (_, false) => url.authority(),
            (true, true) => format!("[{}]", url.host),
            (false, true) => url.host,
        };
        Ok(Self {
            secure: url.tls,
            authority,
        })
    }
}

/// The path below which Sidegate's own pages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(pub String);

impl Value for Prefix {
    const NAME: &'static str = "PathPrefix";
    const ALLOWED: &'static str = "a path that begins and ends with `/`, of letters, digits, `.`, `_`, `~` and `-`; at most 64 bytes";
    const EXAMPLES: &'static [&'static str] = &["/_sidegate/"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "/" {
            return Err(ValueError::new("it would take every path").with_hint("`/_sidegate/`"));
        }
        let Some(inner) = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'))
        else {
            let hint = format!("/{}/", text.trim_matches('/'));
            return Err(ValueError::new("it does not begin and end with `/`")
                .with_hint(format!("`{hint}`")));
        };
        if text.len() > 64 {
            return Err(ValueError::new("it is too long"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        let segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
        if !inner.split('/').all(segment) {
            return Err(ValueError::new("it is not plain"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The name of a provider, which is a part of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderName(pub String);

impl Value for ProviderName {
    const NAME: &'static str = "ProviderName";
    const ALLOWED: &'static str =
        "1 to 32 lower-case letters, digits, `-` or `_`, beginning with a letter or digit";
    const EXAMPLES: &'static [&'static str] = &["corporate", "partners-2"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text.len() > 32 {
            return Err(ValueError::new("it is empty or too long"));
        }
        let fits = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter)
        };
        if let Some(letter) = text.chars().find(|letter| !fits(*letter)) {
            let error = ValueError::new(format!("it holds {letter:?}"));
            let lower = text.to_ascii_lowercase();
            return Err(if lower.chars().all(fits) {
                error.with_hint(format!("`{lower}`"))
            } else {
                error
            });
        }
        if text.starts_with(['-', '_']) {
            return Err(ValueError::new("it begins with `-` or `_`"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Text for people, of as many lines as it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prose(pub String);

impl Value for Prose {
    const NAME: &'static str = "Prose";
    const ALLOWED: &'static str = "text for people, in one line or several, at most 16 KiB";
    const EXAMPLES: &'static [&'static str] = &["Need help? Call 4711."];

    fn parse(text: &str) -> Result<Self, ValueError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ValueError::new("it is empty"));
        }
        if text.len() > LONGEST_PROSE {
            return Err(ValueError::new("it is too long"));
        }
        let odd = |letter: &char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t');
        match text.chars().find(odd) {
            Some(letter) => Err(ValueError::new(format!("it holds {letter:?}"))),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// A language, as BCP 47 names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanguageTag(pub String);

impl Value for LanguageTag {
    const NAME: &'static str = "LanguageTag";
    const ALLOWED: &'static str = "a language as BCP 47 names it, at most 35 bytes";
    const EXAMPLES: &'static [&'static str] = &["en", "pt-BR"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        let subtag = |part: &str| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let mut parts = text.split('-');
        let first = parts.next().unwrap_or_default();
        let language =
            (2..=8).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_alphabetic());
        if text.len() <= 35 && language && parts.all(subtag) {
            return Ok(Self(text.to_owned()));
        }
        let error = ValueError::new("it is no language tag");
        Err(match text.contains('_') {
            true => error.with_hint(format!("`{}`", text.replace('_', "-"))),
            false => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_url_is_an_origin_in_its_canonical_form() {
        for (written, origin) in [
            ("https://App.example.com", "https://app.example.com"),
            ("https://app.example.com:443/", "https://app.example.com"),
            (
                "https://app.example.com:8443",
                "https://app.example.com:8443",
            ),
            ("http://localhost:8080", "http://localhost:8080"),
            ("https://[::1]", "https://[::1]"),
            ("https://[::1]:444", "https://[::1]:444"),
        ] {
            assert_eq!(PublicUrl::parse(written).unwrap().origin(), origin);
        }
        for wrong in [
            "app.example.com",
            "https://app.example.com/app",
            "https://me:secret@app.example.com",
            "https://app.example.com?x",
            "ftp://x",
        ] {
            assert!(PublicUrl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_is_a_plain_path_between_slashes() {
        assert!(Prefix::parse("/_sidegate/").is_ok() && Prefix::parse("/a/b/").is_ok());
        for wrong in [
            "", "/", "//", "/a", "a/", "/a//b/", "/../", "/a%2f/", "/a b/", "/ä/",
        ] {
            assert!(Prefix::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_provider_is_named_as_paths_are_written() {
        assert!(ProviderName::parse("partners-2").is_ok());
        for wrong in ["", "-a", "A", "a/b", "a b", "..", "ä"] {
            assert!(ProviderName::parse(wrong).is_err(), "{wrong}");
        }
        let error = ProviderName::parse("Corporate").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("`corporate`"));
    }
}
