//! What a client presented, and the fingerprint it is remembered by.

use std::fmt;

use aws_lc_rs::hmac;

use super::clock;
use super::secret::Secret;

/// An unproven claim: exactly one per request.
#[derive(Clone, Debug)]
pub enum Credential {
    /// RFC 7617. The first colon splits; user names hold no control characters.
    Basic {
        /// User name as sent.
        username: String,
        /// Password as sent, byte for byte.
        password: Secret,
    },
    /// RFC 6750: an access token, a service account token or a JWT.
    Bearer(Secret),
    /// Elasticsearch's `ApiKey` scheme: base64 of `id:secret`, as sent.
    ApiKey(Secret),
}

/// The kinds of credential, as a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// HTTP Basic.
    Basic,
    /// Bearer token.
    Bearer,
    /// Elasticsearch API key.
    ApiKey,
    /// Client certificate, exchanged for a token.
    Certificate,
    /// Kerberos ticket, or what it was exchanged for.
    Kerberos,
    /// A browser's session, by its access token.
    Session,
    /// Nothing, on a route that takes that for a fixed credential or for the authority's anonymous user.
    Anonymous,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 7] = [
        Self::Basic,
        Self::Bearer,
        Self::ApiKey,
        Self::Certificate,
        Self::Kerberos,
        Self::Session,
        Self::Anonymous,
    ];

    /// The label used in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::ApiKey => "api_key",
            Self::Certificate => "certificate",
            Self::Kerberos => "kerberos",
            Self::Session => "session",
            Self::Anonymous => "anonymous",
        }
    }
}

impl Credential {
    /// Which scheme this is.
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Basic { .. } => Scheme::Basic,
            Self::Bearer(_) => Scheme::Bearer,
            Self::ApiKey(_) => Scheme::ApiKey,
        }
    }
}

/// The name a credential is cached under: a keyed hash over everything that can change the authority's answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl fmt::Debug for Fingerprint {
    /// A few bytes only: enough to follow an entry through a debug log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "fingerprint:{:02x}{:02x}{:02x}{:02x}",
            self.0[0], self.0[1], self.0[2], self.0[3]
        )
    }
}

impl Fingerprint {
    /// Its place in a table of so many: evenly spread, and foreseeable only with the key. 0 for an empty table.
    pub fn slot(&self, places: usize) -> usize {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        let places = u64::try_from(places.max(1)).unwrap_or(u64::MAX);
        usize::try_from(u64::from_be_bytes(first) % places).unwrap_or(0)
    }
}

/// The random per-process key of all fingerprints. It never leaves the process, so a memory-less attacker can't test guesses.
pub struct FingerprintKey(hmac::Key);

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl FingerprintKey {
    /// A fresh random key.
    pub fn random() -> Self {
        Self(hmac::Key::new(
            hmac::HMAC_SHA256,
            &clock::random_bytes::<32>(),
        ))
    }

    /// HMAC-SHA256 over the length-prefixed parts, so that `("ab", "c")` and `("a", "bc")` differ.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> Fingerprint {
        // One buffer and one pass for anything that fits (a typical header), so that a hit hashes without allocating.
        let mut buffer = [0u8; 512];
        let total: usize = parts.iter().map(|part| part.len() + 8).sum();
        let tag = if total <= buffer.len() {
            let mut at = 0;
            for part in parts {
                buffer[at..at + 8].copy_from_slice(&(part.len() as u64).to_le_bytes());
                at += 8;
                buffer[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            let tag = hmac::sign(&self.0, &buffer[..at]);
            zeroize::Zeroize::zeroize(&mut buffer[..at]);
            tag
        } else {
            let mut context = hmac::Context::with_key(&self.0);
            for part in parts {
                context.update(&(part.len() as u64).to_le_bytes());
                context.update(part);
            }
            context.sign()
        };
        let mut bytes = [0u8; 32];
        bytes.copy_from_slice(tag.as_ref());
        Fingerprint(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_delimited_by_length() {
        let key = FingerprintKey::random();
        assert_ne!(
            key.fingerprint(&[b"ab", b"c"]),
            key.fingerprint(&[b"a", b"bc"])
        );
        assert_ne!(key.fingerprint(&[b"ab"]), key.fingerprint(&[b"ab", b""]));
    }

    #[test]
    fn every_byte_of_a_long_credential_counts() {
        let key = FingerprintKey::random();
        for (length, at) in [(100, 90), (2_000, 1_999), (2_000, 0), (505, 504)] {
            let one = vec![b'x'; length];
            let mut other = one.clone();
            other[at] = b'y';
            assert_ne!(
                key.fingerprint(&[&one]),
                key.fingerprint(&[&other]),
                "{length} {at}"
            );
        }
    }

    #[test]
    fn the_short_and_the_long_way_agree() {
        let key = FingerprintKey::random();
        let part = vec![7u8; 600];
        let mut context = hmac::Context::with_key(&key.0);
        context.update(&5u64.to_le_bytes());
        context.update(b"basic");
        assert_eq!(
            key.fingerprint(&[b"basic"]).0.as_slice(),
            context.sign().as_ref()
        );
        assert_eq!(key.fingerprint(&[&part]), key.fingerprint(&[&part]));
    }

    #[test]
    fn two_processes_share_no_fingerprint() {
        assert_ne!(
            FingerprintKey::random().fingerprint(&[b"a"]),
            FingerprintKey::random().fingerprint(&[b"a"])
        );
    }
}
