//! Nondeterministic automata of many patterns at once, and their determinisation.
//!
//! Every pattern belongs to a language, known by its number. The cost of building is bounded by a [`Budget`]; running
//! out of it is an error, never a long wait.

use std::cell::Cell;
use std::collections::HashMap;

use super::charset::LAST;
use super::dfa::{Arc, Dfa, NOWHERE, together};
use super::pattern::Expr;

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
        let work = characters.saturating_mul(20).saturating_add(100_000).min(budget.work.get());
        Self { work: Cell::new(work), ..budget }
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

    fn check_size(&self, states: usize) -> Result<(), TooComplex> {
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

/// A nondeterministic automaton; node 0 is the start.
pub(super) struct Nfa<'b> {
    nodes: Vec<Node>,
    budget: &'b Budget,
}

#[derive(Default)]
struct Node {
    arcs: Vec<Arc>,
    /// Nodes reached without reading anything.
    empty: Vec<u32>,
    language: u32,
    accepts: bool,
}

impl Node {
    fn matters(&self) -> bool {
        self.accepts || !self.arcs.is_empty()
    }
}

impl<'b> Nfa<'b> {
    /// The automaton of nothing.
    pub(super) fn new(budget: &'b Budget) -> Self {
        Self {
            nodes: vec![Node::default()],
            budget,
        }
    }

    /// Adds an expression to a language.
    pub(super) fn add(&mut self, language: u32, expr: &Expr) -> Result<(), TooComplex> {
        let start = self.node(language)?;
        self.link(0, start);
        let end = self.emit(expr, start)?;
        self.nodes[end as usize].accepts = true;
        Ok(())
    }

    /// The arcs of a node.
    pub(super) fn arcs(&self, node: u32) -> &[Arc] {
        &self.nodes[node as usize].arcs
    }

    /// Whether a string may end at the node.
    pub(super) fn accepts(&self, node: u32) -> bool {
        self.nodes[node as usize].accepts
    }

    /// Whether everything is accepted from the node on, and the node says so itself.
    pub(super) fn absorbs(&self, node: u32) -> bool {
        let entry = &self.nodes[node as usize];
        entry.accepts
            && entry
                .arcs
                .iter()
                .any(|arc| arc.to == node && arc.lo == 0 && arc.hi == LAST)
    }

    /// The node and all that are reached from it without reading, those that matter only, sorted.
    pub(super) fn closure(&self, from: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut todo: Vec<u32> = from.into_iter().collect();
        let mut seen: Vec<u32> = Vec::with_capacity(todo.len());
        let mut visited = std::collections::HashSet::new();
        while let Some(node) = todo.pop() {
            let entry = &self.nodes[node as usize];
            // Nodes without empty links end the walk at once, and most nodes are such.
            if entry.empty.is_empty() {
                seen.push(node);
            } else if visited.insert(node) {
                todo.extend(&entry.empty);
                seen.push(node);
            }
        }
        seen.retain(|node| self.nodes[*node as usize].matters());
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    fn node(&mut self, language: u32) -> Result<u32, TooComplex> {
        self.budget.check_size(self.nodes.len())?;
        self.budget.spend(1)?;
        self.nodes.push(Node {
            language,
            ..Node::default()
        });
        Ok(self.nodes.len() as u32 - 1)
    }

    fn next(&mut self, from: u32) -> Result<u32, TooComplex> {
        self.node(self.nodes[from as usize].language)
    }

    fn link(&mut self, from: u32, to: u32) {
        self.nodes[from as usize].empty.push(to);
    }

    /// Adds an expression that starts at a node, and tells where it ends. No arc into `from` is made.
    fn emit(&mut self, expr: &Expr, from: u32) -> Result<u32, TooComplex> {
        match expr {
            Expr::Never => self.next(from),
            Expr::Anything => {
                if self.nodes[from as usize]
                    .arcs
                    .iter()
                    .any(|arc| arc.to == from && arc.hi - arc.lo == LAST)
                {
                    return Ok(from);
                }
                let end = self.next(from)?;
                self.link(from, end);
                self.nodes[end as usize].arcs.push(Arc {
                    lo: 0,
                    hi: LAST,
                    to: end,
                });
                Ok(end)
            }
            Expr::Chars(set) => {
                let end = self.next(from)?;
                let arcs = set.ranges().iter().map(|&(lo, hi)| Arc { lo, hi, to: end });
                self.nodes[from as usize].arcs.extend(arcs);
                Ok(end)
            }
            Expr::Sequence(parts) => parts.iter().try_fold(from, |at, part| self.emit(part, at)),
            Expr::Either(options) => {
                let end = self.next(from)?;
                for option in options {
                    let start = self.next(from)?;
                    self.link(from, start);
                    let last = self.emit(option, start)?;
                    self.link(last, end);
                }
                Ok(end)
            }
            Expr::Repeat { of, min, max } => self.emit_repeat(of, *min, *max, from),
            Expr::Not(inner) => {
                let dfa = complement(&plain(inner, self.budget)?);
                self.emit_dfa(&dfa, from)
            }
            Expr::All(parts) => {
                let mut all: Option<Dfa> = None;
                for part in parts {
                    let dfa = plain(part, self.budget)?;
                    all = Some(match all {
                        Some(all) => product(&all, &dfa, |left, right| left && right, self.budget)?,
                        None => dfa,
                    });
                }
                self.emit_dfa(&all.unwrap_or_default(), from)
            }
        }
    }

    fn emit_repeat(
        &mut self,
        of: &Expr,
        min: u32,
        max: Option<u32>,
        from: u32,
    ) -> Result<u32, TooComplex> {
        let mut at = self.next(from)?;
        self.link(from, at);
        for _ in 0..min {
            let end = self.emit(of, at)?;
            // A fresh node: what follows must not loop into the middle of this copy. An empty expression adds none.
            at = self.next(end)?;
            self.link(end, at);
        }
        let Some(max) = max else {
            let end = self.emit(of, at)?;
            self.link(end, at);
            return Ok(at);
        };
        let done = self.next(from)?;
        self.link(at, done);
        for _ in min..max {
            let end = self.emit(of, at)?;
            self.link(end, done);
            at = self.next(end)?;
            self.link(end, at);
        }
        Ok(done)
    }

    fn emit_dfa(&mut self, dfa: &Dfa, from: u32) -> Result<u32, TooComplex> {
        let end = self.next(from)?;
        let first = self.nodes.len() as u32;
        for _ in 0..dfa.len() {
            self.next(from)?;
        }
        if dfa.len() > 0 {
            self.link(from, first);
        }
        for state in 0..dfa.len() as u32 {
            let arcs = dfa
                .arcs(state)
                .iter()
                .map(|arc| Arc {
                    to: first + arc.to,
                    ..*arc
                })
                .collect();
            self.nodes[(first + state) as usize].arcs = arcs;
            if dfa.mark(state) != 0 {
                self.link(first + state, end);
            }
        }
        Ok(end)
    }

    /// The deterministic automaton, not minimised, and what its marks mean: the sorted languages a string belongs to.
    pub(super) fn determinise(&self) -> Result<(Dfa, Vec<Box<[u32]>>), TooComplex> {
        let mut subsets = Subsets {
            nfa: self,
            numbers: HashMap::new(),
            order: Vec::new(),
        };
        let mut marks: HashMap<Box<[u32]>, u32> = HashMap::from([(Box::default(), 0)]);
        let mut meanings: Vec<Box<[u32]>> = vec![Box::default()];
        let mut states = Vec::new();
        subsets.number(self.closure([0]))?;
        while let Some(set) = subsets.order.get(states.len()).cloned() {
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
        let mut languages: Vec<u32> = accepting
            .map(|node| self.nodes[*node as usize].language)
            .collect();
        languages.sort_unstable();
        languages.dedup();
        languages.into()
    }

    /// Drops the nodes of languages that accept everything from here on anyway.
    fn pruned(&self, mut set: Vec<u32>) -> Vec<u32> {
        let absorbing: Vec<(u32, u32)> = set
            .iter()
            .filter(|node| self.absorbs(**node))
            .map(|node| (self.nodes[*node as usize].language, *node))
            .collect();
        if !absorbing.is_empty() {
            let mut keeper: HashMap<u32, u32> = HashMap::new();
            for (language, node) in absorbing {
                keeper.entry(language).or_insert(node);
            }
            set.retain(|node| {
                keeper
                    .get(&self.nodes[*node as usize].language)
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
        self.nfa.budget.check_size(self.order.len())?;
        self.numbers.insert(set.clone(), fresh);
        self.order.push(set);
        Ok(fresh)
    }

    fn arcs(&mut self, set: &[u32]) -> Result<Vec<Arc>, TooComplex> {
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
        let mut arcs = Vec::with_capacity(cuts.len());
        for window in cuts.windows(2) {
            let [lo, next] = *window else { continue };
            active.retain(|arc| arc.hi >= lo);
            while let Some(arc) = ahead.next_if(|arc| arc.lo == lo) {
                active.push(arc);
            }
            if active.is_empty() {
                continue;
            }
            let targets = self.nfa.closure(active.iter().map(|arc| arc.to));
            self.nfa.budget.spend(targets.len() + active.len())?;
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
    Ok(nfa.determinise()?.0.minimised())
}

/// Accepts what the automaton does not.
pub(super) fn complement(dfa: &Dfa) -> Dfa {
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
    Dfa::of_states(states.chain([(everywhere.to_vec(), 1)])).minimised()
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
        together(left.arcs(l), right.arcs(r), |lo, hi, l, r| {
            let fresh = order.len() as u32;
            let to = *numbers.entry((l, r)).or_insert(fresh);
            if to == fresh {
                order.push((l, r));
            }
            arcs.push(Arc { lo, hi, to });
        });
        budget.check_size(order.len())?;
        budget.spend(arcs.len())?;
        states.push((arcs, u32::from(keep(left.mark(l) != 0, right.mark(r) != 0))));
    }
    Ok(Dfa::of_states(states).minimised())
}
