//! Distinguished names (RFC 4514): enough to compare them and to find one below another.

/// Attributes one relative name may have, and relative names one name may have; longer ones are plain text.
const MAX_PARTS: usize = 256;

/// A parsed name in its normal form: types and values in lower case without outer blanks, several attributes sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dn(Vec<Vec<(String, String)>>);

impl Dn {
    /// Reads a name; `None` for what is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut names = Vec::new();
        for name in split(text, &[',', ';'])? {
            let mut attributes = Vec::new();
            for attribute in split(name, &['+'])? {
                let (kind, value) = attribute.split_once('=')?;
                let kind = kind.trim().to_lowercase();
                let is_type = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                if kind.is_empty() || !kind.chars().all(is_type) {
                    return None;
                }
                attributes.push((kind, value_of(value)?));
            }
            attributes.sort();
            names.push(attributes);
        }
        Some(Self(names))
    }

    /// `cn=joe,dc=example,dc=com`
    pub(super) fn normalised(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|name| written(name)).collect();
        names.join(",")
    }

    /// Whether this name lies below `base`.
    pub(super) fn is_below(&self, base: &Self) -> bool {
        self.0.len() > base.0.len() && self.0.ends_with(&base.0)
    }
}

fn written(name: &[(String, String)]) -> String {
    let attributes: Vec<String> = name
        .iter()
        .map(|(kind, value)| format!("{kind}={}", escaped(value)))
        .collect();
    attributes.join("+")
}

/// A value with a backslash in front of what would end or change it.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, character) in value.chars().enumerate() {
        let outer = (at == 0 && matches!(character, '#' | ' ')) || (at == last && character == ' ');
        if outer || matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// Cuts at separators that are neither escaped nor quoted.
fn split<'t>(text: &'t str, separators: &[char]) -> Option<Vec<&'t str>> {
    let (mut parts, mut from, mut quoted, mut escape) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escape => escape = false,
            '\\' => escape = true,
            '"' => quoted = !quoted,
            _ if !quoted && separators.contains(&character) => {
                parts.push(&text[from..at]);
                from = at + character.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    (parts.len() <= MAX_PARTS && !quoted && !escape).then_some(parts)
}

/// A value without its quotes and escapes, in lower case, runs of blanks as one.
fn value_of(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        // RFC 4514 §2.4: two hexadecimal digits are an octet, anything else stands for itself.
        let octet = rest
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match octet {
            Some(octet) => {
                bytes.push(octet);
                rest = &rest[2..];
            }
            None => {
                let (&byte, after) = rest.split_first()?;
                bytes.push(byte);
                rest = after;
            }
        }
    }
    let value = String::from_utf8(bytes).ok()?.to_lowercase();
    Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    #[test]
    fn names_are_equal_whatever_their_case_blanks_and_escapes() {
        assert_eq!(
            dn("CN=Joe Smith, DC=Example"),
            dn("cn=joe  smith,dc=EXAMPLE")
        );
        assert_eq!(dn("cn=a+ou=b"), dn("OU=B + CN=A"));
        assert_eq!(dn("cn=a\\,b"), dn("cn=\"a,b\""));
        assert_eq!(dn("cn=\\c3\\a4"), dn("cn=Ä"));
        assert_eq!(dn("CN=a\\, b ,DC=x").normalised(), "cn=a\\, b,dc=x");
        assert_ne!(dn("cn=a,dc=b"), dn("dc=b,cn=a"));
    }

    #[test]
    fn below_means_longer_with_the_same_end() {
        let base = dn("dc=example,dc=com");
        assert!(dn("cn=x,ou=y,DC=Example,dc=com").is_below(&base));
        assert!(!base.is_below(&base));
        assert!(!dn("cn=x,dc=example,dc=org").is_below(&base));
    }

    #[test]
    fn what_is_no_name_is_not_read() {
        for text in ["admins", "", "=x", "cn=a,", "cn=\"a", "cn=a\\", "c n=x"] {
            assert_eq!(Dn::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_normal_form_reads_back_as_the_same_name(text in "(cn|OU)=[a-zA-Z ,+\\\\\"=#ä]{0,12}(,dc=[a-z]{1,4})?") {
            if let Some(name) = Dn::parse(&text) {
                prop_assert_eq!(Dn::parse(&name.normalised()), Some(name));
            }
        }
    }
}
