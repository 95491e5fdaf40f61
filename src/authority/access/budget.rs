//! How much work a construction may cost: the reason why no pattern, written by whomever, can hold up the program.
//!
//! A step is a state, an arc, a character or a machine word that is looked at; a million take well under a second. Whoever
//! builds or walks an automaton pays before the work is done. One request draws from one budget, whatever it asks for.

use std::cell::Cell;

/// How much building may cost, in all: everything that is built for one purpose draws from one budget.
#[derive(Debug)]
pub struct Budget {
    /// Most states of one automaton, deterministic or not.
    states: usize,
    /// Elementary steps at the start.
    whole: usize,
    /// Elementary steps left.
    work: Cell<usize>,
}

impl Budget {
    const fn new(states: usize, work: usize) -> Self {
        Self {
            states,
            whole: work,
            work: Cell::new(work),
        }
    }

    /// For one set of patterns that an administrator wrote: of roles and application privileges.
    pub const fn for_roles() -> Self {
        Self::new(100_000, 4_000_000)
    }

    /// For many sets of patterns at once, this many characters in all: enough for patterns that get along, little
    /// enough to find out soon when they don't.
    pub(super) fn for_many_roles(characters: usize) -> Self {
        let work = characters.saturating_mul(60).saturating_add(300_000);
        Self::new(100_000, work.min(4_000_000))
    }

    /// For all the roles of a caller, of a key, or of one request that writes roles.
    pub const fn for_all_roles() -> Self {
        Self::new(100_000, 40_000_000)
    }

    /// For all the patterns of one question, which anybody who can log in may send.
    pub const fn for_questions() -> Self {
        Self::new(20_000, 1_000_000)
    }

    /// For reading the patterns of one request body, of which nothing is built yet.
    pub const fn for_reading() -> Self {
        Self::new(20_000, 4_000_000)
    }

    /// Steps spent so far.
    pub fn spent(&self) -> usize {
        self.whole - self.work.get()
    }

    /// Takes some steps.
    pub(super) fn spend(&self, steps: usize) -> Result<(), TooComplex> {
        match self.work.get().checked_sub(steps) {
            Some(left) => {
                self.work.set(left);
                Ok(())
            }
            // What is used up stays used up: a smaller wish right after it must not succeed.
            None => {
                self.work.set(0);
                Err(TooComplex)
            }
        }
    }

    /// Whether an automaton may have so many states.
    pub(super) fn check_size(&self, states: usize) -> Result<(), TooComplex> {
        if states > self.states {
            Err(TooComplex)
        } else {
            Ok(())
        }
    }
}

/// A construction would have cost more than its [`Budget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooComplex;
