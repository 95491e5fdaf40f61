//! The alphabet: Unicode scalar values, numbered without the surrogate gap so that "every character" is one range.

/// The number of a character in the alphabet.
pub(super) fn symbol(character: char) -> u32 {
    let value = u32::from(character);
    if value >= 0xE000 {
        value - 0x800
    } else {
        value
    }
}

/// The last symbol of the alphabet.
pub(super) const LAST: u32 = 0x0010_FFFF - 0x800;

/// A set of symbols as sorted, disjoint, non-adjacent ranges (both ends in).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CharSet(Vec<(u32, u32)>);

impl CharSet {
    /// Every character.
    pub(super) fn any() -> Self {
        Self(vec![(0, LAST)])
    }

    /// One character.
    pub(super) fn one(character: char) -> Self {
        Self::span(character, character)
    }

    /// The characters from `first` to `last`, both in. Empty when `first` is after `last`.
    pub(super) fn span(first: char, last: char) -> Self {
        if first > last {
            Self(Vec::new())
        } else {
            Self(vec![(symbol(first), symbol(last))])
        }
    }

    /// The characters of a text.
    pub(super) fn of(text: &str) -> Self {
        Self::all_of(text.chars().map(Self::one))
    }

    /// This set and another one.
    pub(super) fn with(&self, other: &Self) -> Self {
        Self::all_of([self, other].map(Self::clone))
    }

    /// Everything that is in one of the sets; sorts once, however many there are.
    pub(super) fn all_of(sets: impl IntoIterator<Item = Self>) -> Self {
        let mut ranges: Vec<(u32, u32)> = sets.into_iter().flat_map(|set| set.0).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (lo, hi) in ranges {
            match merged.last_mut() {
                Some(last) if lo <= last.1.saturating_add(1) => last.1 = last.1.max(hi),
                _ => merged.push((lo, hi)),
            }
        }
        Self(merged)
    }

    /// Every character that is not in the set.
    pub(super) fn negated(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.0.len() + 1);
        let mut next = 0;
        for &(lo, hi) in &self.0 {
            if lo > next {
                ranges.push((next, lo - 1));
            }
            next = hi + 1;
        }
        if next <= LAST {
            ranges.push((next, LAST));
        }
        Self(ranges)
    }

    /// The ranges, ascending.
    pub(super) fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negation_twice_is_the_same_set() {
        let set = CharSet::of("a-z\u{10FFFF}\0");
        assert_eq!(set.negated().negated(), set);
        assert!(CharSet::any().negated().ranges().is_empty());
    }

    #[test]
    fn neighbours_across_the_surrogate_gap_are_one_range() {
        let set = CharSet::one('\u{D7FF}').with(&CharSet::one('\u{E000}'));
        assert_eq!(set.ranges().len(), 1);
    }
}
