//! One automaton over many languages, and the walk of a question through it.
//!
//! A label is a set of language numbers; one more bit, [`Shard::hidden`], says that the name is a hidden one.

use std::collections::{HashMap, HashSet};

use super::bits::Bits;
use super::budget::{Budget, TooComplex};
use super::dfa::Dfa;
use super::nfa::Nfa;

/// An automaton whose marks are sets of languages.
#[derive(Debug)]
pub(super) struct Shard {
    /// The automaton; its marks are indexes of labels.
    pub(super) dfa: Dfa,
    labels: Vec<Bits>,
    hidden: usize,
    /// For each state, the languages that hold whatever may follow.
    from_here: PerState,
    /// The same, where hidden names don't count. Everything, also the hidden bit, if only hidden names can follow.
    from_here_unhidden: PerState,
}

impl Shard {
    /// A shard of a minimised automaton; `hidden` is the bit of hidden names, the last of every label.
    ///
    /// # Errors
    /// [`TooComplex`] when the budget is used up.
    pub(super) fn new(
        dfa: Dfa,
        labels: Vec<Bits>,
        hidden: usize,
        budget: &Budget,
    ) -> Result<Self, TooComplex> {
        let from_here = whatever_follows(&dfa, &labels, hidden, false, budget)?;
        let from_here_unhidden = whatever_follows(&dfa, &labels, hidden, true, budget)?;
        Ok(Self {
            dfa,
            labels,
            hidden,
            from_here,
            from_here_unhidden,
        })
    }

    /// The languages that hold a string which leads to this state.
    pub(super) fn label(&self, state: u32) -> &Bits {
        &self.labels[self.dfa.mark(state) as usize]
    }
}

/// For each state the intersection of the labels of all states that can be reached from it, itself included.
fn whatever_follows(
    dfa: &Dfa,
    labels: &[Bits],
    hidden: usize,
    unhidden: bool,
    budget: &Budget,
) -> Result<PerState, TooComplex> {
    // What one set costs, in steps of a few words.
    let width = 1 + hidden / 512;
    budget.spend(dfa.size() + dfa.len() * width)?;
    let none = Bits::none(hidden + 1);
    let all = Bits::all(hidden + 1);
    let mut follows: Vec<Bits> = (0..dfa.len() as u32)
        .map(|state| {
            let label = &labels[dfa.mark(state) as usize];
            match label.contains(hidden) {
                // Some string leads out of the automaton, and nothing holds it.
                _ if !dfa.is_complete(state) => none.clone(),
                true if unhidden => all.clone(),
                _ => label.clone(),
            }
        })
        .collect();
    let predecessors = dfa.predecessors();
    let mut todo: Vec<u32> = (0..dfa.len() as u32).collect();
    while let Some(state) = todo.pop() {
        let here = follows[state as usize].clone();
        budget.spend(width * (1 + predecessors[state as usize].len()))?;
        for &(before, _) in &predecessors[state as usize] {
            if !follows[before as usize].is_subset_of(&here) {
                follows[before as usize].intersect(&here);
                todo.push(before);
            }
        }
    }
    Ok(PerState::new(follows))
}

/// A set for each state, equal sets kept once.
#[derive(Debug)]
struct PerState {
    sets: Vec<Bits>,
    numbers: Vec<u32>,
}

impl PerState {
    fn new(of_states: Vec<Bits>) -> Self {
        let mut sets = Vec::new();
        let mut known: HashMap<Bits, u32> = HashMap::new();
        let number = |set: Bits| {
            *known.entry(set).or_insert_with_key(|set| {
                sets.push(set.clone());
                sets.len() as u32 - 1
            })
        };
        let numbers = of_states.into_iter().map(number).collect();
        Self { sets, numbers }
    }

    fn at(&self, state: u32) -> Option<&Bits> {
        self.numbers
            .get(state as usize)
            .and_then(|number| self.sets.get(*number as usize))
    }
}

/// One question on its way through one shard.
pub(super) struct Walk<'s> {
    shard: &'s Shard,
    unhidden: bool,
    /// Languages that held every name met so far.
    pub(super) held: Bits,
    /// Whether a name was met at all.
    pub(super) asked: bool,
}

impl<'s> Walk<'s> {
    /// The start of a walk: nothing was met, so everything held it.
    pub(super) fn new(shard: &'s Shard, unhidden: bool) -> Self {
        Self {
            shard,
            unhidden,
            held: Bits::all(shard.hidden + 1),
            asked: false,
        }
    }

    /// Asks about the one name that leads to a state.
    pub(super) fn meet_state(&mut self, state: u32) {
        let label = self.shard.label(state);
        if !(self.unhidden && label.contains(self.shard.hidden)) {
            self.held.intersect(label);
            self.asked = true;
        }
    }

    /// Asks about all names that go on from a state.
    pub(super) fn meet_all_from(&mut self, state: u32) {
        let Some(held) = self.from(state) else {
            self.held = Bits::none(self.shard.hidden + 1);
            self.asked = true;
            return;
        };
        // The hidden bit is in there only when all that follows is hidden, and then all bits are.
        self.asked |= !(self.unhidden && held.contains(self.shard.hidden));
        self.held.intersect(held);
    }

    /// The languages that hold whatever follows the state; none at all if it is nowhere.
    fn from(&self, state: u32) -> Option<&'s Bits> {
        let follows = if self.unhidden {
            &self.shard.from_here_unhidden
        } else {
            &self.shard.from_here
        };
        follows.at(state)
    }

    /// Asks about all names of an automaton.
    ///
    /// # Errors
    /// [`TooComplex`] when the budget is used up.
    pub(super) fn follow(&mut self, nfa: &Nfa<'_>, budget: &Budget) -> Result<(), TooComplex> {
        let mut todo: Vec<(u32, u32)> = nfa
            .closure([0])?
            .into_iter()
            .map(|node| (node, 0))
            .collect();
        let mut seen: HashSet<(u32, u32)> = todo.iter().copied().collect();
        while let Some((node, state)) = todo.pop() {
            budget.spend(1 + nfa.arcs(node).len())?;
            if nfa.absorbs(node) {
                self.meet_all_from(state);
                continue;
            }
            if nfa.accepts(node) {
                self.meet_state(state);
            }
            // What holds everything from here on cannot lose anything on the way.
            if self.asked
                && self
                    .from(state)
                    .map_or_else(|| self.held.is_empty(), |held| self.held.is_subset_of(held))
            {
                continue;
            }
            // One by one: the arcs of a nondeterministic node may overlap.
            for arc in nfa.arcs(node) {
                let nodes = nfa.closure([arc.to])?;
                let dfa = &self.shard.dfa;
                let stretches = dfa.targets(state, arc.lo, arc.hi, |state| {
                    for &node in &nodes {
                        if seen.insert((node, state)) {
                            todo.push((node, state));
                        }
                    }
                });
                budget.spend(stretches.saturating_mul(nodes.len()))?;
            }
        }
        Ok(())
    }
}
