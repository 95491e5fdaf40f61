//! Many languages in one automaton: which of them hold a name, and which hold every name of a pattern.
//!
//! This is why a check costs the same for 3 roles and for 300: a name walks the automaton once, whatever the number of
//! languages, and its last state carries the set of languages that hold it. For "every name that starts so" each state
//! also knows the languages that hold everything from there on.
//!
//! Patterns that blow up together are kept in several automata ([`Shard`]), each small; usually there is one.

use std::collections::{HashMap, HashSet};

use super::bits::Bits;
use super::budget::{Budget, TooComplex};
use super::nfa::Nfa;
use super::pattern::{self, Expr, PatternError, Shape};
use super::shard::{Shard, Walk};

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
                let expr = pattern::parse(pattern, budget)?;
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
    /// A malformed pattern, one language that is too complex on its own, or `whole` used up, from which all that is
    /// built for one caller draws.
    pub(super) fn build(
        languages: &[Language],
        hidden: &[String],
        whole: &Budget,
    ) -> Result<Self, PatternError> {
        let parse = |patterns: &[String]| {
            patterns
                .iter()
                .map(|p| pattern::parse(p, whole))
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
        let mut todo = vec![(0, languages.len())];
        while let Some((from, to)) = todo.pop() {
            let budget = match &languages[from..to] {
                [] | [_] => Budget::for_roles(),
                many => Budget::for_many_roles(many.iter().map(Language::characters).sum()),
            };
            let shard = cover.shard(&parsed, from..to, &hidden, &budget);
            let afforded = whole.spend(budget.spent());
            match shard.and_then(|shard| afforded.map(|()| shard)) {
                Ok(shard) => cover.shards.push(shard),
                Err(TooComplex) if to - from > 1 && afforded.is_ok() => {
                    let middle = from.midpoint(to);
                    todo.extend([(from, middle), (middle, to)]);
                }
                Err(TooComplex) => {
                    let blamed = languages[from..to].iter();
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
        // A set of languages for each meaning.
        budget.spend(meanings.len() * (1 + self.languages / 512))?;
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
        let dfa = dfa
            .remarked(|mark| marks[mark as usize])
            .minimised(budget)?;
        Shard::new(dfa, labels, self.hidden(), budget)
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
        budget.spend(self.shards.len() * (1 + self.languages / 512))?;
        for shard in &self.shards {
            let mut walk = Walk::new(shard, unhidden);
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
            .closure([0])?
            .into_iter()
            .map(|node| (node, vec![0; self.shards.len()]))
            .collect();
        let mut seen: HashSet<(u32, Vec<u32>)> = starts.iter().cloned().collect();
        let mut todo = starts;
        while let Some((node, states)) = todo.pop() {
            budget.spend(states.len() + 1 + nfa.arcs(node).len())?;
            if nfa.accepts(node) {
                budget.spend(states.len() * (1 + self.languages / 512))?;
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
                let nodes = nfa.closure([arc.to])?;
                for states in self.steps(&states, arc.lo, arc.hi, budget)? {
                    budget.spend(nodes.len() * states.len())?;
                    for &node in &nodes {
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
            budget.spend(arcs.len())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn held(cover: &Cover, pattern: &str) -> Vec<usize> {
        let budget = Budget::for_questions();
        let question = Question::parse(pattern, &budget).unwrap();
        let held = cover.of_all(&question, false, &budget).unwrap().unwrap();
        held.iter().collect()
    }

    #[test]
    fn languages_that_blow_up_together_are_several_automata_with_one_answer() {
        let mut languages: Vec<Language> = (0..8)
            .map(|number| Language {
                open: vec![format!("*{number}a{number}?????????")],
                shy: Vec::new(),
            })
            .collect();
        languages.push(Language {
            open: vec!["x*".into()],
            shy: Vec::new(),
        });
        let cover = Cover::build(&languages, &[], &Budget::for_all_roles()).unwrap();
        assert!(cover.shards.len() > 1);
        assert_eq!(held(&cover, "x3a3123456789"), [3, 8]);
        assert_eq!(held(&cover, "x*"), [8]);
        assert_eq!(held(&cover, "x*7a7?????????"), [7, 8]);
        let budget = Budget::for_questions();
        let Question::Names(nfa) = Question::parse("/x.*|.*3a3.{9}/", &budget).unwrap() else {
            panic!("a regular expression is an automaton")
        };
        let each = cover.of_each(&nfa, false, &budget);
        assert!(each.is_err() || each.is_ok_and(|sets| sets.iter().all(|set| !set.is_empty())));
    }

    #[test]
    fn languages_that_get_along_are_one_automaton() {
        let of = |number: usize| Language {
            open: vec![format!("logs-{number}-*"), format!("m{number}")],
            shy: Vec::new(),
        };
        let cover = Cover::build(
            &(0..500).map(of).collect::<Vec<_>>(),
            &[],
            &Budget::for_all_roles(),
        )
        .unwrap();
        assert_eq!(cover.shards.len(), 1);
        assert_eq!(held(&cover, "logs-77-x"), [77]);
        assert_eq!(held(&cover, "m400"), [400]);
    }
}
