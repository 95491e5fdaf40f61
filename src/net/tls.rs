//! TLS towards clients: one configuration per listener, exchanged whole when files or settings change.
//!
//! Always true: a reload either replaces everything or changes nothing. Sessions can be resumed over a reload, unless it changes
//! whether clients must show certificates: who began without one must not come back as somebody who need not. The ticket key
//! never leaves the process. Kernel-side or plaintext key material is never written anywhere.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::pki_types::CertificateDer;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig, ServerConnection};

use super::certificates::{CertificateError, Certificates};
use super::client_certificate::{Verifier, ordered, still_holds, verifier};
use super::http::PeerCertificate;
use crate::config::settings::{Tls, TlsVersion};
use crate::config::ways::ClientCertificateMode;
use crate::model::certificate::CertificateChain;

/// HTTP/2 in ALPN.
pub const ALPN_H2: &[u8] = b"h2";
/// HTTP/1.1 in ALPN.
pub const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Sessions kept for TLS 1.2 clients that know no tickets.
const MAX_SESSIONS: usize = 1024;

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate, key or CA file.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The library refuses the combination.
    #[error("tls settings were rejected: {0}")]
    Rejected(#[from] rustls::Error),
    /// No root certificate could be found in the system's store.
    #[error("the system has no root certificates")]
    NoRoots,
    /// A host name that can't be verified.
    #[error("{0:?} is not a server name")]
    ServerName(String),
}

/// A listener's TLS, reloadable.
pub struct ServerTls {
    current: ArcSwap<Current>,
}

/// One consistent set.
pub struct Current {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    /// Who verifies client certificates, where they are asked for.
    clients: Option<Verifier>,
    resumption: Resumption,
}

/// What lets clients resume sessions. rustls doesn't ask a client that resumes for its certificate again, so one that began without
/// keeps being without.
#[derive(Clone)]
struct Resumption {
    /// How certificates were asked for when these sessions began.
    asked: Option<ClientCertificateMode>,
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

/// The client certificate of one connection, which is looked at again whenever the listener's files were read anew.
pub struct Certified {
    tls: Arc<ServerTls>,
    presented: Vec<CertificateDer<'static>>,
    chain: Option<Arc<CertificateChain>>,
    judged: ArcSwap<(Arc<Current>, bool)>,
}

impl ServerTls {
    /// Reads everything the settings name.
    ///
    /// # Errors
    /// [`TlsError`] naming the first file or setting that can't be used.
    pub fn load(settings: &Tls) -> Result<Self, TlsError> {
        let current = build(settings, Resumption::of(settings)?)?;
        Ok(Self {
            current: ArcSwap::from_pointee(current),
        })
    }

    /// Reads everything again and swaps it in if all of it is good; handshakes under way are not touched.
    ///
    /// # Errors
    /// [`TlsError`]; the old configuration then stays.
    pub fn reload(&self, settings: &Tls) -> Result<(), TlsError> {
        let former = self.current.load();
        let resumption = if former.resumption.asked == mode(settings) {
            former.resumption.clone()
        } else {
            Resumption::of(settings)?
        };
        self.current.store(Arc::new(build(settings, resumption)?));
        Ok(())
    }

    /// What the next handshake goes by.
    pub fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// The client certificate of a connection whose handshake, begun under `current`, is over; `None` when none was sent.
    ///
    /// A resumed session brings the certificate of its full handshake, which is verified anew at `now`.
    pub fn certified(
        self: &Arc<Self>,
        session: &ServerConnection,
        current: Arc<Current>,
        now: Duration,
    ) -> Option<Certified> {
        let presented = session.peer_certificates()?.to_vec();
        let fresh = session.handshake_kind() != Some(HandshakeKind::Resumed);
        let good = fresh || current.accepts(&presented, now);
        Some(Certified {
            tls: Arc::clone(self),
            chain: ordered(&presented).map(Arc::new),
            presented,
            judged: ArcSwap::from_pointee((current, good)),
        })
    }

    /// File and chain (DER, leaf first) of every certificate.
    pub fn chains(&self) -> Vec<(String, Vec<CertificateDer<'static>>)> {
        self.current
            .load()
            .certificates
            .iter()
            .map(|certificate| (certificate.name.clone(), certificate.chain().to_vec()))
            .collect()
    }

    /// Name and end of validity (Unix seconds) of every certificate.
    pub fn expiries(&self) -> Vec<(String, i64)> {
        self.current
            .load()
            .certificates
            .iter()
            .map(|certificate| (certificate.name.clone(), certificate.not_after))
            .collect()
    }
}

impl Current {
    /// The configuration of a handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    fn accepts(&self, presented: &[CertificateDer<'static>], now: Duration) -> bool {
        self.clients
            .as_deref()
            .is_some_and(|verifier| still_holds(verifier, presented, now))
    }
}

impl Certified {
    /// What the peer of a request at `now` has for a certificate. Verified again after a reload; expiry shows at once.
    pub fn at(&self, now: Duration) -> PeerCertificate {
        let judged = self.judged.load();
        let current = self.tls.current.load();
        let good = if Arc::ptr_eq(&judged.0, &current) {
            judged.1
        } else {
            let current = Arc::clone(&current);
            let good = current.accepts(&self.presented, now);
            self.judged.store(Arc::new((current, good)));
            good
        };
        match &self.chain {
            Some(chain) if good && now < chain.not_after() => {
                PeerCertificate::Present(Arc::clone(chain))
            }
            Some(_) | None => PeerCertificate::Unusable,
        }
    }
}

impl Resumption {
    /// Of nobody yet.
    fn of(settings: &Tls) -> Result<Self, rustls::Error> {
        Ok(Self {
            asked: mode(settings),
            tickets: Ticketer::new()?,
            sessions: ServerSessionMemoryCache::new(MAX_SESSIONS),
        })
    }
}

fn mode(settings: &Tls) -> Option<ClientCertificateMode> {
    let clients = settings.client_certificates.as_ref();
    clients.map(|clients| clients.mode)
}

fn build(settings: &Tls, resumption: Resumption) -> Result<Current, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certificates = Arc::new(Certificates::read(&settings.certificates, &provider)?);
    let versions: &[_] = match settings.minimum_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let resolver: Arc<Certificates> = Arc::clone(&certificates);
    let clients = settings
        .client_certificates
        .as_ref()
        .map(|clients| verifier(clients, &provider))
        .transpose()?;
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    let mut config = match &clients {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
    }
    .with_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()];
    // All suites are strong; with an order of our own nobody in between has a say in which is taken.
    config.ignore_client_order = true;
    config.ticketer = Arc::clone(&resumption.tickets);
    config.session_storage = Arc::clone(&resumption.sessions);
    // One ticket is enough to resume, and each costs a record per handshake.
    config.send_tls13_tickets = 1;
    Ok(Current {
        config: Arc::new(config),
        certificates,
        clients,
        resumption,
    })
}
