//! Makes what upstreams get in place of the client's credential: once per identity, ahead of its end, whoever waits for it.
//!
//! Always true: one ask at a time for one grant; the ask runs detached, so a caller who hangs up hurts nobody, and everybody waits
//! by their own deadline; trouble is remembered for a moment only, so that it is not asked about by everybody; what was made is
//! leased, and so taken back when nobody keeps it. Another kind of exchange is another arm in `Exchanger::make`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::HeaderValue;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::ledger::{Lease, Leased, Ledger};
use super::metrics::{ExchangeMetrics, Kind, Outcome};
use super::signer;
use crate::config::forwards::ApiKeyGrant;
use crate::elastic::client::Client;
use crate::elastic::exchanges::{ExchangeError, Tokens};
use crate::gate::exchanged::{Exchanged, Grant, Slot};
use crate::gate::refusal::Refusal;
use crate::model::clock::{Clock, Now};
use crate::model::credential::Credential;
use crate::model::identity::Identity;
use crate::model::secret::Secret;

/// The metadata field that marks an API key as made by an instance of Sidegate.
pub const INSTANCE_FIELD: &str = "sidegate_instance";
/// The metadata field that tells which run of it that was.
pub const RUN_FIELD: &str = "sidegate_run";
/// The metadata field that tells for which route.
const ROUTE_FIELD: &str = "sidegate_route";
/// What is not sent any more so long before its end: clocks differ, and requests take time.
const LEEWAY: Duration = Duration::from_secs(30);
/// Share of a life after which a use has a new one made.
const RENEWED_AFTER: f64 = 0.75;
/// How long trouble keeps others from asking.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// How long one renewal keeps others from starting.
pub const RENEWAL_PAUSE: Duration = Duration::from_secs(15);
/// What the client is told to wait when the authority didn't say.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// A waiter outlasts the asks' own deadlines by this, so that it learns the cause.
const GRACE: Duration = Duration::from_millis(500);
/// How many shared keys there are before it is first looked for those that nobody uses.
const FIRST_FULL: usize = 64;
/// Characters of an API key's name.
const MAX_NAME: usize = 256;

/// What outlives a configuration.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// Where leases end.
    pub ledger: Ledger,
    /// What is counted.
    pub metrics: ExchangeMetrics,
    /// The clock.
    pub clock: Clock,
    /// The name of this instance among its replicas.
    pub instance: Arc<str>,
    /// The name of this run of it: random.
    pub run: Arc<str>,
}

/// Makes grants by one configuration. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exchanger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    workshop: Workshop,
    /// API keys by identity and route, for credentials that share them.
    shared: Mutex<SharedKeys>,
    /// What the authority's JWT realm wants beside a token.
    client_authentication: Option<Secret>,
}

/// What is made once for all credentials of an identity. Bounded by what is in use: twice that, at most.
#[derive(Debug)]
struct SharedKeys {
    known: HashMap<(String, String), Arc<Shared>>,
    /// With so many it is looked through for what nobody uses any more.
    full: usize,
}

impl Default for SharedKeys {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            full: FIRST_FULL,
        }
    }
}

impl SharedKeys {
    /// What is shared under a key. Looks through all of them now and then, and so rarely that it costs next to nothing for each.
    fn of(&mut self, key: (String, String)) -> Arc<Shared> {
        if self.known.len() >= self.full && !self.known.contains_key(&key) {
            self.known
                .retain(|_, one| Arc::strong_count(one) > 1 || one.is_alive());
            self.known.shrink_to(self.known.len() * 2);
            self.full = (self.known.len() * 2).max(FIRST_FULL);
        }
        Arc::clone(self.known.entry(key).or_default())
    }
}

/// The API key that all credentials of an identity share.
#[derive(Debug, Default)]
struct Shared {
    /// Held by whoever has one granted.
    making: tokio::sync::Mutex<()>,
    grant: Mutex<Weak<Grant>>,
}

/// What is to be made.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// An access token.
    Token,
    /// An API key.
    ApiKey(Arc<ApiKeyGrant>),
}

/// One exchange: for whom, and where to keep what comes of it.
pub struct Order {
    /// What.
    pub wanted: Wanted,
    /// Whom for.
    pub identity: Identity,
    /// What the client presented.
    pub credential: Credential,
    /// Whom they act as with it.
    pub run_as: Option<String>,
    /// Where it is kept.
    pub exchanged: Arc<Exchanged>,
    /// In which slot.
    pub slot: usize,
}

impl Wanted {
    const fn kind(&self) -> Kind {
        match self {
            Self::Token => Kind::Token,
            Self::ApiKey(_) => Kind::ApiKey,
        }
    }

    /// The cluster privilege that Sidegate's own credential needs for it.
    const fn privilege(&self) -> &'static str {
        match self {
            Self::Token => "manage_token",
            Self::ApiKey(_) => "grant_api_key",
        }
    }
}

impl Exchanger {
    /// Makes grants by asking with this client. `client_authentication`: the shared secret of the authority's JWT realm.
    pub fn new(client: Client, workshop: Workshop, client_authentication: Option<Secret>) -> Self {
        Self(Arc::new(Inner {
            client,
            workshop,
            shared: Mutex::default(),
            client_authentication,
        }))
    }

    /// The client that is asked with.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// The shared secret of the authority's JWT realm.
    pub fn client_authentication(&self) -> Option<&Secret> {
        self.0.client_authentication.as_ref()
    }

    /// What is counted.
    pub fn metrics(&self) -> &ExchangeMetrics {
        &self.0.workshop.metrics
    }

    /// Has a grant made, or waits for whoever does.
    ///
    /// # Errors
    /// The [`Refusal`] to give the client.
    pub async fn fulfil(&self, order: Order) -> Result<Arc<Grant>, Refusal> {
        // A refresh that failed may be followed by a whole new exchange, and each may be blamed on somebody.
        let limit = self.0.client.timeout() * 4 + GRACE;
        let task = tokio::spawn(self.clone().work(order, false));
        match tokio::time::timeout(limit, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_died)) => Err(Refusal::Internal("an exchange died")),
            Err(_elapsed) => Err(unavailable("timeout", None)),
        }
    }

    /// Has a grant that is due made anew, in the background.
    pub fn renew(&self, order: Order) {
        tokio::spawn(self.clone().work(order, true));
    }

    async fn work(self, order: Order, renewing: bool) -> Result<Arc<Grant>, Refusal> {
        let Some(slot) = order.exchanged.slot(order.slot) else {
            return Err(Refusal::Internal("an exchange has no slot"));
        };
        let _turn = slot.make().await;
        let now = self.0.workshop.clock.now();
        if let Some(grant) = slot.current()
            && (grant.is_fresh(now) || (!renewing && grant.is_live(now)))
        {
            return Ok(grant);
        }
        if let Some(refusal) = slot.trouble(now) {
            return Err(refusal);
        }
        match self.make(&order, slot, now).await {
            Ok((grant, outcome)) => {
                if let Some(former) = slot.current() {
                    note_replaced(&former);
                }
                order.exchanged.keep(order.slot, Arc::clone(&grant));
                self.metrics().count(order.wanted.kind(), outcome, 1);
                Ok(grant)
            }
            Err(error) => {
                let refusal = self.refusal(&order, &error);
                slot.note_trouble(refusal.clone(), self.0.workshop.clock.now(), TROUBLE_PAUSE);
                Err(refusal)
            }
        }
    }

    async fn make(
        &self,
        order: &Order,
        slot: &Slot,
        now: Now,
    ) -> Result<(Arc<Grant>, Outcome), ExchangeError> {
        let former = slot.current();
        let again = if former.is_some() {
            Outcome::Renewed
        } else {
            Outcome::Made
        };
        match &order.wanted {
            Wanted::Token => {
                let tokens = self.token(order, slot, former.as_deref(), now).await?;
                Ok((Arc::new(tokens), again))
            }
            Wanted::ApiKey(policy) => {
                let shared = self.shared(order, policy);
                let _turn = shared.making.lock().await;
                if let Some(grant) = shared.fresh(self.0.workshop.clock.now()) {
                    return Ok((grant, Outcome::Shared));
                }
                let grant = Arc::new(self.api_key(order, policy).await?);
                shared.keep(&grant);
                Ok((grant, again))
            }
        }
    }

    /// A token by the refresh token of the one before, or else by the client's password.
    async fn token(
        &self,
        order: &Order,
        slot: &Slot,
        former: Option<&Grant>,
        now: Now,
    ) -> Result<Grant, ExchangeError> {
        let lease = |grant: &Grant| {
            let lease = grant.lease.as_ref()?.downcast_ref::<Lease>()?;
            lease.refresh_token().cloned()
        };
        if let Some(refresh) = former.and_then(lease) {
            match self.0.client.refreshed_token(&refresh).await {
                Ok(tokens) => return self.token_grant(order, tokens, now),
                Err(ExchangeError::InvalidGrant { reason, .. }) => {
                    tracing::debug!(target: "sidegate::exchange", reason, "refresh token is used up");
                    // Somebody else may have used it: what they kept is looked at before a password is asked with again.
                    let kept = slot.current().as_deref().and_then(lease);
                    if let Some(other) = kept.filter(|other| *other != refresh)
                        && let Ok(tokens) = self.0.client.refreshed_token(&other).await
                    {
                        return self.token_grant(order, tokens, now);
                    }
                }
                Err(ExchangeError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match &order.credential {
            Credential::Basic { username, password } => {
                let now = self.0.workshop.clock.now();
                let tokens = self.0.client.token_for_password(username, password).await?;
                self.token_grant(order, tokens, now)
            }
            Credential::Bearer(_) | Credential::ApiKey(_) => Err(ExchangeError::Unfit),
        }
    }

    fn token_grant(&self, order: &Order, tokens: Tokens, now: Now) -> Result<Grant, ExchangeError> {
        let value = header_value("Bearer ", tokens.access.expose()).ok_or(ExchangeError::Unfit);
        let leased = Leased::Token {
            access: tokens.access,
            refresh: tokens.refresh,
        };
        // From here on it is taken back, whatever goes wrong.
        let lease = self.lease(leased);
        // Whoever acts as somebody else has no token of theirs.
        if tokens
            .username
            .is_some_and(|name| name != order.identity.username)
        {
            return Err(ExchangeError::Unfit);
        }
        Ok(grant(value?, tokens.life, now).leasing(Box::new(lease)))
    }

    async fn api_key(&self, order: &Order, policy: &ApiKeyGrant) -> Result<Grant, ExchangeError> {
        let now = self.0.workshop.clock.now();
        let run_as = order.run_as.as_deref();
        let fields = self.api_key_fields(policy, &order.identity);
        let key = self
            .0
            .client
            .grant_api_key(&order.credential, self.secret_for(order), run_as, &fields)
            .await?;
        let lease = self.lease(Leased::ApiKey { id: key.id });
        let value = header_value("ApiKey ", key.encoded.expose()).ok_or(ExchangeError::Unfit)?;
        Ok(grant(value, policy.expiration, now).leasing(Box::new(lease)))
    }

    /// The JWT realm's secret, for what may be a JWT: no token of the authority itself holds a dot.
    fn secret_for(&self, order: &Order) -> Option<&Secret> {
        match &order.credential {
            Credential::Bearer(token) if token.expose().contains(&b'.') => {
                self.0.client_authentication.as_ref()
            }
            _ => None,
        }
    }

    fn api_key_fields(&self, policy: &ApiKeyGrant, identity: &Identity) -> Map<String, Value> {
        let name = signer::fill(&policy.name, &policy.route, identity)
            .unwrap_or_else(|| format!("sidegate/{}", policy.route));
        let mut metadata = policy.metadata.clone();
        metadata.insert(
            INSTANCE_FIELD.to_owned(),
            (*self.0.workshop.instance).into(),
        );
        metadata.insert(RUN_FIELD.to_owned(), (*self.0.workshop.run).into());
        metadata.insert(ROUTE_FIELD.to_owned(), policy.route.as_str().into());
        Map::from_iter([
            ("name".to_owned(), key_name(&name).into()),
            (
                "expiration".to_owned(),
                format!("{}s", policy.expiration.as_secs()).into(),
            ),
            (
                "role_descriptors".to_owned(),
                policy.role_descriptors.clone().into(),
            ),
            ("metadata".to_owned(), metadata.into()),
        ])
    }

    fn lease(&self, what: Leased) -> Lease {
        self.0.workshop.ledger.lease(what, &self.0.client)
    }

    /// What the credentials of an identity share.
    fn shared(&self, order: &Order, policy: &ApiKeyGrant) -> Arc<Shared> {
        let mut shared = self.0.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.of(shared_key(order, policy))
    }

    /// Counts and logs why there is no exchange, and says what the client is told.
    fn refusal(&self, order: &Order, error: &ExchangeError) -> Refusal {
        let kind = order.wanted.kind();
        let scheme = order.credential.scheme();
        let (outcome, refusal) = match error {
            ExchangeError::Ask(error) => (
                Outcome::Trouble,
                unavailable(error.cause(), error.retry_after()),
            ),
            ExchangeError::Refused { .. } => {
                (Outcome::Refused, Refusal::Unauthenticated { scheme })
            }
            ExchangeError::Denied { .. } | ExchangeError::InvalidGrant { .. } => {
                (Outcome::Denied, unavailable("own_credential", None))
            }
            ExchangeError::Unfit => (Outcome::Unfit, Refusal::NotExchangeable { scheme }),
        };
        self.metrics().count(kind, outcome, 1);
        match outcome {
            Outcome::Denied | Outcome::Trouble => tracing::warn!(
                target: "sidegate::exchange",
                kind = kind.label(), outcome = outcome.label(), %error, needed_privilege = order.wanted.privilege(),
                "no exchange: does Sidegate's own credential have the needed cluster privilege?"
            ),
            _ => tracing::info!(
                target: "sidegate::exchange",
                kind = kind.label(), outcome = outcome.label(), scheme = scheme.label(), %error, "no exchange"
            ),
        }
        refusal
    }
}

impl Shared {
    fn fresh(&self, now: Now) -> Option<Arc<Grant>> {
        let grant = self.grant.lock().unwrap_or_else(PoisonError::into_inner);
        grant.upgrade().filter(|grant| grant.is_fresh(now))
    }

    fn keep(&self, grant: &Arc<Grant>) {
        *self.grant.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(grant);
    }

    fn is_alive(&self) -> bool {
        let grant = self.grant.lock().unwrap_or_else(PoisonError::into_inner);
        grant.strong_count() > 0
    }
}

/// A grant from a life that began when it was asked for: the authority's clock takes no part.
fn grant(value: HeaderValue, life: Duration, asked: Now) -> Grant {
    let due = asked.mono + life.mul_f64(RENEWED_AFTER);
    let end = asked.mono + life.saturating_sub(LEEWAY.min(life / 4));
    Grant::new(value, due.min(end), end)
}

/// Requests under way may still need what is replaced.
fn note_replaced(former: &Grant) {
    let lease = former.lease.as_ref();
    if let Some(lease) = lease.and_then(|lease| lease.downcast_ref::<Lease>()) {
        lease.replace();
    }
}

fn shared_key(order: &Order, policy: &ApiKeyGrant) -> (String, String) {
    let identity = &order.identity;
    let whole = serde_json::json!([
        identity.username,
        identity.roles,
        identity.full_name,
        identity.email,
        identity.metadata,
        [identity.realm.name, identity.realm.kind],
        [identity.lookup_realm.name, identity.lookup_realm.kind],
        identity.authentication_type,
        identity.api_key.as_ref().map(|key| key.id.as_str()),
        // What somebody got by acting as another goes when either of them is purged, and is nobody else's.
        order.run_as.is_some(),
    ]);
    (whole.to_string(), policy.route.clone())
}

/// A name as Elasticsearch takes it: at most 256 characters, no white space at its ends, no `_` before it.
fn key_name(wanted: &str) -> String {
    let name: String = wanted
        .trim()
        .trim_start_matches('_')
        .chars()
        .take(MAX_NAME)
        .collect();
    match name.trim() {
        "" => "sidegate".to_owned(),
        name => name.to_owned(),
    }
}

/// `Authorization` of what was made, marked so that no header dump shows it.
pub fn header_value(scheme: &str, token: &[u8]) -> Option<HeaderValue> {
    let bytes = Zeroizing::new([scheme.as_bytes(), token].concat());
    let mut value = HeaderValue::from_bytes(&bytes).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn unavailable(cause: &'static str, retry_after: Option<Duration>) -> Refusal {
    Refusal::AuthorityUnavailable {
        cause,
        retry_after: retry_after.unwrap_or(RETRY_AFTER),
    }
}

#[cfg(test)]
mod tests;
