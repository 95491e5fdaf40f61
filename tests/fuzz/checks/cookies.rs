//! Cookie headers, one per line of the input: what is ours is found whole or not at all, and none of it travels on.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use sidegate::config::sso::PublicUrl;
use sidegate::model::secret::Secret;
use sidegate::session::cookie::{CookieJar, Found, MAX_PIECES, SameSite, cookies, strip};
use sidegate::session::keyring::Keyring;

/// Any bytes.
pub(crate) fn check(data: &[u8]) {
    let url = PublicUrl {
        secure: true,
        authority: "app.test".into(),
    };
    let jar = CookieJar::new("s", &url, SameSite::Lax);
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    let ours = |name: &[u8]| jar.owns(name);
    if let Found::Value(pieces) = jar.find(&headers) {
        assert!((1..=MAX_PIECES).contains(&pieces.parts().len()));
        let value = pieces.joined();
        assert!(!value.is_empty());
        let keyring = Keyring::new(&[], &Secret::from("0123456789abcdef0123456789abcdef"));
        assert!(keyring.open_text("session", &value, b"app").is_none());
    }
    let others = |headers: &HeaderMap| {
        cookies(headers)
            .filter(|(name, value)| !(jar.owns(name) || name.is_empty() && value.is_empty()))
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect::<Vec<_>>()
    };
    let before = others(&headers);
    let untouched = (!cookies(&headers).any(|(name, _)| ours(name))).then(|| headers.clone());
    let clear = jar.clear(&headers);
    assert!(!clear.is_empty() && clear.len() <= MAX_PIECES);
    strip(&mut headers, ours);
    assert!(matches!(jar.find(&headers), Found::Nothing));
    assert_eq!(
        others(&headers),
        before,
        "a cookie of somebody else's changed"
    );
    if let Some(untouched) = untouched {
        assert_eq!(headers, untouched, "nothing was ours");
    }
    round_trip(&jar, data);
}

/// A value that can be set comes back as it was.
fn round_trip(jar: &CookieJar, data: &[u8]) {
    let Ok(value) = std::str::from_utf8(data) else {
        return;
    };
    // Values that are set are base64.
    if !value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~'))
    {
        return;
    }
    // Such a beginning tells of pieces, and no sealed value has it.
    if value.as_bytes().get(1) == Some(&b'~') {
        return;
    }
    let Some(lines) = jar.set(value, None, None) else {
        return;
    };
    let mut headers = HeaderMap::new();
    for (_, line) in &lines {
        let line = line.to_str().expect("text");
        let pair = line.split(';').next().expect("a pair");
        headers.append(COOKIE, pair.parse().expect("a value"));
    }
    match jar.find(&headers) {
        Found::Value(pieces) => assert_eq!(pieces.joined().as_slice(), value.as_bytes()),
        other => panic!("{other:?}"),
    }
}
