//! `simple_query_string`: a query a person types. Broken syntax is never an error; it means something else.
//!
//! `a b`, `a | b`, `a + b`, `-a`, `"a b"`, `a*`, `a~1`, `"a b"~2`, `(..)`, `\` before a sign takes it as it is. Two things apart
//! stand in the default operator; a chain of the same operator is one combination, and a change of operator wraps what was.

use std::collections::HashMap;

use serde_json::Value;

use super::analysis;
use super::fault::Fault;
use super::filter::{Clauses, Filter};
use super::leaf::{Leaf, Test, Word};
use super::leaf_parse;
use super::minimum;
use super::parse::Context;
use super::pattern;
use super::schema::{Field, Kind};
use super::simple_parameters::Query;

/// How deep parentheses may stand in each other; deeper ones are skipped.
const MAX_DEPTH: usize = 30;

/// Compiles the query.
///
/// # Errors
/// Malformed parameters, too much of it; never the text itself, unless it isn't lenient and asks a field for what it can't
/// hold.
pub fn compile(body: &Value, context: &Context<'_>) -> Result<Filter, Fault> {
    let query = Query::parse(body, context)?;
    if query.fields.is_empty() {
        return Ok(Filter::Nothing);
    }
    let mut parser = Parser {
        query: &query,
        context,
        closing: HashMap::new(),
        text: query.text.chars().collect(),
    };
    parser.match_groups();
    let end = parser.text.len();
    let filter = parser.parse(0, end, 0)?.unwrap_or(Filter::Nothing);
    apply_minimum(filter, query.minimum.as_deref())
}

fn apply_minimum(filter: Filter, minimum: Option<&str>) -> Result<Filter, Fault> {
    match (filter, minimum) {
        (Filter::Bool(mut clauses), Some(specification)) if clauses.must.is_empty() => {
            let wanted = minimum::of(specification, clauses.should.len())?;
            clauses.minimum = clauses.minimum.max(wanted);
            Ok(Filter::Bool(clauses))
        }
        (filter, _) => Ok(filter),
    }
}

struct Parser<'a> {
    query: &'a Query,
    context: &'a Context<'a>,
    text: Vec<char>,
    /// Where each group closes that does, by where it opens.
    closing: HashMap<usize, usize>,
}

/// What was read so far on one level.
#[derive(Default)]
struct Level {
    top: Option<Filter>,
    /// The operator that was written since the last thing; true is and.
    operator: Option<bool>,
    /// The operator of the combination at the top.
    before: Option<bool>,
    negations: usize,
}

impl Parser<'_> {
    fn parse(&mut self, start: usize, end: usize, depth: usize) -> Result<Option<Filter>, Fault> {
        let signs = self.query.signs;
        let mut level = Level::default();
        let mut at = start;
        while at < end {
            match self.text[at] {
                '(' if signs.precedence => {
                    let close = self.closing.get(&at).copied().unwrap_or(end);
                    let inner = close < end;
                    if inner && depth < MAX_DEPTH {
                        let filter = self.parse(at + 1, close, depth + 1)?;
                        level.add(filter, self.query.all);
                    }
                    at = if inner { close + 1 } else { at + 1 };
                }
                ')' if signs.precedence => at += 1,
                '"' if signs.phrase => at = self.phrase(&mut level, at, end)?,
                '+' if signs.and => {
                    level.say(true);
                    at += 1;
                }
                '|' if signs.or => {
                    level.say(false);
                    at += 1;
                }
                '-' if signs.not => {
                    level.negations += 1;
                    at += 1;
                    continue;
                }
                ' ' | '\t' | '\n' | '\r' if signs.whitespace => at += 1,
                _ => at = self.word(&mut level, at, end)?,
            }
            level.negations = 0;
        }
        Ok(level.top)
    }

    /// Finds for every parenthesis its partner, all in one pass: looking for each from where it opens would take the square.
    fn match_groups(&mut self) {
        let mut open = Vec::new();
        let mut at = 0;
        while let Some(character) = self.text.get(at) {
            match character {
                '\\' if self.query.signs.escape => at += 1,
                '(' => open.push(at),
                ')' => {
                    if let Some(start) = open.pop() {
                        self.closing.insert(start, at);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn phrase(&mut self, level: &mut Level, open: usize, end: usize) -> Result<usize, Fault> {
        let mut text = String::new();
        let mut at = open + 1;
        loop {
            match self.text.get(at).filter(|_| at < end) {
                // An open quote means nothing.
                None => return Ok(open + 1),
                Some('"') => break,
                Some('\\') if self.query.signs.escape && at + 1 < end => {
                    at += 1;
                    text.push(self.text[at]);
                }
                Some(other) => text.push(*other),
            }
            at += 1;
        }
        at += 1;
        let mut slop = 0;
        if self.query.signs.slop && self.text.get(at) == Some(&'~') {
            let digits: String = self.text[at + 1..end]
                .iter()
                .take_while(|it| it.is_ascii_digit())
                .collect();
            at += 1 + digits.len();
            slop = digits.parse().unwrap_or(0);
        }
        if !text.is_empty() {
            let filter = self.of_fields(|field| phrase_test(field, &text, slop, self.context))?;
            level.add(filter, self.query.all);
        }
        Ok(at)
    }

    fn word(&mut self, level: &mut Level, start: usize, end: usize) -> Result<usize, Fault> {
        let signs = self.query.signs;
        let mut text = String::new();
        let mut is_prefix = false;
        let mut distance = None;
        let mut at = start;
        while at < end {
            let character = self.text[at];
            if signs.escape && character == '\\' && at + 1 < end {
                text.push(self.text[at + 1]);
                at += 2;
                is_prefix = false;
                continue;
            }
            if self.ends_word(character) {
                break;
            }
            if signs.fuzzy && character == '~' && !text.is_empty() {
                let digits: String = self.text[at + 1..end]
                    .iter()
                    .take_while(|it| it.is_ascii_digit())
                    .collect();
                let next = at + 1 + digits.len();
                if next >= end || self.ends_word(self.text[next]) {
                    distance = Some(digits.parse().unwrap_or(2_usize).min(2));
                    at = next;
                    break;
                }
            }
            is_prefix = signs.prefix && character == '*' && !text.is_empty();
            text.push(character);
            at += 1;
        }
        if is_prefix {
            text.pop();
        }
        if !text.is_empty() {
            let filter = if let Some(distance) = distance {
                self.of_fields(|field| fuzzy_test(field, &text, distance))?
            } else if is_prefix {
                self.of_fields(|field| self.prefix_test(field, &text))?
            } else {
                self.of_fields(|field| self.word_test(field, &text))?
            };
            level.add(filter, self.query.all);
        }
        // A sign that could not start anything is skipped, so that every round gets on.
        Ok(at.max(start + 1))
    }

    fn ends_word(&self, character: char) -> bool {
        let signs = self.query.signs;
        match character {
            '"' => signs.phrase,
            '|' => signs.or,
            '+' => signs.and,
            '(' | ')' => signs.precedence,
            ' ' | '\t' | '\n' | '\r' => signs.whitespace,
            _ => false,
        }
    }

    /// The same question for each field: one that fits is enough. `None` when it means nothing in any of them.
    fn of_fields(
        &self,
        test: impl Fn(&Field) -> Result<Option<Test>, Fault>,
    ) -> Result<Option<Filter>, Fault> {
        let mut filters = Vec::new();
        for field in &self.query.fields {
            self.context.count(1)?;
            let test = match test(field) {
                Err(Fault::Refused(_)) if self.query.lenient => Some(Test::Nothing),
                other => other?,
            };
            if let Some(test) = test {
                let field = field.clone();
                filters.push(Filter::Leaf(Leaf { field, test }));
            }
        }
        Ok((!filters.is_empty()).then(|| Filter::any(filters)))
    }

    fn word_test(&self, field: &Field, text: &str) -> Result<Option<Test>, Fault> {
        if matches!(field.kind, Kind::Date | Kind::Boolean) {
            return leaf_parse::term_test(field, text, false, self.context).map(Some);
        }
        let words = analysis::words(text, field.kind);
        if words.is_empty() {
            return Ok(None);
        }
        self.context.count(words.len())?;
        let minimum = if self.query.all { words.len() } else { 1 };
        let words = words.into_iter().map(Word::exact).collect();
        Ok(Some(Test::Words(words, minimum)))
    }

    fn prefix_test(&self, field: &Field, text: &str) -> Result<Option<Test>, Fault> {
        if field.kind.is_analyzed() && self.query.analyze_wildcard {
            self.context.count_pattern(text)?;
            return pattern::wildcard(&format!("{}*", text.to_lowercase()), false)
                .map(|pattern| Some(Test::Pattern(pattern)));
        }
        let text = if field.kind.is_analyzed() {
            text.to_lowercase()
        } else {
            text.to_owned()
        };
        leaf_parse::prefix_test(field, &text, false).map(Some)
    }
}

fn phrase_test(
    field: &Field,
    text: &str,
    slop: usize,
    context: &Context<'_>,
) -> Result<Option<Test>, Fault> {
    if !field.kind.is_analyzed() {
        return leaf_parse::term_test(field, text, false, context).map(Some);
    }
    let words = analysis::words(text, field.kind);
    context.count(words.len())?;
    Ok((!words.is_empty()).then_some(Test::Phrase(words, slop)))
}

fn fuzzy_test(field: &Field, text: &str, distance: usize) -> Result<Option<Test>, Fault> {
    if matches!(field.kind, Kind::Date | Kind::Boolean) {
        return Err(Fault::refused(
            "failed to create query: Can only use fuzzy queries on keyword and text fields",
        ));
    }
    let text = if field.kind.is_analyzed() {
        text.to_lowercase()
    } else {
        text.to_owned()
    };
    let word = Word {
        distance,
        ..Word::exact(text)
    };
    Ok(Some(Test::Words(vec![word], 1)))
}

impl Level {
    /// An operator before anything, or after another, means nothing.
    fn say(&mut self, and: bool) {
        if self.operator.is_none() && self.top.is_some() {
            self.operator = Some(and);
        }
    }

    fn add(&mut self, filter: Option<Filter>, default: bool) {
        let Some(filter) = filter else {
            return;
        };
        let filter = if self.negations % 2 == 1 {
            Filter::all_but(filter)
        } else {
            filter
        };
        let and = self.operator.take().unwrap_or(default);
        self.top = Some(match self.top.take() {
            None => filter,
            Some(Filter::Bool(clauses)) if self.before == Some(and) => {
                joined(*clauses, filter, and)
            }
            Some(top) => {
                self.before = Some(and);
                joined(joined_alone(top, and), filter, and)
            }
        });
    }
}

fn joined_alone(filter: Filter, and: bool) -> Clauses {
    let mut clauses = Clauses::default();
    if and {
        clauses.must.push(filter);
    } else {
        clauses.should.push(filter);
        clauses.minimum = 1;
    }
    clauses
}

fn joined(mut clauses: Clauses, filter: Filter, and: bool) -> Filter {
    if and {
        clauses.must.push(filter);
    } else {
        clauses.should.push(filter);
    }
    Filter::Bool(Box::new(clauses))
}
