//! TLS towards clients, at a real listener.

mod names;
mod reload;
mod resumption;
mod testssl;
mod versions;

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tempfile::TempDir;

use crate::harness::DEADLINE;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::pki::{Authority, Files};
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

/// Certificates in a folder, and an application that everybody may ask.
struct Site {
    ca: Authority,
    fake: FakeElasticsearch,
    app: Server,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            ca: Authority::new(),
            fake: FakeElasticsearch::with_people(),
            app: Server::echoing(),
            folder: tempfile::tempdir().unwrap(),
        };
        site.ca.write_ca(site.path());
        site
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn leaf(&self, stem: &str, names: &[&str]) -> Files {
        self.ca.write_leaf(self.path(), stem, names)
    }

    /// A listener with these certificates, and `more` keys of its `tls` in flow form.
    fn plan(&self, certificates: &[&Files], more: &str) -> Plan {
        let pairs = certificates.iter().map(|files| {
            format!(
                "{{ certificate: {}, key: {} }}",
                files.certificate.display(),
                files.key.display()
            )
        });
        let pairs: Vec<String> = pairs.collect();
        let tls = format!("tls: {{ certificates: [{}]{more} }}", pairs.join(", "));
        Plan::with_elasticsearch(&self.fake)
            .upstream("app", &self.app)
            .route("all", "/**", "allow: everyone")
            .listener(&tls)
    }
}

/// A client that takes any certificate, to look at it.
fn curious(versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> ClientConfig {
    let provider = default_provider();
    let all = provider
        .signature_verification_algorithms
        .supported_schemes();
    curious_knowing(versions, alpn, all)
}

/// The same, with these signatures alone.
fn curious_knowing(
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
    schemes: Vec<SignatureScheme>,
) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(schemes)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|&name| name.to_vec()).collect();
    config
}

/// A whole handshake with `gate`, as if it had this name.
fn shake(gate: &Running, config: &Arc<ClientConfig>, name: &str) -> io::Result<ClientConnection> {
    shake_at(gate.proxy.address, config, name)
}

fn shake_at(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> io::Result<ClientConnection> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut session = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(session)
}

/// The leaf that a fresh handshake shows.
fn shown(gate: &Running, name: &str) -> CertificateDer<'static> {
    let config = Arc::new(curious(rustls::DEFAULT_VERSIONS, &[]));
    let session = shake(gate, &config, name).unwrap();
    session.peer_certificates().unwrap()[0].clone().into_owned()
}

fn read(files: &Files) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&files.certificate).unwrap()
}

/// A folder as Kubernetes mounts a Secret: the files are links through `..data`, which is a link to the version in force.
struct Mounted {
    folder: PathBuf,
    version: usize,
}

impl Mounted {
    fn new(folder: &Path, files: &Files) -> Self {
        let mut mounted = Self {
            folder: folder.to_owned(),
            version: 0,
        };
        mounted.swap(
            &fs::read(&files.certificate).unwrap(),
            &fs::read(&files.key).unwrap(),
        );
        for name in ["tls.crt", "tls.key"] {
            let link = folder.join(name);
            std::os::unix::fs::symlink(Path::new("..data").join(name), link).unwrap();
        }
        mounted
    }

    /// Puts another version in force, all of it at once, and takes the former away.
    fn swap(&mut self, certificate: &[u8], key: &[u8]) {
        let former = self.folder.join(format!("..v{}", self.version));
        self.version += 1;
        let version = format!("..v{}", self.version);
        fs::create_dir(self.folder.join(&version)).unwrap();
        fs::write(self.folder.join(&version).join("tls.crt"), certificate).unwrap();
        fs::write(self.folder.join(&version).join("tls.key"), key).unwrap();
        let beside = self.folder.join("..data_tmp");
        std::os::unix::fs::symlink(&version, &beside).unwrap();
        fs::rename(&beside, self.folder.join("..data")).unwrap();
        let _ = fs::remove_dir_all(former);
    }

    fn files(&self) -> Files {
        Files {
            certificate: self.folder.join("tls.crt"),
            key: self.folder.join("tls.key"),
        }
    }

    /// The same files by a path through the link itself.
    fn inner_files(&self) -> Files {
        let inner = self.folder.join("..data");
        Files {
            certificate: inner.join("tls.crt"),
            key: inner.join("tls.key"),
        }
    }
}

/// Takes any certificate, and knows these signatures.
#[derive(Debug)]
struct Anything(Vec<SignatureScheme>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
