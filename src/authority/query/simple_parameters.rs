//! The parameters of `simple_query_string`.

use serde_json::Value;

use super::fault::Fault;
use super::leaf_parse::{flag, object, parse_operator, scalar, unknown};
use super::minimum;
use super::parse::Context;
use super::schema::Field;

/// Longest query, in characters.
const MAX_LENGTH: usize = 10_000;

/// The signs that are signs.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// `+`.
    pub and: bool,
    /// `|`.
    pub or: bool,
    /// `-`.
    pub not: bool,
    /// `*` at the end.
    pub prefix: bool,
    /// `"`.
    pub phrase: bool,
    /// `(` and `)`.
    pub precedence: bool,
    /// `\`.
    pub escape: bool,
    /// Blanks.
    pub whitespace: bool,
    /// `~` after a word.
    pub fuzzy: bool,
    /// `~` after a phrase.
    pub slop: bool,
}

/// The parameters.
pub struct Query {
    /// What was typed.
    pub text: String,
    /// Where it is looked for.
    pub fields: Vec<Field>,
    /// Which signs are signs.
    pub signs: Signs,
    /// Whether two things apart must both be there.
    pub all: bool,
    /// Whether what a field can't hold is only not found.
    pub lenient: bool,
    /// `minimum_should_match`.
    pub minimum: Option<String>,
    /// Whether prefixes of words are looked for.
    pub analyze_wildcard: bool,
}

impl Query {
    /// Reads the parameters.
    ///
    /// # Errors
    /// Malformed ones, and too much text.
    pub fn parse(body: &Value, context: &Context<'_>) -> Result<Self, Fault> {
        const NAME: &str = "simple_query_string";
        let mut query = Self {
            text: String::new(),
            fields: Vec::new(),
            signs: Signs::ALL,
            all: false,
            lenient: false,
            minimum: None,
            analyze_wildcard: false,
        };
        let mut text = None;
        let mut names = Vec::new();
        for (key, value) in object(NAME, body)? {
            match key.as_str() {
                "query" => text = Some(scalar(value)?),
                "fields" => names = field_names(value)?,
                "default_operator" => query.all = parse_operator(value)?,
                "flags" => query.signs = Signs::parse(value)?,
                "lenient" => query.lenient = flag(NAME, key, value)?,
                "analyze_wildcard" => query.analyze_wildcard = flag(NAME, key, value)?,
                "minimum_should_match" => query.minimum = minimum::text(value)?,
                "analyzer"
                | "boost"
                | "_name"
                | "quote_field_suffix"
                | "type"
                | "auto_generate_synonyms_phrase_query"
                | "fuzzy_prefix_length"
                | "fuzzy_max_expansions"
                | "fuzzy_transpositions" => {}
                _ => return Err(unknown(NAME, key)),
            }
        }
        query.text =
            text.ok_or_else(|| Fault::grammar("[simple_query_string] query text missing"))?;
        if query.text.chars().count() > MAX_LENGTH {
            return Err(Fault::refused(
                "the simple_query_string is too long to be searched for",
            ));
        }
        if names.is_empty() {
            names.push("*".to_owned());
        }
        // All fields are of several kinds, so something in the text will always not fit one of them.
        query.lenient |= names.iter().any(|name| name == "*");
        for name in names {
            for field in context.schema.matching(&name) {
                if !query.fields.contains(&field) {
                    query.fields.push(field);
                }
            }
        }
        Ok(query)
    }
}

/// Field names without their boosts.
fn field_names(value: &Value) -> Result<Vec<String>, Fault> {
    let one = std::slice::from_ref(value);
    let names = value.as_array().map_or(one, Vec::as_slice);
    let strip = |name: String| match name.rsplit_once('^') {
        Some((name, _)) => name.to_owned(),
        None => name,
    };
    names.iter().map(|name| scalar(name).map(strip)).collect()
}

impl Signs {
    const ALL: Self = Self::these(true);

    const fn these(all: bool) -> Self {
        Self {
            and: all,
            or: all,
            not: all,
            prefix: all,
            phrase: all,
            precedence: all,
            escape: all,
            whitespace: all,
            fuzzy: all,
            slop: all,
        }
    }

    fn parse(value: &Value) -> Result<Self, Fault> {
        if let Some(number) = value.as_i64() {
            return Ok(if number == 0 {
                Self::these(false)
            } else {
                Self::ALL
            });
        }
        let mut signs = Self::these(false);
        for name in scalar(value)?.split('|').map(str::trim) {
            match name.to_uppercase().as_str() {
                "ALL" | "" => return Ok(Self::ALL),
                "NONE" => return Ok(Self::these(false)),
                "AND" => signs.and = true,
                "OR" => signs.or = true,
                "NOT" => signs.not = true,
                "PREFIX" => signs.prefix = true,
                "PHRASE" => signs.phrase = true,
                "PRECEDENCE" => signs.precedence = true,
                "ESCAPE" => signs.escape = true,
                "WHITESPACE" => signs.whitespace = true,
                "FUZZY" => signs.fuzzy = true,
                "NEAR" | "SLOP" => signs.slop = true,
                other => {
                    return Err(Fault::refused(format!(
                        "Unknown simple_query_string flag [{other}]"
                    )));
                }
            }
        }
        Ok(signs)
    }
}
