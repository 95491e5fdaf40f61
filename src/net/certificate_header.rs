//! A client's certificate as another TLS terminator tells it: RFC 9440 headers, nginx's spelling of them, or Envoy's `X-Forwarded-Client-Cert`.
//!
//! Read only for connections from listed peers; whoever calls makes sure of that. Always true: one reading or none. A header
//! that stands twice, a list where one certificate is meant, or bytes that are no certificate make the whole unusable, because
//! a guess would log somebody in as somebody else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::sync::Arc;

use super::client_certificate::ordered;
use super::http::PeerCertificate;
use crate::config::ways::CertificateHeader;
use crate::model::certificate::MAX_CHAIN;

/// RFC 9440 §2.2
pub const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
/// RFC 9440 §2.3
pub const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
/// Envoy's header.
pub const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Bytes of such a header at most, all lines together.
const MAX_BYTES: usize = 64 * 1024;

/// What a trusted terminator says about its client's certificate.
pub fn read(headers: &HeaderMap, header: CertificateHeader) -> PeerCertificate {
    let told = match header {
        CertificateHeader::ClientCert => client_cert(headers),
        CertificateHeader::ClientCertPem => client_cert_pem(headers),
        CertificateHeader::XForwardedClientCert => forwarded(headers),
    };
    match told {
        Ok(None) => PeerCertificate::Absent,
        Ok(Some(presented)) => match ordered(&presented) {
            Some(chain) => PeerCertificate::Present(Arc::new(chain)),
            None => PeerCertificate::Unusable,
        },
        Err(Unreadable) => PeerCertificate::Unusable,
    }
}

/// Something is there that can't be read as one certificate.
#[derive(Debug)]
struct Unreadable;

type Told = Result<Option<Vec<CertificateDer<'static>>>, Unreadable>;

/// The one line of a header.
fn line<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Unreadable> {
    let mut lines = headers.get_all(name).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() || line.len() > MAX_BYTES {
        return Err(Unreadable);
    }
    line.to_str()
        .map(|text| Some(text.trim()))
        .map_err(|_| Unreadable)
}

fn client_cert(headers: &HeaderMap) -> Told {
    let leaf = line(headers, &CLIENT_CERT)?;
    let mut rest = String::new();
    // RFC 9440 §2.3: a list, which may be split over lines.
    for line in headers.get_all(CLIENT_CERT_CHAIN) {
        if rest.len() + line.len() > MAX_BYTES {
            return Err(Unreadable);
        }
        if !rest.is_empty() {
            rest.push(',');
        }
        rest.push_str(line.to_str().map_err(|_| Unreadable)?);
    }
    let Some(leaf) = leaf else {
        // RFC 9440 §2.3: the chain does not stand without the leaf.
        return if rest.is_empty() {
            Ok(None)
        } else {
            Err(Unreadable)
        };
    };
    let mut presented = vec![byte_sequence(leaf)?];
    for element in rest.split(',').filter(|element| !element.trim().is_empty()) {
        if presented.len() == MAX_CHAIN {
            return Err(Unreadable);
        }
        presented.push(byte_sequence(element)?);
    }
    Ok(Some(presented))
}

/// RFC 8941 §3.3.5: base64 between colons. Parameters may follow in theory; none is defined for certificates.
fn byte_sequence(text: &str) -> Result<CertificateDer<'static>, Unreadable> {
    let inner = text
        .trim()
        .strip_prefix(':')
        .and_then(|text| text.strip_suffix(':'))
        .ok_or(Unreadable)?;
    let der = STANDARD.decode(inner).map_err(|_| Unreadable)?;
    Ok(CertificateDer::from(der))
}

/// Envoy's form: `Key=value` pairs parted by `;`, elements of several proxies by `,`. Only one element is taken: in a list,
/// all but the last came from somebody this proxy need not have verified.
fn forwarded(headers: &HeaderMap) -> Told {
    let Some(line) = line(headers, &X_FORWARDED_CLIENT_CERT)? else {
        return Ok(None);
    };
    let pairs = pairs(line)?;
    let value = |wanted: &str| {
        let mut found = pairs
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value);
        match (found.next(), found.next()) {
            (found, None) => Ok(found),
            (_, Some(_)) => Err(Unreadable),
        }
    };
    let pem = match (value("Chain")?, value("Cert")?) {
        (Some(chain), _) => chain,
        (None, Some(leaf)) => leaf,
        // A hash or a subject alone proves nothing that could be handed on.
        (None, None) => return Err(Unreadable),
    };
    certificates(pem).map(Some)
}

/// The same header in the form that nginx can write (`$ssl_client_escaped_cert`): percent-encoded PEM. Empty, as nginx has it for
/// a client without a certificate, is none.
fn client_cert_pem(headers: &HeaderMap) -> Told {
    // RFC 9440's list can't come from such a terminator, so it would be a client's.
    if headers.contains_key(CLIENT_CERT_CHAIN) {
        return Err(Unreadable);
    }
    match line(headers, &CLIENT_CERT)? {
        None | Some("") => Ok(None),
        Some(pem) => certificates(pem).map(Some),
    }
}

/// Percent-encoded PEM, one certificate or more.
fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Unreadable> {
    let pem = percent_decode_str(pem)
        .decode_utf8()
        .map_err(|_| Unreadable)?;
    let presented = CertificateDer::pem_slice_iter(pem.as_bytes())
        .take(MAX_CHAIN + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Unreadable)?;
    if presented.is_empty() || presented.len() > MAX_CHAIN {
        return Err(Unreadable);
    }
    Ok(presented)
}

/// The pairs of the one element. Values may be quoted; inside quotes a backslash escapes.
fn pairs(line: &str) -> Result<Vec<(String, String)>, Unreadable> {
    const MAX_PAIRS: usize = 32;
    let mut pairs = Vec::new();
    let mut letters = line.chars().peekable();
    loop {
        let mut key = String::new();
        loop {
            match letters.next() {
                Some('=') => break,
                Some(letter) if letter.is_ascii_alphanumeric() => key.push(letter),
                Some(' ') if key.is_empty() => {}
                Some(_) | None => return Err(Unreadable),
            }
        }
        let mut value = String::new();
        let quoted = letters.next_if_eq(&'"').is_some();
        let end = loop {
            match letters.next() {
                Some('\\') if quoted => value.push(letters.next().ok_or(Unreadable)?),
                Some('"') if quoted => break letters.next(),
                Some(letter @ (';' | ',')) if !quoted => break Some(letter),
                Some(letter) => value.push(letter),
                None if quoted => return Err(Unreadable),
                None => break None,
            }
        };
        pairs.push((key, value));
        match end {
            None => return Ok(pairs),
            Some(';') if pairs.len() < MAX_PAIRS => {}
            Some(_) => return Err(Unreadable),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn certificate() -> rcgen::Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.self_signed(&key).unwrap()
    }

    fn read_one(header: CertificateHeader, lines: &[(&'static str, String)]) -> PeerCertificate {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        read(&headers, header)
    }

    fn rfc9440(der: &[u8]) -> String {
        format!(":{}:", STANDARD.encode(der))
    }

    fn xfcc(pem: &str) -> String {
        percent_encoding::utf8_percent_encode(pem, percent_encoding::NON_ALPHANUMERIC).to_string()
    }

    #[test]
    fn both_forms_give_the_same_certificate() {
        let leaf = certificate();
        let by_rfc = read_one(
            CertificateHeader::ClientCert,
            &[("client-cert", rfc9440(leaf.der()))],
        );
        let by_envoy = read_one(
            CertificateHeader::XForwardedClientCert,
            &[(
                "x-forwarded-client-cert",
                format!(
                    "Hash=ab;Cert=\"{}\";Subject=\"CN=\\\"a;,b\"",
                    xfcc(&leaf.pem())
                ),
            )],
        );
        match (by_rfc, by_envoy) {
            (PeerCertificate::Present(one), PeerCertificate::Present(other)) => {
                assert_eq!(one, other);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_header_is_no_certificate() {
        for header in [
            CertificateHeader::ClientCert,
            CertificateHeader::XForwardedClientCert,
        ] {
            assert!(matches!(read_one(header, &[]), PeerCertificate::Absent));
        }
    }

    #[test]
    fn what_could_mean_two_certificates_is_unusable() {
        let (one, other) = (certificate(), certificate());
        let leaf = || ("client-cert", rfc9440(one.der()));
        let pem =
            |certificate: &rcgen::Certificate| format!("Cert=\"{}\"", xfcc(&certificate.pem()));
        let cases: Vec<(CertificateHeader, Vec<(&'static str, String)>)> = vec![
            (CertificateHeader::ClientCert, vec![leaf(), leaf()]),
            (
                CertificateHeader::ClientCert,
                vec![(
                    "client-cert",
                    format!("{}, {}", leaf().1, rfc9440(other.der())),
                )],
            ),
            (
                CertificateHeader::ClientCert,
                vec![("client-cert-chain", leaf().1)],
            ),
            (
                CertificateHeader::ClientCert,
                vec![("client-cert", ":!!:".into())],
            ),
            (
                CertificateHeader::ClientCert,
                vec![("client-cert", ":YWJj:".into())],
            ),
            (
                CertificateHeader::XForwardedClientCert,
                vec![(
                    "x-forwarded-client-cert",
                    format!("{},{}", pem(&one), pem(&other)),
                )],
            ),
            (
                CertificateHeader::XForwardedClientCert,
                vec![(
                    "x-forwarded-client-cert",
                    format!("{};{}", pem(&one), pem(&other)),
                )],
            ),
            (
                CertificateHeader::XForwardedClientCert,
                vec![("x-forwarded-client-cert", "Hash=ab".into())],
            ),
        ];
        for (header, lines) in cases {
            let told = read_one(header, &lines);
            assert!(matches!(told, PeerCertificate::Unusable), "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[ -~]{0,200}") {
            for (header, name) in [
                (CertificateHeader::ClientCert, "client-cert"),
                (CertificateHeader::ClientCertPem, "client-cert"),
                (CertificateHeader::XForwardedClientCert, "x-forwarded-client-cert"),
            ] {
                let told = read_one(header, &[(name, text.clone())]);
                prop_assert!(!matches!(told, PeerCertificate::Present(_)));
            }
        }
    }
}
