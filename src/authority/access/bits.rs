//! Fixed-width sets of small numbers: groups, entries and action classes are counted, so sets of them are words.
//!
//! Two sets that are combined always have the same width; the narrower one of a mismatch reads as "not contained", so
//! a mistake could only take away.

use std::fmt;

/// A set of numbers below the width it was made with.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Bits(Box<[u64]>);

impl Bits {
    /// The empty set with room for `width` numbers.
    pub(super) fn none(width: usize) -> Self {
        Self(vec![0; width.div_ceil(64)].into_boxed_slice())
    }

    /// All numbers below `width`.
    pub(super) fn all(width: usize) -> Self {
        let mut bits = Self::none(width);
        for number in 0..width {
            bits.insert(number);
        }
        bits
    }

    /// Adds a number; one beyond the width is left out.
    pub(super) fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Removes a number.
    pub(super) fn remove(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    /// Whether the number is in the set.
    pub(super) fn contains(&self, number: usize) -> bool {
        self.0
            .get(number / 64)
            .is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// Whether nothing is in the set.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Whether every number of this set is in `other`.
    pub(super) fn is_subset_of(&self, other: &Self) -> bool {
        self.0
            .iter()
            .enumerate()
            .all(|(index, word)| word & !other.0.get(index).copied().unwrap_or(0) == 0)
    }

    /// Whether the two sets share a number.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .any(|(mine, theirs)| mine & theirs != 0)
    }

    /// Keeps only what `other` holds too.
    pub(super) fn intersect(&mut self, other: &Self) {
        for (index, word) in self.0.iter_mut().enumerate() {
            *word &= other.0.get(index).copied().unwrap_or(0);
        }
    }

    /// Adds everything `other` holds.
    pub(super) fn unite(&mut self, other: &Self) {
        for (word, theirs) in self.0.iter_mut().zip(&other.0) {
            *word |= theirs;
        }
    }

    /// The numbers of the set, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                if bit == 64 {
                    return None;
                }
                rest &= rest - 1;
                Some(index * 64 + bit)
            })
        })
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let mut bits = Bits::none(130);
        bits.insert(0);
        bits.insert(64);
        bits.insert(129);
        bits.insert(4096);
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 64, 129]);
        bits.remove(64);
        assert!(!bits.contains(64) && bits.contains(129));
    }

    #[test]
    fn subset_and_meeting_follow_the_numbers() {
        let mut few = Bits::none(70);
        few.insert(69);
        let all = Bits::all(70);
        assert!(few.is_subset_of(&all) && !all.is_subset_of(&few) && few.meets(&all));
        assert!(!Bits::none(70).meets(&all) && Bits::none(70).is_subset_of(&few));
    }
}
