//! Patterns over text: `*` and `?` wildcards as Lucene reads them.
//!
//! Matching is done by finite automata whose size is bounded, so no pattern makes it more than linear in the text.

use regex::{Regex, RegexBuilder};

use super::fault::Fault;

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 4_096;
/// Largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// Compiles a wildcard: `*` any run, `?` one character, `\` takes the next as it is.
///
/// # Errors
/// A pattern that is too long or too complex.
pub fn wildcard(pattern: &str, ignore_case: bool) -> Result<Regex, Fault> {
    let refused = || Fault::refused("the wildcard is too long or too complex to be searched for");
    if pattern.len() > MAX_PATTERN {
        return Err(refused());
    }
    let mut expression = String::from("^");
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        match character {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '\\' => expression.push_str(&regex::escape(&rest.next().unwrap_or('\\').to_string())),
            other => expression.push_str(&regex::escape(&other.to_string())),
        }
    }
    expression.push('$');
    let compiled = RegexBuilder::new(&expression)
        .case_insensitive(ignore_case)
        .dot_matches_new_line(true)
        .size_limit(MAX_COMPILED)
        .build();
    compiled.map_err(|_| refused())
}

/// Whether a name fits a pattern where only `*` is special.
pub fn is_simple_match(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
