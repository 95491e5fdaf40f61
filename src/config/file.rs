//! The config file as written: one type per section, strict about keys, lenient about everything `check` judges better.
//!
//! The doc comments here are the reference: they become the descriptions in the JSON Schema and `docs/configuration.md`.
//! Every key is optional to serde, so that one missing key hides no other fault; the schema knows which must be there: lists by
//! `#[schemars(required)]`, others by `#[schemars(with = ..)]`, which keeps their reference. Enums are externally tagged, which keeps positions exact. Defaults stand in `default` and nowhere else.
//!
//! To add a key: add the field with its doc comment and default here, its meaning in `check`, its field in `settings`, its line
//! in `config/sidegate.yaml`, and run `sidegate schema --markdown > docs/configuration.md`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::addresses::ServerName;
use super::default;
use super::file_bounds::Rate;
use super::file_realms::{Anonymous, FailedLogins, Realms};
use super::file_routes::Route;
use super::file_ways::{CertificateHeader, ClientCertificates, Credentials, ProxyProtocol};
use super::listening::{FileMode, ListenAddress, PeerMatch};
use super::references::SecretRef;
use super::settings;
use super::values::{Name, Size, Written};

/// Configuration of Sidegate, which stands in front of an application and lets in only what Elasticsearch security allows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Sidegate configuration")]
pub struct File {
    /// The addresses that requests come in at.
    #[schemars(required, length(min = 1))]
    pub listeners: Option<Vec<Listener>>,
    /// The admin door: metrics, health, cache and routes, on a listener of its own.
    pub admin: Option<Admin>,
    /// Who answers `_security` questions: `elasticsearch` or `embedded`.
    #[schemars(with = "Authority")]
    pub authority: Option<Authority>,
    /// The applications behind Sidegate, by a name that routes refer to.
    #[schemars(with = "BTreeMap<String, Upstream>")]
    pub upstreams: Option<BTreeMap<String, Upstream>>,
    /// How long the authority's answers are remembered.
    pub cache: Option<Cache>,
    /// Which requests are let in, and where they go. The first route that matches wins; a request that none matches is refused.
    #[schemars(required, length(min = 1))]
    pub routes: Option<Vec<Route>>,
    /// Ways in that need settings of their own: Kerberos and JSON Web Tokens. Passwords, tokens, API keys and client certificates need none.
    pub credentials: Option<Credentials>,
    /// Limits on failed logins, per client address and per user name. A refused login is answered 429 with `Retry-After`.
    pub login_limit: Option<LoginLimit>,
    /// The access log: one line per request.
    pub access_log: Option<AccessLog>,
    /// Whether a 403 names the missing privileges to the client. The log always has them.
    #[schemars(extend("default" = default::EXPLAIN_REFUSALS))]
    pub explain_refusals: Option<bool>,
    /// How long everything is still served after SIGTERM or SIGINT, with readiness already off, so that load balancers notice before the listeners close.
    #[schemars(extend("default" = default::DRAIN_DELAY))]
    pub drain_delay: Option<Written<Duration>>,
    /// How long requests under way may take to finish after that before they are cut.
    #[schemars(extend("default" = default::DRAIN_TIMEOUT))]
    pub drain_timeout: Option<Written<Duration>>,
    /// Number of worker threads. Without it, one per core.
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<u32>,
    /// Who signs assertions, for routes with `forward: { assertion: .. }`.
    pub assertion: Option<super::file_forwards::Signing>,
    /// Name of this instance among its replicas. It marks API keys granted for upstreams, so that the next start finds those that a crash left. Without it, made from the machine's name and the listeners' addresses.
    pub instance: Option<Written<Name>>,
    /// Single sign-on: logins by browser, and sessions. Without it, every request brings its own credential.
    pub sso: Option<super::file_sso::Sso>,
}

/// One address that requests come in at.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Name in logs and metrics. Without it, the address.
    pub name: Option<Written<Name>>,
    /// Where it listens: an address to bind, `unix:` and the path of a socket to make, or `systemd:` and the name of a socket that the service manager passes (`FileDescriptorName=`).
    #[schemars(with = "Written<ListenAddress>")]
    pub address: Option<Written<ListenAddress>>,
    /// Permissions of a Unix socket's file, in octal.
    #[schemars(extend("default" = default::SOCKET_MODE))]
    pub socket_mode: Option<Written<FileMode>>,
    /// Whether a second process of the same user may listen at the same address, so that a new one takes over before the old one stops (`SO_REUSEPORT`). On a Unix socket: whether the file of a live socket is replaced.
    #[schemars(extend("default" = default::REUSE_PORT))]
    pub reuse_port: Option<bool>,
    /// Load balancers that tell the client's address in a PROXY protocol header. Without it, no such header is believed.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// TLS. Without it, plain HTTP is spoken, which only suits loopback or a network that encrypts by itself.
    pub tls: Option<Tls>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` are believed. Without it, nobody's are. Where a PROXY protocol header told another address, that one counts.
    pub trusted_proxies: Option<Vec<Written<PeerMatch>>>,
    /// The header in which `trusted_proxies` tell the certificate of their client. Without it, no such header is believed.
    pub forwarded_client_certificates: Option<CertificateHeader>,
    /// Bounds on what clients may send and hold.
    pub limits: Option<Limits>,
}

/// TLS on a listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificates, chosen by the name a client asks for (SNI); the first is the default. Files that change are read again.
    #[schemars(required, length(min = 1))]
    pub certificates: Option<Vec<CertificateFiles>>,
    /// The lowest version accepted.
    #[schemars(extend("default" = default::TLS_VERSION))]
    pub minimum_version: Option<TlsVersion>,
    /// Client certificates, which the authority's PKI realm turns into users. Without it, clients are not asked for one.
    pub client_certificates: Option<ClientCertificates>,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3.
    #[serde(rename = "tls1.2")]
    V1_2,
    /// TLS 1.3 alone.
    #[serde(rename = "tls1.3")]
    V1_3,
}

/// A certificate and its key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// PEM file of the chain, leaf first.
    #[schemars(with = "Written<PathBuf>")]
    pub certificate: Option<Written<PathBuf>>,
    /// PEM file of the private key, not encrypted.
    #[schemars(with = "Written<PathBuf>")]
    pub key: Option<Written<PathBuf>>,
}

/// Bounds on what the clients of a listener may send and hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Open connections. More wait in the kernel's backlog.
    #[schemars(extend("default" = default::MAX_CONNECTIONS), range(min = 1, max = 1_000_000))]
    pub max_connections: Option<u32>,
    /// Header lines per request.
    #[schemars(extend("default" = default::MAX_HEADERS), range(min = 8, max = 1_000))]
    pub max_headers: Option<u32>,
    /// Bytes of a request's head, from `4KiB` to `1MiB`.
    #[schemars(extend("default" = default::MAX_HEADER_BYTES))]
    pub max_header_bytes: Option<Written<Size>>,
    /// Time for a TLS handshake.
    #[schemars(extend("default" = default::HANDSHAKE_TIMEOUT))]
    pub handshake_timeout: Option<Written<Duration>>,
    /// Time for a request's head to arrive whole.
    #[schemars(extend("default" = default::HEADER_TIMEOUT))]
    pub header_timeout: Option<Written<Duration>>,
    /// Time that a request's body may stand still.
    #[schemars(extend("default" = default::BODY_IDLE_TIMEOUT))]
    pub body_idle_timeout: Option<Written<Duration>>,
    /// Time that a connection may stay open between requests.
    #[schemars(extend("default" = default::KEEP_ALIVE_TIMEOUT))]
    pub keep_alive_timeout: Option<Written<Duration>>,
    /// Concurrent HTTP/2 streams per connection.
    #[schemars(extend("default" = default::MAX_STREAMS), range(min = 1, max = 10_000))]
    pub max_streams: Option<u32>,
    /// Requests being answered at a time, streams included. One more is answered 503 with `Retry-After` and never judged.
    #[schemars(extend("default" = default::MAX_REQUESTS), range(min = 1, max = 1_000_000))]
    pub max_requests: Option<u32>,
    /// Open connections of one client address (IPv6: of one /64). One more is closed at once. Trusted proxies are excepted. Without it, as many as there are.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections_per_address: Option<u32>,
    /// How often one client address (IPv6: one /64) may come. Without it, as often as it likes.
    pub rate: Option<Rate>,
}

/// The admin door.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address to bind. Nothing on it asks for a credential, so keep it on loopback or behind a network policy.
    #[schemars(extend("default" = default::ADMIN_ADDRESS))]
    pub address: Option<Written<SocketAddr>>,
    /// Whether a second process of the same user may listen at the same address, as in `listeners`. It then closes when a drain begins, so that the new process answers alone.
    #[schemars(extend("default" = default::REUSE_PORT))]
    pub reuse_port: Option<bool>,
}

/// Who answers `_security` questions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// One or more Elasticsearch nodes.
    Elasticsearch(Elasticsearch),
    /// The authority inside this process, which speaks the same API.
    Embedded(Box<Embedded>),
}

/// Elasticsearch as the authority.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Elasticsearch {
    /// URLs of the nodes; when one fails, the next is asked.
    #[schemars(required, length(min = 1))]
    pub nodes: Option<Vec<Written<settings::NodeUrl>>>,
    /// PEM file of the CA that signed the nodes' certificates. Without it, the system's roots.
    pub ca: Option<Written<PathBuf>>,
    /// Sidegate's own credential, for exchanges and for `check --online`. Not needed to check the clients' credentials.
    pub credential: Option<OwnCredential>,
    /// Time for one question, fail-over included.
    #[schemars(extend("default" = default::AUTHORITY_TIMEOUT))]
    pub timeout: Option<Written<Duration>>,
    /// Time to establish a connection to a node.
    #[schemars(extend("default" = default::AUTHORITY_CONNECT_TIMEOUT))]
    pub connect_timeout: Option<Written<Duration>>,
}

/// Sidegate's own credential towards Elasticsearch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnCredential {
    /// An API key: base64 of `id:secret`, the `encoded` field of the answer that created it.
    ApiKey(Written<SecretRef>),
    /// A user name and a password.
    Basic(BasicCredential),
    /// A bearer token, such as a service account's.
    Bearer(Written<SecretRef>),
}

/// A user name and a password.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicCredential {
    /// User name; a reference works as in `password`.
    #[schemars(with = "Written<SecretRef>")]
    pub username: Option<Written<SecretRef>>,
    /// Password.
    #[schemars(with = "Written<SecretRef>")]
    pub password: Option<Written<SecretRef>>,
}

/// The authority inside this process.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embedded {
    /// Directory that it keeps its users, roles and keys in. Without it, all of that is gone when the process ends.
    pub data: Option<Written<PathBuf>>,
    /// Address that its API is served at as well, for `curl` and clients of Elasticsearch. Without it, it is reached only from inside.
    pub address: Option<Written<SocketAddr>>,
    /// The first password of the superuser `elastic`. Without it, a random one is printed once.
    pub superuser_password: Option<Written<SecretRef>>,
    /// Realms: who may log in, and how it is checked. Without it, users from files in `data` and users that the API makes.
    pub realms: Option<Realms>,
    /// Who a request without a credential is. Without it, such a request is refused.
    pub anonymous: Option<Anonymous>,
    /// Limit on failed logins per user name, beside the gate's own `login_limit`.
    pub failed_logins: Option<FailedLogins>,
    /// How long an access token lives, one second to one hour: Elasticsearch's `xpack.security.authc.token.timeout`.
    #[schemars(extend("default" = default::TOKEN_TIMEOUT))]
    pub token_timeout: Option<Written<Duration>>,
    /// TLS at `address`. Without it, plain HTTP is spoken there, and the address must be loopback.
    pub tls: Option<Tls>,
    /// The audit log: who was let in, who was refused, who changed what. Without it, nothing is audited.
    pub audit: Option<Audit>,
}

/// The audit log of the embedded authority: JSON lines with Elasticsearch's field and event names.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Where it goes.
    #[schemars(extend("default" = default::AUDIT_TARGET))]
    pub target: Option<AccessLogTarget>,
    /// The events that are written. Without it, all but `authentication_success`.
    pub events: Option<Vec<AuditEvent>>,
}

/// Events of the audit log.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditEvent {
    /// A caller may not do what they ask.
    AccessDenied,
    /// A caller may do what they ask.
    AccessGranted,
    /// A request had no credential.
    AnonymousAccessDenied,
    /// A credential was refused.
    AuthenticationFailed,
    /// A credential was good.
    AuthenticationSuccess,
    /// A caller may not act as another user.
    RunAsDenied,
    /// A caller may act as another user.
    RunAsGranted,
    /// A user, role, mapping, privilege, key or token was changed.
    SecurityConfigChange,
}

/// The file of `sidegate authority`: the section `authority` of the full file, alone.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorityFile {
    /// The authority to serve; only `embedded` makes sense.
    #[schemars(with = "Authority")]
    pub authority: Option<Authority>,
    /// How long requests under way may take to finish after SIGTERM or SIGINT before they are cut.
    #[schemars(extend("default" = default::DRAIN_TIMEOUT))]
    pub drain_timeout: Option<Written<Duration>>,
    /// Number of worker threads. Without it, one per core.
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<u32>,
}

/// An application behind Sidegate. It has either `url` or `urls`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Its address.
    pub url: Option<Written<settings::UpstreamUrl>>,
    /// Its addresses; requests go round them.
    #[schemars(length(min = 1))]
    pub urls: Option<Vec<Written<settings::UpstreamUrl>>>,
    /// Protocol spoken to it.
    #[schemars(extend("default" = default::PROTOCOL))]
    pub protocol: Option<Protocol>,
    /// TLS details for `https` addresses.
    pub tls: Option<UpstreamTls>,
    /// The `Host` it sees.
    #[schemars(extend("default" = default::HOST))]
    pub host: Option<Host>,
    /// Time to establish a connection, TLS included.
    #[schemars(extend("default" = default::CONNECT_TIMEOUT))]
    pub connect_timeout: Option<Written<Duration>>,
    /// Time from the end of a request to the head of its response.
    #[schemars(extend("default" = default::RESPONSE_TIMEOUT))]
    pub response_timeout: Option<Written<Duration>>,
    /// Time that a response or a WebSocket tunnel may stand still in both directions.
    #[schemars(extend("default" = default::IDLE_TIMEOUT))]
    pub idle_timeout: Option<Written<Option<Duration>>>,
    /// Idle connections that each worker keeps.
    #[schemars(extend("default" = default::MAX_IDLE), range(min = 0, max = 10_000))]
    pub max_idle: Option<u32>,
    /// How long an idle connection is kept. Stay below the application's own keep-alive time.
    #[schemars(extend("default" = default::POOL_IDLE_TIMEOUT))]
    pub pool_idle_timeout: Option<Written<Duration>>,
    /// How often a request that is safe to send again is tried on another address or connection.
    #[schemars(extend("default" = default::RETRIES), range(min = 0, max = 10))]
    pub retries: Option<u32>,
    /// Consecutive connection failures after which an address rests.
    #[schemars(extend("default" = default::UNHEALTHY_AFTER), range(min = 1, max = 1_000))]
    pub unhealthy_after: Option<u32>,
    /// How long it rests.
    #[schemars(extend("default" = default::UNHEALTHY_FOR))]
    pub unhealthy_for: Option<Written<Duration>>,
    /// Requests at a time, over all its addresses, streams and WebSocket tunnels included. One more waits or is answered 503 with `Retry-After`. Without it, as many as the listeners let in.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_requests: Option<u32>,
    /// How long a request waits for its turn when `max_requests` are under way, at most `10s`; `0s`: not at all. As many wait as are under way.
    #[schemars(extend("default" = default::MAX_WAIT))]
    pub max_wait: Option<Written<Duration>>,
}

/// Protocols towards an upstream.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by ALPN over TLS, with prior knowledge (h2c) over plain TCP.
    Http2,
}

/// The `Host` that an upstream sees.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// The client's.
    Preserve,
    /// That of the upstream's URL.
    Upstream,
}

/// TLS towards an upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// PEM file of the CA that signed its certificate. Without it, the system's roots.
    pub ca: Option<Written<PathBuf>>,
    /// Certificate that Sidegate presents.
    pub client_certificate: Option<CertificateFiles>,
    /// Name to verify instead of the URL's host.
    pub server_name: Option<Written<ServerName>>,
}

/// How long the authority's answers are remembered. One entry holds everything about one credential.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// How long an answer is used at most: the longest time in which a revoked credential still gets in. Never longer than the credential itself lives.
    #[schemars(extend("default" = default::TTL))]
    pub ttl: Option<Written<Duration>>,
    /// Share of `ttl` after which an entry that is used is asked again in the background; 1 turns that off.
    #[schemars(extend("default" = default::REFRESH_AHEAD), range(min = 0, max = 1))]
    pub refresh_ahead: Option<f64>,
    /// How long a refusal is remembered; `0s` turns that off.
    #[schemars(extend("default" = default::NEGATIVE_TTL))]
    pub negative_ttl: Option<Written<Duration>>,
    /// How long past `ttl` a former permit still serves while the authority is in trouble; `0s` turns that off. It also lengthens the time in which a revoked credential gets in.
    #[schemars(extend("default" = default::MAX_STALE))]
    pub max_stale: Option<Written<Duration>>,
    /// Entries at most, one per credential.
    #[schemars(extend("default" = default::MAX_ENTRIES), range(min = 1, max = 100_000_000))]
    pub max_entries: Option<u64>,
    /// Entries of the cache of refusals, which is apart so that guesses push out nothing good.
    #[schemars(extend("default" = default::MAX_NEGATIVE_ENTRIES), range(min = 1, max = 100_000_000))]
    pub max_negative_entries: Option<u64>,
    /// Entries of the cache of privileges that depend on a capture or an identity field.
    #[schemars(extend("default" = default::MAX_RESOLVED_ENTRIES), range(min = 1, max = 100_000_000))]
    pub max_resolved_entries: Option<u64>,
    /// How long before its own expiry a credential is no longer served from the cache.
    #[schemars(extend("default" = default::EXPIRY_LEEWAY))]
    pub expiry_leeway: Option<Written<Duration>>,
}

/// Limits on failed logins. Answers from the cache count for nothing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginLimit {
    /// Failures that a client address may have at once.
    #[schemars(extend("default" = default::PER_ADDRESS), range(min = 1, max = 1_000_000))]
    pub per_address: Option<u32>,
    /// Failures that a user name may have at once.
    #[schemars(extend("default" = default::PER_USERNAME), range(min = 1, max = 1_000_000))]
    pub per_username: Option<u32>,
    /// Time in which the whole allowance grows back.
    #[schemars(extend("default" = default::WINDOW))]
    pub window: Option<Written<Duration>>,
}

/// The access log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// Its form.
    #[schemars(extend("default" = default::ACCESS_LOG_FORMAT))]
    pub format: Option<AccessLogFormat>,
    /// Where it goes.
    #[schemars(extend("default" = default::ACCESS_LOG_TARGET))]
    pub target: Option<AccessLogTarget>,
}

/// Forms of the access log.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessLogFormat {
    /// One JSON object per line, with the field names of the Elastic Common Schema.
    Json,
    /// One readable line, for terminals.
    Text,
    /// None at all.
    Off,
}

/// Where a log goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessLogTarget {
    /// Standard output.
    Stdout,
    /// A file, appended to, and opened again on SIGHUP.
    File(Written<PathBuf>),
}
