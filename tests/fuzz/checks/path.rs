//! The path canonicaliser: its form is a fixed point, hides nothing, and names what a plain reading of RFC 3986 names.

use percent_encoding::percent_decode_str;
use sidegate::gate::target::canonical_path;

/// Any text as a path.
pub(crate) fn check(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(canonical) = canonical_path(path) else {
        return;
    };
    let again = canonical_path(&canonical).expect("a canonical path is a path");
    assert_eq!(again, canonical, "canonical form is a fixed point");
    for segment in canonical.split('/').skip(1) {
        assert!(!matches!(segment, "." | ".."), "{path:?} -> {canonical}");
        let decoded = percent_decode_str(segment).decode_utf8().expect("UTF-8");
        assert!(
            !decoded.contains(['/', '\\', ';', '#', '?'])
                && !decoded.bytes().any(|byte| byte.is_ascii_control()),
            "{path:?} -> {canonical}"
        );
    }
    assert!(!canonical.contains("//"), "{path:?} -> {canonical}");
    assert_eq!(
        named(&canonical),
        named(path),
        "{path:?} -> {canonical} names something else"
    );
}

/// What a path names: decoded first, then dot segments taken out, as the most trusting server would.
fn named(path: &str) -> Vec<Vec<u8>> {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for segment in decoded.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            segment => kept.push(segment.to_vec()),
        }
    }
    kept
}
