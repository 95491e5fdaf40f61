//! The certificates this process serves with, as `GET /_ssl/certificates` tells them.
//!
//! Whoever loads certificates says so here, at start and at each reload; the authority itself opens no file. Private keys are
//! never here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::X509Name;

/// One certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Certificate {
    /// The file it was read from.
    pub path: PathBuf,
    /// Its name in a key store; PEM files have none.
    pub alias: Option<String>,
    /// `PEM`
    pub format: &'static str,
    /// Subject, as Java prints it.
    pub subject_dn: String,
    /// Hexadecimal.
    pub serial_number: String,
    /// Whether its private key is here: the first of a chain.
    pub has_private_key: bool,
    /// End of validity, ISO 8601 in UTC.
    pub expiry: String,
    /// Issuer, as Java prints it.
    pub issuer: String,
}

/// What is in use now. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct InUse(Arc<ArcSwap<Vec<Certificate>>>);

impl InUse {
    /// Replaces the list.
    pub fn set(&self, mut certificates: Vec<Certificate>) {
        certificates.sort();
        certificates.dedup();
        self.0.store(Arc::new(certificates));
    }

    /// The list, ordered by file.
    pub fn list(&self) -> Arc<Vec<Certificate>> {
        self.0.load_full()
    }
}

/// Describes a chain read from `path`, leaf first; `has_key`: the leaf's private key is here, too. What is no certificate is
/// left out.
pub fn describe(path: &Path, chain: &[CertificateDer<'_>], has_key: bool) -> Vec<Certificate> {
    chain
        .iter()
        .enumerate()
        .filter_map(|(index, der)| {
            let (_, parsed) = X509Certificate::from_der(der).ok()?;
            Some(Certificate {
                path: path.to_owned(),
                alias: None,
                format: "PEM",
                subject_dn: name(parsed.subject()),
                serial_number: hex(parsed.raw_serial()),
                has_private_key: has_key && index == 0,
                expiry: iso(parsed.validity().not_after.to_datetime()),
                issuer: name(parsed.issuer()),
            })
        })
        .collect()
}

/// `CN=leaf, O=org`: last part first, as RFC 2253 §2.1 says and Java prints.
fn name(name: &X509Name<'_>) -> String {
    let text = name.to_string();
    let mut parts: Vec<&str> = text.split(", ").collect();
    parts.reverse();
    parts.join(", ")
}

/// Without leading zeros, which DER adds for the sign.
fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() { "0" } else { trimmed }.to_owned()
}

fn iso(time: OffsetDateTime) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.000Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_told_with_its_key_at_the_leaf() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        let names = &mut parameters.distinguished_name;
        names.push(rcgen::DnType::OrganizationName, "Example");
        names.push(rcgen::DnType::CommonName, "node-1");
        parameters.serial_number = Some(vec![0, 0x0a, 0xbc].into());
        parameters.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let certificate = parameters.self_signed(&key).unwrap();
        let chain = [certificate.der().clone(), certificate.der().clone()];
        let told = describe(Path::new("/tls.crt"), &chain, true);
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].subject_dn, "CN=node-1, O=Example");
        assert_eq!(told[0].issuer, told[0].subject_dn);
        assert_eq!(told[0].serial_number, "abc");
        assert_eq!(told[0].expiry, "2031-02-03T00:00:00.000Z");
        assert!(told[0].has_private_key && !told[1].has_private_key);
        assert!(describe(Path::new("/x"), &[CertificateDer::from(vec![1, 2])], true).is_empty());
    }
}
