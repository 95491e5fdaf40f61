//! Where a browser goes once it is logged in (R-25).
//!
//! Always true: a [`ReturnTo`] is a path of this very origin. It begins with one `/`, holds no backslash, control character,
//! encoded separator or dot segment in its path, and is short; whoever resolves it, however sloppily, stays on the host.
//! What doesn't parse is replaced by `/`, never mended.

use std::fmt;

use http::Uri;

/// Bytes at most, fragment included. Longer ones would make redirects that proxies in between refuse.
pub const MAX_LENGTH: usize = 4096;

/// A place within the protected origin: path, query and maybe a fragment, all ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The front page.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Reads what somebody says is a place to go; `None` when it isn't one within this origin. Characters that a URL can't
    /// hold but people type (a space, letters beyond ASCII) are percent-encoded.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH || text.contains(char::is_control) {
            return None;
        }
        let (rest, fragment) = match text.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (text, None),
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        if !is_path(path) {
            return None;
        }
        let mut whole = String::with_capacity(text.len());
        encode(path, &mut whole);
        if let Some(query) = query {
            whole.push('?');
            encode(query, &mut whole);
        }
        if let Some(fragment) = fragment {
            whole.push('#');
            encode(fragment, &mut whole);
        }
        (whole.len() <= MAX_LENGTH).then_some(Self(whole))
    }

    /// The same; what is no such place becomes `/`.
    pub fn parse_or_root(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(Self::root)
    }

    /// The place a request asked for; `/` when it is none to return to.
    pub fn of_request(uri: &Uri) -> Self {
        uri.path_and_query()
            .and_then(|target| Self::parse(target.as_str()))
            .unwrap_or_else(Self::root)
    }

    /// The same place with this fragment (without `#`), as a browser told it; unchanged where that is too long.
    #[must_use]
    pub fn with_fragment(self, fragment: &str) -> Self {
        let base = self.0.split('#').next().unwrap_or("/");
        Self::parse(&format!("{base}#{fragment}")).unwrap_or(self)
    }

    /// As text, for `Location`. Only ASCII that can stand in a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it lies below `prefix`, which begins and ends with `/`.
    pub fn is_below(&self, prefix: &str) -> bool {
        let path = self.0.split(['?', '#']).next().unwrap_or_default();
        path.starts_with(prefix) || Some(path) == prefix.strip_suffix('/')
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    if rest.starts_with(['/', '\\']) || path.contains('\\') {
        return false;
    }
    path.split('/').all(is_segment) && has_sound_escapes(path)
}

/// No dot segment in any spelling: who resolves them first and looks at slashes later could find a host in the rest.
fn is_segment(segment: &str) -> bool {
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    plain != "." && plain != ".."
}

/// Every `%` begins an escape, and none stands for a separator or a control character.
fn has_sound_escapes(path: &str) -> bool {
    let mut escapes = path.split('%');
    // Before the first one.
    escapes.next();
    escapes.all(|rest| {
        let byte = rest
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| !matches!(byte, 0..=0x1f | 0x7f | b'/' | b'\\'))
    })
}

/// Percent-encodes what can't stand in a URL or would end an attribute.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' | b'"' | b'<' | b'>' | b'`' | 0x80.. => {
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                }
            }
            _ => out.push(char::from(byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_with_query_and_fragment_is_kept_as_it_is() {
        for text in [
            "/",
            "/a/b",
            "/a/?x=1&y=//evil",
            "/a?u=https://x.example/%2F%5C",
            "/dash#/view/1?x",
            "/a%20b",
            "/a//b",
            "/...",
            "/?\\",
        ] {
            assert_eq!(ReturnTo::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(
            ReturnTo::parse("/ä b#<").unwrap().as_str(),
            "/%C3%A4%20b#%3C"
        );
    }

    #[test]
    fn open_redirects_lead_to_the_front_page() {
        let long = format!("/{}", "a".repeat(10_000));
        for evil in [
            "",
            "x",
            "//evil",
            "///evil",
            "/\\evil",
            "\\/evil",
            "\\\\evil",
            "/%09/evil",
            "/\t/evil",
            "\t/evil",
            " /evil",
            "/%5cevil",
            "/%5Cevil",
            "/a\\b",
            "https:evil",
            "https://evil",
            "http:/evil",
            "javascript:alert(1)",
            "data:text/html,x",
            "//a@evil",
            "/./\\evil",
            "/.//evil",
            "/..//evil",
            "/a/..//evil",
            "/%2e/evil",
            "/%2E%2e//evil",
            "/x\r\nset-cookie: a=b",
            "/%0d%0aset-cookie:x",
            "/%00",
            "/a\u{85}b",
            "//app.example.com.evil",
            "/%2f/evil",
            "/%2Fevil",
            "/%",
            "/%zz",
            "/%+1",
            "@evil",
            "?x",
            "#x",
            &long,
        ] {
            assert_eq!(ReturnTo::parse_or_root(evil), ReturnTo::root(), "{evil:?}");
        }
    }

    #[test]
    fn a_request_is_returned_to_where_it_went() {
        let of = |uri: &'static str| ReturnTo::of_request(&Uri::from_static(uri));
        assert_eq!(of("/a?b=c").as_str(), "/a?b=c");
        assert_eq!(of("https://x.example/a").as_str(), "/a");
        assert_eq!(of("//evil"), ReturnTo::root());
    }

    #[test]
    fn a_fragment_is_added_when_it_fits() {
        let place = ReturnTo::parse("/a?b#old").unwrap();
        assert_eq!(place.clone().with_fragment("/x").as_str(), "/a?b#/x");
        let long = "x".repeat(MAX_LENGTH);
        assert_eq!(place.clone().with_fragment(&long), place);
    }

    #[test]
    fn sidegates_own_pages_are_told_apart() {
        let below = |text| ReturnTo::parse(text).unwrap().is_below("/_sidegate/");
        assert!(below("/_sidegate/logout?x") && below("/_sidegate"));
        assert!(!below("/_sidegate-app") && !below("/x?/_sidegate/"));
    }

    /// What browsers do (WHATWG URL), as far as a path of an `http` URL goes: tabs and line breaks vanish, backslashes are
    /// slashes, and two slashes at the start name a host.
    fn names_a_host(text: &str) -> bool {
        let text: String = text
            .trim_matches(|c: char| c <= ' ')
            .chars()
            .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
            .map(|c| if c == '\\' { '/' } else { c })
            .collect();
        !text.starts_with('/') || text.starts_with("//")
    }

    proptest! {
        #[test]
        fn nothing_leaves_the_origin(text in r"[/\\a:@.%?#25cfeF09 \t\r\nx-]{0,24}") {
            if let Some(place) = ReturnTo::parse(&text) {
                let place = place.as_str();
                prop_assert!(!names_a_host(place), "{place}");
                let decoded = percent_encoding::percent_decode_str(place.split(['?', '#']).next().unwrap())
                    .decode_utf8_lossy().into_owned();
                prop_assert!(!names_a_host(&decoded), "{place}");
                prop_assert!(place.bytes().all(|byte| byte.is_ascii_graphic()), "{place}");
                prop_assert!(place.parse::<Uri>().is_ok(), "{place}");
            }
        }

        #[test]
        fn reading_twice_is_reading_once(text in ".{0,40}") {
            if let Some(place) = ReturnTo::parse(&text) {
                prop_assert_eq!(ReturnTo::parse(place.as_str()), Some(place));
            }
        }
    }
}
