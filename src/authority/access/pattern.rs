//! The pattern language of roles: text in, `Expr` out.
//!
//! `*` is any run of characters, `?` any one, `\` takes the next one literally, and `/…/` is a Lucene regular
//! expression, which `regex` reads. Nothing here knows automata; a new kind of pattern is one more arm in
//! `parse`.

use super::budget::{Budget, TooComplex};
use super::charset::CharSet;
use super::regex;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The pattern starts like a regular expression and does not end like one.
    #[error(
        "invalid pattern [{0}]. patterns starting with '/' indicate regular expression pattern and therefore must \
         also end with '/'. other patterns (those that do not start with '/') will be treated as simple wildcard \
         patterns"
    )]
    Unterminated(String),
    /// The regular expression is malformed; the text says what was expected and where.
    #[error("{0}")]
    Syntax(String),
    /// The pattern, or the set of patterns, would need more states than we are willing to keep.
    #[error("the set of patterns [{0}] is too complex to evaluate")]
    TooComplex(String),
}

impl PatternError {
    /// [`PatternError::TooComplex`] with the patterns in question, cut to what fits a message.
    pub(super) fn too_complex<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = String::new();
        for pattern in patterns {
            if !text.is_empty() {
                text.push(',');
            }
            text.extend(pattern.chars().take(82));
            if text.chars().count() > 80 {
                text = text.chars().take(80).collect::<String>() + "...";
                break;
            }
        }
        Self::TooComplex(text)
    }
}

/// A language, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    /// No string at all.
    Never,
    /// Any string, also the empty one.
    Anything,
    /// One character of a set.
    Chars(CharSet),
    /// Exactly this text.
    Text(String),
    /// One after the other; the empty list is the empty string.
    Sequence(Vec<Self>),
    /// One of them.
    Either(Vec<Self>),
    /// Strings that are in all of them.
    All(Vec<Self>),
    /// Strings that are not in it.
    Not(Box<Self>),
    /// Between `min` and `max` times; no `max` is no bound.
    Repeat {
        of: Box<Self>,
        min: u32,
        max: Option<u32>,
    },
}

impl Expr {
    /// Exactly this text.
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Strings of one that are not strings of the other.
    pub(super) fn except(self, other: Self) -> Self {
        Self::All(vec![self, Self::Not(Box::new(other))])
    }
}

/// Reads one pattern.
///
/// # Errors
/// A `/` without its partner, or a malformed regular expression, with the words Elasticsearch uses;
/// [`PatternError::TooComplex`] when the budget is used up.
pub(super) fn parse(pattern: &str, budget: &Budget) -> Result<Expr, PatternError> {
    match pattern.strip_prefix('/') {
        Some(rest) => {
            let inner = rest
                .strip_suffix('/')
                .ok_or_else(|| PatternError::Unterminated(pattern.into()))?;
            regex::parse(inner, budget)
        }
        None => match budget.spend(pattern.len()) {
            Ok(()) => Ok(wildcard(pattern)),
            Err(TooComplex) => Err(PatternError::too_complex([pattern])),
        },
    }
}

/// Whether the text is a regular expression in the sense of [`parse`].
pub(super) fn is_regex(pattern: &str) -> bool {
    pattern.len() > 1 && pattern.starts_with('/') && pattern.ends_with('/')
}

/// A pattern as a question, sorted by how much work it is.
pub(super) enum Shape<'a> {
    /// No operator at all: one string.
    Literal(&'a str),
    /// A literal followed by one `*`.
    Prefix(&'a str),
    /// Anything else.
    Other,
}

/// Sorts a pattern by how much work it is.
pub(super) fn shape(pattern: &str) -> Shape<'_> {
    if pattern.starts_with('/') {
        return Shape::Other;
    }
    match pattern.find(['*', '?', '\\']) {
        None => Shape::Literal(pattern),
        Some(at) if at + 1 == pattern.len() && pattern.ends_with('*') => {
            Shape::Prefix(&pattern[..at])
        }
        Some(_) => Shape::Other,
    }
}

fn wildcard(pattern: &str) -> Expr {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let operator = match character {
            '*' => Expr::Anything,
            '?' => Expr::Chars(CharSet::any()),
            other => {
                literal.push(match other {
                    // A trailing backslash stands for itself.
                    '\\' => characters.next().unwrap_or('\\'),
                    other => other,
                });
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(Expr::Text(std::mem::take(&mut literal)));
        }
        parts.push(operator);
    }
    if !literal.is_empty() {
        parts.push(Expr::Text(literal));
    }
    Expr::Sequence(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_slash_is_refused_in_elasticsearchs_words() {
        for pattern in ["/", "/abc"] {
            let error = parse(pattern, &Budget::for_roles()).expect_err("no closing slash");
            assert_eq!(
                error.to_string(),
                format!(
                    "invalid pattern [{pattern}]. patterns starting with '/' indicate regular expression pattern and \
                     therefore must also end with '/'. other patterns (those that do not start with '/') will be \
                     treated as simple wildcard patterns"
                )
            );
        }
    }

    #[test]
    fn shapes_tell_cheap_questions_from_the_rest() {
        assert!(matches!(shape("logs-1"), Shape::Literal("logs-1")));
        assert!(matches!(shape("logs-*"), Shape::Prefix("logs-")));
        assert!(matches!(shape("*"), Shape::Prefix("")));
        for pattern in ["a*b", "a?", "a\\*", "/a/", "**", "a\\"] {
            assert!(matches!(shape(pattern), Shape::Other), "{pattern}");
        }
    }

    #[test]
    fn a_long_set_of_patterns_is_cut_in_the_message() {
        let error = PatternError::too_complex(std::iter::repeat_n("aaaaaaaaaa", 100));
        assert!(error.to_string().len() < 140);
    }
}
