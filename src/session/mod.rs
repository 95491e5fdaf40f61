//! Browser sessions: what a login leaves behind, and how a browser proves that it has one.
//!
//! Always true: a browser holds sealed bytes, never a token in clear; a session that ended is not found again;
//! trouble with the store is an error of its own and never ends a session. Nothing here speaks to an authority: whoever does
//! is told of every end by [`Sessions::on_end`], so that tokens are given back.
//!
//! The way of a request: [`cookie`] finds a value → [`keyring`] opens it, once per value → [`memory`] knows the session's newest
//! record → the rules of time are looked at. A value seen before takes no lock and no key, and nobody is asked. With sessions
//! in Redis, [`shared`] is read when what is known here is older than [`shared::FRESH`].

pub mod cookie;
pub mod ended;
pub mod keyring;
pub mod live;
pub mod memory;
pub mod metrics;
pub mod record;
pub mod return_to;
mod sealed;
pub mod trouble;
pub mod whose;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;

use self::cookie::{CookieJar, Found as FoundCookie, Lines};
use self::ended::{EndReason, Ended, TokenFate};
use self::keyring::Keyring;
use self::live::Live;
use self::memory::Memory;
use self::metrics::{Ignored, SessionMetrics};
use self::record::{NewSession, Session, SessionId, Tokens};
use self::sealed::{Opened, Seals};
use self::trouble::StoreTrouble;
use self::whose::Whose;
use crate::config::sso::{Provider, PublicUrl, SessionSettings, Sso};
use crate::model::clock::Now;

/// The longest that activity stays unwritten. An idle time-out is at most so much too early on another replica.
const WRITE_ACTIVITY: Duration = Duration::from_secs(60);

/// The sessions of one configuration. One per gate; what outlives a reload is in its [`Memory`].
pub struct Sessions {
    settings: SessionSettings,
    public_url: PublicUrl,
    providers: Vec<Provider>,
    jar: CookieJar,
    keyring: Arc<Keyring>,
    seals: Seals,
    memory: Arc<Memory>,
    metrics: SessionMetrics,
    on_end: OnceLock<OnEnd>,
}

/// What is told of an end.
type OnEnd = Box<dyn Fn(Ended) + Send + Sync>;

/// A session that a request came with.
#[derive(Clone, Debug)]
pub struct Held {
    /// What this process knows of it.
    pub live: Arc<Live>,
    /// Its record as this request uses it.
    pub session: Arc<Session>,
    /// What the browser's cookie says; `None` where the cookie says nothing but its id.
    cookie: Option<InCookie>,
}

#[derive(Clone, Copy, Debug)]
struct InCookie {
    generation: u64,
    active: u64,
    aged: bool,
}

/// What a look at a request's cookies comes to.
#[derive(Clone, Debug)]
pub enum Found {
    /// No session.
    Nothing,
    /// A session, in force.
    Session(Held),
    /// One that is over.
    Ended(EndReason),
}

/// Why no session could begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// The store can't be asked.
    #[error(transparent)]
    Store(#[from] StoreTrouble),
    /// It doesn't fit into cookies: tokens of many kilobytes need Redis.
    #[error("the session does not fit into cookies")]
    TooLarge,
}

impl Sessions {
    /// Sessions by these settings.
    pub fn new(sso: &Sso, memory: &Arc<Memory>, metrics: SessionMetrics) -> Self {
        let keyring = Arc::new(Keyring::new(&sso.session.keys, &memory.spare));
        Self {
            settings: sso.session.clone(),
            public_url: sso.public_url.clone(),
            providers: sso.providers.clone(),
            jar: CookieJar::of_sessions(sso),
            seals: Seals::new(sso, &keyring),
            keyring,
            memory: Arc::clone(memory),
            metrics,
            on_end: OnceLock::new(),
        }
    }

    /// Has `told` called with every session that ends from now on, on whatever thread that happens; it must not wait. Only the
    /// first call counts.
    pub fn on_end(&self, told: impl Fn(Ended) + Send + Sync + 'static) {
        drop(self.on_end.set(Box::new(told)));
    }

    /// The keys, for whatever else is sealed with them.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// The settings.
    pub fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// The public URL.
    pub fn public_url(&self) -> &PublicUrl {
        &self.public_url
    }

    /// The provider with this name.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// What is counted.
    pub fn metrics(&self) -> &SessionMetrics {
        &self.metrics
    }

    /// Finds the session of a request. No activity is noted by it.
    ///
    /// # Errors
    /// [`StoreTrouble`] when the store has to be asked and can't.
    pub async fn open(
        self: &Arc<Self>,
        headers: &HeaderMap,
        now: Now,
    ) -> Result<Found, StoreTrouble> {
        Ok(self.look(headers, now))
    }

    fn look(&self, headers: &HeaderMap, now: Now) -> Found {
        let pieces = match self.jar.find(headers) {
            FoundCookie::Nothing => return Found::Nothing,
            FoundCookie::Value(pieces) => pieces,
            FoundCookie::Unusable(why) => {
                let cause = match why {
                    "doubled" => Ignored::Doubled,
                    _ => Ignored::Incomplete,
                };
                return self.ignore(cause);
            }
        };
        let Some(opened) = self.seals.open(&pieces) else {
            return self.ignore(Ignored::Unsealable);
        };
        self.found(&opened, now)
    }

    fn ignore(&self, cause: Ignored) -> Found {
        self.metrics.ignored(cause);
        tracing::debug!(target: "sidegate::session", cause = cause.label(), "session cookie ignored");
        Found::Nothing
    }

    /// What an opened cookie stands for.
    fn found(&self, opened: &Opened, now: Now) -> Found {
        let live = match self.memory.find(&opened.session.id) {
            Some(live) => live,
            None => match self.enter(opened, now) {
                Ok(live) => live,
                Err(reason) => return Found::Ended(reason),
            },
        };
        let mut session = live.session();
        if opened.session.generation > session.generation {
            // Another replica has changed it.
            live.learn(Session::clone(&opened.session), opened.active);
            session = live.session();
        } else {
            live.be_active(opened.active);
        }
        let cookie = InCookie {
            generation: opened.session.generation,
            active: opened.active,
            aged: opened.aged,
        };
        match self.over(&live, &session, now) {
            Some(reason) => Found::Ended(reason),
            None => Found::Session(Held {
                live,
                session,
                cookie: Some(cookie),
            }),
        }
    }

    /// Takes a session in that this process sees for the first time.
    fn enter(&self, opened: &Opened, now: Now) -> Result<Arc<Live>, EndReason> {
        let session = &opened.session;
        if let Some(reason) = self.memory.ended(&session.id) {
            return Err(reason);
        }
        let live = Live::new(Session::clone(session), opened.active, now);
        if let Some(reason) = self.memory.barred(session) {
            self.conclude(&live, reason, TokenFate::GiveBack);
            return Err(reason);
        }
        let live = self.memory.enter(&live);
        self.metrics.live(self.memory.len());
        self.limit(session);
        match live.ended() {
            Some(reason) => Err(reason),
            None => Ok(live),
        }
    }

    /// Ends the oldest sessions of a user who has too many.
    fn limit(&self, session: &Session) {
        let Some(most) = self.settings.max_sessions else {
            return;
        };
        if session.tokens.is_none() {
            return;
        }
        let all = self.memory.of_same_user(session);
        let over = all.len().saturating_sub(most as usize);
        for live in all.iter().take(over) {
            self.conclude(live, EndReason::Limit, TokenFate::GiveBack);
        }
    }

    /// Why a session is over, if it is; ends it where that is found here.
    fn over(&self, live: &Arc<Live>, session: &Session, now: Now) -> Option<EndReason> {
        if let Some(reason) = live.ended() {
            return Some(reason);
        }
        let idle = now.unix.saturating_sub(live.active());
        let reason = if now.unix >= session.ends() {
            EndReason::Lifespan
        } else if idle >= session.idle_timeout {
            EndReason::Idle
        } else if self.provider(&session.provider).is_none() {
            EndReason::Provider
        } else {
            return None;
        };
        self.conclude(live, reason, TokenFate::GiveBack);
        live.ended()
    }

    /// Ends a session in this process and tells of it, once. True for the one who ended it.
    fn conclude(&self, live: &Arc<Live>, reason: EndReason, tokens: TokenFate) -> bool {
        if !live.end(reason) {
            return false;
        }
        let session = live.session();
        self.memory.leave(&session, reason);
        self.metrics.ended(reason);
        self.metrics.live(self.memory.len());
        tracing::info!(
            target: "sidegate::session",
            session = ?session.id, username = ?session.username, provider = session.provider,
            reason = reason.label(), "session ended"
        );
        if let Some(told) = self.on_end.get() {
            told(Ended {
                session,
                reason,
                tokens,
            });
        }
        true
    }

    /// Begins a session, with a new id, and ends the one that the request (`headers`) came with, if any. The lines give it to
    /// the browser.
    ///
    /// # Errors
    /// [`BeginError`]; then there is no session, and the former one is as it was.
    pub async fn begin(
        self: &Arc<Self>,
        new: NewSession,
        headers: &HeaderMap,
        now: Now,
    ) -> Result<(Held, Lines), BeginError> {
        let provider = self.provider(&new.provider);
        let idle_timeout = new
            .idle_timeout
            .or_else(|| provider?.idle_timeout)
            .unwrap_or(self.settings.idle_timeout);
        let lifespan = new
            .lifespan
            .or_else(|| provider?.lifespan)
            .unwrap_or(self.settings.lifespan);
        let session = Session {
            id: SessionId::random(),
            generation: 1,
            provider: new.provider,
            kind: new.kind,
            username: new.username,
            realm: new.realm,
            tokens: new.tokens,
            created: Duration::from_millis(now.unix_millis()),
            idle_timeout,
            lifespan,
            oidc: new.oidc,
            certificate: new.certificate,
            agreed: new.agreed,
        };
        let former = self.look(headers, now);
        let lines = self
            .lines_of(&session, now.unix_millis(), Some(headers), now)
            .ok_or(BeginError::TooLarge)?;
        if let Found::Session(former) = former {
            self.end(
                &former.session,
                EndReason::Replaced,
                TokenFate::GiveBack,
                now,
            )
            .await?;
        }
        let live = self
            .memory
            .enter(&Live::new(session.clone(), now.unix_millis(), now));
        self.metrics.begun(session.kind);
        self.metrics.live(self.memory.len());
        self.limit(&session);
        tracing::info!(
            target: "sidegate::session",
            session = ?session.id, username = ?session.username, realm = session.realm,
            provider = session.provider, kind = session.kind.label(), "session begun"
        );
        let held = Held {
            session: live.session(),
            live,
            cookie: None,
        };
        Ok((held, lines))
    }

    /// Ends a session: it is found nowhere any more when this returns.
    ///
    /// # Errors
    /// [`StoreTrouble`] when the store could not be told. It is over in this process all the same, and its tokens are given
    /// back.
    pub async fn end(
        self: &Arc<Self>,
        session: &Session,
        reason: EndReason,
        tokens: TokenFate,
        now: Now,
    ) -> Result<(), StoreTrouble> {
        let live = match self.memory.find(&session.id) {
            Some(live) => live,
            None => Live::new(session.clone(), now.unix_millis(), now),
        };
        self.conclude(&live, reason, tokens);
        Ok(())
    }

    /// Ends every session that is meant, and tells how many that were. Those that this process has not seen yet are barred.
    ///
    /// # Errors
    /// [`StoreTrouble`] when the store could not be asked; those known here are over all the same.
    pub async fn end_all(
        self: &Arc<Self>,
        whose: &Whose,
        reason: EndReason,
        now: Now,
    ) -> Result<u64, StoreTrouble> {
        let mut bar = whose.clone();
        // What begins from now on is not meant.
        let until = bar.before.map_or(now.unix, |before| before.min(now.unix));
        bar.before = Some(until);
        let mut ended = 0;
        for live in self.memory.all() {
            if whose.covers(&live.session()) && self.conclude(&live, reason, TokenFate::GiveBack) {
                ended += 1;
            }
        }
        self.memory.bar(bar, reason);
        Ok(ended)
    }

    /// The lines that take every session cookie away that the request holds.
    pub fn clear_lines(&self, headers: &HeaderMap) -> Lines {
        self.jar.clear(headers)
    }

    /// Notes that the user did something.
    pub fn notice(self: &Arc<Self>, held: &Held, now: Now) {
        held.live.be_active(now.unix_millis());
    }

    /// The lines that bring the browser's cookie up to date; none when it is.
    pub fn lines(&self, held: &Held, now: Now) -> Lines {
        let Some(cookie) = held.cookie else {
            return Lines::new();
        };
        let session = held.live.session();
        let active = held.live.active_millis();
        let drift = Duration::from_millis(active.saturating_sub(cookie.active));
        let same = cookie.generation >= session.generation
            && drift < write_pause(&session)
            && !cookie.aged;
        if same || held.live.ended().is_some() {
            return Lines::new();
        }
        if let Some(written) = held.live.written()
            && written.generation == session.generation
            && Duration::from_millis(active.saturating_sub(written.active)) < write_pause(&session)
        {
            return written.lines.clone();
        }
        self.lines_of(&session, active, None, now)
            .inspect(|lines| {
                held.live.write(live::Written {
                    generation: session.generation,
                    active,
                    lines: lines.clone(),
                });
            })
            .unwrap_or_default()
    }

    /// Puts new tokens in place of those of `from`, unless somebody was faster; the record in force, either way.
    ///
    /// # Errors
    /// [`StoreTrouble`] when the store can't be told.
    pub async fn replace_tokens(
        self: &Arc<Self>,
        live: &Arc<Live>,
        from: &Session,
        tokens: Tokens,
    ) -> Result<Arc<Session>, StoreTrouble> {
        self.change(live, from, |session| session.tokens = Some(tokens.clone()))
            .await
    }

    /// Notes that the user agreed to what there was to agree to.
    ///
    /// # Errors
    /// [`StoreTrouble`] when the store can't be told.
    pub async fn agree(self: &Arc<Self>, live: &Arc<Live>) -> Result<Arc<Session>, StoreTrouble> {
        let from = live.session();
        self.change(live, &from, |session| session.agreed = true)
            .await
    }

    async fn change(
        self: &Arc<Self>,
        live: &Arc<Live>,
        from: &Session,
        change: impl Fn(&mut Session),
    ) -> Result<Arc<Session>, StoreTrouble> {
        Ok(live.replace(from.generation, change))
    }

    /// Whether a cookie of this name is one of the sessions'; such cookies never travel on.
    pub fn owns_cookie(&self, name: &[u8]) -> bool {
        self.jar.owns(name)
    }

    fn lines_of(
        &self,
        session: &Session,
        active: u64,
        former: Option<&HeaderMap>,
        now: Now,
    ) -> Option<Lines> {
        let value = self.seals.seal(session, active)?;
        let life = session.ends().saturating_sub(now.unix).as_secs();
        let max_age = self.settings.persistent.then_some(life.max(1));
        self.jar.set(&value, max_age, former)
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions")
            .field("cookie", &self.jar.name())
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

/// How far the activity that is written down may lag behind.
fn write_pause(session: &Session) -> Duration {
    (session.idle_timeout / 20).clamp(Duration::from_secs(1), WRITE_ACTIVITY)
}
