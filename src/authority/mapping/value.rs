//! The values of a rule, and how they compare with what is known about a user.

use serde_json::Value;

use super::dn::Dn;
use crate::authority::access::automaton::Automaton;
use crate::authority::access::budget::Budget;
use crate::authority::access::pattern::PatternError;

/// A value a rule's field is compared with.
#[derive(Clone, Debug)]
pub(super) enum FieldValue {
    /// Nothing: matches what a user lacks.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Number(i64),
    /// Exactly this text.
    Text(String),
    /// A wildcard or `/regular expression/`: as written, and compiled.
    Pattern(String, Automaton),
}

impl FieldValue {
    /// A text, or the pattern it is.
    ///
    /// # Errors
    /// A malformed pattern, or one that is too complex.
    pub(super) fn text(text: String, budget: &Budget) -> Result<Self, PatternError> {
        let is_regex = text.len() > 1 && text.starts_with('/') && text.ends_with('/');
        if is_regex || text.contains(['*', '?']) {
            let automaton = Automaton::of_patterns_within([text.as_str()], budget)?;
            return Ok(Self::Pattern(text, automaton));
        }
        Ok(Self::Text(text))
    }

    /// The value as it was written.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => (*value).into(),
            Self::Number(value) => (*value).into(),
            Self::Text(text) | Self::Pattern(text, _) => text.as_str().into(),
        }
    }

    /// States of its automaton: what it costs to keep.
    pub(super) fn states(&self) -> usize {
        match self {
            Self::Pattern(_, automaton) => automaton.states(),
            _ => 1,
        }
    }

    /// Compares with a user name, a realm or metadata. Of a list one element is enough; an object matches nothing.
    pub(super) fn matches(&self, known: &Value) -> bool {
        match (known, self) {
            (Value::Array(items), _) => items.iter().any(|item| self.matches(item)),
            (Value::Null, Self::Null) => true,
            (Value::Bool(known), Self::Boolean(value)) => known == value,
            (Value::Number(known), Self::Number(value)) => match known.as_i64() {
                Some(known) => known == *value,
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a floating number is compared as one"
                )]
                None => known.as_f64() == Some(*value as f64),
            },
            (Value::String(known), _) => self.matches_text(known),
            _ => false,
        }
    }

    /// Compares with a text, with its case.
    pub(super) fn matches_text(&self, known: &str) -> bool {
        match self {
            Self::Text(text) => text == known,
            Self::Pattern(_, automaton) => automaton.matches(known),
            Self::Null | Self::Boolean(_) | Self::Number(_) => false,
        }
    }

    /// Compares with a distinguished name or a group.
    pub(super) fn matches_name(&self, known: &str) -> bool {
        match self {
            Self::Text(text) => {
                text.to_lowercase() == known.to_lowercase()
                    || match (Dn::parse(known), Dn::parse(text)) {
                        (Some(known), Some(asked)) => known == asked,
                        (Some(known), None) => known.normalised() == text.to_lowercase(),
                        (None, _) => false,
                    }
            }
            Self::Pattern(text, automaton) => {
                let normal = Dn::parse(known);
                automaton.matches(known)
                    || normal
                        .as_ref()
                        .is_some_and(|dn| automaton.matches(&dn.normalised()))
                    || automaton.matches(&known.to_lowercase())
                    || automaton.matches(&known.to_uppercase())
                    || normal.is_some_and(|dn| is_in_subtree(&dn, text))
            }
            Self::Null | Self::Boolean(_) | Self::Number(_) => false,
        }
    }
}

/// `*,dc=example,dc=com` stands for everything below that name, however it is written.
fn is_in_subtree(dn: &Dn, pattern: &str) -> bool {
    let base = pattern
        .strip_prefix("*,")
        .filter(|base| !base.contains('*'));
    base.and_then(Dn::parse)
        .is_some_and(|base| dn.is_below(&base))
}
