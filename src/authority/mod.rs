//! The embedded authority: Elasticsearch's security API in this process.
//!
//! An [`Authority`] is a tower `Service` from request to response: [`crate::gate`] calls it in-process through the same client it
//! uses for Elasticsearch, and a listener may serve it. Always true: every answer is authorised by a [`authorize::Granted`] and
//! every write is durable before its 2xx. It never keeps a secret as such, and calls out to nobody but the issuers and identity providers of its realms. A new endpoint is one line in
//! [`api`] and a handler beside it.
//!
//! One request: [`dispatch`] takes it through [`authenticate`] → [`endpoint`] → [`media`] → [`compression`] → a handler in [`api`]
//! ([`body`] → [`authorize`] → [`store`]), [`render`] writes the answer, and [`audit`] is told on the way.

pub mod access;
pub mod api;
pub mod audit;
pub mod authenticate;
pub mod authorize;
pub mod backup;
pub mod body;
pub mod builtin;
pub mod call;
pub mod certificates;
pub mod compression;
pub mod control;
pub mod database;
pub mod dispatch;
pub mod endpoint;
pub mod failure;
pub mod filter_path;
mod job;
pub mod mapping;
pub mod media;
pub mod migration;
pub mod mustache;
pub mod names;
pub mod password;
pub mod permissions;
pub mod profile;
pub mod query;
pub mod realm;
pub mod record;
pub mod render;
mod rows;
pub mod run_as;
pub mod state;
pub mod store;
pub mod subject;
pub mod sweep;
pub mod table;
pub mod time_value;
pub mod yaml;

use std::convert::Infallible;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Method;
use tokio::sync::Semaphore;

use audit::Audit;
use certificates::InUse;
use control::Control;
use mapping::Mappings;
use password::Passwords;
use permissions::Compiled;
use realm::chain::{RealmError, Realms};
use realm::grants::random_text;
use realm::login::Logins;
use realm::service::ServiceTokens;
use realm::service_file::FileError;
use record::Reserved;
use render::Style;
use state::State;
use store::{Identity, Store};

use crate::config::realms::{Anonymous, FailedLogins, Realm, default_chain};
use crate::model::clock::Clock;
use crate::model::secret::Secret;
use crate::net::http::{Request, Response};

/// Name of the superuser.
pub const SUPERUSER: &str = "elastic";

/// Searches at once; each may take a core for a while.
const SCANS: usize = 2;

/// How to open an authority.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the store; `None`: memory only.
    pub data: Option<PathBuf>,
    /// The superuser's password, set when they have none yet; `None`: a random one is made then.
    pub superuser_password: Option<Secret>,
    /// `cluster_name` in answers.
    pub cluster_name: String,
    /// Cost of new bcrypt hashes, 4 to 14.
    pub bcrypt_cost: u32,
    /// Longest request body read, in bytes.
    pub max_body: usize,
    /// Life of access tokens, one second to one hour.
    pub token_timeout: Duration,
    /// The realms after the reserved one, in the order they are asked.
    pub realms: Vec<Realm>,
    /// Who a request without a credential is; `None`: nobody.
    pub anonymous: Option<Anonymous>,
    /// Limit on failed logins per user name.
    pub failed_logins: FailedLogins,
    /// The audit log.
    pub audit: Audit,
    /// The certificates that are served with; whoever loads them keeps this up to date.
    pub certificates: InUse,
    /// Whether answers are compressed for those who ask; off where they travel over TLS.
    pub compress: bool,
    /// Elasticsearch's `service_tokens` file; `None`: tokens of service accounts come from the API only.
    pub service_tokens: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data: None,
            superuser_password: None,
            cluster_name: "sidegate".to_owned(),
            bcrypt_cost: 10,
            max_body: 8 * 1024 * 1024,
            token_timeout: Duration::from_secs(20 * 60),
            realms: default_chain(),
            anonymous: None,
            failed_logins: FailedLogins::default(),
            audit: Audit::off(),
            certificates: InUse::default(),
            compress: true,
            service_tokens: None,
        }
    }
}

/// Why an authority could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// A realm can't be opened.
    #[error(transparent)]
    Realm(#[from] RealmError),
    /// The superuser's first password can't be written.
    #[error("the superuser's password could not be stored")]
    Superuser,
    /// The `service_tokens` file can't be used.
    #[error(transparent)]
    ServiceTokens(#[from] FileError),
}

/// The open authority. Clones share everything; the store closes with the last one.
#[derive(Clone)]
pub struct Authority {
    state: Arc<State>,
    generated_password: Option<Arc<Secret>>,
}

impl Authority {
    /// Opens the store (made if absent) and makes sure the superuser can log in.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(options: Options, clock: Clock) -> Result<Self, OpenError> {
        let fresh = Identity {
            cluster_uuid: random_id(),
            node_id: random_id(),
        };
        let service_tokens = ServiceTokens::open(options.service_tokens)?;
        let store = Store::open(options.data.as_deref(), &fresh)?;
        let passwords = Passwords::new(options.bcrypt_cost);
        let generated =
            set_first_password(&store, &passwords, options.superuser_password.as_ref()).await?;
        let hour = Duration::from_secs(3_600);
        let control = options
            .data
            .as_deref()
            .and_then(|data| listen_for_commands(data, &store));
        let state = State {
            control,
            store,
            own: random_text::<32>(),
            logins: Logins::new(passwords, options.failed_logins),
            realms: Realms::open(&options.realms).await?,
            anonymous: options.anonymous,
            service_tokens,
            compiled: Compiled::default(),
            mappings: Mappings::default(),
            scans: Arc::new(Semaphore::new(SCANS)),
            clock,
            cluster_name: options.cluster_name,
            max_body: options.max_body,
            audit: options.audit,
            certificates: options.certificates,
            compress: options.compress,
            token_timeout: options.token_timeout.clamp(Duration::from_secs(1), hour),
        };
        let state = Arc::new(state);
        sweep::start(&state);
        Ok(Self {
            state,
            generated_password: generated.map(Arc::new),
        })
    }

    /// The superuser's password, when this start made it. To be shown once.
    pub fn generated_password(&self) -> Option<&Secret> {
        self.generated_password.as_deref()
    }

    /// The bearer token by which the program around this authority may do everything, as long as the process lives.
    pub fn own_token(&self) -> &Secret {
        &self.state.own
    }

    /// Whether the store accepts changes; false while the disk does not.
    pub fn is_writable(&self) -> bool {
        self.state.store.is_writable()
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request) -> Response {
        let now = self.state.clock.now();
        let method = request.method().clone();
        let mut style = Style::plain();
        let outcome = if method == Method::OPTIONS {
            match dispatch::options(&request) {
                Ok(response) => return response,
                Err(failure) => Err(failure),
            }
        } else {
            dispatch::answer(&self.state, request, &mut style, now).await
        };
        render::respond(outcome, &style, &method)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl tower::Service<Request> for Authority {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let authority = self.clone();
        Box::pin(async move { Ok(authority.answer(request).await) })
    }
}

/// The control socket; without it everything works but commands such as `authority backup`.
fn listen_for_commands(data: &Path, store: &Store) -> Option<Control> {
    Control::listen(data, store.snapshots())
        .inspect_err(|error| tracing::warn!(%error, "the control socket can't be opened: no backup while this runs"))
        .ok()
}

/// Gives the superuser a password when they have none; returns one that was made up.
async fn set_first_password(
    store: &Store,
    passwords: &Passwords,
    given: Option<&Secret>,
) -> Result<Option<Secret>, OpenError> {
    if store.tables().reserved.find(SUPERUSER).is_some() {
        return Ok(None);
    }
    let generated = given.is_none().then(random_text::<18>);
    let Some(password) = given.or(generated.as_ref()) else {
        return Ok(None);
    };
    let hash = passwords.hash_blocking(password);
    let row = Reserved {
        password: Some(hash),
        enabled: true,
    };
    store
        .write(move |drafts| {
            drafts.reserved.put(SUPERUSER, row);
            Ok::<(), Infallible>(())
        })
        .await
        .map_err(|_| OpenError::Superuser)?;
    Ok(generated)
}

/// Twenty-two characters of base64url, as Elasticsearch's own ids look.
fn random_id() -> String {
    let id = random_text::<16>();
    id.expose_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
