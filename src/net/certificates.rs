//! Certificates as read from disk: chain, key, the names they stand for, and when they end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::settings::CertificateFiles;

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file is absent, unreadable, or holds no PEM of the kind wanted.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A file of certificates that holds none.
    #[error("{path}: no certificate in it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Not X.509 that could be read.
    #[error("{path}: not a certificate")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Key and certificate don't belong together, or the key's kind is unknown.
    #[error("{path}: {source}")]
    Rejected {
        /// The file of the certificate.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// One certificate with its key, ready to be presented.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The file the chain came from; the label in metrics.
    pub name: String,
    /// End of validity of the leaf, in seconds since the Unix epoch.
    pub not_after: i64,
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// Every certificate of a listener, chosen by SNI (RFC 6066 §3): one with the very name goes before one with a wildcard, and the
/// first is presented when no name fits. Of several, the first whose key makes signatures that the client knows is taken.
#[derive(Debug)]
pub struct Certificates(Box<[Certificate]>);

/// Reads all certificates of a PEM file.
///
/// # Errors
/// When the file can't be read or holds none.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let unreadable = |source| CertificateError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if chain.is_empty() {
        return Err(CertificateError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(chain)
}

/// Reads the private key of a PEM file.
///
/// # Errors
/// When the file can't be read or holds none.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| CertificateError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

// === impl Certificate ===

impl Certificate {
    /// Reads chain and key and checks that they belong together.
    ///
    /// # Errors
    /// One [`CertificateError`] per cause, naming the file.
    pub fn read(
        files: &CertificateFiles,
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let path = &files.certificate;
        let chain = read_chain(path)?;
        let key = read_key(&files.key)?;
        let (names, not_after) = describe(&chain[0])
            .ok_or_else(|| CertificateError::Malformed { path: path.clone() })?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|source| {
            CertificateError::Rejected {
                path: path.clone(),
                source,
            }
        })?;
        Ok(Self {
            name: path.display().to_string(),
            not_after,
            names,
            key: Arc::new(key),
        })
    }

    /// The chain as presented, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    fn is_named(&self, server_name: &str) -> bool {
        self.names.iter().any(|name| name == server_name)
    }

    /// RFC 6125 §6.4.3: a wildcard stands for exactly one label.
    fn covers(&self, server_name: &str) -> bool {
        let parent = server_name
            .split_once('.')
            .and_then(|(label, parent)| (!label.is_empty()).then_some(parent));
        parent.is_some_and(|parent| {
            let mut wildcards = self.names.iter().filter_map(|name| name.strip_prefix("*."));
            wildcards.any(|name| name == parent)
        })
    }
}

/// DNS names (lower case) and end of validity of a leaf.
fn describe(leaf: &CertificateDer<'_>) -> Option<(Vec<String>, i64)> {
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let names = parsed
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|extension| {
            extension
                .value
                .general_names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                    _ => None,
                })
                .collect()
        })
        .unwrap_or_default();
    Some((names, parsed.validity().not_after.timestamp()))
}

// === impl Certificates ===

impl Certificates {
    /// Reads every pair; the order is kept.
    ///
    /// # Errors
    /// The first pair that can't be used.
    pub fn read(
        files: &[CertificateFiles],
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        files
            .iter()
            .map(|files| Certificate::read(files, provider))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.0.iter()
    }
}

impl Certificates {
    /// The certificate for a server name, of those that are `usable`; of none, the first.
    fn choose(
        &self,
        server_name: Option<&str>,
        usable: impl Fn(&Certificate) -> bool,
    ) -> Option<&Certificate> {
        let wanted = server_name.map(|name| {
            let name = name.strip_suffix('.').unwrap_or(name);
            name.to_ascii_lowercase()
        });
        let first = |fits: fn(&Certificate, &str) -> bool| {
            let wanted = wanted.as_deref()?;
            let mut fitting = self.iter().filter(|one| fits(one, wanted));
            fitting.find(|one| usable(one))
        };
        first(Certificate::is_named)
            .or_else(|| first(Certificate::covers))
            .or_else(|| self.iter().find(|one| usable(one)))
            .or_else(|| self.0.first())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let known = hello.signature_schemes();
        let usable = |one: &Certificate| one.key.key.choose_scheme(known).is_some();
        self.choose(hello.server_name(), usable)
            .map(|certificate| Arc::clone(&certificate.key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificates(of: &[&[&str]]) -> Certificates {
        let one = |(at, names): (usize, &&[&str])| {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let leaf = CertificateParams::new(names).unwrap().self_signed(&key);
            let der = leaf.unwrap().der().clone();
            let (names, not_after) = describe(&der).unwrap();
            let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            let key = CertifiedKey::from_der(vec![der], secret, &provider).unwrap();
            Certificate {
                name: at.to_string(),
                not_after,
                names,
                key: Arc::new(key),
            }
        };
        Certificates(of.iter().enumerate().map(one).collect())
    }

    fn chosen(of: &Certificates, name: Option<&str>) -> usize {
        let found = of.choose(name, |_| true).unwrap();
        found.name.parse().unwrap()
    }

    #[test]
    fn the_very_name_goes_before_a_wildcard_and_the_first_stands_for_the_rest() {
        let all = certificates(&[
            &["first.test"],
            &["*.Shop.test"],
            &["cart.shop.test", "127.0.0.1"],
        ]);
        for (name, expected) in [
            (Some("FIRST.test"), 0),
            (Some("a.shop.test"), 1),
            (Some("A.SHOP.test."), 1),
            (Some("cart.shop.TEST"), 2),
            // One label, and not none.
            (Some("a.b.shop.test"), 0),
            (Some("shop.test"), 0),
            (Some(".shop.test"), 0),
            (Some("unknown.test"), 0),
            // RFC 6066 §3: an address is no server name.
            (Some("127.0.0.1"), 0),
            (None, 0),
        ] {
            assert_eq!(chosen(&all, name), expected, "{name:?}");
        }
    }

    #[test]
    fn a_key_whose_signatures_the_client_does_not_know_is_passed_over() {
        let all = certificates(&[&["a.test"], &["a.test"], &["*.test"]]);
        let of = |usable: &[&str]| {
            let found = all.choose(Some("a.test"), |one| usable.contains(&one.name.as_str()));
            found.unwrap().name.clone()
        };
        assert_eq!(of(&["0", "1", "2"]), "0");
        assert_eq!(of(&["1", "2"]), "1");
        assert_eq!(of(&["2"]), "2");
        assert_eq!(of(&[]), "0", "the handshake then fails as it has to");
    }

    proptest! {
        #[test]
        fn whatever_name_is_asked_for_some_certificate_is_presented(name in "\\PC{0,60}") {
            let all = certificates(&[&["a.test"], &["*.a.test"]]);
            prop_assert!(chosen(&all, Some(&name)) < 2);
        }
    }
}
