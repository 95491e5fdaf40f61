//! Where the identity provider's metadata comes from: a file or an `https` URL, read again when the file changes and in the
//! background.
//!
//! Always true: one reading at a time; metadata that can't be read leaves the former in force until that ends by its own
//! `validUntil`. Redirects are not followed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::idp::{Idp, MetadataError};
use crate::authority::realm::watch::{Background, Watch};
use crate::config::realm_saml::SamlIdp;
use crate::config::realm_values::JwksPath;
use crate::model::clock::Now;
use crate::net::fetch::{Deadlines, FetchError, Fetcher};

/// Bytes of metadata at most.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Time until another try when there is no metadata yet.
const RETRY: Duration = Duration::from_secs(10);

/// Why no metadata could be read.
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
    /// Too long, or no text.
    #[error("it is no text of at most {MAX_BYTES} bytes")]
    Text,
    /// The URL.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What was read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

struct Shared {
    realm: String,
    settings: SamlIdp,
    fetcher: Option<Fetcher>,
    idp: ArcSwapOption<Idp>,
    /// Held while reading.
    reading: tokio::sync::Mutex<()>,
}

/// The metadata of one identity provider.
pub struct Source {
    shared: Arc<Shared>,
    _refresh: Background,
    _watch: Option<Watch>,
}

impl Source {
    /// Reads the metadata; when that fails, goes on trying in the background.
    ///
    /// # Errors
    /// TLS settings that can't be used.
    pub async fn open(realm: &str, settings: &SamlIdp) -> Result<Self, FetchError> {
        let fetcher = match &settings.metadata.path {
            JwksPath::File(_) => None,
            JwksPath::Url(url) => {
                let deadlines = Deadlines {
                    connect: settings.metadata.connect_timeout,
                    answer: settings.metadata.read_timeout,
                };
                let ca = settings.metadata.ca.as_deref();
                Some(Fetcher::new(url.clone(), ca, deadlines)?)
            }
        };
        let shared = Arc::new(Shared {
            realm: realm.to_owned(),
            settings: settings.clone(),
            fetcher,
            idp: ArcSwapOption::empty(),
            reading: tokio::sync::Mutex::new(()),
        });
        shared.renew().await;
        let refresh = Background::spawn(Arc::clone(&shared).refresh());
        let watch = match &settings.metadata.path {
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

    /// What is known now; `None`: nothing, or it has ended.
    pub fn idp(&self, now: Now) -> Option<Arc<Idp>> {
        let now = i64::try_from(now.unix.as_secs()).unwrap_or(i64::MAX);
        let idp = self.shared.idp.load_full()?;
        let ended = idp.valid_until.is_some_and(|end| end <= now);
        (!ended).then_some(idp)
    }
}

impl Shared {
    /// Goes on reading for as long as the realm lives.
    async fn refresh(self: Arc<Self>) {
        let interval = self.settings.metadata.refresh;
        loop {
            let pause = match self.idp.load().as_ref() {
                None => RETRY.min(interval),
                Some(_) => interval,
            };
            tokio::time::sleep(pause).await;
            self.renew().await;
        }
    }

    async fn renew(&self) {
        let _alone = self.reading.lock().await;
        match self.read().await {
            Ok(idp) => {
                if self.idp.load().is_none() {
                    tracing::info!(realm = %self.realm, keys = idp.keys.len(), "SAML metadata was read");
                }
                self.idp.store(Some(Arc::new(idp)));
            }
            Err(error) => {
                tracing::warn!(realm = %self.realm, %error, "SAML metadata can't be read, the former stays");
            }
        }
    }

    async fn read(&self) -> Result<Idp, SourceError> {
        let bytes = match (&self.settings.metadata.path, &self.fetcher) {
            (JwksPath::File(path), _) => read_file(path.clone()).await?,
            (JwksPath::Url(_), Some(fetcher)) => fetcher.get(MAX_BYTES).await?.to_vec(),
            (JwksPath::Url(_), None) => Vec::new(),
        };
        let text = String::from_utf8(bytes).map_err(|_| SourceError::Text)?;
        Ok(Idp::parse(&text, &self.settings.entity_id)?)
    }
}

async fn read_file(path: PathBuf) -> Result<Vec<u8>, SourceError> {
    let fault = |source| SourceError::File {
        path: path.clone(),
        source,
    };
    let size = tokio::fs::metadata(&path).await.map_err(fault)?.len();
    if size > MAX_BYTES as u64 {
        return Err(SourceError::Text);
    }
    tokio::fs::read(&path).await.map_err(fault)
}
