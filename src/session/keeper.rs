//! Who keeps sessions: lets them in, finds out that they are over, ends them, and tells of every end.
//!
//! Always true: a session ends once, for one reason, and whoever listens hears of it once in this process; where there is a shared
//! store, the rules of time are applied to what it said a moment ago; its trouble ends nothing.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::ended::{EndReason, Ended, TokenFate};
use super::live::Live;
use super::memory::Memory;
use super::metrics::SessionMetrics;
use super::record::{Session, SessionId};
use super::shared::{FRESH, Shared, Stored};
use super::trouble::StoreTrouble;
use super::whose::Whose;
use crate::config::sso::{Provider, SessionSettings};
use crate::model::clock::{Clock, Now};

/// The longest that activity stays unwritten. An idle time-out is at most so much too early on another replica.
const WRITE_ACTIVITY: Duration = Duration::from_secs(60);
/// How often sessions are looked for that have run out.
const SWEEP: Duration = Duration::from_secs(30);

/// What is told of an end.
type OnEnd = Box<dyn Fn(Ended) + Send + Sync>;

/// Keeps the sessions of one configuration.
pub(super) struct Keeper {
    pub(super) settings: SessionSettings,
    pub(super) providers: Vec<Provider>,
    /// Where sessions are, if they are not in cookies.
    pub(super) shared: Option<Shared>,
    pub(super) memory: Arc<Memory>,
    pub(super) metrics: SessionMetrics,
    pub(super) on_end: OnceLock<OnEnd>,
}

impl Keeper {
    /// The provider with this name.
    pub(super) fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// Begins a session.
    pub(super) async fn begin(
        &self,
        session: Session,
        now: Now,
    ) -> Result<Arc<Live>, StoreTrouble> {
        if let Some(shared) = &self.shared {
            let most = self.settings.max_sessions;
            let most = most.filter(|_| session.tokens.is_some());
            for over in shared.begin(&session, most).await? {
                // Out of the other indexes, too.
                self.tell_end(&over, EndReason::Limit).await;
                self.gone(over, EndReason::Limit, now);
            }
        }
        let live = Live::new(session.clone(), now.unix_millis(), now);
        let live = self.memory.enter(&live);
        self.metrics.begun(session.kind);
        self.metrics.live(self.memory.len());
        self.limit(&session);
        tracing::info!(
            target: "sidegate::session",
            session = ?session.id, username = ?session.username, realm = session.realm,
            provider = session.provider, kind = session.kind.label(), "session begun"
        );
        Ok(live)
    }

    /// Takes a session in that this process sees for the first time.
    pub(super) fn enter(
        &self,
        session: &Session,
        active: u64,
        now: Now,
    ) -> Result<Arc<Live>, EndReason> {
        if let Some(reason) = self.memory.ended(&session.id) {
            return Err(reason);
        }
        let live = Live::new(session.clone(), active, now);
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
        let Some(most) = self.limit_of(session) else {
            return;
        };
        let all = self.memory.of_same_user(session);
        let over = all.len().saturating_sub(most as usize);
        for live in all.iter().take(over) {
            self.conclude(live, EndReason::Limit, TokenFate::GiveBack);
        }
    }

    /// How many sessions the user may have. Anonymous ones are everybody's, and a store counts its own.
    fn limit_of(&self, session: &Session) -> Option<u32> {
        self.settings
            .max_sessions
            .filter(|_| session.tokens.is_some() && self.shared.is_none())
    }

    /// Why a session is over, if it is; ends it where that is found here.
    pub(super) fn over(
        self: &Arc<Self>,
        live: &Arc<Live>,
        session: &Session,
        now: Now,
    ) -> Option<EndReason> {
        if let Some(reason) = live.ended() {
            return Some(reason);
        }
        let reason = self.verdict(live, session, now)?;
        if self.conclude(live, reason, TokenFate::GiveBack) && self.shared.is_some() {
            let (this, session) = (Arc::clone(self), live.session());
            tokio::spawn(async move { this.tell_end(&session, reason).await });
        }
        live.ended()
    }

    /// What the rules say of a session.
    pub(super) fn verdict(&self, live: &Live, session: &Session, now: Now) -> Option<EndReason> {
        if now.unix >= session.ends() {
            Some(EndReason::Lifespan)
        } else if now.unix.saturating_sub(live.active()) >= session.idle_timeout {
            Some(EndReason::Idle)
        } else if self.provider(&session.provider).is_none() {
            Some(EndReason::Provider)
        } else {
            None
        }
    }

    /// Tells the store of an end that nobody waits for.
    async fn tell_end(&self, session: &Session, reason: EndReason) {
        if let Some(shared) = &self.shared {
            // It was logged; the sweep takes what stays.
            drop(shared.end(session, reason).await);
        }
    }

    /// Ends a session in this process and tells of it, once. True for the one who ended it.
    pub(super) fn conclude(&self, live: &Arc<Live>, reason: EndReason, tokens: TokenFate) -> bool {
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

    /// Takes in that the store has no record of a session any more.
    fn gone(&self, session: Session, reason: EndReason, now: Now) -> bool {
        let live = match self.memory.find(&session.id) {
            Some(live) => live,
            None => Live::new(session, now.unix_millis(), now),
        };
        self.conclude(&live, reason, TokenFate::GiveBack)
    }

    /// What the store knows of a session: why it is over, if it is.
    ///
    /// # Errors
    /// [`StoreTrouble`].
    pub(super) async fn ask(
        &self,
        id: &SessionId,
        now: Now,
    ) -> Result<Result<Arc<Live>, EndReason>, StoreTrouble> {
        let Some(shared) = &self.shared else {
            return Ok(Err(EndReason::Unknown));
        };
        let stored = shared.read(id).await?;
        Ok(match (stored, self.memory.find(id)) {
            (stored, Some(live)) => {
                self.learn(&live, stored, now);
                Ok(live)
            }
            (Stored::Session(session, active), None) => self.enter(&session, active, now),
            (Stored::Gone(reason), None) => Err(reason),
        })
    }

    /// Reads a session from the store again, if there is one.
    ///
    /// # Errors
    /// [`StoreTrouble`].
    pub(super) async fn read_again(
        self: &Arc<Self>,
        live: &Arc<Live>,
        now: Now,
    ) -> Result<(), StoreTrouble> {
        if let Some(shared) = &self.shared {
            let stored = shared.read(&live.session().id).await?;
            self.learn(live, stored, now);
        }
        Ok(())
    }

    /// What is known of a session that somebody holds on to, wherever it has been since.
    ///
    /// # Errors
    /// [`StoreTrouble`].
    pub(super) async fn again(
        self: &Arc<Self>,
        held: &Arc<Live>,
        now: Now,
    ) -> Result<Result<Arc<Live>, EndReason>, StoreTrouble> {
        let session = held.session();
        if let Some(reason) = held.ended().or_else(|| self.memory.ended(&session.id)) {
            return Ok(Err(reason));
        }
        let live = match self.memory.find(&session.id) {
            Some(live) => live,
            None => match self.enter(&session, held.active_millis(), now) {
                Ok(live) => live,
                Err(reason) => return Ok(Err(reason)),
            },
        };
        if live.age(now) > FRESH {
            self.read_again(&live, now).await?;
        }
        Ok(match self.verdict(&live, &live.session(), now) {
            // It may be in use on another replica: nothing can be told of it from here, and nothing goes on with it either.
            Some(EndReason::Idle) if !self.knows_all() => Err(EndReason::Idle),
            _ => Ok(live),
        })
    }

    /// Whether nothing can happen to a session that this process would not learn.
    pub(super) fn knows_all(&self) -> bool {
        self.shared.is_some() || self.settings.keys.is_empty()
    }

    /// Takes in what the store said.
    fn learn(&self, live: &Arc<Live>, stored: Stored, now: Now) {
        match stored {
            Stored::Session(session, active) => {
                live.learn(*session, active);
                live.be_checked(now);
            }
            // Whoever ended it has its tokens given back.
            Stored::Gone(reason) => {
                self.conclude(live, reason, TokenFate::Leave);
            }
        }
    }

    /// Ends a session: it is found nowhere any more when this returns.
    ///
    /// # Errors
    /// [`StoreTrouble`] when the store could not be told. It is over in this process all the same, and its tokens are given
    /// back.
    pub(super) async fn end(
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
        match &self.shared {
            Some(shared) => shared.end(session, reason).await,
            None => Ok(()),
        }
    }

    /// Ends every session that is meant, and tells how many that were. Those that this process has not seen yet are barred.
    ///
    /// # Errors
    /// [`StoreTrouble`] when the store could not be asked; those known here are over all the same.
    pub(super) async fn end_all(
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
            if bar.covers(&live.session()) && self.conclude(&live, reason, TokenFate::GiveBack) {
                self.tell_end(&live.session(), reason).await;
                ended += 1;
            }
        }
        if let Some(shared) = &self.shared {
            for session in shared.find(&bar).await? {
                shared.end(&session, reason).await?;
                ended += u64::from(self.gone(session, reason, now));
            }
            return Ok(ended);
        }
        // Who logs in at this very moment is not barred by it.
        bar.before = Some(until.saturating_sub(Duration::from_millis(1)));
        self.memory.bar(bar, reason);
        Ok(ended)
    }

    /// Ends every session that is only known here, for a program that goes down: those in a shared store live on.
    pub(super) fn end_here(&self) -> u64 {
        if self.shared.is_some() {
            return 0;
        }
        let all = self.memory.all();
        let ended = all
            .iter()
            .filter(|live| self.conclude(live, EndReason::Drained, TokenFate::GiveBack));
        ended.count() as u64
    }

    /// Ends what has run out although nobody comes any more, so that its tokens are given back.
    ///
    /// With sessions in cookies, and keys that other replicas may have, nobody here knows of activity there; then only the end
    /// of their life counts.
    pub(super) async fn sweep(self: &Arc<Self>, now: Now) -> Result<u64, StoreTrouble> {
        let mut ended = 0;
        if let Some(shared) = &self.shared {
            for (session, reason) in shared.sweep(now).await? {
                ended += u64::from(self.gone(session, reason, now));
            }
            return Ok(ended);
        }
        let alone = self.settings.keys.is_empty();
        for live in self.memory.all() {
            let session = live.session();
            match self.verdict(&live, &session, now) {
                Some(EndReason::Idle) if !alone => {}
                Some(reason) => {
                    ended += u64::from(self.conclude(&live, reason, TokenFate::GiveBack));
                }
                None => {}
            }
        }
        Ok(ended)
    }

    /// Sweeps every half minute for as long as these sessions are in use. Must be called within a runtime.
    pub(super) fn start_sweeping(self: &Arc<Self>, clock: Clock) {
        let this = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(sessions) = this.upgrade() else {
                    return;
                };
                // Trouble was logged; the next sweep finds what this one didn't.
                drop(sessions.sweep(clock.now()).await);
            }
        });
    }

    /// Notes that the user did something.
    pub(super) fn notice(self: &Arc<Self>, live: &Arc<Live>, now: Now) {
        live.be_active(now.unix_millis());
        if self.shared.is_some()
            && let Some(active) = live.claim_telling(write_pause(&live.session()))
        {
            let (this, session) = (Arc::clone(self), live.session());
            tokio::spawn(async move {
                if let Some(shared) = &this.shared {
                    // It was logged; the next activity is told again.
                    drop(shared.touch(&session, active).await);
                }
            });
        }
    }

    pub(super) async fn change(
        self: &Arc<Self>,
        live: &Arc<Live>,
        from: &Session,
        change: impl Fn(&mut Session),
    ) -> Result<Arc<Session>, StoreTrouble> {
        let Some(shared) = &self.shared else {
            return Ok(live.replace(from.generation, change));
        };
        let mut next = from.clone();
        change(&mut next);
        next.generation = from.generation.saturating_add(1);
        match shared.replace(from.generation, &next).await? {
            Stored::Session(session, active) => live.learn(*session, active),
            Stored::Gone(reason) => {
                self.conclude(live, reason, TokenFate::Leave);
            }
        }
        Ok(live.session())
    }
}

/// How far the activity that is written down may lag behind.
pub(super) fn write_pause(session: &Session) -> Duration {
    (session.idle_timeout / 20).clamp(Duration::from_secs(1), WRITE_ACTIVITY)
}
