//! Nodes and a model to text.

use serde_json::Value;

use super::error::TemplateError;
use super::parse::Node;

/// Longest output, in bytes.
const MAX_OUTPUT: usize = 256 * 1024;
/// Most nodes written; sections inside sections multiply.
const MAX_STEPS: usize = 100_000;

struct Renderer<'a> {
    /// What names are looked up in, the innermost last.
    scopes: Vec<&'a Value>,
    escape: fn(&str) -> String,
    output: String,
    steps: usize,
}

/// Writes nodes out.
pub(super) fn render(
    nodes: &[Node],
    model: &Value,
    escape: fn(&str) -> String,
) -> Result<String, TemplateError> {
    let mut renderer = Renderer {
        scopes: vec![model],
        escape,
        output: String::new(),
        steps: 0,
    };
    renderer.write(nodes)?;
    Ok(renderer.output)
}

impl<'a> Renderer<'a> {
    fn write(&mut self, nodes: &[Node]) -> Result<(), TemplateError> {
        for node in nodes {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(TemplateError::TooLong);
            }
            self.write_one(node)?;
        }
        Ok(())
    }

    fn write_one(&mut self, node: &Node) -> Result<(), TemplateError> {
        match node {
            Node::Text(text) => self.push(text),
            Node::Variable { name, raw } => {
                let text = self.find(name).map(plain).unwrap_or_default();
                if *raw {
                    self.push(&text)
                } else {
                    let escaped = (self.escape)(&text);
                    self.push(&escaped)
                }
            }
            Node::Section { name, body } => match self.find(name) {
                Some(Value::Array(items)) => {
                    for item in items {
                        self.write_within(item, body)?;
                    }
                    Ok(())
                }
                Some(value) if is_something(value) => self.write_within(value, body),
                Some(_) | None => Ok(()),
            },
            Node::Inverted { name, body } => match self.find(name) {
                Some(value) if is_something(value) => Ok(()),
                Some(_) | None => self.write(body),
            },
            Node::ToJson(name) => match self.find(name) {
                Some(value @ (Value::Array(_) | Value::Object(_))) => self.push(&value.to_string()),
                Some(value) => self.push(&plain(value)),
                None => Ok(()),
            },
            Node::Join { name, delimiter } => match self.find(name) {
                Some(Value::Array(items)) => {
                    let items: Vec<String> = items.iter().map(plain).collect();
                    self.push(&items.join(delimiter))
                }
                Some(value) => self.push(&plain(value)),
                None => Ok(()),
            },
            Node::Url(body) => {
                let before = std::mem::take(&mut self.output);
                self.write(body)?;
                let inside = std::mem::replace(&mut self.output, before);
                self.push(&escape_form(&inside))
            }
        }
    }

    fn write_within(&mut self, scope: &'a Value, body: &[Node]) -> Result<(), TemplateError> {
        self.scopes.push(scope);
        let written = self.write(body);
        self.scopes.pop();
        written
    }

    fn push(&mut self, text: &str) -> Result<(), TemplateError> {
        if self.output.len() + text.len() > MAX_OUTPUT {
            return Err(TemplateError::TooLong);
        }
        self.output.push_str(text);
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&'a Value> {
        if name == "." {
            return self.scopes.last().copied();
        }
        self.scopes
            .iter()
            .rev()
            .find_map(|scope| look_up(scope, name))
    }
}

/// A name in a value: as one key, then dot by dot; numbers count elements of arrays.
fn look_up<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let step = |name: &str| match value {
        Value::Object(map) => map.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    };
    step(name).or_else(|| {
        let (head, rest) = name.split_once('.')?;
        look_up(step(head)?, rest)
    })
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => true,
    }
}

/// A value as text: lists as `[a, b]`.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// As the inside of a JSON string.
pub(super) fn escape_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted
        .get(1..quoted.len() - 1)
        .unwrap_or_default()
        .to_owned()
}

/// As form data.
pub(super) fn escape_form(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
