//! The name of one request, in the log, in the reply, and at the upstream.

use std::cell::Cell;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::model::clock;

/// `X-Request-Id`
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id taken over from a trusted proxy.
const MAX_LENGTH: usize = 128;

thread_local! {
    /// A random beginning per worker and a counter: unique without asking the operating system per request.
    static NEXT: Cell<(u64, u64)> = Cell::new((u64::from_le_bytes(clock::random_bytes()), 0));
}

/// The id a trusted proxy gave, if it is a sane one, else a fresh one of 32 hex digits.
pub fn request_id(headers: &HeaderMap, trusted: bool) -> HeaderValue {
    if trusted {
        let mut given = headers.get_all(X_REQUEST_ID).iter();
        if let (Some(id), None) = (given.next(), given.next())
            && is_sane(id)
        {
            return id.clone();
        }
    }
    fresh()
}

fn is_sane(id: &HeaderValue) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        && id
            .as_bytes()
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(byte))
}

fn fresh() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let (random, count) = NEXT.get();
    NEXT.set((random, count.wrapping_add(1)));
    // Spread the counter, so that ids don't look like a sequence: splitmix64's finaliser is a bijection.
    let mut mixed = count.wrapping_add(random) ^ 0x9e37_79b9_7f4a_7c15;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let mut text = [0u8; 32];
    let bytes = random.to_be_bytes().into_iter().chain(mixed.to_be_bytes());
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn fresh_ids_are_unique_and_printable() {
        let ids: HashSet<_> = (0..10_000).map(|_| fresh()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(is_sane));
    }

    #[test]
    fn only_a_trusted_and_sane_id_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_static("abc-1"));
        assert_eq!(request_id(&headers, true), "abc-1");
        assert_ne!(request_id(&headers, false), "abc-1");
        headers.insert(X_REQUEST_ID, HeaderValue::from_static("a b<script>"));
        assert_ne!(request_id(&headers, true), "a b<script>");
        headers.insert(X_REQUEST_ID, HeaderValue::from_static("one"));
        headers.append(X_REQUEST_ID, HeaderValue::from_static("two"));
        assert_eq!(request_id(&headers, true).len(), 32);
    }
}
