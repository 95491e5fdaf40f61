//! Attempts that were used: each leads to a session once, and whoever comes with it again goes where the first one went.
//!
//! Always true: of all who come with an attempt, to this process or, where sessions are in a shared store, to any replica, one is
//! the first; the others wait for that one, for a while; trouble at the store is told, and nobody is the first then.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::watch;

use super::attempt::LIFE;
use crate::session::trouble::StoreTrouble;
use crate::session::uses::{Use, Uses};

/// Attempts remembered as used.
const MAX_USED: u64 = 100_000;
/// How long they are remembered: as long as their cookies could come back.
const KEPT: Duration = Duration::from_secs(LIFE.as_secs() + 60);
/// Longest that somebody waits for the first use of an attempt to end.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked whether a use at another replica has ended.
const LOOK: Duration = Duration::from_millis(200);

/// Attempts that were used, while their cookies could come back.
#[derive(Clone, Debug)]
pub struct UsedAttempts(Cache<String, watch::Receiver<Use>>);

/// The first use of an attempt. Dropped without a word, it has failed.
#[derive(Debug)]
pub struct FirstUse {
    id: String,
    outcome: watch::Sender<Use>,
    used: UsedAttempts,
    /// Whom to tell how it ended; nobody while it is not certain that this is the first.
    uses: Option<Arc<Uses>>,
}

/// Who came with an attempt.
#[derive(Debug)]
pub enum Claim {
    /// The first.
    First(FirstUse),
    /// Another one, and whether the first one got a session.
    Again {
        /// It did.
        succeeded: bool,
    },
}

impl Default for UsedAttempts {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(MAX_USED)
                .time_to_live(KEPT)
                .build(),
        )
    }
}

impl UsedAttempts {
    /// Uses an attempt up. Whoever comes second waits for the first to end: a double click ends where the first click did.
    ///
    /// # Errors
    /// [`StoreTrouble`] when replicas share a store that can't be asked.
    pub async fn claim(&self, id: &str, uses: &Arc<Uses>) -> Result<Claim, StoreTrouble> {
        let (outcome, running) = watch::channel(Use::Running);
        let entry = self.0.entry(id.to_owned()).or_insert(running);
        if entry.is_fresh() {
            let mut first = FirstUse {
                id: id.to_owned(),
                outcome,
                used: self.clone(),
                uses: None,
            };
            return match elsewhere(id, uses).await {
                Ok(None) => {
                    first.uses = Some(Arc::clone(uses));
                    Ok(Claim::First(first))
                }
                Ok(Some(ended)) => {
                    first.outcome.send_replace(ended);
                    let succeeded = ended == Use::Succeeded;
                    Ok(Claim::Again { succeeded })
                }
                Err(trouble) => {
                    first.undone();
                    Err(trouble)
                }
            };
        }
        let mut first = entry.into_value();
        let ended = first.wait_for(|seen| *seen != Use::Running);
        let succeeded = match tokio::time::timeout(PATIENCE, ended).await {
            Ok(Ok(seen)) => *seen == Use::Succeeded,
            Ok(Err(_)) | Err(_) => false,
        };
        Ok(Claim::Again { succeeded })
    }

    /// Whether an attempt was used, and whether that led to a session; `None`: it was not, as far as can be told.
    pub async fn peek(&self, id: &str, uses: &Uses) -> Option<bool> {
        let here = self.0.get(id).map(|seen| *seen.borrow());
        let seen = match here {
            Some(seen) => seen,
            // Trouble was logged.
            None => uses.look(id).await.ok().flatten()?,
        };
        Some(seen == Use::Succeeded)
    }
}

/// How the use of an attempt at another replica ended; `None`: there is none, and it has begun here.
async fn elsewhere(id: &str, uses: &Uses) -> Result<Option<Use>, StoreTrouble> {
    let mut waited = Duration::ZERO;
    loop {
        match uses.begin(id, KEPT).await? {
            Some(Use::Running) if waited < PATIENCE => {
                tokio::time::sleep(LOOK).await;
                waited += LOOK;
            }
            Some(Use::Running) => return Ok(Some(Use::Failed)),
            ended => return Ok(ended),
        }
    }
}

impl FirstUse {
    /// It led to a session.
    pub fn succeeded(mut self) {
        self.outcome.send_replace(Use::Succeeded);
        self.tell(Some(Use::Succeeded));
    }

    /// Nobody could be asked: it counts as not used, and may be tried again.
    pub fn undone(mut self) {
        self.used.0.invalidate(&self.id);
        self.tell(None);
    }

    /// Tells the other replicas, in the background. Only the first word counts.
    fn tell(&mut self, ended: Option<Use>) {
        let Some(uses) = self.uses.take().filter(|uses| uses.is_shared()) else {
            return;
        };
        let id = std::mem::take(&mut self.id);
        // Without a runtime the program is going down; the others find it running until they lose patience.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { drop(uses.end(&id, ended).await) });
        }
    }
}

impl Drop for FirstUse {
    fn drop(&mut self) {
        let failed = self.outcome.send_if_modified(|seen| {
            let running = *seen == Use::Running;
            if running {
                *seen = Use::Failed;
            }
            running
        });
        if failed {
            self.tell(Some(Use::Failed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::metrics::SessionMetrics;
    use crate::sso::fixture;
    use crate::telemetry::metrics::Registry;

    /// No store: what is remembered is remembered here.
    fn alone() -> Arc<Uses> {
        let sso = fixture::sso("{ name: a, login: password }");
        let metrics = SessionMetrics::register(&Registry::new().unwrap()).unwrap();
        let sessions = crate::session::Sessions::new(&sso, &Arc::default(), metrics).unwrap();
        let uses = Uses::new(&sso.session, sessions.keyring(), sessions.metrics());
        Arc::new(uses.unwrap())
    }

    #[tokio::test]
    async fn whoever_comes_second_waits_for_the_first() {
        let (used, uses) = (UsedAttempts::default(), alone());
        let claim = async |id: &str| used.claim(id, &uses).await.unwrap();
        let Claim::First(first) = claim("a").await else {
            panic!()
        };
        let second = {
            let (used, uses) = (used.clone(), Arc::clone(&uses));
            tokio::spawn(async move {
                let claim = used.claim("a", &uses).await.unwrap();
                matches!(claim, Claim::Again { succeeded: true })
            })
        };
        tokio::task::yield_now().await;
        first.succeeded();
        assert!(second.await.unwrap());
        assert_eq!(used.peek("a", &uses).await, Some(true));
        assert_eq!(used.peek("b", &uses).await, None);
        let Claim::First(first) = claim("b").await else {
            panic!()
        };
        drop(first);
        let again = claim("b").await;
        assert!(matches!(again, Claim::Again { succeeded: false }));
        let Claim::First(first) = claim("c").await else {
            panic!()
        };
        first.undone();
        assert!(matches!(claim("c").await, Claim::First(_)));
    }
}
