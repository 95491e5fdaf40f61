//! Credentials in all their places: what is read stands in the request as it was read, and what is taken out is gone.
//!
//! The first line is a query, the others are lines of `Authorization`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use sidegate::gate::extract::elsewhere::{in_header, in_query, query_without, run_as};
use sidegate::gate::extract::presented::{
    Negotiate, Presented, api_key_id, decode, unverified_expiry,
};
use sidegate::model::credential::{Credential, Scheme};

/// Any bytes.
pub(crate) fn check(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let query = lines.next().unwrap_or_default();
    if let Ok(query) = std::str::from_utf8(query) {
        in_a_query(query);
    }
    let mut headers = HeaderMap::new();
    let name = HeaderName::from_static("x-key");
    for line in lines {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            continue;
        };
        headers.append(http::header::AUTHORIZATION, value.clone());
        headers.append(&name, value);
        tokens(line);
    }
    let count = headers.get_all(&name).iter().count();
    for negotiate in [Negotiate::Understood, Negotiate::Unknown] {
        match Presented::find(&headers, negotiate) {
            Ok(None) => assert_eq!(count, 0),
            Ok(Some(presented)) => one_line(&headers, &presented, negotiate, count),
            Err(_) => assert!(count > 0),
        }
    }
    if let Ok(Some(_)) = in_header(&headers, &name) {
        assert_eq!(count, 1);
    }
    if let Ok(Some(username)) = run_as(&headers, &name) {
        assert!(count == 1 && !username.is_empty() && !username.contains(char::is_control));
    }
}

fn one_line(headers: &HeaderMap, presented: &Presented<'_>, negotiate: Negotiate, count: usize) {
    assert_eq!(count, 1, "of several, none is chosen");
    let line = headers[http::header::AUTHORIZATION].as_bytes();
    assert!(!line.contains(&b','), "a list was taken for one credential");
    let known: &[Scheme] = match negotiate {
        Negotiate::Understood => &[
            Scheme::Basic,
            Scheme::Bearer,
            Scheme::ApiKey,
            Scheme::Kerberos,
        ],
        Negotiate::Unknown => &[Scheme::Basic, Scheme::Bearer, Scheme::ApiKey],
    };
    assert!(known.contains(&presented.scheme()));
    assert_eq!(
        presented.ticket().is_some(),
        presented.scheme() == Scheme::Kerberos
    );
}

/// What is decoded encodes to what it was decoded from: two spellings of one credential would be two entries of a cache.
fn tokens(token: &[u8]) {
    match decode(Scheme::Basic, token) {
        Some(Credential::Basic { username, password }) => {
            assert!(!username.contains(':'));
            let pair = [username.as_bytes(), password.expose()].join(&b':');
            assert_eq!(STANDARD.encode(pair).as_bytes(), token);
        }
        Some(_) => panic!("another scheme"),
        None => {}
    }
    let id = api_key_id(token);
    assert_eq!(decode(Scheme::ApiKey, token).is_some(), id.is_some());
    if let Some(id) = id {
        assert!(!id.is_empty() && !id.contains(':'));
    }
    for scheme in [Scheme::Certificate, Scheme::Kerberos, Scheme::Anonymous] {
        assert!(decode(scheme, token).is_none());
    }
    let _ = unverified_expiry(token);
}

fn in_a_query(query: &str) {
    let wanted = "key";
    let found = in_query(query, wanted);
    let left = query_without(query, wanted);
    let parameters = |query: &str| {
        form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == wanted)
            .count()
    };
    let left = left.unwrap_or_default();
    assert!(matches!(in_query(&left, wanted), Ok(None)), "{query:?}");
    assert_eq!(parameters(&left), 0, "{query:?} leaves the key: {left:?}");
    if matches!(found, Ok(Some(_))) {
        assert_eq!(parameters(query), 1, "{query:?}");
    }
}
