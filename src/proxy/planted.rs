//! Cookies that an application tries to set in Sidegate's name.

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

/// Takes from a response every `Set-Cookie` whose cookie is Sidegate's: an application could plant or end a session by it.
pub fn strip_own_cookies(headers: &mut HeaderMap, is_own: impl Fn(&[u8]) -> bool) {
    let name_of = |line: &HeaderValue| {
        let line = line.as_bytes();
        let end = line.iter().position(|byte| matches!(byte, b'=' | b';'));
        line[..end.unwrap_or(line.len())].trim_ascii().to_vec()
    };
    let lines = headers.get_all(SET_COOKIE);
    if !lines.iter().any(|line| is_own(&name_of(line))) {
        return;
    }
    let rest: Vec<HeaderValue> = lines
        .iter()
        .filter(|line| !is_own(&name_of(line)))
        .cloned()
        .collect();
    headers.remove(SET_COOKIE);
    for line in rest {
        headers.append(SET_COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cookies_of_its_own_pass() {
        let mut headers = HeaderMap::new();
        for line in [
            "theirs=1; Path=/",
            "ours=planted; Path=/",
            " ours =; Max-Age=0",
            "ours",
            "ours-too=1",
            "x=ours=1",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        strip_own_cookies(&mut headers, |name| name == b"ours");
        let left: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(left, ["theirs=1; Path=/", "ours-too=1", "x=ours=1"]);
    }
}
