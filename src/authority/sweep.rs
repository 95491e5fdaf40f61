//! Outdated API keys and tokens leave the store.
//!
//! A task of the authority goes through the tables every few minutes, a bounded slice at a time, so that neither the writer
//! nor a reader ever waits long. It holds the authority weakly and ends with it. What else gets outdated is a line in
//! [`Drafts::sweep`].

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::state::State;
use super::store::Drafts;
use crate::model::clock::Now;

/// How often the tables are gone through.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// Rows of each table that one step looks at.
const SLICE: usize = 1_000;
/// Invalidated and expired API keys stay this long, as Elasticsearch's `delete.retention_period`.
const KEY_RETENTION_MILLIS: u64 = 7 * 24 * 3_600 * 1_000;
/// Tokens stay this long after their creation: the life of a refresh token, and a day to say why it no longer works.
const TOKEN_RETENTION_MILLIS: u64 = 48 * 3_600 * 1_000;

impl Drafts<'_> {
    /// Looks at the next slice of every table and removes the keys and tokens in it that are past their retention.
    pub fn sweep(&mut self, now: Now) {
        let now = now.unix_millis();
        for (id, key) in self.api_keys.patrol(SLICE) {
            let ends = [key.expiration, key.invalidation];
            let end = ends.into_iter().flatten().min();
            if end.is_some_and(|end| end.saturating_add(KEY_RETENTION_MILLIS) < now) {
                self.api_keys.remove(&id);
            }
        }
        let is_old = |creation: u64| creation.saturating_add(TOKEN_RETENTION_MILLIS) < now;
        for (digest, row) in self.access_tokens.patrol(SLICE) {
            if is_old(row.creation) {
                self.access_tokens.remove(&digest);
            }
        }
        for (digest, row) in self.refresh_tokens.patrol(SLICE) {
            if is_old(row.creation) {
                self.refresh_tokens.remove(&digest);
            }
        }
    }
}

/// Starts the task that sweeps as long as `state` lives. Needs a runtime.
pub fn start(state: &Arc<State>) {
    let state = Arc::downgrade(state);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            if !pass(&state).await {
                return;
            }
        }
    });
}

/// Goes through everything once; false when the authority is gone.
pub async fn pass(state: &Weak<State>) -> bool {
    let mut slices = 1;
    let mut done = 0;
    while done < slices {
        // Held for one slice only, or a store that is being closed would have to wait for the whole pass.
        let Some(state) = state.upgrade() else {
            return false;
        };
        let tables = state.tables();
        let largest = tables
            .api_keys
            .count()
            .max(tables.access_tokens.count())
            .max(tables.refresh_tokens.count());
        // Grows when the tables do, and never shrinks, or removals would end the pass early.
        slices = slices.max(largest / SLICE + 1);
        let now = state.clock.now();
        let swept = state.store.write(move |drafts| {
            drafts.sweep(now);
            Ok::<(), Infallible>(())
        });
        if swept.await.is_err() {
            tracing::warn!("outdated keys and tokens could not be removed");
            return true;
        }
        done += 1;
        tokio::task::yield_now().await;
    }
    true
}
