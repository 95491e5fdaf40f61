//! Places of a credential other than `Authorization`: a header, a query parameter, a cookie.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use super::presented::Presented;
use crate::gate::refusal::{Ambiguity, Refusal};
use crate::session::cookie;

/// The cookie that stands for a Kerberos ticket. The prefix makes browsers take it only over TLS and from this very host.
pub const KERBEROS_COOKIE: &str = "__Host-sidegate-kerberos";

/// Bytes of a user name to act as.
const MAX_USERNAME: usize = 1024;

/// An API key in a header of the operator's choice.
///
/// # Errors
/// [`Refusal::Ambiguous`] when the header stands twice, [`Refusal::MalformedCredential`] when it holds no key.
pub fn in_header<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<Presented<'a>>, Refusal> {
    let mut lines = headers.get_all(name).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(Refusal::Ambiguous(Ambiguity::Credentials));
    }
    Presented::api_key(line.as_bytes()).map(Some)
}

/// An API key in a query parameter of the operator's choice. A `+` stays one: base64 has it.
///
/// # Errors
/// [`Refusal::Ambiguous`] when the parameter stands twice, [`Refusal::MalformedCredential`] when it holds no key.
pub fn in_query<'a>(query: &'a str, wanted: &str) -> Result<Option<Presented<'a>>, Refusal> {
    let mut found = None;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !is_named(name, wanted) {
            continue;
        }
        if found.is_some() {
            return Err(Refusal::Ambiguous(Ambiguity::Credentials));
        }
        found = Some(Cow::from(percent_decode_str(value)));
    }
    found.map(Presented::decoded_api_key).transpose()
}

/// The query without a parameter, every spelling of it; `None` when nothing is left.
pub fn query_without(query: &str, unwanted: &str) -> Option<String> {
    let rest: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            !is_named(
                pair.split_once('=').map_or(*pair, |(name, _)| name),
                unwanted,
            )
        })
        .collect();
    (!rest.is_empty()).then(|| rest.join("&"))
}

fn is_named(name: &str, wanted: &str) -> bool {
    name == wanted || (name.contains('%') && percent_decode_str(name).eq(wanted.bytes()))
}

/// The user to act as.
///
/// # Errors
/// [`Refusal::Ambiguous`] when the header stands twice or holds no user name.
pub fn run_as<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let refused = Refusal::Ambiguous(Ambiguity::Header);
    let mut lines = headers.get_all(name).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    match (std::str::from_utf8(line.as_bytes()), lines.next()) {
        (Ok(username), None)
            if !username.is_empty()
                && username.len() <= MAX_USERNAME
                && !username.contains(char::is_control) =>
        {
            Ok(Some(username))
        }
        _ => Err(refused),
    }
}

/// The value of Sidegate's cookie. One that stands twice is none: another host may have planted it.
pub fn kerberos_cookie(headers: &HeaderMap) -> Option<&[u8]> {
    let mut found = None;
    for (name, value) in cookie::cookies(headers) {
        if name == KERBEROS_COOKIE.as_bytes() {
            if found.is_some() {
                return None;
            }
            found = Some(value);
        }
    }
    found.filter(|value| !value.is_empty() && value.len() <= 128)
}

/// Whether this is the name of Sidegate's cookie.
pub fn is_own_cookie(name: &[u8]) -> bool {
    name == KERBEROS_COOKIE.as_bytes()
}

/// Removes Sidegate's cookie from what travels on; other cookies stay as they are.
pub fn strip_cookie(headers: &mut HeaderMap) {
    cookie::strip(headers, is_own_cookie);
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::COOKIE;
    use proptest::prelude::*;

    use super::*;
    use crate::model::credential::FingerprintKey;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_key_in_a_query_is_the_same_key_however_it_is_spelled() {
        let key = FingerprintKey::random();
        let of = |query: &str| {
            let found = in_query(query, "k").unwrap();
            found.map(|presented| presented.fingerprint(&key))
        };
        let plain = of("k=YTpi+w==");
        assert!(plain.is_some());
        assert_eq!(plain, of("a=1&k=YTpi%2Bw%3D%3D&b"));
        assert_eq!(plain, of("%6B=YTpi+w=="));
        assert_eq!(of("kk=YTpi&x=k"), None);
    }

    #[test]
    fn a_key_that_stands_twice_or_cannot_be_one_is_refused() {
        for query in ["k=YTpi&k=YTpi", "k=YTpi&%6b=x"] {
            assert!(
                matches!(in_query(query, "k"), Err(Refusal::Ambiguous(_))),
                "{query}"
            );
        }
        for query in ["k=", "k", "k=a%20b", "k=%00", "k=a%2Cb"] {
            assert!(
                matches!(
                    in_query(query, "k"),
                    Err(Refusal::MalformedCredential { .. })
                ),
                "{query}"
            );
        }
    }

    #[test]
    fn only_sidegates_cookie_is_taken_out() {
        let mut map = headers(&[
            ("cookie", "a=1; __Host-sidegate-kerberos=x;b=2"),
            ("cookie", "__Host-sidegate-kerberos=y"),
            ("cookie", "c=3"),
        ]);
        assert_eq!(kerberos_cookie(&map), None, "twice is none");
        strip_cookie(&mut map);
        let left: Vec<_> = map.get_all(COOKIE).iter().collect();
        assert_eq!(left, ["a=1; b=2", "c=3"]);
        let one = headers(&[("cookie", "a=1; __Host-sidegate-kerberos=x")]);
        assert_eq!(kerberos_cookie(&one), Some(&b"x"[..]));
    }

    #[test]
    fn a_user_to_act_as_is_one_plain_name() {
        let name = HeaderName::from_static("es-security-runas-user");
        let of = |values: &[&str]| {
            let mut map = HeaderMap::new();
            for value in values {
                map.append(&name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            run_as(&map, &name).map(|found| found.map(str::to_owned))
        };
        assert_eq!(of(&["zoë"]), Ok(Some("zoë".to_owned())));
        assert_eq!(of(&[]), Ok(None));
        for wrong in [&[""][..], &["a", "a"], &["a\tb"], &[&"x".repeat(2_000)]] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_left_of_a_query_holds_no_key(query in "([ak%6B=&+1]{0,3}){0,8}") {
            let left = query_without(&query, "k").unwrap_or_default();
            prop_assert!(matches!(in_query(&left, "k"), Ok(None)), "{query} {left}");
        }
    }
}
