//! What can be wrong with a template.

/// Why a template can't be read or written out. The texts are for whoever wrote the template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{{` without its `}}`.
    #[error("Improperly closed variable")]
    Unclosed,
    /// A section that is never closed.
    #[error("Failed to close '{0}' tag")]
    OpenSection(String),
    /// The end of a section that was not opened.
    #[error("Mismatched start/end tags: {open} != {close}")]
    Mismatched {
        /// The section that is open; empty if none is.
        open: String,
        /// The end that was found.
        close: String,
    },
    /// `toJson` or `join` around anything but one name.
    #[error("Mustache function [{0}] must contain one and only one identifier")]
    OneIdentifier(&'static str),
    /// Something this dialect doesn't have, such as a partial.
    #[error("Template uses [{0}], which is not supported")]
    Unsupported(&'static str),
    /// The template, its nesting, or what it writes is too much.
    #[error("Template is too long or too deeply nested")]
    TooLong,
}
