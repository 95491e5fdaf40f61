//! Deterministic automata: states, arcs over ranges of symbols, and a mark per state.
//!
//! State 0 is the start. A symbol without an arc leads nowhere, where nothing is accepted. A mark of 0 says "nothing
//! ends here"; what other marks mean is the owner's business, so the same machine serves plain languages (mark 1) and
//! many languages at once (a mark per set of languages).

use std::collections::HashMap;

use super::budget::{Budget, TooComplex};
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

    /// For each state, the states that lead to it, with the number of arcs that do.
    pub(super) fn predecessors(&self) -> Vec<Vec<(u32, u32)>> {
        let mut from = vec![Vec::new(); self.len()];
        for state in 0..self.len() as u32 {
            for arc in self.arcs(state) {
                let list: &mut Vec<(u32, u32)> = &mut from[arc.to as usize];
                match list.last_mut() {
                    Some((last, arcs)) if *last == state => *arcs += 1,
                    _ => list.push((state, 1)),
                }
            }
        }
        from
    }

    /// What looking at every state and arc costs.
    pub(super) fn size(&self) -> usize {
        self.marks.len() + self.arcs.len()
    }

    /// Visits where the symbols of a range lead, stretch by stretch, [`NOWHERE`] included. Returns how many there were.
    pub(super) fn targets(
        &self,
        state: u32,
        lo: u32,
        hi: u32,
        mut visit: impl FnMut(u32),
    ) -> usize {
        let arcs = self.arcs(state);
        let first = arcs.partition_point(|arc| arc.hi < lo);
        let (mut next, mut seen) = (lo, 0);
        for arc in arcs[first..].iter().take_while(|arc| arc.lo <= hi) {
            if arc.lo > next {
                visit(NOWHERE);
                seen += 1;
            }
            visit(arc.to);
            seen += 1;
            next = arc.hi + 1;
        }
        if next <= hi {
            visit(NOWHERE);
            seen += 1;
        }
        seen
    }

    /// Whether all states whose mark is not 0 are out of reach.
    pub(super) fn accepts_nothing(&self) -> bool {
        self.marks.iter().all(|mark| *mark == 0)
    }

    /// The smallest automaton that marks every string alike. Useless states go as well.
    ///
    /// # Errors
    /// [`TooComplex`] when the budget is used up.
    pub(super) fn minimised(&self, budget: &Budget) -> Result<Self, TooComplex> {
        budget.spend(self.size())?;
        let live = self.live();
        let (class, complete) = self.merge_tails(&live);
        let merged = self.quotient(&class, &live);
        if complete {
            return Ok(merged);
        }
        let live = vec![true; merged.len()];
        Ok(merged.quotient(&merged.refine(budget)?, &live))
    }

    /// States from which some mark can be reached.
    fn live(&self) -> Vec<bool> {
        let mut live: Vec<bool> = self.marks.iter().map(|mark| *mark != 0).collect();
        let mut todo: Vec<u32> = (0..self.len() as u32)
            .filter(|state| live[*state as usize])
            .collect();
        let predecessors = self.predecessors();
        while let Some(state) = todo.pop() {
            for &(before, _) in &predecessors[state as usize] {
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
            for &(before, arcs) in predecessors[state as usize]
                .iter()
                .filter(|(before, _)| *before != state)
            {
                open[before as usize] -= arcs as usize;
                if is_ready(&before, &open) {
                    todo.push(before);
                }
            }
        }
        (class, merged == live.iter().filter(|live| **live).count())
    }

    /// Hopcroft's partition refinement: the classes of states that no string tells apart. States are split by the symbols
    /// that lead them into one class; of the parts only the smaller ones split others in turn, so no arc is looked at more
    /// often than the logarithm of the number of states.
    fn refine(&self, budget: &Budget) -> Result<Vec<u32>, TooComplex> {
        let mut entering: Vec<Vec<Arc>> = vec![Vec::new(); self.len()];
        for state in 0..self.len() as u32 {
            for arc in self.arcs(state) {
                // Here `to` is where the arc comes from.
                entering[arc.to as usize].push(Arc { to: state, ..*arc });
            }
        }
        let mut classes = Classes::of_marks(&self.marks);
        while let Some(splitter) = classes.waiting.pop() {
            classes.waits[splitter as usize] = false;
            let members = classes.members(splitter);
            let cost = members
                .iter()
                .map(|state| entering[*state as usize].len() + 1);
            budget.spend(cost.sum())?;
            let mut arcs: Vec<Arc> = members
                .iter()
                .flat_map(|state| entering[*state as usize].iter().copied())
                .collect();
            arcs.sort_unstable_by_key(|arc| (arc.to, arc.lo));
            classes.split(&arcs);
        }
        Ok(classes.of)
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

/// A partition of states, and the classes that others are still to be split by.
struct Classes {
    /// Class of each state.
    of: Vec<u32>,
    /// The states, those of a class side by side.
    order: Vec<u32>,
    /// Where each state stands in `order`.
    place: Vec<usize>,
    /// Where each class stands in `order`.
    bounds: Vec<(usize, usize)>,
    waiting: Vec<u32>,
    waits: Vec<bool>,
}

impl Classes {
    fn of_marks(marks: &[u32]) -> Self {
        let mut order: Vec<u32> = (0..marks.len() as u32).collect();
        order.sort_unstable_by_key(|state| marks[*state as usize]);
        let mut classes = Self {
            of: vec![0; marks.len()],
            place: vec![0; marks.len()],
            bounds: Vec::new(),
            waiting: Vec::new(),
            waits: Vec::new(),
            order,
        };
        let mut last = None;
        for at in 0..classes.order.len() {
            let state = classes.order[at] as usize;
            if last != Some(marks[state]) {
                last = Some(marks[state]);
                classes.open(at, at);
            }
            let class = classes.bounds.len() - 1;
            classes.of[state] = class as u32;
            classes.place[state] = at;
            classes.bounds[class].1 = at + 1;
        }
        // All of them: what leads into none of the classes leads nowhere, which is one more class.
        for class in 0..classes.bounds.len() as u32 {
            classes.wait_for(class);
        }
        classes
    }

    fn open(&mut self, from: usize, to: usize) -> u32 {
        self.bounds.push((from, to));
        self.waits.push(false);
        self.bounds.len() as u32 - 1
    }

    fn wait_for(&mut self, class: u32) {
        if !std::mem::replace(&mut self.waits[class as usize], true) {
            self.waiting.push(class);
        }
    }

    fn members(&self, class: u32) -> &[u32] {
        let (from, to) = self.bounds[class as usize];
        &self.order[from..to]
    }

    /// Splits every class by the arcs of its states into one other class, given as (symbols, state), sorted by state.
    fn split(&mut self, arcs: &[Arc]) {
        let mut parts: HashMap<(u32, Vec<Arc>), Vec<u32>> = HashMap::new();
        for of_state in arcs.chunk_by(|one, other| one.to == other.to) {
            let state = of_state[0].to;
            let symbols = joined(of_state.iter().map(|arc| Arc { to: 0, ..*arc }));
            parts
                .entry((self.of[state as usize], symbols))
                .or_default()
                .push(state);
        }
        let mut by_class: HashMap<u32, Vec<Vec<u32>>> = HashMap::new();
        for ((class, _), states) in parts {
            by_class.entry(class).or_default().push(states);
        }
        for (class, mut parts) in by_class {
            let (from, to) = self.bounds[class as usize];
            let touched: usize = parts.iter().map(Vec::len).sum();
            if touched == to - from {
                // Somebody must keep the old number.
                parts.pop();
            }
            if !parts.is_empty() {
                self.split_off(class, parts);
            }
        }
    }

    /// Makes classes of some parts of a class; the rest keeps its number.
    fn split_off(&mut self, class: u32, parts: Vec<Vec<u32>>) {
        let mut all = vec![class];
        for part in parts {
            let (from, to) = self.bounds[class as usize];
            let fresh = self.open(from, from + part.len());
            for (offset, state) in part.into_iter().enumerate() {
                self.swap(self.place[state as usize], from + offset);
                self.of[state as usize] = fresh;
            }
            self.bounds[class as usize] = (self.bounds[fresh as usize].1, to);
            all.push(fresh);
        }
        if !self.waits[class as usize] {
            let size = |class: &u32| self.members(*class).len();
            let largest = all.iter().copied().max_by_key(size);
            all.retain(|class| Some(*class) != largest);
        }
        for class in all {
            self.wait_for(class);
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.order.swap(one, other);
        self.place[self.order[one] as usize] = one;
        self.place[self.order[other] as usize] = other;
    }
}

/// Targets of one state that are looked at as possible twins of itself.
const FEW: usize = 8;

/// States by what follows them; an arc to [`NOWHERE`] is a loop.
#[derive(Default)]
struct Tails {
    known: HashMap<(u32, Vec<Arc>), u32>,
}

impl Tails {
    /// The first state that was placed with the same mark and tail: `state` itself when it is the first.
    fn place(&mut self, state: u32, mark: u32, tail: Vec<Arc>) -> u32 {
        // A state that leads to a looping twin of itself, as the first star of `**` does.
        let mut targets: Vec<u32> = tail.iter().map(|arc| arc.to).collect();
        targets.retain(|to| *to != NOWHERE);
        targets.dedup();
        // A state with many ways on has none such in practice, and to look at each way for each would take long.
        targets.truncate(FEW);
        for target in targets {
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
