//! Sets of header names, compared the way the most careless application behind us might compare them.
//!
//! CGI, WSGI and PHP turn `-`, `_`, `.` and case into one spelling, so a client's `X_Forwarded_User` would be read as the
//! `X-Forwarded-User` that Sidegate sets. Names are therefore folded before they are compared.

use http::{HeaderMap, HeaderName};

/// Header names and prefixes of names, folded.
#[derive(Clone, Debug)]
pub struct Names {
    /// Patterns by their first byte, so that most names of a request are told apart by one look.
    by_first: Box<[Vec<Pattern>; 256]>,
}

#[derive(Clone, Debug)]
struct Pattern {
    folded: Box<[u8]>,
    prefix: bool,
}

impl Names {
    /// A set of whole names and of prefixes.
    pub fn new<'n>(
        whole: impl IntoIterator<Item = &'n str>,
        prefixes: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let mut by_first: Box<[Vec<Pattern>; 256]> = Box::new([const { Vec::new() }; 256]);
        let whole = whole.into_iter().map(|name| (name, false));
        let prefixes = prefixes.into_iter().map(|name| (name, true));
        for (name, prefix) in whole.chain(prefixes) {
            let folded: Box<[u8]> = name.bytes().map(fold).collect();
            if let Some(&first) = folded.first() {
                by_first[usize::from(first)].push(Pattern { folded, prefix });
            }
        }
        Self { by_first }
    }

    /// Whether any spelling of `name` is in the set.
    pub fn contains(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let Some(&first) = name.first() else {
            return false;
        };
        self.by_first[usize::from(fold(first))]
            .iter()
            .any(|pattern| pattern.matches(name))
    }

    /// Removes every header whose name is in the set.
    pub fn strip(&self, headers: &mut HeaderMap) {
        let mut found: Option<Vec<HeaderName>> = None;
        for name in headers.keys() {
            if self.contains(name.as_str()) {
                found.get_or_insert_default().push(name.clone());
            }
        }
        for name in found.into_iter().flatten() {
            headers.remove(name);
        }
    }
}

impl Pattern {
    fn matches(&self, name: &[u8]) -> bool {
        let fits = if self.prefix {
            name.len() >= self.folded.len()
        } else {
            name.len() == self.folded.len()
        };
        fits && name
            .iter()
            .zip(&self.folded)
            .all(|(byte, folded)| fold(*byte) == *folded)
    }
}

/// One spelling for all: lower case, and `-` for whatever an application may take for it.
const fn fold(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' | b' ' => b'-',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prefixes_take_whatever_follows_and_whole_names_do_not() {
        let names = Names::new(["remote-user"], ["x-elastic-", "_xpack_"]);
        assert!(names.contains("Remote_User") && names.contains("remote.user"));
        assert!(names.contains("X_Elastic.Anything") && names.contains("-XPACK-security"));
        assert!(!names.contains("remote-user-agent") && !names.contains("remote-use"));
        assert!(!names.contains("x-elastic") && !names.contains(""));
    }

    proptest! {
        #[test]
        fn no_spelling_of_a_listed_name_survives(
            spelling in "[xX][-_.][fF]orwarded[-_.][uU][sS][eE][rR]",
            other in "[a-z]{1,12}",
        ) {
            let names = Names::new(["x-forwarded-user"], []);
            let mut headers = HeaderMap::new();
            headers.append(HeaderName::from_bytes(spelling.as_bytes()).unwrap(), "a".parse().unwrap());
            headers.append(HeaderName::from_bytes(spelling.as_bytes()).unwrap(), "b".parse().unwrap());
            headers.append(HeaderName::from_bytes(other.as_bytes()).unwrap(), "c".parse().unwrap());
            names.strip(&mut headers);
            prop_assert_eq!(headers.len(), 1);
        }
    }
}
