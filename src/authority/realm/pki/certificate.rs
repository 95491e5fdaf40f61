//! A certificate chain as somebody presents it, and who presents it for whom.
//!
//! Always true: every certificate in it is X.509 that could be read; nothing about it is trusted.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::dn;

/// Certificates of a chain at most.
pub const MAX_CHAIN: usize = 10;

/// Somebody who hands in the chain of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegator {
    /// Their user name.
    pub username: String,
    /// The name of the realm that authenticated them.
    pub realm: String,
}

/// A chain, leaf first.
#[derive(Clone, Debug)]
pub struct Chain {
    der: Vec<CertificateDer<'static>>,
    /// The leaf's subject as Java prints it, such as `CN=joe, OU=people, O=acme`.
    pub dn: String,
    /// Who hands it in; `None`: it is the connection's own, and the TLS listener verified it.
    pub delegator: Option<Delegator>,
    /// Subject and issuer of each certificate.
    names: Vec<(String, String)>,
    not_after: i64,
}

impl Chain {
    /// Reads the certificates; `None`: one of them is none, or there are none or too many.
    pub fn parse(der: Vec<CertificateDer<'static>>, delegator: Option<Delegator>) -> Option<Self> {
        if der.is_empty() || der.len() > MAX_CHAIN {
            return None;
        }
        let mut names = Vec::with_capacity(der.len());
        let mut not_after = i64::MAX;
        for certificate in &der {
            let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
            if !rest.is_empty() {
                return None;
            }
            names.push((dn::render(parsed.subject()), dn::render(parsed.issuer())));
            not_after = not_after.min(parsed.validity().not_after.timestamp());
        }
        Some(Self {
            dn: names.first()?.0.clone(),
            der,
            delegator,
            names,
            not_after,
        })
    }

    /// When the first of them ends, in seconds since the Unix epoch.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// The certificates, leaf first.
    pub fn der(&self) -> &[CertificateDer<'static>] {
        &self.der
    }

    /// Whether each certificate was issued by the next, going by their names.
    pub fn is_ordered(&self) -> bool {
        self.names
            .windows(2)
            .all(|pair| pair[0].1.eq_ignore_ascii_case(&pair[1].0))
    }
}
