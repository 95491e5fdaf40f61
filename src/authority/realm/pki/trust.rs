//! Which chains are trusted: validated by RFC 5280 against the realm's CAs, for client authentication, with revocation lists
//! where there are any.
//!
//! Always true: with revocation lists, every CA of a chain needs a current one (a chain whose status is unknown is refused).
//! Files are read again when they change; what can't be read leaves the former trust in force.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use super::certificate::Chain;
use crate::authority::realm::watch::Watch;
use crate::config::realms::PkiRealm as Settings;
use crate::model::clock::Now;
use crate::net::certificates::{CertificateError, read_chain};

/// Why trust can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file of CAs.
    #[error("certificate_authorities: {0}")]
    Authorities(#[from] CertificateError),
    /// A file of revocation lists.
    #[error("certificate_revocation_lists: {path}: {source}")]
    Lists {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// A file of revocation lists without one.
    #[error("certificate_revocation_lists: {0}: no revocation list in it")]
    NoList(PathBuf),
    /// rustls refuses them together.
    #[error("the certificates can't be used: {0}")]
    Refused(String),
}

/// A verifier, and the number of times it was replaced.
struct Current {
    verifier: Arc<dyn ClientCertVerifier>,
    /// When the first revocation list is out of date, in seconds since the Unix epoch.
    until: i64,
    generation: u64,
}

/// The realm's trust.
pub struct Trust {
    current: Arc<ArcSwap<Current>>,
    _watch: Watch,
}

impl Trust {
    /// Reads the files, and again whenever they change.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(realm: &str, settings: &Settings) -> Result<Self, TrustError> {
        let (first, until) = verifier(settings)?;
        let first = Current {
            verifier: first,
            until,
            generation: 0,
        };
        let current = Arc::new(ArcSwap::from_pointee(first));
        let files = [
            settings.authorities.clone(),
            settings.revocation_lists.clone(),
        ]
        .concat();
        let (shared, settings, realm) = (Arc::clone(&current), settings.clone(), realm.to_owned());
        let watch = Watch::start(&files, move || match verifier(&settings) {
            Ok((verifier, until)) => {
                let generation = shared.load().generation.wrapping_add(1);
                shared.store(Arc::new(Current {
                    verifier,
                    until,
                    generation,
                }));
                tracing::info!(realm, "trusted certificates were read again");
            }
            Err(error) => {
                tracing::warn!(realm, %error, "trusted certificates can't be read, the former ones stay");
            }
        });
        Ok(Self {
            current,
            _watch: watch,
        })
    }

    /// Changes whenever the files did.
    pub fn generation(&self) -> u64 {
        self.current.load().generation
    }

    /// Until when what is validated now holds, in seconds since the Unix epoch: the lists tell nothing about later.
    pub fn until(&self) -> i64 {
        self.current.load().until
    }

    /// Validates a chain.
    ///
    /// # Errors
    /// Why not, for the log.
    pub fn check(&self, chain: &Chain, now: Now) -> Result<(), rustls::Error> {
        let (leaf, intermediates) = chain
            .der()
            .split_first()
            .ok_or(rustls::Error::NoCertificatesPresented)?;
        let now = UnixTime::since_unix_epoch(now.unix);
        let current = self.current.load();
        current
            .verifier
            .verify_client_cert(leaf, intermediates, now)
            .map(drop)
    }
}

/// A verifier, and when the first of its revocation lists is out of date.
fn verifier(settings: &Settings) -> Result<(Arc<dyn ClientCertVerifier>, i64), TrustError> {
    let refused = |error: &dyn std::fmt::Display| TrustError::Refused(error.to_string());
    let mut roots = RootCertStore::empty();
    for path in &settings.authorities {
        for certificate in read_chain(path)? {
            roots.add(certificate).map_err(|error| refused(&error))?;
        }
    }
    let mut lists = Vec::new();
    for path in &settings.revocation_lists {
        let fault = |source| TrustError::Lists {
            path: path.clone(),
            source,
        };
        let before = lists.len();
        for list in CertificateRevocationListDer::pem_file_iter(path).map_err(fault)? {
            lists.push(list.map_err(fault)?);
        }
        if lists.len() == before {
            return Err(TrustError::NoList(path.clone()));
        }
    }
    let until = lists.iter().filter_map(next_update).min();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build()
        .map(|verifier| (verifier, until.unwrap_or(i64::MAX)))
        .map_err(|error| refused(&error))
}

/// When the next list is due; rustls refuses lists that don't say.
fn next_update(list: &CertificateRevocationListDer<'static>) -> Option<i64> {
    let (_, list) = CertificateRevocationList::from_der(list.as_ref()).ok()?;
    list.next_update().map(|due| due.timestamp())
}
