//! The throwaway certificate authority of `sidegate dev`.
//!
//! Made anew at each start (or kept beside the data with `--data`), valid for `localhost`, `127.0.0.1` and `::1` only, key
//! files readable by their owner alone. Never used by `run`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::OffsetDateTime;

use crate::model::clock::Now;

/// How long the throwaway certificates live.
const LIFETIME: time::Duration = time::Duration::days(90);

/// Where the made files lie.
#[derive(Debug)]
pub(super) struct Files {
    /// CA certificate, PEM: what a client must trust.
    pub(super) ca: PathBuf,
    /// Server certificate, PEM.
    pub(super) certificate: PathBuf,
    /// Server key, PEM.
    pub(super) key: PathBuf,
}

/// Makes a CA and a server certificate in `directory`, the CA's certificate at `ca` if given. Files that are there already
/// (and were made by us: all three) are used again as long as they are valid for another day.
///
/// # Errors
/// When a file can't be written.
pub(super) fn make(directory: &Path, ca: Option<PathBuf>, now: Now) -> anyhow::Result<Files> {
    let files = Files {
        ca: ca.unwrap_or_else(|| directory.join("ca.pem")),
        certificate: directory.join("server.pem"),
        key: directory.join("server.key"),
    };
    if is_fresh(&files, now) {
        return Ok(files);
    }
    let today =
        OffsetDateTime::from_unix_timestamp(i64::try_from(now.unix.as_secs()).unwrap_or_default())?;
    let validity = (today - time::Duration::hours(1), today + LIFETIME);

    let ca_key = KeyPair::generate()?;
    let mut ca_params = CertificateParams::default();
    (ca_params.not_before, ca_params.not_after) = validity;
    ca_params
        .distinguished_name
        .push(DnType::CommonName, "Sidegate dev CA (throwaway)");
    ca_params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca_params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca_params.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca_params, ca_key);

    let server_key = KeyPair::generate()?;
    let names = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    let mut params = CertificateParams::new(names)?;
    (params.not_before, params.not_after) = validity;
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&server_key, &issuer)?;

    write(&files.ca, ca_certificate.pem().as_bytes(), 0o644)?;
    write(&files.certificate, certificate.pem().as_bytes(), 0o644)?;
    write(&files.key, server_key.serialize_pem().as_bytes(), 0o600)?;
    Ok(files)
}

fn is_fresh(files: &Files, now: Now) -> bool {
    let Ok(pem) = std::fs::read(&files.certificate) else {
        return false;
    };
    if !files.ca.exists() || !files.key.exists() {
        return false;
    }
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    let Ok(der) = CertificateDer::from_pem_slice(&pem) else {
        return false;
    };
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(&der) else {
        return false;
    };
    let tomorrow = i64::try_from(now.unix.as_secs())
        .unwrap_or(i64::MAX)
        .saturating_add(86_400);
    certificate.validity().not_after.timestamp() > tomorrow
}

/// Writes a file with these permissions.
///
/// # Errors
/// When it can't be written.
pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Clock;

    #[test]
    fn the_key_file_is_readable_by_its_owner_alone_and_fresh_files_are_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let now = Clock::system().now();
        let files = make(directory.path(), None, now).unwrap();
        assert_eq!(
            std::fs::metadata(&files.key).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let before = std::fs::read(&files.certificate).unwrap();
        make(directory.path(), None, now).unwrap();
        assert_eq!(before, std::fs::read(&files.certificate).unwrap());
    }
}
