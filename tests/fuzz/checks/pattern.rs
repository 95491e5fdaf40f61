//! Index and application name patterns, `/regular expressions/` included: every line but the last is a pattern, the last a name.
//! Building ends within its budget, and the automaton's algebra is that of sets.

use sidegate::authority::access::automaton::Automaton;

/// Any bytes that are text.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some((patterns, name)) = text.rsplit_once('\n') else {
        return;
    };
    let patterns: Vec<&str> = patterns.split('\n').collect();
    let Ok(all) = Automaton::of_patterns(patterns.iter().copied()) else {
        return;
    };
    let one = patterns
        .iter()
        .filter_map(|pattern| Automaton::of_pattern(pattern).ok())
        .any(|automaton| automaton.matches(name));
    assert_eq!(all.matches(name), one);
    // The complement may be too large to build.
    if let Some(others) = all.complement() {
        assert_ne!(others.matches(name), one);
    }
    // What is too large to compare counts as no subset.
    if all.states() < 100 {
        assert!(all.is_subset_of(&all));
    }
}
