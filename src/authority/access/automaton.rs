//! One language, as a minimised deterministic automaton with the algebra Elasticsearch's privileges need.
//!
//! Building is bounded: too many states is an error. Matching is linear in the text and never fails. Names in the
//! pattern language are in [`super::pattern`]; many languages at once are `cover`.

use super::budget::{Budget, TooComplex};
use super::determinise::{complement, product};
use super::dfa::{Dfa, NOWHERE, together};
use super::nfa::Nfa;
use super::pattern::{self, PatternError};

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
        Self::of_patterns_within(patterns, &Budget::for_roles())
    }

    /// The same, drawing from a budget that others draw from, too.
    ///
    /// # Errors
    /// As [`Automaton::of_patterns`].
    pub fn of_patterns_within<'a>(
        patterns: impl IntoIterator<Item = &'a str> + Clone,
        budget: &Budget,
    ) -> Result<Self, PatternError> {
        let mut nfa = Nfa::new(budget);
        for pattern in patterns.clone() {
            let expr = pattern::parse(pattern, budget)?;
            nfa.add(0, &expr)
                .map_err(|TooComplex| PatternError::too_complex([pattern]))?;
        }
        let dfa = nfa
            .determinise()
            .and_then(|(dfa, _)| dfa.minimised(budget))
            .map_err(|TooComplex| PatternError::too_complex(patterns))?;
        Ok(Self(dfa))
    }

    /// The strings that match one pattern.
    ///
    /// # Errors
    /// As [`Automaton::of_patterns`].
    pub fn of_pattern(pattern: &str) -> Result<Self, PatternError> {
        Self::of_patterns([pattern])
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

    /// All other strings. None when that needs too many steps.
    pub fn complement(&self) -> Option<Self> {
        complement(&self.0, &Budget::for_roles()).ok().map(Self)
    }

    /// Whether every string of this set is in `other`. A pair of automata too large to compare counts as "no".
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.is_subset_within(other, &Budget::for_roles())
    }

    /// The same, drawing from a budget that others draw from, too.
    pub fn is_subset_within(&self, other: &Self, budget: &Budget) -> bool {
        let mut seen = std::collections::HashSet::from([(0, 0)]);
        let mut todo = vec![(0, 0)];
        while let Some((mine, theirs)) = todo.pop() {
            let cost = self.0.arcs(mine).len() + other.0.arcs(theirs).len() + 1;
            if self.0.mark(mine) != 0 && other.0.mark(theirs) == 0 || budget.spend(cost).is_err() {
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
