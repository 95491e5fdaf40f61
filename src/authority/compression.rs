//! Compressed bodies: what clients send with `Content-Encoding`, and what they ask for with `Accept-Encoding`.
//!
//! Inflating stops at the limit of a plain body, so a small body can't become a large one. Answers over TLS are not
//! compressed, as in Elasticsearch: the length of a compressed secret beside text that others choose tells about the secret.

use std::io::{self, Read, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;
use http::{HeaderMap, header};

use super::failure::Failure;

/// The plain body.
///
/// # Errors
/// 413 when it is longer than `limit` bytes, 400 for an encoding that isn't known or a body that isn't what it says.
pub fn inflate(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, Failure> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(encoding) = encodings.next().filter(|_| !body.is_empty()) else {
        return Ok(body);
    };
    let name = encoding.to_str().unwrap_or_default().trim();
    if encodings.next().is_some() {
        return Err(unsupported("several values"));
    }
    if name.eq_ignore_ascii_case("identity") {
        return Ok(body);
    }
    if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
        return read_all(MultiGzDecoder::new(body.as_ref()), limit);
    }
    if name.eq_ignore_ascii_case("deflate") {
        return read_all(ZlibDecoder::new(body.as_ref()), limit);
    }
    Err(unsupported(name))
}

fn unsupported(name: &str) -> Failure {
    Failure::illegal_argument(format!("Content-Encoding header [{name}] is not supported"))
}

fn read_all(decoder: impl Read, limit: usize) -> Result<Bytes, Failure> {
    let mut plain = Vec::new();
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_| Failure::illegal_argument("the compressed request body can't be read"))?;
    if plain.len() > limit {
        return Err(Failure::too_large(limit));
    }
    Ok(plain.into())
}

/// Whether an answer may be gzip (RFC 9110 §12.5.3); `*` stands for it, too.
pub fn wants_gzip(headers: &HeaderMap) -> bool {
    let mut star = false;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for part in value.to_str().unwrap_or_default().split(',') {
            let (name, weight) = part.split_once(';').unwrap_or((part, ""));
            let refused = weight
                .trim()
                .strip_prefix("q=")
                .is_some_and(|weight| weight.parse() == Ok(0.0));
            match name.trim() {
                name if name.eq_ignore_ascii_case("gzip") => return !refused,
                "*" => star = !refused,
                _ => {}
            }
        }
    }
    star
}

/// Compresses an answer; fast rather than small, since answers are a few KiB.
///
/// # Errors
/// Never in memory, but the writer's type says so.
pub fn gzip(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2), Compression::fast());
    encoder.write_all(plain)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, header::HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn what_was_compressed_is_read_and_a_bomb_is_not() {
        let body = Bytes::from(gzip(&[b' '; 100_000]).unwrap());
        assert!(body.len() < 1_000);
        let gzipped = headers(header::CONTENT_ENCODING, "gzip");
        let plain = inflate(&gzipped, body.clone(), 100_000).unwrap();
        assert_eq!(plain.len(), 100_000);
        let failure = inflate(&gzipped, body.clone(), 99_999).unwrap_err();
        assert_eq!(failure.status, 413);
        assert_eq!(inflate(&HeaderMap::new(), body.clone(), 10).unwrap(), body);
    }

    #[test]
    fn broken_and_unknown_encodings_are_refused() {
        let body = Bytes::from_static(b"{}");
        for encoding in ["gzip", "deflate", "br", "gzip, gzip", ""] {
            let failure = inflate(
                &headers(header::CONTENT_ENCODING, encoding),
                body.clone(),
                10,
            );
            assert_eq!(failure.unwrap_err().status, 400, "{encoding}");
        }
    }

    #[test]
    fn gzip_is_sent_only_to_those_who_ask() {
        for (value, wants) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("gzipped", false),
        ] {
            assert_eq!(
                wants_gzip(&headers(header::ACCEPT_ENCODING, value)),
                wants,
                "{value}"
            );
        }
    }
}
