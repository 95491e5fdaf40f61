//! Mustache templates, in the dialect Elasticsearch runs: variables, sections, inverted sections, comments, changed
//! delimiters, and the functions `toJson`, `join` and `url`.
//!
//! A template is read once ([`Template::compile`]) and rendered often. Always true: rendering ends, since its steps and its
//! output are counted; a missing variable is the empty text. There are no partials and no code. Blank lines around a section
//! stay as they are. A new function is a node in `parse` and an arm in `render`.

pub mod error;

mod parse;
mod render;

use error::TemplateError;
use parse::Node;
use serde_json::Value;

/// How variables are written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// As the inside of a JSON string, the default.
    #[default]
    Json,
    /// As they are.
    Nothing,
    /// As form data (`a+b%2F`).
    Form,
}

/// A template, read.
#[derive(Clone, Debug)]
pub struct Template {
    nodes: Vec<Node>,
    escape: Escape,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn compile(text: &str, escape: Escape) -> Result<Self, TemplateError> {
        let nodes = parse::parse(text)?;
        Ok(Self { nodes, escape })
    }

    /// Writes the template out with the variables of `model`, an object. A dotted name is looked for as one key first.
    ///
    /// # Errors
    /// [`TemplateError::TooLong`] when the work or the output grows past its bound.
    pub fn render(&self, model: &Value) -> Result<String, TemplateError> {
        let escape: fn(&str) -> String = match self.escape {
            Escape::Json => render::escape_json,
            Escape::Nothing => str::to_owned,
            Escape::Form => render::escape_form,
        };
        render::render(&self.nodes, model, escape)
    }
}

#[cfg(test)]
mod tests;
