//! The configuration as meant: checked, defaulted, with secrets resolved. Plain data; every floor above builds from it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::bounds::{ListenerBounds, LoginLimit, RouteRules, UpstreamBounds};
use super::listening::{Admin, ListenAddress, PeerMatch};
use super::realms::{Anonymous, FailedLogins, Realm, default_chain};
use super::settings_authority;
use super::ways::{CertificateHeader, ClientCertificates, Credentials, RouteCredentials};
use crate::model::secret::Secret;

/// Everything one Sidegate process runs by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where requests come in.
    pub listeners: Vec<Listener>,
    /// The admin door.
    pub admin: Admin,
    /// Who answers `_security` questions.
    pub authority: Authority,
    /// The applications behind, by name.
    pub upstreams: BTreeMap<String, Upstream>,
    /// How long answers are remembered.
    pub cache: Cache,
    /// Routes in written order; the first match wins.
    pub routes: Vec<Route>,
    /// Ways in that need settings of their own.
    pub credentials: Credentials,
    /// Limits on failed logins.
    pub login_limit: LoginLimit,
    /// Names the missing privileges in a 403's body. Off by default: the log always has them.
    pub explain_refusals: bool,
    /// The access log.
    pub access_log: AccessLog,
    /// How long everything is still served after the order to stop, before the drain begins.
    pub drain_delay: Duration,
    /// How long a drain may take before what is left is cut.
    pub drain_timeout: Duration,
    /// Number of worker threads; `None`: one per core.
    pub workers: Option<usize>,
    /// Who signs assertions; `None`: no route has any.
    pub assertion: Option<super::forwards::Signing>,
    /// Name of this instance among its replicas; `None`: made from the machine's name and the listeners.
    pub instance: Option<String>,
    /// Logins by browser, and sessions; `None`: every request brings its own credential.
    pub sso: Option<super::sso::Sso>,
}

/// One address requests come in at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Name in logs and metrics; the written address unless given.
    pub name: String,
    /// Where it listens; port 0 is allowed.
    pub address: ListenAddress,
    /// Permissions of a Unix socket's file.
    pub socket_mode: u32,
    /// Whether another process of the same user may take the address over while this one still has it.
    pub reuse_port: bool,
    /// Peers that begin every connection with a PROXY protocol header. Empty: none does.
    pub proxy_protocol: Vec<PeerMatch>,
    /// TLS, or `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Peers whose `Forwarded`/`X-Forwarded-*` are believed. Empty: nobody's.
    pub trusted_proxies: Vec<PeerMatch>,
    /// The header in which those peers tell the client's certificate; `None`: none is believed.
    pub forwarded_client_certificates: Option<CertificateHeader>,
    /// Bounds on what clients may send and hold.
    pub limits: Limits,
}

/// TLS on a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificates, chosen by SNI; the first is the default.
    pub certificates: Vec<CertificateFiles>,
    /// The lowest version accepted.
    pub minimum_version: TlsVersion,
    /// Whether clients are asked for a certificate; `None`: they are not.
    pub client_certificates: Option<ClientCertificates>,
}

/// TLS protocol versions offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2
    V1_2,
    /// TLS 1.3
    V1_3,
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateFiles {
    /// Chain, leaf first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Bounds per listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; more wait in the kernel's backlog.
    pub max_connections: usize,
    /// Header lines per request.
    pub max_headers: usize,
    /// Bytes of a request head.
    pub max_header_bytes: usize,
    /// Time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Time for a request head to arrive whole.
    pub header_timeout: Duration,
    /// Time a request body may stand still.
    pub body_idle_timeout: Duration,
    /// Time a kept-alive connection may stay idle.
    pub keep_alive_timeout: Duration,
    /// Concurrent HTTP/2 streams per connection.
    pub max_streams: u32,
    /// Requests at a time, and what one client address may do.
    pub bounds: ListenerBounds,
}

/// Who answers.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is only one")]
pub enum Authority {
    /// One or more Elasticsearch nodes.
    Elasticsearch(Elasticsearch),
    /// The authority in this process.
    Embedded(Embedded),
}

/// Elasticsearch as authority.
#[derive(Clone, Debug)]
pub struct Elasticsearch {
    /// Node URLs (`http` or `https`), at least one.
    pub nodes: Vec<NodeUrl>,
    /// PEM file of the CA that signed the nodes' certificates; `None`: the system's roots.
    pub ca: Option<PathBuf>,
    /// Sidegate's own credential, for exchanges and for `check --online`.
    pub credential: Option<OwnCredential>,
    /// Time for one question, fail-over included.
    pub timeout: Duration,
    /// Time to establish a connection.
    pub connect_timeout: Duration,
}

/// A node's address, checked: scheme, host, port, path prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeUrl {
    /// True for `https`.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path prefix without trailing slash; empty for none.
    pub prefix: String,
}

/// Sidegate's own credential towards the authority.
#[derive(Clone, Debug)]
pub enum OwnCredential {
    /// Base64 of `id:secret`.
    ApiKey(Secret),
    /// User name and password.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// A bearer token, such as a service account's.
    Bearer(Secret),
}

/// The embedded authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Directory it keeps its store in; `None`: memory only.
    pub data: Option<PathBuf>,
    /// Address its API is served at as well; `None`: in-process only.
    pub address: Option<SocketAddr>,
    /// The superuser's first password; `None`: random, printed once.
    pub superuser_password: Option<Secret>,
    /// The realms that take part, in the order they are asked.
    pub realms: Vec<Realm>,
    /// Who a request without a credential is; `None`: nobody.
    pub anonymous: Option<Anonymous>,
    /// Limit on failed logins.
    pub failed_logins: FailedLogins,
    /// How long an access token lives.
    pub token_timeout: Duration,
    /// TLS at the address; `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// The audit log; `None`: off.
    pub audit: Option<settings_authority::Audit>,
}

impl Default for Embedded {
    /// In memory, in-process only, with the realms that are always there.
    fn default() -> Self {
        Self {
            data: None,
            address: None,
            superuser_password: None,
            realms: default_chain(),
            anonymous: None,
            failed_logins: FailedLogins::default(),
            token_timeout: Duration::from_secs(20 * 60),
            tls: None,
            audit: None,
        }
    }
}

/// An application behind Sidegate.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Name in routes, logs and metrics.
    pub name: String,
    /// Addresses, at least one; requests go round them.
    pub urls: Vec<UpstreamUrl>,
    /// Protocol spoken to it.
    pub protocol: UpstreamProtocol,
    /// TLS details, used by `https` URLs.
    pub tls: UpstreamTls,
    /// Whether the client's `Host` travels on, or the upstream's own is set.
    pub host: UpstreamHost,
    /// Time to establish a connection (TLS included).
    pub connect_timeout: Duration,
    /// Time from the end of the request to the response's head.
    pub response_timeout: Duration,
    /// Time a body or tunnel may stand still in both directions; `None`: no limit.
    pub idle_timeout: Option<Duration>,
    /// How many pooled idle connections each worker keeps.
    pub max_idle: usize,
    /// How long an idle pooled connection is kept.
    pub pool_idle_timeout: Duration,
    /// How often a request that is safe to send again is tried on another address or connection.
    pub retries: u32,
    /// Consecutive connection failures after which an address rests.
    pub unhealthy_after: u32,
    /// How long it rests.
    pub unhealthy_for: Duration,
    /// Requests at a time.
    pub bounds: UpstreamBounds,
}

/// One address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamUrl {
    /// `http://host:port` or `https://host:port`, without a path.
    Tcp {
        /// True for `https`.
        tls: bool,
        /// Host name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path/to/socket`, spoken in plain HTTP.
    Unix(PathBuf),
}

/// Protocol towards an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by ALPN over TLS, with prior knowledge (h2c) over plain TCP.
    Http2,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTls {
    /// PEM file of the CA; `None`: the system's roots.
    pub ca: Option<PathBuf>,
    /// Client certificate to present.
    pub client_certificate: Option<CertificateFiles>,
    /// Name to verify instead of the URL's host.
    pub server_name: Option<String>,
}

/// The `Host` an upstream sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHost {
    /// The client's.
    Preserve,
    /// The upstream URL's.
    Upstream,
}

/// Lifetimes and bounds of the cache.
#[derive(Clone, Debug)]
pub struct Cache {
    /// How long an answer is used at most; the bound on staleness.
    pub ttl: Duration,
    /// Share of `ttl` after which a used entry is asked again in the background, `0.0..=1.0`; 1 turns it off.
    pub refresh_ahead: f64,
    /// How long a refusal is remembered.
    pub negative_ttl: Duration,
    /// How long past `ttl` a former permit serves while the authority is in trouble; zero: off.
    pub max_stale: Duration,
    /// Entries at most, one per credential.
    pub max_entries: u64,
    /// Entries of the cache of refusals.
    pub max_negative_entries: u64,
    /// Entries of the cache of resolved (capture-dependent) atoms.
    pub max_resolved_entries: u64,
    /// How long before its own expiry a credential stops being served from the cache.
    pub expiry_leeway: Duration,
}

/// Host/path/method → upstream, requirement, forwarding.
#[derive(Clone, Debug)]
pub struct Route {
    /// Unique name; the label in metrics and logs.
    pub name: String,
    /// Which requests it takes.
    pub matches: Match,
    /// What it asks of them.
    pub access: Access,
    /// Where they go: a key of [`Settings::upstreams`].
    pub upstream: String,
    /// How the identity travels.
    pub forward: Forward,
    /// Names of the listeners it counts on. Empty: all of them.
    pub listeners: Vec<String>,
    /// Whether WebSocket upgrades are tunnelled.
    pub websocket: bool,
    /// How often what lasts is looked at again; `None`: never.
    pub recheck: Option<Duration>,
    /// Ways in that this route alone takes.
    pub credentials: RouteCredentials,
    /// What is looked at before any credential.
    pub rules: RouteRules,
}

/// Which requests a route takes.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// Host names, lower case, without port; `*.example.com` stands for one or more labels. Empty: any.
    pub hosts: Vec<String>,
    /// Path pattern: segments that are literal, `{name}` or `*` (one segment), and `**` at the end (any rest, also none).
    pub path: String,
    /// Methods, upper case. Empty: any.
    pub methods: Vec<String>,
}

/// What a route asks.
#[derive(Clone, Debug)]
pub enum Access {
    /// Nothing; a credential is not even looked at.
    Everyone,
    /// Any valid credential.
    Authenticated,
    /// Privileges and roles.
    Require(Requirement),
}

/// The privileges or roles a route asks for. Strings are [`Template`]s.
#[derive(Clone, Debug)]
pub enum Requirement {
    /// All of them.
    AllOf(Vec<Self>),
    /// At least one of them.
    AnyOf(Vec<Self>),
    /// A cluster privilege.
    Cluster(String),
    /// An index privilege on a name or pattern.
    Index {
        /// Index name or pattern.
        name: Template,
        /// Privilege name.
        privilege: String,
        /// Whether restricted indices take part.
        allow_restricted: bool,
    },
    /// An application privilege on a resource.
    Application {
        /// Application name.
        application: String,
        /// Privilege name or action.
        privilege: String,
        /// Resource.
        resource: Template,
    },
    /// A role by name.
    Role(String),
    /// Whatever the call of Elasticsearch's REST API that the request makes needs there.
    ElasticsearchCall,
}

/// Text with holes for captures and identity fields; what fills a hole is escaped, so that it can't widen a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<TemplatePart>);

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Taken as it is, wildcards included.
    Literal(String),
    /// `{name}`: what the route's path captured.
    Capture(String),
    /// `{identity.username}`, `{identity.realm}` and so on.
    Identity(IdentityField),
}

impl Template {
    /// True when it has no holes.
    pub fn is_static(&self) -> bool {
        self.0
            .iter()
            .all(|part| matches!(part, TemplatePart::Literal(_)))
    }
}

/// A field of the identity that a template or an identity header can carry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IdentityField {
    /// User name.
    Username,
    /// Role names, comma separated.
    Roles,
    /// Full name.
    FullName,
    /// E-mail address.
    Email,
    /// Realm name of the effective user.
    Realm,
    /// `realm`, `api_key`, `token` …
    AuthenticationType,
    /// API key id.
    ApiKeyId,
    /// API key name.
    ApiKeyName,
    /// A top-level metadata field.
    Metadata(String),
}

/// How the identity travels to the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forward {
    /// No identity at all.
    None,
    /// Headers: name → field.
    IdentityHeaders(Vec<(String, IdentityField)>),
    /// The client's own `Authorization`, untouched.
    Passthrough,
    /// Anything more: exchanges, assertions, several ways at once. Shared, because every route table has a copy.
    Combined(Arc<super::forwards::Combined>),
}

impl Forward {
    /// The combination, when it is one.
    pub fn combined(&self) -> Option<&super::forwards::Combined> {
        match self {
            Self::Combined(combined) => Some(combined),
            Self::None | Self::IdentityHeaders(_) | Self::Passthrough => None,
        }
    }
}

/// The access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Its form.
    pub format: AccessLogFormat,
    /// Where it goes.
    pub target: AccessLogTarget,
}

/// Forms of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// One JSON object per line, ECS field names.
    Json,
    /// One readable line, for terminals.
    Text,
    /// None at all.
    Off,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// Standard output.
    Stdout,
    /// A file, appended to and reopened on SIGHUP.
    File(PathBuf),
}
