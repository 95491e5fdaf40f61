//! Role templates: a mustache script that writes one role name, or a JSON array of them.

use serde_json::{Map, Value};

use crate::authority::failure::Failure;
use crate::authority::mustache::{Escape, Template};
use crate::wire::roles::{RoleTemplate, TemplateFormat};

/// Most roles one template may name.
const MAX_ROLES: usize = 10_000;

/// A compiled role template.
#[derive(Clone, Debug)]
pub struct RoleNames {
    template: Template,
    params: Map<String, Value>,
    format: TemplateFormat,
}

/// Why a template named no roles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// It could not be written out.
    #[error(transparent)]
    Template(#[from] crate::authority::mustache::error::TemplateError),
    /// What it wrote is no JSON string or array of strings.
    #[error("Roles template must generate a string or an array of strings")]
    NotNames,
}

impl RoleNames {
    /// Compiles a stored template.
    ///
    /// # Errors
    /// A script that is not a mustache script, or one that can't be read.
    pub fn compile(stored: &RoleTemplate) -> Result<Self, Failure> {
        let script: Value = serde_json::from_str(&stored.template)
            .map_err(|error| crate::authority::body::broken(&error))?;
        let (source, options, params) = parse_script(script)?;
        let escape = match options.get("content_type").and_then(Value::as_str) {
            Some("text/plain") => Escape::Nothing,
            Some("application/x-www-form-urlencoded") => Escape::Form,
            Some(_) | None => Escape::Json,
        };
        let template = Template::compile(&source, escape).map_err(|error| {
            Failure::illegal_argument(format!(
                "ScriptException[compile error]; nested: MustacheException[{error}];"
            ))
        })?;
        Ok(Self {
            template,
            params,
            format: stored.format,
        })
    }

    /// The role names for a user's variables, which win over the script's own parameters.
    ///
    /// # Errors
    /// See [`EvaluationError`].
    pub fn names(&self, variables: &Value) -> Result<Vec<String>, EvaluationError> {
        let merged = match variables {
            Value::Object(variables) if !self.params.is_empty() => {
                let mut merged = self.params.clone();
                merged.extend(variables.clone());
                Some(Value::Object(merged))
            }
            _ => None,
        };
        let text = self.template.render(merged.as_ref().unwrap_or(variables))?;
        match self.format {
            TemplateFormat::String => Ok(vec![text]),
            TemplateFormat::Json => names_of(&text),
        }
    }
}

fn names_of(text: &str) -> Result<Vec<String>, EvaluationError> {
    match serde_json::from_str(text) {
        Ok(Value::String(name)) => Ok(vec![name]),
        Ok(Value::Array(items)) if items.len() <= MAX_ROLES => items
            .into_iter()
            .filter(|item| !item.is_null())
            .map(|item| match item {
                Value::String(name) => Ok(name),
                _ => Err(EvaluationError::NotNames),
            })
            .collect(),
        Ok(_) | Err(_) => Err(EvaluationError::NotNames),
    }
}

type Script = (String, Map<String, Value>, Map<String, Value>);

/// A script: its source, options and parameters. A plain string is a source.
fn parse_script(script: Value) -> Result<Script, Failure> {
    let mut fields = match script {
        Value::String(source) => return Ok((source, Map::new(), Map::new())),
        Value::Object(fields) => fields,
        other => {
            return Err(Failure::illegal_argument(format!(
                "unexpected value [{other}], expected [{{, <source>}}]"
            )));
        }
    };
    let mut object = |name: &str| match fields.remove(name) {
        Some(Value::Object(map)) => Ok(map),
        None | Some(Value::Null) => Ok(Map::new()),
        Some(other) => Err(Failure::x_content(format!(
            "[script] {name} doesn't support values of type: {other}"
        ))),
    };
    let (options, params) = (object("options")?, object("params")?);
    fields.remove("lang");
    let source = fields.remove("source").or_else(|| fields.remove("inline"));
    if let Some(Value::String(id)) = fields.remove("id") {
        return Err(Failure::illegal_argument(format!(
            "ResourceNotFoundException[unable to find script [{id}] in cluster state]"
        )));
    }
    if let Some(name) = fields.keys().next() {
        return Err(Failure::x_content(format!(
            "[script] unknown field [{name}]"
        )));
    }
    match source {
        Some(Value::String(source)) => Ok((source, options, params)),
        Some(source @ (Value::Object(_) | Value::Array(_))) => {
            Ok((source.to_string(), options, params))
        }
        Some(_) | None => Err(Failure::illegal_argument(
            "must specify either [source] for an inline script or [id] for a stored script",
        )),
    }
}
