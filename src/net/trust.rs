//! TLS towards others: whom Sidegate believes when it dials.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use super::certificates::{CertificateError, read_chain, read_key};
use super::tls::TlsError;
use crate::config::settings::CertificateFiles;

/// A client configuration that verifies against one CA file or the system's roots.
///
/// `alpn` lists the protocols offered, most wanted first.
///
/// # Errors
/// [`TlsError`] when a file can't be used or the system has no roots.
pub fn client_config(
    ca: Option<&Path>,
    client_certificate: Option<&CertificateFiles>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca)?);
    let mut config = match client_certificate {
        None => builder.with_no_client_auth(),
        Some(files) => builder
            .with_client_auth_cert(read_chain(&files.certificate)?, read_key(&files.key)?)
            .map_err(|source| CertificateError::Rejected {
                path: files.certificate.clone(),
                source,
            })?,
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// The name to verify: a DNS name or an IP address.
///
/// # Errors
/// [`TlsError::ServerName`] when it is neither.
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| TlsError::ServerName(host.to_owned()))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in read_chain(path)? {
                roots
                    .add(certificate)
                    .map_err(|source| CertificateError::Rejected {
                        path: path.to_owned(),
                        source,
                    })?;
            }
        }
        None => {
            // Single broken files in the system's store are none of our business; an empty store is.
            let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TlsError::NoRoots);
            }
        }
    }
    Ok(roots)
}
