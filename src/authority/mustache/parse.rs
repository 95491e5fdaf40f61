//! Template text to nodes.

use super::error::TemplateError;

/// Longest template, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Deepest nesting of sections.
const MAX_DEPTH: usize = 32;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Written as it is.
    Text(String),
    /// A variable; `raw`: not escaped.
    Variable { name: String, raw: bool },
    /// Written for each element, or once when there is something.
    Section { name: String, body: Vec<Self> },
    /// Written when there is nothing.
    Inverted { name: String, body: Vec<Self> },
    /// `{{#toJson}}name{{/toJson}}`
    ToJson(String),
    /// `{{#join}}name{{/join}}`, with its delimiter.
    Join { name: String, delimiter: String },
    /// `{{#url}}…{{/url}}`
    Url(Vec<Self>),
}

/// A section whose end has not come yet.
struct Open {
    name: String,
    inverted: bool,
    before: Vec<Node>,
}

struct Parser<'a> {
    rest: &'a str,
    start: String,
    end: String,
    nodes: Vec<Node>,
    open: Vec<Open>,
}

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, TemplateError> {
    if text.len() > MAX_TEXT {
        return Err(TemplateError::TooLong);
    }
    let mut parser = Parser {
        rest: text,
        start: "{{".to_owned(),
        end: "}}".to_owned(),
        nodes: Vec::new(),
        open: Vec::new(),
    };
    while let Some(at) = parser.rest.find(&parser.start) {
        let (before, tag) = parser.rest.split_at(at);
        parser.text(before);
        parser.rest = &tag[parser.start.len()..];
        parser.tag()?;
    }
    let rest = parser.rest;
    parser.text(rest);
    match parser.open.pop() {
        None => Ok(parser.nodes),
        Some(open) => Err(TemplateError::OpenSection(open.name)),
    }
}

impl Parser<'_> {
    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.nodes.push(Node::Text(text.to_owned()));
        }
    }

    /// Takes everything up to `end`, and `end`.
    fn until(&mut self, end: &str) -> Result<String, TemplateError> {
        let (inside, rest) = self.rest.split_once(end).ok_or(TemplateError::Unclosed)?;
        let inside = inside.trim().to_owned();
        self.rest = rest;
        Ok(inside)
    }

    /// Reads one tag; its opening delimiter is already taken.
    fn tag(&mut self) -> Result<(), TemplateError> {
        let kind = self.rest.chars().next().unwrap_or('}');
        if !matches!(
            kind,
            '#' | '^' | '/' | '!' | '&' | '{' | '>' | '=' | '<' | '$'
        ) {
            let end = self.end.clone();
            let name = self.until(&end)?;
            self.nodes.push(Node::Variable { name, raw: false });
            return Ok(());
        }
        self.rest = &self.rest[kind.len_utf8()..];
        let end = match kind {
            '{' => format!("}}{}", self.end),
            '=' => format!("={}", self.end),
            _ => self.end.clone(),
        };
        let inside = self.until(&end)?;
        match kind {
            '!' => {}
            '&' | '{' => self.nodes.push(Node::Variable {
                name: inside,
                raw: true,
            }),
            '#' | '^' => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(TemplateError::TooLong);
                }
                self.open.push(Open {
                    name: inside,
                    inverted: kind == '^',
                    before: std::mem::take(&mut self.nodes),
                });
            }
            '/' => self.close(inside)?,
            '=' => {
                let (start, end) = inside.split_once(' ').ok_or(TemplateError::Unclosed)?;
                if start.is_empty() || end.trim().is_empty() {
                    return Err(TemplateError::Unclosed);
                }
                self.start = start.to_owned();
                self.end = end.trim().to_owned();
            }
            _ => return Err(TemplateError::Unsupported("partial")),
        }
        Ok(())
    }

    fn close(&mut self, close: String) -> Result<(), TemplateError> {
        let Some(open) = self.open.pop() else {
            let open = String::new();
            return Err(TemplateError::Mismatched { open, close });
        };
        if open.name != close {
            let open = open.name;
            return Err(TemplateError::Mismatched { open, close });
        }
        let body = std::mem::replace(&mut self.nodes, open.before);
        let name = open.name;
        let node = if open.inverted {
            Node::Inverted { name, body }
        } else {
            section(name, body)?
        };
        self.nodes.push(node);
        Ok(())
    }
}

/// A section, or the function its name stands for.
fn section(name: String, body: Vec<Node>) -> Result<Node, TemplateError> {
    if name.eq_ignore_ascii_case("toJson") {
        return Ok(Node::ToJson(identifier("toJson", &body)?));
    }
    if name.eq_ignore_ascii_case("url") {
        return Ok(Node::Url(body));
    }
    if name.eq_ignore_ascii_case("join") {
        return Ok(Node::Join {
            name: identifier("join", &body)?,
            delimiter: ",".to_owned(),
        });
    }
    let delimiter = name
        .strip_prefix("join delimiter='")
        .and_then(|rest| rest.strip_suffix('\''));
    match delimiter {
        Some(delimiter) => Ok(Node::Join {
            name: identifier("join", &body)?,
            delimiter: delimiter.to_owned(),
        }),
        None => Ok(Node::Section { name, body }),
    }
}

/// The one name inside a function.
fn identifier(function: &'static str, body: &[Node]) -> Result<String, TemplateError> {
    match body {
        [Node::Text(name)] => Ok(name.trim().to_owned()),
        _ => Err(TemplateError::OneIdentifier(function)),
    }
}
