//! The keys of one issuer, read from a JWKS (RFC 7517) and read again in the background.
//!
//! Always true: a set replaces the former one whole, so that a key taken out is gone; a set that can't be read changes nothing;
//! tokens that name unknown keys make it read again at most every half minute.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::config::ways::{JwtAlgorithm, JwtIssuer, JwtKeys};
use crate::model::clock::Now;
use crate::net::fetch::{Deadlines, FetchError, Fetcher};

/// How often unknown keys may make the set be read again.
const PAUSE: Duration = Duration::from_secs(30);
/// The same while there is no set at all.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of a set that is fetched.
const MAX_BYTES: usize = 1 << 20;
/// Time for all of fetching it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Keys of a set at most; what follows is not looked at.
const MAX_KEYS: usize = 100;
/// Keys tried for a token that names none.
const MAX_TRIES: usize = 4;

/// An issuer's keys.
pub(in crate::gate) struct Keys {
    issuer: Arc<str>,
    source: Source,
    set: ArcSwapOption<Vec<Key>>,
    /// When unknown keys last made the set be read, in monotonic time.
    asked: Mutex<Option<Duration>>,
}

enum Source {
    File(PathBuf),
    Url(Fetcher),
}

struct Key {
    id: Option<String>,
    algorithm: Option<KeyAlgorithm>,
    key: DecodingKey,
}

/// A JWKS as far as it is looked at; single keys that can't be read are left out.
#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl Keys {
    /// Begins to read the set, now and then every `refresh`, until the last handle is gone.
    ///
    /// # Errors
    /// [`FetchError`] when no TLS can be set up.
    pub(in crate::gate) fn start(settings: &JwtIssuer) -> Result<Arc<Self>, FetchError> {
        let source = match &settings.keys {
            JwtKeys::File(path) => Source::File(path.clone()),
            JwtKeys::Url { url, ca } => {
                let deadlines = Deadlines {
                    connect: PATIENCE,
                    answer: PATIENCE,
                };
                Source::Url(Fetcher::new(url.clone(), ca.as_deref(), deadlines)?)
            }
        };
        let keys = Arc::new(Self {
            issuer: settings.issuer.as_str().into(),
            source,
            set: ArcSwapOption::empty(),
            asked: Mutex::new(None),
        });
        tokio::spawn(refresh(Arc::downgrade(&keys), settings.refresh));
        Ok(keys)
    }

    /// Whether a set has been read.
    pub(in crate::gate) fn are_known(&self) -> bool {
        self.set.load().is_some()
    }

    /// The keys that may have made a signature, best first: the one named, or those that fit.
    pub(in crate::gate) fn candidates(
        &self,
        id: Option<&str>,
        algorithm: JwtAlgorithm,
    ) -> Vec<DecodingKey> {
        let set = self.set.load();
        let fits = |key: &&Key| {
            key.key.family() == library(algorithm).family()
                && key
                    .algorithm
                    .is_none_or(|meant| meant == meant_for(algorithm))
                && id.is_none_or(|id| key.id.as_deref() == Some(id))
        };
        set.iter()
            .flat_map(|set| set.iter())
            .filter(fits)
            .take(MAX_TRIES)
            .map(|key| key.key.clone())
            .collect()
    }

    /// Reads the set again because a token names a key that isn't in it; not if that was done a moment ago.
    pub(in crate::gate) async fn look_again(&self, now: Now) {
        let mut asked = self.asked.lock().await;
        let pause = if self.are_known() { PAUSE } else { FIRST_PAUSE };
        if asked.is_some_and(|asked| now.mono < asked + pause) {
            return;
        }
        *asked = Some(now.mono);
        self.read().await;
    }

    async fn read(&self) {
        let document = match &self.source {
            Source::File(path) => tokio::fs::read(path)
                .await
                .map_err(|error| error.to_string()),
            Source::Url(fetcher) => tokio::time::timeout(PATIENCE, fetcher.get(MAX_BYTES))
                .await
                .unwrap_or(Err(FetchError::Timeout))
                .map(|bytes| bytes.to_vec())
                .map_err(|error| error.to_string()),
        };
        match document.and_then(|bytes| parse(&bytes)) {
            Ok(set) => {
                tracing::debug!(target: "sidegate::gate", issuer = %self.issuer, keys = set.len(), "jwks read");
                self.set.store(Some(Arc::new(set)));
            }
            Err(error) => {
                tracing::warn!(target: "sidegate::gate", issuer = %self.issuer, %error, "jwks could not be read");
            }
        }
    }
}

async fn refresh(keys: Weak<Keys>, every: Duration) {
    while let Some(keys) = keys.upgrade() {
        keys.read().await;
        drop(keys);
        tokio::time::sleep(every).await;
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<Key>, String> {
    let document: Document =
        serde_json::from_slice(bytes).map_err(|_| "it is no JWKS".to_owned())?;
    let keys: Vec<Key> = document
        .keys
        .into_iter()
        .take(MAX_KEYS)
        .filter_map(key)
        .collect();
    if keys.is_empty() {
        return Err("it holds no key that verifies signatures".to_owned());
    }
    Ok(keys)
}

/// A public key that is meant to verify signatures. Symmetric ones are left out: published, they verify nothing.
fn key(value: Value) -> Option<Key> {
    if value.get("kty").and_then(Value::as_str) == Some("oct") {
        return None;
    }
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let verifies = match (&jwk.common.public_key_use, &jwk.common.key_operations) {
        (Some(purpose), _) if *purpose != PublicKeyUse::Signature => false,
        (_, Some(operations)) => operations.contains(&KeyOperations::Verify),
        (_, None) => true,
    };
    if !verifies {
        return None;
    }
    Some(Key {
        key: DecodingKey::from_jwk(&jwk).ok()?,
        id: jwk.common.key_id,
        algorithm: jwk.common.key_algorithm,
    })
}

/// The library's name of an algorithm.
pub(in crate::gate) const fn library(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Rs384 => Algorithm::RS384,
        JwtAlgorithm::Rs512 => Algorithm::RS512,
        JwtAlgorithm::Ps256 => Algorithm::PS256,
        JwtAlgorithm::Ps384 => Algorithm::PS384,
        JwtAlgorithm::Ps512 => Algorithm::PS512,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::Es384 => Algorithm::ES384,
        JwtAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

/// What a key that is meant for one algorithm says (RFC 7517 §4.4).
const fn meant_for(algorithm: JwtAlgorithm) -> KeyAlgorithm {
    match algorithm {
        JwtAlgorithm::Rs256 => KeyAlgorithm::RS256,
        JwtAlgorithm::Rs384 => KeyAlgorithm::RS384,
        JwtAlgorithm::Rs512 => KeyAlgorithm::RS512,
        JwtAlgorithm::Ps256 => KeyAlgorithm::PS256,
        JwtAlgorithm::Ps384 => KeyAlgorithm::PS384,
        JwtAlgorithm::Ps512 => KeyAlgorithm::PS512,
        JwtAlgorithm::Es256 => KeyAlgorithm::ES256,
        JwtAlgorithm::Es384 => KeyAlgorithm::ES384,
        JwtAlgorithm::EdDsa => KeyAlgorithm::EdDSA,
    }
}
