//! Many languages in one automaton: which of them hold a name, and which hold every name of a pattern.
//!
//! This is why a check costs the same for 3 roles and for 300: a name walks the automaton once, whatever the number of
//! languages, and its last state carries the set of languages that hold it. For "every name that starts so" each state
//! also knows the languages that hold everything from there on.
//!
//! Patterns that blow up together are kept in several automata ([`Shard`]), each small; usually there is one.

use std::collections::{HashMap, HashSet};

use super::bits::Bits;
use super::dfa::{Dfa, NOWHERE, together};
use super::nfa::{Budget, Nfa, TooComplex};
use super::pattern::{self, Expr, PatternError, Shape};

/// A set of patterns under one number.
#[derive(Clone, Debug, Default)]
pub(super) struct Language {
    /// Names the language holds.
    pub(super) open: Vec<String>,
    /// Names the language holds unless they are hidden.
    pub(super) shy: Vec<String>,
}

impl Language {
    fn characters(&self) -> usize {
        self.open.iter().chain(&self.shy).map(String::len).sum()
    }
}

/// Many languages, and a set of hidden names that only some of them may hold.
#[derive(Debug)]
pub(super) struct Cover {
    shards: Vec<Shard>,
    languages: usize,
}

#[derive(Debug)]
struct Shard {
    dfa: Dfa,
    /// What a mark means: the languages that hold the string, and the bit [`Cover::hidden`].
    labels: Vec<Bits>,
    /// For each state, the languages that hold whatever may follow.
    from_here: PerState,
    /// The same, where hidden names don't count. Everything, also the hidden bit, if only hidden names can follow.
    from_here_unhidden: PerState,
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

/// A pattern asked about.
pub(super) enum Question<'q> {
    /// One name.
    Name(&'q str),
    /// All names with this beginning.
    Prefix(&'q str),
    /// All names of an automaton.
    Names(Nfa<'q>),
}

impl<'q> Question<'q> {
    /// Reads a pattern.
    ///
    /// # Errors
    /// As [`pattern::parse`], and a budget that is used up.
    pub(super) fn parse(pattern: &'q str, budget: &'q Budget) -> Result<Self, PatternError> {
        match pattern::shape(pattern) {
            Shape::Literal(name) => Ok(Self::Name(name)),
            Shape::Prefix(prefix) => Ok(Self::Prefix(prefix)),
            Shape::Other => {
                let expr = pattern::parse(pattern)?;
                let mut nfa = Nfa::new(budget);
                nfa.add(0, &expr)
                    .map_err(|TooComplex| PatternError::too_complex([pattern]))?;
                Ok(Self::Names(nfa))
            }
        }
    }
}

impl Cover {
    /// Compiles languages; `hidden` are patterns whose names only [`Language::open`] holds.
    ///
    /// # Errors
    /// A malformed pattern, or one language that is too complex on its own.
    pub(super) fn build(languages: &[Language], hidden: &[String]) -> Result<Self, PatternError> {
        let parse = |patterns: &[String]| {
            patterns
                .iter()
                .map(|p| pattern::parse(p))
                .collect::<Result<Vec<_>, _>>()
        };
        let hidden = parse(hidden)?;
        let mut parsed = Vec::with_capacity(languages.len());
        for language in languages {
            parsed.push((parse(&language.open)?, parse(&language.shy)?));
        }
        let mut cover = Self {
            shards: Vec::new(),
            languages: languages.len(),
        };
        let mut todo = vec![0..languages.len()];
        while let Some(range) = todo.pop() {
            let budget = match &languages[range.clone()] {
                [] | [_] => Budget::for_roles(),
                many => Budget::for_many_roles(many.iter().map(Language::characters).sum()),
            };
            match cover.shard(&parsed, range.clone(), &hidden, &budget) {
                Ok(shard) => cover.shards.push(shard),
                Err(TooComplex) if range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    todo.extend([range.start..middle, middle..range.end]);
                }
                Err(TooComplex) => {
                    let blamed = languages.get(range.start).into_iter();
                    let patterns =
                        blamed.flat_map(|language| language.open.iter().chain(&language.shy));
                    return Err(PatternError::too_complex(patterns.map(String::as_str)));
                }
            }
        }
        Ok(cover)
    }

    /// The bit of a label that says the name is hidden.
    fn hidden(&self) -> usize {
        self.languages
    }

    fn shard(
        &self,
        languages: &[(Vec<Expr>, Vec<Expr>)],
        range: std::ops::Range<usize>,
        hidden: &[Expr],
        budget: &Budget,
    ) -> Result<Shard, TooComplex> {
        let mut nfa = Nfa::new(budget);
        // In the automaton language n is 2n for its open and 2n+1 for its shy patterns.
        for expr in hidden {
            nfa.add(2 * self.languages as u32, expr)?;
        }
        for number in range {
            let (open, shy) = &languages[number];
            for expr in open {
                nfa.add(2 * number as u32, expr)?;
            }
            for expr in shy {
                nfa.add(2 * number as u32 + 1, expr)?;
            }
        }
        let (dfa, meanings) = nfa.determinise()?;
        let mut labels = vec![Bits::none(self.languages + 1)];
        let mut known: HashMap<Bits, u32> = HashMap::from([(labels[0].clone(), 0)]);
        let marks: Vec<u32> = meanings
            .iter()
            .map(|meaning| {
                let label = self.label(meaning);
                *known.entry(label.clone()).or_insert_with(|| {
                    labels.push(label);
                    labels.len() as u32 - 1
                })
            })
            .collect();
        let dfa = dfa.remarked(|mark| marks[mark as usize]).minimised();
        let from_here = self.whatever_follows(&dfa, &labels, false);
        let from_here_unhidden = self.whatever_follows(&dfa, &labels, true);
        Ok(Shard {
            dfa,
            labels,
            from_here,
            from_here_unhidden,
        })
    }

    fn label(&self, meaning: &[u32]) -> Bits {
        let mut label = Bits::none(self.languages + 1);
        let is_hidden = meaning.last() == Some(&(2 * self.languages as u32));
        for &half in meaning {
            if half % 2 == 0 || !is_hidden {
                label.insert(half as usize / 2);
            }
        }
        label
    }

    /// For each state the intersection of the labels of all states that can be reached from it, itself included.
    fn whatever_follows(&self, dfa: &Dfa, labels: &[Bits], unhidden: bool) -> PerState {
        let none = Bits::none(self.languages + 1);
        let all = Bits::all(self.languages + 1);
        let mut follows: Vec<Bits> = (0..dfa.len() as u32)
            .map(|state| {
                let label = &labels[dfa.mark(state) as usize];
                match label.contains(self.hidden()) {
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
            for &before in &predecessors[state as usize] {
                if !follows[before as usize].is_subset_of(&here) {
                    follows[before as usize].intersect(&here);
                    todo.push(before);
                }
            }
        }
        PerState::new(follows)
    }

    /// The languages that hold this one name.
    pub(super) fn of_name(&self, name: &str) -> Bits {
        let mut cover = Bits::none(self.languages + 1);
        for shard in &self.shards {
            cover.unite(shard.label(shard.dfa.run(name)));
        }
        cover.remove(self.hidden());
        cover
    }

    /// The languages that hold every name of the question. With `unhidden`, hidden names are not asked about; nothing
    /// comes back when no name is left.
    ///
    /// # Errors
    /// [`TooComplex`] when the budget is used up.
    pub(super) fn of_all(
        &self,
        question: &Question<'_>,
        unhidden: bool,
        budget: &Budget,
    ) -> Result<Option<Bits>, TooComplex> {
        let mut cover = Bits::none(self.languages + 1);
        let mut asked = false;
        for shard in &self.shards {
            let mut walk = Walk {
                shard,
                unhidden,
                hidden: self.hidden(),
                held: Bits::all(self.languages + 1),
                asked: false,
            };
            match question {
                Question::Name(name) => walk.meet_state(shard.dfa.run(name)),
                Question::Prefix(prefix) => walk.meet_all_from(shard.dfa.run(prefix)),
                Question::Names(nfa) => walk.follow(nfa, budget)?,
            }
            asked |= walk.asked;
            cover.unite(&walk.held);
        }
        cover.remove(self.hidden());
        Ok(asked.then_some(cover))
    }

    /// The sets of languages that hold the single names of a question, each set once.
    ///
    /// # Errors
    /// [`TooComplex`] when the budget is used up.
    pub(super) fn of_each(
        &self,
        nfa: &Nfa<'_>,
        unhidden: bool,
        budget: &Budget,
    ) -> Result<HashSet<Bits>, TooComplex> {
        let mut found = HashSet::new();
        let starts: Vec<(u32, Vec<u32>)> = nfa
            .closure([0])
            .into_iter()
            .map(|node| (node, vec![0; self.shards.len()]))
            .collect();
        let mut seen: HashSet<(u32, Vec<u32>)> = starts.iter().cloned().collect();
        let mut todo = starts;
        while let Some((node, states)) = todo.pop() {
            budget.spend(states.len() + 1)?;
            if nfa.accepts(node) {
                let mut held = Bits::none(self.languages + 1);
                for (shard, state) in self.shards.iter().zip(&states) {
                    held.unite(shard.label(*state));
                }
                if !(unhidden && held.contains(self.hidden())) {
                    held.remove(self.hidden());
                    found.insert(held);
                }
            }
            for arc in nfa.arcs(node) {
                for states in self.steps(&states, arc.lo, arc.hi, budget)? {
                    for node in nfa.closure([arc.to]) {
                        if seen.insert((node, states.clone())) {
                            todo.push((node, states.clone()));
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    /// Where all shards together can get by one symbol of a range.
    fn steps(
        &self,
        states: &[u32],
        lo: u32,
        hi: u32,
        budget: &Budget,
    ) -> Result<HashSet<Vec<u32>>, TooComplex> {
        let mut cuts = vec![lo];
        for (shard, state) in self.shards.iter().zip(states) {
            let arcs = shard.dfa.arcs(*state).iter();
            cuts.extend(
                arcs.flat_map(|arc| [arc.lo, arc.hi + 1])
                    .filter(|cut| (lo..=hi).contains(cut)),
            );
        }
        cuts.sort_unstable();
        cuts.dedup();
        budget.spend(cuts.len() * self.shards.len())?;
        let step = |cut: &u32| {
            self.shards
                .iter()
                .zip(states)
                .map(|(shard, state)| shard.dfa.step(*state, *cut))
                .collect()
        };
        Ok(cuts.iter().map(step).collect())
    }
}

impl Shard {
    fn label(&self, state: u32) -> &Bits {
        &self.labels[self.dfa.mark(state) as usize]
    }
}

/// One question on its way through one shard.
struct Walk<'s> {
    shard: &'s Shard,
    unhidden: bool,
    hidden: usize,
    /// Languages that held every name met so far.
    held: Bits,
    /// Whether a name was met at all.
    asked: bool,
}

impl<'s> Walk<'s> {
    fn meet_state(&mut self, state: u32) {
        let label = self.shard.label(state);
        if !(self.unhidden && label.contains(self.hidden)) {
            self.held.intersect(label);
            self.asked = true;
        }
    }

    fn meet_all_from(&mut self, state: u32) {
        let Some(held) = self.from(state) else {
            self.held = Bits::none(self.hidden + 1);
            self.asked = true;
            return;
        };
        // The hidden bit is in there only when all that follows is hidden, and then all bits are.
        self.asked |= !(self.unhidden && held.contains(self.hidden));
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

    fn follow(&mut self, nfa: &Nfa<'_>, budget: &Budget) -> Result<(), TooComplex> {
        let mut todo: Vec<(u32, u32)> =
            nfa.closure([0]).into_iter().map(|node| (node, 0)).collect();
        let mut seen: HashSet<(u32, u32)> = todo.iter().copied().collect();
        while let Some((node, state)) = todo.pop() {
            budget.spend(1)?;
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
                let targets = nfa.closure([arc.to]);
                together(&[*arc], self.shard.dfa.arcs(state), |_, _, to, state| {
                    if to == NOWHERE {
                        return;
                    }
                    for &node in &targets {
                        if seen.insert((node, state)) {
                            todo.push((node, state));
                        }
                    }
                });
            }
        }
        Ok(())
    }
}
