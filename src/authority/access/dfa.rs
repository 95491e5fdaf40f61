//! Deterministic automata: states, arcs over ranges of symbols, and a mark per state.
//!
//! State 0 is the start. A symbol without an arc leads nowhere, where nothing is accepted. A mark of 0 says "nothing
//! ends here"; what other marks mean is the owner's business, so the same machine serves plain languages (mark 1) and
//! many languages at once (a mark per set of languages).

use std::collections::HashMap;

use super::charset::LAST;

/// A transition on every symbol from `lo` to `hi`, both in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Arc {
    /// First symbol.
    pub(super) lo: u32,
    /// Last symbol.
    pub(super) hi: u32,
    /// Where to.
    pub(super) to: u32,
}

/// Stands for "no state" beside state numbers.
pub(super) const NOWHERE: u32 = u32::MAX;

/// A deterministic automaton. Arcs of a state are sorted, disjoint, and merged where adjacent ones agree.
#[derive(Clone, Debug, Default)]
pub(super) struct Dfa {
    offsets: Vec<u32>,
    arcs: Vec<Arc>,
    marks: Vec<u32>,
}

impl Dfa {
    /// The automaton of the given states, in order; each brings its arcs and its mark.
    pub(super) fn of_states(states: impl IntoIterator<Item = (Vec<Arc>, u32)>) -> Self {
        let mut dfa = Self {
            offsets: vec![0],
            ..Self::default()
        };
        for (arcs, mark) in states {
            for arc in arcs {
                dfa.push_arc(arc);
            }
            dfa.close_state(mark);
        }
        dfa
    }

    fn push_arc(&mut self, arc: Arc) {
        let first = self.offsets.last().map_or(0, |offset| *offset as usize);
        match self.arcs.get_mut(first..).and_then(<[Arc]>::last_mut) {
            Some(last) if last.to == arc.to && last.hi + 1 == arc.lo => last.hi = arc.hi,
            _ => self.arcs.push(arc),
        }
    }

    fn close_state(&mut self, mark: u32) {
        self.offsets.push(self.arcs.len() as u32);
        self.marks.push(mark);
    }

    /// How many states there are.
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// The mark of a state; 0 for [`NOWHERE`].
    pub(super) fn mark(&self, state: u32) -> u32 {
        self.marks.get(state as usize).copied().unwrap_or(0)
    }

    /// The arcs of a state; none for [`NOWHERE`].
    pub(super) fn arcs(&self, state: u32) -> &[Arc] {
        let state = state as usize;
        match (
            self.offsets.get(state),
            self.offsets.get(state.saturating_add(1)),
        ) {
            (Some(&from), Some(&to)) => &self.arcs[from as usize..to as usize],
            _ => &[],
        }
    }

    /// Where a symbol leads, or [`NOWHERE`].
    pub(super) fn step(&self, state: u32, symbol: u32) -> u32 {
        let arcs = self.arcs(state);
        let next = arcs.partition_point(|arc| arc.hi < symbol);
        match arcs.get(next) {
            Some(arc) if arc.lo <= symbol => arc.to,
            _ => NOWHERE,
        }
    }

    /// Where a text leads from the start, or [`NOWHERE`].
    pub(super) fn run(&self, text: &str) -> u32 {
        let mut state = 0;
        for character in text.chars() {
            state = self.step(state, super::charset::symbol(character));
            if state == NOWHERE {
                break;
            }
        }
        state
    }

    /// Whether a state has an arc for every symbol.
    pub(super) fn is_complete(&self, state: u32) -> bool {
        let mut next = 0;
        self.arcs(state).iter().all(|arc| {
            let adjacent = arc.lo == next;
            next = arc.hi + 1;
            adjacent
        }) && next == LAST + 1
    }

    /// The same automaton with other marks.
    pub(super) fn remarked(mut self, mark: impl Fn(u32) -> u32) -> Self {
        for old in &mut self.marks {
            *old = mark(*old);
        }
        self
    }

    /// For each state, the states that lead to it.
    pub(super) fn predecessors(&self) -> Vec<Vec<u32>> {
        let mut from = vec![Vec::new(); self.len()];
        for state in 0..self.len() as u32 {
            for arc in self.arcs(state) {
                let list: &mut Vec<u32> = &mut from[arc.to as usize];
                if list.last() != Some(&state) {
                    list.push(state);
                }
            }
        }
        from
    }

    /// Whether all states whose mark is not 0 are out of reach.
    pub(super) fn accepts_nothing(&self) -> bool {
        self.marks.iter().all(|mark| *mark == 0)
    }

    /// The smallest automaton that marks every string alike. Useless states go as well.
    pub(super) fn minimised(&self) -> Self {
        let live = self.live();
        let (class, complete) = self.merge_tails(&live);
        let merged = self.quotient(&class, &live);
        if complete {
            return merged;
        }
        let live = vec![true; merged.len()];
        merged.quotient(&merged.refine(), &live)
    }

    /// States from which some mark can be reached.
    fn live(&self) -> Vec<bool> {
        let mut live: Vec<bool> = self.marks.iter().map(|mark| *mark != 0).collect();
        let mut todo: Vec<u32> = (0..self.len() as u32)
            .filter(|state| live[*state as usize])
            .collect();
        let predecessors = self.predecessors();
        while let Some(state) = todo.pop() {
            for &before in &predecessors[state as usize] {
                if !live[before as usize] {
                    live[before as usize] = true;
                    todo.push(before);
                }
            }
        }
        live
    }

    /// Merges states that are equal from here to the end, for those that lead into no cycle but their own loop, and
    /// tells whether that was all of them. For sets of literals and prefixes it is, and it takes linear time.
    fn merge_tails(&self, live: &[bool]) -> (Vec<u32>, bool) {
        let predecessors = self.predecessors();
        let mut class: Vec<u32> = (0..self.len() as u32).collect();
        let mut open: Vec<usize> = (0..self.len() as u32)
            .map(|state| {
                self.arcs(state)
                    .iter()
                    .filter(|arc| arc.to != state && live[arc.to as usize])
                    .count()
            })
            .collect();
        let is_ready =
            |state: &u32, open: &[usize]| live[*state as usize] && open[*state as usize] == 0;
        let mut todo: Vec<u32> = (0..self.len() as u32)
            .filter(|state| is_ready(state, &open))
            .collect();
        let mut tails = Tails::default();
        let mut merged = 0;
        while let Some(state) = todo.pop() {
            merged += 1;
            let arcs = self.arcs(state).iter().filter(|arc| live[arc.to as usize]);
            let tail = arcs.map(|arc| Arc {
                to: if arc.to == state {
                    NOWHERE
                } else {
                    class[arc.to as usize]
                },
                ..*arc
            });
            class[state as usize] = tails.place(state, self.mark(state), joined(tail));
            for &before in predecessors[state as usize]
                .iter()
                .filter(|before| **before != state)
            {
                let arcs = self
                    .arcs(before)
                    .iter()
                    .filter(|arc| arc.to == state)
                    .count();
                open[before as usize] -= arcs;
                if is_ready(&before, &open) {
                    todo.push(before);
                }
            }
        }
        (class, merged == live.iter().filter(|live| **live).count())
    }

    /// Moore's partition refinement: the classes of states that no string tells apart.
    fn refine(&self) -> Vec<u32> {
        let mut class: Vec<u32> = self.marks.clone();
        let mut count = 0;
        loop {
            let mut known: HashMap<(u32, Vec<Arc>), u32> = HashMap::new();
            let next: Vec<u32> = (0..self.len() as u32)
                .map(|state| {
                    let tail = self.arcs(state).iter().map(|arc| Arc {
                        to: class[arc.to as usize],
                        ..*arc
                    });
                    let fresh = known.len() as u32;
                    *known
                        .entry((class[state as usize], joined(tail)))
                        .or_insert(fresh)
                })
                .collect();
            class = next;
            if known.len() == count {
                return class;
            }
            count = known.len();
        }
    }

    /// One state per class, reachable ones only, dead ones dropped.
    fn quotient(&self, class: &[u32], live: &[bool]) -> Self {
        let mut number: HashMap<u32, u32> = HashMap::new();
        let mut order = vec![0_u32];
        let mut states = Vec::new();
        number.insert(class.first().copied().unwrap_or(0), 0);
        while let Some(&state) = order.get(states.len()) {
            let mut arcs = Vec::new();
            for arc in self.arcs(state).iter().filter(|arc| live[arc.to as usize]) {
                let fresh = order.len() as u32;
                let to = *number.entry(class[arc.to as usize]).or_insert(fresh);
                if to == fresh {
                    order.push(arc.to);
                }
                arcs.push(Arc { to, ..*arc });
            }
            states.push((arcs, self.mark(state)));
        }
        Self::of_states(states)
    }
}

/// States by what follows them; an arc to [`NOWHERE`] is a loop.
#[derive(Default)]
struct Tails {
    known: HashMap<(u32, Vec<Arc>), u32>,
}

impl Tails {
    /// The first state that was placed with the same mark and tail: `state` itself when it is the first.
    fn place(&mut self, state: u32, mark: u32, tail: Vec<Arc>) -> u32 {
        // A state that leads to a looping twin of itself, as the first star of `**` does.
        for target in tail.iter().map(|arc| arc.to).filter(|to| *to != NOWHERE) {
            let looped = tail.iter().map(|arc| Arc {
                to: if arc.to == target { NOWHERE } else { arc.to },
                ..*arc
            });
            if self.known.get(&(mark, joined(looped))) == Some(&target) {
                return target;
            }
        }
        *self.known.entry((mark, tail)).or_insert(state)
    }
}

/// Arcs with equal targets joined where they touch.
fn joined(arcs: impl Iterator<Item = Arc>) -> Vec<Arc> {
    let mut joined: Vec<Arc> = Vec::new();
    for arc in arcs {
        match joined.last_mut() {
            Some(last) if last.to == arc.to && last.hi + 1 == arc.lo => last.hi = arc.hi,
            _ => joined.push(arc),
        }
    }
    joined
}

/// Walks two sorted lists of arcs together: every stretch of symbols on which both are constant, with the two targets
/// ([`NOWHERE`] in a gap). Stretches that lead nowhere in both are left out.
pub(super) fn together(left: &[Arc], right: &[Arc], mut visit: impl FnMut(u32, u32, u32, u32)) {
    let (mut l, mut r, mut at) = (0, 0, 0);
    while l < left.len() || r < right.len() {
        let (left_to, left_until) = ahead(left.get(l), at);
        let (right_to, right_until) = ahead(right.get(r), at);
        let until = left_until.min(right_until);
        if left_to != NOWHERE || right_to != NOWHERE {
            visit(at, until, left_to, right_to);
        }
        l += usize::from(left.get(l).is_some_and(|arc| arc.hi == until));
        r += usize::from(right.get(r).is_some_and(|arc| arc.hi == until));
        at = until + 1;
    }
}

/// Where the symbol `at` leads by the next arc, and the last symbol for which that stays so.
fn ahead(arc: Option<&Arc>, at: u32) -> (u32, u32) {
    match arc {
        Some(arc) if arc.lo <= at => (arc.to, arc.hi),
        Some(arc) => (NOWHERE, arc.lo - 1),
        None => (NOWHERE, LAST),
    }
}
