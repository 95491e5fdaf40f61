//! Reading `match` queries: words of a text, or a whole text, with a letter more or less.

use serde_json::Value;

use super::analysis;
use super::fault::Fault;
use super::leaf::{Leaf, Test, Word};
use super::leaf_parse::{flag, one_field, parse_operator, scalar, term_test, unknown};
use super::minimum;
use super::parse::Context;
use super::schema::{Field, Kind};

/// Reads `{"match": {FIELD: VALUE | {"query": .., ..}}}`. Analyzers can't be chosen here.
///
/// # Errors
/// A malformed query, a field that is not allowed, a value it can't hold.
pub fn matches(body: &Value, context: &Context<'_>) -> Result<Leaf, Fault> {
    let (name, body) = one_field("match", body)?;
    let mut query = Match::default();
    match body {
        Value::Object(parameters) => {
            for (key, value) in parameters {
                query.read(key, value)?;
            }
        }
        value => query.text = Some(scalar(value)?),
    }
    let field = context.schema.field(name)?;
    let Some(text) = &query.text else {
        return Err(Fault::grammar("No text specified for text query"));
    };
    let test = match query.test(&field, text, context) {
        Err(Fault::Refused(_)) if query.lenient => Test::Nothing,
        other => other?,
    };
    Ok(Leaf { field, test })
}

/// The parameters of a `match` query.
struct Match {
    text: Option<String>,
    all: bool,
    fuzziness: Option<Fuzziness>,
    fixed: usize,
    transpositions: bool,
    minimum: Option<String>,
    lenient: bool,
    all_when_empty: bool,
}

impl Default for Match {
    fn default() -> Self {
        Self {
            text: None,
            all: false,
            fuzziness: None,
            fixed: 0,
            transpositions: true,
            minimum: None,
            lenient: false,
            all_when_empty: false,
        }
    }
}

impl Match {
    fn read(&mut self, key: &str, value: &Value) -> Result<(), Fault> {
        match key {
            "query" => self.text = Some(scalar(value)?),
            "operator" => self.all = parse_operator(value)?,
            "fuzziness" => self.fuzziness = Some(Fuzziness::parse(&scalar(value)?)?),
            "prefix_length" => {
                self.fixed = usize::try_from(value.as_u64().unwrap_or(0)).unwrap_or(0)
            }
            "fuzzy_transpositions" => self.transpositions = flag("match", key, value)?,
            "minimum_should_match" => self.minimum = minimum::text(value)?,
            "lenient" => self.lenient = flag("match", key, value)?,
            "zero_terms_query" => self.all_when_empty = value.as_str() == Some("all"),
            "max_expansions"
            | "fuzzy_rewrite"
            | "auto_generate_synonyms_phrase_query"
            | "boost"
            | "_name"
            | "analyzer" => {}
            _ => return Err(unknown("match", key)),
        }
        Ok(())
    }

    fn test(&self, field: &Field, text: &str, context: &Context<'_>) -> Result<Test, Fault> {
        if matches!(field.kind, Kind::Date | Kind::Boolean) {
            return term_test(field, text, false, context);
        }
        let words = analysis::words(text, field.kind);
        if words.is_empty() {
            return Ok(if self.all_when_empty {
                Test::Exists
            } else {
                Test::Nothing
            });
        }
        context.count(words.len())?;
        let minimum = match &self.minimum {
            _ if self.all => words.len(),
            Some(specification) => minimum::of(specification, words.len())?.max(1),
            None => 1,
        };
        let words = words.into_iter().map(|text| Word {
            distance: self
                .fuzziness
                .map_or(0, |fuzziness| fuzziness.distance(&text)),
            fixed: self.fixed,
            transpositions: self.transpositions,
            text,
        });
        Ok(Test::Words(words.collect(), minimum))
    }
}

/// How many letters may differ.
#[derive(Clone, Copy, Debug)]
enum Fuzziness {
    Fixed(usize),
    /// None below the first length, one below the second, then two.
    Auto(usize, usize),
}

impl Fuzziness {
    fn parse(text: &str) -> Result<Self, Fault> {
        let broken = || Fault::refused(format!("failed to parse fuzziness [{text}]"));
        if let Some(rest) = text.strip_prefix("AUTO") {
            let Some(rest) = rest.strip_prefix(':') else {
                return if rest.is_empty() {
                    Ok(Self::Auto(3, 6))
                } else {
                    Err(broken())
                };
            };
            let (low, high) = rest.split_once(',').ok_or_else(broken)?;
            let low = low.parse().map_err(|_| broken())?;
            return Ok(Self::Auto(low, high.parse().map_err(|_| broken())?));
        }
        match text {
            "0" => Ok(Self::Fixed(0)),
            "1" => Ok(Self::Fixed(1)),
            "2" => Ok(Self::Fixed(2)),
            _ => Err(broken()),
        }
    }

    fn distance(self, word: &str) -> usize {
        let length = word.chars().count();
        match self {
            Self::Fixed(distance) => distance,
            Self::Auto(low, _) if length < low => 0,
            Self::Auto(_, high) if length < high => 1,
            Self::Auto(..) => 2,
        }
    }
}
