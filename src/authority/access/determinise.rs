//! From nondeterministic to deterministic: subsets, complements and products.

use std::collections::HashMap;

use super::budget::{Budget, TooComplex};
use super::charset::LAST;
use super::dfa::{Arc, Dfa, NOWHERE, together};
use super::nfa::Nfa;
use super::pattern::Expr;

/// For each mark the languages a string belongs to, sorted. Mark 0 is none.
pub(super) type Meanings = Vec<Box<[u32]>>;

impl Nfa<'_> {
    /// The deterministic automaton, not minimised, and what its marks mean.
    pub(super) fn determinise(&self) -> Result<(Dfa, Meanings), TooComplex> {
        let mut subsets = Subsets {
            nfa: self,
            numbers: HashMap::new(),
            order: Vec::new(),
        };
        let mut marks: HashMap<Box<[u32]>, u32> = HashMap::from([(Box::default(), 0)]);
        let mut meanings: Meanings = vec![Box::default()];
        let mut states = Vec::new();
        subsets.number(self.closure([0])?)?;
        while let Some(set) = subsets.order.get(states.len()).cloned() {
            self.budget().spend(set.len() + 1)?;
            let languages = self.languages(&set);
            let fresh = meanings.len() as u32;
            let mark = *marks.entry(languages.clone()).or_insert(fresh);
            if mark == fresh {
                meanings.push(languages);
            }
            states.push((subsets.arcs(&set)?, mark));
        }
        Ok((Dfa::of_states(states), meanings))
    }

    fn languages(&self, set: &[u32]) -> Box<[u32]> {
        let accepting = set.iter().filter(|node| self.accepts(**node));
        let mut languages: Vec<u32> = accepting.map(|node| self.language(*node)).collect();
        languages.sort_unstable();
        languages.dedup();
        languages.into()
    }

    /// Drops the nodes of languages that accept everything from here on anyway.
    fn pruned(&self, mut set: Vec<u32>) -> Vec<u32> {
        let absorbing: Vec<(u32, u32)> = set
            .iter()
            .filter(|node| self.absorbs(**node))
            .map(|node| (self.language(*node), *node))
            .collect();
        if !absorbing.is_empty() {
            let mut keeper: HashMap<u32, u32> = HashMap::new();
            for (language, node) in absorbing {
                keeper.entry(language).or_insert(node);
            }
            set.retain(|node| {
                keeper
                    .get(&self.language(*node))
                    .is_none_or(|kept| kept == node)
            });
        }
        set
    }
}

/// The subsets met so far.
struct Subsets<'a> {
    nfa: &'a Nfa<'a>,
    numbers: HashMap<Box<[u32]>, u32>,
    order: Vec<Box<[u32]>>,
}

impl Subsets<'_> {
    fn number(&mut self, set: Vec<u32>) -> Result<u32, TooComplex> {
        let set: Box<[u32]> = self.nfa.pruned(set).into();
        let fresh = self.order.len() as u32;
        if let Some(known) = self.numbers.get(&set) {
            return Ok(*known);
        }
        self.nfa.budget().check_size(self.order.len())?;
        self.numbers.insert(set.clone(), fresh);
        self.order.push(set);
        Ok(fresh)
    }

    fn arcs(&mut self, set: &[u32]) -> Result<Vec<Arc>, TooComplex> {
        let arcs = set.iter().map(|node| self.nfa.arcs(*node).len());
        // Before anything of that size is made; it is sorted twice.
        self.nfa.budget().spend(arcs.sum())?;
        let mut ahead: Vec<Arc> = set
            .iter()
            .flat_map(|node| self.nfa.arcs(*node))
            .copied()
            .collect();
        ahead.sort_unstable_by_key(|arc| arc.lo);
        let mut cuts: Vec<u32> = ahead.iter().flat_map(|arc| [arc.lo, arc.hi + 1]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut ahead = ahead.into_iter().peekable();
        let mut active: Vec<Arc> = Vec::new();
        let mut arcs = Vec::new();
        for window in cuts.windows(2) {
            let [lo, next] = *window else { continue };
            active.retain(|arc| arc.hi >= lo);
            while let Some(arc) = ahead.next_if(|arc| arc.lo == lo) {
                active.push(arc);
            }
            if active.is_empty() {
                continue;
            }
            self.nfa.budget().spend(active.len())?;
            let targets = self.nfa.closure(active.iter().map(|arc| arc.to))?;
            if !targets.is_empty() {
                arcs.push(Arc {
                    lo,
                    hi: next - 1,
                    to: self.number(targets)?,
                });
            }
        }
        Ok(arcs)
    }
}

/// The minimised automaton of one expression, with mark 1 for what it accepts.
pub(super) fn plain(expr: &Expr, budget: &Budget) -> Result<Dfa, TooComplex> {
    let mut nfa = Nfa::new(budget);
    nfa.add(0, expr)?;
    nfa.determinise()?.0.minimised(budget)
}

/// Accepts what the automaton does not.
///
/// # Errors
/// [`TooComplex`] when the budget is used up.
pub(super) fn complement(dfa: &Dfa, budget: &Budget) -> Result<Dfa, TooComplex> {
    budget.spend(dfa.size())?;
    let sink = dfa.len() as u32;
    let everywhere = [Arc {
        lo: 0,
        hi: LAST,
        to: sink,
    }];
    let states = (0..sink).map(|state| {
        let mut arcs = Vec::new();
        together(dfa.arcs(state), &everywhere, |lo, hi, to, sink| {
            arcs.push(Arc {
                lo,
                hi,
                to: if to == NOWHERE { sink } else { to },
            });
        });
        (arcs, u32::from(dfa.mark(state) == 0))
    });
    Dfa::of_states(states.chain([(everywhere.to_vec(), 1)])).minimised(budget)
}

/// Accepts by the verdict of `keep` over what the two accept. `keep(false, false)` must be false.
pub(super) fn product(
    left: &Dfa,
    right: &Dfa,
    keep: fn(bool, bool) -> bool,
    budget: &Budget,
) -> Result<Dfa, TooComplex> {
    let mut numbers: HashMap<(u32, u32), u32> = HashMap::from([((0, 0), 0)]);
    let mut order = vec![(0, 0)];
    let mut states = Vec::new();
    while let Some(&(l, r)) = order.get(states.len()) {
        let mut arcs = Vec::new();
        budget.spend(left.arcs(l).len() + right.arcs(r).len() + 1)?;
        together(left.arcs(l), right.arcs(r), |lo, hi, l, r| {
            let fresh = order.len() as u32;
            let to = *numbers.entry((l, r)).or_insert(fresh);
            if to == fresh {
                order.push((l, r));
            }
            arcs.push(Arc { lo, hi, to });
        });
        budget.check_size(order.len())?;
        states.push((arcs, u32::from(keep(left.mark(l) != 0, right.mark(r) != 0))));
    }
    Dfa::of_states(states).minimised(budget)
}
