//! A client's certificate as whoever terminated TLS verified it.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest;

/// Certificates of one chain at most; real ones have two to four.
pub const MAX_CHAIN: usize = 10;

/// A chain of DER certificates, leaf first, each issued by the next. Never empty, never longer than [`MAX_CHAIN`].
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateChain {
    der: Box<[Box<[u8]>]>,
    sha256: [u8; 32],
    not_after: Duration,
}

impl CertificateChain {
    /// A chain in order; `not_after` is the end of the leaf's validity in time since the Unix epoch. `None` when it is empty or
    /// too long.
    pub fn new(der: Vec<Box<[u8]>>, not_after: Duration) -> Option<Self> {
        if der.len() > MAX_CHAIN {
            return None;
        }
        let hash = digest::digest(&digest::SHA256, der.first()?);
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(hash.as_ref());
        Some(Self {
            der: der.into(),
            sha256,
            not_after,
        })
    }

    /// The certificates, leaf first.
    pub fn der(&self) -> impl Iterator<Item = &[u8]> {
        self.der.iter().map(AsRef::as_ref)
    }

    /// SHA-256 of the leaf: what the certificate is known by.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// End of the leaf's validity, in time since the Unix epoch.
    pub fn not_after(&self) -> Duration {
        self.not_after
    }
}

impl fmt::Debug for CertificateChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.sha256;
        write!(
            f,
            "certificate:{a:02x}{b:02x}{c:02x}{d:02x}+{}",
            self.der.len() - 1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_neither_empty_nor_endless() {
        let chain = |length: usize| {
            CertificateChain::new(vec![Box::from(*b"x"); length], Duration::from_secs(1))
        };
        assert!(chain(0).is_none() && chain(MAX_CHAIN + 1).is_none());
        assert_eq!(chain(MAX_CHAIN).unwrap().der().count(), MAX_CHAIN);
    }

    #[test]
    fn a_chain_is_known_by_its_leaf() {
        let of = |ders: &[&[u8]]| {
            let ders = ders.iter().map(|der| Box::from(*der)).collect();
            *CertificateChain::new(ders, Duration::ZERO)
                .unwrap()
                .sha256()
        };
        assert_eq!(of(&[b"leaf", b"a"]), of(&[b"leaf", b"b"]));
        assert_ne!(of(&[b"leaf"]), of(&[b"other"]));
    }
}
