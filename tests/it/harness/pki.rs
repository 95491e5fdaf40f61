//! Throwaway certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, RevocationReason,
    RevokedCertParams, SerialNumber,
};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A CA that signs for `localhost` and `127.0.0.1`.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// What comes along with what it signs.
    above: Vec<CertificateDer<'static>>,
}

/// A certificate and its key as PEM files.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// A client's chain, leaf first, and its key.
pub(crate) struct Client {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
    pub(crate) serial: SerialNumber,
}

/// Presents a client's certificate and counts how often it was asked for: not at all when a session is resumed.
#[derive(Debug)]
pub(crate) struct Counting {
    key: Arc<CertifiedKey>,
    pub(crate) asked: AtomicUsize,
}

impl Client {
    /// Changes what a client's certificate usually is: good for clients, for a year or so.
    pub(crate) fn of(
        authority: &Authority,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let serial = SerialNumber::from_slice(&key.public_key_raw()[..8]);
        params.serial_number = Some(serial.clone());
        change(&mut params);
        let leaf = params.signed_by(&key, &authority.issuer).unwrap();
        let mut chain = vec![leaf.der().clone()];
        chain.extend(authority.above.iter().cloned());
        Self { chain, key, serial }
    }

    /// A TLS client that trusts `ca` and presents this.
    pub(crate) fn config(&self, ca: &Path) -> (Arc<ClientConfig>, Arc<Counting>) {
        self.config_at(ca, rustls::DEFAULT_VERSIONS)
    }

    /// The same with these versions of TLS.
    pub(crate) fn config_at(
        &self,
        ca: &Path,
        versions: &[&'static SupportedProtocolVersion],
    ) -> (Arc<ClientConfig>, Arc<Counting>) {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let key = CertifiedKey::from_der(self.chain.clone(), key, &default_provider()).unwrap();
        let counting = Arc::new(Counting {
            key: Arc::new(key),
            asked: AtomicUsize::new(0),
        });
        let mut config = ClientConfig::clone(&trust_at(ca, versions));
        config.client_auth_cert_resolver = Arc::clone(&counting) as Arc<dyn ResolvesClientCert>;
        config.resumption = rustls::client::Resumption::in_memory_sessions(8);
        (Arc::new(config), counting)
    }
}

impl Client {
    /// Writes the chain and the key as PEM; returns both paths.
    pub(crate) fn write(&self, folder: &Path, stem: &str) -> (PathBuf, PathBuf) {
        let (chain, key) = (
            folder.join(format!("{stem}.pem")),
            folder.join(format!("{stem}.key")),
        );
        let pem = |der: &CertificateDer<'_>| {
            let text = STANDARD.encode(der);
            format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        };
        fs::write(&chain, self.chain.iter().map(pem).collect::<String>()).unwrap();
        fs::write(&key, self.key.serialize_pem()).unwrap();
        (chain, key)
    }
}

impl ResolvesClientCert for Counting {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Some(Arc::clone(&self.key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Authority {
    /// A CA below this one; its certificate comes along with what it signs.
    pub(crate) fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(name, |_| {})
    }

    /// The same, changed before it is signed.
    pub(crate) fn intermediate_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            pem: self.pem.clone(),
            above: vec![certificate.der().clone()],
        }
    }

    /// This CA's revocation list.
    pub(crate) fn revocation_list(&self, revoked: &[&SerialNumber]) -> String {
        self.revocation_list_until(2090, revoked)
    }

    /// The same, good until the beginning of this year.
    pub(crate) fn revocation_list_until(&self, year: i32, revoked: &[&SerialNumber]) -> String {
        let end = year;
        let day = |year| rcgen::date_time_ymd(year, 1, 1);
        let params = CertificateRevocationListParams {
            this_update: day(2020),
            next_update: day(end),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|&serial| RevokedCertParams {
                    serial_number: serial.clone(),
                    revocation_time: day(2024),
                    reason_code: Some(RevocationReason::KeyCompromise),
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "the tests' CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
            above: Vec::new(),
        }
    }

    /// Writes the CA's certificate.
    pub(crate) fn write_ca(&self, folder: &Path) -> PathBuf {
        let path = folder.join("ca.pem");
        fs::write(&path, &self.pem).unwrap();
        path
    }

    /// Signs and writes a certificate for these names.
    pub(crate) fn write_leaf(&self, folder: &Path, stem: &str, names: &[&str]) -> Files {
        let key = KeyPair::generate().unwrap();
        self.write_leaf_with(folder, stem, names, &key, |_| {})
    }

    /// The same for this key, changed before it is signed.
    pub(crate) fn write_leaf_with(
        &self,
        folder: &Path,
        stem: &str,
        names: &[&str],
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Files {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        // With the CA's own name it would look self-signed to OpenSSL.
        params
            .distinguished_name
            .push(DnType::CommonName, "the tests' leaf");
        change(&mut params);
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        let files = Files {
            certificate: folder.join(format!("{stem}.crt")),
            key: folder.join(format!("{stem}.key")),
        };
        fs::write(&files.key, key.serialize_pem()).unwrap();
        fs::write(&files.certificate, leaf.pem()).unwrap();
        files
    }

    /// A TLS server with a certificate of this CA.
    pub(crate) fn server_config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let folder = tempfile::tempdir().unwrap();
        let files = self.write_leaf(folder.path(), "server", &["localhost", "127.0.0.1"]);
        let chain = CertificateDer::pem_file_iter(files.certificate)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_file(files.key).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|&protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

/// A TLS client that trusts the CA in a PEM file.
pub(crate) fn trust(ca: &Path) -> Arc<ClientConfig> {
    trust_at(ca, rustls::DEFAULT_VERSIONS)
}

fn trust_at(ca: &Path, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("a PEM file") {
        roots.add(certificate.unwrap()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
