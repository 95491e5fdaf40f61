//! The decision: may this request pass?
//!
//! Always true: no route matched → refused; a cached authentication never implies an authorisation; trouble at the
//! authority is a refusal of its own kind, never a 401 and never a permit. [`Permit`] is the
//! proof of a yes, and only `authorize` can make one.
//!
//! One request reads downwards: [`target`] (one canonical reading) → [`routes`] → [`extract`] (one credential) → `authenticate`
//! ([`cache`], or one ask) → [`authorize`]. A hit on that way takes no lock of ours and waits for nobody. A reload makes a new
//! gate, whose cache is empty and whose fingerprints are its own; the [`limiter`] lives on.

mod ask;
mod authenticate;
pub mod authorize;
mod browser;
pub mod cache;
mod calls;
mod claim;
mod exchange;
pub mod exchanged;
pub mod extract;
pub mod fields;
mod flight;
mod give_back;
pub mod held;
pub mod jwt;
mod kerberos;
pub mod limiter;
pub mod metrics;
mod pass;
pub mod pattern;
pub mod preflight;
pub mod purge;
mod question;
mod rates;
pub mod recheck;
pub mod refusal;
mod renew;
mod requirement;
pub mod routes;
mod stand_in;
pub mod target;
pub mod trace;
mod trie;
mod visit;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::forwards::Conveyed;
use crate::config::settings::{Forward, Settings};
use crate::config::sso::Sso;
use crate::elastic::client::Client;
use crate::model::clock::{Clock, Now};
use crate::model::credential::FingerprintKey;
use crate::net::fetch::FetchError;
use crate::net::http::{Head, Peer};
use crate::session::{Sessions, cookie};

use authenticate::Authenticator;
use authorize::Permit;
use browser::{Brought, Browser};
use cache::{Cache, CacheStats};
use exchange::Exchanges;
use extract::Intake;
use extract::presented::Presented;
use flight::Flights;
use give_back::GivingBack;
use held::Lender;
use limiter::LoginLimiter;
use metrics::{GateFamilies, GateMetrics};
use purge::PurgeScope;
use recheck::{Alarm, Review, Standing};
use refusal::Refusal;
use routes::{Route, RouteFault, RouteTable};
use target::Target;
use trace::Steps;

/// What a decision comes to.
pub type Verdict<P = Permit> = Result<P, Refusal>;

/// Routes, cache and authority, joined to one decision.
pub struct Gate {
    routes: RouteTable,
    authenticator: Arc<Authenticator>,
    metrics: Arc<GateMetrics>,
    families: GateFamilies,
    browser: Option<Arc<Browser>>,
    giving_back: Option<Arc<GivingBack>>,
    alarm: Arc<Alarm>,
}

impl Gate {
    /// Builds a gate with an empty cache. `limiter` and `families` outlive reloads.
    ///
    /// # Errors
    /// Every [`RouteFault`], of which checked settings have none; TLS that can't be set up to fetch the keys of JWTs.
    pub fn new(
        settings: &Settings,
        client: Client,
        families: &GateFamilies,
        limiter: Arc<LoginLimiter>,
        clock: Clock,
    ) -> Result<Self, GateError> {
        let routes = RouteTable::compile(settings).map_err(GateError::Routes)?;
        let names = routes.routes().iter().map(|route| route.name.as_str());
        let metrics = Arc::new(GateMetrics::new(families, names));
        let authenticator = Authenticator {
            client,
            cache: Cache::new(&settings.cache, &metrics).with_exchanges(routes.exchanges()),
            metrics: Arc::clone(&metrics),
            rates: limiter.routes.of(settings),
            limiter,
            clock,
            key: FingerprintKey::random(),
            atoms: routes.atoms().into(),
            slots: routes.forwardings().len(),
            asks: Flights::new(),
            resolving: Flights::new(),
            exchanges: Exchanges::new(&settings.credentials, &settings.cache)?,
            intake: Intake::new(&settings.credentials),
        };
        Ok(Self {
            routes,
            authenticator: Arc::new(authenticator),
            metrics,
            families: families.clone(),
            browser: None,
            giving_back: None,
            alarm: Arc::default(),
        })
    }

    /// The same, taking browsers' sessions for a credential, renewing their tokens and giving them back when they end. Must be
    /// called within a runtime, which outlives the gate.
    #[must_use]
    pub fn with_sessions(mut self, sso: &Sso, sessions: Arc<Sessions>) -> Self {
        let giving_back = GivingBack::new(sessions.metrics().clone());
        let (told, runtime) = (Arc::clone(&giving_back), Handle::current());
        let authenticator = Arc::downgrade(&self.authenticator);
        let alarm = Arc::clone(&self.alarm);
        sessions.on_end(move |ended| {
            if let Some(authenticator) = authenticator.upgrade() {
                told.ended(&authenticator, &ended, &runtime);
            }
            alarm.ring();
        });
        let authenticator = Arc::downgrade(&self.authenticator);
        let alarm = Arc::clone(&self.alarm);
        sessions.on_doubt(move |realm| {
            if let Some(authenticator) = authenticator.upgrade() {
                let scope = PurgeScope::Realm(realm.to_owned());
                authenticator.cache.purge(scope);
            }
            alarm.ring();
        });
        sessions.start_sweeping(self.authenticator.clock.clone());
        self.browser = Some(Arc::new(Browser::new(sessions, sso)));
        self.giving_back = Some(giving_back);
        self
    }

    /// The sessions, where there are any.
    pub fn sessions(&self) -> Option<&Arc<Sessions>> {
        self.browser.as_ref().map(|browser| &browser.sessions)
    }

    /// Waits until the tokens of ended sessions are invalidated, at most so long; tells how many sessions were left.
    pub async fn settle_sessions(&self, most: Duration) -> usize {
        match &self.giving_back {
            Some(giving_back) => giving_back.settle(most).await,
            None => 0,
        }
    }

    /// Decides one request: canonical target → route → credential → identity → requirement.
    ///
    /// # Errors
    /// A [`Refusal`] for every request that may not pass, whatever the reason.
    pub async fn decide(&self, head: &Head, peer: &Peer, now: Now, steps: &mut Steps) -> Verdict {
        let verdict = self.judge(head, peer, now, steps).await;
        match &verdict {
            Ok(permit) => {
                self.metrics.permitted(permit.route().index);
                steps.add("verdict", || json!({"permitted": true}));
            }
            Err(refusal) => {
                let route = steps.route();
                self.metrics
                    .refused(route.map(|route| route.index), refusal);
                log_refusal(refusal, route, head, peer);
                steps.add("verdict", || {
                    json!({"permitted": false, "reason": refusal.reason(), "detail": refusal.to_string()})
                });
            }
        }
        verdict
    }

    async fn judge(&self, head: &Head, peer: &Peer, now: Now, steps: &mut Steps) -> Verdict {
        let target = Target::parse(head)?;
        steps.add(
            "target",
            || json!({"host": target.host(), "path": target.path()}),
        );
        let route = self
            .routes
            .find(&peer.listener, &target, &head.method)
            .ok_or(Refusal::NoRoute)?;
        steps.found(route);
        steps.add(
            "route",
            || json!({"name": route.name, "access": route.access()}),
        );
        let authenticator = &self.authenticator;
        authenticator.admit(route, peer.client_ip, now, steps)?;
        if head.method == Method::OPTIONS
            && preflight::passes(&authenticator.intake, route, head, steps)?
        {
            return Ok(authorize::permit_preflight(route, target));
        }
        if let Some(permit) = authorize::permit_everyone(route, &target) {
            return Ok(permit);
        }
        let shown = self.authenticator.intake.shown(head, &route.ways)?;
        if shown.is_none()
            && let Some(browser) = &self.browser
        {
            match browser.look(&head.headers, now) {
                Brought::Nothing => {}
                brought => {
                    // Boxed: requests without a session don't carry the state of one.
                    let visit = self.authenticator.visit(
                        browser,
                        brought,
                        (head, peer),
                        (route, &target),
                        now,
                        steps,
                    );
                    return Box::pin(visit).await;
                }
            }
        }
        self.authenticator
            .pass((head, peer), (route, target), (shown, None), now, steps)
            .await
    }

    /// Looks again at something that was permitted by this gate, or by one that it took the place of, and is not over yet.
    ///
    /// # Errors
    /// A [`Refusal`] as for a request; then `standing` is as it was.
    pub async fn recheck(&self, standing: &mut Standing, now: Now) -> Verdict<()> {
        let review = Review {
            routes: &self.routes,
            authenticator: &self.authenticator,
            browser: self.browser.as_ref(),
        };
        review.recheck(standing, now).await
    }

    /// Whether what this gate permitted or looked at again may have ended since.
    pub fn doubts(&self, standing: &Standing) -> bool {
        standing.is_doubtful(&self.authenticator.cache)
    }

    /// Changes whenever it is time to ask [`Gate::doubts`]: after a purge, the end of a session, or when another gate takes this
    /// one's place.
    pub fn alarm(&self) -> watch::Receiver<()> {
        self.alarm.hear()
    }

    /// Forgets what is known within `scope`. Complete when it returns, against asks in flight too; tells how many
    /// credentials that were.
    pub async fn purge(&self, scope: PurgeScope) -> u64 {
        let authenticator = Arc::clone(&self.authenticator);
        authenticator.cache.purge(scope.clone());
        self.alarm.ring();
        tracing::info!(target: "sidegate::gate", scope = scope.label(), "purged");
        // Nothing covered is used from here on; what follows frees memory and lets tokens go, on a thread that serves nobody.
        let sweeping = move || {
            authenticator.exchanges.sweep(authenticator.cache.stamp());
            authenticator.cache.sweep(&scope)
        };
        tokio::task::spawn_blocking(sweeping).await.unwrap_or(0)
    }

    /// Has every token noted down that stands here for a certificate or a ticket, so that it is taken back when it is not held
    /// any more. Without a lender such tokens end by themselves.
    pub fn lend_by(&self, lender: &Arc<dyn Lender>) {
        self.authenticator.exchanges.lend_by(lender);
    }

    /// Looks into an upstream's 401 to a token that stands for the client's certificate or ticket: true when that had died early
    /// and the permit conveys another one from now on. Asks at most once in a while for each.
    pub async fn replace_stand_in(&self, permit: &mut Permit, now: Now) -> bool {
        self.authenticator.replace_stand_in(permit, now).await
    }

    /// Takes away the metric series of routes that `former` had and this gate doesn't. For the moment of a swap: building a
    /// gate that is then not used must not disturb the one that is.
    pub fn succeeds(&self, former: &Self) {
        let names = |gate: &Self| -> HashSet<String> {
            let routes = gate.routes.routes().iter();
            routes.map(|route| route.name.clone()).collect()
        };
        for gone in names(former).difference(&names(self)) {
            self.families.forget_route(gone);
        }
    }

    /// Lets go of everything made for upstreams and of every token held; what is made from now on is kept by nobody. For the end of this gate: the
    /// program drains, or a reload has put another in its place.
    pub async fn retire(&self) {
        self.alarm.ring();
        let authenticator = Arc::clone(&self.authenticator);
        let retiring = move || {
            authenticator.cache.retire();
            authenticator.exchanges.retire();
        };
        // Walks the whole cache. It fails only when the runtime goes down.
        drop(tokio::task::spawn_blocking(retiring).await);
    }

    /// Forgets whoever a bearer token belongs to. One that is not known has nothing to be forgotten, unless it is being
    /// asked about, or somebody may act as another user with it: then everything is.
    pub async fn purge_token(&self, token: &[u8]) -> u64 {
        let fingerprint = extract::presented::bearer_fingerprint(token, &self.authenticator.key);
        let session = Presented::session(token).fingerprint(&self.authenticator.key);
        let cache = &self.authenticator.cache;
        match cache
            .username(&fingerprint)
            .or_else(|| cache.username(&session))
        {
            Some(username) => self.purge(PurgeScope::User(username)).await,
            None if self.authenticator.asks.len() > 0 || self.lets_run_as() => {
                self.purge(PurgeScope::All).await
            }
            None => 0,
        }
    }

    fn lets_run_as(&self) -> bool {
        let mut routes = self.routes.routes().iter();
        routes.any(|route| route.ways.run_as)
    }

    /// Sizes of the caches now.
    pub fn stats(&self) -> CacheStats {
        let in_flight = self.authenticator.asks.len() + self.authenticator.resolving.len();
        CacheStats {
            in_flight: in_flight as u64,
            ..self.authenticator.cache.stats()
        }
    }

    /// Takes from a request that is to be forwarded on `permit` what was only for Sidegate; returns what must be put back once
    /// the identity is attached.
    pub fn take_credentials(
        &self,
        permit: &Permit,
        head: &mut Head,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let route = permit.route();
        self.authenticator.intake.strip(&mut head.headers);
        if let Some(browser) = &self.browser {
            cookie::strip(&mut head.headers, |name| browser.sessions.owns_cookie(name));
        }
        if route.ways.is_plain() {
            return Vec::new();
        }
        if permit.is_preflight() {
            // Whoever shows no credential acts as nobody else, and shows no second one.
            drop(route.ways.take(&mut head.headers, false));
            return Vec::new();
        }
        // Whom the client acts as goes with its credential, and nowhere else.
        let acts_on = match &route.forward {
            Forward::Passthrough => true,
            // Beside Sidegate's own credential it would make that one act as somebody.
            Forward::Combined(combined) => {
                combined.credential == Conveyed::Client && !combined.secondary
            }
            Forward::None | Forward::IdentityHeaders(_) => false,
        };
        route.ways.take(&mut head.headers, acts_on)
    }

    /// Whether a cookie of this name is Sidegate's own, which an upstream may neither read nor set.
    pub fn owns_cookie(&self, name: &[u8]) -> bool {
        let browser = self.browser.as_ref();
        self.authenticator.intake.owns_cookie(name)
            || browser.is_some_and(|browser| browser.sessions.owns_cookie(name))
    }

    /// Whether `Negotiate` is offered to those who bring nothing.
    pub fn offers_negotiate(&self) -> bool {
        self.authenticator.intake.offers_negotiate()
    }

    /// The route table.
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// The authority's client, for readiness.
    pub fn client(&self) -> &Client {
        &self.authenticator.client
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("routes", &self.routes.routes().len())
            .finish_non_exhaustive()
    }
}

/// Why a gate can't be built.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Routes that can't be compiled.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Routes(Vec<RouteFault>),
    /// No way to fetch the keys of JWTs.
    #[error("the keys of JWTs can't be fetched: {0}")]
    Keys(#[from] FetchError),
}

/// One line per refusal. Paths are shown without query and not in full: both may hold what is nobody's business.
fn log_refusal(refusal: &Refusal, route: Option<&Route>, head: &Head, peer: &Peer) {
    let path: String = head.uri.path().chars().take(200).collect();
    let route = route.map_or("none", |route| route.name.as_str());
    let reason = refusal.reason();
    match refusal {
        Refusal::AuthorityUnavailable { .. } | Refusal::Internal(_) => tracing::warn!(
            target: "sidegate::gate",
            route, reason, method = %head.method, ?path, client = %peer.client_ip, detail = %refusal,
            "refused"
        ),
        Refusal::Forbidden { username, .. } => tracing::info!(
            target: "sidegate::gate",
            route, reason, method = %head.method, ?path, client = %peer.client_ip, ?username, detail = %refusal,
            "refused"
        ),
        _ => tracing::info!(
            target: "sidegate::gate",
            route, reason, method = %head.method, ?path, client = %peer.client_ip, detail = %refusal,
            "refused"
        ),
    }
}

#[cfg(test)]
mod tests;
