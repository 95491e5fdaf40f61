//! Nondeterministic automata of many patterns at once.
//!
//! Every pattern belongs to a language, known by its number. The cost of building is bounded by a [`Budget`]; running
//! out of it is an error, never a long wait. Complements and intersections go through deterministic automata of their
//! own ([`super::determinise`]), which are then put in place like any other part.

use super::budget::{Budget, TooComplex};
use super::charset::{LAST, symbol};
use super::determinise::{complement, plain, product};
use super::dfa::{Arc, Dfa};
use super::pattern::Expr;

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

    /// What building draws from.
    pub(super) fn budget(&self) -> &'b Budget {
        self.budget
    }

    /// The language of a node.
    pub(super) fn language(&self, node: u32) -> u32 {
        self.nodes[node as usize].language
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
    ///
    /// # Errors
    /// [`TooComplex`] when the budget is used up.
    pub(super) fn closure(
        &self,
        from: impl IntoIterator<Item = u32>,
    ) -> Result<Vec<u32>, TooComplex> {
        let mut todo: Vec<u32> = from.into_iter().collect();
        let mut seen: Vec<u32> = Vec::with_capacity(todo.len());
        let mut visited = std::collections::HashSet::new();
        while let Some(node) = todo.pop() {
            let entry = &self.nodes[node as usize];
            // Nodes without empty links end the walk at once, and most nodes are such.
            if entry.empty.is_empty() {
                seen.push(node);
            } else if visited.insert(node) {
                self.budget.spend(entry.empty.len())?;
                todo.extend(&entry.empty);
                seen.push(node);
            }
        }
        self.budget.spend(seen.len())?;
        seen.retain(|node| self.nodes[*node as usize].matters());
        seen.sort_unstable();
        seen.dedup();
        Ok(seen)
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
            Expr::Text(text) => text.chars().try_fold(from, |at, character| {
                let end = self.next(at)?;
                let symbol = symbol(character);
                self.nodes[at as usize].arcs.push(Arc {
                    lo: symbol,
                    hi: symbol,
                    to: end,
                });
                Ok(end)
            }),
            Expr::Chars(set) => {
                self.budget.spend(set.ranges().len())?;
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
                let dfa = complement(&plain(inner, self.budget)?, self.budget)?;
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
        self.budget.spend(dfa.size())?;
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
}
