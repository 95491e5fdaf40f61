//! Lucene's regular expressions with every operator on, as roles may use them between slashes.
//!
//! ```text
//! union   = both ('|' both)*            complement = '~' complement | class
//! both    = concat ('&' concat)*        class      = '[' '^'? item+ ']' | simple
//! concat  = repeat*                     simple     = '.' | '#' | '@' | '"'…'"' | '(' union? ')' | '<n-m>' | character
//! repeat  = complement ('?' | '*' | '+' | '{n}' | '{n,}' | '{n,m}')*
//! ```
//!
//! Matching is always of the whole string. Errors use Lucene's words, positions count characters. Nesting and length
//! are bounded, so no input can exhaust the stack. Add an operator in the function of its level.

use super::budget::Budget;
use super::charset::CharSet;
use super::interval;
use super::pattern::{Expr, PatternError};

/// Longest accepted expression, in characters.
const LONGEST: usize = 10_000;
/// Deepest accepted nesting of groups.
const DEEPEST: usize = 50;
/// Most repetition operators on one operand.
const MOST_REPEATED: usize = 8;

/// Reads an expression (without its slashes).
///
/// # Errors
/// [`PatternError::Syntax`] in Lucene's words; [`PatternError::TooComplex`] beyond the bounds on length and nesting.
pub(super) fn parse(text: &str, budget: &Budget) -> Result<Expr, PatternError> {
    let too_complex = || PatternError::too_complex([text]);
    // A character in the tree is many times its size in the text.
    let cost = text.len().saturating_mul(4);
    if text.len() > 4 * LONGEST || budget.spend(cost).is_err() {
        return Err(too_complex());
    }
    let characters: Vec<char> = text.chars().collect();
    if characters.len() > LONGEST {
        return Err(too_complex());
    }
    let mut parser = Parser {
        text,
        characters,
        at: 0,
        depth: 0,
        budget,
    };
    if text.is_empty() {
        return Ok(Expr::Sequence(Vec::new()));
    }
    let expr = parser.union()?;
    if parser.at < parser.characters.len() {
        return Err(parser.wrong("end-of-string expected"));
    }
    Ok(expr)
}

struct Parser<'a> {
    text: &'a str,
    characters: Vec<char>,
    at: usize,
    depth: usize,
    budget: &'a Budget,
}

type Parsed = Result<Expr, PatternError>;

impl Parser<'_> {
    fn union(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.too_complex());
        }
        let mut options = vec![self.both()?];
        while self.eat('|') {
            options.push(self.both()?);
        }
        self.depth -= 1;
        Ok(one_or(options, Expr::Either))
    }

    fn both(&mut self) -> Parsed {
        let mut operands = vec![self.concat()?];
        while self.eat('&') {
            operands.push(self.concat()?);
        }
        Ok(one_or(operands, Expr::All))
    }

    fn concat(&mut self) -> Parsed {
        let mut parts = vec![self.repeat()?];
        while self
            .peek()
            .is_some_and(|next| !matches!(next, ')' | '|' | '&'))
        {
            parts.push(self.repeat()?);
        }
        Ok(one_or(parts, Expr::Sequence))
    }

    fn repeat(&mut self) -> Parsed {
        let mut expr = self.complement()?;
        let mut times = 0;
        loop {
            let (min, max) = match self.peek() {
                Some('?') => (0, Some(1)),
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('{') => {
                    self.at += 1;
                    let bounds = self.bounds()?;
                    // The closing brace is eaten below, like any one-character operator.
                    if self.peek() != Some('}') {
                        return Err(self.wrong("expected '}'"));
                    }
                    bounds
                }
                _ => return Ok(expr),
            };
            self.at += 1;
            times += 1;
            if times > MOST_REPEATED {
                return Err(self.too_complex());
            }
            expr = match (min, max) {
                // `.*` is what `*` is among wildcards, and cheaper.
                (0, None) if expr == Expr::Chars(CharSet::any()) => Expr::Anything,
                _ => Expr::Repeat {
                    of: Box::new(expr),
                    min,
                    max,
                },
            };
        }
    }

    fn bounds(&mut self) -> Result<(u32, Option<u32>), PatternError> {
        let min = self
            .number()?
            .ok_or_else(|| self.wrong("integer expected"))?;
        let max = if self.eat(',') {
            self.number()?
        } else {
            Some(min)
        };
        match max {
            Some(max) if min > max => Err(PatternError::Syntax(format!(
                "invalid repetition range(out of order): {min}..{max}"
            ))),
            _ => Ok((min, max)),
        }
    }

    fn number(&mut self) -> Result<Option<u32>, PatternError> {
        let start = self.at;
        while self.peek().is_some_and(|next| next.is_ascii_digit()) {
            self.at += 1;
        }
        if start == self.at {
            return Ok(None);
        }
        let digits: String = self.characters[start..self.at].iter().collect();
        digits.parse().map(Some).map_err(|_| self.too_complex())
    }

    fn complement(&mut self) -> Parsed {
        let mut negated = false;
        let mut any = false;
        // `~~a` is `a`: counting keeps a long run of them off the stack.
        while self.eat('~') {
            negated = !negated;
            any = true;
        }
        let expr = if any && self.peek().is_none() {
            return Err(PatternError::Syntax("unexpected end-of-string".into()));
        } else {
            self.class()?
        };
        Ok(if negated {
            Expr::Not(Box::new(expr))
        } else {
            expr
        })
    }

    fn class(&mut self) -> Parsed {
        if !self.eat('[') {
            return self.simple();
        }
        let negated = self.eat('^');
        let mut items = vec![self.class_item()?];
        while self.peek().is_some_and(|next| next != ']') {
            items.push(self.class_item()?);
        }
        let set = CharSet::all_of(items);
        if !self.eat(']') {
            return Err(self.wrong("expected ']'"));
        }
        Ok(Expr::Chars(if negated { set.negated() } else { set }))
    }

    fn class_item(&mut self) -> Result<CharSet, PatternError> {
        let first = match self.escape()? {
            Some(Escaped::Class(set)) => return Ok(set),
            Some(Escaped::Character(character)) => character,
            None => self.next()?,
        };
        if !self.eat('-') {
            return Ok(CharSet::one(first));
        }
        self.eat('\\');
        let last = self.next()?;
        if first > last {
            return Err(PatternError::Syntax(format!(
                "invalid range: from ({}) cannot be > to ({})",
                u32::from(first),
                u32::from(last)
            )));
        }
        Ok(CharSet::span(first, last))
    }

    fn simple(&mut self) -> Parsed {
        if let Some(escaped) = self.escape()? {
            return Ok(Expr::Chars(match escaped {
                Escaped::Class(set) => set,
                Escaped::Character(character) => CharSet::one(character),
            }));
        }
        match self.next()? {
            '.' => Ok(Expr::Chars(CharSet::any())),
            '#' => Ok(Expr::Never),
            '@' => Ok(Expr::Anything),
            '"' => Ok(Expr::text(&self.until('"')?)),
            '<' => {
                let inner = self.until('>')?;
                // Digits by digits, in up to three options for each.
                let cost = inner.len().min(2 * interval::WIDEST + 1).pow(2);
                self.budget.spend(cost).map_err(|_| self.too_complex())?;
                interval::interval(&inner).ok_or_else(|| {
                    PatternError::Syntax(format!(
                        "interval syntax error at position {}",
                        self.at - 1
                    ))
                })
            }
            '(' if self.eat(')') => Ok(Expr::Sequence(Vec::new())),
            '(' => {
                let expr = self.union()?;
                if self.eat(')') {
                    Ok(expr)
                } else {
                    Err(self.wrong("expected ')'"))
                }
            }
            character => Ok(Expr::Chars(CharSet::one(character))),
        }
    }

    /// A backslash and what it stands for, if one comes next.
    fn escape(&mut self) -> Result<Option<Escaped>, PatternError> {
        if !self.eat('\\') {
            return Ok(None);
        }
        let character = self.next()?;
        let class = match character.to_ascii_lowercase() {
            'd' => CharSet::span('0', '9'),
            's' => CharSet::of(" \t\n\r"),
            'w' => CharSet::span('a', 'z')
                .with(&CharSet::span('A', 'Z'))
                .with(&CharSet::span('0', '9'))
                .with(&CharSet::one('_')),
            other if other.is_ascii_alphabetic() => {
                // Letters are kept for operators to come; taking them literally would silently change meaning then.
                return Err(PatternError::Syntax(format!(
                    "invalid character class \\{}",
                    u32::from(character)
                )));
            }
            _ => return Ok(Some(Escaped::Character(character))),
        };
        Ok(Some(Escaped::Class(if character.is_ascii_uppercase() {
            class.negated()
        } else {
            class
        })))
    }

    fn until(&mut self, end: char) -> Result<String, PatternError> {
        let start = self.at;
        while self.peek().is_some_and(|next| next != end) {
            self.at += 1;
        }
        let inner = self.characters[start..self.at].iter().collect();
        if self.eat(end) {
            Ok(inner)
        } else {
            Err(self.wrong(&format!("expected '{end}'")))
        }
    }

    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn eat(&mut self, character: char) -> bool {
        let found = self.peek() == Some(character);
        self.at += usize::from(found);
        found
    }

    fn next(&mut self) -> Result<char, PatternError> {
        let next = self
            .peek()
            .ok_or_else(|| PatternError::Syntax("unexpected end-of-string".into()))?;
        self.at += 1;
        Ok(next)
    }

    fn wrong(&self, what: &str) -> PatternError {
        PatternError::Syntax(format!("{what} at position {}", self.at))
    }

    fn too_complex(&self) -> PatternError {
        PatternError::too_complex([self.text])
    }
}

enum Escaped {
    Class(CharSet),
    Character(char),
}

fn one_or(mut parts: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            many(parts)
        }
        None => many(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        parse(text, &Budget::for_roles())
            .expect_err(text)
            .to_string()
    }

    #[test]
    fn malformed_expressions_are_refused_in_lucenes_words() {
        assert_eq!(reason("(a"), "expected ')' at position 2");
        assert_eq!(reason("a)"), "end-of-string expected at position 1");
        assert_eq!(reason("[a"), "expected ']' at position 2");
        assert_eq!(reason("\"a"), "expected '\"' at position 2");
        assert_eq!(reason("<1-"), "expected '>' at position 3");
        assert_eq!(reason("<a-b>"), "interval syntax error at position 4");
        assert_eq!(reason("a{}"), "integer expected at position 2");
        assert_eq!(reason("a{1"), "expected '}' at position 3");
        assert_eq!(
            reason("a{3,2}"),
            "invalid repetition range(out of order): 3..2"
        );
        assert_eq!(
            reason("[z-a]"),
            "invalid range: from (122) cannot be > to (97)"
        );
        assert_eq!(reason("a|"), "unexpected end-of-string");
        assert_eq!(reason("~"), "unexpected end-of-string");
        assert_eq!(reason("\\q"), "invalid character class \\113");
    }

    #[test]
    fn no_nesting_exhausts_the_stack() {
        for text in [
            "(".repeat(9000),
            "~(".repeat(4000),
            "~".repeat(9000),
            format!("a{}", "{2}".repeat(3000)),
            "a&".repeat(4000),
        ] {
            let _ = parse(&text, &Budget::for_roles());
        }
        assert!(matches!(
            parse(&"(".repeat(200), &Budget::for_roles()),
            Err(PatternError::TooComplex(_))
        ));
    }
}
