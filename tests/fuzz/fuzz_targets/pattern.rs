//! Index and application name patterns, `/regular expressions/` included: every line but the last is a pattern, the last a name.
//! Building ends within its budget, and the automaton's algebra is that of sets.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidegate::authority::access::automaton::Automaton;

fuzz_target!(|text: &str| {
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
    assert_ne!(all.complement().matches(name), one);
    assert!(all.is_subset_of(&all));
});
