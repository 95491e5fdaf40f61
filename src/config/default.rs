//! Every default of the config file, as it would be written there; the reference shows these, and `check` parses them.

/// `admin.address`
pub const ADMIN_ADDRESS: &str = "127.0.0.1:9901";
/// `drain_delay`
pub const DRAIN_DELAY: &str = "0s";
/// `drain_timeout`
pub const DRAIN_TIMEOUT: &str = "30s";
/// `explain_refusals`
pub const EXPLAIN_REFUSALS: bool = false;
/// `listeners[].socket_mode`
pub const SOCKET_MODE: &str = "0660";
/// `listeners[].reuse_port`, `admin.reuse_port`
pub const REUSE_PORT: bool = false;
/// `listeners[].limits.max_connections`
pub const MAX_CONNECTIONS: u32 = 10_000;
/// `listeners[].limits.max_headers`
pub const MAX_HEADERS: u32 = 100;
/// `listeners[].limits.max_header_bytes`
pub const MAX_HEADER_BYTES: &str = "64KiB";
/// `listeners[].limits.handshake_timeout`
pub const HANDSHAKE_TIMEOUT: &str = "10s";
/// `listeners[].limits.header_timeout`
pub const HEADER_TIMEOUT: &str = "10s";
/// `listeners[].limits.body_idle_timeout`
pub const BODY_IDLE_TIMEOUT: &str = "30s";
/// `listeners[].limits.keep_alive_timeout`
pub const KEEP_ALIVE_TIMEOUT: &str = "75s";
/// `listeners[].limits.max_streams`
pub const MAX_STREAMS: u32 = 128;
/// `listeners[].limits.max_requests`
pub const MAX_REQUESTS: u32 = 20_000;
/// `listeners[].tls.minimum_version`
pub const TLS_VERSION: &str = "tls1.2";
/// `authority.embedded.realms.kerberos.NAME.remove_realm_name`
pub const REMOVE_REALM_NAME: bool = false;
/// `credentials.kerberos.cookie_lifetime`
pub const KERBEROS_COOKIE_LIFETIME: &str = "15m";
/// `credentials.jwt.clock_skew`
pub const ISSUER_CLOCK_SKEW: &str = "30s";
/// `credentials.jwt.issuers[].algorithms`
pub const ISSUER_ALGORITHMS: [&str; 1] = ["RS256"];
/// `credentials.jwt.issuers[].refresh`
pub const ISSUER_REFRESH: &str = "5m";
/// `routes[].credentials.run_as`, `forward.elasticsearch.run_as`
pub const RUN_AS: bool = false;
/// `routes[].credentials.secondary_authorization`, `forward.elasticsearch.secondary_authorization`
pub const SECONDARY_AUTHORIZATION: bool = false;
/// `authority.elasticsearch.timeout`
pub const AUTHORITY_TIMEOUT: &str = "5s";
/// `authority.elasticsearch.connect_timeout`
pub const AUTHORITY_CONNECT_TIMEOUT: &str = "2s";
/// `upstreams.NAME.protocol`
pub const PROTOCOL: &str = "http1";
/// `upstreams.NAME.host`
pub const HOST: &str = "preserve";
/// `upstreams.NAME.connect_timeout`
pub const CONNECT_TIMEOUT: &str = "5s";
/// `upstreams.NAME.response_timeout`
pub const RESPONSE_TIMEOUT: &str = "60s";
/// `upstreams.NAME.idle_timeout`
pub const IDLE_TIMEOUT: &str = "1h";
/// `upstreams.NAME.max_idle`
pub const MAX_IDLE: u32 = 64;
/// `upstreams.NAME.pool_idle_timeout`
pub const POOL_IDLE_TIMEOUT: &str = "60s";
/// `upstreams.NAME.retries`
pub const RETRIES: u32 = 1;
/// `upstreams.NAME.unhealthy_after`
pub const UNHEALTHY_AFTER: u32 = 3;
/// `upstreams.NAME.unhealthy_for`
pub const UNHEALTHY_FOR: &str = "10s";
/// `upstreams.NAME.max_wait`
pub const MAX_WAIT: &str = "0s";
/// `cache.ttl`
pub const TTL: &str = "60s";
/// `cache.refresh_ahead`
pub const REFRESH_AHEAD: f64 = 0.75;
/// `cache.negative_ttl`
pub const NEGATIVE_TTL: &str = "5s";
/// `cache.max_stale`
pub const MAX_STALE: &str = "0s";
/// `cache.max_entries`
pub const MAX_ENTRIES: u64 = 100_000;
/// `cache.max_negative_entries`
pub const MAX_NEGATIVE_ENTRIES: u64 = 20_000;
/// `cache.max_resolved_entries`
pub const MAX_RESOLVED_ENTRIES: u64 = 200_000;
/// `cache.expiry_leeway`
pub const EXPIRY_LEEWAY: &str = "5s";
/// `routes[].forward`
pub const FORWARD: &str = "none";
/// `routes[].websocket`
pub const WEBSOCKET: bool = false;
/// `routes[].recheck`
pub const RECHECK: &str = "30s";
/// `routes[].preflight`
pub const PREFLIGHT: &str = "judge";
/// `routes[].preflight.answer.max_age`
pub const PREFLIGHT_MAX_AGE: &str = "5m";
/// `routes[].preflight.answer.credentials`
pub const PREFLIGHT_CREDENTIALS: bool = false;
/// `routes[].rate_limit.per`
pub const RATE_PER: &str = "1s";
/// `routes[].rate_limit.by`
pub const RATE_BY: &str = "address";
/// `routes[].require.index[].allow_restricted_indices`
pub const ALLOW_RESTRICTED_INDICES: bool = false;
/// `login_limit.per_address`
pub const PER_ADDRESS: u32 = 100;
/// `login_limit.per_username`
pub const PER_USERNAME: u32 = 10;
/// `login_limit.window`
pub const WINDOW: &str = "5m";
/// `access_log.format`
pub const ACCESS_LOG_FORMAT: &str = "json";
/// `access_log.target`
pub const ACCESS_LOG_TARGET: &str = "stdout";
/// `authority.embedded.audit.target`
pub const AUDIT_TARGET: &str = "stdout";
/// `forward.identity_headers.username`
pub const USERNAME_HEADER: &str = "X-Forwarded-User";
/// `forward.identity_headers.roles`
pub const ROLES_HEADER: &str = "X-Forwarded-Roles";
/// `forward.identity_headers.full_name`
pub const FULL_NAME_HEADER: &str = "X-Forwarded-Name";
/// `forward.identity_headers.email`
pub const EMAIL_HEADER: &str = "X-Forwarded-Email";
/// `forward.identity_headers.realm`
pub const REALM_HEADER: &str = "X-Forwarded-Realm";
/// `forward.identity_headers.authentication_type`
pub const AUTHENTICATION_TYPE_HEADER: &str = "X-Forwarded-Authentication-Type";
/// `forward.identity_headers.api_key_id`
pub const API_KEY_ID_HEADER: &str = "X-Forwarded-Api-Key-Id";
/// `forward.identity_headers.api_key_name`
pub const API_KEY_NAME_HEADER: &str = "X-Forwarded-Api-Key-Name";
/// `forward.api_key.expiration`
pub const API_KEY_EXPIRATION: &str = "1h";
/// `forward.api_key.name`
pub const API_KEY_NAME: &str = "sidegate/{route}/{identity.username}";
/// `forward.assertion.expiration`
pub const ASSERTION_EXPIRATION: &str = "5m";
/// `forward.assertion.header`
pub const ASSERTION_HEADER: &str = "X-Sidegate-Assertion";
/// `assertion.issuer`
pub const ASSERTION_ISSUER: &str = "sidegate";
/// `routes[].require.elasticsearch_call`
pub const ELASTICSEARCH_CALL: bool = false;
/// `authority.embedded.realms.*.NAME.enabled`
pub const REALM_ENABLED: bool = true;
/// `authority.embedded.realms.*.NAME.cache.ttl`
pub const REALM_CACHE_TTL: &str = "20m";
/// `authority.embedded.realms.*.NAME.cache.max_users`
pub const REALM_CACHE_MAX_USERS: u64 = 100_000;
/// `authority.embedded.realms.jwt.NAME.token_type`
pub const JWT_TOKEN_TYPE: &str = "id_token";
/// `authority.embedded.realms.jwt.NAME.allowed_clock_skew`
pub const JWT_CLOCK_SKEW: &str = "60s";
/// `authority.embedded.realms.jwt.NAME.pkc_jwkset_reload.interval`
pub const JWKS_INTERVAL: &str = "5m";
/// `authority.embedded.realms.jwt.NAME.http.*`
pub const JWKS_TIMEOUT: &str = "5s";
/// `authority.embedded.realms.jwt.NAME.client_authentication.type`
pub const JWT_CLIENT_AUTHENTICATION: &str = "shared_secret";
/// `authority.embedded.realms.jwt.NAME.populate_user_metadata`
pub const JWT_POPULATE_USER_METADATA: bool = true;
/// `authority.embedded.realms.oidc.NAME.populate_user_metadata`
pub const OIDC_POPULATE_USER_METADATA: bool = true;
/// `authority.embedded.realms.oidc.NAME.allowed_clock_skew`
pub const OIDC_CLOCK_SKEW: &str = "60s";
/// `authority.embedded.realms.oidc.NAME.http.*_timeout`
pub const OIDC_TIMEOUT: &str = "5s";
/// `authority.embedded.realms.oidc.NAME.rp.client_auth_method`
pub const OIDC_CLIENT_AUTH_METHOD: &str = "client_secret_basic";
/// `authority.embedded.realms.oidc.NAME.rp.client_auth_jwt_signature_algorithm`
pub const OIDC_CLIENT_AUTH_JWT_SIGNATURE_ALGORITHM: &str = "HS384";
/// `authority.embedded.realms.oidc.NAME.rp.signature_algorithm`
pub const OIDC_SIGNATURE_ALGORITHM: &str = "RS256";
/// `authority.embedded.realms.oidc.NAME.rp.pkce`
pub const OIDC_PKCE: bool = true;
/// `authority.embedded.realms.pki.NAME.username_pattern`
pub const PKI_USERNAME_PATTERN: &str = "CN=(.*?)(?:,|$)";
/// `authority.embedded.realms.pki.NAME.delegation.enabled`
pub const PKI_DELEGATION: bool = false;
/// `authority.embedded.realms.saml.NAME.force_authn`
pub const SAML_FORCE_AUTHN: bool = false;
/// `authority.embedded.realms.saml.NAME.populate_user_metadata`
pub const SAML_POPULATE_USER_METADATA: bool = true;
/// `authority.embedded.realms.saml.NAME.allowed_clock_skew`
pub const SAML_CLOCK_SKEW: &str = "3m";
/// `authority.embedded.realms.saml.NAME.idp.use_single_logout`
pub const SAML_USE_SINGLE_LOGOUT: bool = true;
/// `authority.embedded.realms.saml.NAME.idp.metadata.http.refresh`
pub const SAML_METADATA_REFRESH: &str = "1h";
/// `authority.embedded.realms.saml.NAME.idp.metadata.http.*`
pub const SAML_METADATA_TIMEOUT: &str = "5s";
/// `authority.embedded.realms.saml.NAME.nameid.allow_create`
pub const SAML_NAMEID_ALLOW_CREATE: bool = false;
/// `authority.embedded.realms.saml.NAME.encryption.allow_unsigned_cbc`
pub const SAML_ALLOW_UNSIGNED_CBC: bool = false;
/// `authority.embedded.anonymous.username`
pub const ANONYMOUS_USERNAME: &str = "_anonymous";
/// `authority.embedded.anonymous.authz_exception`
pub const ANONYMOUS_AUTHZ_EXCEPTION: bool = true;
/// `authority.embedded.failed_logins.per_username`
pub const FAILED_LOGINS_PER_USERNAME: u32 = 30;
/// `authority.embedded.token_timeout`
pub const TOKEN_TIMEOUT: &str = "20m";
/// `authority.embedded.failed_logins.window`
pub const FAILED_LOGINS_WINDOW: &str = "5m";
/// `sso.prefix`
pub const SSO_PREFIX: &str = "/_sidegate/";
/// `sso.providers[].in_selector`
pub const SSO_IN_SELECTOR: bool = true;
/// `sso.providers[].login.saml.relay_state_deep_links`
pub const SSO_RELAY_STATE_DEEP_LINKS: bool = false;
/// `sso.session.persistent`
pub const SESSION_PERSISTENT: bool = false;
/// `sso.session.partitioned`
pub const SESSION_PARTITIONED: bool = false;
/// `sso.session.idle_timeout`
pub const SESSION_IDLE_TIMEOUT: &str = "8h";
/// `sso.session.lifespan`
pub const SESSION_LIFESPAN: &str = "24h";
/// `sso.session.end_on_drain`
pub const SESSION_END_ON_DRAIN: bool = false;
/// `sso.session.store.redis.tls`
pub const REDIS_TLS: bool = false;
/// `sso.session.store.redis.database`
pub const REDIS_DATABASE: u8 = 0;
/// `sso.session.store.redis.key_prefix`
pub const REDIS_KEY_PREFIX: &str = "sidegate:";
/// `sso.session.store.redis.timeout`
pub const REDIS_TIMEOUT: &str = "1s";
/// `sso.pages.language`
pub const SSO_PAGES_LANGUAGE: &str = "en";
