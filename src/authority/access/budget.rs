//! How much work a construction may cost: the reason why no pattern, written by whomever, can hold up the program.

use std::cell::Cell;

/// How much building may cost, in all: everything that is built for one purpose draws from one budget.
#[derive(Debug)]
pub(super) struct Budget {
    /// Most states of one automaton, deterministic or not.
    states: usize,
    /// Elementary steps left.
    work: Cell<usize>,
}

impl Budget {
    /// For one set of patterns that an administrator wrote: of roles and application privileges.
    pub(super) fn for_roles() -> Self {
        Self {
            states: 100_000,
            work: Cell::new(1_000_000),
        }
    }

    /// For many sets of patterns at once, this many characters in all: enough for patterns that get along, little
    /// enough to find out soon when they don't.
    pub(super) fn for_many_roles(characters: usize) -> Self {
        let budget = Self::for_roles();
        let work = characters
            .saturating_mul(20)
            .saturating_add(100_000)
            .min(budget.work.get());
        Self {
            work: Cell::new(work),
            ..budget
        }
    }

    /// For all the patterns of one question, which anybody who can log in may send.
    pub(super) fn for_questions() -> Self {
        Self {
            states: 20_000,
            work: Cell::new(300_000),
        }
    }

    /// Takes some steps.
    pub(super) fn spend(&self, steps: usize) -> Result<(), TooComplex> {
        self.work
            .set(self.work.get().checked_sub(steps).ok_or(TooComplex)?);
        Ok(())
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
