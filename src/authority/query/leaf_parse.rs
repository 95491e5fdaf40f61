//! Reading the queries about one field: `term`, `terms`, `prefix`, `wildcard`, `exists`.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::date::Reader;
use super::fault::Fault;
use super::leaf::{Leaf, Test};
use super::parse::Context;
use super::pattern;
use super::schema::{Field, Kind};

/// Texts that one `terms` query may list.
const MAX_TERMS: usize = 65_536;

/// Reads `{"exists": {"field": ..}}`.
///
/// # Errors
/// A malformed query, or a field that is not allowed.
pub fn exists(body: &Value, context: &Context<'_>) -> Result<Leaf, Fault> {
    let mut name = None;
    for (key, value) in object("exists", body)? {
        match key.as_str() {
            "field" => name = Some(scalar(value)?),
            "boost" | "_name" => {}
            _ => return Err(unknown("exists", key)),
        }
    }
    let name = name.ok_or_else(|| Fault::grammar("[exists] must be provided with a [field]"))?;
    Ok(Leaf {
        field: context.schema.field(&name)?,
        test: Test::Exists,
    })
}

/// Reads `{"term": {FIELD: VALUE | {"value": .., "case_insensitive": ..}}}`.
///
/// # Errors
/// As [`exists`], and a value the field can't hold.
pub fn term(body: &Value, context: &Context<'_>) -> Result<Leaf, Fault> {
    let query = Valued::parse("term", body, &["value"])?;
    let field = context.schema.field(query.field)?;
    let test = term_test(&field, &query.value, query.ignore_case, context)?;
    Ok(Leaf { field, test })
}

/// Reads `{"prefix": ..}`, in the shapes of [`term`].
///
/// # Errors
/// As [`term`].
pub fn prefix(body: &Value, context: &Context<'_>) -> Result<Leaf, Fault> {
    let query = Valued::parse("prefix", body, &["value", "prefix"])?;
    let field = context.schema.field(query.field)?;
    let test = prefix_test(&field, &query.value, query.ignore_case)?;
    Ok(Leaf { field, test })
}

/// Reads `{"wildcard": ..}`, in the shapes of [`term`].
///
/// # Errors
/// As [`term`], and a pattern that is too complex.
pub fn wildcard(body: &Value, context: &Context<'_>) -> Result<Leaf, Fault> {
    let query = Valued::parse("wildcard", body, &["value", "wildcard"])?;
    let field = context.schema.field(query.field)?;
    check_is_text(&field, "wildcard")?;
    context.count_pattern(&query.value)?;
    let test = Test::Pattern(pattern::wildcard(&query.value, query.ignore_case)?);
    Ok(Leaf { field, test })
}

/// Reads `{"terms": {FIELD: [VALUE, ..]}}`.
///
/// # Errors
/// As [`term`], a terms lookup, and too many values.
pub fn terms(body: &Value, context: &Context<'_>) -> Result<Leaf, Fault> {
    let mut found: Option<(&str, &Value)> = None;
    for (key, value) in object("terms", body)? {
        if matches!(key.as_str(), "boost" | "_name") {
            continue;
        }
        if let Some((first, _)) = found {
            return Err(Fault::grammar(format!(
                "[terms] query doesn't support multiple fields, found [{first}] and [{key}]"
            )));
        }
        found = Some((key, value));
    }
    let (name, values) = found.ok_or_else(|| {
        Fault::grammar("[terms] query requires a field name, followed by array of terms or a document lookup specification")
    })?;
    let values = match values {
        Value::Array(values) => values,
        Value::Object(_) => {
            return Err(Fault::refused(
                "terms query with terms lookup is not currently supported in this context",
            ));
        }
        _ => {
            return Err(Fault::grammar(format!(
                "[terms] query does not support [{name}]"
            )));
        }
    };
    if values.len() > MAX_TERMS {
        return Err(Fault::refused(format!(
            "The number of terms [{}] used in the Terms Query request has exceeded the allowed maximum of [{MAX_TERMS}]. This \
             maximum can be set by changing the [index.max_terms_count] index level setting.",
            values.len()
        )));
    }
    let field = context.schema.field(name)?;
    let texts = values.iter().map(scalar).collect::<Result<Vec<_>, _>>()?;
    let test = terms_test(&field, texts, context)?;
    Ok(Leaf { field, test })
}

/// Exactly this value.
///
/// # Errors
/// A value the field can't hold.
pub fn term_test(
    field: &Field,
    value: &str,
    ignore_case: bool,
    context: &Context<'_>,
) -> Result<Test, Fault> {
    if ignore_case
        && matches!(
            field.kind,
            Kind::Keyword | Kind::Flattened | Kind::Text | Kind::Email
        )
    {
        return Ok(Test::OneOfFolded(HashSet::from([value.to_lowercase()])));
    }
    terms_test(field, vec![value.to_owned()], context)
}

fn terms_test(field: &Field, values: Vec<String>, context: &Context<'_>) -> Result<Test, Fault> {
    match field.kind {
        Kind::Keyword | Kind::Flattened | Kind::Text | Kind::Email => {
            Ok(Test::OneOf(values.into_iter().collect()))
        }
        Kind::Boolean => {
            let (mut yes, mut no) = (false, false);
            for value in &values {
                let flag = parse_flag(value)?;
                yes |= flag;
                no |= !flag;
            }
            Ok(Test::Flags { yes, no })
        }
        Kind::Date => {
            let reader = Reader::at(context.now);
            let spans = values
                .iter()
                .map(|value| Ok(reader.read(value, false)?..=reader.read(value, true)?));
            Ok(Test::Moments(spans.collect::<Result<_, Fault>>()?))
        }
    }
}

/// Starts with this text.
///
/// # Errors
/// A field that holds no text.
pub fn prefix_test(field: &Field, value: &str, ignore_case: bool) -> Result<Test, Fault> {
    check_is_text(field, "prefix")?;
    let prefix = if ignore_case {
        value.to_lowercase()
    } else {
        value.to_owned()
    };
    Ok(Test::Prefix {
        prefix,
        folded: ignore_case,
    })
}

fn check_is_text(field: &Field, query: &str) -> Result<(), Fault> {
    if matches!(field.kind, Kind::Date | Kind::Boolean) {
        return Err(Fault::refused(format!(
            "failed to create query: Can only use {query} queries on keyword, text and wildcard fields - not on [{}] which is of \
             type [{}]",
            field.index_name,
            field.kind.label()
        )));
    }
    Ok(())
}

/// `true` and `false`; empty is false.
///
/// # Errors
/// Any other text.
pub fn parse_flag(text: &str) -> Result<bool, Fault> {
    match text {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        other => Err(Fault::refused(format!(
            "failed to create query: Can't parse boolean value [{}], expected [true] or [false]",
            other.chars().take(64).collect::<String>()
        ))),
    }
}

/// A query with one field, one text and few parameters.
struct Valued<'a> {
    field: &'a str,
    value: String,
    ignore_case: bool,
}

impl<'a> Valued<'a> {
    fn parse(query: &str, body: &'a Value, names: &[&str]) -> Result<Self, Fault> {
        let (field, body) = one_field(query, body)?;
        let mut value = None;
        let mut ignore_case = false;
        match body {
            Value::Object(parameters) => {
                for (key, parameter) in parameters {
                    match key.as_str() {
                        name if names.contains(&name) => value = Some(scalar(parameter)?),
                        "case_insensitive" => ignore_case = flag(query, key, parameter)?,
                        "boost" | "_name" | "rewrite" => {}
                        _ => return Err(unknown(query, key)),
                    }
                }
            }
            plain => value = Some(scalar(plain)?),
        }
        let value = value.ok_or_else(|| Fault::refused("value cannot be null"))?;
        Ok(Self {
            field,
            value,
            ignore_case,
        })
    }
}

/// `and` is true, `or` false.
///
/// # Errors
/// Anything else.
pub fn parse_operator(value: &Value) -> Result<bool, Fault> {
    let text = scalar(value)?;
    match text.to_lowercase().as_str() {
        "and" => Ok(true),
        "or" => Ok(false),
        _ => Err(Fault::refused(format!(
            "No enum constant org.elasticsearch.index.query.Operator.{}",
            text.to_uppercase()
        ))),
    }
}

/// A flag, also as text.
///
/// # Errors
/// Anything else.
pub fn flag(query: &str, key: &str, value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        _ => Err(Fault::grammar(format!(
            "[{query}] [{key}] must be true or false"
        ))),
    }
}

/// A single value as text.
///
/// # Errors
/// `null`, an array or an object.
pub fn scalar(value: &Value) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null => Err(Fault::refused("value cannot be null")),
        Value::Array(_) | Value::Object(_) => Err(Fault::grammar(
            "expected a single value, but found an array or an object",
        )),
    }
}

/// A query's body as an object.
///
/// # Errors
/// Anything else.
pub fn object<'a>(query: &str, body: &'a Value) -> Result<&'a Map<String, Value>, Fault> {
    body.as_object().ok_or_else(|| {
        Fault::grammar(format!(
            "[{query}] query malformed, no start_object after query name"
        ))
    })
}

/// The one field of a query that takes one.
///
/// # Errors
/// None, or several.
pub fn one_field<'a>(query: &str, body: &'a Value) -> Result<(&'a str, &'a Value), Fault> {
    let mut fields = object(query, body)?.iter();
    let (name, value) = fields
        .next()
        .ok_or_else(|| Fault::refused("field name is null or empty"))?;
    match fields.next() {
        None => Ok((name, value)),
        Some((other, _)) => Err(Fault::grammar(format!(
            "[{query}] query doesn't support multiple fields, found [{name}] and [{other}]"
        ))),
    }
}

/// The refusal of a parameter nobody knows.
pub fn unknown(query: &str, key: &str) -> Fault {
    Fault::grammar(format!("[{query}] query does not support [{key}]"))
}
