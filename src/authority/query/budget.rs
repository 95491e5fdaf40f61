//! How much work one search may be.

use std::cell::Cell;

use super::fault::Fault;

/// Looks at a value that one search may take: about a second of one core.
const STEPS: u64 = 50_000_000;
/// Buckets that one search may make; Elasticsearch's `search.max_buckets`.
pub const MAX_BUCKETS: usize = 65_536;

/// What a search has left. Counts down; never up.
#[derive(Debug)]
pub struct Budget {
    steps: Cell<u64>,
    buckets: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: Cell::new(STEPS),
            buckets: Cell::new(MAX_BUCKETS),
        }
    }
}

impl Budget {
    /// Pays for some looks at values, or for as much other work as a look takes. Past the end nothing is counted any more; [`Budget::check`] tells.
    pub fn spend(&self, steps: usize) {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        self.steps.set(self.steps.get().saturating_sub(steps));
    }

    /// Whether nothing is left: whoever is in the middle of something long may give up.
    pub fn is_spent(&self) -> bool {
        self.steps.get() == 0
    }

    /// Whether the search may go on.
    ///
    /// # Errors
    /// When it has taken too much work.
    pub fn check(&self) -> Result<(), Fault> {
        if self.is_spent() {
            return Err(Fault::refused(
                "the query is too expensive for the number of documents it has to look at",
            ));
        }
        Ok(())
    }

    /// Pays for a bucket.
    ///
    /// # Errors
    /// When there are too many.
    pub fn bucket(&self) -> Result<(), Fault> {
        let left = self.buckets.get().checked_sub(1);
        self.buckets.set(left.ok_or(Fault::Buckets(MAX_BUCKETS))?);
        Ok(())
    }
}
