//! Assertions that were used, remembered until they would no longer be believed anyway.
//!
//! Always true: bounded; when it is full of assertions that still count, nobody gets in rather than somebody twice. The memory
//! is this process's, and starts empty.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use super::refusal::{Refusal, shown};

/// Assertions remembered at most. Each stays for the minutes of its life.
const MAX: usize = 100_000;

/// Ids of used assertions.
#[derive(Default)]
pub struct Replay(Mutex<Used>);

#[derive(Default)]
struct Used {
    until: HashMap<String, i64>,
    by_end: BTreeSet<(i64, String)>,
}

impl Replay {
    /// Notes that an assertion is used now, in seconds since the Unix epoch; it would be believed until `until`.
    ///
    /// # Errors
    /// [`Refusal::Replayed`] when it was used before, [`Refusal::ReplayMemoryFull`].
    pub fn use_once(&self, id: &str, until: i64, now: i64) -> Result<(), Refusal> {
        self.use_once_of(id, until, now, MAX)
    }

    fn use_once_of(&self, id: &str, until: i64, now: i64, max: usize) -> Result<(), Refusal> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.forget_before(now);
        if used.until.contains_key(id) {
            return Err(Refusal::Replayed(shown(id)));
        }
        if used.until.len() >= max {
            return Err(Refusal::ReplayMemoryFull);
        }
        used.until.insert(id.to_owned(), until);
        used.by_end.insert((until, id.to_owned()));
        Ok(())
    }
}

impl Used {
    fn forget_before(&mut self, now: i64) {
        while let Some((until, _)) = self.by_end.first()
            && *until < now
        {
            if let Some((_, id)) = self.by_end.pop_first() {
                self.until.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_is_good_once_and_forgotten_after_its_end() {
        let replay = Replay::default();
        assert_eq!(replay.use_once("a", 100, 50), Ok(()));
        for now in [50, 100] {
            let again = replay.use_once("a", 100, now);
            assert_eq!(again, Err(Refusal::Replayed("a".to_owned())));
        }
        assert_eq!(replay.use_once("a", 300, 101), Ok(()));
    }

    #[test]
    fn a_full_memory_refuses_until_something_ends() {
        let replay = Replay::default();
        assert_eq!(replay.use_once_of("a", 100, 50, 2), Ok(()));
        assert_eq!(replay.use_once_of("b", 200, 50, 2), Ok(()));
        let full = replay.use_once_of("c", 200, 50, 2);
        assert_eq!(full, Err(Refusal::ReplayMemoryFull));
        assert_eq!(replay.use_once_of("c", 200, 101, 2), Ok(()));
    }
}
