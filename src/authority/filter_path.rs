//! `filter_path`: which parts of an answer the client wants.
//!
//! A comma list of dotted paths; `*` stands for any part of a name, `**` for any number of names, `\.` for a dot within a
//! name, a leading `-` takes away. Objects and arrays that end up empty by it are left out. Work is bounded: at most
//! `MOST_PATHS` paths of `MOST_STEPS` names, and what is left of them below a name counts once however it was reached.

use serde_json::{Map, Value};

use super::failure::Failure;

/// Longest `filter_path` in bytes; the work of filtering grows with it.
const MOST_BYTES: usize = 4_096;
/// Most paths.
const MOST_PATHS: usize = 256;
/// Most names in a path.
const MOST_STEPS: usize = 64;

/// A parsed `filter_path`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilterPath {
    wanted: Vec<Path>,
    unwanted: Vec<Path>,
}

type Path = Vec<Step>;

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// `**`
    AnyDepth,
    /// A name, with `*`.
    Name(Vec<Token>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    /// `*`
    Any,
    Byte(u8),
}

impl FilterPath {
    /// Reads the parameter.
    ///
    /// # Errors
    /// One that is longer than the bounds.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let too_long = |what: &str, most: usize| {
            Failure::illegal_argument(format!(
                "[filter_path] may not have more than [{most}] {what}"
            ))
        };
        if text.len() > MOST_BYTES {
            return Err(too_long("characters", MOST_BYTES));
        }
        let parts = || {
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
        };
        if parts().count() > MOST_PATHS {
            return Err(too_long("paths", MOST_PATHS));
        }
        let filter = Self::of(parts());
        let mut paths = filter.wanted.iter().chain(&filter.unwanted);
        if paths.any(|path| path.len() > MOST_STEPS) {
            return Err(too_long("names in a path", MOST_STEPS));
        }
        Ok(filter)
    }

    /// A filter of these paths, each as between the commas. More than `MOST_PATHS` are not looked at.
    pub fn of<'p>(paths: impl IntoIterator<Item = &'p str>) -> Self {
        let mut filter = Self::default();
        for path in paths.into_iter().take(MOST_PATHS) {
            match path.strip_prefix('-') {
                Some(path) => filter.unwanted.push(steps(path)),
                None => filter.wanted.push(steps(path)),
            }
        }
        filter
    }

    /// True when everything is wanted.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.unwanted.is_empty()
    }

    /// What is left of an answer.
    pub fn apply(&self, value: Value) -> Value {
        let empty = match value {
            Value::Array(_) => Value::Array(Vec::new()),
            _ => Value::Object(Map::new()),
        };
        let wanted: Vec<&[Step]> = self.wanted.iter().map(Vec::as_slice).collect();
        let kept = if wanted.is_empty() {
            Some(value)
        } else {
            keep(value, &wanted)
        };
        let unwanted: Vec<&[Step]> = self.unwanted.iter().map(Vec::as_slice).collect();
        let left = match kept {
            Some(value) if !unwanted.is_empty() => without(value, &unwanted),
            kept => kept,
        };
        left.unwrap_or(empty)
    }
}

/// `a.b\.c.**` → three steps. Empty names are dropped, as in `a..b`.
fn steps(text: &str) -> Path {
    let mut path = Vec::new();
    let mut name = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.peek() == Some(&b'.') => {
                bytes.next();
                name.push(Token::Byte(b'.'));
            }
            b'.' => finish(&mut path, &mut name),
            b'*' => name.push(Token::Any),
            other => name.push(Token::Byte(other)),
        }
    }
    finish(&mut path, &mut name);
    path
}

fn finish(path: &mut Path, name: &mut Vec<Token>) {
    let name = std::mem::take(name);
    match name.as_slice() {
        [] => {}
        [Token::Any, Token::Any] => path.push(Step::AnyDepth),
        _ => path.push(Step::Name(name)),
    }
}

/// What remains when only `paths` are wanted. Arrays are looked through.
fn keep(value: Value, paths: &[&[Step]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value);
    }
    match value {
        Value::Object(map) => {
            let kept: Map<String, Value> = map
                .into_iter()
                .filter_map(|(key, value)| {
                    let next = below(paths, &key);
                    let kept = (!next.is_empty()).then(|| keep(value, &next)).flatten()?;
                    Some((key, kept))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept: Vec<Value> = items
                .into_iter()
                .filter_map(|item| keep(item, paths))
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// What remains without `paths`. Arrays are looked through; what no path touches stays as it is, even when empty.
fn without(value: Value, paths: &[&[Step]]) -> Option<Value> {
    match value {
        Value::Object(map) => {
            let left: Map<String, Value> = map
                .into_iter()
                .filter_map(|(key, value)| {
                    let next = below(paths, &key);
                    if next.iter().any(|path| path.is_empty()) {
                        return None;
                    }
                    let left = if next.is_empty() {
                        Some(value)
                    } else {
                        without(value, &next)
                    };
                    Some((key, left?))
                })
                .collect();
            (!left.is_empty()).then_some(Value::Object(left))
        }
        Value::Array(items) => {
            let left: Vec<Value> = items
                .into_iter()
                .filter_map(|item| without(item, paths))
                .collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        scalar => Some(scalar),
    }
}

/// What is left of all paths below `key`. The same rest counts once, or many `**` would multiply.
fn below<'p>(paths: &[&'p [Step]], key: &str) -> Vec<&'p [Step]> {
    let mut next: Vec<&[Step]> = Vec::new();
    for path in paths {
        step(path, key, &mut next);
    }
    next.sort_unstable_by_key(|path| (path.as_ptr() as usize, path.len()));
    next.dedup_by(|a, b| std::ptr::eq(*a, *b));
    next
}

/// Adds the paths left to walk below `key`; `**` may stay or go.
fn step<'p>(path: &'p [Step], key: &str, next: &mut Vec<&'p [Step]>) {
    let mut rest = path;
    loop {
        match rest {
            [Step::AnyDepth] => {
                next.push(&[]);
                return;
            }
            [Step::AnyDepth, after @ ..] => {
                next.push(rest);
                rest = after;
            }
            [Step::Name(name), after @ ..] => {
                if fits(name, key.as_bytes()) {
                    next.push(after);
                }
                return;
            }
            [] => return,
        }
    }
}

/// `*` stands for any run of bytes. Linear in the product of lengths, without recursion.
fn fits(pattern: &[Token], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(Token::Any) => {
                star = Some((p, t));
                p += 1;
            }
            Some(Token::Byte(byte)) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|token| *token == Token::Any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn after(path: &str) -> Value {
        let value = json!({"a": {"b": 1, "c": [{"d": 2, "e": 3}], "x.y": 5}, "f": 4, "g": {}});
        FilterPath::parse(path).unwrap().apply(value)
    }

    #[test]
    fn what_is_named_is_kept() {
        assert_eq!(after("a.c.d"), json!({"a": {"c": [{"d": 2}]}}));
        assert_eq!(after("*.b, f"), json!({"a": {"b": 1}, "f": 4}));
        assert_eq!(after("**.e"), json!({"a": {"c": [{"e": 3}]}}));
        assert_eq!(after("a.x\\.y"), json!({"a": {"x.y": 5}}));
        assert_eq!(after("a.x.y"), json!({}));
        assert_eq!(after("g"), json!({"g": {}}));
        assert_eq!(after("x"), json!({}));
        assert_eq!(after("**"), after(""));
        assert_eq!(after(&(["**"; 60].join(".") + ".f")), json!({"f": 4}));
    }

    #[test]
    fn what_is_taken_away_leaves_no_empty_shell() {
        assert_eq!(after("-a,-g"), json!({"f": 4}));
        assert_eq!(after("-a.*"), json!({"f": 4, "g": {}}));
        assert_eq!(
            after("-a.c.*,-f"),
            json!({"a": {"b": 1, "x.y": 5}, "g": {}})
        );
        assert_eq!(
            after("a,-**.d,-a.x\\.y"),
            json!({"a": {"b": 1, "c": [{"e": 3}]}})
        );
        assert_eq!(after("-**"), json!({}));
    }

    #[test]
    fn an_array_at_the_top_is_looked_through() {
        let list = json!([{"path": "a", "x": 1}, {"x": 2}]);
        let filter = |path| FilterPath::parse(path).unwrap().apply(list.clone());
        assert_eq!(filter("path"), json!([{"path": "a"}]));
        assert_eq!(filter("nope"), json!([]));
    }

    #[test]
    fn what_is_beyond_the_bounds_is_refused() {
        assert!(FilterPath::parse(&"a,".repeat(257)).is_err());
        assert!(FilterPath::parse(&"a.".repeat(65)).is_err());
        assert!(FilterPath::parse(&"a".repeat(5_000)).is_err());
    }

    proptest! {
        #[test]
        fn nothing_is_ever_added(path in "[ab*.,\\\\-]{0,24}") {
            let value = json!({"a": {"b": {"a": 1}, "ab": [1, {"b": 2}]}, "b": null});
            let text = value.to_string();
            let filter = FilterPath::parse(&path).unwrap();
            let left = filter.apply(value).to_string();
            prop_assert!(left.len() <= text.len());
        }

        #[test]
        fn keeping_and_taking_away_the_same_leaves_nothing(path in "[ab*]{1,3}(\\.[ab*]{1,3}){0,2}") {
            let value = json!({"a": {"b": {"a": 1}, "ab": [1, {"b": 2}]}, "b": 3});
            let both = FilterPath::parse(&format!("{path},-{path}")).unwrap();
            prop_assert_eq!(both.apply(value), json!({}));
        }
    }
}
