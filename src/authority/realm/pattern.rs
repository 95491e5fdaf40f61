//! Operators' regular expressions over claims and certificate subjects: linear in the text, bounded in size.

use regex::Regex;

/// Why a regular expression can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no regular expression that can be used")]
pub struct PatternError(String);

/// Compiles one, within bounds.
///
/// # Errors
/// [`PatternError`].
pub fn compile(pattern: &str) -> Result<Regex, PatternError> {
    let built = regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build();
    built.map_err(|_| PatternError(pattern.to_owned()))
}

/// What the first group of the pattern takes of a text, unless that is nothing.
pub fn first_group<'t>(pattern: &Regex, text: &'t str) -> Option<&'t str> {
    let group = pattern.captures(text)?.get(1)?.as_str();
    Some(group).filter(|group| !group.is_empty())
}
