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

/// Every certificate of a listener, chosen by SNI; the first is presented when no name fits.
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

    fn covers(&self, server_name: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            // RFC 6125 §6.4.3: a wildcard stands for exactly one label.
            Some(parent) => server_name
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
            None => name == server_name,
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

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = hello.server_name().and_then(|name| {
            let name = name.to_ascii_lowercase();
            self.0.iter().find(|certificate| certificate.covers(&name))
        });
        chosen
            .or_else(|| self.0.first())
            .map(|certificate| Arc::clone(&certificate.key))
    }
}
