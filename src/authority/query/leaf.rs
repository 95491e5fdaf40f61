//! What is asked about one field.

use std::collections::HashSet;
use std::ops::{Bound, RangeInclusive};

use regex::Regex;

use super::analysis;
use super::budget::Budget;
use super::datum::{Datum, Document};
use super::schema::{Field, Kind};

/// A field and the question about it. Any value of the field may answer it.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The field.
    pub field: Field,
    /// The question.
    pub test: Test,
}

/// A question about a value. Which ones a field can be asked depends on its kind; the parsers see to it.
#[derive(Clone, Debug)]
pub enum Test {
    /// Nothing fits.
    Nothing,
    /// Anything fits.
    Exists,
    /// One of these texts.
    OneOf(HashSet<String>),
    /// One of these lower-case texts, whatever the case.
    OneOfFolded(HashSet<String>),
    /// Starts with this text; when folded, a lower-case text and whatever the case.
    Prefix {
        /// The text.
        prefix: String,
        /// Whatever the case.
        folded: bool,
    },
    /// Fits this pattern as a whole.
    Pattern(Regex),
    /// Lies between these texts, by their bytes.
    Between(Bound<String>, Bound<String>),
    /// Lies in one of these spans of milliseconds.
    Moments(Vec<RangeInclusive<i64>>),
    /// True is fine, false is fine.
    Flags {
        /// True is fine.
        yes: bool,
        /// False is fine.
        no: bool,
    },
    /// Holds at least so many of these words.
    Words(Vec<Word>, usize),
    /// Holds these words one after the other, with at most so many others between.
    Phrase(Vec<String>, usize),
}

/// A word that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub text: String,
    /// How many letters may differ.
    pub distance: usize,
    /// How many letters at the start may not.
    pub fixed: usize,
    /// Whether two letters that changed places differ by one.
    pub transpositions: bool,
}

impl Word {
    /// A word that must be just so.
    pub fn exact(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            distance: 0,
            fixed: 0,
            transpositions: true,
        }
    }

    fn fits(&self, text: &str, budget: &Budget) -> bool {
        if self.distance == 0 {
            return self.text == text;
        }
        budget.spend((self.text.len() + text.len()) / 8);
        let (own, other) = (self.text.chars().count(), text.chars().count());
        // Most words are told apart by their length alone, and what is left is short.
        if own.abs_diff(other) > self.distance || own > 256 {
            return false;
        }
        let is_fixed = self
            .text
            .chars()
            .take(self.fixed)
            .eq(text.chars().take(self.fixed));
        let distance = if self.transpositions {
            strsim::osa_distance
        } else {
            strsim::levenshtein
        };
        if !is_fixed || budget.is_spent() {
            return false;
        }
        // Every letter is compared with every other.
        budget.spend(own * other / 4);
        distance(&self.text, text) <= self.distance
    }
}

impl Leaf {
    /// Whether a value of the document answers the question.
    pub fn matches(&self, document: &impl Document, budget: &Budget) -> bool {
        let mut found = false;
        document.visit(&self.field, &mut |value| {
            if let Datum::Text(text) = &value {
                budget.spend(text.len() / 8);
            }
            budget.spend(1);
            found =
                found || !budget.is_spent() && self.test.accepts(&value, self.field.kind, budget);
        });
        found
    }
}

impl Test {
    fn accepts(&self, value: &Datum<'_>, kind: Kind, budget: &Budget) -> bool {
        match value {
            Datum::Bool(value) => match self {
                Self::Exists => true,
                Self::Flags { yes, no } => {
                    if *value {
                        *yes
                    } else {
                        *no
                    }
                }
                _ => false,
            },
            Datum::Date(value) => match self {
                Self::Exists => true,
                Self::Moments(spans) => spans.iter().any(|span| span.contains(value)),
                _ => false,
            },
            Datum::Text(text) if kind.is_analyzed() => {
                self.accepts_words(&analysis::words(text, kind), budget)
            }
            Datum::Text(text) => self.accepts_text(text, budget),
        }
    }

    /// A text that is one word, or a word of a text.
    fn accepts_text(&self, text: &str, budget: &Budget) -> bool {
        match self {
            Self::Exists => true,
            Self::OneOf(texts) => texts.contains(text),
            Self::OneOfFolded(texts) => texts.contains(&text.to_lowercase()),
            Self::Prefix {
                prefix,
                folded: false,
            } => text.starts_with(prefix.as_str()),
            Self::Prefix {
                prefix,
                folded: true,
            } => text.to_lowercase().starts_with(prefix.as_str()),
            Self::Pattern(pattern) => {
                // Many states may be alive at every byte.
                budget.spend(text.len() * (1 + pattern.as_str().len() / 16) / 8);
                pattern.is_match(text)
            }
            Self::Between(lower, upper) => is_between(text, lower, upper),
            Self::Words(words, minimum) => {
                budget.spend(words.len());
                words.iter().filter(|word| word.fits(text, budget)).count() >= *minimum
            }
            Self::Phrase(words, _) => matches!(words.as_slice(), [word] if word == text),
            Self::Nothing | Self::Moments(_) | Self::Flags { .. } => false,
        }
    }

    fn accepts_words(&self, held: &[String], budget: &Budget) -> bool {
        match self {
            Self::Words(words, minimum) => {
                let found = words.iter().filter(|word| {
                    budget.spend(held.len());
                    !budget.is_spent() && held.iter().any(|held| word.fits(held, budget))
                });
                found.count() >= *minimum
            }
            Self::Phrase(words, slop) => holds_phrase(held, words, *slop, budget),
            other => held.iter().any(|word| other.accepts_text(word, budget)),
        }
    }
}

fn is_between(text: &str, lower: &Bound<String>, upper: &Bound<String>) -> bool {
    let above = match lower {
        Bound::Included(lower) => text >= lower.as_str(),
        Bound::Excluded(lower) => text > lower.as_str(),
        Bound::Unbounded => true,
    };
    above
        && match upper {
            Bound::Included(upper) => text <= upper.as_str(),
            Bound::Excluded(upper) => text < upper.as_str(),
            Bound::Unbounded => true,
        }
}

/// Whether the words stand in this order with at most `slop` others between them.
fn holds_phrase(held: &[String], words: &[String], slop: usize, budget: &Budget) -> bool {
    let Some((first, rest)) = words.split_first() else {
        return false;
    };
    (0..held.len())
        .filter(|at| held[*at] == *first && !budget.is_spent())
        .any(|start| {
            let mut at = start;
            let mut left = slop;
            rest.iter().all(|word| {
                let next = held.iter().skip(at + 1).take(left.saturating_add(1));
                budget.spend(next.len());
                match next.into_iter().position(|held| held == word) {
                    Some(skipped) => {
                        left -= skipped;
                        at += skipped + 1;
                        true
                    }
                    None => false,
                }
            })
        })
}
