//! Client certificates at a TLS handshake: who is believed, and what is left of it later.
//!
//! Always true: a certificate that is sent is verified (chain, validity, purpose, revocation) or the handshake fails, in
//! optional mode too. A resumed session brings the chain of the full handshake along and is verified again, because a ticket
//! outlives revocation lists; so is a connection whose listener read new files since.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificates::{CertificateError, read_chain};
use crate::config::ways::{ClientCertificateMode, ClientCertificates};
use crate::model::certificate::{CertificateChain, MAX_CHAIN};

/// Certificates a client may send at most, in whatever order.
const MAX_PRESENTED: usize = 2 * MAX_CHAIN;

/// Who verifies.
pub type Verifier = Arc<dyn ClientCertVerifier>;

/// Reads the files and makes a verifier.
///
/// Revocation is strict: with lists, every certificate of a chain needs one that covers it and has not expired.
///
/// # Errors
/// [`CertificateError`] naming the file.
pub fn verifier(
    settings: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, CertificateError> {
    let rejected = |path: &Path, source| CertificateError::Rejected {
        path: path.to_owned(),
        source,
    };
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(&settings.ca)? {
        roots
            .add(certificate)
            .map_err(|source| rejected(&settings.ca, source))?;
    }
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if let Some(path) = &settings.crl {
        builder = builder
            .with_crls(read_lists(path)?)
            .enforce_revocation_expiration();
    }
    if settings.mode == ClientCertificateMode::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| {
        let path = settings.crl.as_deref().unwrap_or(&settings.ca);
        rejected(path, rustls::Error::General(error.to_string()))
    })
}

fn read_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, CertificateError> {
    let unreadable = |source| CertificateError::Unreadable {
        path: path.to_owned(),
        source,
    };
    CertificateRevocationListDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)
}

/// Whether a chain that was verified once is still good.
pub fn still_holds(
    verifier: &dyn ClientCertVerifier,
    presented: &[CertificateDer<'static>],
    now: Duration,
) -> bool {
    presented.split_first().is_some_and(|(leaf, rest)| {
        verifier
            .verify_client_cert(leaf, rest, UnixTime::since_unix_epoch(now))
            .is_ok()
    })
}

/// The chain in order: the leaf, then each one's issuer as far as it was sent. What belongs to no such line is left out, and so
/// is a root: whoever judges the chain brings its own. `None` when something is no certificate.
pub fn ordered(presented: &[CertificateDer<'_>]) -> Option<CertificateChain> {
    if presented.len() > MAX_PRESENTED {
        return None;
    }
    let parsed: Vec<X509Certificate<'_>> = presented
        .iter()
        .map(|der| Some(X509Certificate::from_der(der).ok()?.1))
        .collect::<Option<_>>()?;
    let leaf = parsed.first()?;
    let not_after = u64::try_from(leaf.validity().not_after.timestamp()).ok()?;
    let mut order = vec![0];
    while let Some(last) = order.last().and_then(|at| parsed.get(*at)) {
        let issuer = parsed.iter().enumerate().position(|(at, candidate)| {
            !order.contains(&at)
                && candidate.subject().as_raw() == last.issuer().as_raw()
                && candidate.subject().as_raw() != candidate.issuer().as_raw()
        });
        match issuer {
            Some(at) if order.len() < MAX_CHAIN => order.push(at),
            Some(_) | None => break,
        }
    }
    let der = order
        .iter()
        .filter_map(|at| Some(Box::from(presented.get(*at)?.as_ref())))
        .collect();
    CertificateChain::new(der, Duration::from_secs(not_after))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    /// Root, intermediate and leaf.
    fn chain() -> [CertificateDer<'static>; 3] {
        let named = |name: &str, ca: bool| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            if ca {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
            params
        };
        let keys: [KeyPair; 3] = std::array::from_fn(|_| KeyPair::generate().unwrap());
        let (root, middle, leaf) = (
            named("root", true),
            named("middle", true),
            named("leaf", false),
        );
        let top = root.self_signed(&keys[0]).unwrap().der().clone();
        let root = Issuer::from_params(&root, &keys[0]);
        let second = middle.signed_by(&keys[1], &root).unwrap().der().clone();
        let middle = Issuer::from_params(&middle, &keys[1]);
        let third = leaf.signed_by(&keys[2], &middle).unwrap().der().clone();
        [top, second, third]
    }

    #[test]
    fn a_chain_is_put_in_order_without_root_and_strangers() {
        let ([root, middle, leaf], [_, stranger, _]) = (chain(), chain());
        let presented = [leaf.clone(), root, stranger, middle.clone()];
        let chain = ordered(&presented).unwrap();
        // The stranger has the same name as the issuer; whichever was taken, the leaf stays the leaf.
        assert_eq!(chain.der().next(), Some(leaf.as_ref()));
        assert_eq!(chain.der().count(), 2);
        let tidy = ordered(&[leaf, middle.clone()]).unwrap();
        assert_eq!(tidy.der().nth(1), Some(middle.as_ref()));
    }

    #[test]
    fn what_is_no_certificate_makes_no_chain() {
        let [_, _, leaf] = chain();
        assert!(ordered(&[]).is_none());
        assert!(ordered(&[CertificateDer::from(vec![1, 2, 3])]).is_none());
        assert!(ordered(&[leaf.clone(), CertificateDer::from(vec![])]).is_none());
        assert!(ordered(&vec![leaf; MAX_PRESENTED + 1]).is_none());
    }
}
