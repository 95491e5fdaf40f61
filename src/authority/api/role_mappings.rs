//! Role mappings: put, get, delete (`/_security/role_mapping`).

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::write::write;
use crate::authority::authorize;
use crate::authority::body::{self, Field, Grammar, Object};
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::mapping::rule::Rule;
use crate::authority::mapping::template::RoleNames;
use crate::authority::state::State;
use crate::wire::roles::{RoleMapping, RoleTemplate, TemplateFormat};

const STRICT: Grammar = Grammar::Strict("role-mapping");
const TEMPLATE: Grammar = Grammar::Strict("role-mapping-template");

/// Ends the names that Elasticsearch gives to mappings from its settings files.
const READ_ONLY_SUFFIX: &str = " (read only)";
/// Marks them in their metadata.
const READ_ONLY_FLAG: &str = "_read_only";

/// `PUT|POST /_security/role_mapping/{name}`
pub async fn put(state: &State, call: Call) -> Result<Reply, Failure> {
    let name = call.path("name").unwrap_or_default().to_owned();
    call.check_refresh()?;
    if name.ends_with(READ_ONLY_SUFFIX) {
        return Err(Failure::illegal_argument(format!(
            "Invalid mapping name [{name}]. [{READ_ONLY_SUFFIX}] is not an allowed suffix"
        )));
    }
    let mapping = parse(&call, &name)?;
    check(&mapping)?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    for template in &mapping.role_templates {
        RoleNames::compile(template)?;
    }
    let created = write(&granted, state, move |drafts| {
        Ok(drafts.role_mappings.put(&name, mapping))
    })
    .await?;
    granted.reply(&json!({"role_mapping": {"created": created}}))
}

/// `GET /_security/role_mapping[/{names}]`
pub async fn find(state: &State, call: Call) -> Result<Reply, Failure> {
    let wanted = call.path_list("name");
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let rows = state
        .tables()
        .role_mappings
        .select(|name, _| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name));
    let found: Map<String, Value> = rows
        .into_iter()
        .map(|(name, row)| (name, json!(row)))
        .collect();
    let status = if found.is_empty() && !wanted.is_empty() {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::OK
    };
    granted.reply_with(status, &found)
}

/// `DELETE /_security/role_mapping/{name}`
pub async fn delete(state: &State, call: Call) -> Result<Reply, Failure> {
    let name = call.path("name").unwrap_or_default().to_owned();
    call.check_refresh()?;
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    let found = write(&granted, state, move |drafts| {
        Ok(drafts.role_mappings.remove(&name))
    })
    .await?;
    granted.reply_found(found)
}

#[derive(Default)]
struct Parsed {
    enabled: Option<bool>,
    roles: Option<Vec<String>>,
    templates: Option<Vec<RoleTemplate>>,
    rules: Option<Value>,
    metadata: Map<String, Value>,
}

fn parse(call: &Call, name: &str) -> Result<RoleMapping, Failure> {
    let object = call.object(STRICT)?;
    let mut parsed = Parsed::default();
    for field in object.fields() {
        parse_field(&field, name, &mut parsed)
            .map_err(|failure| as_parsing(&failure, field.place()))?;
    }
    let missing = |field: &str| {
        // Elasticsearch is at the end of the body when it finds out.
        let end = body::place(&call.body, call.body.len().saturating_sub(1));
        Failure::parsing(
            end,
            format!("failed to parse role-mapping [{name}]. missing field [{field}]"),
        )
    };
    if parsed.roles.is_none() && parsed.templates.is_none() {
        return Err(missing("roles"));
    }
    Ok(RoleMapping {
        rules: parsed.rules.ok_or_else(|| missing("rules"))?,
        enabled: parsed.enabled.ok_or_else(|| missing("enabled"))?,
        roles: parsed.roles.unwrap_or_default(),
        role_templates: parsed.templates.unwrap_or_default(),
        metadata: parsed.metadata,
    })
}

fn parse_field(field: &Field<'_>, name: &str, parsed: &mut Parsed) -> Result<(), Failure> {
    match field.name {
        "enabled" => parsed.enabled = Some(field.boolean()?),
        "roles" => parsed.roles = Some(field.strings()?),
        "rules" if field.token() == "START_OBJECT" => {
            let rule = Rule::parse(&field.value()?, name).map_err(|inner| inside(field, &inner))?;
            parsed.rules = Some(rule.json());
        }
        "rules" => return Err(field.mistyped("object")),
        "role_templates" => {
            let templates = if field.token() == "START_OBJECT" {
                vec![field.object(TEMPLATE)?]
            } else {
                field.objects(TEMPLATE)?
            };
            let templates = templates.iter().map(parse_template);
            parsed.templates = Some(
                templates
                    .collect::<Result<_, _>>()
                    .map_err(|inner| inside(field, &inner))?,
            );
        }
        "metadata" => parsed.metadata = field.map()?,
        // Written into its own index by Elasticsearch.
        "doc_type" | "type" => drop(field.string()?),
        _ => return Err(field.unknown()),
    }
    Ok(())
}

/// The refusal of a field because of something inside it.
fn inside(field: &Field<'_>, inner: &Failure) -> Failure {
    let (line, column) = field.place();
    inner.inside(Failure::x_content(format!(
        "[{line}:{column}] [role-mapping] failed to parse field [{}]",
        field.name
    )))
}

/// What the parser of a mapping throws is thrown again with its place; the cause stays what it was.
fn as_parsing(failure: &Failure, at: (usize, usize)) -> Failure {
    let (_, reason) = failure.cause();
    failure.inside(Failure::parsing(at, reason))
}

fn parse_template(object: &Object<'_>) -> Result<RoleTemplate, Failure> {
    let mut template = None;
    let mut format = TemplateFormat::default();
    for field in object.fields() {
        match field.name {
            "template" => {
                template = Some(match field.token() {
                    "VALUE_STRING" => field.string()?,
                    "START_OBJECT" => field.value()?.to_string(),
                    _ => return Err(field.mistyped("string or object")),
                });
            }
            "format" => format = parse_format(&field)?,
            _ => return Err(field.unknown()),
        }
    }
    let template = template.ok_or_else(|| Failure::illegal_argument("Required [template]"))?;
    Ok(RoleTemplate { template, format })
}

fn parse_format(field: &Field<'_>) -> Result<TemplateFormat, Failure> {
    let text = field.string()?;
    match text.to_lowercase().as_str() {
        "json" => Ok(TemplateFormat::Json),
        "string" => Ok(TemplateFormat::String),
        _ => {
            let (line, column) = field.place();
            Err(Failure::x_content(format!(
                "[{line}:{column}] Invalid format [{text}] expected one of [json,string]"
            )))
        }
    }
}

fn check(mapping: &RoleMapping) -> Result<(), Failure> {
    let mut faults = Vec::new();
    match (mapping.roles.is_empty(), mapping.role_templates.is_empty()) {
        (true, true) => faults.push("role-mapping roles or role-templates are missing"),
        (false, false) => faults.push("role-mapping cannot have both roles and role-templates"),
        (true, false) | (false, true) => {}
    }
    if mapping.metadata.contains_key(READ_ONLY_FLAG) {
        faults.push(
            "metadata contains [_read_only] flag. You cannot create or update role-mappings with a read-only flag",
        );
    } else if mapping.metadata.keys().any(|key| key.starts_with('_')) {
        faults.push("metadata keys may not start with [_]");
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::request_validation(&faults))
}
