use http::Request;
use proptest::prelude::*;

use super::*;

fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Head {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn path_of(uri: &str) -> Result<String, Refusal> {
    Target::parse(&head("GET", uri, &[("host", "a")])).map(|target| target.uri().to_string())
}

fn bad(ambiguity: Ambiguity) -> Refusal {
    Refusal::Ambiguous(ambiguity)
}

#[test]
fn a_canonical_target_is_kept_as_it_is() {
    for uri in [
        "/",
        "/a",
        "/a/b?x=/%2f;#",
        "/.well-known/x",
        "/a..b/c.",
        "/a/",
        "/%2A%20é",
        "/*+@",
    ] {
        let expected = uri
            .split('#')
            .next()
            .unwrap_or_default()
            .replace('é', "%C3%A9");
        assert_eq!(path_of(uri), Ok(expected), "{uri}");
    }
    assert!(matches!(canonical_path("/orders/1"), Ok(Cow::Borrowed(_))));
}

#[test]
fn spellings_of_one_path_come_out_the_same() {
    for (given, canonical) in [
        ("/%61dmin", "/admin"),
        ("/%7euser", "/~user"),
        ("/a%2ab", "/a%2Ab"),
        ("/public/../admin", "/admin"),
        ("/public/%2e%2e/admin", "/admin"),
        ("/public/.%2E/admin", "/admin"),
        ("/./admin", "/admin"),
        ("/admin/.", "/admin/"),
        ("/a/b/..", "/a/"),
        ("/a/..", "/"),
        ("/%252e%252e/x", "/%252e%252e/x"),
        ("/a{b}", "/a%7Bb%7D"),
    ] {
        assert_eq!(path_of(given), Ok(canonical.to_owned()), "{given}");
    }
}

#[test]
fn paths_with_more_than_one_reading_are_refused() {
    for path in [
        "//admin",
        "/public//../admin",
        "/public/..%2fadmin",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/public;/../admin",
        "/public/..;/admin",
        "/admin;jsessionid=1",
        "/a%3bb",
        "/a%00",
        "/a%0d%0a",
        "/a%23b",
        "/a%3Fb",
        "/a%7f",
        "/%C0%AF",
        "/%ff",
        "/%",
        "/%4",
        "/%zz",
        "/../admin",
        "/a/../../b",
    ] {
        assert_eq!(path_of(path), Err(bad(Ambiguity::Path)), "{path}");
    }
}

#[test]
fn unicode_is_compared_by_bytes_without_folding() {
    assert_eq!(path_of("/a／b").unwrap(), "/a%EF%BC%8Fb");
    assert_eq!(path_of("/admın").unwrap(), "/adm%C4%B1n");
}

#[test]
fn only_origin_form_or_an_agreeing_absolute_form_is_read() {
    let ok = |uri: &str, host: &str| Target::parse(&head("GET", uri, &[("host", host)]));
    assert_eq!(ok("http://a/x", "a").unwrap().host(), "a");
    assert_eq!(ok("http://A.:80/x", "a").unwrap().host(), "a");
    assert!(ok("https://a/x", "a:443").is_ok());
    assert_eq!(ok("http://b/x", "a").unwrap_err(), bad(Ambiguity::Host));
    assert_eq!(ok("http://a:81/x", "a").unwrap_err(), bad(Ambiguity::Host));
    assert_eq!(ok("ftp://a/x", "a").unwrap_err(), bad(Ambiguity::Target));
    assert_eq!(ok("*", "a").unwrap_err(), bad(Ambiguity::Target));
    assert_eq!(ok("a:443", "a").unwrap_err(), bad(Ambiguity::Target));
    let authority_only = head("GET", "https://A.example:8443/x", &[]);
    assert_eq!(Target::parse(&authority_only).unwrap().host(), "a.example");
    assert_eq!(Target::parse(&authority_only).unwrap().uri(), "/x");
}

#[test]
fn hosts_are_canonical_and_stand_once() {
    let host = |value: &str| {
        Target::parse(&head("GET", "/", &[("host", value)])).map(|target| target.host().to_owned())
    };
    for (given, canonical) in [
        ("EXAMPLE.com", "example.com"),
        ("example.com.", "example.com"),
        ("example.com:8443", "example.com"),
        ("Example.com.:1", "example.com"),
        ("[::1]:8443", "[::1]"),
        ("127.0.0.1", "127.0.0.1"),
    ] {
        assert_eq!(host(given), Ok(canonical.to_owned()), "{given}");
    }
    for odd in [
        "", ".", "a..b", "user@a", "a b", "a/b", "a:", "a:x", "a:99999", "[::1", "[x]", "a,b",
        "a%2eb", "é",
    ] {
        assert_eq!(host(odd), Err(bad(Ambiguity::Host)), "{odd}");
    }
    assert_eq!(
        Target::parse(&head("GET", "/", &[])).unwrap_err(),
        bad(Ambiguity::Host)
    );
    let twice = head("GET", "/", &[("host", "a"), ("host", "a")]);
    assert_eq!(Target::parse(&twice).unwrap_err(), bad(Ambiguity::Host));
}

#[test]
fn singletons_stand_once() {
    let twice = |name: &str| {
        Target::parse(&head(
            "GET",
            "/",
            &[("host", "a"), (name, "1"), (name, "1")],
        ))
    };
    assert_eq!(
        twice("authorization").unwrap_err(),
        bad(Ambiguity::Credentials)
    );
    assert_eq!(
        twice("content-length").unwrap_err(),
        bad(Ambiguity::Framing)
    );
    assert!(twice("accept").is_ok());
}

#[test]
fn a_body_comes_in_chunks_and_in_nothing_else() {
    let parse = |lines: &[&'static str]| {
        let lines = lines.iter().map(|line| ("transfer-encoding", *line));
        let headers: Vec<_> = [("host", "a")].into_iter().chain(lines).collect();
        Target::parse(&head("POST", "/", &headers)).map(drop)
    };
    for fine in [&[][..], &["chunked"], &["Chunked"]] {
        assert_eq!(parse(fine), Ok(()), "{fine:?}");
    }
    for odd in [
        &["gzip, chunked"][..],
        &["chunked, chunked"],
        &[",chunked"],
        &["identity"],
        &[""],
        &["chunked", "chunked"],
        &["gzip", "chunked"],
    ] {
        assert_eq!(parse(odd), Err(bad(Ambiguity::Framing)), "{odd:?}");
    }
}

#[test]
fn connect_and_trace_are_not_allowed() {
    for method in ["CONNECT", "TRACE"] {
        let refused = Target::parse(&head(method, "/", &[("host", "a")]));
        assert_eq!(refused.unwrap_err(), Refusal::MethodNotAllowed);
    }
}

#[test]
fn segments_are_decoded_once_and_a_trailing_slash_is_none() {
    let decoded = |path: &str| segments(path).map(Cow::into_owned).collect::<Vec<_>>();
    assert_eq!(decoded("/a%20b/%252e/"), ["a b", "%2e"]);
    assert!(decoded("/").is_empty());
}

/// Bytes that make paths interesting, as they may stand in a request line.
fn path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/".to_owned()),
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just("%2e".to_owned()),
        Just("%2F".to_owned()),
        Just(";".to_owned()),
        Just("\\".to_owned()),
        Just("admin".to_owned()),
        "[a-zA-Z0-9!$&'()*+,=:@~_-]{1,3}",
        "%[0-9a-fA-F]{2}",
        "%25[0-9a-f]{2}",
        Just("é".to_owned()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn the_canonical_form_is_a_fixed_point(path in path()) {
        if let Ok(once) = canonical_path(&path) {
            let once = once.into_owned();
            let again = canonical_path(&once);
            prop_assert!(matches!(&again, Ok(Cow::Borrowed(same)) if *same == once), "{} -> {:?}", once, again);
        }
    }

    #[test]
    fn no_spelling_hides_a_separator_or_a_dot_segment(path in path()) {
        if let Ok(canonical) = canonical_path(&path) {
            for segment in segments(&canonical) {
                prop_assert!(!segment.is_empty() && segment != "." && segment != "..");
                prop_assert!(!segment.contains(['/', '\\', ';', '#', '?']), "{}", segment);
            }
        }
    }

    #[test]
    fn escaping_any_byte_of_a_name_changes_nothing_a_route_sees(name in "[a-z@:!é*]{1,6}", upper in any::<bool>()) {
        let escaped: String = name.bytes().map(|byte| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") }).collect();
        let (plain, escaped) = (format!("/{name}"), format!("/{escaped}"));
        let plain = canonical_path(&plain).unwrap();
        let escaped = canonical_path(&escaped).unwrap();
        prop_assert_eq!(segments(&plain).collect::<Vec<_>>(), segments(&escaped).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_a_client_writes_panics(path in "\\PC{0,40}") {
        drop(canonical_path(&path));
    }
}
