//! Where an issuer's public keys come from: a file or an `https` URL, read again in the background and when a token was signed
//! by an unknown key.
//!
//! Always true: at most one reading at a time, and for unknown keys at most one in ten seconds, or anybody could make this
//! process a hammer; keys that can't be read leave the former ones in force. Redirects are not followed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::keys::{KeySet, KeySetError, Wanted};
use super::token::Jwt;
use crate::authority::realm::watch::{Background, Watch};
use crate::config::realm_values::JwksPath;
use crate::config::realms::{JwtAlgorithm, PublicKeys};
use crate::model::clock::Now;
use crate::net::fetch::{Deadlines, FetchError, Fetcher};

/// Bytes of a key set at most.
const MAX_BYTES: usize = 1 << 20;
/// Time between two readings that unknown keys ask for.
const REST: Duration = Duration::from_secs(10);
/// Time until another try when there are no keys yet.
const RETRY: Duration = Duration::from_secs(10);

/// Why no keys could be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file.
    #[error("file {path} can't be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// More bytes than a key set may have.
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// The URL.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What was read.
    #[error(transparent)]
    Keys(#[from] KeySetError),
}

/// The keys and how to read them again.
struct Shared {
    realm: String,
    settings: PublicKeys,
    fetcher: Option<Fetcher>,
    keys: ArcSwap<KeySet>,
    /// Held while reading.
    reading: tokio::sync::Mutex<()>,
    /// Monotonic nanoseconds until which unknown keys cause no reading.
    rests_until: AtomicU64,
}

/// The public keys of one issuer.
pub struct KeySource {
    shared: Arc<Shared>,
    _refresh: Background,
    _watch: Option<Watch>,
}

impl KeySource {
    /// Reads the keys; when that fails, goes on trying in the background.
    ///
    /// # Errors
    /// TLS settings that can't be used.
    pub async fn open(realm: &str, settings: &PublicKeys) -> Result<Self, FetchError> {
        let fetcher = match &settings.path {
            JwksPath::File(_) => None,
            JwksPath::Url(url) => {
                let deadlines = Deadlines {
                    connect: settings.connect_timeout,
                    answer: settings.read_timeout,
                };
                Some(Fetcher::new(
                    url.clone(),
                    settings.ca.as_deref(),
                    deadlines,
                )?)
            }
        };
        let shared = Arc::new(Shared {
            realm: realm.to_owned(),
            settings: settings.clone(),
            fetcher,
            keys: ArcSwap::default(),
            reading: tokio::sync::Mutex::new(()),
            rests_until: AtomicU64::new(0),
        });
        shared.renew().await;
        let refresh = Background::spawn(Arc::clone(&shared).refresh());
        let watch = match &settings.path {
            JwksPath::File(path) => {
                let shared = Arc::clone(&shared);
                let runtime = tokio::runtime::Handle::current();
                Some(Watch::start(std::slice::from_ref(path), move || {
                    runtime.block_on(shared.renew())
                }))
            }
            JwksPath::Url(_) => None,
        };
        Ok(Self {
            shared,
            _refresh: refresh,
            _watch: watch,
        })
    }

    /// The keys now.
    pub fn keys(&self) -> Arc<KeySet> {
        self.shared.keys.load_full()
    }

    /// Whether one of the keys made the token's signature with this algorithm, a key that was published only now included.
    pub async fn verifies(&self, jwt: &Jwt, algorithm: JwtAlgorithm, now: Now) -> bool {
        let keys = self.keys();
        if keys.verifies(jwt, algorithm) {
            return true;
        }
        let newer = self.newer_than(&keys, now).await;
        newer.is_some_and(|keys| keys.verifies(jwt, algorithm))
    }

    /// Reads the keys again because none of `known` fits; `None` when there is nothing new, or it is too early to look.
    pub async fn newer_than(&self, known: &Arc<KeySet>, now: Now) -> Option<Arc<KeySet>> {
        let newer = |keys: Arc<KeySet>| (!Arc::ptr_eq(&keys, known)).then_some(keys);
        let _alone = self.shared.reading.lock().await;
        // Somebody else may have read them while this one waited.
        if let Some(keys) = newer(self.keys()) {
            return Some(keys);
        }
        let now = nanos(now.mono);
        if now < self.shared.rests_until.load(Ordering::Relaxed) {
            return None;
        }
        let rest = now.saturating_add(nanos(REST));
        self.shared.rests_until.store(rest, Ordering::Relaxed);
        self.shared.read_logged().await;
        newer(self.keys())
    }
}

impl Shared {
    /// Goes on reading for as long as the realm lives.
    async fn refresh(self: Arc<Self>) {
        loop {
            let pause = if self.keys.load().is_empty() {
                RETRY.min(self.settings.interval)
            } else {
                self.settings.interval
            };
            tokio::time::sleep(pause).await;
            self.renew().await;
        }
    }

    async fn renew(&self) {
        let _alone = self.reading.lock().await;
        self.read_logged().await;
    }

    async fn read_logged(&self) {
        match self.read().await {
            Ok(keys) if keys != **self.keys.load() => {
                tracing::info!(realm = %self.realm, keys = keys.len(), "public keys were read");
                self.keys.store(Arc::new(keys));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(realm = %self.realm, %error, "public keys can't be read, the former ones stay");
            }
        }
    }

    async fn read(&self) -> Result<KeySet, SourceError> {
        let bytes = match (&self.settings.path, &self.fetcher) {
            (JwksPath::File(path), _) => read_file(path.clone()).await?,
            (JwksPath::Url(_), Some(fetcher)) => fetcher.get(MAX_BYTES).await?.to_vec(),
            (JwksPath::Url(_), None) => Vec::new(),
        };
        Ok(KeySet::parse(&bytes, Wanted::Public)?)
    }
}

async fn read_file(path: PathBuf) -> Result<Vec<u8>, SourceError> {
    let fault = |source| SourceError::File {
        path: path.clone(),
        source,
    };
    let size = tokio::fs::metadata(&path).await.map_err(fault)?.len();
    if size > MAX_BYTES as u64 {
        return Err(SourceError::TooLong);
    }
    tokio::fs::read(&path).await.map_err(fault)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
