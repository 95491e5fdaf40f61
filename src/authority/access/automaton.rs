//! One language, as a minimised deterministic automaton with the algebra Elasticsearch's privileges need.
//!
//! Building is bounded: too many states is an error. Matching is linear in the text and never fails. Names in the
//! pattern language are in [`super::pattern`]; many languages at once are `cover`.

use super::budget::Budget;
use super::determinise::{complement, product};
use super::dfa::{Dfa, NOWHERE, together};
use super::nfa::Nfa;
use super::pattern::{self, Expr, PatternError};

/// A set of strings over Unicode scalar values.
#[derive(Clone, Debug)]
pub struct Automaton(Dfa);

impl Automaton {
    /// The strings that match at least one of the patterns (`*`, `?`, `\`, `/regular expression/`).
    ///
    /// # Errors
    /// A malformed pattern, or a set that needs too many states.
    pub fn of_patterns<'a>(
        patterns: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Result<Self, PatternError> {
        let exprs = patterns
            .clone()
            .into_iter()
            .map(pattern::parse)
            .collect::<Result<Vec<_>, _>>()?;
        Self::of_exprs(&exprs, &Budget::for_roles())
            .ok_or_else(|| PatternError::too_complex(patterns))
    }

    /// The strings that match one pattern.
    ///
    /// # Errors
    /// As [`Automaton::of_patterns`].
    pub fn of_pattern(pattern: &str) -> Result<Self, PatternError> {
        Self::of_patterns([pattern])
    }

    fn of_exprs(exprs: &[Expr], budget: &Budget) -> Option<Self> {
        let mut nfa = Nfa::new(budget);
        for expr in exprs {
            nfa.add(0, expr).ok()?;
        }
        Some(Self(nfa.determinise().ok()?.0.minimised()))
    }

    /// Whether the text is in the set.
    pub fn matches(&self, text: &str) -> bool {
        self.0.mark(self.0.run(text)) != 0
    }

    /// Strings of one or the other. None when that needs too many states.
    pub fn union(&self, other: &Self) -> Option<Self> {
        self.combined(other, |left, right| left || right)
    }

    /// Strings of both. None when that needs too many states.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        self.combined(other, |left, right| left && right)
    }

    /// Strings of this one that the other does not hold. None when that needs too many states.
    pub fn minus(&self, other: &Self) -> Option<Self> {
        self.combined(other, |left, right| left && !right)
    }

    fn combined(&self, other: &Self, keep: fn(bool, bool) -> bool) -> Option<Self> {
        product(&self.0, &other.0, keep, &Budget::for_roles())
            .ok()
            .map(Self)
    }

    /// All other strings.
    pub fn complement(&self) -> Self {
        Self(complement(&self.0))
    }

    /// Whether every string of this set is in `other`. A pair of automata too large to compare counts as "no".
    pub fn is_subset_of(&self, other: &Self) -> bool {
        let budget = Budget::for_roles();
        let mut seen = std::collections::HashSet::from([(0, 0)]);
        let mut todo = vec![(0, 0)];
        while let Some((mine, theirs)) = todo.pop() {
            if self.0.mark(mine) != 0 && other.0.mark(theirs) == 0 || budget.spend(1).is_err() {
                return false;
            }
            together(
                self.0.arcs(mine),
                other.0.arcs(theirs),
                |_, _, mine, theirs| {
                    if mine != NOWHERE && seen.insert((mine, theirs)) {
                        todo.push((mine, theirs));
                    }
                },
            );
        }
        true
    }

    /// Whether there is no string in the set.
    pub fn is_empty(&self) -> bool {
        self.0.accepts_nothing()
    }

    /// Whether every string is in the set.
    pub fn is_total(&self) -> bool {
        // Minimised, the total language is one accepting state with one loop.
        self.0.len() == 1 && self.0.mark(0) != 0 && self.0.is_complete(0)
    }

    /// How many states the automaton has.
    pub fn states(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests;
