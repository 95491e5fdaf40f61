//! Certificates that another terminator tells. The first byte chooses the form; every further line is a header line, whose own
//! first byte chooses the header. One reading, which a plainer reader agrees with, or none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use sidegate::config::ways::CertificateHeader;
use sidegate::model::certificate::MAX_CHAIN;
use sidegate::net::certificate_header::{
    CLIENT_CERT, CLIENT_CERT_CHAIN, X_FORWARDED_CLIENT_CERT, read,
};
use sidegate::net::http::PeerCertificate;

/// Any bytes.
pub(crate) fn check(data: &[u8]) {
    let Some((form, rest)) = data.split_first() else {
        return;
    };
    let form = match form % 3 {
        0 => CertificateHeader::ClientCert,
        1 => CertificateHeader::ClientCertPem,
        _ => CertificateHeader::XForwardedClientCert,
    };
    let mut headers = HeaderMap::new();
    for line in rest.split(|byte| *byte == b'\n') {
        let Some((which, value)) = line.split_first() else {
            continue;
        };
        let name = match which % 3 {
            0 => CLIENT_CERT,
            1 => CLIENT_CERT_CHAIN,
            _ => X_FORWARDED_CLIENT_CERT,
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    let count = |name| headers.get_all(name).iter().count();
    let said = match form {
        CertificateHeader::ClientCert | CertificateHeader::ClientCertPem => count(CLIENT_CERT),
        CertificateHeader::XForwardedClientCert => count(X_FORWARDED_CLIENT_CERT),
    };
    match read(&headers, form) {
        PeerCertificate::Absent => {
            // nginx sends an empty line for a client without a certificate.
            let empty = form == CertificateHeader::ClientCertPem;
            assert!(said == 0 || (empty && said == 1));
        }
        PeerCertificate::Unusable => assert!(!headers.is_empty()),
        PeerCertificate::Present(chain) => {
            assert_eq!(said, 1, "of two, one was chosen");
            assert!(chain.der().count() <= MAX_CHAIN);
            if form == CertificateHeader::ClientCert {
                let leaf = STANDARD.encode(chain.der().next().expect("a leaf"));
                assert_eq!(
                    headers[CLIENT_CERT].to_str().expect("text").trim(),
                    format!(":{leaf}:")
                );
            }
        }
    }
}
