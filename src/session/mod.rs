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
mod keeper;
pub mod keyring;
pub mod live;
pub mod memory;
pub mod metrics;
pub mod record;
pub mod return_to;
mod scripts;
mod sealed;
pub mod shared;
pub mod trouble;
pub mod uses;
pub mod whose;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;

use self::cookie::{CookieJar, Found as FoundCookie, Lines, Unusable};
use self::ended::{EndReason, Ended, TokenFate};
use self::keeper::{Keeper, write_pause};
use self::keyring::Keyring;
use self::live::Live;
use self::memory::Memory;
use self::metrics::SessionMetrics;
use self::record::{NewSession, Session, SessionId, Tokens};
use self::sealed::{Opened, Record, Seals};
use self::shared::{FRESH, STALE, Shared};
use self::trouble::{BeginError, SetUpError, StoreTrouble};
use self::whose::Whose;
use crate::config::sso::{Provider, PublicUrl, SessionSettings, SessionStore, Sso};
use crate::model::clock::{Clock, Now};

/// The sessions of one configuration. One per gate; what outlives a reload is in its [`Memory`].
pub struct Sessions {
    public_url: PublicUrl,
    jar: CookieJar,
    keyring: Arc<Keyring>,
    seals: Seals,
    keeper: Arc<Keeper>,
    on_doubt: OnceLock<OnDoubt>,
}

/// What is told of a realm whose tokens may have ended.
type OnDoubt = Box<dyn Fn(&str) + Send + Sync>;

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

/// What is seen without waiting.
#[derive(Clone, Debug)]
pub enum Look {
    /// All there is to know.
    Known(Found),
    /// The store has to be asked.
    Ask(Asking),
}

/// What to ask the store.
#[derive(Clone, Debug)]
pub struct Asking {
    id: SessionId,
    aged: bool,
}

/// What the cookies of a request come to.
#[derive(Clone, Debug)]
pub enum Found {
    /// No session.
    Nothing,
    /// A session, in force.
    Session(Held),
    /// One that is over.
    Ended(EndReason),
}

impl Sessions {
    /// Sessions by these settings. With a shared store it must be called within a runtime that lives as long.
    ///
    /// # Errors
    /// [`SetUpError`] when the shared store's settings can't be used; it is not connected to yet.
    pub fn new(
        sso: &Sso,
        memory: &Arc<Memory>,
        metrics: SessionMetrics,
    ) -> Result<Arc<Self>, SetUpError> {
        let keyring = Arc::new(Keyring::new(&sso.session.keys, &memory.spare));
        let shared = match &sso.session.store {
            SessionStore::Cookie => None,
            SessionStore::Redis(redis) => Some(Shared::new(redis, &keyring, &metrics)?),
        };
        Ok(Arc::new(Self {
            public_url: sso.public_url.clone(),
            jar: CookieJar::of_sessions(sso),
            seals: Seals::new(sso, &keyring),
            keyring,
            keeper: Arc::new(Keeper {
                settings: sso.session.clone(),
                providers: sso.providers.clone(),
                shared,
                memory: Arc::clone(memory),
                metrics,
                on_end: OnceLock::new(),
            }),
            on_doubt: OnceLock::new(),
        }))
    }

    /// Has `told` called with every session that ends from now on, on whatever thread that happens; it must not wait. Only the
    /// first call counts.
    pub fn on_end(&self, told: impl Fn(Ended) + Send + Sync + 'static) {
        drop(self.keeper.on_end.set(Box::new(told)));
    }

    /// Has `told` called whenever tokens of a realm of the authority's may have ended without anybody here knowing whose. Only the
    /// first call counts.
    pub fn on_doubt(&self, told: impl Fn(&str) + Send + Sync + 'static) {
        drop(self.on_doubt.set(Box::new(told)));
    }

    /// Tokens of this realm may have ended: nothing that is remembered of them counts any more, and the authority is asked anew.
    pub fn doubt(&self, realm: &str) {
        if let Some(told) = self.on_doubt.get() {
            told(realm);
        }
    }

    /// The keys, for whatever else is sealed with them.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// The settings.
    pub fn settings(&self) -> &SessionSettings {
        &self.keeper.settings
    }

    /// The public URL.
    pub fn public_url(&self) -> &PublicUrl {
        &self.public_url
    }

    /// The provider with this name.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.keeper.provider(name)
    }

    /// What is counted.
    pub fn metrics(&self) -> &SessionMetrics {
        &self.keeper.metrics
    }

    /// Whether other replicas see the same sessions.
    pub fn is_shared(&self) -> bool {
        self.keeper.shared.is_some()
    }

    /// Finds the session of a request. No activity is noted by it.
    ///
    /// # Errors
    /// [`StoreTrouble`] when the store has to be asked and can't.
    pub async fn open(&self, headers: &HeaderMap, now: Now) -> Result<Found, StoreTrouble> {
        match self.look(headers, now) {
            Look::Known(found) => Ok(found),
            Look::Ask(asking) => self.ask(asking, now).await,
        }
    }

    /// The same, as far as it goes without waiting.
    pub fn look(&self, headers: &HeaderMap, now: Now) -> Look {
        let pieces = match self.jar.find(headers) {
            FoundCookie::Nothing => return Look::Known(Found::Nothing),
            FoundCookie::Value(pieces) => pieces,
            FoundCookie::Unusable(why) => return Look::Known(self.ignore(why)),
        };
        let Some(opened) = self.seals.open(&pieces) else {
            return Look::Known(self.ignore(Unusable::Unsealable));
        };
        match &opened.record {
            Some(record) => Look::Known(self.found(record, opened.aged, now)),
            None => self.found_here(&opened, now),
        }
    }

    fn ignore(&self, cause: Unusable) -> Found {
        self.keeper.metrics.ignored(cause);
        tracing::debug!(target: "sidegate::session", cause = cause.label(), "session cookie ignored");
        Found::Nothing
    }

    /// What a cookie with a whole session stands for.
    fn found(&self, record: &Record, aged: bool, now: Now) -> Found {
        let live = match self.keeper.memory.find(&record.session.id) {
            Some(live) => live,
            None => match self.keeper.enter(&record.session, record.active, now) {
                Ok(live) => live,
                Err(reason) => return Found::Ended(reason),
            },
        };
        if record.session.generation > live.session().generation {
            // Another replica has changed it.
            live.learn(Session::clone(&record.session), record.active);
        } else {
            live.be_active(record.active);
        }
        let cookie = InCookie {
            generation: record.session.generation,
            active: record.active,
            aged,
        };
        self.held(live, Some(cookie), now)
    }

    /// What a cookie with an id stands for, as far as this process knows.
    fn found_here(&self, opened: &Opened, now: Now) -> Look {
        let asking = Asking {
            id: opened.id,
            aged: opened.aged,
        };
        let Some(live) = self.keeper.memory.find(&opened.id) else {
            return match self.keeper.memory.ended(&opened.id) {
                Some(reason) => Look::Known(Found::Ended(reason)),
                None => Look::Ask(asking),
            };
        };
        let age = live.age(now);
        let runs_out = self.keeper.verdict(&live, &live.session(), now).is_some();
        // Other replicas may know of activity that this one doesn't.
        if live.ended().is_none() && (age > STALE || (runs_out && age > FRESH)) {
            return Look::Ask(asking);
        }
        if age > FRESH && live.begin_check() {
            let (this, live) = (Arc::clone(&self.keeper), Arc::clone(&live));
            tokio::spawn(async move {
                // Trouble shows when it is asked for in earnest.
                drop(this.read_again(&live, now).await);
                live.end_check();
            });
        }
        Look::Known(self.held(live, in_cookie(opened.aged), now))
    }

    fn held(&self, live: Arc<Live>, cookie: Option<InCookie>, now: Now) -> Found {
        let session = live.session();
        match self.keeper.over(&live, &session, now) {
            Some(reason) => Found::Ended(reason),
            None => Found::Session(Held {
                live,
                session,
                cookie,
            }),
        }
    }

    /// Begins a session, with a new id, and ends the one that the request (`headers`) came with, if any. The lines give it to
    /// the browser.
    ///
    /// # Errors
    /// [`BeginError`]; then there is no session, and the former one is as it was.
    pub async fn begin(
        &self,
        new: NewSession,
        headers: &HeaderMap,
        now: Now,
    ) -> Result<(Held, Lines), BeginError> {
        let provider = self.provider(&new.provider);
        let idle_timeout = new
            .idle_timeout
            .or_else(|| provider?.idle_timeout)
            .unwrap_or(self.keeper.settings.idle_timeout);
        let lifespan = new
            .lifespan
            .or_else(|| provider?.lifespan)
            .unwrap_or(self.keeper.settings.lifespan);
        let session = Session::begin(new, idle_timeout, lifespan, now);
        let former = self.open(headers, now).await?;
        let lines = self
            .lines_of(&session, now.unix_millis(), Some(headers), now)
            .ok_or(BeginError::TooLarge)?;
        let live = self.keeper.begin(session, now).await?;
        if let Found::Session(former) = former {
            let reason = EndReason::Replaced;
            let ending = self.end(&former.session, reason, TokenFate::GiveBack, now);
            if let Err(trouble) = ending.await {
                tracing::warn!(
                    target: "sidegate::session",
                    session = ?former.session.id, %trouble, "former session could not be ended in the store"
                );
            }
        }
        let held = Held {
            session: live.session(),
            live,
            cookie: in_cookie(false),
        };
        Ok((held, lines))
    }

    /// Asks the store.
    ///
    /// # Errors
    /// [`StoreTrouble`].
    pub async fn ask(&self, asking: Asking, now: Now) -> Result<Found, StoreTrouble> {
        Ok(match self.keeper.ask(&asking.id, now).await? {
            Ok(live) => self.held(live, in_cookie(asking.aged), now),
            Err(reason) => Found::Ended(reason),
        })
    }

    /// Reads a session from the store again, if there is one.
    ///
    /// # Errors
    /// [`StoreTrouble`].
    pub async fn read_again(&self, live: &Arc<Live>, now: Now) -> Result<(), StoreTrouble> {
        self.keeper.read_again(live, now).await
    }

    /// Ends a session: it is found nowhere any more when this returns.
    ///
    /// # Errors
    /// [`StoreTrouble`] when the store could not be told. It is over in this process all the same, and its tokens are given
    /// back.
    pub async fn end(
        &self,
        session: &Session,
        reason: EndReason,
        tokens: TokenFate,
        now: Now,
    ) -> Result<(), StoreTrouble> {
        self.keeper.end(session, reason, tokens, now).await
    }

    /// Ends every session that is meant, and tells how many that were. Those that this process has not seen yet are barred.
    ///
    /// # Errors
    /// [`StoreTrouble`] when the store could not be asked; those known here are over all the same.
    pub async fn end_all(
        &self,
        whose: &Whose,
        reason: EndReason,
        now: Now,
    ) -> Result<u64, StoreTrouble> {
        self.keeper.end_all(whose, reason, now).await
    }

    /// Ends every session that is only known here, for a program that goes down: those in a shared store live on.
    pub fn end_here(&self) -> u64 {
        self.keeper.end_here()
    }

    /// Ends what has run out although nobody comes any more, so that its tokens are given back.
    ///
    /// # Errors
    /// [`StoreTrouble`].
    pub async fn sweep(&self, now: Now) -> Result<u64, StoreTrouble> {
        self.keeper.sweep(now).await
    }

    /// Sweeps every half minute for as long as these sessions are in use. Must be called within a runtime.
    pub fn start_sweeping(&self, clock: Clock) {
        self.keeper.start_sweeping(clock);
    }

    /// Notes that the user did something.
    pub fn notice(&self, held: &Held, now: Now) {
        self.keeper.notice(&held.live, now);
    }

    /// The lines that take every session cookie away that the request holds.
    pub fn clear_lines(&self, headers: &HeaderMap) -> Lines {
        self.jar.clear(headers)
    }

    /// The lines that bring the browser's cookie up to date; none when it is.
    pub fn lines(&self, held: &Held, now: Now) -> Lines {
        let Some(cookie) = held.cookie else {
            return Lines::new();
        };
        let session = held.live.session();
        if self.is_shared() && !cookie.aged {
            return Lines::new();
        }
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
        &self,
        live: &Arc<Live>,
        from: &Session,
        tokens: Tokens,
    ) -> Result<Arc<Session>, StoreTrouble> {
        self.keeper
            .change(live, from, |session| session.tokens = Some(tokens.clone()))
            .await
    }

    /// Notes that the user agreed to what there was to agree to.
    ///
    /// # Errors
    /// [`StoreTrouble`] when the store can't be told.
    pub async fn agree(&self, live: &Arc<Live>) -> Result<Arc<Session>, StoreTrouble> {
        let from = live.session();
        self.keeper
            .change(live, &from, |session| session.agreed = true)
            .await
    }

    /// Whether a cookie of this name is one of the sessions' or belongs to a login; such cookies never travel on.
    pub fn owns_cookie(&self, name: &[u8]) -> bool {
        self.jar.owns(name) || cookie::is_of_a_login(name)
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
        let max_age = self.keeper.settings.persistent.then_some(life.max(1));
        self.jar.set(&value, max_age, former)
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions")
            .field("cookie", &self.jar.name())
            .field("memory", &self.keeper.memory)
            .finish_non_exhaustive()
    }
}

/// What a cookie with an id says: nothing that could be out of date but its key.
fn in_cookie(aged: bool) -> Option<InCookie> {
    Some(InCookie {
        generation: u64::MAX,
        active: u64::MAX,
        aged,
    })
}

#[cfg(test)]
pub(crate) mod tests;
