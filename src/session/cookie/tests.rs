//! Names, splitting, planted and broken cookies (A-31, A-32).

use proptest::prelude::*;

use super::*;

fn public(secure: bool, authority: &str) -> PublicUrl {
    PublicUrl {
        secure,
        authority: authority.into(),
    }
}

fn jar() -> CookieJar {
    CookieJar::new("s", &public(true, "app.example"), SameSite::Lax)
}

/// What a browser sends back for these lines.
fn sent(lines: &Lines) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (_, line) in lines {
        let text = line.to_str().unwrap();
        if !text.contains("Max-Age=0") {
            let pair = text.split(';').next().unwrap();
            headers.append(COOKIE, pair.parse().unwrap());
        }
    }
    headers
}

fn of_pairs(pairs: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, pairs.join("; ").parse().unwrap());
    headers
}

fn value(found: &Found<'_>) -> Option<Vec<u8>> {
    match found {
        Found::Value(pieces) => Some(pieces.joined().to_vec()),
        Found::Nothing | Found::Unusable(_) => None,
    }
}

#[test]
fn behind_tls_a_cookie_is_bound_to_the_host() {
    let lines = jar().set("abc", None, None).unwrap();
    let [(name, line)] = lines.as_slice() else {
        panic!("one line");
    };
    assert_eq!(name, SET_COOKIE);
    assert_eq!(line, "__Host-s=abc; Path=/; HttpOnly; Secure; SameSite=Lax");
    assert!(line.is_sensitive());
    let plain = CookieJar::new("s", &public(false, "localhost:8080"), SameSite::Everywhere);
    let lines = plain.set("abc", Some(60), None).unwrap();
    assert_eq!(
        lines[0].1,
        "s=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=60"
    );
}

#[test]
fn instances_on_one_host_have_names_of_their_own() {
    let tags = [
        tag(&public(true, "a.example"), "/_sidegate/"),
        tag(&public(true, "a.example:8443"), "/_sidegate/"),
        tag(&public(false, "a.example"), "/_sidegate/"),
        tag(&public(true, "a.example"), "/auth/"),
    ];
    for (at, one) in tags.iter().enumerate() {
        assert!(!tags[..at].contains(one), "{tags:?}");
    }
}

#[test]
fn a_long_value_is_split_and_its_leftovers_are_taken_away() {
    let long = "x".repeat(MAX_VALUE);
    let lines = jar().set(&long, None, None).unwrap();
    assert_eq!(lines.len(), MAX_PIECES);
    assert!(lines.iter().all(|(_, line)| line.len() <= 4_000));
    let headers = sent(&lines);
    assert_eq!(value(&jar().find(&headers)).unwrap(), long.as_bytes());
    let shorter = jar().set("y", None, Some(&headers)).unwrap();
    let cleared = shorter
        .iter()
        .filter(|(_, line)| line.to_str().unwrap().ends_with("; Max-Age=0"));
    assert_eq!(cleared.count(), MAX_PIECES - 1);
    assert!(jar().set(&"x".repeat(MAX_VALUE + 1), None, None).is_none());
}

#[test]
fn a_cookie_that_stands_twice_is_none() {
    for pairs in [
        &["__Host-s=a", "__Host-s=b"][..],
        &["__Host-s=a", "x=1", "__Host-s=a"],
        &["__Host-s=2~a", "__Host-s.1=b", "__Host-s.1=c"],
    ] {
        let headers = of_pairs(pairs);
        assert!(matches!(
            jar().find(&headers),
            Found::Unusable(Unusable::Doubled)
        ));
    }
}

#[test]
fn a_value_is_read_whole_or_not_at_all() {
    for pairs in [
        &["__Host-s=3~a", "__Host-s.2=c"][..],
        &["__Host-s=2~a"],
        &["__Host-s=9~a", "__Host-s.1=b"],
    ] {
        let headers = of_pairs(pairs);
        assert!(matches!(
            jar().find(&headers),
            Found::Unusable(Unusable::Incomplete)
        ));
    }
    let stray = of_pairs(&["__Host-s.1=b"]);
    assert!(matches!(jar().find(&stray), Found::Nothing));
    let many: Vec<String> = (0..200).map(|at| format!("__Host-s.{at}=x")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(jar().find(&of_pairs(&many)), Found::Nothing));
}

#[test]
fn only_ours_are_stripped() {
    let mut headers = of_pairs(&["a=1", "__Host-s=2~x", "__Host-s.1=y", "__Host-sx=3", "b"]);
    headers.append(COOKIE, "__Host-s=z".parse().unwrap());
    strip(&mut headers, |name| jar().owns(name));
    let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
    assert_eq!(left, ["a=1; __Host-sx=3; b"]);
}

#[test]
fn clearing_takes_away_what_the_browser_has() {
    let lines = jar().clear(&of_pairs(&["__Host-s=2~x", "__Host-s.1=y"]));
    let names: Vec<_> = lines
        .iter()
        .map(|(_, line)| line.to_str().unwrap().split('=').next().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["__Host-s", "__Host-s.1"]);
}

proptest! {
    #[test]
    fn what_is_set_is_found(value_set in "[A-Za-z0-9_-]{1,9000}") {
        let lines = jar().set(&value_set, None, None).unwrap();
        prop_assert_eq!(value(&jar().find(&sent(&lines))).unwrap(), value_set.as_bytes());
    }

    #[test]
    fn no_cookie_header_does_harm(line in r"[ -~]{0,60}") {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, line.parse().unwrap());
        if let Found::Value(pieces) = jar().find(&headers) {
            prop_assert!(pieces.parts().len() <= MAX_PIECES);
        }
        strip(&mut headers, |name| jar().owns(name));
        prop_assert!(matches!(jar().find(&headers), Found::Nothing));
    }
}
