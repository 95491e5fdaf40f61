//! What happens when a session ends: nothing of it is known any more, and its tokens are invalidated at the authority.
//!
//! Always true: nobody waits for it but a drain; it is tried again a few times, and what can't be given back ends by itself when
//! the authority's tokens do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::authenticate::Authenticator;
use super::extract::presented::Presented;
use crate::elastic::client::Client;
use crate::elastic::exchanges::ExchangeError;
use crate::session::ended::{Ended, TokenFate};
use crate::session::metrics::SessionMetrics;
use crate::session::record::Tokens;

/// Sessions whose tokens are given back at a time.
const AT_ONCE: usize = 16;
/// Sessions that wait for their turn at most; beyond, tokens are left to end by themselves.
const MAX_WAITING: usize = 10_000;
/// How long after a failure it is tried again.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

/// Tokens on their way back.
pub(super) struct GivingBack {
    turns: Semaphore,
    waiting: AtomicUsize,
    done: Notify,
    metrics: SessionMetrics,
}

impl GivingBack {
    pub(super) fn new(metrics: SessionMetrics) -> Arc<Self> {
        Arc::new(Self {
            turns: Semaphore::new(AT_ONCE),
            waiting: AtomicUsize::new(0),
            done: Notify::new(),
            metrics,
        })
    }

    /// Forgets what was known by the session's token and begins to give it back.
    pub(super) fn ended(
        self: &Arc<Self>,
        authenticator: &Authenticator,
        ended: &Ended,
        runtime: &tokio::runtime::Handle,
    ) {
        let Some(tokens) = ended.session.tokens.clone() else {
            return;
        };
        let presented = Presented::session(tokens.access.expose());
        authenticator.forget(&presented);
        if ended.tokens == TokenFate::Leave {
            return;
        }
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= MAX_WAITING {
            self.one_less();
            self.metrics.gave_back(false);
            return;
        }
        let (this, client) = (Arc::clone(self), authenticator.client.clone());
        runtime.spawn(async move {
            let done = this.give_back(&client, &tokens).await;
            this.metrics.gave_back(done);
            this.one_less();
        });
    }

    async fn give_back(&self, client: &Client, tokens: &Tokens) -> bool {
        for pause in PAUSES.into_iter().map(Some).chain([None]) {
            let outcome = match self.turns.acquire().await {
                Ok(_turn) => invalidate(client, tokens).await,
                Err(_) => return false,
            };
            match (outcome, pause) {
                (Ok(()), _) => return true,
                (Err(ExchangeError::Ask(error)), Some(pause)) if !error.is_refusal() => {
                    tokio::time::sleep(pause).await;
                }
                (Err(error), _) => {
                    tracing::warn!(target: "sidegate::gate", %error, "tokens of an ended session could not be invalidated");
                    return false;
                }
            }
        }
        false
    }

    fn one_less(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.done.notify_waiters();
    }

    /// Waits until nothing is on its way, at most so long; tells how many still are.
    pub(super) async fn settle(&self, most: Duration) -> usize {
        let settled = async {
            loop {
                let notified = self.done.notified();
                if self.waiting.load(Ordering::SeqCst) == 0 {
                    return;
                }
                notified.await;
            }
        };
        drop(tokio::time::timeout(most, settled).await);
        self.waiting.load(Ordering::SeqCst)
    }
}

/// The refresh token first: no other access token can be made of it then.
async fn invalidate(client: &Client, tokens: &Tokens) -> Result<(), ExchangeError> {
    if let Some(refresh) = &tokens.refresh {
        client.invalidate_refresh_token(refresh).await?;
    }
    client.invalidate_access_token(&tokens.access).await
}
