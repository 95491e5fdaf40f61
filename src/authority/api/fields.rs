//! Reading an object whose fields are plain texts and lists of texts, as the single sign-on endpoints have.

use crate::authority::body::Grammar;
use crate::authority::call::Call;
use crate::authority::failure::Failure;

/// What a field may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A string or `null`.
    OptionalText,
    /// A string or an array of strings.
    Texts,
}

/// The fields of a body.
#[derive(Debug, Default)]
pub struct Fields {
    texts: Vec<(&'static str, String)>,
    lists: Vec<(&'static str, Vec<String>)>,
}

impl Fields {
    /// Reads the body of `call` by the parser named `parser`.
    ///
    /// # Errors
    /// No body, an unknown field, a value of another type.
    pub fn read(
        call: &Call,
        parser: &'static str,
        known: &[(&'static str, Kind)],
    ) -> Result<Self, Failure> {
        let object = call.object(Grammar::Strict(parser))?;
        let mut fields = Self::default();
        for field in object.fields() {
            let Some((name, kind)) = known.iter().find(|(name, _)| *name == field.name) else {
                return Err(field.unknown());
            };
            match kind {
                Kind::Text => fields.texts.push((name, field.string()?)),
                Kind::OptionalText => {
                    if let Some(text) = field.optional_string()? {
                        fields.texts.push((name, text));
                    }
                }
                Kind::Texts => fields.lists.push((name, field.strings()?)),
            }
        }
        Ok(fields)
    }

    /// A text, as sent.
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut texts = self.texts.iter();
        texts
            .find(|(known, _)| *known == name)
            .map(|(_, text)| text.as_str())
    }

    /// A text that is more than blanks.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.trim().is_empty())
    }

    /// A text as Java prints a field that may be null.
    pub fn printed(&self, name: &str) -> &str {
        self.text(name).unwrap_or("null")
    }

    /// A list; empty when absent.
    pub fn list(&self, name: &str) -> &[String] {
        let mut lists = self.lists.iter();
        lists
            .find(|(known, _)| *known == name)
            .map_or(&[], |(_, list)| list)
    }
}
