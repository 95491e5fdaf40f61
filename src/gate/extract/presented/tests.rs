//! What is read out of an `Authorization` line, and what is not.

use super::*;

fn find(lines: &[&[u8]]) -> Result<Option<(Scheme, Fingerprint)>, Refusal> {
    thread_local!(static KEY: FingerprintKey = FingerprintKey::random());
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("authorization", HeaderValue::from_bytes(line).unwrap());
    }
    let found = Presented::find(&headers, Negotiate::Unknown)?;
    found
        .map(|presented| {
            let of = |key: &FingerprintKey| {
                presented.claim(key)?;
                Ok((presented.scheme(), presented.fingerprint(key)))
            };
            KEY.with(of)
        })
        .transpose()
}

fn basic_of(pair: &[u8]) -> Vec<u8> {
    format!("Basic {}", STANDARD.encode(pair)).into_bytes()
}

#[test]
fn no_header_is_no_credential() {
    assert!(find(&[]).unwrap().is_none());
}

#[test]
fn undecodable_credentials_are_malformed() {
    let huge = format!("Basic {}", "A".repeat(1_000_000));
    for line in [
        &b""[..],
        b"Basic",
        b"Basic ",
        b"Basic  YTpi",
        b"Basic\tYTpi",
        b"Basic !!!!",
        b"Basic YTpi=",
        b"Basic YTp",
        b"Basic YWI=",
        b"Basic YTpi YTpi",
        b"Bearer ",
        b"Bearer a b",
        b"ApiKey abc",
        b"ApiKey YWI=",
        b"ApiKey OmI=",
        b"Digest x",
        b"Negotiate YTpi",
        b"Basic \xff",
        huge.as_bytes(),
    ] {
        let refused = find(&[line]).unwrap_err();
        assert!(
            matches!(refused, Refusal::MalformedCredential { .. }),
            "{line:?} {refused:?}"
        );
    }
}

#[test]
fn control_characters_and_invalid_utf8_are_refused() {
    for pair in [
        &b"a\0:b"[..],
        b"a:b\0",
        b"a:b\r\n",
        b"a\x7f:b",
        b"\xff:b",
        b"a:\xff",
        b":b",
    ] {
        assert!(find(&[&basic_of(pair)]).is_err(), "{pair:?}");
    }
}

#[test]
fn the_first_colon_splits_and_every_byte_is_kept() {
    let line = basic_of("bøb:a:b c€ ".as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_bytes(&line).unwrap());
    let presented = Presented::find(&headers, Negotiate::Unknown);
    let claim = presented.unwrap().unwrap().claim(&FingerprintKey::random());
    match claim.unwrap().proof {
        Proof::Direct(Credential::Basic { username, password }) => {
            assert_eq!(username, "bøb");
            assert_eq!(password, Secret::from("a:b c€ "));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn more_than_one_credential_is_ambiguous() {
    for lines in [
        &[&b"Basic YTpi"[..], b"Basic YTpi"][..],
        &[b"Basic YTpi", b"Bearer x"],
        &[b"Basic YTpi, Bearer y"],
    ] {
        assert_eq!(find(lines), Err(Refusal::Ambiguous(Ambiguity::Credentials)));
    }
}

#[test]
fn spellings_of_a_scheme_share_a_fingerprint_and_schemes_do_not() {
    let of = |line: &[u8]| find(&[line]).unwrap().unwrap();
    assert_eq!(of(b"bAsIc YTpi"), of(b"Basic YTpi"));
    assert_eq!(of(b"APIKEY YTpi"), of(b"ApiKey YTpi"));
    assert_ne!(of(b"ApiKey YTpi").1, of(b"Basic YTpi").1);
    assert_ne!(of(b"Bearer YTpi").1, of(b"Basic YTpi").1);
}

#[test]
fn long_credentials_that_differ_late_do_not_share_a_fingerprint() {
    let of = |pair: &str| find(&[&basic_of(pair.as_bytes())]).unwrap().unwrap().1;
    let user = "u".repeat(60);
    assert_ne!(of(&format!("{user}:a")), of(&format!("{user}:b")));
    let password = "p".repeat(90);
    assert_ne!(
        of(&format!("a:{password}x{password}")),
        of(&format!("a:{password}y{password}"))
    );
    assert_ne!(of("ab:c"), of("a:bc"));
}

#[test]
fn whoever_acts_as_another_shares_no_fingerprint() {
    let key = FingerprintKey::random();
    let of = |token: &'static [u8], run_as: Option<&'static str>| {
        let presented = Presented::api_key(token).unwrap().running_as(run_as);
        (
            presented.fingerprint(&key),
            presented.token_fingerprint(&key),
        )
    };
    let all = [
        of(b"YTpi", None).0,
        of(b"YTpi", Some("bob")).0,
        of(b"YTpi", Some("bo")).0,
        of(b"YTpj", Some("bob")).0,
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "{at}");
    }
    assert_eq!(of(b"YTpi", None).1, of(b"YTpi", Some("bob")).1);
}

#[test]
fn negotiate_is_a_scheme_only_where_it_is_understood() {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "negotiate YTpi".parse().unwrap());
    assert!(Presented::find(&headers, Negotiate::Unknown).is_err());
    let found = Presented::find(&headers, Negotiate::Understood)
        .unwrap()
        .unwrap();
    assert_eq!(found.ticket(), Some(&b"YTpi"[..]));
}

#[test]
fn a_jwts_expiry_is_read_and_anything_else_has_none() {
    let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
    assert_eq!(
        unverified_expiry(jwt(r#"{"exp":1000}"#).as_bytes()),
        Some(Duration::from_secs(1_000))
    );
    for token in [
        jwt("{}"),
        jwt(r#"{"exp":-1}"#),
        jwt(r#"{"exp":1e300}"#),
        jwt("x"),
        "a.b".into(),
        "a.b.c.d".into(),
        "opaque".into(),
    ] {
        assert_eq!(unverified_expiry(token.as_bytes()), None, "{token}");
    }
}
