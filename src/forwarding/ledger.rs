//! What was borrowed from the authority, and giving it back: access tokens and API keys are invalidated when nobody uses them.
//!
//! Always true: dropping a [`Lease`] is all it takes; one task gives back, in batches, and tries again while the authority is in
//! trouble; what can't be given back in time ends by itself, and is counted. What waits is bounded by what was lent, and that
//! by the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::metrics::{ExchangeMetrics, Kind, Outcome};
use crate::elastic::client::Client;
use crate::elastic::exchanges::ExchangeError;
use crate::gate::held::{Ending, Lender, Loan};
use crate::model::clock::{Clock, Now};
use crate::model::secret::Secret;

/// How long something that was replaced stays good for requests under way.
const GRACE: Duration = Duration::from_secs(30);
/// Keys invalidated by one call.
const BATCH: usize = 100;
/// How often giving back is tried.
const ATTEMPTS: u32 = 5;
/// How long after trouble the next try waits.
const PAUSE: Duration = Duration::from_secs(2);

/// What was lent.
#[derive(Debug)]
pub enum Leased {
    /// An access token, with what makes new ones of it.
    Token {
        /// The access token.
        access: Secret,
        /// The refresh token.
        refresh: Option<Secret>,
    },
    /// An access token that stands for a certificate or a ticket at the gate.
    Held {
        /// The access token.
        access: Secret,
        /// What makes new ones of it; a certificate brings none.
        refresh: Option<Secret>,
    },
    /// An API key.
    ApiKey {
        /// Its id.
        id: String,
    },
}

/// A token or key that is given back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    what: Option<Leased>,
    client: Client,
    ledger: Ledger,
    replaced: AtomicBool,
}

/// Where leases are given back to. Clones share the same task.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Inner>);

/// Notes down what a gate holds.
struct Lending(Ledger, Client);

#[derive(Debug)]
struct Inner {
    ended: mpsc::UnboundedSender<Ended>,
    metrics: ExchangeMetrics,
    clock: Clock,
    /// Given back by their holders, not yet by us: at once, and after some grace.
    pending: [AtomicUsize; 2],
    settled: Notify,
    /// No grace for anything: the program ends.
    hurry: AtomicBool,
    hurried: Notify,
}

struct Ended {
    what: Leased,
    client: Client,
    /// Monotonic time from which it may be given back.
    at: Duration,
    graced: bool,
    attempts: u32,
}

// === impl Lease ===

impl Lease {
    /// The refresh token of a token.
    pub fn refresh_token(&self) -> Option<&Secret> {
        match &self.what {
            Some(Leased::Token { refresh, .. }) => refresh.as_ref(),
            Some(Leased::Held { .. } | Leased::ApiKey { .. }) | None => None,
        }
    }

    fn may_be_renewed(&self) -> bool {
        let refresh = match &self.what {
            Some(Leased::Token { refresh, .. } | Leased::Held { refresh, .. }) => refresh.as_ref(),
            Some(Leased::ApiKey { .. }) | None => None,
        };
        refresh.is_some()
    }

    /// Notes that another took its place, so that it is given back only when requests under way can be over.
    pub fn replace(&self) {
        self.replaced.store(true, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(what) = self.what.take() else { return };
        let grace = if self.replaced.load(Ordering::Relaxed) {
            GRACE
        } else {
            Duration::ZERO
        };
        self.ledger.give_back(what, self.client.clone(), grace);
    }
}

impl Loan for Lease {
    fn end(mut self: Box<Self>, ending: Ending) {
        match ending {
            Ending::Now => {}
            Ending::Soon => self.replace(),
            // What makes new ones of it lives on.
            Ending::Lapsed if self.may_be_renewed() => {}
            Ending::Lapsed => {
                if let Some(what) = self.what.take() {
                    self.ledger.0.metrics.returned(what.kind());
                }
            }
        }
    }
}

// === impl Lending ===

impl Lender for Lending {
    fn lend(&self, token: &Secret, refresh: Option<&Secret>) -> Box<dyn Loan> {
        let what = Leased::Held {
            access: token.clone(),
            refresh: refresh.cloned(),
        };
        Box::new(self.0.lease(what, &self.1))
    }
}

// === impl Leased ===

impl Leased {
    const fn kind(&self) -> Kind {
        match self {
            Self::Token { .. } => Kind::Token,
            Self::Held { .. } => Kind::Held,
            Self::ApiKey { .. } => Kind::ApiKey,
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// A ledger and its task, which runs until the runtime ends. Must be called within a runtime.
    pub fn start(metrics: ExchangeMetrics, clock: Clock) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let ledger = Self(Arc::new(Inner {
            ended: sender,
            metrics,
            clock,
            pending: [AtomicUsize::new(0), AtomicUsize::new(0)],
            settled: Notify::new(),
            hurry: AtomicBool::new(false),
            hurried: Notify::new(),
        }));
        tokio::spawn(ledger.clone().run(receiver));
        ledger
    }

    /// Notes what was lent.
    pub fn lease(&self, what: Leased, client: &Client) -> Lease {
        self.0.metrics.leased(what.kind());
        Lease {
            what: Some(what),
            client: client.clone(),
            ledger: self.clone(),
            replaced: AtomicBool::new(false),
        }
    }

    /// Who notes down the tokens that a gate holds, and gives them back by asking with `client`.
    pub fn lender(&self, client: &Client) -> Arc<dyn Lender> {
        Arc::new(Lending(self.clone(), client.clone()))
    }

    /// Gives back at once what would have had some grace left, then waits until all is given back, or given up; `limit` bounds
    /// that. Returns how many are left.
    pub async fn settle(&self, limit: Duration) -> usize {
        self.0.hurry.store(true, Ordering::SeqCst);
        self.0.hurried.notify_one();
        self.wait_for(|ledger| ledger.pending(), limit).await
    }

    /// Waits until everything is given back that is to be given back at once; `limit` bounds that.
    pub async fn wait(&self, limit: Duration) -> usize {
        self.wait_for(|ledger| ledger.0.pending[0].load(Ordering::SeqCst), limit)
            .await
    }

    async fn wait_for(&self, left: impl Fn(&Self) -> usize, limit: Duration) -> usize {
        let settled = async {
            loop {
                let next = self.0.settled.notified();
                if left(self) == 0 {
                    return;
                }
                next.await;
            }
        };
        // What is left then is what this returns.
        let _ = tokio::time::timeout(limit, settled).await;
        left(self)
    }

    fn pending(&self) -> usize {
        self.0
            .pending
            .iter()
            .map(|count| count.load(Ordering::SeqCst))
            .sum()
    }

    fn give_back(&self, what: Leased, client: Client, grace: Duration) {
        let graced = !grace.is_zero();
        let ended = Ended {
            what,
            client,
            at: self.0.clock.now().mono + grace,
            graced,
            attempts: 0,
        };
        self.0.pending[usize::from(graced)].fetch_add(1, Ordering::SeqCst);
        if self.0.ended.send(ended).is_err() {
            // The runtime is going down, and its task with it.
            self.0.pending[usize::from(graced)].fetch_sub(1, Ordering::SeqCst);
        }
    }

    async fn run(self, mut receiver: mpsc::UnboundedReceiver<Ended>) {
        let mut waiting: Vec<Ended> = Vec::new();
        loop {
            let next = waiting.iter().map(|ended| ended.at).min();
            tokio::select! {
                ended = receiver.recv() => match ended {
                    Some(ended) => waiting.push(ended),
                    None => return,
                },
                () = self.0.hurried.notified() => {}
                () = sleep_until(next, self.0.clock.now()) => {}
            }
            while let Ok(ended) = receiver.try_recv() {
                waiting.push(ended);
            }
            let now = self.0.clock.now().mono;
            let hurry = self.0.hurry.load(Ordering::SeqCst);
            let (due, later): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|ended| ended.at <= now || (hurry && ended.attempts == 0));
            waiting = later;
            waiting.extend(self.take_back(due).await);
        }
    }

    /// Takes back what is due; returns what is to be tried again.
    async fn take_back(&self, due: Vec<Ended>) -> Vec<Ended> {
        let (keys, tokens): (Vec<_>, Vec<_>) = due
            .into_iter()
            .partition(|ended| matches!(ended.what, Leased::ApiKey { .. }));
        let mut again = Vec::new();
        for token in tokens {
            let outcome = invalidate_token(&token).await;
            again.extend(self.conclude(vec![token], &outcome));
        }
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let batch: Vec<Ended> = keys.by_ref().take(BATCH).collect();
            let outcome = invalidate_keys(&batch).await;
            again.extend(self.conclude(batch, &outcome));
        }
        again
    }

    fn conclude(&self, ended: Vec<Ended>, outcome: &Result<(), ExchangeError>) -> Vec<Ended> {
        let mut again = Vec::new();
        for mut one in ended {
            one.attempts += 1;
            let last = one.attempts >= ATTEMPTS;
            match outcome {
                Err(ExchangeError::Ask(_)) if !last => {
                    one.at = self.0.clock.now().mono + PAUSE;
                    again.push(one);
                }
                Ok(()) => self.finish(&one, Outcome::Invalidated),
                Err(error) => {
                    tracing::warn!(
                        target: "sidegate::exchange",
                        kind = one.what.kind().label(), %error,
                        "what was made for an upstream could not be taken back, it ends by itself"
                    );
                    self.finish(&one, Outcome::Abandoned);
                }
            }
        }
        again
    }

    fn finish(&self, ended: &Ended, outcome: Outcome) {
        let kind = ended.what.kind();
        self.0.metrics.count(kind, outcome, 1);
        self.0.metrics.returned(kind);
        self.0.pending[usize::from(ended.graced)].fetch_sub(1, Ordering::SeqCst);
        self.0.settled.notify_waiters();
    }
}

async fn sleep_until(at: Option<Duration>, now: Now) {
    match at {
        Some(at) => tokio::time::sleep(at.saturating_sub(now.mono)).await,
        None => std::future::pending().await,
    }
}

async fn invalidate_token(ended: &Ended) -> Result<(), ExchangeError> {
    let (access, refresh) = match &ended.what {
        Leased::Token { access, refresh } | Leased::Held { access, refresh } => {
            (access, refresh.as_ref())
        }
        Leased::ApiKey { .. } => return Ok(()),
    };
    // First what makes new ones.
    if let Some(refresh) = refresh {
        ended.client.invalidate_refresh_token(refresh).await?;
    }
    ended.client.invalidate_access_token(access).await
}

async fn invalidate_keys(batch: &[Ended]) -> Result<(), ExchangeError> {
    let ids: Vec<String> = batch
        .iter()
        .filter_map(|ended| match &ended.what {
            Leased::ApiKey { id } => Some(id.clone()),
            Leased::Token { .. } | Leased::Held { .. } => None,
        })
        .collect();
    match batch.first() {
        Some(first) => first.client.invalidate_api_keys(&ids).await,
        None => Ok(()),
    }
}
