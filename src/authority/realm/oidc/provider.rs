//! The provider: its endpoints and keys, as written or as its discovery document tells (OpenID Connect Discovery §4).
//!
//! Always true: what was written goes before what was discovered; a document counts only when it names exactly the issuer it was
//! asked for; endpoints that are not `https` (or this machine) are no endpoints; a document that can't be read leaves the former
//! endpoints in force and is not asked for again at once.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::authority::realm::jwt::source::KeySource;
use crate::config::realm_values::{JwksPath, ProviderUrl};
use crate::config::realms::PublicKeys;
use crate::config::realms_oidc::{OidcHttp, OidcProvider};
use crate::config::values::Value as _;
use crate::model::clock::Now;
use crate::net::fetch::{Deadlines, FetchError, Fetcher};

/// Bytes of a discovery document at most.
const MAX_BYTES: usize = 1 << 18;
/// How long a discovery document counts.
const FRESH: Duration = Duration::from_secs(3_600);
/// Time between two tries that fail.
const REST: Duration = Duration::from_secs(10);

/// Why the provider's endpoints are not known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer.
    #[error("the discovery document can't be read: {0}")]
    Fetch(Arc<FetchError>),
    /// What it answers is no discovery document.
    #[error("the discovery document is malformed")]
    Malformed,
    /// It speaks for somebody else.
    #[error("the discovery document is of another issuer")]
    Issuer,
    /// An endpoint that is needed is not there or can't be trusted.
    #[error("there is no {0} that can be used")]
    Missing(&'static str),
    /// The last try failed a moment ago.
    #[error("the discovery document could not be read a moment ago")]
    Resting,
}

impl From<FetchError> for ProviderError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(Arc::new(error))
    }
}

/// An endpoint that is asked from here.
pub struct Endpoint {
    /// Its URL.
    pub url: String,
    /// How it is asked.
    pub fetcher: Fetcher,
}

/// What is known of the provider.
pub struct Endpoints {
    /// Where the browser logs in.
    pub authorization: ProviderUrl,
    /// Where a code is exchanged.
    pub token: Option<Endpoint>,
    /// Where more claims are.
    pub userinfo: Option<Endpoint>,
    /// Where the browser logs out.
    pub end_session: Option<ProviderUrl>,
    /// Its public keys.
    pub keys: Option<Arc<KeySource>>,
    /// Whether each of its responses says `iss` (RFC 9207 §3).
    pub names_itself: bool,
}

/// Endpoints, the document behind them, and until when they count.
struct Known {
    endpoints: Arc<Endpoints>,
    jwks_uri: Option<String>,
    /// Monotonic time; `None`: for good.
    until: Option<Duration>,
}

/// The fields of a discovery document that count.
#[derive(Default, Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    jwks_uri: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// A provider.
pub struct Provider {
    realm: String,
    settings: OidcProvider,
    http: OidcHttp,
    discovery: Option<Fetcher>,
    /// Keys whose place was written.
    keys: Option<Arc<KeySource>>,
    /// Whether ID tokens are signed with public keys at all.
    needs_keys: bool,
    known: ArcSwapOption<Known>,
    /// Held while discovering; monotonic time until which no other try is made.
    rests_until: Mutex<Duration>,
}

impl Provider {
    /// Reads keys whose place was written; discovers nothing yet.
    ///
    /// # Errors
    /// TLS settings that can't be used.
    pub async fn open(
        realm: &str,
        settings: &OidcProvider,
        http: &OidcHttp,
        needs_keys: bool,
    ) -> Result<Self, FetchError> {
        let discovery = settings.discovery.as_ref();
        let discovery = discovery.map(|url| fetcher(url, http)).transpose()?;
        let keys = match settings.keys.clone().filter(|_| needs_keys) {
            Some(path) => Some(Arc::new(
                KeySource::open(realm, &public_keys(path, http)).await?,
            )),
            None => None,
        };
        let provider = Self {
            realm: realm.to_owned(),
            settings: settings.clone(),
            http: http.clone(),
            discovery,
            keys,
            needs_keys,
            known: ArcSwapOption::empty(),
            rests_until: Mutex::new(Duration::ZERO),
        };
        if provider.discovery.is_none() {
            // Everything that is needed was written, so only TLS can fail.
            match provider.assemble(Document::default(), None, None).await {
                Ok(known) => provider.known.store(Some(Arc::new(known))),
                Err(ProviderError::Fetch(error)) => {
                    return Err(Arc::into_inner(error).unwrap_or(FetchError::Timeout));
                }
                Err(_) => {}
            }
        }
        Ok(provider)
    }

    /// The endpoints, discovered when they are not known or no longer fresh.
    ///
    /// # Errors
    /// [`ProviderError`], only while none were ever known.
    pub async fn endpoints(&self, now: Now) -> Result<Arc<Endpoints>, ProviderError> {
        let fresh = |known: &Known| known.until.is_none_or(|until| now.mono < until);
        if let Some(known) = self.known.load_full().filter(|known| fresh(known)) {
            return Ok(Arc::clone(&known.endpoints));
        }
        let mut rests_until = self.rests_until.lock().await;
        let former = self.known.load_full();
        // Somebody else may have discovered them while this one waited.
        if let Some(known) = former.as_ref().filter(|known| fresh(known)) {
            return Ok(Arc::clone(&known.endpoints));
        }
        let discovered = if now.mono < *rests_until {
            Err(ProviderError::Resting)
        } else {
            *rests_until = now.mono.saturating_add(REST);
            self.discover(former.as_deref(), now).await
        };
        match (discovered, former) {
            (Ok(known), _) => {
                let known = Arc::new(known);
                self.known.store(Some(Arc::clone(&known)));
                Ok(Arc::clone(&known.endpoints))
            }
            (Err(error), Some(former)) => {
                tracing::warn!(realm = %self.realm, %error, "provider can't be discovered again, its former endpoints stay");
                Ok(Arc::clone(&former.endpoints))
            }
            (Err(error), None) => {
                tracing::warn!(realm = %self.realm, %error, "provider can't be discovered");
                Err(error)
            }
        }
    }

    async fn discover(&self, former: Option<&Known>, now: Now) -> Result<Known, ProviderError> {
        let fetcher = self
            .discovery
            .as_ref()
            .ok_or(ProviderError::Missing("discovery document"))?;
        let bytes = fetcher.get(MAX_BYTES).await?;
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|_| ProviderError::Malformed)?;
        if document.issuer != self.settings.issuer {
            return Err(ProviderError::Issuer);
        }
        let until = now.mono.saturating_add(FRESH);
        let known = self.assemble(document, former, Some(until)).await?;
        tracing::info!(realm = %self.realm, "provider was discovered");
        Ok(known)
    }

    async fn assemble(
        &self,
        document: Document,
        former: Option<&Known>,
        until: Option<Duration>,
    ) -> Result<Known, ProviderError> {
        let settings = &self.settings;
        let discovered =
            |text: Option<String>| text.and_then(|text| ProviderUrl::parse(&text).ok());
        let chosen =
            |written: &Option<ProviderUrl>, text| written.clone().or_else(|| discovered(text));
        let asked = |url: Option<ProviderUrl>| -> Result<Option<Endpoint>, FetchError> {
            let Some(url) = url else {
                return Ok(None);
            };
            let fetcher = fetcher(&url, &self.http)?;
            let url = url.text;
            Ok(Some(Endpoint { url, fetcher }))
        };
        let authorization = chosen(
            &settings.authorization_endpoint,
            document.authorization_endpoint,
        );
        let keys = self.keys_at(document.jwks_uri.as_deref(), former).await?;
        let endpoints = Endpoints {
            authorization: authorization.ok_or(ProviderError::Missing("authorization endpoint"))?,
            token: asked(chosen(&settings.token_endpoint, document.token_endpoint))?,
            userinfo: asked(chosen(
                &settings.userinfo_endpoint,
                document.userinfo_endpoint,
            ))?,
            end_session: chosen(&settings.endsession_endpoint, document.end_session_endpoint),
            keys,
            names_itself: document.authorization_response_iss_parameter_supported,
        };
        Ok(Known {
            endpoints: Arc::new(endpoints),
            jwks_uri: document.jwks_uri,
            until,
        })
    }

    /// The keys: those whose place was written, the former ones while their place is the same, or those of a new place.
    async fn keys_at(
        &self,
        jwks_uri: Option<&str>,
        former: Option<&Known>,
    ) -> Result<Option<Arc<KeySource>>, ProviderError> {
        if !self.needs_keys {
            return Ok(None);
        }
        if let Some(keys) = &self.keys {
            return Ok(Some(Arc::clone(keys)));
        }
        if let Some(former) = former.filter(|former| former.jwks_uri.as_deref() == jwks_uri) {
            return Ok(former.endpoints.keys.clone());
        }
        let missing = ProviderError::Missing("place of its keys");
        // Only a URL: a document that others write must not name files of this machine.
        let url = jwks_uri.and_then(|uri| ProviderUrl::parse(uri).ok());
        let path = JwksPath::Url(url.ok_or(missing)?.url);
        let keys = KeySource::open(&self.realm, &public_keys(path, &self.http)).await?;
        Ok(Some(Arc::new(keys)))
    }
}

fn fetcher(url: &ProviderUrl, http: &OidcHttp) -> Result<Fetcher, FetchError> {
    let deadlines = Deadlines {
        connect: http.connect_timeout,
        answer: http.read_timeout,
    };
    Fetcher::new(url.url.clone(), http.ca.as_deref(), deadlines)
}

fn public_keys(path: JwksPath, http: &OidcHttp) -> PublicKeys {
    PublicKeys {
        path,
        interval: http.keys_interval,
        ca: http.ca.clone(),
        connect_timeout: http.connect_timeout,
        read_timeout: http.read_timeout,
    }
}
