//! Sets of header names, compared the way the most careless application behind us might compare them.
//!
//! CGI, WSGI and PHP turn `-`, `_`, `.` and case into one spelling, so a client's `X_Forwarded_User` would be read as the
//! `X-Forwarded-User` that Sidegate sets. Names are therefore folded before they are compared.

use http::{HeaderMap, HeaderName};

/// Header names and prefixes of names, folded.
#[derive(Clone, Debug)]
pub struct Names {
    /// By the first byte of a name, so that most names of a request are told apart by one look.
    by_first: Box<[Bucket; 256]>,
}

/// The names that begin with one byte.
#[derive(Clone, Debug)]
struct Bucket {
    /// Bit `n`: some whole name is `n` bytes long (the last bit: that long or longer).
    lengths: u64,
    /// Bit `n`: some whole name or prefix has a third byte of `n` (modulo 64), or is shorter than that. Most listed names begin
    /// with `x-`, as do many of a request's, so the first byte alone tells little.
    thirds: u64,
    whole: Vec<Box<[u8]>>,
    prefixes: Vec<Box<[u8]>>,
}

impl Names {
    /// A set of whole names and of prefixes.
    pub fn new<'n>(
        whole: impl IntoIterator<Item = &'n str>,
        prefixes: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let mut by_first = Box::new([const { Bucket::EMPTY }; 256]);
        for name in whole.into_iter().map(folded) {
            if let Some(&first) = name.first() {
                let bucket = &mut by_first[usize::from(first)];
                bucket.lengths |= length_bit(name.len());
                bucket.thirds |= thirds_of(&name);
                bucket.whole.push(name);
            }
        }
        for name in prefixes.into_iter().map(folded) {
            if let Some(&first) = name.first() {
                let bucket = &mut by_first[usize::from(first)];
                bucket.thirds |= thirds_of(&name);
                bucket.prefixes.push(name);
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
        let bucket = &self.by_first[usize::from(FOLD[usize::from(first)])];
        if let Some(&third) = name.get(2)
            && bucket.thirds & third_bit(FOLD[usize::from(third)]) == 0
        {
            return false;
        }
        (bucket.lengths & length_bit(name.len()) != 0
            && bucket
                .whole
                .iter()
                .any(|whole| whole.len() == name.len() && begins_with(name, whole)))
            || bucket
                .prefixes
                .iter()
                .any(|prefix| begins_with(name, prefix))
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

impl Bucket {
    const EMPTY: Self = Self {
        lengths: 0,
        thirds: 0,
        whole: Vec::new(),
        prefixes: Vec::new(),
    };
}

fn folded(name: &str) -> Box<[u8]> {
    name.bytes().map(|byte| FOLD[usize::from(byte)]).collect()
}

/// The bits under which a name of any length must be found; a name of one or two bytes may be the prefix of all others.
fn thirds_of(name: &[u8]) -> u64 {
    name.get(2).map_or(u64::MAX, |third| third_bit(*third))
}

fn third_bit(folded: u8) -> u64 {
    1 << (folded % 64)
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// Whether `name`, folded, begins with `start`, which is folded already.
fn begins_with(name: &[u8], start: &[u8]) -> bool {
    name.len() >= start.len()
        && name
            .iter()
            .zip(start)
            .all(|(byte, folded)| FOLD[usize::from(*byte)] == *folded)
}

/// One spelling for all: lower case, and `-` for whatever an application may take for it. A table, because every byte of
/// every header name of every request may be looked at.
static FOLD: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'_' | b'.' | b' ' => b'-',
            other => other.to_ascii_lowercase(),
        };
        byte += 1;
    }
    table
};

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

    #[test]
    fn short_names_and_prefixes_are_found_like_long_ones() {
        let names = Names::new(["te"], ["x-"]);
        assert!(names.contains("TE") && !names.contains("tea") && !names.contains("t"));
        assert!(names.contains("X_anything") && names.contains("x-") && !names.contains("x"));
    }

    proptest! {
        #[test]
        fn a_set_holds_what_comparing_each_name_would_find(
            listed in proptest::collection::vec("[a-cxX][-_.a-d]{0,5}", 0..6),
            prefixes in proptest::collection::vec("[a-cxX][-_.a-d]{0,3}", 0..3),
            name in "[a-cxX]?[-_.a-d]{0,6}",
        ) {
            let names = Names::new(
                listed.iter().map(String::as_str),
                prefixes.iter().map(String::as_str),
            );
            let name_folded = folded(&name);
            let expected = listed.iter().any(|whole| folded(whole) == name_folded)
                || prefixes.iter().any(|prefix| name_folded.starts_with(&folded(prefix)));
            prop_assert_eq!(names.contains(&name), expected);
        }

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
