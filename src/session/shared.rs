//! Sessions in Redis, shared by replicas.
//!
//! Always true: Redis sees hashes of ids and names, and sealed records, so whoever reads it has no session; a record is only
//! replaced by one made from it (compare and set, by a script on the server); an ended session leaves its reason and no record;
//! every wait has a deadline, and an answer that doesn't come is trouble, never an end.
//!
//! Keys, after the prefix: `s:HASH` is a hash of generation, record, activity, end of life and reason; `x` sorts sessions by the
//! time at which they run out; `u:`, `p:`, `o:` and `i:` sort the sessions of a user name, of a user at a provider, of an
//! OpenID subject and of an OpenID session by age; `a:HASH` tells that a login's attempt was used ([`super::uses`]). Scripts name keys that they build, so Redis Cluster is not for them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, ScriptInvocation, TlsCertificates,
};

use super::ended::EndReason;
use super::keyring::Keyring;
use super::live::millis;
use super::metrics::SessionMetrics;
use super::record::{Session, SessionId};
use super::scripts;
use super::trouble::{SetUpError, StoreTrouble};
use super::whose::Whose;
use crate::config::sso;
use crate::model::clock::Now;

/// What is read of a session is used so long without looking again.
pub const FRESH: Duration = Duration::from_secs(2);
/// From [`FRESH`] on it is used while somebody looks again, and no longer than this.
pub const STALE: Duration = Duration::from_secs(5);
/// What the keys seal records for.
const PURPOSE: &str = "session record";
/// How long an ended session's reason outlasts its life.
const AFTERLIFE: Duration = Duration::from_secs(3_600);
/// Sessions that one sweep takes, and that one look at an index reads.
const BATCH: usize = 500;

/// A Redis server.
pub(super) struct Shared {
    client: Client,
    config: ConnectionManagerConfig,
    connection: ArcSwap<ConnectionManager>,
    timeout: Duration,
    prefix: String,
    keyring: Arc<Keyring>,
    metrics: SessionMetrics,
}

/// What the store knows of a session.
#[derive(Debug)]
pub(super) enum Stored {
    /// Its record, and Unix milliseconds of its last activity.
    Session(Box<Session>, u64),
    /// Why there is none.
    Gone(EndReason),
}

/// Generation, record, activity, reason.
type Row = (Option<u64>, Option<Vec<u8>>, Option<u64>, Option<String>);

impl Shared {
    /// A server by its settings. Connects with the first request. Must be called within a runtime, which drives the connection.
    pub(super) fn new(
        settings: &sso::Redis,
        keyring: &Arc<Keyring>,
        metrics: &SessionMetrics,
    ) -> Result<Self, SetUpError> {
        let client = client(settings)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(settings.timeout))
            .set_response_timeout(Some(settings.timeout))
            // Whoever comes next tries again; nobody waits for a row of attempts.
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config.clone())
            .map_err(|error| SetUpError::Client(error.to_string()))?;
        Ok(Self {
            client,
            config,
            connection: ArcSwap::from_pointee(connection),
            timeout: settings.timeout,
            prefix: settings.key_prefix.clone(),
            keyring: Arc::clone(keyring),
            metrics: metrics.clone(),
        })
    }

    /// What is known of a session.
    pub(super) async fn read(&self, id: &SessionId) -> Result<Stored, StoreTrouble> {
        let hash = id.hash();
        let mut script = scripts::READ.prepare_invoke();
        script.arg(&self.prefix).arg(&hash);
        let row: Row = self.run(&script).await?;
        self.stored(&hash, row)
    }

    /// Begins a session; the ones that are over now because a user may have no more than `most`.
    pub(super) async fn begin(
        &self,
        session: &Session,
        most: Option<u32>,
    ) -> Result<Vec<Session>, StoreTrouble> {
        let hash = session.id.hash();
        let record = self.seal(&hash, session)?;
        let active = millis(session.created);
        let mut script = scripts::BEGIN.prepare_invoke();
        script
            .arg(&self.prefix)
            .arg(&hash)
            .arg(session.generation)
            .arg(record)
            .arg(active)
            .arg(due(session, active))
            .arg(millis(session.lifespan.saturating_add(AFTERLIFE)))
            .arg(millis(session.ends()))
            .arg(active)
            .arg(most.unwrap_or(0))
            .arg(EndReason::Limit.label());
        for index in indexes(session) {
            script.arg(index);
        }
        let over: Vec<(String, Vec<u8>)> = self.run(&script).await?;
        Ok(self.opened(over))
    }

    /// Puts `next` in place of the record of generation `from`; what is there now, either way.
    pub(super) async fn replace(&self, from: u64, next: &Session) -> Result<Stored, StoreTrouble> {
        let hash = next.id.hash();
        let record = self.seal(&hash, next)?;
        let mut script = scripts::REPLACE.prepare_invoke();
        script
            .arg(&self.prefix)
            .arg(&hash)
            .arg(from)
            .arg(next.generation)
            .arg(record);
        let row: Row = self.run(&script).await?;
        self.stored(&hash, row)
    }

    /// Tells of activity.
    pub(super) async fn touch(&self, session: &Session, active: u64) -> Result<(), StoreTrouble> {
        let mut script = scripts::TOUCH.prepare_invoke();
        script
            .arg(&self.prefix)
            .arg(session.id.hash())
            .arg(active)
            .arg(due(session, active));
        let _known: u64 = self.run(&script).await?;
        Ok(())
    }

    /// Ends a session.
    pub(super) async fn end(
        &self,
        session: &Session,
        reason: EndReason,
    ) -> Result<(), StoreTrouble> {
        let mut script = scripts::END.prepare_invoke();
        script
            .arg(&self.prefix)
            .arg(session.id.hash())
            .arg(reason.label());
        for index in indexes(session) {
            script.arg(index);
        }
        let _ended: u64 = self.run(&script).await?;
        Ok(())
    }

    /// Every session that is meant.
    pub(super) async fn find(&self, whose: &Whose) -> Result<Vec<Session>, StoreTrouble> {
        let index = index_of(whose);
        let mut found = Vec::new();
        let mut from = 0;
        loop {
            let mut script = scripts::LIST.prepare_invoke();
            script
                .arg(&self.prefix)
                .arg(&index)
                .arg(from)
                .arg(from + BATCH - 1);
            let (length, rows): (usize, Vec<(String, Vec<u8>)>) = self.run(&script).await?;
            found.extend(
                self.opened(rows)
                    .into_iter()
                    .filter(|session| whose.covers(session)),
            );
            from += BATCH;
            if from >= length {
                return Ok(found);
            }
        }
    }

    /// Takes sessions that have run out, some at a time; each is given to one replica only.
    pub(super) async fn sweep(&self, now: Now) -> Result<Vec<(Session, EndReason)>, StoreTrouble> {
        let mut script = scripts::SWEEP.prepare_invoke();
        script
            .arg(&self.prefix)
            .arg(now.unix_millis())
            .arg(BATCH)
            .arg(EndReason::Idle.label())
            .arg(EndReason::Lifespan.label());
        let over: Vec<(String, Vec<u8>)> = self.run(&script).await?;
        let mut swept = Vec::new();
        for session in self.opened(over) {
            let mut forget = scripts::END.prepare_invoke();
            let reason = if now.unix >= session.ends() {
                EndReason::Lifespan
            } else {
                EndReason::Idle
            };
            forget
                .arg(&self.prefix)
                .arg(session.id.hash())
                .arg(reason.label());
            for index in indexes(&session) {
                forget.arg(index);
            }
            let _ended: u64 = self.run(&forget).await?;
            swept.push((session, reason));
        }
        Ok(swept)
    }

    /// What every key begins with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Has the server carry a script out.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreTrouble> {
        let used = self.connection.load_full();
        let mut connection = ConnectionManager::clone(&used);
        let asked = script.invoke_async(&mut connection);
        // The manager has time-outs of its own for connecting and answering; together they may not take longer than twice one.
        let outcome = tokio::time::timeout(self.timeout * 2, asked).await;
        let told = match outcome {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(error)) => Err(self.trouble(&error, &used)),
            Err(_) => {
                self.reconnect(&used);
                Err(StoreTrouble { cause: "timeout" })
            }
        };
        self.metrics.asked_store(told.is_ok());
        told
    }

    fn trouble(&self, error: &RedisError, used: &Arc<ConnectionManager>) -> StoreTrouble {
        let cause = if error.is_timeout() {
            "timeout"
        } else if error.is_io_error() || error.is_connection_dropped() {
            "connect"
        } else {
            "refused"
        };
        tracing::warn!(target: "sidegate::session", cause, code = error.code(), %error, "session store could not be asked");
        // A server that became a replica keeps its connections, and its name now means another; a connection that fell silent
        // may stay so for as long as the kernel has patience.
        if error.code() == Some("READONLY") || cause == "timeout" {
            self.reconnect(used);
        }
        StoreTrouble { cause }
    }

    /// Has the next request connect anew, unless another request has seen to that.
    fn reconnect(&self, used: &Arc<ConnectionManager>) {
        if Arc::ptr_eq(&self.connection.load_full(), used)
            && let Ok(connection) =
                ConnectionManager::new_lazy_with_config(self.client.clone(), self.config.clone())
        {
            self.connection.store(Arc::new(connection));
        }
    }

    fn seal(&self, hash: &str, session: &Session) -> Result<Vec<u8>, StoreTrouble> {
        self.keyring
            .seal(PURPOSE, &session.encode(), hash.as_bytes())
            .map_err(|_| StoreTrouble { cause: "garbage" })
    }

    fn open(&self, hash: &str, record: &[u8]) -> Option<Session> {
        let bytes = self.keyring.open(PURPOSE, record, hash.as_bytes())?;
        Session::decode(&bytes)
    }

    fn opened(&self, rows: Vec<(String, Vec<u8>)>) -> Vec<Session> {
        rows.iter()
            .filter_map(|(hash, record)| self.open(hash, record))
            .collect()
    }

    fn stored(&self, hash: &str, row: Row) -> Result<Stored, StoreTrouble> {
        let (_, record, active, reason) = row;
        let Some(record) = record else {
            let reason = reason.as_deref().and_then(EndReason::from_label);
            return Ok(Stored::Gone(reason.unwrap_or(EndReason::Unknown)));
        };
        // A key that was taken out of the ring ends what it sealed.
        Ok(match self.open(hash, &record) {
            Some(session) => Stored::Session(Box::new(session), active.unwrap_or(0)),
            None => Stored::Gone(EndReason::Unknown),
        })
    }
}

/// When a session runs out, in Unix milliseconds.
fn due(session: &Session, active: u64) -> u64 {
    active
        .saturating_add(millis(session.idle_timeout))
        .min(millis(session.ends()))
}

/// The indexes of a session; the one that limits are counted by comes first.
fn indexes(session: &Session) -> Vec<String> {
    let mut indexes = vec![
        name("p", &[&session.provider, &session.realm, &session.username]),
        name("u", &[&session.username]),
    ];
    if let Some(names) = &session.oidc {
        indexes.push(name("o", &[&session.provider, &names.subject]));
        if let Some(sid) = &names.session {
            indexes.push(name("i", &[&session.provider, sid]));
        }
    }
    indexes
}

/// The smallest index that holds everything that is meant.
fn index_of(whose: &Whose) -> String {
    match whose {
        Whose {
            provider: Some(provider),
            oidc_session: Some(sid),
            ..
        } => name("i", &[provider, sid]),
        Whose {
            provider: Some(provider),
            subject: Some(subject),
            ..
        } => name("o", &[provider, subject]),
        Whose {
            username: Some(username),
            ..
        } => name("u", &[username]),
        _ => "x".to_owned(),
    }
}

/// A name that tells nothing to whoever reads the server's keys.
pub(super) fn name(kind: &str, parts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    format!("{kind}:{}", URL_SAFE_NO_PAD.encode(context.finish()))
}

fn client(settings: &sso::Redis) -> Result<Client, SetUpError> {
    let (host, port) = settings
        .address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .ok_or_else(|| SetUpError::Client("its address is not host:port".into()))?;
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let addr = if settings.tls {
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut login = RedisConnectionInfo::default()
        .set_db(i64::from(settings.database))
        .set_skip_set_lib_name();
    if let Some(username) = &settings.username {
        login = login.set_username(username);
    }
    if let Some(password) = settings.password.as_ref().and_then(|it| it.expose_str()) {
        login = login.set_password(password);
    }
    let failed = |error: RedisError| SetUpError::Client(error.to_string());
    let info: ConnectionInfo = addr.into_connection_info().map_err(failed)?;
    let info = info.set_redis_settings(login);
    match (&settings.ca, settings.tls) {
        (Some(path), true) => {
            let root_cert = std::fs::read(path).map_err(|source| SetUpError::Ca {
                path: path.clone(),
                source,
            })?;
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: Some(root_cert),
            };
            Client::build_with_tls(info, certificates).map_err(failed)
        }
        _ => Client::open(info).map_err(failed),
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
